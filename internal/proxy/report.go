package proxy

import (
	"context"
	"log/slog"
	"net/http"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
	"go.opentelemetry.io/otel/trace/noop"

	"github.com/tidegate-io/tidegate/delivery/traffic"
)

// reporter sends the spans of one side.
type reporter struct {
	tracer   trace.Tracer
	provider *sdktrace.TracerProvider
}

// Telemetry leaves soon, so that a verdict does not wait for it.
const (
	spanDelay = 500 * time.Millisecond
	spanQueue = 16384
	endWithin = 5 * time.Second
	scope     = "github.com/tidegate-io/tidegate/internal/proxy"
)

// receiver is where spans go, by OTLP over HTTP, and the token shown there.
type receiver struct{ address, token string }

func newReporter(d traffic.Route, side traffic.Side, otlp receiver, log *slog.Logger) *reporter {
	if otlp.address == "" {
		return &reporter{tracer: noop.NewTracerProvider().Tracer(scope)}
	}
	opts := []otlptracehttp.Option{otlptracehttp.WithEndpoint(otlp.address), otlptracehttp.WithInsecure()}
	if otlp.token != "" {
		opts = append(opts, otlptracehttp.WithHeaders(map[string]string{"Authorization": "Bearer " + otlp.token}))
	}
	exporter, err := otlptracehttp.New(context.Background(), opts...)
	if err != nil {
		log.Error("requests are not reported", "side", side.Name, "error", err)
		return &reporter{tracer: noop.NewTracerProvider().Tracer(scope)}
	}
	attrs := []attribute.KeyValue{attribute.String("service.name", d.Service), attribute.String("tidegate.route", d.Name), attribute.String("tidegate.side", side.Name)}
	if d.Environment != "" {
		attrs = append(attrs, attribute.String("deployment.environment.name", d.Environment))
	}
	if side.Version != "" {
		attrs = append(attrs, attribute.String("service.version", side.Version))
	}
	provider := sdktrace.NewTracerProvider(sdktrace.WithResource(resource.NewSchemaless(attrs...)),
		sdktrace.WithSampler(sdktrace.AlwaysSample()), // golden signals are of all requests
		sdktrace.WithBatcher(exporter, sdktrace.WithBatchTimeout(spanDelay), sdktrace.WithMaxQueueSize(spanQueue)))
	return &reporter{tracer: provider.Tracer(scope), provider: provider}
}

// start begins the span of a request, in the trace that the caller is in. It
// is named by the method alone, which is all that is known of a route here.
func (r *reporter) start(req *http.Request) (context.Context, trace.Span) {
	ctx := propagator.Extract(req.Context(), propagation.HeaderCarrier(req.Header))
	return r.tracer.Start(ctx, method(req), trace.WithSpanKind(trace.SpanKindServer), trace.WithAttributes(
		attribute.String("http.request.method", method(req)), attribute.String("url.path", path(req))))
}

// method is one of those that are known: callers can send any.
func method(req *http.Request) string {
	switch req.Method {
	case http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete,
		http.MethodOptions, http.MethodConnect, http.MethodTrace:
		return req.Method
	}
	return "HTTP"
}

// maxPath bounds what is kept of a path.
const maxPath = 256

func path(req *http.Request) string { return req.URL.Path[:min(len(req.URL.Path), maxPath)] }

func (r *reporter) close() {
	if r.provider == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), endWithin)
	defer cancel()
	_ = r.provider.Shutdown(ctx) // there is nobody to tell
}
