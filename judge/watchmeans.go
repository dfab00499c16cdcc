package judge

import "math"

// meansHorizon is the number of slices at which the boundary for means is
// tightest: one minute of the default two-second slices. It changes how soon
// what is seen, never the error rate.
const meansHorizon = 30

// weighMeans watches a mean or a value, which cannot be reduced to counts. The
// differences between candidate and limit, slice by slice, are summed; their
// normal-mixture e-process is one-sided (Howard, Ramdas, McAuliffe & Sekhon
// 2021, Ann. Statist. 49(2), section 3.3) and asymptotic where they are not
// normal (Waudby-Smith, Arbour, Sinha, Kennedy & Ramdas 2024, Ann. Statist.
// 52(6)). Their long-run variance is taken at its upper limit.
func (w *watch) weighMeans(c, b []Slice) {
	var xs []float64
	for i := range c {
		cv, cok := sliceMean(&c[i], w.now.kind)
		bv, bok := sliceMean(&b[i], w.now.kind)
		if cok && bok {
			xs = append(xs, float64(w.side)*(cv-w.accept.limit(w.side, bv)))
		}
	}
	if len(xs) < minSlices {
		return
	}
	mean := meanOf(xs)
	centred := make([]float64, len(xs))
	for i, x := range xs {
		centred[i] = x - mean
	}
	variance, df := upperVariance(centred, 0)
	w.phi = 1
	w.means.n, w.means.variance, w.means.df = len(xs), variance, df
	if variance == 0 {
		w.weighConstant(xs[0])
		return
	}
	var sum float64
	for t, x := range xs {
		sum += x
		if t+1 >= minSlices && sum > 0 { // else the evidence is below 1
			w.fail = max(w.fail, normalMixture(sum, variance*float64(t+1), variance*meansHorizon))
		}
	}
	w.pass = normalMixture(-sum, variance*float64(len(xs)), variance*meansHorizon)
}

// weighConstant decides on differences that never vary.
func (w *watch) weighConstant(x float64) {
	switch {
	case x > 0:
		w.fail = math.Inf(1)
	case x < 0:
		w.pass = math.Inf(1)
	}
}

// normalMixture is the logarithm of the e-value of a sum s with variance v,
// mixed over positive drifts with a half-normal prior that is tightest at
// variance v0.
func normalMixture(s, v, v0 float64) float64 {
	return math.Ln2 + 0.5*math.Log(v0/(v+v0)) + logMills(-s/math.Sqrt(v+v0))
}

// logMills is log(exp(z²/2)·P(Z > z)). Far out, where the tail underflows, by
// its asymptotic series (Abramowitz & Stegun, 26.2.12).
func logMills(z float64) float64 {
	if z < farOut {
		return z*z/2 + math.Log(zTail(z))
	}
	q := 1 / (z * z)
	return math.Log1p(-q*(1-q*(3-q*15))) - math.Log(z*math.Sqrt(2*math.Pi))
}

// farOut is from where the series is good to 1e-8.
const farOut = 15

// sliceMean is the value of a slice, or the mean of its histogram.
func sliceMean(sl *Slice, k Kind) (float64, bool) {
	if k == Value {
		return float64(sl.Value), !sl.Value.IsNaN()
	}
	if sl.Histogram == nil {
		return 0, false
	}
	n := sl.Histogram.observations()
	return sl.Histogram.Sum / n, n > 0
}
