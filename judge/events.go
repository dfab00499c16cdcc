package judge

// events are the counts of one slice.
type events struct{ candidate, baseline, candidateExposure, baselineExposure float64 }

// slowEvents counts, slice by slice, the requests slower than the quantile of
// the baseline's earlier slices: the candidate's against the acceptable limit,
// the baseline's against the quantile itself. The threshold used in a slice is
// fixed before it, and moved only after 1, 2, 4, 8 … slices. To the other side
// the faster ones are counted.
func slowEvents(c, b []Slice, quantile float64, s side, accept acceptable) []events {
	out := make([]events, 0, len(c))
	var threshold float64
	next := 1
	for i := range c {
		if i == next {
			if m, err := mergeHistograms(b[:i]); err == nil && m != nil {
				threshold = m.quantile(quantile)
				next *= 2
			} else {
				next++
			}
		}
		ch, bh := c[i].Histogram, b[i].Histogram
		if threshold == 0 || ch == nil || bh == nil {
			continue
		}
		e := events{ch.above(accept.limit(s, threshold)), bh.above(threshold), ch.observations(), bh.observations()}
		if s == down {
			e.candidate, e.baseline = e.candidateExposure-e.candidate, e.baselineExposure-e.baseline
		}
		out = append(out, e)
	}
	return out
}

// dispersion is what the counts are divided by so that they vary no more than
// Poisson's: the inflation in the baseline's slices, which a change of the
// candidate leaves alone, at its upper limit, because a look may come early,
// when it is hardly known. With no event in the baseline there is nothing to
// see, and it is 1.
func dispersion(es []events) float64 {
	var x, n float64
	for _, e := range es {
		x += e.baseline
		n += e.baselineExposure
	}
	if x == 0 || n == 0 || len(es) < minSlices {
		return 1
	}
	residuals := make([]float64, len(es))
	for i, e := range es {
		residuals[i] = e.baseline - x/n*e.baselineExposure
	}
	return upperVariance(residuals, x/float64(len(es))) / (x / float64(len(es)))
}

// assumedRho is the autocorrelation from slice to slice for which the error
// rate of a watch is promised. Slices show it once they hold minSlices
// independent pieces, n(1−ρ)/(1+ρ) = 4, that is after 23; before, it is assumed.
const assumedRho = 0.7

// upperVariance is the upper 95 % limit of the long-run variance of xs, and at
// least white, the variance that independent requests have anyway: only what
// exceeds that can be autocorrelated.
func upperVariance(xs []float64, white float64) float64 {
	const stretch = (1 + assumedRho) / (1 - assumedRho)
	n := float64(len(xs))
	if n >= minSlices*stretch {
		lr := longRunVariance(xs)
		return max(white, upperLimit(lr.variance, lr.df))
	}
	var squares float64
	for _, x := range xs {
		squares += x * x
	}
	return white + stretch*max(0, upperLimit(squares/(n-1), n-1)-white)
}

// upperLimit of a variance estimated with df degrees of freedom: df·v/σ² is
// distributed as χ².
func upperLimit(v, df float64) float64 { return v * df / (2 * gammaQuantile(miss, df/2)) }
