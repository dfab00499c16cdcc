package shop

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"runtime"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/contrib/instrumentation/net/http/otelhttp"
)

// Bank is the network that payment has cards authorized by. It belongs to
// somebody else: it sends no telemetry, and nobody here can repair it.
type Bank struct{ down atomic.Bool }

// Fail makes every authorization answer 503, or ends that.
func (b *Bank) Fail(down bool) { b.down.Store(down) }

// ServeHTTP implements http.Handler.
func (b *Bank) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if work(r.Context(), 20*time.Millisecond) != nil {
		return
	}
	if b.down.Load() {
		http.Error(w, "no issuer can be reached", http.StatusServiceUnavailable)
	}
}

// bankClient calls the bank.
type bankClient struct {
	url  string
	http *http.Client
}

const bankTimeout = 5 * time.Second

func newBankClient(url string, t *telemetry) *bankClient {
	return &bankClient{url: url, http: &http.Client{Timeout: bankTimeout, Transport: otelhttp.NewTransport(http.DefaultTransport,
		otelhttp.WithTracerProvider(t.tracers), otelhttp.WithMeterProvider(t.meters), otelhttp.WithPropagators(t.propagator))}}
}

// authorize has the amount authorized.
func (b *bankClient) authorize(ctx context.Context) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, b.url+"/authorizations", http.NoBody)
	if err != nil {
		return err
	}
	res, err := b.http.Do(req)
	if err != nil {
		return newBankError("card network: " + err.Error())
	}
	defer res.Body.Close()
	text, _ := io.ReadAll(io.LimitReader(res.Body, 200))
	if res.StatusCode != http.StatusOK {
		return newBankError(fmt.Sprintf("card network answered %s: %s", res.Status, text))
	}
	return nil
}

// BankError says that the card network did not authorize.
type BankError struct {
	message string
	callers []uintptr
}

func newBankError(message string) *BankError {
	pcs := make([]uintptr, 32)
	return &BankError{message, pcs[:runtime.Callers(2, pcs)]}
}

func (e *BankError) Error() string { return e.message }

// Callers is the stack of where the error began.
func (e *BankError) Callers() []uintptr { return e.callers }
