package otlp

import (
	"context"
	"fmt"
	"math"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/tsdb/chunkenc"

	"github.com/tidegate-io/tidegate/entity"
	"github.com/tidegate-io/tidegate/fault"
	"github.com/tidegate-io/tidegate/internal/otlp/wire"
	"github.com/tidegate-io/tidegate/telemetry"
)

// maxRecount is how far back spans are counted again when the store of metrics
// does not say what it has: when it is new, or was lost.
const maxRecount = time.Hour

// restore continues where the store of metrics ends: it reads the last slot
// that was settled and the counters as they were then. It returns the time
// from which stored requests must be counted again.
func (m *spanMetrics) restore(ctx context.Context, store Metrics, now time.Time) (since time.Time, err error) {
	mark, ok, err := lastMark(ctx, store, now)
	if err != nil {
		return time.Time{}, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if !ok {
		since = now.Add(-maxRecount)
		m.settled = ceilDiv(since.UnixNano(), m.slot)
		return since, nil
	}
	m.settled = int64(math.Round(mark * 1e9 / float64(m.slot)))
	if err := m.restoreSeries(ctx, store); err != nil {
		return time.Time{}, err
	}
	// Halves of calls that waited for the other end are part of the state.
	return m.slotEnd(m.settled).Add(-time.Duration(m.calls.within)), nil
}

// lastMark returns the value of the last mark; it looks near before far.
func lastMark(ctx context.Context, store Metrics, now time.Time) (mark float64, ok bool, err error) {
	matcher := labels.MustNewMatcher(labels.MatchEqual, model.MetricNameLabel, metricSettled)
	for _, back := range []time.Duration{time.Hour, 24 * time.Hour, 10 * 365 * 24 * time.Hour} {
		err = lastSamples(ctx, store, now.Add(-back), now.Add(time.Hour), matcher,
			func(_ labels.Labels, _ int64, v float64, _ *histogram.Histogram) { mark, ok = v, true })
		if ok || err != nil {
			break
		}
	}
	return mark, ok, err
}

// restoreSeries reads the counters as of the last settled slot.
func (m *spanMetrics) restoreSeries(ctx context.Context, store Metrics) error {
	to := m.slotEnd(m.settled)
	names := labels.MustNewMatcher(labels.MatchRegexp, model.MetricNameLabel,
		telemetry.MetricDuration+"|"+telemetry.MetricGraphDuration+"|"+telemetry.MetricGraphFailed)
	failed := map[edgeKey]uint64{}
	err := lastSamples(ctx, store, to.Add(-idle), to, names, func(ls labels.Labels, t int64, v float64, h *histogram.Histogram) {
		switch name := ls.Get(model.MetricNameLabel); {
		case name == telemetry.MetricGraphFailed:
			failed[edgeOf(ls)] = uint64(v)
		case h == nil || h.Schema != schema:
			// not one of ours, or from a version that counted otherwise: starts anew
		case name == telemetry.MetricDuration:
			m.restored(m.operationOf(ls), t, h)
		case name == telemetry.MetricGraphDuration:
			m.restored(m.newEdge(edgeOf(ls)), t, h)
		}
	})
	for key, n := range failed {
		if s, ok := m.edges[key]; ok {
			s.totalFailed = n
		}
	}
	return err
}

func (m *spanMetrics) restored(s *series, t int64, h *histogram.Histogram) {
	s.total = fromNative(h)
	s.written = ceilDiv(t*1e6, m.slot)
	s.active = s.written
}

func (m *spanMetrics) operationOf(ls labels.Labels) *series {
	r := m.service(entity.Ref{
		Service:     ls.Get(telemetry.LabelService),
		Environment: ls.Get(telemetry.LabelEnvironment),
		Version:     ls.Get(telemetry.LabelVersion),
	})
	name := ls.Get(telemetry.LabelOperation)
	key := string([]byte{index(kindLabels[:], ls.Get(telemetry.LabelKind)), index(statusLabels[:], ls.Get(telemetry.LabelStatus))}) + name
	return m.newOperation(r, key, name)
}

func edgeOf(ls labels.Labels) edgeKey {
	return edgeKey{
		client: ls.Get(telemetry.LabelClient), server: ls.Get(telemetry.LabelServer),
		environment: ls.Get(telemetry.LabelEnvironment), connection: ls.Get(labelConnection),
	}
}

func index(names []string, name string) byte {
	for i, n := range names {
		if n == name {
			return byte(i)
		}
	}
	return 0
}

// lastSamples calls visit with the last sample, between two times, of every
// series that matches.
func lastSamples(ctx context.Context, store Metrics, from, to time.Time, matcher *labels.Matcher, visit func(ls labels.Labels, t int64, v float64, h *histogram.Histogram)) error {
	q, err := store.Querier(from.UnixMilli(), to.UnixMilli())
	if err != nil {
		return fmt.Errorf("reading span metrics: %w", err)
	}
	defer q.Close()
	set := q.Select(ctx, false, &storage.SelectHints{Start: from.UnixMilli(), End: to.UnixMilli()}, matcher)
	var it chunkenc.Iterator
	for set.Next() {
		it = set.At().Iterator(it)
		var (
			t     int64
			v     float64
			h     *histogram.Histogram
			found bool
		)
		for typ := it.Next(); typ != chunkenc.ValNone; typ = it.Next() {
			switch typ {
			case chunkenc.ValFloat:
				t, v = it.At()
				h, found = nil, true
			case chunkenc.ValHistogram:
				t, h = it.AtHistogram(nil)
				found = true
			}
		}
		if err := it.Err(); err != nil {
			return fmt.Errorf("reading span metrics: %w", err)
		}
		if found {
			visit(set.At().Labels(), t, v, h)
		}
	}
	if err := set.Err(); err != nil {
		return fmt.Errorf("reading span metrics: %w", err)
	}
	return nil
}

// recount counts what was stored but not settled before the process ended.
func (r *Receiver) recount(ctx context.Context) error {
	since, err := r.spans.restore(ctx, r.cfg.Metrics, r.cfg.Clock())
	if err != nil {
		return err
	}
	last := r.spans.slotEnd(r.spans.settled).UnixNano() + r.spans.grace
	var t wire.Traces
	err = r.cfg.Traces.Replay(ctx, since, func(arrival time.Time, req []byte) error {
		last = max(last, arrival.UnixNano())
		if err := t.Parse(req); err != nil && fault.KindOf(err) != fault.KindInvalid {
			return err
		}
		r.spans.count(arrival.UnixNano(), &t)
		return nil
	})
	if err != nil {
		return fmt.Errorf("recounting stored spans: %w", err)
	}
	r.arrivals.horizon(last)
	return nil
}
