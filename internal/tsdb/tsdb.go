// Package tsdb is the embedded store of metrics: a Prometheus TSDB with the
// PromQL engine over it, in this process.
//
// What a Commit returned without an error for is in the write-ahead log and
// survives the death of the process; the power cut that takes the machine's
// page cache with it may cost the last moments. Samples older than the
// retention, and the oldest blocks beyond the size limit, are deleted by the
// TSDB itself in the background, from Open to Close.
//
//	db, err := tsdb.Open(tsdb.Config{Dir: "data/metrics"})
//	defer db.Close()
//	app := db.Appender(ctx)               // Append…, then Commit
//	series, err := db.QueryRange(ctx, `sum(rate(x[1m]))`, from, to, step)
//	mux.Handle("/api/v1/", db.HTTPHandler(…)) // what Grafana speaks
//
// A [Sampler] cuts a window into slices for the judge. It reads raw samples
// and differences them itself, because increase() extrapolates: a test of one
// minute must count exactly the requests it made.
package tsdb

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/promql/parser"
	"github.com/prometheus/prometheus/storage"
	promtsdb "github.com/prometheus/prometheus/tsdb"
	"github.com/prometheus/prometheus/util/compression"

	"github.com/tidegate-io/tidegate/fault"
)

// Config of an embedded store.
type Config struct {
	// Dir is created when missing. Required; one process at a time.
	Dir string
	// MaxAge deletes what is older; default 15 days.
	MaxAge time.Duration
	// MaxBytes deletes the oldest blocks beyond this size; default 0, no limit.
	MaxBytes int64
	// OutOfOrder is how far behind the newest sample of the store a sample may
	// be; senders have their own clocks. Default 30 minutes.
	OutOfOrder time.Duration
	// MaxSeries bounds the series in memory, those of the last hours; samples
	// of further ones are refused with a fault of KindUnavailable. Default 500,000.
	MaxSeries int
	// MaxSeriesPerService bounds those of one service (label service_name),
	// span metrics aside; default a fifth of MaxSeries.
	MaxSeriesPerService int
	// MaxSamples that one query may hold in memory; default 20 million.
	MaxSamples int
	// Timeout of a query; default 30 s.
	Timeout time.Duration
	// Logger is optional.
	Logger *slog.Logger
}

func (c *Config) defaults() error {
	if c.Dir == "" {
		return fault.InvalidField("dir", "the metrics store needs a directory")
	}
	if c.MaxAge < 0 || c.MaxBytes < 0 || c.OutOfOrder < 0 || c.MaxSeries < 0 || c.MaxSeriesPerService < 0 || c.MaxSamples < 0 || c.Timeout < 0 {
		return fault.Invalid("metrics store: limits cannot be negative")
	}
	if c.MaxAge == 0 {
		c.MaxAge = 15 * 24 * time.Hour
	}
	if c.OutOfOrder == 0 {
		c.OutOfOrder = 30 * time.Minute
	}
	if c.MaxSeries == 0 {
		c.MaxSeries = 500_000
	}
	if c.MaxSeriesPerService == 0 {
		c.MaxSeriesPerService = max(1, c.MaxSeries/5)
	}
	if c.MaxSamples == 0 {
		c.MaxSamples = 20_000_000
	}
	if c.Timeout == 0 {
		c.Timeout = 30 * time.Second
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	return nil
}

// DB is an open store. It is safe for concurrent use.
type DB struct {
	cfg      Config
	db       *promtsdb.DB
	engine   *promql.Engine
	limit    *seriesLimit
	parser   parser.Parser
	metadata families
}

// Open opens the store in cfg.Dir and replays its write-ahead log.
func Open(cfg Config) (*DB, error) {
	if err := cfg.defaults(); err != nil {
		return nil, err
	}
	opts := promtsdb.DefaultOptions()
	opts.RetentionDuration = cfg.MaxAge.Milliseconds()
	opts.MaxBytes = cfg.MaxBytes
	opts.OutOfOrderTimeWindow = cfg.OutOfOrder.Milliseconds()
	opts.WALCompression = compression.Snappy
	// Blocks grow to a tenth of the retention, as Prometheus itself does it.
	opts.MaxBlockDuration = max(opts.MinBlockDuration, opts.RetentionDuration/10)
	// Tens of thousands of series, not millions: fewer lock stripes, less memory.
	opts.StripeSize = 1 << 10
	limit := &seriesLimit{perService: int64(cfg.MaxSeriesPerService), logger: cfg.Logger}
	opts.SeriesLifecycleCallback = limit

	db, err := promtsdb.Open(cfg.Dir, slog.New(quiet{cfg.Logger.Handler()}), nil, opts, nil)
	if err != nil {
		return nil, fault.Internal("opening the metrics store in %s: %w", cfg.Dir, err)
	}
	limit.begin(int64(cfg.MaxSeries))
	p := parser.NewParser(parser.Options{})
	return &DB{
		cfg:    cfg,
		db:     db,
		limit:  limit,
		parser: p,
		engine: promql.NewEngine(promql.EngineOpts{
			Logger:               cfg.Logger,
			MaxSamples:           cfg.MaxSamples,
			Timeout:              cfg.Timeout,
			EnableAtModifier:     true,
			EnableNegativeOffset: true,
			Parser:               p,
		}),
	}, nil
}

// Close flushes and closes the store. Queries that still run fail.
func (d *DB) Close() error {
	if err := errors.Join(d.engine.Close(), d.db.Close()); err != nil {
		return fmt.Errorf("closing the metrics store: %w", err)
	}
	return nil
}

// Appender starts a transaction of writes; it ends with Commit or Rollback.
// The metadata that comes with samples is kept for the metadata API.
func (d *DB) Appender(ctx context.Context) storage.AppenderV2 {
	return &appender{AppenderV2: d.db.AppenderV2(ctx), families: &d.metadata}
}

// Querier reads raw series between two times in milliseconds, both inclusive.
func (d *DB) Querier(mint, maxt int64) (storage.Querier, error) { return d.db.Querier(mint, maxt) }

// Stats describe what is stored.
type Stats struct {
	Series uint64    `json:"series" doc:"in memory: those of the last hours"`
	Bytes  int64     `json:"bytes" doc:"on disk, blocks and log"`
	Blocks int       `json:"blocks"`
	Oldest time.Time `json:"oldest,omitzero"`
	Newest time.Time `json:"newest,omitzero"`
	// Limited is a warning: somebody sends labels that take ever new values.
	Limited []Limited `json:"limited,omitempty" doc:"limits on the number of series that were reached"`
}

// Stats returns the present state.
func (d *DB) Stats() Stats {
	head := d.db.Head()
	s := Stats{Series: head.NumSeries(), Bytes: head.Size(), Limited: d.limit.limited()}
	for _, b := range d.db.Blocks() {
		s.Blocks++
		s.Bytes += b.Size()
	}
	if head.NumSeries() == 0 && s.Blocks == 0 {
		return s
	}
	if oldest, err := d.db.StartTime(); err == nil && oldest <= head.MaxTime() {
		s.Oldest, s.Newest = time.UnixMilli(oldest), time.UnixMilli(head.MaxTime())
	}
	return s
}
