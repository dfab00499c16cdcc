package judge

import (
	"fmt"
	"math"
)

// passEvidence is what e-value is enough to pass: 1/miss.
const passEvidence = 1 / miss

// watch is the anytime-valid comparison; mixture.go says why it is.
type watch struct {
	now, base *reading
	side      side
	accept    acceptable
	events    []events
	phi       float64 // what counts are divided by

	fail, pass float64 // logarithms of the e-values
	shape      finding
}

func newWatch(p pair) *watch {
	w := &watch{now: p.now, base: p.base, side: sidesOf(p.objective.Worse, p.now.kind)[0], accept: p.accept}
	n := min(len(p.candidate.Slices), len(p.baseline.Slices))
	w.shape = shapeOf(p.now, p.base, []side{w.side}, p.accept, p.alpha)
	c, b := p.candidate.Slices[:n], p.baseline.Slices[:n]
	if w.now.kind == Value || w.now.kind == Distribution && w.now.quantile == 0 {
		w.weighMeans(c, b)
		return w
	}
	w.events = w.count(c, b)
	w.phi = dispersion(w.events)
	if len(w.events) >= minSlices {
		w.weigh()
	}
	return w
}

// count reduces the slices to events.
func (w *watch) count(c, b []Slice) []events {
	if w.now.kind == Distribution {
		return w.slowEvents(c, b)
	}
	out := make([]events, len(c))
	for i := range out {
		if w.now.kind == Ratio {
			out[i] = events{c[i].Bad, b[i].Bad, c[i].Total, b[i].Total}
		} else {
			out[i] = events{c[i].Total, b[i].Total, c[i].Seconds, b[i].Seconds}
		}
	}
	return out
}

// inEvents is the side and what is acceptable in terms of the events counted.
// For a distribution the tolerance is in the latency, and too many are worse
// whichever side is watched.
func (w *watch) inEvents() (s side, k, m float64) {
	if w.now.kind == Distribution {
		return up, 1, 0
	}
	return w.side, 1 + float64(w.side)*w.accept.tolerance, float64(w.side) * w.accept.margin
}

// weigh runs both e-processes over the slices.
func (w *watch) weigh() {
	s, k, m := w.inEvents()
	worse, fine := alternativesAbove(), alternativesBelow()
	if s == down {
		worse, fine = fine, worse
	}
	against, inFavour := newMixture(newLikelihoods(worse, k, m)), newLikelihoods(fine, k, m)
	for _, e := range w.events {
		if !e.measurable() {
			continue
		}
		e = events{e.candidate / w.phi, e.baseline / w.phi, e.candidateExposure / w.phi, e.baselineExposure / w.phi}
		against.step(&e)
		inFavour.add(&e)
	}
	w.fail, w.pass = max(0, against.highest), meanExp(inFavour.total())
}

// pValue is valid whenever it is looked at: 1/sup e.
func (w *watch) pValue() float64 { return math.Exp(-max(0, w.fail)) }

func (w *watch) settle(res *Result, level float64, rejected, requirePower bool) {
	limit := w.accept.limit(w.side, w.base.estimate)
	res.Baseline, res.Limit = Number(w.base.estimate), Number(limit)
	res.EValue = Number(math.Exp(w.fail))
	res.Inflation = max(1, w.phi)
	w.settleDetectable(res, level)
	res.Notes = append(res.Notes, w.shape.notes...)
	said := fmt.Sprintf("%s was %s, in the baseline %s", res.subject(), res.format(w.now.estimate), res.format(w.base.estimate))
	switch {
	case rejected:
		res.Status = StatusFail
		res.Why = fmt.Sprintf("%s: at some point it was beyond the acceptable %s, with evidence of %s to 1%s.",
			said, res.format(limit), number(math.Exp(w.fail)), res.among())
	case math.Exp(w.pass) >= passEvidence:
		res.Status = StatusPass
		res.Why = fmt.Sprintf("%s: within the acceptable %s%s.", said, res.format(limit), res.among())
	case requirePower:
		res.Status = StatusInconclusive
		res.Needed = w.needed()
		res.Why = fmt.Sprintf("%s: not decided yet, keep watching%s%s.", said, res.among(), res.more())
	default:
		res.Status = StatusPass
		res.Why = fmt.Sprintf("%s: nothing so far shows it to be beyond the acceptable %s%s.", said, res.format(limit), res.among())
	}
}

// needed extrapolates the growth of the evidence for a pass, which is linear
// in the number of requests.
func (w *watch) needed() float64 {
	if !(w.pass > 0.1) {
		return 0
	}
	more := math.Ceil(w.now.n * (math.Log(passEvidence)/w.pass - 1))
	if !(more > 0) || more > 1e9 {
		return 0
	}
	return more
}

// settleDetectable states the true candidate whose evidence would by now have
// reached 1/level with 95 % power, had it been there from the first slice: for
// each alternative of the mixture the count that suffices, and of these the
// smallest.
func (w *watch) settleDetectable(res *Result, level float64) {
	s, k, m := w.inEvents()
	var x, nc, nb float64
	for _, e := range w.events {
		x += e.baseline / w.phi
		nc += e.candidateExposure / w.phi
		nb += e.baselineExposure / w.phi
	}
	if s == down || nc == 0 || nb == 0 {
		return
	}
	needed := math.Log(2 * alternatives / level) // half of the mass starts with the first slice
	split, least := k*nc/nb, math.Inf(1)
	for _, rho := range alternativesAbove() {
		b := (split + 1) / (rho*split + 1)
		a := rho * b
		against := nc*m*(a-1) - x*math.Log(b)
		least = min(least, (needed+against)/math.Log(a))
	}
	rate := gammaQuantile(1-miss, least) / nc
	if w.now.kind == Distribution {
		at := w.base.hist.quantile(1 - rate)
		if rate >= 1 || at <= 0 || w.side == down {
			return
		}
		rate = w.base.estimate * w.accept.limit(w.side, w.base.estimate) / at
	}
	if w.now.kind == Ratio && rate > 1 {
		return
	}
	res.Detectable = Number(rate)
	if b := w.base.estimate; b > 0 {
		res.MDE = Number(rate/b - 1)
	}
}
