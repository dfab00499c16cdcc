package tracestore

import (
	"context"
	"log/slog"
	"slices"
	"time"

	"github.com/tidegate-io/tidegate/fault"
	"github.com/tidegate-io/tidegate/internal/otlp/wire"
	"github.com/tidegate-io/tidegate/internal/segment"
	"github.com/tidegate-io/tidegate/telemetry"
)

// Config configures a [Store]. Only Dir is required; the defaults of the
// others are those of segment.Config unless said otherwise.
type Config struct {
	Dir            string
	MaxAge         time.Duration // how long traces are kept; 0 means for ever
	MaxBytes       int64         // how much disk they may take; 0 means no limit
	SegmentBytes   int64
	SegmentAge     time.Duration
	MaxPending     int           // bytes waiting to be written before Append refuses
	CacheBytes     int           // memory for frames kept for reading
	SyncEvery      time.Duration // how often what was written is synced
	SyncEachCommit bool          // sync before acknowledging, for power cuts
	ReencodeAfter  time.Duration // age at which data is compressed harder
	ReencodeShare  float64       // of one core that this may take
	Clock          func() time.Time
	Logger         *slog.Logger
}

// Store keeps traces. Safe for concurrent use. It implements
// telemetry.TraceReader.
type Store struct {
	log    *segment.Log[*summary]
	schema *schema
}

var _ telemetry.TraceReader = (*Store)(nil)

// Open opens or makes the store in cfg.Dir and recovers from a crash.
func Open(cfg Config) (*Store, error) {
	sch := &schema{}
	log, err := segment.Open(segment.Config{
		Dir: cfg.Dir, Kind: "traces",
		MaxAge: cfg.MaxAge, MaxBytes: cfg.MaxBytes,
		SegmentBytes: cfg.SegmentBytes, SegmentAge: cfg.SegmentAge,
		MaxPending: cfg.MaxPending, CacheBytes: cfg.CacheBytes,
		SyncEvery: cfg.SyncEvery, SyncEachCommit: cfg.SyncEachCommit,
		ReencodeAfter: cfg.ReencodeAfter, ReencodeShare: cfg.ReencodeShare, Layout: layout,
		Clock: cfg.Clock, Logger: cfg.Logger,
	}, sch)
	if err != nil {
		return nil, err
	}
	return &Store{log, sch}, nil
}

// Run does retention, sealing, indexing and syncing until ctx ends.
func (s *Store) Run(ctx context.Context) error { return s.log.Run(ctx) }

// Waiting returns how many segments Run has yet to seal, index or re-encode.
func (s *Store) Waiting() int { return s.log.Waiting() }

// Close ends the store. Stop Run before.
func (s *Store) Close() error { return s.log.Close() }

// Append stores the spans of a raw ExportTraceServiceRequest that arrived at
// arrival. When it returns nil they are durable and can be read. Spans with a
// wire.Defect are left out; a request that holds no others is not stored.
// Faults: Invalid for malformed bytes (nothing is stored), Unavailable when
// there is no room now. req is not kept.
func (s *Store) Append(ctx context.Context, arrival time.Time, req []byte) error {
	return s.log.Append(ctx, arrival, req)
}

// AppendTraces is Append of a request that has been parsed already, which
// saves the store from walking it again.
func (s *Store) AppendTraces(ctx context.Context, arrival time.Time, t *wire.Traces) error {
	if t.Sound == 0 {
		return nil
	}
	sum, keys := s.schema.summarise(t)
	return s.log.AppendSummarised(ctx, arrival, t.Raw, sum, keys)
}

// Replay visits, in the order of storing, every stored request that arrived
// at or after since; visit must not keep req. It is how values derived from
// spans and not yet saved at a crash are derived again.
func (s *Store) Replay(ctx context.Context, since time.Time, visit func(arrival time.Time, req []byte) error) error {
	return s.log.Replay(ctx, since, visit)
}

// Stats describes the store at one moment.
type Stats struct {
	segment.Stats
	Spans int64 `json:"spans"`
}

// Stats returns figures of the store as it is now.
func (s *Store) Stats() (Stats, error) {
	st := Stats{Stats: s.log.Stats()}
	err := s.eachSummary(func(sum *summary) { st.Spans += int64(sum.spans) })
	return st, err
}

// Services returns the names of all services with stored spans, sorted.
func (s *Store) Services(context.Context) ([]string, error) {
	seen := map[string]bool{}
	err := s.eachSummary(func(sum *summary) {
		for i := range sum.groups {
			seen[sum.groups[i].ref.Service] = true
		}
	})
	return sorted(seen), err
}

// Operations returns the names of all stored operations of a service, sorted.
func (s *Store) Operations(_ context.Context, service string) ([]string, error) {
	seen := map[string]bool{}
	err := s.eachSummary(func(sum *summary) {
		for i := range sum.groups {
			if sum.groups[i].ref.Service == service {
				seen[sum.groups[i].operation] = true
			}
		}
	})
	return sorted(seen), err
}

func sorted(set map[string]bool) []string {
	delete(set, anything)
	out := make([]string, 0, len(set))
	for s := range set {
		out = append(out, s)
	}
	slices.Sort(out)
	return out
}

// eachSummary visits summaries that together cover all spans.
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

// Trace returns one whole trace; a fault of KindNotFound if there is none. Of
// one with more than 50,000 spans it returns those that started first, and says
// so by Truncated.
func (s *Store) Trace(ctx context.Context, id telemetry.TraceID) (*telemetry.Trace, error) {
	v := s.log.View()
	defer v.Close()
	found, err := collect(ctx, v, []telemetry.TraceID{id}, maxSpans)
	if err != nil {
		return nil, err
	}
	if found[0] == nil {
		return nil, fault.NotFound("trace %s is not stored", id)
	}
	return found[0], nil
}
