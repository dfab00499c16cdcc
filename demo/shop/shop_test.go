//go:build unix

package shop

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	evaluationconnect "buf.build/gen/go/open-feature/flagd/connectrpc/go/flagd/evaluation/v2/evaluationv2connect"
	evaluation "buf.build/gen/go/open-feature/flagd/protocolbuffers/go/flagd/evaluation/v2"
	"connectrpc.com/connect"
	collectorlogs "go.opentelemetry.io/proto/otlp/collector/logs/v1"
	collectormetrics "go.opentelemetry.io/proto/otlp/collector/metrics/v1"
	collectortrace "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	logspb "go.opentelemetry.io/proto/otlp/logs/v1"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/grpc"
)

// receiver is an OTLP receiver that keeps what it gets.
type receiver struct {
	collectortrace.UnimplementedTraceServiceServer
	mu      sync.Mutex
	spans   map[string][]*tracepb.Span // by service
	metrics map[string]bool
	logs    []*logspb.LogRecord
}

func (r *receiver) Export(_ context.Context, req *collectortrace.ExportTraceServiceRequest) (*collectortrace.ExportTraceServiceResponse, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, rs := range req.ResourceSpans {
		var name string
		for _, a := range rs.Resource.Attributes {
			if a.Key == "service.name" {
				name = a.Value.GetStringValue()
			}
		}
		for _, ss := range rs.ScopeSpans {
			r.spans[name] = append(r.spans[name], ss.Spans...)
		}
	}
	return &collectortrace.ExportTraceServiceResponse{}, nil
}

type metricsReceiver struct {
	collectormetrics.UnimplementedMetricsServiceServer
	*receiver
}

func (r metricsReceiver) Export(_ context.Context, req *collectormetrics.ExportMetricsServiceRequest) (*collectormetrics.ExportMetricsServiceResponse, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, rm := range req.ResourceMetrics {
		for _, sm := range rm.ScopeMetrics {
			for _, m := range sm.Metrics {
				r.metrics[m.Name] = true
			}
		}
	}
	return &collectormetrics.ExportMetricsServiceResponse{}, nil
}

type logsReceiver struct {
	collectorlogs.UnimplementedLogsServiceServer
	r *receiver
}

func (l logsReceiver) Export(_ context.Context, req *collectorlogs.ExportLogsServiceRequest) (*collectorlogs.ExportLogsServiceResponse, error) {
	l.r.mu.Lock()
	defer l.r.mu.Unlock()
	for _, rl := range req.ResourceLogs {
		for _, sl := range rl.ScopeLogs {
			l.r.logs = append(l.r.logs, sl.LogRecords...)
		}
	}
	return &collectorlogs.ExportLogsServiceResponse{}, nil
}

func startReceiver(t *testing.T) (*receiver, string) {
	t.Helper()
	r := &receiver{spans: map[string][]*tracepb.Span{}, metrics: map[string]bool{}}
	srv := grpc.NewServer()
	collectortrace.RegisterTraceServiceServer(srv, r)
	collectormetrics.RegisterMetricsServiceServer(srv, metricsReceiver{receiver: r})
	collectorlogs.RegisterLogsServiceServer(srv, logsReceiver{r: r})
	ln := localListener(t)
	go srv.Serve(ln)
	t.Cleanup(srv.Stop)
	return r, ln.Addr().String()
}

// flagService answers as flagd does.
type flagService struct {
	evaluationconnect.UnimplementedServiceHandler
	mu     sync.Mutex
	values map[string]float64
}

func (f *flagService) set(key string, v float64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.values[key] = v
}

func (f *flagService) ResolveFloat(_ context.Context, r *connect.Request[evaluation.ResolveFloatRequest]) (*connect.Response[evaluation.ResolveFloatResponse], error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	v, variant := f.values[r.Msg.FlagKey], "v"
	return connect.NewResponse(&evaluation.ResolveFloatResponse{Value: &v, Variant: &variant, Reason: "STATIC"}), nil
}

func (f *flagService) EventStream(ctx context.Context, _ *connect.Request[evaluation.EventStreamRequest], s *connect.ServerStream[evaluation.EventStreamResponse]) error {
	if err := s.Send(&evaluation.EventStreamResponse{Type: "provider_ready"}); err != nil {
		return err
	}
	<-ctx.Done()
	return nil
}

func startFlagService(t *testing.T) (*flagService, string) {
	t.Helper()
	f := &flagService{values: map[string]float64{}}
	mux := http.NewServeMux()
	mux.Handle(evaluationconnect.NewServiceHandler(f))
	srv := &http.Server{Handler: mux, Protocols: new(http.Protocols)}
	srv.Protocols.SetHTTP1(true)
	srv.Protocols.SetUnencryptedHTTP2(true)
	ln := localListener(t)
	go srv.Serve(ln)
	t.Cleanup(func() { srv.Close() })
	return f, ln.Addr().String()
}

