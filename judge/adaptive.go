package judge

import (
	"fmt"
	"math"
	"slices"
)

const (
	// defaultMinRuns: with five runs Student's t at the default α has a
	// quantile of about 4 to 6 widths; with fewer it explodes (2 runs: 32 to
	// 95). It is also the number Site Reliability Guardian asks for.
	defaultMinRuns = 5
	// defaultTolerance is a change that nobody would stop a release for.
	defaultTolerance = 0.05
	// maxHistory is how many of the newest runs are learned from: beyond it
	// Student's t is normal for all purposes.
	maxHistory = 200
)

// adaptive holds the reading against what earlier runs make probable.
type adaptive struct {
	now    *reading
	runs   []Run
	sides  []side
	checks []check

	median    float64
	tolerance float64
	pinned    bool
}

// newAdaptive prepares the test, or returns nil with the number of runs that
// are still missing.
func newAdaptive(in *Input, now *reading) (a *adaptive, missing int) {
	o := in.Objective.Adaptive
	runs := usableRuns(in.History, now.kind)
	need := o.MinRuns
	if need <= 0 {
		need = defaultMinRuns
	}
	reference := in.Reference
	if reference != nil && !usable(reference, now.kind) {
		reference = nil
	}
	if reference == nil && len(runs) < max(need, 2) {
		return nil, max(need, 2) - len(runs)
	}
	a = &adaptive{now: now, runs: runs, sides: sidesOf(in.Objective.Worse, now.kind), tolerance: toleranceOf(o.Tolerance)}
	trained := len(runs) >= max(need, 2)
	centre := runs
	if reference != nil {
		centre, a.pinned = []Run{*reference}, true
	}
	a.median = medianEstimate(centre)
	a.addCountChecks(centre)
	scale, x, ys, noise := a.transformed(centre)
	spread := ys
	if reference != nil && trained {
		_, _, spread, _ = a.transformed(runs)
	}
	if trained {
		a.checks = append(a.checks, student(scale, x, meanOf(ys), float64(len(ys)), spread, noise))
	}
	if now.kind == Value || now.quantile == 0 && now.kind == Distribution || reference != nil && !trained {
		a.addNoiseCheck(scale, x, ys, noise)
	}
	a.addTolerance()
	return a, 0
}

// usableRuns drops runs of another kind or without a number, and all but the
// newest.
func usableRuns(history []Run, k Kind) []Run {
	out := make([]Run, 0, len(history))
	for i := range history {
		if usable(&history[i], k) {
			out = append(out, history[i])
		}
	}
	return out[max(0, len(out)-maxHistory):]
}

func usable(r *Run, k Kind) bool {
	finite := func(f float64) bool { return !math.IsNaN(f) && !math.IsInf(f, 0) }
	if r.Kind != k || !finite(float64(r.Estimate)) || !finite(r.StdErr) || r.StdErr < 0 ||
		!isCount(r.N) || !isCount(r.Bad) || !isCount(r.Seconds) || !(r.Inflation >= 0) || math.IsInf(r.Inflation, 1) {
		return false
	}
	switch k {
	case Ratio:
		return r.N > 0 && r.Bad <= r.N
	case Rate:
		return r.Seconds > 0
	case Distribution:
		return r.N > 0
	}
	return true
}

func sidesOf(d Direction, k Kind) []side {
	switch {
	case d == WorseEither:
		return []side{up, down}
	case d == WorseLower, d == "" && k == Rate:
		return []side{down}
	}
	return []side{up}
}

func toleranceOf(t *float64) float64 {
	if t == nil {
		return defaultTolerance
	}
	return *t
}

func medianEstimate(runs []Run) float64 {
	xs := make([]float64, len(runs))
	for i, r := range runs {
		xs[i] = float64(r.Estimate)
	}
	return medianOf(xs)
}

func medianOf(xs []float64) float64 {
	s := slices.Clone(xs)
	slices.Sort(s)
	if n := len(s); n%2 == 0 {
		return s[n/2-1] + (s[n/2]-s[n/2-1])/2
	}
	return s[len(s)/2]
}

