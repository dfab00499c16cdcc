package judge

import (
	"fmt"
	"math"
)

// defaultRatioMargin is the absolute change of a ratio that is acceptable
// besides the relative tolerance: half a percentage point. A baseline without
// errors has no relative tolerance, and with none at all no amount of healthy
// traffic could show a candidate to be good. By the rule of three it takes
// about 600 requests without an error to pass.
const defaultRatioMargin = 0.005

// acceptable is what a comparison tolerates: baseline·(1 ± tolerance) ± margin.
type acceptable struct{ tolerance, margin float64 }

func acceptableOf(tolerance, margin *float64, k Kind, point bool) acceptable {
	a := acceptable{tolerance: toleranceOf(tolerance)}
	switch {
	case margin != nil:
		a.margin = *margin
	case k == Ratio && !point:
		a.margin = defaultRatioMargin
	}
	return a
}

// limit is the worst acceptable candidate for a true baseline b.
func (a acceptable) limit(s side, b float64) float64 {
	return b + float64(s)*(a.tolerance*math.Abs(b)+a.margin)
}

// comparison holds a candidate against a baseline as a test of
// non-inferiority with three outcomes: the confidence interval of the change
// is wholly beyond what is acceptable, wholly within, or straddles the limit.
// The interval is put together from those of the two sides (MOVER: Zou &
// Donner 2008, Statist. Med. 27; for proportions Newcombe 1998, method 10),
// which keeps the asymmetry of small counts and of quantiles.
type comparison struct {
	now, base *reading
	sides     []side
	accept    acceptable
	scale     scale
	shape     finding
}

// pair is a candidate with the baseline it is held against.
type pair struct {
	objective           *Objective
	now, base           *reading
	candidate, baseline *Sample
	accept              acceptable
	alpha               float64 // of the guardian
}

func newComparison(p pair) *comparison {
	now, base := p.now, p.base
	c := &comparison{now: now.dispersedLike(base), base: base, sides: sidesOf(p.objective.Worse, now.kind), accept: p.accept, scale: identityScale}
	if now.kind != Ratio && now.positive && base.positive && now.estimate > 0 && base.estimate > 0 && c.positiveLimits() {
		c.scale = logScale
	}
	c.shape = shapeOf(now, base, c.sides, p.accept, p.alpha)
	return c
}

func (c *comparison) positiveLimits() bool {
	for _, s := range c.sides {
		if c.accept.limit(s, c.base.estimate) <= 0 {
			return false
		}
	}
	return true
}

// dispersedLike gives counts the inflation found in the baseline: a regression
// that begins half way through must not excuse itself as burstiness.
func (r *reading) dispersedLike(base *reading) *reading {
	if base.slices < minSlices || r.kind == Value || r.kind == Distribution && r.quantile == 0 {
		return r
	}
	c := *r
	c.phi, c.df, c.known = base.phi, base.df, nil
	return &c
}

// distance returns how far the candidate's estimate is beyond the limit, and
// the half widths of the interval of that distance towards acceptable and away
// from it.
func (c *comparison) distance(s side, tail float64) (d, inner, outer float64) {
	f := func(v float64) float64 {
		if c.scale.log && v <= 0 {
			return math.Inf(-1)
		}
		return c.scale.to(v)
	}
	nowLow, nowHigh := c.now.bounds(tail)
	baseLow, baseHigh := c.base.bounds(tail)
	now, limit := f(c.now.estimate), f(c.accept.limit(s, c.base.estimate))
	limitLow, limitHigh := f(c.accept.limit(s, baseLow)), f(c.accept.limit(s, baseHigh))
	if s == up {
		return now - limit, math.Hypot(now-f(nowLow), limitHigh-limit), math.Hypot(f(nowHigh)-now, limit-limitLow)
	}
	return limit - now, math.Hypot(f(nowHigh)-now, limit-limitLow), math.Hypot(now-f(nowLow), limitHigh-limit)
}

// pValue is the smallest level at which the interval clears the limit.
func (c *comparison) pValue() float64 {
	best := 1.0
	for _, s := range c.sides {
		best = min(best, c.sidePValue(s))
	}
	return min(1, best*float64(len(c.sides)))
}

