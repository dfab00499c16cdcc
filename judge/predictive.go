package judge

import (
	"math"

	"gonum.org/v1/gonum/mathext"
)

// betaBinomial is the distribution of how many of n further requests are bad
// after the posterior Beta(a, b) of their probability. Counts may be
// fractional (effective counts).
type betaBinomial struct{ n, a, b float64 }

// jeffreys is the pseudo-count of the Jeffreys prior Beta(1/2, 1/2), whose
// predictive limits have close to their nominal frequentist error (Brown, Cai
// & DasGupta 2001, Statist. Sci. 16(2)).
const jeffreys = 0.5

func predictBinomial(bad, total, n float64) betaBinomial {
	return betaBinomial{n: n, a: bad + jeffreys, b: max(0, total-bad) + jeffreys}
}

// logProb is the logarithm of the probability of x.
func (d betaBinomial) logProb(x float64) float64 {
	lg := func(v float64) float64 { l, _ := math.Lgamma(v); return l }
	return lg(d.n+1) - lg(x+1) - lg(d.n-x+1) +
		lg(x+d.a) + lg(d.n-x+d.b) - lg(d.n+d.a+d.b) -
		lg(d.a) - lg(d.b) + lg(d.a+d.b)
}

func (d betaBinomial) mean() float64 { return d.n * d.a / (d.a + d.b) }

func (d betaBinomial) sd() float64 {
	s := d.a + d.b
	return math.Sqrt(d.n * d.a * d.b * (s + d.n) / (s * s * (s + 1)))
}

// wideCounts is the standard deviation from which the normal limit stands for
// the sum of terms: the skewness is then below 1/300, which moves the quantiles
// used here by less than a hundredth of a standard deviation.
const wideCounts = 300

// upper returns P(X >= x), summing the terms from x on, each from the one
// before it.
func (d betaBinomial) upper(x float64) float64 {
	switch {
	case x <= 0:
		return 1
	case x > d.n:
		return 0
	case d.sd() > wideCounts:
		return zTail((x - 0.5 - d.mean()) / d.sd())
	case x < d.mean():
		return 1 - d.swapped().upperTail(d.n-x+1)
	}
	return d.upperTail(x)
}

func (d betaBinomial) upperTail(x float64) float64 {
	if x > d.n {
		return 0
	}
	term := math.Exp(d.logProb(x))
	sum := term
	for k := x; k+1 <= d.n && term > sum*1e-9; k++ {
		term *= (d.n - k) * (k + d.a) / ((k + 1) * (d.n - k - 1 + d.b))
		sum += term
	}
	return min(1, sum)
}

// lower returns P(X <= x).
func (d betaBinomial) lower(x float64) float64 { return d.swapped().upper(d.n - x) }

// swapped is the distribution of n - X.
func (d betaBinomial) swapped() betaBinomial { return betaBinomial{n: d.n, a: d.b, b: d.a} }

// critical returns the x with P(X >= x) = level.
func (d betaBinomial) critical(level float64) float64 {
	x := d.mean() + zQuantile(level)*d.sd()
	return solve(0, d.n+1, x, func(x float64) float64 { return math.Log(level) - math.Log(d.upper(x)) })
}

// negativeBinomial is the distribution of a Poisson count over a time of
// exposure t after count events in time T (Jeffreys' prior): what is counted
// in one more window.
type negativeBinomial struct{ shape, p float64 } // p = t / (T + t)

func predictPoisson(events, seconds, t float64) negativeBinomial {
	return negativeBinomial{shape: events + jeffreys, p: t / (seconds + t)}
}

// upper returns P(X >= x), by the identity with the beta distribution.
func (d negativeBinomial) upper(x float64) float64 {
	if x <= 0 {
		return 1
	}
	return betaCDF(d.p, x, d.shape)
}

// lower returns P(X <= x).
func (d negativeBinomial) lower(x float64) float64 {
	if x < 0 {
		return 0
	}
	return betaCDF(1-d.p, d.shape, x+1)
}

func (d negativeBinomial) mean() float64 { return d.shape * d.p / (1 - d.p) }
func (d negativeBinomial) sd() float64   { return math.Sqrt(d.shape*d.p) / (1 - d.p) }

// criticalUpper returns the x with P(X >= x) = level; criticalLower the one
// with P(X <= x) = level.
func (d negativeBinomial) criticalUpper(level float64) float64 {
	z := zQuantile(level)
	x := d.mean() + z*d.sd()
	return solve(0, d.mean()+20+40*d.sd(), x, func(x float64) float64 { return math.Log(level) - math.Log(d.upper(x)) })
}

func (d negativeBinomial) criticalLower(level float64) float64 {
	x := d.mean() - zQuantile(level)*d.sd()
	return solve(0, d.mean()+1, x, func(x float64) float64 { return math.Log(d.lower(x)) - math.Log(level) })
}

// betaCDF is the regularised incomplete beta function, with the normal limit
// for very large counts.
func betaCDF(x, a, b float64) float64 {
	if a+b > manyCounts && min(a, b) > 1e3 {
		m := a / (a + b)
		return zTail((m - x) / math.Sqrt(m*(1-m)/(a+b+1)))
	}
	return mathext.RegIncBeta(a, b, x)
}

// solve finds the root of an increasing function in [lo, hi] by bracketing
// false position (the Illinois rule, Dowell & Jarratt 1971, BIT 11), starting
// at guess. Without a sign change it returns the end nearer to the root.
func solve(lo, hi, guess float64, f func(float64) float64) float64 {
	flo, fhi := math.Inf(-1), math.Inf(1)
	x := min(max(guess, lo), hi)
	tolerance := 1e-9 * (hi - lo)
	side := 0
	for range 100 {
		fx := f(x)
		switch {
		case fx == 0:
			return x
		case fx < 0 || math.IsNaN(fx):
			lo, flo = x, fx
			if side == -1 {
				fhi /= 2
			}
			side = -1
		default:
			hi, fhi = x, fx
			if side == 1 {
				flo /= 2
			}
			side = 1
		}
		if hi-lo <= tolerance || math.Abs(fx) < 1e-5 {
			return x
		}
		x = (lo*fhi - hi*flo) / (fhi - flo)
		if !(x > lo && x < hi) { // an end is not known, or is infinite
			x = lo + (hi-lo)/2
		}
	}
	return x
}
