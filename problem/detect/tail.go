package detect

import (
	"math"
	"slices"
)

// tailFrom is the quantile at which the upper tail begins, and 1−tailFrom the
// lower one.
const tailFrom = 0.85

// tails knows the distribution of a number from a sample of recent values, and
// tells how rare a value beyond its quantiles is: peaks over a threshold with
// exponential excesses (Pickands 1975; Siffer et al. 2017, "Anomaly detection
// in streams with extreme value theory"). The scale is taken from the median
// excess, not the mean, so that a twentieth of the values may be incidents
// without making the tail heavier.
type tails struct {
	Values []float64 // a ring, oldest at Next once it is full
	Next   int

	sorted   []float64
	fresh    int // values added since sorted was made
	up, down tail
}

// tail is one side: from where on, and how fast it falls off.
type tail struct{ from, scale float64 }

// sortEvery values the quantiles are taken anew, once there are many.
const sortEvery = 16

// add forgets the oldest value when there are more than size.
func (t *tails) add(v float64, size int) {
	t.fresh++
	if len(t.Values) < size {
		// The ring is turned so that it can grow at its end.
		if t.Next > 0 {
			t.Values = append(slices.Clone(t.Values[t.Next:]), t.Values[:t.Next]...)
			t.Next = 0
		}
		t.Values = append(t.Values, v)
		return
	}
	t.Values[t.Next] = v
	t.Next = (t.Next + 1) % len(t.Values)
}

// learn makes the tails of the values, which must not be empty; grain is their
// resolution, 0 when they never changed.
func (t *tails) learn(grain float64) {
	if t.sorted != nil && t.fresh < sortEvery && len(t.Values) > 100 || len(t.sorted) > 0 && t.fresh == 0 {
		return
	}
	t.fresh = 0
	t.sorted = append(t.sorted[:0], t.Values...)
	slices.Sort(t.sorted)
	s := t.sorted
	n := len(s)
	if n < 4 { // too few to have tails
		t.up, t.down = tail{from: s[n-1]}, tail{from: s[0]}
		return
	}
	k := max(2, int(float64(n)*(1-tailFrom)))
	// Half of the excesses of an exponential tail are below ln 2 times its scale.
	t.up = tail{s[n-k-1], (median(s[n-k:]) - s[n-k-1]) / math.Ln2}
	t.down = tail{s[k], (s[k] - median(s[:k])) / math.Ln2}
	// Not below what the middle of the distribution would have if it were
	// normal, nor below the resolution of the values.
	const perSigma, quartile = 0.47, 0.674
	middle := s[n/2]
	if grain = max(2*grain, math.Abs(middle)/1000); s[0] == s[n-1] {
		grain = max(grain, math.Abs(middle)/100)
	}
	t.up.scale = max(t.up.scale, (at(s, 0.75)-middle)*perSigma/quartile, grain)
	t.down.scale = max(t.down.scale, (middle-at(s, 0.25))*perSigma/quartile, grain)
}

// widen keeps the scales from being below a part of those of other tails.
func (t *tails) widen(o *tails, part float64) {
	t.up.scale = max(t.up.scale, part*o.up.scale)
	t.down.scale = max(t.down.scale, part*o.down.scale)
}

func at(sorted []float64, p float64) float64 {
	return sorted[int(p*float64(len(sorted)-1)+0.5)]
}

func median(sorted []float64) float64 {
	n := len(sorted)
	return (sorted[(n-1)/2] + sorted[n/2]) / 2
}

func (t *tails) middle() float64 { return median(t.sorted) }

// rarity returns, for both sides, minus the natural logarithm of the
// probability of a value so far out or farther; 0 within the quantiles.
func (t *tails) rarity(v float64) (up, down float64) {
	return t.up.rarity(v - t.up.from), t.down.rarity(t.down.from - v)
}

// certain is the rarity of what has no measure: a constant changed from zero.
const certain = 700

func (t *tail) rarity(excess float64) float64 {
	switch {
	case excess <= 0:
		return 0
	case t.scale == 0:
		return certain
	}
	return min(certain, excess/t.scale-math.Log(1-tailFrom))
}
