package judge

import (
	"math"
	"math/rand/v2"
	"testing"
)

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

// direct is the definition of both e-processes, in logarithms throughout.
func direct(es []events, worse, fine [alternatives]float64, k, m float64) (fail, pass float64) {
	factor := func(e events, rho float64) float64 {
		s := k * e.candidateExposure / e.baselineExposure
		a := rho * (s + 1) / (rho*s + 1)
		return e.candidate*math.Log(a) + e.baseline*math.Log((s+1)/(rho*s+1)) - e.candidateExposure*m*(a-1)
	}
	var masses, sums [alternatives]float64
	for j := range masses {
		masses[j] = math.Inf(-1)
	}
	fail = math.Inf(-1)
	for i, e := range es {
		n := float64(i + 1)
		now := math.Log(1 / (n + 1)) // not started yet
		for j := range masses {
			masses[j] = logAdd(masses[j], -math.Log(n*(n+1)*alternatives)) + factor(e, worse[j])
			sums[j] += factor(e, fine[j])
			now = logAdd(now, masses[j])
		}
		fail = max(fail, now)
	}
	return fail, meanExp(sums)
}

func TestMixtureIsItsDefinition(t *testing.T) {
	rng := newRand(9)
	for range 500 {
		es := someEvents(rng)
		k, m := 1+0.1*rng.Float64(), []float64{0, 0.005, 0.3}[rng.IntN(3)]
		worse, fine := alternativesAbove(), alternativesBelow()
		if rng.IntN(2) == 0 {
			k, m, worse, fine = 2-k, -m, fine, worse
		}
		fail, pass := newMixture(newLikelihoods(worse, k, m)), newLikelihoods(fine, k, m)
		for _, e := range es {
			fail.step(&e)
			pass.add(&e)
		}
		wantFail, wantPass := direct(es, worse, fine, k, m)
		// Beyond certainty, masses too small for a float64 may be missing.
		const certain = 100
		near(t, "log e against", min(fail.highest, certain), min(wantFail, certain), 1e-8*max(1, math.Abs(wantFail)))
		near(t, "log e in favour", meanExp(pass.total()), wantPass, 1e-8*max(1, math.Abs(wantPass)))
	}
}

// someEvents are of any level, any share of the candidate, with or without a
// change for the worse or the better, however large.
func someEvents(rng *rand.Rand) []events {
	level := math.Exp(rng.Float64()*14 - 3)
	share := math.Exp(3 * rng.NormFloat64())
	change := math.Exp(2 * rng.NormFloat64())
	n := 1 + rng.IntN(300)
	from := rng.IntN(n)
	es := make([]events, n)
	for i := range es {
		e := &es[i]
		e.baselineExposure = 100 * math.Exp(0.5*rng.NormFloat64())
		e.candidateExposure = share * e.baselineExposure * math.Exp(0.5*rng.NormFloat64())
		e.baseline = math.Floor(level * e.baselineExposure / 100 * 2 * rng.Float64())
		e.candidate = math.Floor(level * e.candidateExposure / 100 * 2 * rng.Float64())
		if i >= from {
			e.candidate *= change
		}
	}
	return es
}

func TestExponentiate(t *testing.T) {
	rng := newRand(1)
	for range 10000 {
		var xs, want [alternatives]float64
		for i := range xs {
			xs[i] = 200 * rng.NormFloat64()
			want[i] = math.Exp(xs[i])
		}
		xs[0], want[0] = -1e9, 0
		xs[1], want[1] = 0, 1
		exponentiate(&xs)
		for i, x := range xs {
			if math.Abs(x-want[i]) > 3e-12*want[i] {
				t.Fatalf("exp is %v, want %v", x, want[i])
			}
		}
	}
}

// BenchmarkMixture is one slice of a watch: both e-processes.
func BenchmarkMixture(b *testing.B) {
	es := someEvents(newRand(4))
	fail, pass := newMixture(newLikelihoods(alternativesAbove(), 1.05, 0.005)), newLikelihoods(alternativesBelow(), 1.05, 0.005)
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		fail.step(&es[i%len(es)])
		pass.add(&es[i%len(es)])
	}
}
