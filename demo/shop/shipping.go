package shop

import (
	"context"
	"math/rand/v2"
	"runtime"
	"time"

	"google.golang.org/grpc"
)

// shipping quotes and ships.
type shipping struct{ env }

func newShipping(e env) service {
	s := &shipping{e}
	return service{name: "ShippingService", methods: []grpc.MethodDesc{
		getQuote.handle(e, s.quote), shipOrder.handle(e, s.ship),
	}}
}

// quote: a base price and something per piece.
func (s *shipping) quote(ctx context.Context, r shipRequest) (Money, error) {
	if err := work(ctx, 5*time.Millisecond); err != nil {
		return Money{}, err
	}
	if rand.Float64() < s.cfg.Defect {
		return Money{}, newRateError(r.Country)
	}
	pieces := 0
	for _, i := range r.Items {
		pieces += i.Quantity
	}
	return euros(4.9 + 0.8*float64(pieces)), nil
}

func (s *shipping) ship(ctx context.Context, r shipRequest) (shipAnswer, error) {
	if err := work(ctx, 9*time.Millisecond); err != nil {
		return shipAnswer{}, err
	}
	a := shipAnswer{Tracking: "TG-" + id()}
	s.log.InfoContext(ctx, "order shipped", "tracking", a.Tracking, "country", r.Country)
	return a, nil
}

// RateError says that there is no rate for a country; the defect of a build
// that looks for it in the wrong table.
type RateError struct {
	Country string
	callers []uintptr
}

func newRateError(country string) *RateError {
	pcs := make([]uintptr, 32)
	return &RateError{country, pcs[:runtime.Callers(2, pcs)]}
}

func (e *RateError) Error() string { return "no shipping rate for " + e.Country }

// Callers is the stack of where the error began.
func (e *RateError) Callers() []uintptr { return e.callers }
