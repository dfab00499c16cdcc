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

	means sums // of a watch that cannot count

	fail, pass float64 // logarithms of the e-values
	shape      finding
}

// sums are what weighMeans found: the variance is that of one slice.
type sums struct {
	n            int
	variance, df float64
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
			said, res.format(limit), odds(math.Exp(w.fail)), res.among())
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
