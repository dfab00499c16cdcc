package shop

import (
	"context"
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
