package judge

import (
	"math"

	"gonum.org/v1/gonum/mathext"
	"gonum.org/v1/gonum/stat/distuv"
)

const (
	// shownTail is the tail left on each side by the interval that is shown:
	// the customary 95 %.
	shownTail = 0.025
	// oneSigma is the upper tail of a normal beyond one standard deviation.
	oneSigma = 0.15865525393145707
	// miss is the probability of not seeing the regression that a verdict
	// says it could have seen, and of passing one beyond the tolerance: the
	// 95 % power that is promised.
	miss = 0.05
)

// bounds returns the confidence limits of the estimate that leave the given
// probability on each side. They are asked for again and again at the same few
// levels, and kept.
func (r *reading) bounds(tail float64) (lo, hi float64) {
	for _, l := range r.known {
		if l.tail == tail {
			return l.low, l.high
		}
	}
	lo, hi = r.interval(tail)
	r.known = append(r.known, limits{tail, lo, hi})
	return lo, hi
}

func (r *reading) interval(tail float64) (lo, hi float64) {
	switch {
	case r.kind == Ratio:
		k := r.deflate(tail)
		return clopperPearson(r.bad/k, r.n/k, tail)
	case r.kind == Rate:
		k := r.deflate(tail)
		lo, hi = garwood(r.n/k, tail)
		return lo * k / r.seconds, hi * k / r.seconds
	case r.quantile > 0:
		return r.quantileBounds(tail)
	}
	if math.IsNaN(r.se) {
		return math.Inf(-1), math.Inf(1)
	}
	h := tQuantile(tail, r.df) * r.se
	if r.positive {
		f := math.Exp(h / r.estimate)
		return r.estimate / f, r.estimate * f
	}
	return r.estimate - h, r.estimate + h
}

// deflate returns what counts are divided by to be worth independent ones:
// the inflation, and for its being estimated the squared ratio of Student's
// to the normal quantile (Korn & Graubard 1998, Survey Methodology 24(2)).
func (r *reading) deflate(tail float64) float64 {
	if math.IsInf(r.df, 1) {
		return r.phi
	}
	t := tQuantile(tail, r.df) / zQuantile(tail)
	if math.IsNaN(t) { // tail = 1/2
		t = 1
	}
	return r.phi * t * t
}

// quantileBounds inverts the binomial distribution of the number of
// observations beyond the true quantile, with the skewness term of the
// Cornish–Fisher expansion (Hahn & Meeker, Statistical Intervals, section 5.2
// for the order statistics; Fisher & Cornish 1960 for the expansion). Where
// the sample is too small to bound the quantile the bound is infinite.
func (r *reading) quantileBounds(tail float64) (lo, hi float64) {
	n := r.n / r.deflate(tail)
	q := 1 - r.quantile
	z := zQuantile(tail)
	sd := math.Sqrt(n * q * (1 - q))
	skew := (z*z - 1) * (1 - 2*q) / 6
	most := n*q + z*sd + skew + 0.5
	least := n*q - z*sd + skew - 0.5
	lo, hi = 0, math.Inf(1)
	if most < n {
		lo = r.hist.atRank((1 - most/n) * r.n)
	}
	if least > 0 {
		hi = r.hist.atRank((1 - least/n) * r.n)
	}
	return min(lo, r.estimate), max(hi, r.estimate)
}

// clopperPearson returns the exact limits of a binomial proportion (Clopper &
// Pearson 1934, Biometrika 26); x and n may be fractional.
func clopperPearson(x, n, tail float64) (lo, hi float64) {
	lo, hi = 0, 1
	if x > 0 {
		lo = betaQuantile(tail, x, n-x+1)
	}
	if x < n {
		hi = betaQuantile(1-tail, x+1, n-x)
	}
	return lo, hi
}

// garwood returns the exact limits of a Poisson mean (Garwood 1936,
// Biometrika 28).
func garwood(x, tail float64) (lo, hi float64) {
	if x > 0 {
		lo = gammaQuantile(tail, x)
	}
	return lo, gammaQuantile(1-tail, x+1)
}

// manyCounts is from where normal approximations of count distributions are
// used: their relative error there is below 1e-3 of a standard deviation and
// the exact inversions lose digits.
const manyCounts = 1e7

// betaQuantile and gammaQuantile pass NaN on (the inversions would search for
// it for ever) and take the limit where a parameter vanishes.
func betaQuantile(p, a, b float64) float64 {
	switch {
	case math.IsNaN(p + a + b):
		return math.NaN()
	case a <= 0:
		return 0
	case b <= 0:
		return 1
	}
	if a+b > manyCounts {
		m := a / (a + b)
		x := m + zQuantile(1-p)*math.Sqrt(m*(1-m)/(a+b+1))
		if a > 1e3 && b > 1e3 {
			return min(max(x, 0), 1)
		}
		if a <= b { // rare: the gamma limit of the beta distribution
			return min(gammaQuantile(p, a)/(a+b), 1)
		}
		return max(1-gammaQuantile(1-p, b)/(a+b), 0)
	}
	switch {
	case a == 1:
		return -math.Expm1(math.Log1p(-p) / b)
	case b == 1:
		return math.Exp(math.Log(p) / a)
	case a > 1 && b > 1:
		if x, ok := fastBetaQuantile(p, a, b); ok {
			return x
		}
	}
	return mathext.InvRegIncBeta(a, b, p)
}

