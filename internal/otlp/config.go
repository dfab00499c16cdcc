package otlp

import (
	"context"
	"log/slog"
	"time"

	"github.com/prometheus/prometheus/storage"

	"github.com/tidegate-io/tidegate/entity"
	"github.com/tidegate-io/tidegate/fault"
	"github.com/tidegate-io/tidegate/internal/otlp/wire"
)

// TraceStore keeps trace requests.
type TraceStore interface {
	// AppendTraces stores the request that t was parsed from; when it returns
	// nil the request survives the end of the process. It does not keep t. When
	// it has no room it returns a fault of KindUnavailable.
	AppendTraces(ctx context.Context, arrival time.Time, t *wire.Traces) error
	// Replay visits the stored requests that arrived at since or later, with
	// the arrival they were stored with, in order of arrival or nearly so.
	Replay(ctx context.Context, since time.Time, visit func(arrival time.Time, req []byte) error) error
}

// LogStore keeps log requests, on the terms of TraceStore.
type LogStore interface {
	// Append stores a raw ExportLogsServiceRequest and does not keep it.
	Append(ctx context.Context, arrival time.Time, req []byte) error
}

// Metrics is the store of metrics: a Prometheus TSDB.
type Metrics interface {
	Appender(ctx context.Context) storage.AppenderV2
	Querier(mint, maxt int64) (storage.Querier, error)
}

// Config of a Receiver.
type Config struct {
	// Traces, Logs and Metrics are required.
	Traces  TraceStore
	Logs    LogStore
	Metrics Metrics

	// Slot is the resolution of span metrics; default 2 s. It must not change
	// over the life of a metrics store.
	Slot time.Duration
	// Grace is how long after the end of a slot its spans may arrive and still
	// be counted in it; default 4 s. Counts show in the store that much later.
	Grace time.Duration
	// PairWithin is how long one end of a call waits for the other, to make an
	// edge of the service graph; default 15 s.
	PairWithin time.Duration
	Limits     Limits

	// Tokens of which senders must show one; empty needs none.
	Tokens []string
	// Seen is called for services, processes and hosts when telemetry of them
	// is first received, and again from time to time. It must not block and
	// must be safe for concurrent use. Optional.
	Seen func(entity.Entity)
	// Logger and Clock are optional.
	Logger *slog.Logger
	Clock  func() time.Time
}

// Limits bound what senders can make us hold. Zero fields have defaults.
type Limits struct {
	// Request is the largest request, in bytes, after decompression; 16 MiB.
	Request int64
	// InFlight is the sum of all requests being worked on; 128 MiB. Beyond it
	// requests are refused with "try again".
	InFlight int64
	// Services bounds the combinations of service, environment and version; 2,000.
	Services int
	// SeriesPerService bounds operations × kinds × statuses of one of these; 1,000.
	SeriesPerService int
	// Series bounds them in all, with the edges of the service graph; 20,000.
	Series int
	// Pairs bounds the ends of calls that wait for the other end; 100,000. From
	// half of it on, a few are forgotten early.
	Pairs int
}

func (c *Config) defaults() error {
	switch {
	case c.Traces == nil:
		return fault.InvalidField("traces", "the OTLP receiver needs a trace store")
	case c.Logs == nil:
		return fault.InvalidField("logs", "the OTLP receiver needs a log store")
	case c.Metrics == nil:
		return fault.InvalidField("metrics", "the OTLP receiver needs a metrics store")
	case c.Slot < 0 || c.Slot%time.Millisecond != 0 || c.Grace < 0 || c.PairWithin < 0:
		return fault.Invalid("OTLP receiver: slot (whole milliseconds), grace and pairWithin cannot be negative")
	}
	orDefault(&c.Slot, 2*time.Second)
	orDefault(&c.Grace, 4*time.Second)
	orDefault(&c.PairWithin, 15*time.Second)
	orDefault(&c.Limits.Request, 16<<20)
	orDefault(&c.Limits.InFlight, 128<<20)
	orDefault(&c.Limits.Services, 2_000)
	orDefault(&c.Limits.SeriesPerService, 1_000)
	orDefault(&c.Limits.Series, 20_000)
	orDefault(&c.Limits.Pairs, 100_000)
	if c.Seen == nil {
		c.Seen = func(entity.Entity) {}
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if c.Clock == nil {
		c.Clock = time.Now
	}
	return nil
}

func orDefault[T ~int | ~int64](v *T, d T) {
	if *v <= 0 {
		*v = d
	}
}
