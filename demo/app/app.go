// Package app is the sample service of the delivery stories: one operation,
// whose builds differ in how often it fails and how long it takes. It reports
// itself with OpenTelemetry like any service.
package app

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"

	"github.com/tidegate-io/tidegate/demo/child"
)

// Config is one running build.
type Config struct {
	Listen      string // host:port, or fd:N for an inherited socket
	OTLP        string // host:port of OTLP over HTTP; empty reports nothing
	Service     string
	Release     string
	Environment string
	// Failures is the share of requests that answer 500.
	Failures float64
	// Latency is the median time of a request.
	Latency time.Duration
}

// Main runs the service until ctx ends. What is not said by a flag is taken
// from the environment, as deployers set it: LISTEN, OTLP, SERVICE, RELEASE,
// ENVIRONMENT, FAILURES, LATENCY.
func Main(ctx context.Context, args []string, stderr io.Writer) error {
	ctx, cancel := child.Lifeline(ctx)
	defer cancel()
	cfg, err := parse(args, stderr)
	if errors.Is(err, flag.ErrHelp) {
		return nil
	}
	if err != nil {
		return err
	}
	return Run(ctx, cfg, stderr)
}

func parse(args []string, stderr io.Writer) (Config, error) {
	cfg := Config{Latency: 10 * time.Millisecond}
	fs := flag.NewFlagSet("app", flag.ContinueOnError)
	fs.SetOutput(stderr)
	fs.StringVar(&cfg.Listen, "listen", "127.0.0.1:0", "address, or fd:N")
	fs.StringVar(&cfg.OTLP, "otlp", "", "OTLP over HTTP, host:port")
	fs.StringVar(&cfg.Service, "service", "app", "service.name")
	fs.StringVar(&cfg.Release, "release", "dev", "service.version")
	fs.StringVar(&cfg.Environment, "environment", "dev", "deployment.environment.name")
	fs.Float64Var(&cfg.Failures, "failures", 0, "share of requests that fail")
	fs.DurationVar(&cfg.Latency, "latency", cfg.Latency, "median time of a request")
	var bad error
	fs.VisitAll(func(f *flag.Flag) {
		if v := os.Getenv(strings.ToUpper(f.Name)); v != "" && bad == nil {
			if err := fs.Set(f.Name, v); err != nil {
				bad = fmt.Errorf("%s=%q: %w", strings.ToUpper(f.Name), v, err)
			}
		}
	})
	if bad != nil {
		return cfg, bad
	}
	return cfg, fs.Parse(args)
}

const (
	scope     = "github.com/tidegate-io/tidegate/demo/app"
	spanDelay = 300 * time.Millisecond
	grace     = 5 * time.Second
)

// Run serves until ctx ends, then answers what is under way.
func Run(ctx context.Context, cfg Config, log io.Writer) error {
	l, err := listen(cfg.Listen)
	if err != nil {
		return err
	}
	provider, err := telemetry(ctx, cfg)
	if err != nil {
		return err
	}
	s := &service{cfg: cfg, tracer: provider.Tracer(scope)}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "ok") })
	mux.HandleFunc("/", s.serve)
	srv := &http.Server{Handler: mux, ReadHeaderTimeout: 10 * time.Second}
	fmt.Fprintf(log, "%s %s in %s at http://%s\n", cfg.Service, cfg.Release, cfg.Environment, l.Addr())
	done := make(chan error, 1)
	go func() { done <- srv.Serve(l) }()
	select {
	case err = <-done:
	case <-ctx.Done():
	}
	stop, cancel := context.WithTimeout(context.WithoutCancel(ctx), grace)
	defer cancel()
	_ = srv.Shutdown(stop)
	_ = provider.Shutdown(stop)
	return err
}

func listen(address string) (net.Listener, error) {
	fd, inherited := strings.CutPrefix(address, "fd:")
	if !inherited {
		return net.Listen("tcp", address)
	}
	n, err := strconv.Atoi(fd)
	if err != nil {
		return nil, fmt.Errorf("listen: %q: expected fd:3", address)
	}
	f := os.NewFile(uintptr(n), "listener")
	defer f.Close()
	return net.FileListener(f)
}

func telemetry(ctx context.Context, cfg Config) (*sdktrace.TracerProvider, error) {
	opts := []sdktrace.TracerProviderOption{sdktrace.WithResource(resource.NewSchemaless(
		attribute.String("service.name", cfg.Service), attribute.String("service.version", cfg.Release),
		attribute.String("deployment.environment.name", cfg.Environment),
		attribute.String("service.instance.id", fmt.Sprintf("%s-%d", cfg.Service, os.Getpid()))))}
	if cfg.OTLP != "" {
		exporter, err := otlptracehttp.New(ctx, otlptracehttp.WithEndpoint(cfg.OTLP), otlptracehttp.WithInsecure())
		if err != nil {
			return nil, err
		}
		opts = append(opts, sdktrace.WithBatcher(exporter, sdktrace.WithBatchTimeout(spanDelay), sdktrace.WithMaxQueueSize(16384)))
	}
	return sdktrace.NewTracerProvider(opts...), nil
}

type service struct {
	cfg    Config
	tracer trace.Tracer
}

// errHalfDone is what bad builds fail with.
var errHalfDone = errors.New("order is only half done: inventory said no")

func (s *service) serve(w http.ResponseWriter, r *http.Request) {
	ctx := propagation.TraceContext{}.Extract(r.Context(), propagation.HeaderCarrier(r.Header))
	_, span := s.tracer.Start(ctx, "PlaceOrder", trace.WithSpanKind(trace.SpanKindServer),
		trace.WithAttributes(attribute.String("http.request.method", r.Method)))
	defer span.End()
	// Log-normal with σ = 0.35: now and then twice as long as usual.
	time.Sleep(time.Duration(float64(s.cfg.Latency) * min(math.Exp(0.35*rand.NormFloat64()), 3)))
	if rand.Float64() < s.cfg.Failures {
		span.RecordError(errHalfDone, trace.WithStackTrace(true))
		span.SetStatus(codes.Error, errHalfDone.Error())
		http.Error(w, errHalfDone.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("X-Release", s.cfg.Release)
	fmt.Fprintln(w, "ordered")
}
