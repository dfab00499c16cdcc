package judge

import "math"

// The factor of a slice has, for the alternative that the candidate's rate is
// ρ times the acceptable one, the a of the likelihood ratio: with s = k·nc/nb,
// a = ρ(s+1)/(ρs+1) and 1 − s(a−1) = (s+1)/(ρs+1) = a/ρ. With y = s/(s+1), the
// acceptable candidate's share of the events, a = ρ/v with v = 1 + y(ρ−1), and
// the logarithm of the factor is
//
//	xc·log ρ − (xc+xb)·log v − nc·m·(ρ/v − 1).
//
// Over a watch y hardly moves, so log v and 1/v are taken in the centre of a
// cell of s, and near it by their series in the distance.

const (
	// cellBits of the mantissa tell a cell: it is at most 1/64 of s wide, and
	// its centre is the first s in it, which is often the only one.
	cellBits = 6
	// cellsKept cover a factor of 4 in s; beyond it cells are worked out anew.
	cellsKept = 128
	// terms of the series: what is left out is below (1/64)^6/6 = 3e-12.
	terms = 6
)

// cell holds the alternatives' v at one y.
type cell struct {
	key                  uint64
	y                    float64
	logs, slopes, shares [alternatives]float64 // log v, (ρ−1)/v, ρ/v

	// Sums over the slices in the cell of the events and of what the margin
	// allows, times powers of the distance from y.
	events, allowed [terms]float64
}

// likelihoods works out logarithms of factors for every alternative.
type likelihoods struct {
	k, margin         float64
	ratios, logRatios [alternatives]float64
	cells             [cellsKept]*cell // as they are needed

	candidate float64               // events of the slices summed up
	sums      [alternatives]float64 // of cells that were given up
}

func newLikelihoods(ratios [alternatives]float64, k, margin float64) *likelihoods {
	l := &likelihoods{k: k, margin: margin, ratios: ratios}
	for j, r := range ratios {
		l.logRatios[j] = math.Log(r)
	}
	return l
}

// at returns the cell of the slice and how far its y is from the cell's.
func (l *likelihoods) at(e *events) (c *cell, distance float64) {
	s := l.k * e.candidateExposure / e.baselineExposure
	key := math.Float64bits(s) >> (52 - cellBits)
	c = l.cells[key%cellsKept]
	if c == nil || c.key != key {
		if c == nil {
			c = new(cell)
			l.cells[key%cellsKept] = c
		}
		l.giveUp(c)
		l.fill(c, key, s/(s+1))
	}
	return c, s/(s+1) - c.y
}

func (l *likelihoods) fill(c *cell, key uint64, y float64) {
	*c = cell{key: key, y: y}
	for j, r := range l.ratios {
		v := 1 + y*(r-1)
		c.logs[j], c.slopes[j], c.shares[j] = math.Log(v), (r-1)/v, r/v
	}
}

// of writes the logarithms of the factors of one slice.
func (l *likelihoods) of(e *events, logs *[alternatives]float64) {
	c, d := l.at(e)
	n, allowed := e.candidate+e.baseline, e.candidateExposure*l.margin
	if d == 0 {
		for j := range logs {
			logs[j] = e.candidate*l.logRatios[j] - n*c.logs[j] - allowed*(c.shares[j]-1)
		}
		return
	}
	for j := range logs {
		u := d * c.slopes[j]
		logs[j] = e.candidate*l.logRatios[j] - n*(c.logs[j]+u*(1-u*(1.0/2-u*(1.0/3-u*(1.0/4-u*(1.0/5))))))
	}
	if allowed == 0 {
		return
	}
	for j := range logs {
		u := d * c.slopes[j]
		logs[j] -= allowed * (c.shares[j]*(1-u*(1-u*(1-u*(1-u*(1-u))))) - 1)
	}
}

// add sums up the logarithms of the factors of one slice, for total.
func (l *likelihoods) add(e *events) {
	c, d := l.at(e)
	l.candidate += e.candidate
	n, allowed := e.candidate+e.baseline, e.candidateExposure*l.margin
	for i := range c.events {
		c.events[i] += n
		c.allowed[i] += allowed
		n, allowed = n*d, allowed*d
	}
}

// giveUp moves what was added in a cell to the sums.
func (l *likelihoods) giveUp(c *cell) {
	if c.events[0] == 0 && c.allowed[0] == 0 {
		return
	}
	for j := range l.sums {
		var power, logs, shares float64 = 1, c.events[0] * c.logs[j], 0
		for i := range terms {
			if i > 0 {
				logs -= power * c.events[i] / float64(i)
			}
			shares += power * c.allowed[i]
			power *= -c.slopes[j]
		}
		l.sums[j] -= logs + c.shares[j]*shares - c.allowed[0]
	}
}

// total returns the logarithms of the products of all factors added, and ends
// the adding.
func (l *likelihoods) total() [alternatives]float64 {
	for _, c := range l.cells {
		if c != nil {
			l.giveUp(c)
		}
	}
	out := l.sums
	for j, r := range l.logRatios {
		out[j] += l.candidate * r
	}
	return out
}

// meanExp is the logarithm of the mean of exp(x).
func meanExp(xs [alternatives]float64) float64 {
	largest, sum := math.Inf(-1), 0.0
	for _, x := range xs {
		largest = max(largest, x)
	}
	for _, x := range xs {
		sum += math.Exp(x - largest)
	}
	return largest + math.Log(sum/alternatives)
}
