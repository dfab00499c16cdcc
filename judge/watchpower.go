package judge

import "math"

// settleDetectable states the true candidate whose evidence would by now have
// reached 1/level with 95 % power, had it been there from the first slice, in
// another watch as this one: the noises are those of a comparison (see
// comparison.settleDetectable).
func (w *watch) settleDetectable(res *Result, level float64) {
	var v float64
	switch {
	case w.means.n > 0:
		v = w.detectableMean(level)
	case w.now.kind == Distribution:
		v = w.detectableQuantile(level)
	default:
		v, _ = w.detectableRate(level, 2)
	}
	if !(v >= 0 || w.now.kind == Value) || math.IsInf(v, 0) || w.now.kind == Ratio && v > 1 {
		return
	}
	res.Detectable = Number(v)
	if b := w.base.estimate; b != 0 {
		res.MDE = Number(math.Abs(v/b - 1))
	}
}

// detectableRate is the rate of events, a unit of exposure, of the easiest of
// the mixture's alternatives, and the one that reaches the level on average.
// The baseline's count varies that many times between now and then; NaN where
// there is no such rate.
func (w *watch) detectableRate(level, baselines float64) (powerful, average float64) {
	s, k, m := w.inEvents()
	var x, nc, nb float64
	for _, e := range w.events {
		x += e.baseline / w.phi
		nc += e.candidateExposure / w.phi
		nb += e.baselineExposure / w.phi
	}
	if nc == 0 || nb == 0 {
		return math.NaN(), math.NaN()
	}
	needed := math.Log(2 * alternatives / level) // half of the mass starts with the first slice
	dispersed := needed * math.Expm1(zQuantile(miss)*math.Sqrt(2*w.base.logVariance()))
	rhos := alternativesAbove()
	if s == down {
		rhos = alternativesBelow()
	}
	split := k * nc / nb
	powerful, average = math.Inf(int(s)), math.NaN()
	for _, rho := range rhos {
		b := (split + 1) / (rho*split + 1)
		logA, logB := math.Log(rho*b), math.Log(b)
		count := (needed + nc*m*(rho*b-1) - x*logB) / logA
		if float64(s)*(count-powerful) >= 0 { // not even without noise
			continue
		}
		others := math.Hypot(zQuantile(miss)*math.Sqrt(baselines*x)*logB, dispersed) / logA
		shape := count
		if s == down {
			shape++
		}
		own := gammaQuantile(quantileAt(s, 1-miss), shape) - count
		if v := count + float64(s)*math.Hypot(own, others); float64(s)*(v-powerful) < 0 {
			powerful, average = v, count
		}
	}
	if math.IsInf(powerful, 0) || powerful < 0 {
		return math.NaN(), math.NaN()
	}
	return powerful / nc, average / nc
}

// quantileAt is p upwards, 1−p downwards.
func quantileAt(s side, p float64) float64 {
	if s == down {
		return 1 - p
	}
	return p
}

// detectableQuantile puts the rate of slow requests back into a latency, by the
// baseline's own distribution: the quantile at which it has that rate has to
// come to lie at the limit. The two quantiles are estimated, too, and together
// (their correlation: Walker 1968, J. R. Statist. Soc. B 30); the baseline's
// count does not vary by itself then, as it is fixed by the quantile.
func (w *watch) detectableQuantile(level float64) float64 {
	powerful, average := w.detectableRate(level, 1)
	if !(powerful > 0 && powerful < 1 && average > 0) || w.base.estimate <= 0 {
		return math.NaN()
	}
	p := w.now.quantile
	if w.side == down { // counted are the faster ones
		powerful, average = 1-powerful, 1-average
	}
	value := func(rate float64) (log, width, correlation float64) {
		q := 1 - rate
		other := *w.base
		other.quantile, other.estimate, other.known = q, w.base.hist.quantile(q), nil
		lo, hi := other.bounds(miss)
		if !(lo > 0) || math.IsInf(hi, 1) {
			return math.NaN(), 0, 0
		}
		low, high := min(p, q), max(p, q)
		return math.Log(other.estimate), math.Log(hi/lo) / 2, math.Sqrt(low * (1 - high) / (high * (1 - low)))
	}
	own, width, _ := value(1 - p)
	at, atWidth, correlation := value(average)
	then, _, _ := value(powerful)
	limit := math.Log(w.accept.limit(w.side, w.base.estimate))
	estimated := math.Sqrt(max(0, 4*width*width+atWidth*atWidth-4*correlation*width*atWidth))
	return math.Exp(limit + own - at + float64(w.side)*math.Hypot(at-then, estimated))
}

// detectableMean inverts the e-process of the summed differences.
func (w *watch) detectableMean(level float64) float64 {
	n, v := float64(w.means.n), w.means.variance
	needed := math.Log(1 / level)
	distance := solve(0, 40*math.Sqrt(v*(n+meansHorizon)), math.Sqrt(2*needed*v*(n+meansHorizon)), func(s float64) float64 {
		return normalMixture(s, v*n, v*meansHorizon) - needed
	})
	z := zQuantile(miss)
	power := math.Hypot(z*math.Sqrt(2*v*n), z*distance*math.Sqrt(2*logVariance(w.means.n, w.means.df)/4))
	return w.accept.limit(w.side, w.base.estimate) + float64(w.side)*(distance+power)/n
}