// nearRoot is the relative size of a step of Halley's method from where the
// result is exact to rounding: the error is about its cube.
const nearRoot = 1e-5

// fastBetaQuantile improves the approximation of Abramowitz & Stegun, 26.5.22,
// by Halley's method. It reports false where that does not converge.
func fastBetaQuantile(p, a, b float64) (x float64, ok bool) {
	y := zQuantile(p)
	h := 2 / (1/(2*a-1) + 1/(2*b-1))
	l := (y*y - 3) / 6
	w := y*math.Sqrt(h+l)/h - (1/(2*b-1)-1/(2*a-1))*(l+5.0/6-2/(3*h))
	x = a / (a + b*math.Exp(2*w))
	beta, sd := mathext.Lbeta(a, b), math.Sqrt(a*b/(a+b))/(a+b)
	for range 6 {
		if !(x > 0 && x < 1) {
			return 0, false
		}
		density := math.Exp((a-1)*math.Log(x) + (b-1)*math.Log1p(-x) - beta)
		u := (mathext.RegIncBeta(a, b, x) - p) / density
		step := u / (1 - min(1, u*((a-1)/x-(b-1)/(1-x)))/2)
		x -= step
		if math.Abs(step) < nearRoot*min(x, 1-x, sd) {
			return x, true
		}
	}
	return 0, false
}

func gammaQuantile(p, shape float64) float64 {
	switch {
	case math.IsNaN(p + shape):
		return math.NaN()
	case shape <= 0:
		return 0
	case shape > manyCounts:
		return max(0, shape+zQuantile(1-p)*math.Sqrt(shape))
	}
	if shape >= 1 {
		if x, ok := fastGammaQuantile(p, shape); ok {
			return x
		}
	}
	return mathext.GammaIncRegInv(shape, p)
}

// fastGammaQuantile improves Wilson & Hilferty's approximation (1931, PNAS 17)
// in the same way.
func fastGammaQuantile(p, shape float64) (x float64, ok bool) {
	c := 1 / (9 * shape)
	w := 1 - c - zQuantile(p)*math.Sqrt(c)
	x = shape * w * w * w
	lg, _ := math.Lgamma(shape)
	for range 6 {
		if !(x > 0) {
			return 0, false
		}
		density := math.Exp((shape-1)*math.Log(x) - x - lg)
		u := (mathext.GammaIncReg(shape, x) - p) / density
		step := u / (1 - min(1, u*((shape-1)/x-1))/2)
		x -= step
		if math.Abs(step) < nearRoot*min(x, math.Sqrt(shape)) {
			return x, true
		}
	}
	return 0, false
}

// zQuantile returns the value a standard normal exceeds with probability tail.
func zQuantile(tail float64) float64 { return math.Sqrt2 * math.Erfinv(1-2*tail) }

// zTail returns the probability that a standard normal exceeds z.
func zTail(z float64) float64 { return math.Erfc(z/math.Sqrt2) / 2 }

// tQuantile returns the value that Student's t exceeds with probability tail:
// the expansion of Abramowitz & Stegun, 26.7.5, improved by Halley's method.
func tQuantile(tail, df float64) float64 {
	z := zQuantile(tail)
	if df > 1e6 || z == 0 {
		return z
	}
	if df < 3 || z*z > df { // the expansion may lead astray
		return -distuv.StudentsT{Sigma: 1, Nu: df}.Quantile(tail)
	}
	z2 := z * z
	x := z * (1 + (z2+1)/(4*df) + ((5*z2+16)*z2+3)/(96*df*df) + (((3*z2+19)*z2+17)*z2-15)/(384*df*df*df))
	constant := mathext.Lbeta(df/2, 0.5) + math.Log(df)/2
	for range 4 {
		density := math.Exp(-(df+1)/2*math.Log1p(x*x/df) - constant)
		u := (tail - tTail(x, df)) / density
		step := u / (1 + u*x*(df+1)/(df+x*x)/2)
		x -= step
		if math.Abs(step) < nearRoot*math.Abs(x) {
			return x
		}
	}
	return -distuv.StudentsT{Sigma: 1, Nu: df}.Quantile(tail)
}

// tTail returns the probability that Student's t exceeds t.
func tTail(t, df float64) float64 {
	if df > 1e6 || math.IsInf(t, 0) {
		return zTail(t)
	}
	return distuv.StudentsT{Sigma: 1, Nu: df}.CDF(-t)
}