func localListener(t *testing.T) net.Listener {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close() })
	return ln
}

// startShop runs all services in this process, on sockets they inherit, and
// returns the frontend's URL and a func that stops them.
func startShop(t *testing.T, otlp, flagd string) (url string, stop func()) {
	t.Helper()
	addresses, fds := map[string]string{}, map[string]string{}
	for _, s := range Services() {
		ln := localListener(t)
		addresses[s] = ln.Addr().String()
		fds[s] = inherit(t, ln)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	for _, s := range Services() {
		peers := map[string]string{}
		for name, address := range addresses {
			if name != s {
				peers[name] = address
			}
		}
		if s != Checkout && s != Frontend {
			peers = nil
		} else {
			delete(peers, Frontend)
		}
		wg.Go(func() {
			if err := Run(ctx, s, Config{Listen: fds[s], Peers: peers, OTLP: otlp, Flagd: flagd, Version: "1.2.3"}); err != nil {
				t.Errorf("%s: %v", s, err)
			}
		})
	}
	stop = sync.OnceFunc(func() { cancel(); wg.Wait() })
	t.Cleanup(stop)
	url = "http://" + addresses[Frontend]
	eventually(t, "the shop is ready", func() bool {
		resp, err := http.Get(url + "/readyz")
		if err != nil {
			return false
		}
		resp.Body.Close()
		return resp.StatusCode == http.StatusOK
	})
	return url, stop
}

func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !ok(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("not within 20 s: %s", what)
		}
	}
}

func order() Order {
	return Order{
		Email: "ada@example.com", Currency: "EUR", Loyalty: "gold", Country: "NL",
		Items: []Item{{"TIDE-CLOCK", 1}, {"ROPE-20", 2}},
		Card:  CreditCard{Number: "4111 1111 1111 1111", ExpiryYear: 2099, ExpiryMonth: 12},
	}
}

func post(t *testing.T, url string, body any, header ...string) (int, string) {
	t.Helper()
	raw, _ := json.Marshal(body)
	req, _ := http.NewRequestWithContext(t.Context(), http.MethodPost, url, bytes.NewReader(raw))
	for i := 0; i+1 < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	answer, _ := io.ReadAll(resp.Body)
	return resp.StatusCode, string(answer)
}

const traceID = "4bf92f3577b34da6a3ce929d0e0e4736"

func TestAnOrderAndItsTelemetry(t *testing.T) {
	rec, otlp := startReceiver(t)
	_, flagd := startFlagService(t)
	url, stop := startShop(t, otlp, flagd)

	code, body := post(t, url+"/api/checkout", order(),
		"Traceparent", "00-"+traceID+"-00f067aa0ba902b7-01", "Baggage", "tidegate.run.id=run-7,other=x")
	var r Receipt
	if err := json.Unmarshal([]byte(body), &r); err != nil || code != http.StatusOK {
		t.Fatalf("%d %s", code, body)
	}
	if want := 89 + 2*24.4 + 4.9 + 3*0.8; fmt.Sprintf("%.2f", r.Total.Amount) != fmt.Sprintf("%.2f", want) || r.Tracking == "" {
		t.Errorf("receipt %+v, want a total of %.2f", r, want)
	}
	stop() // sends what is left

	rec.mu.Lock()
	defer rec.mu.Unlock()
	for _, s := range Services() {
		if len(rec.spans[s]) == 0 {
			t.Errorf("no span of %s", s)
		}
		for _, span := range rec.spans[s] {
			if fmt.Sprintf("%x", span.TraceId) != traceID {
				t.Errorf("%s: span %s is in another trace", s, span.Name)
			}
			if v := attributeOf(span, "tidegate.run.id"); v != "run-7" {
				t.Errorf("%s: span %s says run %q", s, span.Name, v)
			}
		}
	}
	for service, name := range map[string]string{Frontend: "POST /api/checkout", Checkout: "CheckoutService/PlaceOrder", Payment: "PaymentService/Charge"} {
		if !slices.ContainsFunc(rec.spans[service], func(s *tracepb.Span) bool {
			return s.Name == name && s.Kind == tracepb.Span_SPAN_KIND_SERVER && s.Status.GetCode() != tracepb.Status_STATUS_CODE_ERROR
		}) {
			t.Errorf("%s has no successful server span %q", service, name)
		}
	}
	for _, m := range []string{"app.order.value", "app.orders", "app.payment.transactions"} {
		if !rec.metrics[m] {
			t.Errorf("no metric %s among %v", m, rec.metrics)
		}
	}
	if !slices.ContainsFunc(rec.logs, func(l *logspb.LogRecord) bool {
		return l.Body.GetStringValue() == "order placed" && fmt.Sprintf("%x", l.TraceId) == traceID
	}) {
		t.Error("no log record of the order with its trace id")
	}
}

