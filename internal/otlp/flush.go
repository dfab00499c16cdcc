package otlp

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/metadata"
	"github.com/prometheus/prometheus/storage"

	"github.com/tidegate-io/tidegate/telemetry"
)

// metricSettled marks the last slot whose counts are all in the store: its
// value is the end of the slot in unix seconds. It is committed after the
// counts; recovery starts from it.
const metricSettled = "tidegate_span_metrics_settled_timestamp_seconds"

// Idle series are written again this often, so that they do not go stale, and
// forgotten after so long without a span; both in time of slots.
const (
	heartbeat = time.Minute
	idle      = time.Hour
)

// row is what one slot writes of one series.
type row struct {
	series *series
	before *values // when the slot before did not write the series
	now    values
}

// values are the counters of a series at one moment.
type values struct {
	calls, failed float64
	duration      *histogram.Histogram
}

func (s *series) values() values {
	return values{float64(s.total.count), float64(s.totalFailed), s.total.native()}
}

// page is what one slot writes.
type page struct {
	slot int64
	rows []row
}

// due returns the next page to write given that nothing arrives any more before
// horizon; ok is false while there is none. Empty slots are skipped.
func (m *spanMetrics) due(horizon int64) (p page, ok bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	// slot k is over when k·slot + grace < horizon
	last := ceilDiv(horizon-m.grace, m.slot) - 1
	if last <= m.settled {
		return page{}, false
	}
	k := last
	for open := range m.open {
		k = min(k, open)
	}
	p.slot = k
	for _, s := range m.open[k] {
		r := row{series: s}
		if s.written == 0 || k-s.written > 1 {
			v := s.values()
			r.before = &v
		}
		s.settle(k, &m.pool)
		r.now, s.written = s.values(), k
		p.rows = append(p.rows, r)
	}
	delete(m.open, k)
	m.settled = k
	m.rest(&p)
	return p, true
}

// rest adds the idle series that are due to be written again, and forgets those
// that have been idle for too long.
func (m *spanMetrics) rest(p *page) {
	beat, forget := heartbeat.Nanoseconds()/m.slot, idle.Nanoseconds()/m.slot
	for s := range m.all {
		switch {
		case p.slot-s.active >= forget && len(s.pending) == 0:
			s.drop()
			delete(m.all, s)
		case s.written > 0 && p.slot-s.written >= beat:
			s.written = p.slot
			p.rows = append(p.rows, row{series: s, now: s.values()})
		}
	}
}

// write commits a page, and then the mark that says so. Writing a page again
// changes nothing.
func (m *spanMetrics) write(ctx context.Context, store Metrics, p page) error {
	end := m.slotEnd(p.slot).UnixMilli()
	if len(p.rows) > 0 {
		app := store.Appender(ctx)
		for i := range p.rows {
			if err := p.rows[i].append(app, end, end-m.slot/1e6+1); err != nil {
				return errors.Join(fmt.Errorf("span metrics: %w", err), app.Rollback())
			}
		}
		if err := app.Commit(); err != nil {
			return fmt.Errorf("span metrics: %w", err)
		}
	}
	app := store.Appender(ctx)
	mark := labels.FromStrings(model.MetricNameLabel, metricSettled)
	if err := appendSample(app, &column{name: metricSettled, labels: mark}, end, float64(end)/1000, nil); err != nil {
		return errors.Join(fmt.Errorf("span metrics: %w", err), app.Rollback())
	}
	if err := app.Commit(); err != nil {
		return fmt.Errorf("span metrics: %w", err)
	}
	return nil
}

// append writes the row at the time end. Where the slot before did not write
// the series, it says first, at the beginning of the slot, where the counters
// stood, which is at zero when the series is new: each increase then stands
// between two samples that are near, for rate() over a short range to see, and
// a restart from zero is visible as one.
func (r *row) append(app storage.AppenderV2, end, begin int64) error {
	if r.before != nil {
		if err := r.series.append(app, begin, *r.before); err != nil {
			return err
		}
	}
	return r.series.append(app, end, r.now)
}

func (s *series) append(app storage.AppenderV2, t int64, v values) error {
	err := appendSample(app, &s.calls, t, v.calls, nil)
	if err == nil && s.failed.name != "" {
		err = appendSample(app, &s.failed, t, v.failed, nil)
	}
	if err == nil {
		err = appendSample(app, &s.duration, t, 0, v.duration)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", s.duration.labels, err)
	}
	return nil
}

// appendSample appends in order. A sample that is there already, as after a
// crash between the writing and the mark, is not written twice; one for which
// it is too late, as after the clock was set back by hours, would be too late
// for ever: the counter's next sample makes good for it.
func appendSample(app storage.AppenderV2, c *column, t int64, v float64, h *histogram.Histogram) error {
	ref, err := app.Append(c.ref, c.labels, 0, t, v, h, nil, storage.AOptions{
		MetricFamilyName: c.name, Metadata: families[c.name], RejectOutOfOrder: true,
	})
	switch {
	case err == nil:
		c.ref = ref
		return nil
	case errors.Is(err, storage.ErrDuplicateSampleForTimestamp), errors.Is(err, storage.ErrOutOfOrderSample),
		errors.Is(err, storage.ErrOutOfBounds), errors.Is(err, storage.ErrTooOldSample):
		return nil
	}
	return err
}

var families = map[string]metadata.Metadata{
	telemetry.MetricCalls:         {Type: model.MetricTypeCounter, Help: "Spans."},
	telemetry.MetricDuration:      {Type: model.MetricTypeHistogram, Unit: "seconds", Help: "Durations of spans."},
	telemetry.MetricGraphRequests: {Type: model.MetricTypeCounter, Help: "Calls between two services."},
	telemetry.MetricGraphFailed:   {Type: model.MetricTypeCounter, Help: "Failed calls between two services."},
	telemetry.MetricGraphDuration: {Type: model.MetricTypeHistogram, Unit: "seconds", Help: "Durations of calls between two services, as the server saw them."},
	metricSettled:                 {Type: model.MetricTypeGauge, Unit: "seconds", Help: "Spans that ended before this time are counted."},
}
