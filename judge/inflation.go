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
// never below their plain variance.
func bartlett(e []float64) float64 {
	n := float64(len(e))
	mean := meanOf(e)
	autocovariance := func(lag int) float64 {
		var c float64
		for i := lag; i < len(e); i++ {
			c += (e[i] - mean) * (e[i-lag] - mean)
		}
		return c / (n - 1)
	}
	plain := autocovariance(0)
	lags := int(4 * math.Pow(n/100, 2.0/9)) // Newey & West 1994, table II B
	v := plain
	for l := 1; l <= lags && l < len(e); l++ {
		v += 2 * (1 - float64(l)/float64(lags+1)) * autocovariance(l)
	}
	return max(v, plain)
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
