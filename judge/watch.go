package judge

import (
	"fmt"
	"math"
)

// A watch may be looked at after every slice. Its evidence is an e-process: a
// non-negative process whose expectation never exceeds 1 while the candidate
// is acceptable, so that the probability that it ever reaches 1/α is at most α
// (Ville 1939; Ramdas, Grünwald, Vovk & Shafer 2023, Statist. Sci. 38(4)).
//
// Everything is reduced to counts of bad events on both sides: errors of
// requests (ratio), events of time (rate), requests slower than the baseline's
// own quantile (distribution). Given the number of events of both sides in a
// slice, how many fall on the candidate is binomial (Lindon, Sanden &
// Shirikian 2022, arXiv 2205.14762, section 4).
//
// With acceptable = k·baseline + m, exposures nc and nb and any a > 1,
//
//	a^xc · (1 − k·(nc/nb)·(a−1))^xb · exp(−nc·m·(a−1))
//
// is such a factor: for Poisson or binomial counts its expectation is at most
// exp(nc·(a−1)·(pc − k·pb − m)), which is at most 1 for all acceptable pc. For
// m = 0 it is the binomial likelihood ratio. With a < 1 the same expression is
// evidence that the candidate is acceptable.

// alternatives is how many alternatives are mixed: the midpoints of as many
// equal parts, in the angle θ, of Jeffreys' prior Beta(1/2, 1/2) = sin²θ for
// the share of the events that fall on the candidate. 16 parts lose less than
// log 2 against the integral.
const alternatives = 16

// passEvidence is what e-value is enough to pass: 1/miss.
const passEvidence = 1 / miss

// events are the counts of one slice.
type events struct{ candidate, baseline, candidateExposure, baselineExposure float64 }

// watch is the anytime-valid comparison.
type watch struct {
	now, base *reading
	side      side
	accept    acceptable
	events    []events
	phi       float64 // what counts are divided by

	fail, pass float64 // logarithms of the e-values
	shape      finding
}

