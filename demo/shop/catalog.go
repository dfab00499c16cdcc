package shop

import (
	"context"
	"slices"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

func euros(amount float64) Money { return Money{Currency: "EUR", Amount: amount} }

// products is what the shop sells: things for the sea.
var products = []Product{
	{"TIDE-CLOCK", "Tide clock, brass", euros(89)},
	{"BAROMETER", "Aneroid barometer", euros(124.5)},
	{"SEXTANT", "Sextant, three telescopes", euros(449)},
	{"CHART-NS", "Chart of the North Sea", euros(28.9)},
	{"LANTERN", "Storm lantern", euros(36)},
	{"OILSKIN", "Oilskin jacket", euros(159)},
	{"ROPE-20", "Rope, 20 m", euros(24.4)},
	{"BINOCULAR", "Binoculars 7×50", euros(219)},
}

// catalog knows the products.
type catalog struct{ env }

func newCatalog(e env) service {
	c := &catalog{e}
	return service{name: "ProductCatalogService", methods: []grpc.MethodDesc{
		listProducts.handle(e, c.list), getProduct.handle(e, c.get),
	}}
}

func (c *catalog) list(ctx context.Context, _ nothing) (productsAnswer, error) {
	if err := c.read(ctx); err != nil {
		return productsAnswer{}, err
	}
	return productsAnswer{Products: products}, nil
}

func (c *catalog) get(ctx context.Context, r productRequest) (Product, error) {
	if err := c.read(ctx); err != nil {
		return Product{}, err
	}
	i := slices.IndexFunc(products, func(p Product) bool { return p.ID == r.ID })
	if i < 0 {
		return Product{}, status.Errorf(codes.NotFound, "no product %q", r.ID)
	}
	return products[i], nil
}

// read is the look-up in the database, which the flag makes slow.
func (c *catalog) read(ctx context.Context) error {
	slow := c.flags.number(ctx, FlagCatalogLatency, 0)
	if slow = min(max(slow, 0), 10_000); slow > 0 {
		if err := work(ctx, time.Duration(slow)*time.Millisecond); err != nil {
			return err
		}
	}
	return work(ctx, 3*time.Millisecond)
}
