package judge

import "math"

// side is a direction in which a reading may have moved: +1 up, -1 down.
type side float64

const (
	up   side = 1
	down side = -1
)

// check is one test of "no worse than earlier runs". An adaptive objective
// fails only when all its checks reject, so its error rate is at most that of
// the most careful one (intersection-union test: Berger 1982, Technometrics
// 24(4)), and the limit in force is the furthest of theirs.
type check interface {
	// pValue of the reading having moved to that side.
	pValue(s side) float64
	// limit beyond which an estimate is rejected at the level.
	limit(s side, level float64) float64
	// detectable is the true value that would be rejected at the level with
	// 95 % power.
	detectable(s side, level float64) float64
}

// scale maps a quantity to where its runs vary with about constant variance.
type scale struct {
	to, from func(float64) float64
	log      bool
}

var (
	identityScale = scale{to: func(x float64) float64 { return x }, from: func(y float64) float64 { return y }}
	logScale      = scale{to: math.Log, from: math.Exp, log: true}
	// arcsineScale stabilises the variance of proportions (Anscombe 1948,
	// Biometrika 35).
	arcsineScale = scale{
		to:   func(p float64) float64 { return math.Asin(math.Sqrt(min(max(p, 0), 1))) },
		from: func(y float64) float64 { s := math.Sin(min(max(y, 0), math.Pi/2)); return s * s },
	}
)

// studentCheck is the prediction interval for one more draw: Student's t with
// the runs' own variance (Hahn & Meeker, Statistical Intervals, section 4.7).
type studentCheck struct {
	scale    scale
	x        float64 // the new run, transformed
	mean     float64 // of the earlier runs
	variance float64 // of x - mean
	df       float64
}

func (c studentCheck) pValue(s side) float64 {
	d := float64(s) * (c.x - c.mean)
	if c.variance == 0 {
		if d > 0 {
			return 0
		}
		return 1
	}
	return tTail(d/math.Sqrt(c.variance), c.df)
}

func (c studentCheck) at(s side, widths float64) float64 {
	return c.scale.from(c.mean + float64(s)*widths*math.Sqrt(c.variance))
}

func (c studentCheck) limit(s side, level float64) float64 {
	return c.at(s, tQuantile(level, c.df))
}

// detectable adds the quantile of the same pivot once more: the new run minus
// the mean exceeds its expectation minus t(0.05) widths with 95 %.
func (c studentCheck) detectable(s side, level float64) float64 {
	return c.at(s, tQuantile(level, c.df)+tQuantile(miss, c.df))
}

// ratioCheck holds the number of bad requests against the beta-binomial
// prediction from all earlier requests.
type ratioCheck struct {
	predicted betaBinomial
	bad       float64 // effective count of the new run

	last struct{ level, critical float64 } // what was asked for last
}

func (c *ratioCheck) pValue(s side) float64 {
	if s == up {
		return c.predicted.upper(c.bad)
	}
	return c.predicted.lower(c.bad)
}

// critical is the count that is beyond the limit; of good requests for the
// lower side.
func (c *ratioCheck) critical(s side, level float64) float64 {
	if s == down {
		return c.predicted.swapped().critical(level)
	}
	if c.last.level != level {
		c.last.level, c.last.critical = level, c.predicted.critical(level)
	}
	return c.last.critical
}

func (c *ratioCheck) limit(s side, level float64) float64 {
	if s == up {
		return c.critical(s, level) / c.predicted.n
	}
	good := c.critical(s, level)
	if c.predicted.n-good < leastCount {
		return 0
	}
	return 1 - good/c.predicted.n
}

// leastCount is a part of a request that is none.
const leastCount = 1e-3

// detectable is the proportion p with P(Bin(n, p) >= critical) = 95 %.
func (c *ratioCheck) detectable(s side, level float64) float64 {
	n, critical, p := c.predicted.n, c.critical(s, level), 1.0
	if critical < n {
		p = betaQuantile(1-miss, max(critical, jeffreys), n-critical+1)
	}
	if s == down {
		return 1 - p
	}
	return p
}

// eventsCheck holds a number of events against the negative-binomial
// prediction from the earlier windows.
type eventsCheck struct {
	predicted negativeBinomial
	events    float64 // effective count of the new run
	perSecond float64 // what one effective event is worth
}

func (c eventsCheck) pValue(s side) float64 {
	if s == up {
		return c.predicted.upper(c.events)
	}
	return c.predicted.lower(c.events)
}

func (c eventsCheck) critical(s side, level float64) float64 {
	if s == up {
		return c.predicted.criticalUpper(level)
	}
	return c.predicted.criticalLower(level)
}

func (c eventsCheck) limit(s side, level float64) float64 {
	return c.critical(s, level) * c.perSecond
}

func (c eventsCheck) detectable(s side, level float64) float64 {
	x := c.critical(s, level)
	if s == up {
		return gammaQuantile(1-miss, max(x, jeffreys)) * c.perSecond
	}
	return gammaQuantile(miss, x+1) * c.perSecond
}

// slowCheck counts the requests slower than the earlier runs' quantile and
// holds them against the share that there should be. It keeps a quantile that
// lies in the gap between two modes, and so jumps from one to the other, from
// failing a run that has hardly more slow requests than the others.
type slowCheck struct {
	share    *ratioCheck
	quantile float64 // of the earlier runs, in the indicator's unit
	now      *reading
}

func (c slowCheck) pValue(s side) float64 { return c.share.pValue(s) }

func (c slowCheck) limit(s side, level float64) float64 {
	return c.withShare(c.share.limit(s, level))
}

func (c slowCheck) detectable(s side, level float64) float64 {
	return c.withShare(c.share.detectable(s, level))
}

// withShare returns the quantile of the distribution of the new run's shape
// scaled so that the given share of it is slower than the earlier quantile.
func (c slowCheck) withShare(share float64) float64 {
	if share >= 1 {
		return math.Inf(1)
	}
	at := c.now.hist.quantile(1 - share)
	if at <= 0 {
		return math.Inf(1)
	}
	return c.quantile * c.now.estimate / at
}

// noiseCheck allows for the sampling noise within the runs alone, which is a
// lower bound of what separates two of them.
type noiseCheck struct {
	scale       scale
	x, mean     float64
	noise       float64 // standard error of x - mean
	df          float64
	detectNoise float64 // standard error of x
}

func (c noiseCheck) pValue(s side) float64 {
	d := float64(s) * (c.x - c.mean)
	if c.noise == 0 {
		if d > 0 {
			return 0
		}
		return 1
	}
	return tTail(d/c.noise, c.df)
}

func (c noiseCheck) limit(s side, level float64) float64 {
	return c.scale.from(c.mean + float64(s)*tQuantile(level, c.df)*c.noise)
}

func (c noiseCheck) detectable(s side, level float64) float64 {
	return c.scale.from(c.mean + float64(s)*(tQuantile(level, c.df)*c.noise+zQuantile(miss)*c.detectNoise))
}

// toleranceCheck lets nothing fail that is within a fraction of the median,
// however narrow the prediction.
type toleranceCheck struct {
	estimate, median, tolerance float64
	noise                       float64 // standard error of the estimate, in its unit
}

func (c toleranceCheck) pValue(s side) float64 {
	if float64(s)*(c.estimate-c.limit(s, 0)) > 0 {
		return 0
	}
	return 1
}

func (c toleranceCheck) limit(s side, _ float64) float64 {
	return c.median + float64(s)*c.tolerance*math.Abs(c.median)
}

func (c toleranceCheck) detectable(s side, level float64) float64 {
	return c.limit(s, level) + float64(s)*zQuantile(miss)*c.noise
}
