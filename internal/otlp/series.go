package otlp

import (
	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/storage"

	"github.com/tidegate-io/tidegate/telemetry"
)

// series is what is counted together: the spans of one operation, or the calls
// over one edge of the service graph. It shows in the store as up to three
// series: a counter of all, a counter of the failed, a histogram.
type series struct {
	drop func() // takes it out of the index it is found by

	calls, failed, duration column

	total       durations
	totalFailed uint64
	pending     []*delta // by slot, ascending; few
	written     int64    // the last slot written; 0: never
	active      int64    // the last slot that had something in it
}

// column is one series of the store. Without labels it is not written.
type column struct {
	name   string
	labels labels.Labels
	ref    storage.SeriesRef
}

func newColumn(name string, pairs ...string) column {
	b := labels.NewScratchBuilder(1 + len(pairs)/2)
	b.Add(model.MetricNameLabel, name)
	for i := 0; i < len(pairs); i += 2 {
		if pairs[i+1] != "" {
			b.Add(pairs[i], pairs[i+1])
		}
	}
	b.Sort()
	return column{name: name, labels: b.Labels()}
}

// delta is what one slot adds to a series.
type delta struct {
	slot int64
	durations
	failed uint64
}

// pendingAt returns the delta of slot k; fresh tells that it is new.
func (s *series) pendingAt(k int64, pool *deltas) (d *delta, fresh bool) {
	i := len(s.pending)
	for i > 0 && s.pending[i-1].slot >= k {
		if s.pending[i-1].slot == k {
			return s.pending[i-1], false
		}
		i--
	}
	d = pool.get(k)
	s.pending = append(s.pending, nil)
	copy(s.pending[i+1:], s.pending[i:])
	s.pending[i] = d
	return d, true
}

// settle merges the delta of slot k, which is the first one pending, into the
// totals.
func (s *series) settle(k int64, pool *deltas) {
	d := s.pending[0]
	s.total.merge(&d.durations)
	s.totalFailed += d.failed
	s.active = k
	s.pending = append(s.pending[:0], s.pending[1:]...)
	pool.put(d)
}

// deltas recycles deltas: a slot's worth of them is needed every two seconds.
type deltas struct{ free []*delta }

const maxFreeDeltas = 10_000

func (p *deltas) get(slot int64) *delta {
	if n := len(p.free); n > 0 {
		d := p.free[n-1]
		p.free = p.free[:n-1]
		d.slot = slot
		return d
	}
	return &delta{slot: slot}
}

func (p *deltas) put(d *delta) {
	if len(p.free) < maxFreeDeltas {
		d.reset()
		d.failed = 0
		p.free = append(p.free, d)
	}
}

// kindLabels and statusLabels are indexed by the codes of the wire.
var (
	kindLabels = [...]string{
		"SPAN_KIND_UNSPECIFIED", telemetry.LabelKindInternal, telemetry.LabelKindServer,
		telemetry.LabelKindClient, telemetry.LabelKindProducer, telemetry.LabelKindConsumer,
	}
	statusLabels = [...]string{telemetry.LabelStatusUnset, telemetry.LabelStatusOK, telemetry.LabelStatusError}
)

// Span kinds on the wire.
const (
	kindServer   = 2
	kindClient   = 3
	kindProducer = 4
	kindConsumer = 5
)
