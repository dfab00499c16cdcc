package tsdb

import (
	"context"
	"math"
	"time"

	"github.com/prometheus/prometheus/promql"
)

// Stepped is one series in steps of time. Exactly one of its parts is set: of
// a counter how much it grew in each step, of a gauge its last value, of a
// native histogram how many observations there were and their sum. A step is
// NaN where there is nothing to say: in Last without a sample, in the others
// before the series' first sample and after its last.
type Stepped struct {
	Labels   map[string]string
	Increase []float64
	Last     []float64
	Count    []float64
	Sum      []float64
}

// Steps returns the series that the selector matches in steps that begin at
// from. Counters and histograms are differenced exactly, resets included; as
// counters count those series whose names say so (_total, _count, _sum).
func (d *DB) Steps(ctx context.Context, selector string, from, to time.Time, step time.Duration) ([]Stepped, error) {
	n := int(to.Sub(from) / step)
	if n <= 0 {
		return nil, nil
	}
	m, err := d.Select(ctx, selector, from.Add(-defaultLookback), to)
	if err != nil {
		return nil, err
	}
	in := steps{from.UnixMilli(), step.Milliseconds(), n}
	out := make([]Stepped, 0, len(m))
	for _, series := range m {
		s := Stepped{Labels: series.Metric.Map()}
		switch {
		case len(series.Histograms) > 0:
			s.Count, s.Sum = in.observations(series.Histograms)
		case isCounter(s.Labels["__name__"]):
			s.Increase = in.increases(series.Floats)
		default:
			s.Last = in.last(series.Floats)
		}
		out = append(out, s)
	}
	return out, nil
}

// steps are n steps of length ms from a time; a sample at the end of a step
// belongs to it.
type steps struct {
	from, ms int64
	n        int
}

func (s steps) index(t int64) (int, bool) {
	if t <= s.from {
		return 0, false
	}
	i := int((t - s.from - 1) / s.ms)
	return i, i < s.n
}

func (s steps) blank() []float64 {
	out := make([]float64, s.n)
	for i := range out {
		out[i] = math.NaN()
	}
	return out
}

// known sets the steps between two samples to 0.
func (s steps) known(out []float64, first, last int64) {
	from, to := int64(0), (last-s.from-1)/s.ms
	if first > s.from {
		from = (first - s.from - 1) / s.ms
	}
	if last <= s.from {
		return
	}
	for i := from; i <= min(to, int64(s.n)-1); i++ {
		out[i] = 0
	}
}

func (s steps) increases(points []promql.FPoint) []float64 {
	out := s.blank()
	if len(points) > 0 {
		s.known(out, points[0].T, points[len(points)-1].T)
	}
	eachIncrease(0, points, func(t int64, inc float64) {
		if i, ok := s.index(t); ok {
			out[i] += inc
		}
	})
	return out
}

func (s steps) last(points []promql.FPoint) []float64 {
	out := s.blank()
	for _, p := range points {
		if i, ok := s.index(p.T); ok {
			out[i] = p.F
		}
	}
	return out
}

func (s steps) observations(points []promql.HPoint) (count, sum []float64) {
	count, sum = s.blank(), s.blank()
	if len(points) > 0 {
		s.known(count, points[0].T, points[len(points)-1].T)
		s.known(sum, points[0].T, points[len(points)-1].T)
	}
	var lastCount, lastSum float64
	for _, p := range points {
		dc, ds := p.H.Count-lastCount, p.H.Sum-lastSum
		if dc < 0 { // reset
			dc, ds = p.H.Count, p.H.Sum
		}
		lastCount, lastSum = p.H.Count, p.H.Sum
		if i, ok := s.index(p.T); ok {
			count[i] += dc
			sum[i] += ds
		}
	}
	return count, sum
}

func isCounter(name string) bool {
	for _, suffix := range []string{"_total", "_count", "_sum"} {
		if len(name) > len(suffix) && name[len(name)-len(suffix):] == suffix {
			return true
		}
	}
	return false
}
