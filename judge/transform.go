package judge

import "math"

// transformed is the new run and earlier ones on the scale where runs vary
// alike.
type transformed struct {
	scale  scale
	x      float64   // the new run
	ys     []float64 // the earlier ones
	within []float64 // the variance of each from sampling noise
	own    float64   // that of the new run, as the earlier ones lead to expect at its size
}

func (t *transformed) add(y, variance float64) {
	t.ys, t.within = append(t.ys, y), append(t.within, variance)
}

func (a *adaptive) transform(runs []Run) transformed {
	switch a.now.kind {
	case Ratio:
		return a.transformRatios(runs)
	case Rate:
		return a.transformRates(runs)
	}
	return a.transformEstimates(runs)
}

// transformRatios follows Anscombe 1948: (x + 3/8) / (n + 3/4) has the variance
// φ / (4n + 2).
func (a *adaptive) transformRatios(runs []Run) transformed {
	to := func(bad, n float64) float64 { return arcsineScale.to((bad + 0.375) / (n + 0.75)) }
	t := transformed{scale: arcsineScale, x: to(a.now.bad, a.now.n), own: typicalInflation(runs) / (4*a.now.n + 2)}
	for _, r := range runs {
		t.add(to(r.Bad, r.N), max(1, r.Inflation)/(4*r.N+2))
	}
	return t
}

// transformRates takes logarithms; half an event keeps an empty window finite.
func (a *adaptive) transformRates(runs []Run) transformed {
	to := func(n, seconds float64) float64 { return math.Log((n + 0.5) / seconds) }
	t := transformed{scale: logScale, x: to(a.now.n, a.now.seconds)}
	var n, seconds float64
	for _, r := range runs {
		t.add(to(r.N, r.Seconds), max(1, r.Inflation)/(r.N+0.5))
		n += r.N
		seconds += r.Seconds
	}
	t.own = typicalInflation(runs) / (n*a.now.seconds/seconds + 0.5)
	return t
}

// transformEstimates does so for quantiles, means and values. For means and
// values the new run's own noise counts where it is larger: one outlier moves
// the mean and its standard error alike.
func (a *adaptive) transformEstimates(runs []Run) transformed {
	s := a.commonScale(runs)
	variance := func(estimate, stdErr float64) float64 { // stdErr is on the log scale for positive estimates
		if !s.log && estimate > 0 {
			stdErr *= estimate
		}
		return stdErr * stdErr
	}
	t := transformed{scale: s, x: s.to(a.now.estimate)}
	for _, r := range runs {
		v := variance(float64(r.Estimate), r.StdErr)
		t.add(s.to(float64(r.Estimate)), v)
		t.own += v * r.N / a.now.n / float64(len(runs))
	}
	if a.now.quantile == 0 || t.own == 0 {
		t.own = max(t.own, variance(a.now.estimate, a.now.stdErr()))
	}
	return t
}

// commonScale is the log scale when every run, also the new one, is positive.
func (a *adaptive) commonScale(runs []Run) scale {
	positive := a.now.estimate > 0
	for _, r := range runs {
		positive = positive && r.Estimate > 0
	}
	for _, r := range a.runs {
		positive = positive && r.Estimate > 0
	}
	if positive {
		return logScale
	}
	return identityScale
}

// student predicts one more run from the spread between runs, plus what the
// new run's own sampling noise exceeds theirs by; the degrees of freedom of
// such a sum are Satterthwaite's (1946, Biometrics Bulletin 2). The prediction
// is centred on the mean of t, which may be a single pinned run.
func (t *transformed) student(spread []float64) studentCheck {
	k := float64(len(spread))
	m := meanOf(spread)
	var between float64
	for _, y := range spread {
		between += (y - m) * (y - m)
	}
	fromRuns := between / (k - 1) * (1 + 1/float64(len(t.ys)))
	v := fromRuns + max(0, t.own-meanOf(t.within))
	df := k - 1
	if fromRuns > 0 {
		df *= (v / fromRuns) * (v / fromRuns)
	}
	return studentCheck{scale: t.scale, x: t.x, mean: meanOf(t.ys), variance: v, df: df}
}
