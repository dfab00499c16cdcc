package detect

import "math"

// alternatives is how many sizes of a shift are looked for at once.
const alternatives = 6

// evidence is an e-detector of Shiryaev–Roberts type (Shin, Ramdas & Rinaldo
// 2024, "E-detectors"; Shiryaev 1963; Roberts 1966): with L the likelihood
// ratio of one slot, whose expectation is at most 1 as long as all is as
// usual, M = (1 + M)·L, averaged over several alternatives. The expectation of
// M after t slots is then at most t, so by optional stopping the mean time
// until M first reaches c without a cause is at least c slots. It may be
// looked at after every slot, and an onset long after the start is found as
// fast as an early one.
//
// Beside it runs Page's CUSUM of each alternative (Page 1954), which tells
// when the shift began: where its logarithm was last at zero.
type evidence struct {
	runs [alternatives]run
}

// run belongs to one alternative.
type run struct {
	mass  float64 // M
	cusum float64 // logarithm, >= 0
	since int64   // unix milliseconds: start of the slot in which cusum left zero
	bad   float64 // counted since then
	total float64
}

// mostMass is where M stops growing: far above any threshold.
const mostMass = 1e100

// step adds one slot, which started at the given time, with the logarithm of
// the likelihood ratio of every alternative. No slot counts for more than
// limit, however much went wrong in it: capping keeps the expectation below 1.
func (e *evidence) step(start int64, llr *[alternatives]float64, limit, bad, total float64) {
	for j := range e.runs {
		r := &e.runs[j]
		l := min(llr[j], limit)
		r.mass = min((1+r.mass)*math.Exp(l), mostMass)
		if r.cusum += l; r.cusum <= 0 {
			r.cusum, r.bad, r.total, r.since = 0, 0, 0, 0
			continue
		}
		if r.since == 0 {
			r.since = start
		}
		r.bad += bad
		r.total += total
	}
}

// value is the e-detector: a threshold of c on it means at least c slots
// between false alarms.
func (e *evidence) value() float64 {
	var sum float64
	for j := range e.runs {
		sum += e.runs[j].mass
	}
	return sum / alternatives
}

// likeliest is the alternative with the most evidence.
func (e *evidence) likeliest() *run {
	best := &e.runs[0]
	for j := range e.runs {
		if e.runs[j].cusum > best.cusum {
			best = &e.runs[j]
		}
	}
	return best
}

func (e *evidence) reset() { *e = evidence{} }

// oddsSteps are the alternatives of a share: its odds times so much.
var oddsSteps = [alternatives]float64{1.5, 2.5, 5, 12, 40, 200}

// shareRatios returns the logarithms of the likelihood ratios of bad of total
// for shares above usual; their expectations are at most 1 for every true
// share that is not above it. Dividing by phi, the dispersion, keeps that
// (Jensen).
func shareRatios(bad, total, usual, phi float64) (llr [alternatives]float64) {
	odds := usual / (1 - usual)
	for j, step := range oddsSteps {
		p := step * odds / (1 + step*odds)
		llr[j] = (bad*math.Log(p/usual) + (total-bad)*math.Log((1-p)/(1-usual))) / phi
	}
	return llr
}

// The alternatives of a rate: so many times the usual one.
var (
	surgeSteps = [alternatives]float64{1.3, 1.7, 2.5, 4, 8, 20}
	dropSteps  = [alternatives]float64{0.8, 0.6, 0.4, 0.2, 0.05, 0.002}
)

// rateRatios is the same for a count where usual are expected: Poisson counts.
func rateRatios(count, usual, phi float64, steps *[alternatives]float64) (llr [alternatives]float64) {
	for j, step := range steps {
		llr[j] = (count*math.Log(step) - usual*(step-1)) / phi
	}
	return llr
}
