package judge

import "math"

// Requests rarely arrive as independent draws: a slow minute is slow for all
// of them. The slices show by how much the variance of a sum over the window
// exceeds that of independent observations; that factor is the inflation φ,
// and n observations are worth n/φ.

const (
	// minSlices is how many slices it takes to say anything about
	// dependence between neighbours (one autocorrelation and a mean are
	// estimated from them).
	minSlices = 4
	// maxRho bounds the autocorrelation used for prewhitening, as proposed by
	// Andrews & Monahan 1992, Econometrica 60(4), section 4.
	maxRho = 0.97
)

// rhoBound is the strongest autocorrelation that n slices can tell from a
// trend: the window must hold at least minSlices independent pieces, of which
// there are n(1−ρ)/(1+ρ).
func rhoBound(n float64) float64 { return min(maxRho, (n-minSlices)/(n+minSlices)) }

// longRun is the long-run variance of a series: n times the variance of its
// mean as n grows.
type longRun struct {
	variance float64
	rho      float64 // lag-one autocorrelation, >= 0
	df       float64 // degrees of freedom of the estimate
}

// longRunVariance estimates the long-run variance of xs around their mean by
// an AR(1)-prewhitened Bartlett kernel (Andrews & Monahan 1992; Newey & West
// 1994, Rev. Econ. Stud. 61(4), for the lag). The Bartlett kernel is what the
// moving-block bootstrap converges to for means and linearised statistics
// (Künsch 1989, Ann. Statist. 17(3)), without its Monte Carlo noise. The
// autocorrelation is corrected for the downward bias from estimating the mean
// (Kendall 1954, Biometrika 41).
func longRunVariance(xs []float64) longRun {
	n := float64(len(xs))
	mean := meanOf(xs)
	var c0, c1 float64
	for i, x := range xs {
		c0 += (x - mean) * (x - mean)
		if i > 0 {
			c1 += (x - mean) * (xs[i-1] - mean)
		}
	}
	if len(xs) < minSlices || c0 == 0 {
		return longRun{variance: c0 / max(1, n-1), df: max(1, n-1)}
	}
	rho := min(max(0, (c1/c0*n+1)/(n-3)), rhoBound(n))
	residual := make([]float64, 0, len(xs)-1)
	for i := 1; i < len(xs); i++ {
		residual = append(residual, xs[i]-mean-rho*(xs[i-1]-mean))
	}
	v := bartlett(residual) / ((1 - rho) * (1 - rho))
	return longRun{variance: v, rho: rho, df: max(1, n*(1-rho)/(1+rho)-1)}
}

// bartlett returns the kernel estimate of the long-run variance of residuals,
// never below their plain variance. It centres them in place.
func bartlett(e []float64) float64 {
	mean := meanOf(e)
	for i := range e {
		e[i] -= mean
	}
	lags := bartlettLags(len(e))
	plain := autocovariance(e, 0)
	v := plain
	for l := 1; l <= lags; l++ {
		v += 2 * (1 - float64(l)/float64(lags+1)) * autocovariance(e, l)
	}
	return max(v, plain)
}

// bartlettLags is Newey & West's choice (1994, table II B) for n residuals.
func bartlettLags(n int) int { return min(int(4*math.Pow(float64(n)/100, 2.0/9)), n-1) }

// logVariance is the variance of the logarithm of the reading's dispersion. For
// x events that are counted, their Poisson distribution adds its excess
// kurtosis, which comes to 1/x; and as x events have a φ between 1 and x, it is
// at most log(x)²/4 (Popoviciu 1935).
func (r *reading) logVariance() float64 {
	v := logVariance(r.slices, r.df)
	var x float64
	switch {
	case r.kind == Ratio:
		x = r.bad
	case r.kind == Rate:
		x = r.n
	case r.quantile > 0:
		x = r.n * (1 - r.quantile)
	default:
		return v
	}
	if x <= 1 {
		return 0
	}
	return min(v+1/x, math.Log(x)*math.Log(x)/4)
}

// logVariance is the variance of the logarithm of a long-run variance estimated
// from n slices: 2/n times the sum of the kernel's squared weights (Andrews 1991,
// Econometrica 59(3), section 3), and for the prewhitening, 1/(1−ρ)² with the
// variance (1−ρ²)/n of ρ, 4/n·(1+ρ)/(1−ρ), that is 4/(df+1).
func logVariance(n int, df float64) float64 {
	lags := bartlettLags(n - 1)
	squares := 1.0
	for l := 1; l <= lags; l++ {
		w := 1 - float64(l)/float64(lags+1)
		squares += 2 * w * w
	}
	return 2*squares/float64(n) + 4/min(float64(n), df+1)
}

// autocovariance of a series around zero. Four sums run side by side, so that
// one addition need not wait for the other.
func autocovariance(e []float64, lag int) float64 {
	var c [4]float64
	later, earlier := e[lag:], e[:len(e)-lag]
	i := 0
	for ; i+4 <= len(later) && i+4 <= len(earlier); i += 4 {
		c[0] += later[i] * earlier[i]
		c[1] += later[i+1] * earlier[i+1]
		c[2] += later[i+2] * earlier[i+2]
		c[3] += later[i+3] * earlier[i+3]
	}
	for ; i < len(later) && i < len(earlier); i++ {
		c[0] += later[i] * earlier[i]
	}
	return (c[0] + c[1] + c[2] + c[3]) / float64(len(e)-1)
}

func meanOf(xs []float64) float64 {
	var sum float64
	for _, x := range xs {
		sum += x
	}
	return sum / float64(len(xs))
}

// inflation compares the long-run variance of the residual counts of the
// slices with what independent requests would have for the whole window. It
// returns φ >= 1 and the degrees of freedom it is known with (+Inf for φ = 1:
// then nothing was estimated).
func inflation(residuals []float64, independent float64) (phi, df float64) {
	if len(residuals) < minSlices || independent <= 0 {
		return 1, math.Inf(1)
	}
	lr := longRunVariance(residuals)
	phi = lr.variance * float64(len(residuals)) / independent
	if !(phi > 1) || math.IsInf(phi, 1) {
		return 1, math.Inf(1)
	}
	return phi, lr.df
}
