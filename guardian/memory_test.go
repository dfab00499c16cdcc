package guardian_test

import (
	"context"
	"encoding/json"
	"iter"
	"math"
	"sort"
	"sync"
	"time"

	"github.com/tidegate-io/tidegate/change"
	"github.com/tidegate-io/tidegate/fault"
	"github.com/tidegate-io/tidegate/guardian"
	"github.com/tidegate-io/tidegate/judge"
	"github.com/tidegate-io/tidegate/telemetry"
)

// memory is a Store that keeps validations as JSON, as the real ones do.
type memory struct {
	mu   sync.Mutex
	docs map[string][]byte
	// fail, when set, is asked before every Update.
	fail func(guardian.Validation) error
}

func newMemory() *memory { return &memory{docs: map[string][]byte{}} }

func (m *memory) all() (out []guardian.Validation) {
	for _, d := range m.docs {
		var v guardian.Validation
		if err := json.Unmarshal(d, &v); err != nil {
			panic(err)
		}
		out = append(out, v)
	}
	return out
}

func (m *memory) put(v guardian.Validation) {
	d, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	m.docs[v.ID] = d
}

func (m *memory) Create(_ context.Context, v guardian.Validation) (guardian.Validation, bool, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	v.Number = 1
	for _, o := range m.all() {
		if o.ID == v.ID {
			return o, false, nil
		}
		if o.Guardian == v.Guardian {
			v.Number = max(v.Number, o.Number+1)
		}
	}
	m.put(v)
	return v, true, nil
}

func (m *memory) Update(_ context.Context, v guardian.Validation) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.fail != nil {
		if err := m.fail(v); err != nil {
			return err
		}
	}
	m.put(v)
	return nil
}

func (m *memory) Validation(_ context.Context, id string) (guardian.Validation, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, v := range m.all() {
		if v.ID == id {
			return v, nil
		}
	}
	return guardian.Validation{}, fault.NotFound("no validation %q", id)
}

func (m *memory) Validations(_ context.Context, q guardian.HistoryQuery) ([]guardian.Validation, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	var out []guardian.Validation
	for _, v := range m.all() {
		if (q.Guardian == "" || v.Guardian == q.Guardian) && (q.Variant == nil || v.Variant == *q.Variant) &&
			(q.State == "" || v.State == q.State) && (q.Before == 0 || v.Number < q.Before) && (!q.Pinned || v.Pinned) {
			v.Evidence, v.Sources, v.Watch = nil, nil, nil // as the real stores do
			out = append(out, v)
		}
	}
	sort.Slice(out, func(i, j int) bool { return out[i].Number > out[j].Number })
	if q.Limit == 0 {
		q.Limit = 100
	}
	return out[:min(len(out), q.Limit)], nil
}

// events is a Recorder and a ChangeFinder.
type events struct {
	mu   sync.Mutex
	list []change.Event
}

func (l *events) Record(_ context.Context, e change.Event) (change.Event, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, o := range l.list {
		if o.ID == e.ID {
			return o, fault.Conflict("event %s exists", e.ID)
		}
	}
	l.list = append(l.list, e)
	return e, nil
}

func (l *events) Events(_ context.Context, q change.Query) ([]change.Event, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	var out []change.Event
	for i := len(l.list) - 1; i >= 0; i-- {
		e := l.list[i]
		for _, k := range q.Kinds {
			if e.Kind == k && !e.Start.Before(q.From) && e.Start.Before(q.To) {
				out = append(out, e)
			}
		}
	}
	return out, nil
}

func (l *events) types() map[string]int {
	l.mu.Lock()
	defer l.mu.Unlock()
	out := map[string]int{}
	for _, e := range l.list {
		out[e.Type]++
	}
	return out
}

// service is a Sampler over requests that are described, not made: so many a
// second, of which a share fails since a moment.
type service struct {
	mu        sync.Mutex
	perSecond float64
	failing   float64
	since     time.Time
	silent    bool
	queryErr  string
	err       func() error
	active    int
	most      int
	slow      time.Duration // how long reading takes
	readings  []guardian.Reading
}

func (s *service) Sample(ctx context.Context, r guardian.Reading) (judge.Sample, []string, error) {
	s.mu.Lock()
	s.readings = append(s.readings, r)
	s.active++
	s.most = max(s.most, s.active)
	wait, fail := s.slow, s.err
	s.mu.Unlock()
	defer func() { s.mu.Lock(); s.active--; s.mu.Unlock() }()
	if wait > 0 {
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return judge.Sample{}, nil, ctx.Err()
		}
	}
	if fail != nil {
		if err := fail(); err != nil {
			return judge.Sample{}, nil, err
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	out := judge.Sample{Kind: kindOf(r.Indicator), Err: s.queryErr}
	for at := r.Window.From; at.Before(r.Window.To) && s.queryErr == ""; at = at.Add(r.Slice) {
		out.Slices = append(out.Slices, s.slice(out.Kind, at, r.Slice))
	}
	return out, []string{"the query of " + string(out.Kind)}, nil
}

func kindOf(i guardian.Indicator) judge.Kind {
	switch {
	case i.Latency != nil:
		return judge.Distribution
	case i.ErrorRate != nil:
		return judge.Ratio
	case i.Throughput != nil:
		return judge.Rate
	}
	return judge.Value
}

func (s *service) slice(kind judge.Kind, at time.Time, length time.Duration) judge.Slice {
	sl := judge.Slice{Seconds: length.Seconds()}
	if s.silent || kind == judge.Value {
		sl.Value = judge.Number(math.NaN())
		return sl
	}
	sl.Total = s.perSecond * sl.Seconds
	if !s.since.IsZero() && !at.Before(s.since) {
		sl.Bad = math.Round(sl.Total * s.failing)
	}
	if kind == judge.Distribution {
		n := sl.Total
		sl.Histogram = &judge.Histogram{Schema: 3, Count: n, Sum: n * 0.05, Buckets: []judge.Bucket{{Index: -35, Count: n}}}
	}
	return sl
}

// traces yields the traces whose spans match, as a store does.
type traces []*telemetry.Trace

func (ts traces) Trace(_ context.Context, id telemetry.TraceID) (*telemetry.Trace, error) {
	return nil, fault.NotFound("no trace %s", id)
}

func (ts traces) Traces(_ context.Context, q telemetry.TraceQuery) iter.Seq2[*telemetry.Trace, error] {
	return func(yield func(*telemetry.Trace, error) bool) {
		n := 0
		for i := len(ts) - 1; i >= 0; i-- {
			for _, s := range ts[i].Spans {
				if q.Ref.Covers(s.Ref) && (q.Operation == "" || q.Operation == s.Name) && (q.Status == "" || q.Status == s.Status) &&
					s.Duration >= q.MinDuration && !s.Start.Before(q.From) && s.Start.Before(q.To) {
					if n++; !yield(ts[i], nil) || n == q.Limit {
						return
					}
					break
				}
			}
		}
	}
}

// definitions is a fixed set.
type definitions []guardian.Guardian

func (d definitions) Guardians() []guardian.Guardian { return d }

func (d definitions) Guardian(name string) (guardian.Guardian, bool) {
	for _, g := range d {
		if g.Name == name {
			return g, true
		}
	}
	return guardian.Guardian{}, false
}
