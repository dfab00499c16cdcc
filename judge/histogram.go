package judge

import (
	"errors"
	"math"
)

// Bounds on what is accepted as a histogram. The schemas are those of
// OpenTelemetry (-10 … 20), which include Prometheus' (-4 … 8); 4,096 buckets
// of schema 3 span a factor of 2^512, so a merged histogram is coarsened only
// when the input is hostile or absurdly fine.
const (
	minSchema  = -10
	maxSchema  = 20
	maxIndex   = 1 << 30
	maxBuckets = 4096
)

var (
	errSchema  = errors.New("a histogram has a bucket layout that is not exponential")
	errBuckets = errors.New("a histogram has buckets that are out of order or out of range")
	errCount   = errors.New("a histogram has a count that is negative or not a number")
)

// validate checks all but the buckets, which are checked as they are added up.
func (h *Histogram) validate() error {
	if h.Schema < minSchema || h.Schema > maxSchema {
		return errSchema
	}
	if !isCount(h.ZeroCount) || !isCount(h.ZeroThreshold) || math.IsNaN(h.Sum) || math.IsInf(h.Sum, 0) {
		return errCount
	}
	if n := len(h.Buckets); n > 0 && !(h.Buckets[0].Index >= -maxIndex && h.Buckets[0].Index <= h.Buckets[n-1].Index && h.Buckets[n-1].Index <= maxIndex) {
		return errBuckets
	}
	return nil
}

func isCount(f float64) bool { return f >= 0 && !math.IsInf(f, 1) }

// observations counts what the buckets hold; it is preferred to Count, which
// differs from them when NaN was observed or counts were interpolated.
func (h *Histogram) observations() float64 {
	n := h.ZeroCount
	for _, b := range h.Buckets {
		n += b.Count
	}
	return n
}

// bucketBelow returns the coarser bucket that holds bucket i after the schema
// is lowered by d: (i-1)>>d + 1, since bucket i is (base^(i-1), base^i].
func bucketBelow(i, d int) int { return (i-1)>>d + 1 }

// above returns how many observations exceed x, assuming that within a bucket
// they are spread evenly on the log scale (as Prometheus' histogram_quantile
// does for native histograms).
func (h *Histogram) above(x float64) float64 {
	if x < h.ZeroThreshold || x <= 0 {
		n := h.observations()
		if x > 0 {
			n -= h.ZeroCount * x / h.ZeroThreshold
		}
		return n
	}
	return h.abovePosition(positionOf(x, h.Schema))
}

// positionOf is where x lies on the scale of bucket indexes: in bucket i for
// i−1 < position <= i.
func positionOf(x float64, schema int) float64 { return math.Log2(x) * math.Exp2(float64(schema)) }

// abovePosition returns how many observations lie above a position in the
// buckets.
func (h *Histogram) abovePosition(position float64) float64 {
	var n float64
	for i := len(h.Buckets) - 1; i >= 0; i-- {
		b := h.Buckets[i]
		inside := float64(b.Index) - position // part of the bucket above x
		if inside <= 0 {
			break
		}
		n += b.Count * min(inside, 1)
	}
	return n
}

// cut counts what lies above one value in many histograms.
type cut struct {
	x, position float64
	schema      int // that position is for
}

func newCut(x float64) *cut { return &cut{x: x, schema: maxSchema + 1} }

// above is h.above(c.x); the logarithm is taken once a schema.
func (c *cut) above(h *Histogram) float64 {
	if c.x < h.ZeroThreshold || c.x <= 0 {
		return h.above(c.x)
	}
	if c.schema != h.Schema {
		c.schema, c.position = h.Schema, positionOf(c.x, h.Schema)
	}
	return h.abovePosition(c.position)
}

// merged is the sum of many histograms, dense.
type merged struct {
	schema        int
	first         int // index of counts[0]
	counts        []float64
	zero          float64
	zeroThreshold float64
	n             float64
	sum           float64
	perSlice      []float64 // observations of each slice
}

// mergeHistograms adds up the histograms of all slices at the coarsest schema
// among them. It returns nil when there is not one observation.
func mergeHistograms(slices []Slice) (*merged, error) {
	m := newMerged()
	m.perSlice = make([]float64, len(slices))
	for i := range slices {
		if h := slices[i].Histogram; h != nil {
			n, err := m.add(h)
			if err != nil {
				return nil, err
			}
			m.perSlice[i] = n
		}
	}
	if m.n <= 0 {
		return nil, nil
	}
	return m, nil
}

