package judge

import "math"

// The e-processes of a watch take an exponential for every slice and
// alternative, and that is most of their cost. This one is about three times
// as fast as math.Exp, with a relative error below 3e-12: by Tang's method
// (1989, ACM Trans. Math. Softw. 15(2)), exp(x) = 2^(n/128)·exp(r) with
// |r| <= log(2)/256, the former from a table, the latter by its series.

const (
	expBits  = 7
	expSteps = 1 << expBits
	expBias  = 1 << 18
	expRange = 700 // what can be put together from exponent bits
)

var expTable = func() (t [expSteps]float64) {
	for i := range t {
		t[i] = math.Exp2(float64(i) / expSteps)
	}
	return t
}()

// exponentiate replaces every x by exp(x).
func exponentiate(xs *[alternatives]float64) {
	for i, x := range xs {
		if !(x > -expRange && x < expRange) {
			xs[i] = math.Exp(x)
			continue
		}
		n := int(x*(expSteps/math.Ln2)+(expBias+0.5)) - expBias
		r := x - float64(n)*(math.Ln2/expSteps)
		series := 1 + r*(1+r*(1.0/2+r*(1.0/6)))
		xs[i] = series * expTable[n&(expSteps-1)] * math.Float64frombits(uint64(n>>expBits+1023)<<52)
	}
}
