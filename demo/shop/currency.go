package shop

import (
	"context"
	"math"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// perEuro holds exchange rates.
var perEuro = map[string]float64{"EUR": 1, "USD": 1.09, "GBP": 0.84, "CHF": 0.95, "SEK": 11.3, "JPY": 171}

// currency converts money.
type currency struct{ env }

func newCurrency(e env) service {
	c := &currency{e}
	return service{name: "CurrencyService", methods: []grpc.MethodDesc{convert.handle(e, c.convert)}}
}

func (c *currency) convert(ctx context.Context, r convertRequest) (Money, error) {
	if err := work(ctx, 1500*time.Microsecond); err != nil {
		return Money{}, err
	}
	from, to := perEuro[r.From.Currency], perEuro[r.To]
	if from == 0 || to == 0 {
		return Money{}, status.Errorf(codes.InvalidArgument, "no rate from %q to %q", r.From.Currency, r.To)
	}
	return Money{Currency: r.To, Amount: math.Round(r.From.Amount/from*to*100) / 100}, nil
}