func newWatch(o *Objective, now, base *reading, candidate, baseline *Sample, accept acceptable, alpha float64) *watch {
	w := &watch{now: now, base: base, side: sidesOf(o.Worse, now.kind)[0], accept: accept}
	n := min(len(candidate.Slices), len(baseline.Slices))
	w.shape = shapeOf(now, base, []side{w.side}, accept, alpha)
	c, b := candidate.Slices[:n], baseline.Slices[:n]
	if now.kind == Value || now.kind == Distribution && now.quantile == 0 {
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
		return slowEvents(c, b, w.now.quantile, w.side, w.accept)
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

// slowEvents counts, slice by slice, the requests slower than the quantile of
// the baseline's earlier slices: the candidate's against the acceptable limit,
// the baseline's against the quantile itself. The threshold used in a slice is
// fixed before it, and moved only after 1, 2, 4, 8 … slices. To the other side
// the faster ones are counted.
func slowEvents(c, b []Slice, quantile float64, s side, accept acceptable) []events {
	out := make([]events, 0, len(c))
	var threshold float64
	next := 1
	for i := range c {
		if i == next {
			if m, err := mergeHistograms(b[:i]); err == nil && m != nil {
				threshold = m.quantile(quantile)
				next *= 2
			} else {
				next++
			}
		}
		ch, bh := c[i].Histogram, b[i].Histogram
		if threshold == 0 || ch == nil || bh == nil {
			continue
		}
		e := events{ch.above(accept.limit(s, threshold)), bh.above(threshold), ch.observations(), bh.observations()}
		if s == down {
			e.candidate, e.baseline = e.candidateExposure-e.candidate, e.baselineExposure-e.baseline
		}
		out = append(out, e)
	}
	return out
}

// dispersion is what the counts are divided by so that they vary no more than
// Poisson's: the inflation in the baseline's slices, which a change of the
// candidate leaves alone, at its upper limit, because a look may come early,
// when it is hardly known. With no event in the baseline there is nothing to
// see, and it is 1.
func dispersion(es []events) float64 {
	var x, n float64
	for _, e := range es {
		x += e.baseline
		n += e.baselineExposure
	}
	if x == 0 || n == 0 || len(es) < minSlices {
		return 1
	}
	residuals := make([]float64, len(es))
	for i, e := range es {
		residuals[i] = e.baseline - x/n*e.baselineExposure
	}
	return upperVariance(residuals, x/float64(len(es))) / (x / float64(len(es)))
}

// assumedRho is the autocorrelation from slice to slice for which the error
// rate of a watch is promised. Slices show it once they hold minSlices
// independent pieces, n(1−ρ)/(1+ρ) = 4, that is after 23; before, it is assumed.
const assumedRho = 0.7

// upperVariance is the upper 95 % limit of the long-run variance of xs, and at
// least white, the variance that independent requests have anyway: only what
// exceeds that can be autocorrelated.
func upperVariance(xs []float64, white float64) float64 {
	const stretch = (1 + assumedRho) / (1 - assumedRho)
	n := float64(len(xs))
	if n >= minSlices*stretch {
		lr := longRunVariance(xs)
		return max(white, upperLimit(lr.variance, lr.df))
	}
	var squares float64
	for _, x := range xs {
		squares += x * x
	}
	return white + stretch*max(0, upperLimit(squares/(n-1), n-1)-white)
}

// upperLimit of a variance estimated with df degrees of freedom: df·v/σ² is
// distributed as χ².
func upperLimit(v, df float64) float64 { return v * df / (2 * gammaQuantile(miss, df/2)) }

// weigh runs both e-processes over the slices.
func (w *watch) weigh() {
	s, k, m := w.inEvents()
	failing, passing := newMixture(alternativesAbove(), true), newMixture(alternativesBelow(), false)
	if s == down {
		failing, passing = newMixture(alternativesBelow(), true), newMixture(alternativesAbove(), false)
	}
	for _, e := range w.events {
		if e.candidateExposure <= 0 || e.baselineExposure <= 0 {
			continue
		}
		e = events{e.candidate / w.phi, e.baseline / w.phi, e.candidateExposure / w.phi, e.baselineExposure / w.phi}
		failing.step(e, k, m)
		passing.step(e, k, m)
		w.fail = max(w.fail, failing.logE())
	}
	w.pass = passing.logE()
}

// alternativesAbove are relative rates above the limit, alternativesBelow
// below it.
func alternativesAbove() []float64 {
	out := make([]float64, alternatives)
	for i := range out {
		t := math.Tan(math.Pi / 4 * (1 + (float64(i)+0.5)/alternatives))
		out[i] = t * t
	}
	return out
}

func alternativesBelow() []float64 {
	out := alternativesAbove()
	for i := range out {
		out[i] = 1 / out[i]
	}
	return out
}

// mixture is an e-process averaged over alternatives and, with restarts, over
// the slice in which the candidate became unacceptable, with prior
// probabilities 1/(s(s+1)): the evidence of a change after a long good time is
// then not eaten up by that time (Shin, Ramdas & Rinaldo 2024, New England J.
// Statist. Data Sci., e-detectors; here with total mass 1, so that Ville's
// inequality holds for all time).
type mixture struct {
	ratios, logRatios []float64

	mass     []float64 // on each alternative, started, in units of exp(scale)
	scale    float64
	waiting  float64 // mass not started yet
	restarts bool
	started  int
}

func newMixture(ratios []float64, restarts bool) *mixture {
	m := &mixture{ratios: ratios, mass: make([]float64, len(ratios)), waiting: 1, restarts: restarts}
	for _, r := range ratios {
		m.logRatios = append(m.logRatios, math.Log(r))
	}
	return m
}

// step multiplies with the factor of one slice, with a as it is in the
// likelihood ratio of a candidate with ρ times the acceptable rate: with
// s = k·nc/nb, a = ρ(s+1)/(ρs+1) and 1 − s(a−1) = (s+1)/(ρs+1) = a/ρ.
func (m *mixture) step(e events, k, margin float64) {
	m.start()
	if e.candidate == 0 && e.baseline == 0 && margin == 0 {
		return
	}
	split := k * e.candidateExposure / e.baselineExposure
	largest := math.Inf(-1)
	var factors [alternatives]float64
	for j, rho := range m.ratios {
		b := (split + 1) / (rho*split + 1)
		factors[j] = (e.candidate+e.baseline)*math.Log(b) + e.candidate*m.logRatios[j] - e.candidateExposure*margin*(rho*b-1)
		if m.mass[j] > 0 {
			largest = max(largest, factors[j])
		}
	}
	m.scale += largest
	for j := range m.mass {
		m.mass[j] *= math.Exp(factors[j] - largest)
	}
}

// start moves the prior mass of beginning in this slice to the alternatives.
func (m *mixture) start() {
	var mass float64
	switch {
	case m.restarts:
		s := float64(m.started + 1)
		mass = 1 / (s * (s + 1))
	case m.started == 0:
		mass = 1
	default:
		return
	}
	m.started++
	m.waiting -= mass
	if m.scale > 600 { // too small beside what is there, and exp would underflow
		return
	}
	for j := range m.mass {
		m.mass[j] += mass / float64(len(m.mass)) * math.Exp(-m.scale)
	}
}

// logE is the logarithm of the e-value.
func (m *mixture) logE() float64 {
	var sum float64
	for _, x := range m.mass {
		sum += x
	}
	return logAdd(math.Log(max(0, m.waiting)), m.scale+math.Log(sum))
}

// logAdd returns log(exp(a) + exp(b)).
func logAdd(a, b float64) float64 {
	if a < b {
		a, b = b, a
	}
	if math.IsInf(b, -1) {
		return a
	}
	return a + math.Log1p(math.Exp(b-a))
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
		res.Why = fmt.Sprintf("%s: at some point it was beyond the acceptable %s, with odds of %s to 1 against chance%s.",
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