// typicalInflation is the mean φ of the runs: the new run is held against the
// dispersion of the earlier ones, so that a regression that begins half way
// through cannot excuse itself as burstiness.
func typicalInflation(runs []Run) float64 {
	var sum float64
	for _, r := range runs {
		sum += max(1, r.Inflation)
	}
	return sum / float64(len(runs))
}

func (a *adaptive) addCountChecks(runs []Run) {
	phi := typicalInflation(runs)
	var bad, n, seconds float64
	for _, r := range runs {
		bad += r.Bad
		n += r.N
		seconds += r.Seconds
	}
	switch {
	case a.now.kind == Ratio:
		a.checks = append(a.checks, ratioCheck{
			predicted: predictBinomial(bad/phi, n/phi, a.now.n/phi), bad: a.now.bad / phi,
		})
	case a.now.kind == Rate:
		a.checks = append(a.checks, eventsCheck{
			predicted: predictPoisson(n/phi, seconds, a.now.seconds), events: a.now.n / phi, perSecond: phi / a.now.seconds,
		})
	case a.now.quantile > 0:
		q := 1 - a.now.quantile
		centre := centreQuantile(runs)
		a.checks = append(a.checks, slowCheck{
			share: ratioCheck{
				predicted: predictBinomial(q*n/phi, n/phi, a.now.n/phi),
				bad:       a.now.hist.above(centre) / phi,
			},
			quantile: centre, now: a.now,
		})
	}
}

// centreQuantile is the geometric mean of the runs' quantiles, or the plain
// mean where one is zero.
func centreQuantile(runs []Run) float64 {
	scale := logScale
	for _, r := range runs {
		if r.Estimate <= 0 {
			scale = identityScale
		}
	}
	var sum float64
	for _, r := range runs {
		sum += scale.to(float64(r.Estimate))
	}
	return scale.from(sum / float64(len(runs)))
}

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

func (a *adaptive) addNoiseCheck(s scale, x float64, ys, noise []float64) {
	k := float64(len(ys))
	var v float64
	for _, w := range noise[:len(noise)-1] {
		v += w / (k * k)
	}
	own := noise[len(noise)-1]
	if v+own == 0 {
		return // points without a known noise
	}
	df := a.now.df
	if math.IsNaN(df) {
		df = math.Inf(1)
	}
	a.checks = append(a.checks, noiseCheck{
		scale: s, x: x, mean: meanOf(ys), noise: math.Sqrt(v + own), detectNoise: math.Sqrt(own), df: df,
	})
}

func (a *adaptive) addTolerance() {
	noise := a.now.stdErr()
	if a.now.estimate > 0 {
		noise *= a.now.estimate
	}
	a.checks = append(a.checks, toleranceCheck{
		estimate: a.now.estimate, median: a.median, tolerance: a.tolerance, noise: noise,
	})
}

// hasScale reports whether there is anything to say how far is far: earlier
// runs that were all exactly zero points of a value give none.
func (a *adaptive) hasScale() bool {
	if a.now.kind != Value || a.median != 0 {
		return true
	}
	for _, c := range a.checks {
		if t, ok := c.(studentCheck); ok && t.variance > 0 {
			return true
		}
		if t, ok := c.(noiseCheck); ok && t.noise > 0 {
			return true
		}
	}
	return a.now.estimate == 0
}

// pValue is that of the least convinced check, for either side doubled.
func (a *adaptive) pValue() float64 {
	best := 1.0
	for _, s := range a.sides {
		worst := 0.0
		for _, c := range a.checks {
			worst = max(worst, c.pValue(s))
		}
		best = min(best, worst)
	}
	return min(1, best*float64(len(a.sides)))
}

// furthest returns the value of f over the checks that is furthest out.
func (a *adaptive) furthest(s side, f func(check) float64) float64 {
	v := math.Inf(-int(s))
	for _, c := range a.checks {
		if x := f(c); float64(s)*(x-v) > 0 {
			v = x
		}
	}
	if a.now.kind != Value {
		v = max(v, 0)
	}
	if a.now.kind == Ratio {
		v = min(v, 1)
	}
	return v
}

