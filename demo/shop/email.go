package shop

import (
	"context"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// email confirms orders. It sends nothing: there is no mail server in a demo.
type email struct{ env }

func newEmail(e env) service {
	m := &email{e}
	return service{name: "EmailService", methods: []grpc.MethodDesc{confirmOrder.handle(e, m.confirm)}}
}

func (m *email) confirm(ctx context.Context, c confirmation) (nothing, error) {
	if err := work(ctx, 7*time.Millisecond); err != nil {
		return nothing{}, err
	}
	if !strings.Contains(c.Email, "@") {
		return nothing{}, status.Error(codes.InvalidArgument, "the customer's address is not an email address")
	}
	m.log.InfoContext(ctx, "order confirmed", "order", c.Receipt.OrderID)
	return nothing{}, nil
}
