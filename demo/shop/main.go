package shop

import (
	"context"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"strings"

	"github.com/tidegate-io/tidegate/demo/child"
	"github.com/tidegate-io/tidegate/fault"
)

// Main runs one service as a process of its own, which also ends when its
// parent does:
//
//	SERVICE -listen 127.0.0.1:8080 -peer cart=127.0.0.1:8081 -otlp … -flagd …
func Main(ctx context.Context, args []string, log io.Writer) error {
	if len(args) == 0 {
		return fault.Invalid("which service? one of %s", strings.Join(Services(), ", "))
	}
	cfg := Config{Peers: map[string]string{}, Log: slog.NewTextHandler(log, nil)}
	fs := flag.NewFlagSet(args[0], flag.ContinueOnError)
	fs.SetOutput(log)
	fs.StringVar(&cfg.Listen, "listen", "127.0.0.1:0", "address, or fd:N for an inherited socket")
	fs.StringVar(&cfg.OTLP, "otlp", "", "address of an OTLP/gRPC receiver")
	fs.StringVar(&cfg.Flagd, "flagd", "", "address of a flagd evaluation service")
	fs.StringVar(&cfg.Environment, "environment", "", "deployment.environment.name")
	fs.StringVar(&cfg.Version, "release", "", "service.version")
	fs.StringVar(&cfg.Bank, "bank", "", "URL of the card network that payment calls")
	fs.Float64Var(&cfg.Defect, "defect", 0, "share of shipping quotes that fail in this build")
	fs.Func("peer", "address of another service as NAME=HOST:PORT; may be repeated", func(s string) error {
		name, address, ok := strings.Cut(s, "=")
		if !ok {
			return fmt.Errorf("expected NAME=HOST:PORT")
		}
		cfg.Peers[name] = address
		return nil
	})
	if err := fs.Parse(args[1:]); err != nil {
		return fault.Invalid("%w", err)
	}
	ctx, cancel := child.Lifeline(ctx)
	defer cancel()
	return Run(ctx, args[0], cfg)
}

// Calls says which services a service calls, so which peers it needs.
func Calls(service string) []string {
	switch service {
	case Checkout:
		return []string{Cart, Currency, Email, Payment, ProductCatalog, Shipping}
	case Frontend:
		return []string{Cart, Checkout, ProductCatalog}
	}
	return nil
}
