package detect

import (
	"math"

	"github.com/tidegate-io/tidegate/judge"
)

// The layout of the latencies that are kept: schema 3, buckets 9 % wide, from
// some microseconds to half an hour; what lies outside counts at the ends.
const (
	layout      = 3
	lowestIndex = -136 // 2^-17 s
	indexes     = 224
)

// latencies is a histogram of the requests of a long time.
type latencies struct {
	Counts []float32 // nil while empty; indexes long
	N      float64
}

// each visits the buckets of h in our layout.
func each(h *judge.Histogram, visit func(i int, n float64)) {
	if h.ZeroCount > 0 {
		visit(0, h.ZeroCount)
	}
	for _, b := range h.Buckets {
		i := b.Index
		switch {
		case h.Schema > layout:
			i = (i-1)>>(h.Schema-layout) + 1
		case h.Schema < layout:
			// The middle of the wider bucket.
			i = i<<(layout-h.Schema) - 1<<(layout-h.Schema)/2
		}
		visit(min(max(i-lowestIndex, 0), indexes-1), b.Count)
	}
}

// add adds h, moved by so many buckets.
func (l *latencies) add(h *judge.Histogram, move int) {
	if l.Counts == nil {
		l.Counts = make([]float32, indexes)
	}
	each(h, func(i int, n float64) {
		l.Counts[min(max(i+move, 0), indexes-1)] += float32(n)
		l.N += n
	})
}

// clear empties l and keeps its memory.
func (l *latencies) clear() {
	clear(l.Counts)
	l.N = 0
}

// quantile returns the position of the p-quantile in buckets, interpolated.
func (l *latencies) quantile(p float64) float64 {
	rank := p * l.N
	for i, c := range l.Counts {
		if n := float64(c); n > 0 {
			if rank <= n {
				return float64(i) + rank/n - 1
			}
			rank -= n
		}
	}
	return indexes
}

// above returns how many lie above a position.
func (l *latencies) above(position float64) float64 {
	var n float64
	for i := len(l.Counts) - 1; i >= 0 && float64(i) > position; i-- {
		n += float64(l.Counts[i]) * min(float64(i)-position, 1)
	}
	return n
}

// countAbove is the same for one slot.
func countAbove(h *judge.Histogram, position float64) (above, total float64) {
	each(h, func(i int, n float64) {
		total += n
		above += n * min(max(float64(i)-position, 0), 1)
	})
	return above, total
}

// secondsAt and positionOf convert between positions and seconds: bucket i
// ends at 2^((i+lowestIndex)/8).
func secondsAt(position float64) float64 {
	return math.Exp2((position + lowestIndex) / (1 << layout))
}

func positionOf(seconds float64) float64 {
	return math.Log2(seconds)*(1<<layout) - lowestIndex
}

// bucketsPer is how many buckets a difference of one in the natural logarithm is.
const bucketsPer = (1 << layout) / math.Ln2

// learn adds now, keeping so much of what was there.
func (l *latencies) learn(now *latencies, keep float64) {
	if l.Counts == nil {
		l.Counts = make([]float32, indexes)
	}
	for i, c := range now.Counts {
		l.Counts[i] = l.Counts[i]*float32(keep) + c
	}
	l.N = l.N*keep + now.N
}
