// Package shop is a small online shop to try Tidegate on: eight services in
// eight processes, with telemetry and feature flags as a real shop has them.
//
//	                        ┌→ cart
//	                        ├→ productcatalog
//	load → frontend ─→ checkout ─→ currency
//	         (HTTP)  (gRPC) ├→ shipping
//	                        ├→ payment
//	                        └→ email
//
// Nothing in it knows Tidegate. Traces, metrics and logs leave by OTLP from
// the OpenTelemetry SDK, with the instrumentation of contrib for HTTP and
// gRPC; flags come from the OpenFeature SDK with the flagd provider. The
// services talk gRPC with JSON messages, so that nothing has to be generated.
//
// Two flags make it misbehave, both read on every call:
//
//	paymentServiceFailure  share of charges that fail, 0 … 1, in package card
//	productCatalogLatency  milliseconds that every product look-up takes longer
//
// A build of shipping may have a defect, and the card network that payment
// calls, which is not the shop's, may be down.
//
// # Lifecycle
//
// [Run] serves one service until its context ends, then stops taking calls,
// lets those under way end and sends what telemetry is left. GET /readyz of
// the frontend answers 200 when it reaches every other service.
package shop

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/tidegate-io/tidegate/fault"
)

// The services, as service.name says them.
const (
	Frontend       = "frontend"
	Checkout       = "checkout"
	Cart           = "cart"
	ProductCatalog = "productcatalog"
	Currency       = "currency"
	Shipping       = "shipping"
	Payment        = "payment"
	Email          = "email"
)

// Services returns all services, the ones that are called first.
func Services() []string {
	return []string{ProductCatalog, Currency, Cart, Shipping, Payment, Email, Checkout, Frontend}
}

// Config configures one service.
type Config struct {
	// Listen is a host:port, or "fd:N" for a listening socket that was
	// inherited from the parent process. Required.
	Listen string
	// Peers are the addresses of the other services by name.
	Peers map[string]string
	// OTLP is the host:port of an OTLP/gRPC receiver; without it there is no
	// telemetry.
	OTLP string
	// Flagd is the host:port of a flagd evaluation service; without it all
	// flags have their defaults.
	Flagd string
	// Environment and Version are resource attributes; default dev and 1.0.0.
	Environment, Version string
	// Bank is the URL of the card network that payment calls; without it
	// payment only takes the time that one would.
	Bank string
	// Defect is a mistake of the build: the share of shipping quotes that fail.
	Defect float64
	// Log receives the process's own log; optional.
	Log slog.Handler
	// Listening is told the address once it is known. Optional.
	Listening func(net.Addr)
}

// stopTimeout bounds each step of stopping.
const stopTimeout = 3 * time.Second

// Run serves one of Services until ctx ends.
func Run(ctx context.Context, service string, cfg Config) (err error) {
	if !slices.Contains(Services(), service) {
		return fault.Invalid("shop: there is no service %q; there are %s", service, strings.Join(Services(), ", "))
	}
	if cfg.Environment == "" {
		cfg.Environment = "dev"
	}
	if cfg.Version == "" {
		cfg.Version = "1.0.0"
	}
	if cfg.Log == nil {
		cfg.Log = slog.DiscardHandler
	}
	ln, err := listen(cfg.Listen)
	if err != nil {
		return err
	}
	defer ln.Close()
	tel, err := startTelemetry(ctx, service, cfg)
	if err != nil {
		return err
	}
	defer tel.stop()
	flags := startFlags(ctx, service, cfg.Flagd, tel)
	defer flags.stop()
	peers, err := dial(cfg.Peers, tel)
	if err != nil {
		return err
	}
	defer peers.close()
	if cfg.Listening != nil {
		cfg.Listening(ln.Addr())
	}

	e := env{telemetry: tel, flags: flags, peers: peers, cfg: cfg}
	tel.log.InfoContext(ctx, "serving", "address", ln.Addr().String())
	if service == Frontend {
		return newFrontend(e).serve(ctx, ln)
	}
	return serveGRPC(ctx, ln, e, backends[service](e))
}

// env is what every service has.
type env struct {
	*telemetry
	flags *flags
	peers peers
	cfg   Config
}

// backends builds the gRPC services.
var backends = map[string]func(env) service{
	Cart:           newCart,
	Checkout:       newCheckout,
	Currency:       newCurrency,
	Email:          newEmail,
	Payment:        newPayment,
	ProductCatalog: newCatalog,
	Shipping:       newShipping,
}

func listen(where string) (net.Listener, error) {
	fd, inherited := strings.CutPrefix(where, "fd:")
	if !inherited {
		return net.Listen("tcp", where)
	}
	n, err := strconv.ParseUint(fd, 10, 16)
	if err != nil || n < 3 {
		return nil, fault.Invalid("shop: listen %q: expected fd:3 or above", where)
	}
	f := os.NewFile(uintptr(n), where)
	defer f.Close() // FileListener works on a duplicate
	ln, err := net.FileListener(f)
	if err != nil {
		return nil, fmt.Errorf("shop: inherited socket %s: %w", where, err)
	}
	return ln, nil
}