// maxZ bounds the search for p-values: beyond it they are 0 for all purposes.
const maxZ = 8

func (c *comparison) sidePValue(s side) float64 {
	d, _, _ := c.distance(s, shownTail)
	if !(d > 0) {
		return 1
	}
	excess := func(z float64) float64 { // increasing in z
		d, inner, _ := c.distance(s, zTail(z))
		return max(inner-d, -d) / d
	}
	if excess(0.01) > 0 {
		return 0.5
	}
	return zTail(solve(0.01, maxZ, 2, excess))
}

func (c *comparison) settle(res *Result, level float64, rejected, requirePower bool) {
	level /= float64(len(c.sides))
	res.Baseline = Number(c.base.estimate)
	c.limits(res)
	c.settleDetectable(res, level)
	worst, within := c.sides[0], true
	for _, s := range c.sides {
		d, _, outer := c.distance(s, miss)
		within = within && d+outer < 0
		if wd, _, _ := c.distance(worst, miss); d > wd {
			worst = s
		}
	}
	res.Notes = append(res.Notes, c.shape.notes...)
	said := fmt.Sprintf("%s was %s, in the baseline %s", res.subject(), res.format(c.now.estimate), res.format(c.base.estimate))
	limit := res.format(c.accept.limit(worst, c.base.estimate))
	switch {
	case rejected:
		res.Status = StatusFail
		res.Why = fmt.Sprintf("%s: beyond the acceptable %s, and more than chance explains%s.", said, limit, res.among())
	case within:
		res.Status = StatusPass
		res.Why = fmt.Sprintf("%s: within the acceptable %s%s.", said, limit, res.among())
	case requirePower:
		res.Status = StatusInconclusive
		res.Needed = c.needed(worst, level)
		res.Why = fmt.Sprintf("%s: the data cannot tell whether that is within the acceptable %s%s%s.", said, limit, res.among(), res.more())
	default:
		res.Status = StatusPass
		res.Why = fmt.Sprintf("%s: not shown to be beyond the acceptable %s%s.", said, limit, res.among())
	}
	c.shape.apply(res)
}

func (c *comparison) limits(res *Result) {
	for _, s := range c.sides {
		l := Number(c.accept.limit(s, c.base.estimate))
		if s == down && len(c.sides) == 2 {
			res.LimitLow = l
		} else {
			res.Limit = l
		}
	}
}

// needed is the number of further observations (with as many more in the
// baseline for each) after which the interval would clear the limit if the
// estimates stayed.
func (c *comparison) needed(s side, level float64) float64 {
	d, inner, _ := c.distance(s, level)
	_, _, outer := c.distance(s, miss)
	width := outer
	if d > 0 {
		width = inner
	}
	if math.IsInf(width, 0) && c.now.quantile > 0 {
		// A quantile is bounded once enough observations lie beyond it.
		z := zQuantile(miss)
		return max(0, math.Ceil(c.now.phi*z*z/(1-c.now.quantile)-c.now.n))
	}
	return neededFor(c.now.n, width, math.Abs(d))
}

// baseWidth is how far the limit may be off, towards worse, for the noise of
// the baseline.
func (c *comparison) baseWidth(s side, tail float64) float64 {
	low, high := c.base.bounds(tail)
	if s == down {
		high = low
	}
	return math.Abs(c.scale.to(c.accept.limit(s, high)) - c.scale.to(c.accept.limit(s, c.base.estimate)))
}

