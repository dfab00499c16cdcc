package judge

import (
	"fmt"
	"math"
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
	need := max(o.minRuns(), 2) // a spread takes two
	reference := in.Reference
	if reference != nil && !usable(reference, now.kind) {
		reference = nil
	}
	if reference == nil && len(runs) < need {
		return nil, need - len(runs)
	}
	a = &adaptive{now: now, runs: runs, sides: sidesOf(in.Objective.Worse, now.kind), tolerance: toleranceOf(o.Tolerance)}
	trained := len(runs) >= need
	centre := runs
	if reference != nil {
		centre, a.pinned = []Run{*reference}, true
	}
	a.median = medianEstimate(centre)
	a.addCountChecks(centre)
	t := a.transform(centre)
	if trained {
		a.checks = append(a.checks, t.student(a.transform(runs).ys))
	}
	if now.kind == Value || now.quantile == 0 && now.kind == Distribution || reference != nil && !trained {
		a.addNoiseCheck(t)
	}
	a.addTolerance()
	return a, 0
}

func (a *Adaptive) minRuns() int {
	if a.MinRuns <= 0 {
		return defaultMinRuns
	}
	return a.MinRuns
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
		a.checks = append(a.checks, &ratioCheck{
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
			share: &ratioCheck{
				predicted: predictBinomial(q*n/phi, n/phi, a.now.n/phi),
				bad:       a.now.hist.above(centre) / phi,
			},
			quantile: centre, now: a.now,
		})
	}
}

func (a *adaptive) addNoiseCheck(t transformed) {
	k := float64(len(t.ys))
	var v float64
	for _, w := range t.within {
		v += w / (k * k)
	}
	if v+t.own == 0 {
		return // points without a known noise
	}
	a.checks = append(a.checks, noiseCheck{
		scale: t.scale, x: t.x, mean: meanOf(t.ys), noise: math.Sqrt(v + t.own), detectNoise: math.Sqrt(t.own), df: a.now.df,
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
		seen := "no change, however large,"
		if m := float64(res.MDE); m <= tooWide {
			seen = "no change of less than " + percent(m)
		}
		res.Why = fmt.Sprintf("%s was %s, within what %s had, but %s could have been seen.", res.subject(), res.format(float64(res.Estimate)), a.source(), seen)
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
