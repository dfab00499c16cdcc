package otlp_test

import (
	"context"
	"net"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/exporters/otlp/otlpmetric/otlpmetricgrpc"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracegrpc"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"

	"github.com/tidegate-io/tidegate/entity"
	"github.com/tidegate-io/tidegate/guardian"
	"github.com/tidegate-io/tidegate/internal/otlp"
	"github.com/tidegate-io/tidegate/internal/tsdb"
	"github.com/tidegate-io/tidegate/judge"
	"github.com/tidegate-io/tidegate/telemetry"
)

// quick shortens the slots so that a test need not wait for long.
func quick(c *otlp.Config) {
	c.Slot = 100 * time.Millisecond
	c.Grace = 200 * time.Millisecond
}

func (g *rig) serveGRPC(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- g.ServeGRPC(ctx, l) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("ServeGRPC: %v", err)
		}
	})
	return l.Addr().String()
}

func service(name string) *resource.Resource {
	return resource.NewSchemaless(
		attribute.String("service.name", name),
		attribute.String("service.version", "1.2"),
		attribute.String("deployment.environment.name", "staging"),
		attribute.String("host.name", "box"),
	)
}

func provider(t *testing.T, exp sdktrace.SpanExporter, name string) trace.Tracer {
	t.Helper()
	p := sdktrace.NewTracerProvider(sdktrace.WithSyncer(exp), sdktrace.WithResource(service(name)))
	t.Cleanup(func() { _ = p.Shutdown(context.Background()) })
	return p.Tracer("test")
}

// TestSDKExporters sends spans with the real SDK, a frontend over gRPC and a
// checkout over HTTP, and reads golden signals and the service graph back.
func TestSDKExporters(t *testing.T) {
	ctx := context.Background()
	entities := make(chan entity.Entity, 100)
	g := start(t, t.TempDir(), &memory{}, func(c *otlp.Config) {
		quick(c)
		c.Seen = func(e entity.Entity) { entities <- e }
	})
	web := httptest.NewServer(g.HTTPHandler())
	t.Cleanup(web.Close)

	grpcExp, err := otlptracegrpc.New(ctx, otlptracegrpc.WithEndpoint(g.serveGRPC(t)), otlptracegrpc.WithInsecure(), otlptracegrpc.WithCompressor("gzip"))
	if err != nil {
		t.Fatal(err)
	}
	httpExp, err := otlptracehttp.New(ctx, otlptracehttp.WithEndpointURL(web.URL+"/v1/traces"), otlptracehttp.WithCompression(otlptracehttp.GzipCompression))
	if err != nil {
		t.Fatal(err)
	}
	frontend, checkout := provider(t, grpcExp, "frontend"), provider(t, httpExp, "checkout")

	begin := time.Now()
	const calls, failures = 20, 3
	for i := range calls {
		ctx, client := frontend.Start(ctx, "POST /checkout", trace.WithSpanKind(trace.SpanKindClient))
		_, server := checkout.Start(ctx, "Checkout", trace.WithSpanKind(trace.SpanKindServer))
		if i < failures {
			server.SetStatus(codes.Error, "card declined")
		}
		server.End()
		client.End()
	}
	end := time.Now()

	sampler, err := tsdb.NewSampler(tsdb.SamplerConfig{Source: g.db, Resolution: 100 * time.Millisecond, Settled: g.Settled})
	if err != nil {
		t.Fatal(err)
	}
	read := func(in guardian.Indicator) judge.Sample {
		t.Helper()
		s, queries, err := sampler.Sample(ctx, guardian.Reading{
			Indicator: in, Target: entity.Ref{Service: "checkout", Environment: "staging"},
			Window: guardian.Window{From: begin, To: end}, Slice: 100 * time.Millisecond,
		})
		if err != nil || s.Err != "" {
			t.Fatalf("%v %s %v", err, s.Err, queries)
		}
		return s
	}
	var total, bad, observed float64
	for _, sl := range read(guardian.Indicator{ErrorRate: &guardian.SpanIndicator{}}).Slices {
		total, bad = total+sl.Total, bad+sl.Bad
	}
	if total != calls || bad != failures {
		t.Errorf("counted %v of %v failed, want %d of %d", bad, total, failures, calls)
	}
	for _, sl := range read(guardian.Indicator{Latency: &guardian.SpanIndicator{Operation: "Checkout"}}).Slices {
		if sl.Histogram != nil {
			observed += sl.Histogram.Count
		}
	}
	if observed != calls {
		t.Errorf("the latency has %v observations, want %d", observed, calls)
	}

	edge, err := g.db.Query(ctx, telemetry.MetricGraphRequests+`{client="frontend",server="checkout",deployment_environment_name="staging"}`, end.Add(time.Second))
	if err != nil || len(edge) != 1 || edge[0].Floats[0].F != calls {
		t.Errorf("edge frontend → checkout: %v %v, want %d calls", edge, err, calls)
	}
	failed, err := g.db.Query(ctx, telemetry.MetricGraphFailed, end.Add(time.Second))
	if err != nil || len(failed) != 1 || failed[0].Floats[0].F != failures {
		t.Errorf("failed calls: %v %v, want %d", failed, err, failures)
	}

	seen := map[string]bool{}
	for len(entities) > 0 {
		e := <-entities
		seen[e.ID] = true
		if e.Type == entity.TypeService && (e.Version != "1.2" || e.Tags["host.name"] != "box") {
			t.Errorf("entity %+v", e)
		}
	}
	for _, id := range []string{"SERVICE-frontend", "SERVICE-checkout", "HOST-box"} {
		if !seen[id] {
			t.Errorf("%s was not told of, only %v", id, seen)
		}
	}
	if s := g.Stats(); s.Spans != 2*calls || s.LastSpan.Before(begin) {
		t.Errorf("stats %+v", s)
	}
}

func TestSDKMetrics(t *testing.T) {
	ctx := context.Background()
	g := start(t, t.TempDir(), &memory{}, nil)
	exp, err := otlpmetricgrpc.New(ctx, otlpmetricgrpc.WithEndpoint(g.serveGRPC(t)), otlpmetricgrpc.WithInsecure())
	if err != nil {
		t.Fatal(err)
	}
	p := sdkmetric.NewMeterProvider(sdkmetric.WithResource(service("checkout")), sdkmetric.WithReader(sdkmetric.NewPeriodicReader(exp)))
	orders, err := p.Meter("test").Int64Counter("orders")
	if err != nil {
		t.Fatal(err)
	}
	orders.Add(ctx, 7)
	if err := p.Shutdown(ctx); err != nil { // flushes
		t.Fatal(err)
	}
	m, err := g.db.Query(ctx, `orders_total{service_name="checkout",service_version="1.2",deployment_environment_name="staging"}`, time.Now())
	if err != nil || len(m) != 1 || m[0].Floats[0].F != 7 {
		t.Fatalf("orders: %v %v", m, err)
	}
	if s := g.Stats(); s.Points != 1 {
		t.Errorf("stats %+v", s)
	}
	if !strings.Contains(m[0].Metric.String(), `job="checkout"`) {
		t.Errorf("labels %s", m[0].Metric)
	}
}
