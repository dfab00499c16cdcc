package shop

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"math/rand/v2"
	"os"
	"strings"
	"time"

	"go.opentelemetry.io/contrib/bridges/otelslog"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/baggage"
	"go.opentelemetry.io/otel/exporters/otlp/otlplog/otlploggrpc"
	"go.opentelemetry.io/otel/exporters/otlp/otlpmetric/otlpmetricgrpc"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracegrpc"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/propagation"
	sdklog "go.opentelemetry.io/otel/sdk/log"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
)

// telemetry is the OpenTelemetry SDK of one process, without globals.
type telemetry struct {
	tracers    *sdktrace.TracerProvider
	meters     *sdkmetric.MeterProvider
	logs       *sdklog.LoggerProvider
	propagator propagation.TextMapPropagator
	meter      metric.Meter
	log        *slog.Logger
}

// Telemetry leaves soon, so that a verdict does not wait for it.
const (
	spanDelay   = 300 * time.Millisecond
	metricEvery = 2 * time.Second
)

const scope = "github.com/tidegate-io/tidegate/demo/shop"

func startTelemetry(ctx context.Context, service string, cfg Config) (*telemetry, error) {
	res, err := resource.New(ctx, resource.WithTelemetrySDK(), resource.WithHost(), resource.WithProcessPID(), resource.WithAttributes(
		attribute.String("service.name", service),
		attribute.String("service.version", cfg.Version),
		attribute.String("service.namespace", "shop"),
		attribute.String("service.instance.id", fmt.Sprintf("%s-%d", service, os.Getpid())),
		attribute.String("deployment.environment.name", cfg.Environment)))
	if err != nil && res == nil {
		return nil, fmt.Errorf("shop: resource: %w", err)
	}
	t := &telemetry{propagator: propagation.NewCompositeTextMapPropagator(propagation.TraceContext{}, propagation.Baggage{})}
	spans := []sdktrace.TracerProviderOption{sdktrace.WithResource(res), sdktrace.WithSpanProcessor(runAttributes{})}
	metrics := []sdkmetric.Option{sdkmetric.WithResource(res)}
	logs := []sdklog.LoggerProviderOption{sdklog.WithResource(res)}
	if cfg.OTLP != "" {
		traceExp, err1 := otlptracegrpc.New(ctx, otlptracegrpc.WithEndpoint(cfg.OTLP), otlptracegrpc.WithInsecure())
		metricExp, err2 := otlpmetricgrpc.New(ctx, otlpmetricgrpc.WithEndpoint(cfg.OTLP), otlpmetricgrpc.WithInsecure())
		logExp, err3 := otlploggrpc.New(ctx, otlploggrpc.WithEndpoint(cfg.OTLP), otlploggrpc.WithInsecure())
		if err := errors.Join(err1, err2, err3); err != nil {
			return nil, fmt.Errorf("shop: OTLP exporters: %w", err)
		}
		spans = append(spans, sdktrace.WithBatcher(traceExp, sdktrace.WithBatchTimeout(spanDelay), sdktrace.WithMaxQueueSize(16384)))
		metrics = append(metrics, sdkmetric.WithReader(sdkmetric.NewPeriodicReader(metricExp, sdkmetric.WithInterval(metricEvery))))
		logs = append(logs, sdklog.WithProcessor(sdklog.NewBatchProcessor(logExp, sdklog.WithExportInterval(spanDelay))))
	}
	t.tracers = sdktrace.NewTracerProvider(spans...)
	t.meters = sdkmetric.NewMeterProvider(metrics...)
	t.logs = sdklog.NewLoggerProvider(logs...)
	t.meter = t.meters.Meter(scope)
	t.log = slog.New(slog.NewMultiHandler(cfg.Log, otelslog.NewHandler(scope, otelslog.WithLoggerProvider(t.logs))))
	return t, nil
}

// stop sends what is left. There is nobody to tell about a failure.
func (t *telemetry) stop() {
	ctx, cancel := context.WithTimeout(context.Background(), stopTimeout)
	defer cancel()
	_ = t.tracers.Shutdown(ctx)
	_ = t.logs.Shutdown(ctx)
	_ = t.meters.Shutdown(ctx)
}

// counter returns a counter whose name is known to be right.
func (t *telemetry) counter(name, description string) metric.Float64Counter {
	c, err := t.meter.Float64Counter(name, metric.WithDescription(description))
	if err != nil {
		panic(err) // a name that OpenTelemetry refuses is a defect
	}
	return c
}

// runAttributes copies the load test's identity from the baggage to every
// span, so that the traces of a run can be found.
type runAttributes struct{}

func (runAttributes) OnStart(ctx context.Context, s sdktrace.ReadWriteSpan) {
	for _, m := range baggage.FromContext(ctx).Members() {
		if strings.HasPrefix(m.Key(), "tidegate.") {
			s.SetAttributes(attribute.String(m.Key(), m.Value()))
		}
	}
}
func (runAttributes) OnEnd(sdktrace.ReadOnlySpan)      {}
func (runAttributes) Shutdown(context.Context) error   { return nil }
func (runAttributes) ForceFlush(context.Context) error { return nil }

// work takes about as long as median, as work on a computer does: most of the
// time a little less or more, now and then twice as long, never beyond three
// times. It returns early with the error of ctx.
func work(ctx context.Context, median time.Duration) error {
	// Log-normal with σ = 0.35.
	factor := min(max(math.Exp(0.35*rand.NormFloat64()), 0.5), 3)
	return pause(ctx, time.Duration(float64(median)*factor))
}

func pause(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}

// id returns a random id of 12 hexadecimal digits.
func id() string { return fmt.Sprintf("%012x", rand.Uint64()>>16) }
