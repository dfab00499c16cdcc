package main

import (
	"math"
	"math/rand/v2"
	"testing"

	"github.com/tidegate-io/tidegate/judge"
)

// Kayenta's published vector (its MannWhitneySpec, from R's wilcox.test).
func TestShiftIsKayentas(t *testing.T) {
	low, high, estimate := shift([]float64{10, 20, 30, 40}, []float64{1, 2, 3, 4}, 0.95)
	if low != 6 || high != 39 || estimate != 22.5 {
		t.Errorf("shift [%v, %v], estimate %v; want [6, 39], 22.5", low, high, estimate)
	}
}

// R's help of wilcox.test (Hollander & Wolfe 1973, p. 69): the difference in
// location is 0.305, its 95 % interval from −0.15 to 0.76.
func TestShiftIsHodgesAndLehmanns(t *testing.T) {
	low, high, estimate := shift([]float64{0.80, 0.83, 1.89, 1.04, 1.45, 1.38, 1.91, 1.64, 0.73, 1.46}, []float64{1.15, 0.88, 0.90, 0.74, 1.21}, 0.95)
	for _, c := range [][2]float64{{low, -0.15}, {high, 0.76}, {estimate, 0.305}} {
		if math.Abs(c[0]-c[1]) > 1e-9 {
			t.Errorf("shift [%v, %v], estimate %v; want [-0.15, 0.76], 0.305", low, high, estimate)
		}
	}
}

func TestMannWhitneyClassifies(t *testing.T) {
	low := []float64{10, 11, 12, 13, 14, 15, 16, 17}
	high := []float64{40, 41, 42, 43, 44, 45, 46, 47}
	for _, c := range []struct {
		experiment, control []float64
		want                int
	}{{high, low, 1}, {low, high, -1}, {low, low, 0}, {nil, low, 0}} {
		if got := mannWhitney(c.experiment, c.control); got != c.want {
			t.Errorf("%v against %v: %d, want %d", c.experiment, c.control, got, c.want)
		}
	}
}

// A simulation says nothing if its draws are not what they are said to be.
func TestDrawsHaveTheirMoments(t *testing.T) {
	s := &service{rng: rand.New(rand.NewPCG(1, 1))}
	for _, mean := range []float64{0.3, 5, 12, 400} {
		check(t, mean, mean, func() float64 { return s.poisson(mean) })
	}
	for _, p := range []float64{0.01, 0.4, 0.9} {
		check(t, 200*p, 200*p*(1-p), func() float64 { return s.binomial(200, p) })
	}
}

func check(t *testing.T, mean, variance float64, draw func() float64) {
	t.Helper()
	const n = 20000
	var sum, squares float64
	for range n {
		x := draw()
		sum += x
		squares += (x - mean) * (x - mean)
	}
	if d := sum/n - mean; d*d > 25*variance/n {
		t.Errorf("mean %v, want %v", sum/n, mean)
	}
	if v := squares / n; v < 0.9*variance || v > 1.1*variance {
		t.Errorf("variance %v, want %v", v, variance)
	}
}

// The world's p95 is what the judge reads from it.
func TestWorldIsRead(t *testing.T) {
	w := world{perSecond: 2000, errors: 0.02, bimodal: true}
	s := read(w.once(rand.New(rand.NewPCG(1, 2)), healthy))
	if d := s.p95/w.p95() - 1; d < -0.03 || d > 0.03 {
		t.Errorf("p95 %v, want %v", s.p95, w.p95())
	}
	if s.errors < 0.018 || s.errors > 0.022 || s.traffic < 1950 || s.traffic > 2050 {
		t.Errorf("errors %v, traffic %v", s.errors, s.traffic)
	}
}

func TestHealthyWatchEndsUndecidedOrPassed(t *testing.T) {
	w := world{perSecond: 50, errors: 0.001}
	rng := rand.New(rand.NewPCG(3, 3))
	v := against(watch, w.once(rng, healthy), w.once(rng, healthy))
	if v.Status == judge.StatusFail || v.Status == judge.StatusError {
		t.Errorf("%s: %s", v.Status, v.Summary)
	}
}
