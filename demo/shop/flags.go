package shop

import (
	"context"
	"net"
	"strconv"
	"time"

	flagd "github.com/open-feature/go-sdk-contrib/providers/flagd/pkg"
	"github.com/open-feature/go-sdk/openfeature"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/trace"
)

// The flags, and what they are worth when nobody answers.
const (
	// FlagPaymentFailure is the share of charges that fail.
	FlagPaymentFailure = "paymentServiceFailure"
	// FlagCatalogLatency is how many milliseconds a look-up takes longer.
	FlagCatalogLatency = "productCatalogLatency"
)

// flags asks an OpenFeature client. Every evaluation is an event on the
// current span (feature_flag.evaluation, as the semantic conventions say).
type flags struct {
	client *openfeature.Client
	stop   func()
}

// providerWait is how long a start waits for the flag service. Without it the
// defaults are in force until the provider has connected.
const providerWait = 5 * time.Second

func startFlags(ctx context.Context, service, address string, tel *telemetry) *flags {
	f := &flags{client: openfeature.NewClient(service), stop: func() {}}
	if address == "" {
		return f
	}
	host, portText, err := net.SplitHostPort(address)
	port, perr := strconv.ParseUint(portText, 10, 16)
	if err != nil || perr != nil {
		tel.log.ErrorContext(ctx, "flags keep their defaults: not an address", "flagd", address)
		return f
	}
	// No cache: a change is in force with the next request.
	provider, err := flagd.NewProvider(flagd.WithRPCResolver(), flagd.WithHost(host), flagd.WithPort(uint16(port)), flagd.WithoutCache())
	if err != nil {
		tel.log.ErrorContext(ctx, "flags keep their defaults", "error", err.Error())
		return f
	}
	wait, cancel := context.WithTimeout(ctx, providerWait)
	defer cancel()
	if err := openfeature.SetNamedProviderWithContextAndWait(wait, service, provider); err != nil {
		tel.log.WarnContext(ctx, "flags keep their defaults until the flag service answers", "error", err.Error())
	}
	f.stop = provider.Shutdown
	return f
}

// number evaluates a flag with a number as value.
func (f *flags) number(ctx context.Context, key string, standard float64) float64 {
	d, err := f.client.FloatValueDetails(ctx, key, standard, openfeature.NewTargetlessEvaluationContext(nil))
	attrs := []attribute.KeyValue{
		attribute.String("feature_flag.key", key),
		attribute.String("feature_flag.provider.name", "flagd"),
		attribute.String("feature_flag.result.variant", d.Variant),
		attribute.Float64("feature_flag.result.value", d.Value),
		attribute.String("feature_flag.result.reason", string(d.Reason)),
	}
	if err != nil {
		attrs = append(attrs, attribute.String("error.type", string(d.ErrorCode)))
	}
	trace.SpanFromContext(ctx).AddEvent("feature_flag.evaluation", trace.WithAttributes(attrs...))
	return d.Value
}
