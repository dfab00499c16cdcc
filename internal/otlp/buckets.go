package otlp

import (
	"math"
	"sort"

	"github.com/prometheus/prometheus/model/histogram"
)

// Durations are kept in native histograms of schema 3: eight buckets per power
// of two, each 9 % wider than the one before.
const (
	schema        = 3
	zeroThreshold = 2.938735877055719e-39 // 2^-128, the default of Prometheus' clients
)

// fractions are the lower bounds of the eight buckets in [0.5, 1).
var fractions = func() (b [8]float64) {
	for i := range b {
		b[i] = math.Exp2(float64(i)/8 - 1)
	}
	return b
}()

// bucketIndex returns the bucket i with 2^((i-1)/8) < v ≤ 2^(i/8), v > 0 in
// seconds; the layout of Prometheus native histograms.
func bucketIndex(v float64) int32 {
	frac, exp := math.Frexp(v)
	return int32(sort.SearchFloat64s(fractions[:], frac) + (exp-1)*len(fractions))
}

// durations is a histogram that grows: dense counts from bucket index off on.
type durations struct {
	count uint64
	zero  uint64
	sumNs uint64
	off   int32
	n     []uint64
}

// observe adds one duration in nanoseconds.
func (d *durations) observe(ns uint64) {
	d.count++
	d.sumNs += ns
	if ns == 0 {
		d.zero++
		return
	}
	d.add(bucketIndex(float64(ns)/1e9), 1)
}

func (d *durations) add(i int32, by uint64) {
	if len(d.n) == 0 {
		d.off = i
	}
	if i < d.off {
		grown := make([]uint64, int(d.off-i)+len(d.n))
		copy(grown[d.off-i:], d.n)
		d.n, d.off = grown, i
	}
	for int(i-d.off) >= len(d.n) {
		d.n = append(d.n, 0)
	}
	d.n[i-d.off] += by
}

// merge adds other to d.
func (d *durations) merge(other *durations) {
	d.count += other.count
	d.zero += other.zero
	d.sumNs += other.sumNs
	for i, n := range other.n {
		if n > 0 {
			d.add(other.off+int32(i), n)
		}
	}
}

// reset empties d and keeps its memory.
func (d *durations) reset() { *d = durations{n: d.n[:0]} }

// native returns a new Prometheus histogram in seconds.
func (d *durations) native() *histogram.Histogram {
	h := &histogram.Histogram{
		Schema: schema, ZeroThreshold: zeroThreshold,
		ZeroCount: d.zero, Count: d.count, Sum: float64(d.sumNs) / 1e9,
	}
	next := int32(0) // the index that the current span would reach next
	last := int64(0)
	for i, n := range d.n {
		if n == 0 {
			continue
		}
		idx := d.off + int32(i)
		if k := len(h.PositiveSpans); k > 0 && idx == next {
			h.PositiveSpans[k-1].Length++
		} else {
			h.PositiveSpans = append(h.PositiveSpans, histogram.Span{Offset: idx - next, Length: 1})
		}
		h.PositiveBuckets = append(h.PositiveBuckets, int64(n)-last)
		last, next = int64(n), idx+1
	}
	return h
}

// fromNative reads a histogram that native has made.
func fromNative(h *histogram.Histogram) durations {
	d := durations{count: h.Count, zero: h.ZeroCount, sumNs: uint64(math.Round(h.Sum * 1e9))}
	for it := h.PositiveBucketIterator(); it.Next(); {
		if b := it.At(); b.Count > 0 {
			d.add(b.Index, b.Count)
		}
	}
	return d
}
