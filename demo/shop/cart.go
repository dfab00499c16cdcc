package shop

import (
	"context"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// Limits of what a customer may have in the cart, and of carts kept.
const (
	maxItems    = 50
	maxQuantity = 1000
	maxCarts    = 100_000
)

// cart keeps the customers' carts in memory.
type cart struct {
	env
	mu    sync.Mutex
	items map[string][]Item
}

func newCart(e env) service {
	c := &cart{env: e, items: map[string][]Item{}}
	return service{name: "CartService", methods: []grpc.MethodDesc{
		addItem.handle(e, c.add), getCart.handle(e, c.get), emptyCart.handle(e, c.empty),
	}}
}

func (c *cart) add(ctx context.Context, r addRequest) (nothing, error) {
	if err := work(ctx, 2*time.Millisecond); err != nil {
		return nothing{}, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	have, known := c.items[r.User]
	switch {
	case r.User == "":
		return nothing{}, status.Error(codes.InvalidArgument, "user is required")
	case !known && len(c.items) >= maxCarts:
		return nothing{}, status.Error(codes.ResourceExhausted, "there are too many carts")
	case len(have)+len(r.Items) > maxItems:
		return nothing{}, status.Errorf(codes.InvalidArgument, "at most %d items fit into a cart", maxItems)
	}
	for _, i := range r.Items {
		if i.Quantity < 1 || i.Quantity > maxQuantity {
			return nothing{}, status.Errorf(codes.InvalidArgument, "quantity %d of %s is not between 1 and %d", i.Quantity, i.Product, maxQuantity)
		}
	}
	c.items[r.User] = append(have, r.Items...)
	return nothing{}, nil
}

func (c *cart) get(ctx context.Context, r userRequest) (cartAnswer, error) {
	if err := work(ctx, 2*time.Millisecond); err != nil {
		return cartAnswer{}, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return cartAnswer{Items: append([]Item{}, c.items[r.User]...)}, nil
}

func (c *cart) empty(ctx context.Context, r userRequest) (nothing, error) {
	if err := work(ctx, time.Millisecond); err != nil {
		return nothing{}, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.items, r.User)
	return nothing{}, nil
}