func TestThePaymentFlagFailsCharges(t *testing.T) {
	rec, otlp := startReceiver(t)
	flags, flagd := startFlagService(t)
	url, stop := startShop(t, otlp, flagd)
	flags.set(FlagPaymentFailure, 1)
	code, body := post(t, url+"/api/checkout", order())
	if code != http.StatusInternalServerError || !strings.Contains(body, "Invalid token. app.loyalty.level=gold") {
		t.Fatalf("%d %s", code, body)
	}
	flags.set(FlagPaymentFailure, 0)
	if code, body := post(t, url+"/api/checkout", order()); code != http.StatusOK {
		t.Fatalf("with the flag off again: %d %s", code, body)
	}
	stop()

	rec.mu.Lock()
	defer rec.mu.Unlock()
	failed := func(service, name string) *tracepb.Span {
		i := slices.IndexFunc(rec.spans[service], func(s *tracepb.Span) bool {
			return s.Name == name && s.Kind == tracepb.Span_SPAN_KIND_SERVER && s.Status.GetCode() == tracepb.Status_STATUS_CODE_ERROR
		})
		if i < 0 {
			t.Fatalf("%s has no failed server span %q", service, name)
		}
		return rec.spans[service][i]
	}
	failed(Frontend, "POST /api/checkout")
	failed(Checkout, "CheckoutService/PlaceOrder")
	exception := map[string]string{}
	evaluated := false
	for _, e := range failed(Payment, "PaymentService/Charge").Events {
		evaluated = evaluated || e.Name == "feature_flag.evaluation"
		for _, a := range e.Attributes {
			if e.Name == "exception" {
				exception[a.Key] = a.Value.GetStringValue()
			}
		}
	}
	if exception["exception.type"] != "card.InvalidTokenError" || !strings.HasPrefix(exception["exception.message"], "Payment request failed. Invalid token.") {
		t.Errorf("exception %v", exception)
	}
	lines := strings.Split(exception["exception.stacktrace"], "\n")
	if len(lines) < 5 || !strings.HasSuffix(lines[1], "card.(*Processor).authorize(...)") || !strings.Contains(lines[2], "card/card.go:") {
		t.Errorf("the stack does not begin where the error did:\n%s", exception["exception.stacktrace"])
	}
	if !evaluated {
		t.Error("the flag's evaluation is not on the span")
	}
}

func TestTheCatalogFlagTakesTime(t *testing.T) {
	flags, flagd := startFlagService(t)
	url, _ := startShop(t, "", flagd)
	flags.set(FlagCatalogLatency, 300)
	began := time.Now()
	resp, err := http.Get(url + "/api/products/SEXTANT")
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if took := time.Since(began); resp.StatusCode != http.StatusOK || took < 150*time.Millisecond {
		t.Errorf("%d after %s", resp.StatusCode, took)
	}
}

func TestWrongOrdersAreTheCustomersFault(t *testing.T) {
	url, _ := startShop(t, "", "")
	spoil := map[string]struct {
		code int
		do   func(*Order)
	}{
		"no items":        {http.StatusConflict, func(o *Order) { o.Items = nil }},
		"unknown product": {http.StatusNotFound, func(o *Order) { o.Items[0].Product = "BOAT" }},
		"quantity":        {http.StatusBadRequest, func(o *Order) { o.Items[0].Quantity = -1 }},
		"currency":        {http.StatusBadRequest, func(o *Order) { o.Currency = "XXX" }},
		"card number":     {http.StatusConflict, func(o *Order) { o.Card.Number = "4111 1111 1111 1112" }},
		"expired card":    {http.StatusConflict, func(o *Order) { o.Card.ExpiryYear = 2019 }},
	}
	for name, s := range spoil {
		o := order()
		s.do(&o)
		if code, body := post(t, url+"/api/checkout", o); code != s.code {
			t.Errorf("%s: %d %s, want %d", name, code, body, s.code)
		}
	}
	if code, _ := post(t, url+"/api/checkout", "not an order"); code != http.StatusBadRequest {
		t.Errorf("no order at all: %d", code)
	}
}

func TestRunRefusesWhatItDoesNotKnow(t *testing.T) {
	if err := Run(t.Context(), "bakery", Config{}); err == nil {
		t.Error("there is no bakery")
	}
	if err := Run(t.Context(), Cart, Config{Listen: "fd:0"}); err == nil {
		t.Error("standard input is no socket")
	}
}

func attributeOf(s *tracepb.Span, key string) string {
	for _, a := range s.Attributes {
		if a.Key == key {
			return a.Value.GetStringValue()
		}
	}
	return ""
}
