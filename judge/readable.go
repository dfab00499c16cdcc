package judge

import "math"

// tooWide is how many times an estimate and its baseline a number on the log
// scale may be before it says no more than that nothing is known: with few
// points the scale stretches over dozens of orders of magnitude.
const tooWide = 1000

// show opens what the data do not bound, so that what is printed is what is
// known; nothing is decided by it. Counts of less than one independent event
// bound nothing from below, an interval of more than tooWide to either side
// nothing at all.
func (r *Result) show(now *reading, tail, low, high float64) {
	switch {
	case now.kind == Ratio || now.kind == Rate:
		bad := now.bad
		if now.kind == Rate {
			bad = now.n
		}
		k := now.deflate(tail)
		if bad/k < 1 {
			low = 0
		}
		if now.kind == Ratio && (now.n-now.bad)/k < 1 {
			high = 1
		}
	case now.positive && now.quantile == 0 && high > tooWide*now.estimate:
		low, high = 0, math.Inf(1)
	}
	r.Low, r.High = Number(low), Number(high)
}

// explainBounds says why an interval is open.
func (r *Result) explainBounds() {
	what, few := r.Statistic, "requests"
	if r.Kind == Value {
		what, few = "mean", "points"
	}
	switch {
	case r.Kind == Ratio && r.Low == 0 && r.High == 1 && r.N > 0:
		r.Notes = append(r.Notes, "the interval is open: the requests depend on each other so much that they bound nothing")
	case r.Low == 0 && math.IsInf(float64(r.High), 1):
		r.Notes = append(r.Notes, "the interval is open: too few "+few+", too different, to bound the "+what)
	case math.IsInf(float64(r.High), 1):
		r.Notes = append(r.Notes, "the upper bound is open: too few "+few+" to bound the "+what)
	}
}

// dropUnknown takes out a detectable size that is none.
func (r *Result) dropUnknown() {
	if d := float64(r.Detectable); math.IsInf(d, 0) || r.boundless(d) {
		r.Detectable = Number(math.NaN())
	}
	if m := float64(r.MDE); math.IsInf(m, 0) || r.Kind != Ratio && m > tooWide {
		r.MDE = Number(math.NaN())
	}
}

// boundless reports whether a limit on the log scale is none.
func (r *Result) boundless(limit float64) bool {
	estimate, baseline := math.Abs(float64(r.Estimate)), math.Abs(float64(r.Baseline))
	if math.IsInf(limit, 0) || r.Kind == Ratio || estimate == 0 && baseline == 0 {
		return math.IsInf(limit, 0)
	}
	return math.Abs(limit) > tooWide*max(estimate, baseline) || limit > 0 && limit < min(estimate, baseline)/tooWide
}

// interval writes the interval for a sentence.
func (r *Result) interval() string {
	low, high := float64(r.Low), float64(r.High)
	switch {
	case (math.IsInf(low, -1) || low == 0 && r.Kind != Ratio) && math.IsInf(high, 1):
		return "anywhere"
	case math.IsInf(high, 1):
		return "at least " + r.format(low)
	case math.IsInf(low, -1):
		return "at most " + r.format(high)
	}
	return "between " + r.format(low) + " and " + r.format(high)
}

// odds writes evidence; beyond a million its size means nothing to anybody.
func odds(e float64) string {
	if e > 1e6 {
		return "over a million"
	}
	return number(e)
}
