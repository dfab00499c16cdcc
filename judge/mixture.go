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
func alternativesAbove() (out [alternatives]float64) {
	for i := range out {
		t := math.Tan(math.Pi / 4 * (1 + (float64(i)+0.5)/alternatives))
		out[i] = t * t
	}
	return out
}

func alternativesBelow() [alternatives]float64 {
	out := alternativesAbove()
	for i := range out {
		out[i] = 1 / out[i]
	}
	return out
}

// mixture is an e-process averaged over alternatives and over the slice in
// which the candidate became unacceptable, with prior probabilities
// 1/(s(s+1)): the evidence of a change after a long good time is then not
// eaten up by that time (Shin, Ramdas & Rinaldo 2024, New England J. Statist.
// Data Sci., e-detectors; here with total mass 1, so that Ville's inequality
// holds for all time).
type mixture struct {
	likelihoods *likelihoods

	mass    [alternatives]float64 // on each alternative, started, in units of exp(scale)
	scale   float64
	unit    float64 // exp(-scale)
	waiting float64 // mass not started yet
	started float64

	top     float64 // the highest value so far, in units of exp(scale)
	highest float64 // its logarithm
}

func newMixture(l *likelihoods) *mixture {
	return &mixture{likelihoods: l, waiting: 1, unit: 1, highest: math.Inf(-1)}
}

const (
	// muchMass is from where masses are put in a larger unit.
	muchMass = 1e100
	// muchEvidence, in one slice, is from where its factors are.
	muchEvidence = 100
)

// step multiplies with the factor of one slice.
func (m *mixture) step(e *events) {
	m.started++
	begins := 1 / (m.started * (m.started + 1))
	m.waiting -= begins
	begins *= m.unit / alternatives
	var factors [alternatives]float64
	m.likelihoods.of(e, &factors)
	if largest := m.largest(&factors); largest > muchEvidence {
		for j := range factors {
			factors[j] -= largest
		}
		m.lift(largest)
	}
	exponentiate(&factors)
	sum := max(0, m.waiting) * m.unit
	for j, f := range factors {
		m.mass[j] = (m.mass[j] + begins) * f
		sum += m.mass[j]
	}
	if sum > m.top {
		m.top, m.highest = sum, max(m.highest, m.scale+math.Log(sum))
	}
	if sum > muchMass {
		for j := range m.mass {
			m.mass[j] /= sum
		}
		m.lift(math.Log(sum))
	}
}

// largest logarithm of the factors of alternatives that have any mass.
func (m *mixture) largest(logs *[alternatives]float64) float64 {
	largest := math.Inf(-1)
	for j, l := range logs {
		if l > largest && m.mass[j]+m.unit > 0 {
			largest = l
		}
	}
	return largest
}

// lift makes the unit exp(by) times as large, but for the masses.
func (m *mixture) lift(by float64) {
	m.scale += by
	m.unit *= math.Exp(-by)
	m.top *= math.Exp(-by)
}
