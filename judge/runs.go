package judge

import (
	"math"
	"slices"
)

// usableRuns drops runs of another kind or without a number, and all but the
// newest.
func usableRuns(history []Run, k Kind) []Run {
	out := make([]Run, 0, len(history))
	for i := range history {
		if usable(&history[i], k) {
			out = append(out, history[i])
		}
	}
	return out[max(0, len(out)-maxHistory):]
}

func usable(r *Run, k Kind) bool {
	finite := func(f float64) bool { return !math.IsNaN(f) && !math.IsInf(f, 0) }
	if r.Kind != k || !finite(float64(r.Estimate)) || !finite(r.StdErr) || r.StdErr < 0 ||
		!isCount(r.N) || !isCount(r.Bad) || !isCount(r.Seconds) || !(r.Inflation >= 0) || math.IsInf(r.Inflation, 1) {
		return false
	}
	switch k {
	case Ratio:
		return r.N > 0 && r.Bad <= r.N
	case Rate:
		return r.Seconds > 0
	case Distribution:
		return r.N > 0
	}
	return true
}

func medianEstimate(runs []Run) float64 {
	xs := make([]float64, len(runs))
	for i, r := range runs {
		xs[i] = float64(r.Estimate)
	}
	return medianOf(xs)
}

func medianOf(xs []float64) float64 {
	s := slices.Clone(xs)
	slices.Sort(s)
	if n := len(s); n%2 == 0 {
		return s[n/2-1] + (s[n/2]-s[n/2-1])/2
	}
	return s[len(s)/2]
}

// typicalInflation is the mean φ of the runs: the new run is held against the
// dispersion of the earlier ones, so that a regression that begins half way
// through cannot excuse itself as burstiness.
func typicalInflation(runs []Run) float64 {
	var sum float64
	for _, r := range runs {
		sum += max(1, r.Inflation)
	}
	return sum / float64(len(runs))
}

// centreQuantile is the geometric mean of the runs' quantiles, or the plain
// mean where one is zero.
func centreQuantile(runs []Run) float64 {
	scale := logScale
	for _, r := range runs {
		if r.Estimate <= 0 {
			scale = identityScale
		}
	}
	var sum float64
	for _, r := range runs {
		sum += scale.to(float64(r.Estimate))
	}
	return scale.from(sum / float64(len(runs)))
}
