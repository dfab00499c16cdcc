package detect

// Requests do not arrive as independent draws: a slow second is slow for all
// of them. scales are the numbers of slots over which the counts are added up
// to see by how much more they vary than independent ones would.
var scales = [...]int{1, 16, 128}

// dispersion estimates the inflation φ ≥ 1 of the variance of counts, as the
// largest of the ratios seen at several scales: long scales see the
// autocorrelation. Until something is known φ is a cautious guess.
type dispersion struct {
	Sum, Weight [len(scales)]float64

	residual, variance [len(scales)]float64 // of the block that is not full yet
	n                  [len(scales)]int
}

const (
	guessedPhi       = 1.5
	guessedPhiWeight = 5.0 // blocks
	phiMemory        = 400 // blocks
	// mostSurprise is how far beyond the present estimate a block may be for
	// it to count whole: the first slot of an incident is no dispersion, and
	// what bursts again and again gets there all the same.
	mostSurprise = 9
)

// observe adds what one slot had more than expected, and the variance that it
// would have if requests were independent.
func (d *dispersion) observe(residual, variance float64) {
	if !(variance > 0) {
		return
	}
	for k, slots := range scales {
		d.residual[k] += residual
		d.variance[k] += variance
		if d.n[k]++; d.n[k] < slots {
			continue
		}
		// A block in which less than one event is expected says little.
		w := min(1, d.variance[k])
		keep := 1 - w/phiMemory
		d.Sum[k] = d.Sum[k]*keep + w*min(d.residual[k]*d.residual[k]/d.variance[k], mostSurprise*d.at(k))
		d.Weight[k] = d.Weight[k]*keep + w
		d.residual[k], d.variance[k], d.n[k] = 0, 0, 0
	}
}

// phi is never below 1.
func (d *dispersion) phi() float64 {
	phi := 1.0
	for k := range scales {
		phi = max(phi, d.at(k))
	}
	return phi
}

func (d *dispersion) at(k int) float64 {
	return (guessedPhi*guessedPhiWeight + d.Sum[k]) / (guessedPhiWeight + d.Weight[k])
}
