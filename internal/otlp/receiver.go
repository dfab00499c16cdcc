package otlp

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/semaphore"

	"github.com/tidegate-io/tidegate/fault"
	"github.com/tidegate-io/tidegate/internal/otlp/wire"
)

// Receiver takes telemetry in. It is safe for concurrent use.
type Receiver struct {
	cfg      Config
	tokens   tokens
	spans    *spanMetrics
	arrivals arrivals
	budget   *semaphore.Weighted
	counters counters

	unwritten *page // of flush
	written   struct {
		mu    sync.Mutex
		until time.Time
		next  chan struct{} // closed when until moves
	}
}

// New returns a receiver that continues where the stores are: it counts again
// the spans that were stored and not yet written to the metrics store.
func New(ctx context.Context, cfg Config) (*Receiver, error) {
	if err := cfg.defaults(); err != nil {
		return nil, err
	}
	r := &Receiver{cfg: cfg, tokens: newTokens(cfg.Tokens), spans: newSpanMetrics(&cfg), budget: semaphore.NewWeighted(cfg.Limits.InFlight)}
	r.written.next = make(chan struct{})
	if err := r.recount(ctx); err != nil {
		return nil, err
	}
	r.written.until = r.spans.slotEnd(r.spans.settled)
	// Before newer samples come in: the store takes counts in order of time.
	if err := r.flush(ctx); err != nil {
		return nil, err
	}
	return r, nil
}

// signal is one of the three kinds of telemetry.
type signal int

const (
	traces signal = iota
	metrics
	logs
)

var signalNames = [...]string{"traces", "metrics", "logs"}

// rejectedFields are the fields of a partial success that count what is refused.
var rejectedFields = [...]string{"rejectedSpans", "rejectedDataPoints", "rejectedLogRecords"}

// outcome is what became of an accepted request.
type outcome struct {
	accepted int
	rejected int
	message  string // why, of the first one
}

// reject notes an item that is refused.
func (o *outcome) reject(why string) {
	o.rejected++
	if o.message == "" {
		o.message = why
	}
}

// receive takes one request in its protobuf encoding. When it returns nil the
// accepted part is durable.
func (r *Receiver) receive(ctx context.Context, s signal, req []byte) (outcome, error) {
	var out outcome
	var err error
	switch s {
	case traces:
		out, err = r.receiveTraces(ctx, req)
	case logs:
		out, err = r.receiveLogs(ctx, req)
	case metrics:
		out, err = r.receiveMetrics(ctx, req)
	}
	r.counters.note(s, out, err, r.cfg.Clock)
	return out, err
}

// parsed recycles what requests are parsed into.
var parsed = sync.Pool{New: func() any { return new(wire.Traces) }}

func (r *Receiver) receiveTraces(ctx context.Context, req []byte) (outcome, error) {
	t := parsed.Get().(*wire.Traces)
	defer func() { t.Reset(); parsed.Put(t) }()
	if err := t.Parse(req); err != nil {
		return outcome{}, err
	}
	out := outcome{accepted: t.Sound, rejected: t.Rejected}
	if t.Rejected > 0 {
		out.message = fmt.Sprintf("span %q: %s", limited(t.DefectName), t.Defect)
	}
	if t.Sound == 0 {
		return out, nil
	}
	if t.Rejected > 0 {
		if err := t.Parse(soundSpans(t)); err != nil {
			return outcome{}, err
		}
	}
	arrival, open := r.arrivals.begin(r.cfg.Clock().UnixNano())
	defer r.arrivals.end(open)
	if err := r.cfg.Traces.AppendTraces(ctx, time.Unix(0, arrival), t); err != nil {
		return outcome{}, fmt.Errorf("storing spans: %w", err)
	}
	r.spans.count(arrival, t)
	return out, nil
}

func (r *Receiver) receiveLogs(ctx context.Context, req []byte) (outcome, error) {
	var out outcome
	err := wire.WalkLogs(req, func(*wire.Resource, []byte, *wire.Log) error {
		out.accepted++
		return nil
	})
	if err != nil || out.accepted == 0 {
		return out, err
	}
	if err := r.cfg.Logs.Append(ctx, r.cfg.Clock(), req); err != nil {
		return outcome{}, fmt.Errorf("storing logs: %w", err)
	}
	return out, nil
}

