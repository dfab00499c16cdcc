package shop

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"slices"
	"strings"
	"time"

	"go.opentelemetry.io/contrib/instrumentation/net/http/otelhttp"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// frontend is the shop's HTTP API.
type frontend struct{ env }

func newFrontend(e env) *frontend { return &frontend{e} }

// maxBody bounds what a customer may send, callTimeout how long a request may take.
const (
	maxBody     = 64 << 10
	callTimeout = 10 * time.Second
)

func (f *frontend) routes() http.Handler {
	mux := http.NewServeMux()
	handle := func(route string, h func(*http.Request) (any, error)) {
		mux.Handle(route, otelhttp.NewHandler(f.answer(h), route,
			otelhttp.WithTracerProvider(f.tracers), otelhttp.WithMeterProvider(f.meters), otelhttp.WithPropagators(f.propagator),
			otelhttp.WithSpanNameFormatter(func(operation string, _ *http.Request) string { return operation })))
	}
	handle("GET /api/products", f.products)
	handle("GET /api/products/{id}", f.product)
	handle("GET /api/cart/{user}", f.cart)
	handle("POST /api/cart/{user}", f.addToCart)
	handle("POST /api/checkout", f.checkout)
	mux.HandleFunc("GET /readyz", f.ready)
	return mux
}

func (f *frontend) serve(ctx context.Context, ln net.Listener) error {
	srv := &http.Server{Handler: f.routes(), ReadHeaderTimeout: 5 * time.Second, IdleTimeout: time.Minute}
	stopped := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(stopped)
		grace, cancel := context.WithTimeout(context.Background(), stopTimeout)
		defer cancel()
		if srv.Shutdown(grace) != nil {
			srv.Close()
		}
	})
	err := srv.Serve(ln)
	if !stop() {
		<-stopped
	}
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return err
}

func (f *frontend) products(r *http.Request) (any, error) {
	return listProducts.call(r.Context(), f.peers, nothing{})
}

func (f *frontend) product(r *http.Request) (any, error) {
	return getProduct.call(r.Context(), f.peers, productRequest{r.PathValue("id")})
}

func (f *frontend) cart(r *http.Request) (any, error) {
	return getCart.call(r.Context(), f.peers, userRequest{r.PathValue("user")})
}

func (f *frontend) addToCart(r *http.Request) (any, error) {
	var items []Item
	if err := decode(r, &items); err != nil {
		return nil, err
	}
	return addItem.call(r.Context(), f.peers, addRequest{r.PathValue("user"), items})
}

// checkout puts the order's items into a cart and buys it. An order without a
// user is a guest's.
func (f *frontend) checkout(r *http.Request) (any, error) {
	var o Order
	if err := decode(r, &o); err != nil {
		return nil, err
	}
	if o.User == "" {
		o.User = "guest-" + id()
	}
	if _, err := addItem.call(r.Context(), f.peers, addRequest{o.User, o.Items}); err != nil {
		return nil, failed("the items could not be put into the cart", err)
	}
	return placeOrder.call(r.Context(), f.peers, o)
}

func decode(r *http.Request, v any) error {
	if err := json.NewDecoder(http.MaxBytesReader(nil, r.Body, maxBody)).Decode(v); err != nil {
		return status.Errorf(codes.InvalidArgument, "body: %v", err)
	}
	return nil
}

// answer writes what h returns as JSON.
func (f *frontend) answer(h func(*http.Request) (any, error)) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithTimeout(r.Context(), callTimeout)
		defer cancel()
		v, err := h(r.WithContext(ctx))
		code := http.StatusOK
		if err != nil {
			s := status.Convert(err)
			code, v = httpStatus(s.Code()), map[string]string{"error": s.Message()}
			if code >= 500 {
				f.log.ErrorContext(ctx, "request failed: "+s.Message(), "route", r.Pattern)
			}
		}
		body, err := json.Marshal(v)
		if err != nil {
			panic(fmt.Errorf("answer to %s: %w", r.Pattern, err)) // our own types
		}
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(code)
		_, _ = w.Write(body) // the customer may have gone
	})
}

func httpStatus(c codes.Code) int {
	switch c {
	case codes.InvalidArgument:
		return http.StatusBadRequest
	case codes.NotFound:
		return http.StatusNotFound
	case codes.FailedPrecondition:
		return http.StatusConflict
	case codes.ResourceExhausted:
		return http.StatusTooManyRequests
	case codes.Unavailable:
		return http.StatusServiceUnavailable
	case codes.DeadlineExceeded:
		return http.StatusGatewayTimeout
	}
	return http.StatusInternalServerError
}

// ready answers 200 when every other service can be reached.
func (f *frontend) ready(w http.ResponseWriter, _ *http.Request) {
	if missing := f.peers.unreachable(); len(missing) > 0 {
		slices.Sort(missing)
		http.Error(w, "not reached yet: "+strings.Join(missing, ", "), http.StatusServiceUnavailable)
		return
	}
	fmt.Fprintln(w, "ready")
}