func newMerged() *merged { return &merged{schema: maxSchema} }

// add returns how many observations were added. Each histogram is read once:
// over a long window, waiting for the memory they lie in is most of the cost.
func (m *merged) add(h *Histogram) (float64, error) {
	if err := h.validate(); err != nil {
		return 0, err
	}
	m.makeRoom(h)
	d, counts, first := h.Schema-m.schema, m.counts, m.first
	n, last := h.ZeroCount, -maxIndex-1
	for _, b := range h.Buckets {
		i := uint(bucketBelow(b.Index, d) - first)
		if b.Index <= last || i >= uint(len(counts)) {
			return 0, errBuckets
		}
		if b.Count < 0 {
			return 0, errCount
		}
		last = b.Index
		counts[i] += b.Count
		n += b.Count
	}
	if !isCount(n) { // one of them was not a number
		return 0, errCount
	}
	m.n += n
	m.zero += h.ZeroCount
	m.zeroThreshold = max(m.zeroThreshold, h.ZeroThreshold)
	m.sum += h.Sum
	return n, nil
}

// makeRoom lowers the schema to the histogram's and widens counts to hold its
// buckets.
func (m *merged) makeRoom(h *Histogram) {
	if h.Schema < m.schema {
		m.coarsen(m.schema - h.Schema)
	}
	if len(h.Buckets) == 0 {
		return
	}
	for {
		d := h.Schema - m.schema
		low, high := bucketBelow(h.Buckets[0].Index, d), bucketBelow(h.Buckets[len(h.Buckets)-1].Index, d)
		if len(m.counts) > 0 {
			low, high = min(low, m.first), max(high, m.first+len(m.counts)-1)
		}
		switch {
		case high-low >= maxBuckets:
			m.coarsen(1)
			continue
		case high-low >= len(m.counts):
			counts := make([]float64, high-low+1)
			if len(m.counts) > 0 {
				copy(counts[m.first-low:], m.counts)
			}
			m.first, m.counts = low, counts
		}
		return
	}
}

func (m *merged) coarsen(by int) {
	m.schema -= by
	if len(m.counts) == 0 {
		return
	}
	first, last := bucketBelow(m.first, by), bucketBelow(m.first+len(m.counts)-1, by)
	counts := make([]float64, last-first+1)
	for i, c := range m.counts {
		counts[bucketBelow(m.first+i, by)-first] += c
	}
	m.first, m.counts = first, counts
}

// upper returns the upper bound of counts[i].
func (m *merged) upper(i int) float64 {
	return math.Exp2(float64(m.first+i) * math.Exp2(-float64(m.schema)))
}

// atRank returns the value below which rank observations lie, interpolating
// exponentially within a bucket.
func (m *merged) atRank(rank float64) float64 {
	if rank <= m.zero && m.zero > 0 {
		return m.zeroThreshold * max(0, rank) / m.zero
	}
	rank -= m.zero
	last := -1
	for i, c := range m.counts {
		if c == 0 {
			continue
		}
		if rank <= c {
			position := float64(m.first+i-1) + max(0, rank)/c
			return math.Exp2(position * math.Exp2(-float64(m.schema)))
		}
		rank -= c
		last = i
	}
	if last < 0 {
		return m.zeroThreshold
	}
	return m.upper(last)
}

// quantile returns the p-quantile.
func (m *merged) quantile(p float64) float64 { return m.atRank(p * m.n) }

// above returns how many observations exceed x.
func (m *merged) above(x float64) float64 {
	if x < m.zeroThreshold || x <= 0 {
		n := m.n
		if x > 0 {
			n -= m.zero * x / m.zeroThreshold
		}
		return n
	}
	position := positionOf(x, m.schema) - float64(m.first)
	var n float64
	for i := len(m.counts) - 1; i >= 0 && float64(i) > position; i-- {
		n += m.counts[i] * min(float64(i)-position, 1)
	}
	return n
}

// variance returns the variance of the observations around mean, taking each
// bucket at its geometric centre.
func (m *merged) variance(mean float64) float64 {
	v := m.zero * (mean - m.zeroThreshold/2) * (mean - m.zeroThreshold/2)
	half := math.Exp2(math.Exp2(-float64(m.schema)) / 2)
	for i, c := range m.counts {
		if c > 0 {
			d := m.upper(i)/half - mean
			v += c * d * d
		}
	}
	return v / m.n
}
