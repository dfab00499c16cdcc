package tsdb

import (
	"math"
	"time"

	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql"

	"github.com/tidegate-io/tidegate/fault"
	"github.com/tidegate-io/tidegate/guardian"
	"github.com/tidegate-io/tidegate/judge"
)

// grid is a window cut into n slices; the last one may be of another length
// than the others. Slice i holds the samples with start(i) < t ≤ end(i): a
// sample tells of the time before it.
//
// Of a store whose samples are aligned to the clock, start and slices are
// multiples of its resolution. The first and the last slice may then reach
// beyond the window that was asked for. They count whole, and last only as
// long as the window does in them: of a test that begins and ends with its
// window, which is what windows between two slots are about, the rate is then
// exact.
type grid struct {
	start, stop int64 // milliseconds
	lead, trail int64 // milliseconds of it before and after the window
	slice       time.Duration
	n           int
}

// newGrid widens w to the resolution. A slice of 0 means about sixty slices,
// none shorter than the resolution.
func newGrid(w guardian.Window, slice, resolution time.Duration) (grid, error) {
	res := resolution.Milliseconds()
	g := grid{start: floorTo(w.From.UnixMilli(), res), stop: -floorTo(-ceilMillis(w.To), res)}
	g.lead, g.trail = max(0, w.From.UnixMilli()-g.start), max(0, g.stop-ceilMillis(w.To))
	return g.cut(w, slice, res)
}

// newLooseGrid is of a store that scrapes at times of its own, late by at most
// so much. It starts with the window and ends that much after it, so that the
// samples that tell of its last moments are in it. The time counts as well: in
// as much more time there are as many more samples, and the rate of what runs
// all the time comes out right.
func newLooseGrid(w guardian.Window, slice, resolution, late time.Duration) (grid, error) {
	res := resolution.Milliseconds()
	g, err := grid{start: w.From.UnixMilli(), stop: ceilMillis(w.To) + late.Milliseconds()}.cut(w, slice, res)
	if err != nil {
		return grid{}, err
	}
	// A rest in which there may be no sample at all belongs to the slice before.
	if rest := g.stop - g.start - int64(g.n-1)*g.slice.Milliseconds(); g.n > 1 && rest < res {
		g.n--
	}
	return g, nil
}

// cut cuts the grid between start and stop into slices.
func (g grid) cut(w guardian.Window, slice time.Duration, res int64) (grid, error) {
	if w.From.IsZero() || !w.To.After(w.From) {
		return grid{}, fault.InvalidField("window", "must end after it starts")
	}
	if w.To.Sub(w.From) > maxWindow {
		return grid{}, fault.InvalidField("window", "is longer than %s", maxWindow)
	}
	if slice < 0 {
		return grid{}, fault.InvalidField("slice", "cannot be negative")
	}
	if slice == 0 {
		slice = time.Duration(g.stop-g.start) * time.Millisecond / 60
	}
	ms := max(res, -floorTo(-slice.Milliseconds(), res))
	g.slice = time.Duration(ms) * time.Millisecond
	g.n = int((g.stop - g.start + ms - 1) / ms)
	if g.n > maxSlices {
		return grid{}, fault.InvalidField("slice", "%s cuts the window into %d pieces, more than %d", slice, g.n, maxSlices)
	}
	return g, nil
}

func floorTo(v, unit int64) int64 { return v - ((v%unit)+unit)%unit }

func ceilMillis(t time.Time) int64 {
	ms := t.UnixMilli()
	if t.After(time.UnixMilli(ms)) {
		ms++
	}
	return ms
}

func (g grid) from() time.Time       { return time.UnixMilli(g.start) }
func (g grid) to() time.Time         { return time.UnixMilli(g.stop) }
func (g grid) length() time.Duration { return time.Duration(g.stop-g.start) * time.Millisecond }

// full is the number of slices of the common length: n, or one less.
func (g grid) full() int {
	if g.stop-g.start == int64(g.n)*g.slice.Milliseconds() {
		return g.n
	}
	return g.n - 1
}

// end returns when slice i ends.
func (g grid) end(i int) time.Time {
	if i == g.n-1 {
		return g.to()
	}
	return time.UnixMilli(g.start + int64(i+1)*g.slice.Milliseconds())
}

// index returns the slice of a sample; outside the window it is -1.
func (g grid) index(t int64) int {
	if t <= g.start || t > g.stop {
		return -1
	}
	return min(g.n-1, int((t-g.start-1)/g.slice.Milliseconds()))
}

// empty returns the slices with their lengths and nothing in them.
func (g grid) empty() []judge.Slice {
	out := make([]judge.Slice, g.n)
	for i := range out {
		out[i].Seconds = g.slice.Seconds()
	}
	last := g.stop - g.start - int64(g.n-1)*g.slice.Milliseconds()
	out[g.n-1].Seconds = float64(last-g.trail) / 1000
	out[0].Seconds -= float64(g.lead) / 1000
	return out
}

// counting differences counters into Total, and into Bad where bad(series). It
// is fed with the samples in order of time, in any number of pieces.
type counting struct {
	grid grid
	bad  func(labels.Labels) bool
	out  []judge.Slice
	last map[uint64]float64 // by hash of the labels
}

func newCounting(g grid, bad func(labels.Labels) bool) *counting {
	return &counting{grid: g, bad: bad, out: g.empty(), last: map[uint64]float64{}}
}