// settleDetectable states the true candidate that would have failed at the
// level with 95 % power, in another comparison as this one. What comes between
// the two is, on the scale of the test, a sum of independent noises: that of
// the new candidate; that of the baseline twice, as it is then, and as it is
// now, because the limit is stated relative to a baseline that is itself only
// estimated; and that of the critical distance, twice as well.
func (c *comparison) settleDetectable(res *Result, level float64) {
	c = c.repeated()
	for i, s := range c.sides {
		var v float64
		if c.now.kind == Ratio && s == up {
			v = c.detectableRatio(level)
		} else {
			_, inner, _ := c.distance(s, level)
			_, sampling, _ := c.distance(s, miss)
			power := math.Hypot(math.Hypot(sampling, c.baseWidth(s, miss)), c.criticalNoise(inner))
			v = c.scale.from(c.scale.to(c.accept.limit(s, c.base.estimate)) + float64(s)*(inner+power))
		}
		if math.IsNaN(v) || math.IsInf(v, 0) || v < 0 && c.now.kind != Value {
			continue
		}
		if i == 0 {
			res.Detectable = Number(v)
		}
		if b := c.base.estimate; b != 0 {
			if m := math.Abs(v/b - 1); i == 0 || m > float64(res.MDE) {
				res.MDE = Number(m)
			}
		}
	}
}

// repeated is the comparison as it may come out next time: where φ was found
// to be 1 and so not estimated, it may well be estimated.
func (c *comparison) repeated() *comparison {
	again := *c
	for _, r := range []**reading{&again.now, &again.base} {
		if (*r).slices >= minSlices && math.IsInf((*r).df, 1) {
			other := **r
			other.df, other.known = float64(other.slices-1), nil
			*r = &other
		}
	}
	return &again
}

// criticalNoise is by how much the difference of two critical distances, each
// with its dispersion estimated anew, is exceeded with the probability of a
// miss: a distance is proportional to the root of a variance whose logarithm
// varies by logVariance.
func (c *comparison) criticalNoise(distance float64) float64 {
	if c.base.slices < minSlices {
		return 0
	}
	return zQuantile(miss) * distance * math.Sqrt(2*c.base.logVariance()/4)
}

// detectableRatio finds the smallest proportion that would fail, and the one
// that exceeds it with 95 % power. How far the noise of the baseline may move
// the former is read off at the upper end of the baseline's interval.
func (c *comparison) detectableRatio(level float64) float64 {
	n := c.now.n / c.now.deflate(level)
	critical := c.criticalRatio(level, n)
	worse := *c
	_, high := c.base.bounds(miss)
	worse.base = c.base.withRatio(high)
	if critical >= 1 {
		return math.NaN()
	}
	own := betaQuantile(1-miss, max(critical*n, jeffreys), n*(1-critical)+1) - critical
	baseline := math.Sqrt2 * (worse.criticalRatio(level, n) - critical)
	distance := critical - c.accept.limit(up, c.base.estimate)
	return min(1, critical+math.Hypot(math.Hypot(own, baseline), c.criticalNoise(distance)))
}

// criticalRatio is the smallest observed proportion of n that fails.
func (c *comparison) criticalRatio(level, n float64) float64 {
	limit, width := c.accept.limit(up, c.base.estimate), c.baseWidth(up, level)
	return solve(limit, 1, limit+3*math.Sqrt(limit/n)+width, func(p float64) float64 {
		lo, _ := clopperPearson(p*n, n, level)
		return p - limit - math.Hypot(p-lo, width)
	})
}

// withRatio is the reading with another proportion of bad events.
func (r *reading) withRatio(p float64) *reading {
	other := *r
	other.estimate, other.bad, other.known = p, p*r.n, nil
	return &other
}

// comparePoint compares the estimates alone, as monspec does: the upper limit
// is compare·(1 + t/100), the lower one compare·(1 − t/100).
func comparePoint(p pair, res *Result) {
	now, base, accept := p.now, p.base, p.accept
	c := &comparison{now: now, base: base, sides: sidesOf(p.objective.Worse, now.kind), accept: accept}
	c.limits(res)
	res.Baseline = Number(base.estimate)
	res.Status = StatusPass
	word := "within"
	limit := accept.limit(c.sides[0], base.estimate)
	for _, s := range c.sides {
		if l := accept.limit(s, base.estimate); float64(s)*(now.estimate-l) > 0 {
			res.Status, word, limit = StatusFail, "beyond", l
		}
	}
	res.Why = fmt.Sprintf("%s was %s, in the baseline %s: %s the acceptable %s%s.", res.subject(), res.format(now.estimate),
		res.format(base.estimate), word, res.format(limit), res.among())
}
