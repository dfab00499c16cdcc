package shop

import (
	"context"
	"math"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/trace"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// checkout turns a cart into an order: it asks everybody else.
type checkout struct {
	env
	orders  metric.Float64Counter
	revenue metric.Float64Counter
}

func newCheckout(e env) service {
	c := &checkout{
		env:    e,
		orders: e.counter("app.orders", "Orders placed."),
		// No unit, so that the series is named app_order_value_total.
		revenue: e.counter("app.order.value", "Value of the orders placed, in euros."),
	}
	return service{name: "CheckoutService", methods: []grpc.MethodDesc{placeOrder.handle(e, c.place)}}
}

func (c *checkout) place(ctx context.Context, o Order) (Receipt, error) {
	trace.SpanFromContext(ctx).SetAttributes(attribute.String("app.user.id", o.User), attribute.String("app.user.currency", o.Currency))
	if err := work(ctx, 2*time.Millisecond); err != nil {
		return Receipt{}, err
	}
	cart, err := getCart.call(ctx, c.peers, userRequest{o.User})
	if err != nil {
		return Receipt{}, failed("the cart could not be read", err)
	}
	if len(cart.Items) == 0 {
		return Receipt{}, status.Error(codes.FailedPrecondition, "the cart is empty")
	}
	total, err := c.total(ctx, o, cart.Items)
	if err != nil {
		return Receipt{}, err
	}
	paid, err := charge.call(ctx, c.peers, chargeRequest{Amount: total, Card: o.Card, Loyalty: o.Loyalty})
	if err != nil {
		return Receipt{}, failed("the card could not be charged", err)
	}
	shipped, err := shipOrder.call(ctx, c.peers, shipRequest{o.Country, cart.Items})
	if err != nil {
		return Receipt{}, failed("the order could not be shipped", err)
	}
	r := Receipt{OrderID: id(), Transaction: paid.Transaction, Tracking: shipped.Tracking, Total: total}
	c.finish(ctx, o, r)
	return r, nil
}

// total is the price of everything in the customer's currency.
func (c *checkout) total(ctx context.Context, o Order, items []Item) (Money, error) {
	sum := Money{Currency: o.Currency}
	add := func(m Money, times int) error {
		m, err := convert.call(ctx, c.peers, convertRequest{m, o.Currency})
		if err != nil {
			return failed("the price could not be converted", err)
		}
		sum.Amount += m.Amount * float64(times)
		return nil
	}
	for _, i := range items {
		p, err := getProduct.call(ctx, c.peers, productRequest{i.Product})
		if err != nil {
			return Money{}, failed("the product could not be looked up", err)
		}
		if err := add(p.Price, i.Quantity); err != nil {
			return Money{}, err
		}
	}
	quote, err := getQuote.call(ctx, c.peers, shipRequest{o.Country, items})
	if err != nil {
		return Money{}, failed("shipping could not be quoted", err)
	}
	err = add(quote, 1)
	sum.Amount = math.Round(sum.Amount*100) / 100
	return sum, err
}

// finish does what is left when the order stands: none of it may fail it.
func (c *checkout) finish(ctx context.Context, o Order, r Receipt) {
	if _, err := emptyCart.call(ctx, c.peers, userRequest{o.User}); err != nil {
		c.log.WarnContext(ctx, "the cart was not emptied", "error", err.Error())
	}
	if _, err := confirmOrder.call(ctx, c.peers, confirmation{o.Email, r}); err != nil {
		c.log.WarnContext(ctx, "the order was not confirmed", "order", r.OrderID, "error", err.Error())
	}
	c.orders.Add(ctx, 1)
	c.revenue.Add(ctx, r.Total.Amount/perEuro[r.Total.Currency])
	c.log.InfoContext(ctx, "order placed", "order", r.OrderID, "total", r.Total.Amount, "currency", r.Total.Currency)
}

// failed says what a failed call meant; the code stays.
func failed(what string, err error) error {
	s := status.Convert(err)
	return status.Errorf(s.Code(), "%s: %s", what, s.Message())
}
