package judge

// events are the counts of one slice.
type events struct{ candidate, baseline, candidateExposure, baselineExposure float64 }

// measurable reports whether both sides were there, and comparable in float64.
func (e *events) measurable() bool {
	return e.candidateExposure > 0 && e.baselineExposure > 0 &&
		e.candidateExposure < maxRelative*e.baselineExposure && e.baselineExposure < maxRelative*e.candidateExposure
}

// maxRelative is from where adding 1 to a ratio of exposures is lost.
const maxRelative = 1 << 50

// slowEvents counts, slice by slice, the requests slower than the quantile of
// the baseline's earlier slices: the candidate's against the acceptable limit,
// the baseline's against the quantile itself. The threshold used in a slice is
// fixed before it, and moved only after 1, 2, 4, 8 … slices. To the other side
// the faster ones are counted.
func (w *watch) slowEvents(c, b []Slice) []events {
	out := make([]events, 0, len(c))
	ofCandidate, ofBaseline := newCut(0), newCut(0)
	earlier := newMerged()
	for i, next := 0, 1; i < len(c); i++ {
		if i > 0 && next < len(c) && b[i-1].Histogram != nil {
			_, _ = earlier.add(b[i-1].Histogram) // was read before, without an error
		}
		if i == next && earlier.n > 0 {
			threshold := earlier.quantile(w.now.quantile)
			ofBaseline, ofCandidate = newCut(threshold), newCut(w.accept.limit(w.side, threshold))
			next *= 2
		} else if i == next {
			next++
		}
		ch, bh := c[i].Histogram, b[i].Histogram
		if ofBaseline.x == 0 || ch == nil || bh == nil {
			continue
		}
		e := events{ofCandidate.above(ch), ofBaseline.above(bh), w.now.hist.perSlice[i], w.base.hist.perSlice[i]}
		if w.side == down {
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
	v, _ := upperVariance(residuals, x/float64(len(es)))
	return v / (x / float64(len(es)))
}

// assumedRho is the autocorrelation from slice to slice for which the error
// rate of a watch is promised. Slices show it once they hold minSlices
// independent pieces, n(1−ρ)/(1+ρ) = 4, that is after 23; before, it is assumed.
const assumedRho = 0.7

// upperVariance is the upper 95 % limit of the long-run variance of xs, and at
// least white, the variance that independent requests have anyway: only what
// exceeds that can be autocorrelated. It returns the degrees of freedom with it.
func upperVariance(xs []float64, white float64) (v, df float64) {
	const stretch = (1 + assumedRho) / (1 - assumedRho)
	n := float64(len(xs))
	if n >= minSlices*stretch {
		lr := longRunVariance(xs)
		return max(white, upperLimit(lr.variance, lr.df)), lr.df
	}
	var squares float64
	for _, x := range xs {
		squares += x * x
	}
	return white + stretch*max(0, upperLimit(squares/(n-1), n-1)-white), n - 1
}

// upperLimit of a variance estimated with df degrees of freedom: df·v/σ² is
// distributed as χ².
func upperLimit(v, df float64) float64 { return v * df / (2 * gammaQuantile(miss, df/2)) }