// Run writes span metrics until ctx ends; the last slots are then left to the
// next start, which counts them again. It returns nil.
func (r *Receiver) Run(ctx context.Context) error {
	tick := time.NewTicker(min(r.cfg.Slot/4, 500*time.Millisecond))
	defer tick.Stop()
	for {
		if err := r.flush(ctx); err != nil && ctx.Err() == nil {
			r.cfg.Logger.Error("span metrics wait to be written", "error", err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// flush writes all slots that are over. A page that could not be written is
// kept and written first by the next flush; there is one flush at a time.
func (r *Receiver) flush(ctx context.Context) error {
	for {
		if r.unwritten == nil {
			p, ok := r.spans.due(r.arrivals.horizon(r.cfg.Clock().UnixNano()))
			if !ok {
				return nil
			}
			r.unwritten = &p
		}
		if err := r.spans.write(ctx, r.cfg.Metrics, *r.unwritten); err != nil {
			return err
		}
		r.advance(r.spans.slotEnd(r.unwritten.slot))
		r.unwritten = nil
	}
}

func (r *Receiver) advance(until time.Time) {
	r.written.mu.Lock()
	defer r.written.mu.Unlock()
	r.written.until = until
	close(r.written.next)
	r.written.next = make(chan struct{})
}

// Settled returns once all spans that ended before t, and came in time, are in
// the metrics store. Run must be running.
func (r *Receiver) Settled(ctx context.Context, t time.Time) error {
	for {
		r.written.mu.Lock()
		until, next := r.written.until, r.written.next
		r.written.mu.Unlock()
		if !until.Before(t) {
			return nil
		}
		select {
		case <-next:
		case <-ctx.Done():
			return fault.Unavailable("span metrics are complete until %s, not yet until %s: %w",
				until.Format(time.RFC3339), t.Format(time.RFC3339), ctx.Err())
		}
	}
}

// Stats tell what came in since the start.
type Stats struct {
	Spans  uint64 `json:"spans"`
	Logs   uint64 `json:"logs"`
	Points uint64 `json:"points" doc:"data points of metrics"`
	// Rejected items were bad; Refused requests did not fit in, and were asked
	// to come again.
	Rejected uint64    `json:"rejected"`
	Refused  uint64    `json:"refused"`
	LastSpan time.Time `json:"lastSpan,omitzero"`
	// Series of span metrics and the service graph in memory.
	Series int `json:"series"`
	// Limited is a warning: of what is named here there are more than the
	// limits allow, and the rest is counted together, as "other"; at most 100.
	Limited []string `json:"limited,omitempty"`
	// Settled is how far the span metrics in the store reach.
	Settled time.Time `json:"settled"`
}

type counters struct {
	accepted          [3]atomic.Uint64 // by signal
	rejected, refused atomic.Uint64
	lastSpan          atomic.Int64
}

func (c *counters) note(s signal, out outcome, err error, clock func() time.Time) {
	switch {
	case fault.Is(err, fault.KindInvalid):
		c.rejected.Add(1)
	case err != nil:
		c.refused.Add(1)
	default:
		c.accepted[s].Add(uint64(out.accepted))
		c.rejected.Add(uint64(out.rejected))
		if s == traces && out.accepted > 0 {
			c.lastSpan.Store(clock().UnixNano())
		}
	}
}

// Stats returns the present numbers.
func (r *Receiver) Stats() Stats {
	s := Stats{
		Spans:    r.counters.accepted[traces].Load(),
		Points:   r.counters.accepted[metrics].Load(),
		Logs:     r.counters.accepted[logs].Load(),
		Rejected: r.counters.rejected.Load(),
		Refused:  r.counters.refused.Load(),
	}
	if ns := r.counters.lastSpan.Load(); ns > 0 {
		s.LastSpan = time.Unix(0, ns)
	}
	r.spans.mu.Lock()
	s.Series = len(r.spans.all)
	s.Limited = slices.Sorted(maps.Keys(r.spans.warned))
	s.Limited = s.Limited[:min(len(s.Limited), 100)]
	r.spans.mu.Unlock()
	r.written.mu.Lock()
	s.Settled = r.written.until
	r.written.mu.Unlock()
	return s
}
