package shop

import (
	"context"
	"errors"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/trace"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/tidegate-io/tidegate/demo/shop/card"
)

// payment charges credit cards.
type payment struct {
	env
	processor *card.Processor
	charges   metric.Float64Counter
}

func newPayment(e env) service {
	p := &payment{
		env:     e,
		charges: e.counter("app.payment.transactions", "Charges that succeeded."),
		processor: &card.Processor{
			Authorize:   func(ctx context.Context) error { return work(ctx, 22*time.Millisecond) },
			FailureRate: func(ctx context.Context) float64 { return e.flags.number(ctx, FlagPaymentFailure, 0) },
			Now:         time.Now,
		},
	}
	if e.cfg.Bank != "" {
		p.processor.Authorize = newBankClient(e.cfg.Bank, e.telemetry).authorize
	}
	return service{name: "PaymentService", methods: []grpc.MethodDesc{charge.handle(e, p.charge)}}
}

func (p *payment) charge(ctx context.Context, r chargeRequest) (chargeAnswer, error) {
	trace.SpanFromContext(ctx).SetAttributes(
		attribute.Float64("app.payment.amount", r.Amount.Amount),
		attribute.String("app.payment.currency", r.Amount.Currency),
		attribute.String("app.loyalty.level", r.Loyalty))
	tx, err := p.processor.Charge(ctx, card.Request{
		Number: r.Card.Number, ExpiryYear: r.Card.ExpiryYear, ExpiryMonth: r.Card.ExpiryMonth,
		Amount: r.Amount.Amount, Currency: r.Amount.Currency, Loyalty: r.Loyalty,
	})
	var declined *card.DeclinedError
	if errors.As(err, &declined) {
		return chargeAnswer{}, status.Error(codes.FailedPrecondition, err.Error())
	}
	if err != nil {
		return chargeAnswer{}, err
	}
	p.charges.Add(ctx, 1, metric.WithAttributes(attribute.String("currency", r.Amount.Currency)))
	p.log.InfoContext(ctx, "charge succeeded", "transaction", tx, "amount", r.Amount.Amount, "currency", r.Amount.Currency)
	return chargeAnswer{Transaction: tx}, nil
}
