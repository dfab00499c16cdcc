package judge

import "math"

// transformed puts the new run and the earlier ones on the scale where runs
// vary alike. noise holds the variance within each run, the new one last; for
// the new one it is what the earlier runs lead to expect at its size.
func (a *adaptive) transformed(runs []Run) (s scale, x float64, ys, noise []float64) {
	now := a.now
	switch now.kind {
	case Ratio:
		// Anscombe 1948: (x + 3/8) / (n + 3/4), variance φ / (4n + 2).
		to := func(bad, n float64) float64 { return arcsineScale.to((bad + 0.375) / (n + 0.75)) }
		for _, r := range runs {
			ys = append(ys, to(r.Bad, r.N))
			noise = append(noise, max(1, r.Inflation)/(4*r.N+2))
		}
		return arcsineScale, to(now.bad, now.n), ys, append(noise, typicalInflation(runs)/(4*now.n+2))
	case Rate:
		to := func(n, seconds float64) float64 { return math.Log((n + 0.5) / seconds) }
		var n, seconds float64
		for _, r := range runs {
			ys = append(ys, to(r.N, r.Seconds))
			noise = append(noise, max(1, r.Inflation)/(r.N+0.5))
			n += r.N
			seconds += r.Seconds
		}
		expected := n * now.seconds / seconds
		return logScale, to(now.n, now.seconds), ys, append(noise, typicalInflation(runs)/(expected+0.5))
	}
	return a.transformedEstimates(runs)
}

// transformedEstimates does so for quantiles, means and values. For means and
// values the new run's own noise counts where it is larger: one outlier moves
// the mean and its standard error alike.
func (a *adaptive) transformedEstimates(runs []Run) (s scale, x float64, ys, noise []float64) {
	s = a.commonScale(runs)
	on := func(estimate, stdErr float64) float64 { // stdErr is on the log scale for positive estimates
		if !s.log && estimate > 0 {
			stdErr *= estimate
		}
		return stdErr * stdErr
	}
	var expected float64
	for _, r := range runs {
		ys = append(ys, s.to(float64(r.Estimate)))
		noise = append(noise, on(float64(r.Estimate), r.StdErr))
		expected += noise[len(noise)-1] * r.N / a.now.n / float64(len(runs))
	}
	if own := on(a.now.estimate, a.now.stdErr()); a.now.quantile == 0 || expected == 0 {
		expected = max(expected, own)
	}
	return s, s.to(a.now.estimate), ys, append(noise, expected)
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
// such a sum are Satterthwaite's (1946, Biometrics Bulletin 2).
func student(s scale, x, mean, centred float64, spread, noise []float64) studentCheck {
	k := float64(len(spread))
	m := meanOf(spread)
	var between float64
	for _, y := range spread {
		between += (y - m) * (y - m)
	}
	between /= k - 1
	within := meanOf(noise[:len(noise)-1])
	extra := max(0, noise[len(noise)-1]-within)
	fromRuns := between * (1 + 1/centred)
	v := fromRuns + extra
	df := k - 1
	if fromRuns > 0 {
		df *= (v / fromRuns) * (v / fromRuns)
	}
	return studentCheck{scale: s, x: x, mean: mean, variance: v, df: df}
}
