package logstore

import (
	"context"
	"log/slog"
	"slices"
	"time"

	"github.com/tidegate-io/tidegate/internal/segment"
	"github.com/tidegate-io/tidegate/telemetry"
)

// Config configures a [Store]. Only Dir is required; the defaults of the
// others are those of segment.Config unless said otherwise.
type Config struct {
	Dir            string
	MaxAge         time.Duration // how long records are kept; 0 means for ever
	MaxBytes       int64         // how much disk they may take; 0 means no limit
	SegmentBytes   int64
	SegmentAge     time.Duration
	MaxPending     int           // bytes waiting to be written before Append refuses
	CacheBytes     int           // memory for frames kept for reading; default 16 MiB
	SyncEvery      time.Duration // how often what was written is synced
	SyncEachCommit bool          // sync before acknowledging, for power cuts
	ReencodeAfter  time.Duration // age at which data is compressed harder
	Clock          func() time.Time
	Logger         *slog.Logger
}

// Store keeps log records. Safe for concurrent use. It implements
// telemetry.LogReader.
type Store struct{ log *segment.Log[*summary] }

var _ telemetry.LogReader = (*Store)(nil)

// Open opens or makes the store in cfg.Dir and recovers from a crash.
func Open(cfg Config) (*Store, error) {
	if cfg.CacheBytes == 0 {
		cfg.CacheBytes = 16 << 20
	}
	log, err := segment.Open(segment.Config{
		Dir: cfg.Dir, Kind: "logs",
		MaxAge: cfg.MaxAge, MaxBytes: cfg.MaxBytes,
		SegmentBytes: cfg.SegmentBytes, SegmentAge: cfg.SegmentAge,
		MaxPending: cfg.MaxPending, CacheBytes: cfg.CacheBytes,
		SyncEvery: cfg.SyncEvery, SyncEachCommit: cfg.SyncEachCommit,
		ReencodeAfter: cfg.ReencodeAfter,
		Clock:         cfg.Clock, Logger: cfg.Logger,
	}, &schema{})
	if err != nil {
		return nil, err
	}
	return &Store{log: log}, nil
}

// Run does retention, sealing, indexing and syncing until ctx ends.
func (s *Store) Run(ctx context.Context) error { return s.log.Run(ctx) }

// Close ends the store. Stop Run before.
func (s *Store) Close() error { return s.log.Close() }

// Append stores the records of a raw ExportLogsServiceRequest that arrived at
// arrival. When it returns nil they are durable and can be read. Faults:
// Invalid for malformed bytes (nothing is stored), Unavailable when there is
// no room now. req is not kept.
func (s *Store) Append(ctx context.Context, arrival time.Time, req []byte) error {
	return s.log.Append(ctx, arrival, req)
}

// Stats describes the store at one moment.
type Stats struct {
	segment.Stats
	Records int64 `json:"records"`
}

// Stats returns figures of the store as it is now.
func (s *Store) Stats() (Stats, error) {
	st := Stats{Stats: s.log.Stats()}
	err := s.eachSummary(func(sum *summary) { st.Records += int64(sum.records) })
	return st, err
}

// Services returns the names of all services with stored records, sorted.
func (s *Store) Services(context.Context) ([]string, error) {
	seen := map[string]bool{}
	err := s.eachSummary(func(sum *summary) {
		for _, svc := range sum.services {
			seen[svc.ref.Service] = true
		}
	})
	delete(seen, anything)
	out := make([]string, 0, len(seen))
	for name := range seen {
		out = append(out, name)
	}
	slices.Sort(out)
	return out, err
}

// eachSummary visits summaries that together cover all records.
func (s *Store) eachSummary(visit func(*summary)) error {
	v := s.log.View()
	defer v.Close()
	for _, seg := range v.Segments() {
		if err := seg.EachSummary(visit); err != nil {
			return err
		}
	}
	return nil
}