func (c *counting) add(m promql.Matrix) error {
	for _, series := range m {
		if len(series.Histograms) > 0 {
			return fault.Invalid("%s is a histogram, expected a counter", series.Metric)
		}
		id, bad := series.Metric.Hash(), c.bad(series.Metric)
		c.last[id] = eachIncrease(c.last[id], series.Floats, func(t int64, inc float64) {
			i := c.grid.index(t)
			if i < 0 {
				return
			}
			c.out[i].Total += inc
			if bad {
				c.out[i].Bad += inc
			}
		})
	}
	return nil
}

func (c *counting) slices() ([]judge.Slice, error) { return c.out, nil }

// eachIncrease visits what every sample of a counter has more than the one
// before, the first one more than prev, and returns the last value. A counter
// that fell was reset: everything it shows came after.
func eachIncrease(prev float64, points []promql.FPoint, visit func(t int64, inc float64)) float64 {
	for _, p := range points {
		inc := p.F - prev
		if inc < 0 {
			inc = p.F
		}
		prev = p.F
		if inc > 0 {
			visit(p.T, inc)
		}
	}
	return prev
}

// distributing differences native histograms, series by series, and merges
// them per slice. It is fed like counting.
type distributing struct {
	grid   grid
	merged []*histogram.FloatHistogram
	last   map[uint64]*histogram.FloatHistogram
}

func newDistributing(g grid) *distributing {
	return &distributing{g, make([]*histogram.FloatHistogram, g.n), map[uint64]*histogram.FloatHistogram{}}
}

func (d *distributing) add(m promql.Matrix) error {
	for _, series := range m {
		if len(series.Floats) > 0 {
			return fault.Invalid("%s holds plain numbers, expected a native histogram", series.Metric)
		}
		id := series.Metric.Hash()
		for _, p := range series.Histograms {
			if p.H.UsesCustomBuckets() {
				return fault.Invalid("%s has classic buckets, expected a native histogram", series.Metric)
			}
			if err := d.observe(d.grid.index(p.T), d.last[id], p.H); err != nil {
				return fault.Internal("differencing %s: %w", series.Metric, err)
			}
			d.last[id] = p.H
		}
	}
	return nil
}

func (d *distributing) observe(slice int, prev, cur *histogram.FloatHistogram) error {
	if slice < 0 {
		return nil
	}
	inc, err := histogramIncrease(prev, cur)
	if err != nil {
		return err
	}
	if d.merged[slice] == nil {
		d.merged[slice] = inc
		return nil
	}
	d.merged[slice], _, _, err = d.merged[slice].Add(inc)
	return err
}

func (d *distributing) slices() ([]judge.Slice, error) {
	out := d.grid.empty()
	for i, h := range d.merged {
		if h != nil && h.Count > 0 {
			out[i].Histogram = judgeHistogram(h)
		}
	}
	return out, nil
}

// histogramIncrease returns what cur has more than prev, of which any bucket
// that fell tells that it was reset. A change of resolution between the two is
// brought down to the coarser one.
func histogramIncrease(prev, cur *histogram.FloatHistogram) (*histogram.FloatHistogram, error) {
	inc := cur.Copy()
	inc.CounterResetHint = histogram.GaugeType // differences are no counters
	if prev == nil {
		return inc, nil
	}
	// The hints are about the neighbour in the chunk, which is not always the
	// neighbour here; compare the numbers themselves.
	a, b := *cur, *prev
	a.CounterResetHint, b.CounterResetHint = histogram.UnknownCounterReset, histogram.UnknownCounterReset
	// A finer resolution than before counts as a reset in PromQL; between two
	// resolutions we compare at the coarser one instead.
	cmp := &a
	if a.Schema > b.Schema {
		cmp = a.CopyToSchema(b.Schema)
	}
	if cmp.DetectReset(&b) {
		return inc, nil
	}
	b.CounterResetHint = histogram.GaugeType
	out, _, _, err := inc.Sub(&b)
	return out, err
}

// judgeHistogram converts the layout; indexes mean the same in both.
func judgeHistogram(h *histogram.FloatHistogram) *judge.Histogram {
	out := &judge.Histogram{Schema: int(h.Schema), Count: h.Count, Sum: h.Sum}
	if h.ZeroCount > 0 {
		out.ZeroThreshold, out.ZeroCount = h.ZeroThreshold, h.ZeroCount
	}
	for it := h.PositiveBucketIterator(); it.Next(); {
		if b := it.At(); b.Count > 0 {
			out.Buckets = append(out.Buckets, judge.Bucket{Index: int(b.Index), Count: b.Count})
		}
	}
	return out
}

// valueSlices puts the values, taken at the ends of slices, into the slices; no
// value is NaN. All samples must be of one series.
func valueSlices(m promql.Matrix, g grid) ([]judge.Slice, error) {
	out := g.empty()
	for i := range out {
		out[i].Value = judge.Number(math.NaN())
	}
	for _, series := range m {
		if labels.Compare(series.Metric, m[0].Metric) != 0 {
			return nil, fault.Invalid("the expression gives several series, expected one: aggregate them with sum() or another operator; among them %s and %s", m[0].Metric, series.Metric)
		}
		if len(series.Histograms) > 0 {
			return nil, fault.Invalid("the expression gives histograms, expected numbers: take histogram_quantile() or histogram_count() of it")
		}
		for _, p := range series.Floats {
			if i := g.index(p.T); i >= 0 {
				out[i].Value = judge.Number(p.F)
			}
		}
	}
	return out, nil
}
