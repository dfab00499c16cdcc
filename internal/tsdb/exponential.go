package tsdb

import (
	"math"
	"slices"

	"github.com/prometheus/prometheus/model/histogram"

	"github.com/tidegate-io/tidegate/fault"
)

// shownBucket is a bucket as the HTTP API shows it: by its boundaries and
// which of them belong to it. Empty ones are not shown.
type shownBucket struct {
	ends                int
	lower, upper, count float64
}

// bothEnds belong only to the zero bucket.
const bothEnds = 3

// boundaryTolerance is how far, in buckets, a boundary may be from where the
// layout has it: far above what rounding does (10⁻¹⁰ at the finest layout), far
// below a bucket.
const boundaryTolerance = 1e-6

// exponential finds the layout of a native histogram again. The boundaries of
// schema s are the powers of 2^(2^-s), so the width of a bucket tells s and its
// upper boundary tells its index:
// https://prometheus.io/docs/specs/native_histograms/#schema.
//
// The threshold of an empty zero bucket is not shown, and is 0 here. An empty
// histogram gets the finest layout, which makes no other one coarser.
func exponential(count, sum float64, buckets []shownBucket) (*histogram.FloatHistogram, error) {
	h := &histogram.FloatHistogram{Schema: histogram.ExponentialSchemaMax, Count: count, Sum: sum}
	sides := make([]shownBucket, 0, len(buckets)) // positive, or negative mirrored
	negative := 0
	for _, b := range buckets {
		switch {
		case !(b.count >= 0) || math.IsInf(b.count, 0):
			return nil, fault.Internal("a bucket with a count of %v", b.count)
		case b.ends == bothEnds && b.lower == -b.upper && b.upper >= 0:
			h.ZeroThreshold, h.ZeroCount = b.upper, b.count
			continue
		case b.upper <= 0:
			b.lower, b.upper = -b.upper, -b.lower
			negative++
		}
		if !(b.lower >= 0) || !(b.upper > b.lower) || math.IsInf(b.upper, 0) {
			return nil, notExponential(b)
		}
		sides = append(sides, b)
	}
	if len(sides) == 0 {
		return h, nil
	}
	// The farthest from zero: the zero bucket may cut off a part of the nearest.
	outer := sides[len(sides)-1]
	if negative == len(sides) {
		outer = sides[0]
	}
	schema := math.Round(-math.Log2(math.Log2(outer.upper) - math.Log2(outer.lower)))
	if !(schema >= float64(histogram.ExponentialSchemaMin) && schema <= float64(histogram.ExponentialSchemaMax)) {
		return nil, notExponential(outer)
	}
	h.Schema = int32(schema)
	var err error
	if h.NegativeSpans, h.NegativeBuckets, err = spansOf(sides[:negative], h); err != nil {
		return nil, err
	}
	h.PositiveSpans, h.PositiveBuckets, err = spansOf(sides[negative:], h)
	return h, err
}

func notExponential(b shownBucket) error {
	return fault.Invalid("a bucket from %v to %v is of no exponential layout: expected a native histogram", b.lower, b.upper)
}

// spansOf writes the buckets of one side as spans, in the order of indexes.
func spansOf(buckets []shownBucket, h *histogram.FloatHistogram) ([]histogram.Span, []float64, error) {
	slices.SortFunc(buckets, func(a, b shownBucket) int {
		if a.upper < b.upper {
			return -1
		}
		return 1
	})
	var out []histogram.Span
	var counts []float64
	scale := math.Exp2(float64(h.Schema))
	next := int32(0)
	for i, b := range buckets {
		at := math.Log2(b.upper) * scale
		index := math.Round(at)
		below := math.Log2(b.lower)*scale - (index - 1)
		cut := h.ZeroCount > 0 && b.lower == h.ZeroThreshold
		if math.Abs(at-index) > boundaryTolerance || !cut && math.Abs(below) > boundaryTolerance {
			return nil, nil, notExponential(b)
		}
		gap := int32(index) - next
		switch {
		case i > 0 && gap < 0:
			return nil, nil, fault.Internal("two buckets up to %v", b.upper)
		case i > 0 && gap == 0:
			out[len(out)-1].Length++
		default:
			out = append(out, histogram.Span{Offset: gap, Length: 1})
		}
		counts = append(counts, b.count)
		next = int32(index) + 1
	}
	return out, counts, nil
}
