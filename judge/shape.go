package judge

import (
	"fmt"
	"math"
	"sort"
)

// finding is what a comparison of shapes found besides the chosen statistic:
// a tail, a mode or errors that only the candidate has.
type finding struct {
	notes   []string
	certain bool // beyond chance at the guardian's α: a pass becomes a warning
}

// apply makes a pass with a finding beyond chance a warning: the objective's
// own criterion holds, but a person should look.
func (f finding) apply(res *Result) {
	if f.certain && res.Status == StatusPass {
		res.Status = StatusWarn
		res.Why += " But: " + f.notes[0] + "."
	}
}

// shapeOf looks for what the chosen statistic may hide.
func shapeOf(now, base *reading, sides []side, accept acceptable, alpha float64) finding {
	if sides[0] != up {
		return finding{}
	}
	switch now.kind {
	case Ratio:
		return newErrors(now, base, alpha)
	case Distribution:
		return newTail(now, base, accept, alpha)
	case Value:
		return newValues(now.points, base.points, accept, alpha)
	}
	return finding{}
}

// newErrors reports errors that only the candidate has. Under equal rates the
// events fall on the candidate with the probability of its share of requests,
// so all of them do with share^bad.
func newErrors(now, base *reading, alpha float64) finding {
	if base.bad > 0 || now.bad == 0 {
		return finding{}
	}
	note := fmt.Sprintf("errors exist only in the candidate: %s of %s requests failed, in the baseline none of %s",
		count(now.bad), count(now.n), count(base.n))
	p := math.Pow(now.n/(now.n+base.n), now.bad/base.phi)
	return finding{notes: []string{note}, certain: p <= alpha}
}

// tailShares are the upper shares of the baseline at whose quantiles the tails
// are compared; the last is lowered to what the baseline can resolve.
var tailShares = []float64{0.5, 0.25, 0.1, 0.05, 0.02, 0.01, 0.001}

// newTail looks for a place in the baseline's distribution beyond which the
// candidate has more observations than acceptable: those beyond the baseline's
// quantile scaled by the tolerance. The counts are compared given their sum
// (conditional binomial test, Przyborowski & Wilenski 1940, Biometrika 31),
// with Bonferroni's correction for the places looked at.
func newTail(now, base *reading, accept acceptable, alpha float64) finding {
	best, bestP := 0.0, alpha/float64(len(tailShares))
	for _, share := range tailShares {
		if base.n*share < 1 {
			break
		}
		cut := base.hist.quantile(1 - share)
		x := now.hist.above(accept.limit(up, cut)) / base.phi
		expected := base.n * share / base.phi
		if x <= expected*now.n/base.n {
			continue
		}
		// P(X >= x | x + expected events): X is binomial with n/(n + base.n).
		if p := betaCDF(now.n/(now.n+base.n), x, expected+1); p < bestP {
			best, bestP = share, p
		}
	}
	if best == 0 {
		return finding{}
	}
	cut := accept.limit(up, base.hist.quantile(1-best))
	note := fmt.Sprintf("the candidate has a tail the baseline has not: %s of its requests are slower than %s, in the baseline %s",
		percent(now.hist.above(cut)/now.n), quantity(cut, now.unit), percent(base.hist.above(cut)/base.n))
	return finding{notes: []string{note}, certain: true}
}

// newValues does so for the points of a value: how many of the candidate's lie
// beyond every point of the baseline. If both came from one distribution, that
// the m largest of all are the candidate's has the probability of drawing them
// from it alone (Rosenbaum 1954, Ann. Math. Statist. 25).
func newValues(now, base []float64, accept acceptable, alpha float64) finding {
	if len(now) == 0 || len(base) == 0 {
		return finding{}
	}
	highest := base[0]
	for _, v := range base {
		highest = max(highest, v)
	}
	beyond := append([]float64(nil), now...)
	sort.Float64s(beyond)
	cut := accept.limit(up, highest)
	m := len(beyond) - sort.SearchFloat64s(beyond, math.Nextafter(cut, math.Inf(1)))
	p := 1.0
	for i := range m {
		p *= float64(len(now)-i) / float64(len(now)+len(base)-i)
	}
	if m == 0 || p > alpha {
		return finding{}
	}
	note := fmt.Sprintf("%d of %d points of the candidate lie beyond every point of the baseline", m, len(now))
	return finding{notes: []string{note}, certain: true}
}
