package judge

import "math"

// The evidence of a watch, which may be looked at after every slice, is an e-process: a
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
