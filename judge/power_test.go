package judge

import (
	"math"
	"testing"
)

// TestDetectableMeansAreDetected: what bench/judge measures for counts and
// quantiles, for means of values, which it does not simulate.
func TestDetectableMeansAreDetected(t *testing.T) {
	rng := newRand(5)
	draw := func(mean float64) Sample {
		s := Sample{Kind: Value}
		ar := rng.NormFloat64()
		for range 60 {
			ar = 0.3*ar + math.Sqrt(1-0.09)*rng.NormFloat64()
			s.Slices = append(s.Slices, Slice{Seconds: 2, Value: Number(mean + 10*ar)})
		}
		return s
	}
	for _, o := range []Objective{
		{Name: "compared", Worse: WorseHigher, Comparison: &Comparison{}}, {Name: "compared", Worse: WorseLower, Comparison: &Comparison{}},
		{Name: "watched", Worse: WorseHigher, Watch: &Watch{}}, {Name: "watched", Worse: WorseLower, Watch: &Watch{}},
	} {
		const repeats = 400
		caught := 0
		for range repeats {
			judged := func(mean float64) Result {
				base := draw(100)
				return Judge(Options{}, []Input{{Objective: o, Sample: draw(mean), Baseline: &base}}).Results[0]
			}
			r := judged(100)
			if r.Detectable.IsNaN() || float64(r.Detectable-100)*float64(sidesOf(o.Worse, Value)[0]) <= 5 {
				t.Fatalf("%s, %s is worse: detectable %v", o.Name, o.Worse, r.Detectable)
			}
			if judged(float64(r.Detectable)).Status == StatusFail {
				caught++
			}
		}
		t.Logf("%s, %s is worse: %d of %d caught", o.Name, o.Worse, caught, repeats)
		// 95 % of 400 with four standard errors.
		if caught < 363 {
			t.Errorf("%s, %s is worse: %d of %d caught", o.Name, o.Worse, caught, repeats)
		}
	}
}