func (a *adaptive) limit(s side, level float64) float64 {
	level /= float64(len(a.sides))
	return a.furthest(s, func(c check) float64 { return c.limit(s, level) })
}

func (a *adaptive) detectable(s side, level float64) float64 {
	level /= float64(len(a.sides))
	return a.furthest(s, func(c check) float64 { return c.detectable(s, level) })
}

func (a *adaptive) settle(res *Result, level float64, rejected bool, requirePower bool) {
	res.Baseline = Number(a.median)
	res.Learned = len(a.runs)
	for _, s := range a.sides {
		if s == up {
			res.Limit = Number(a.limit(up, level))
		} else if len(a.sides) == 2 {
			res.LimitLow = Number(a.limit(down, level))
		} else {
			res.Limit = Number(a.limit(down, level))
		}
	}
	a.settleDetectable(res, level)
	res.Status = StatusPass
	switch {
	case rejected && !a.hasScale():
		res.Status = StatusInconclusive
		res.Why = fmt.Sprintf("%s was %s; all %d earlier runs were exactly 0, so there is nothing to say how far from 0 is too far.", res.subject(), res.format(float64(res.Estimate)), len(a.runs))
	case rejected:
		res.Status = StatusFail
		res.Why = a.whyFailed(res)
	case requirePower && !(float64(res.MDE) <= a.tolerance):
		res.Status = StatusInconclusive
		res.Why = fmt.Sprintf("%s was %s, within what %s had, but a change of less than %s could not have been seen.", res.subject(), res.format(float64(res.Estimate)), a.source(), percent(float64(res.MDE)))
	default:
		res.Why = a.whyPassed(res)
	}
	if note := drift(a.runs, a.sides, a.tolerance, res); note != "" {
		res.Notes = append(res.Notes, note)
	}
}

func (a *adaptive) settleDetectable(res *Result, level float64) {
	for i, s := range a.sides {
		d := a.detectable(s, level)
		if i == 0 {
			res.Detectable = Number(d)
		}
		if a.median != 0 {
			m := math.Abs(d/a.median - 1)
			if i == 0 || m > float64(res.MDE) {
				res.MDE = Number(m)
			}
		}
	}
}

func (a *adaptive) source() string {
	if a.pinned {
		return "the pinned reference run"
	}
	return fmt.Sprintf("the %d earlier runs", len(a.runs))
}

// beyond reports whether the estimate is outside the limits that are shown.
func beyond(res *Result, sides []side) (side, bool) {
	for _, s := range sides {
		l := float64(res.Limit)
		if s == down && len(sides) == 2 {
			l = float64(res.LimitLow)
		}
		if float64(s)*(float64(res.Estimate)-l) > 0 {
			return s, true
		}
	}
	return sides[0], false
}

func (a *adaptive) whyFailed(res *Result) string {
	s, _ := beyond(res, a.sides)
	limit, word := float64(res.Limit), "above"
	if s == down {
		word = "below"
		if len(a.sides) == 2 {
			limit = float64(res.LimitLow)
		}
	}
	return fmt.Sprintf("%s was %s, %s the limit of %s; %s had %s%s.", res.subject(), res.format(float64(res.Estimate)),
		word, res.format(limit), a.source(), res.format(a.median), res.among())
}

func (a *adaptive) whyPassed(res *Result) string {
	if _, out := beyond(res, a.sides); out {
		return fmt.Sprintf("%s was %s and %s had %s, but too few requests differ to call it worse%s.", res.subject(),
			res.format(float64(res.Estimate)), a.source(), res.format(a.median), res.among())
	}
	limits := fmt.Sprintf("the limit of %s", res.format(float64(res.Limit)))
	if len(a.sides) == 2 {
		limits = fmt.Sprintf("the limits of %s and %s", res.format(float64(res.LimitLow)), res.format(float64(res.Limit)))
	}
	return fmt.Sprintf("%s was %s, within %s; %s had %s%s.", res.subject(), res.format(float64(res.Estimate)),
		limits, a.source(), res.format(a.median), res.among())
}
