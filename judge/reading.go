package judge

import (
	"fmt"
	"math"
)

// reading is a sample reduced to what the criteria need.
type reading struct {
	kind      Kind
	unit      string
	statistic string
	quantile  float64 // in (0, 1) when a quantile is read, else 0

	estimate float64
	n        float64 // requests, or points of a value
	bad      float64
	seconds  float64

	phi float64 // variance inflation of counts
	df  float64 // degrees of freedom behind phi or se
	se  float64 // standard error of a mean or value, in its unit; NaN for one point

	positive bool      // can be judged on the log scale
	hist     *merged   // of a distribution
	points   []float64 // of a value, without gaps
	slices   int

	known []limits // confidence limits worked out so far
}

// limits are the confidence limits that leave tail on each side.
type limits struct{ tail, low, high float64 }

// defaultQuantile is read from a distribution when neither a quantile nor the
// mean was asked for; it is the golden-signals default for latency.
const defaultQuantile = 0.95

const (
	// maxCount is from where counts in float64 are no longer exact.
	maxCount = 1 << 53
	// maxValue is from where squares overflow.
	maxValue = 1e150
)

// unreadable says why a sample gives no number.
type unreadable struct {
	status Status // StatusInconclusive for no data, StatusError for bad data
	why    string
}

func noData(why string) *unreadable { return &unreadable{StatusInconclusive, why} }
func badData(format string, args ...any) *unreadable {
	return &unreadable{StatusError, fmt.Sprintf(format, args...)}
}

// read reduces the sample to the statistic the objective asks for.
func read(o *Objective, s *Sample) (*reading, *unreadable) {
	if s.Err != "" {
		return nil, badData("the query failed: %s", s.Err)
	}
	switch s.Kind {
	case Ratio:
		return readRatio(s)
	case Rate:
		return readRate(s)
	case Distribution:
		return readDistribution(o, s)
	case Value:
		return readValue(s)
	}
	return nil, badData("the indicator has the unknown kind %q", string(s.Kind))
}

func readRatio(s *Sample) (*reading, *unreadable) {
	r := &reading{kind: Ratio, statistic: "error rate", slices: len(s.Slices)}
	for _, sl := range s.Slices {
		if !isCount(sl.Bad) || !isCount(sl.Total) || !isCount(sl.Seconds) {
			return nil, badData("a count is negative or not a number")
		}
		r.bad += sl.Bad
		r.n += sl.Total
		r.seconds += sl.Seconds
	}
	switch {
	case r.n == 0:
		return nil, noData("there was not one request in the window")
	case r.n > maxCount:
		return nil, badData("the counts overflow")
	case r.bad > r.n:
		return nil, badData("more bad requests (%s) than requests (%s) were counted", count(r.bad), count(r.n))
	}
	r.estimate = r.bad / r.n
	residuals := make([]float64, len(s.Slices))
	for i, sl := range s.Slices {
		residuals[i] = sl.Bad - r.estimate*sl.Total
	}
	r.phi, r.df = inflation(residuals, r.n*r.estimate*(1-r.estimate))
	return r, nil
}

func readRate(s *Sample) (*reading, *unreadable) {
	r := &reading{kind: Rate, statistic: "rate", slices: len(s.Slices), positive: true}
	for _, sl := range s.Slices {
		if !isCount(sl.Total) || !isCount(sl.Seconds) {
			return nil, badData("a count is negative or not a number")
		}
		r.n += sl.Total
		r.seconds += sl.Seconds
	}
	switch {
	case r.seconds == 0:
		return nil, noData("there are no data in the window")
	case r.n > maxCount || r.seconds > maxCount:
		return nil, badData("the counts overflow")
	}
	r.estimate = r.n / r.seconds
	residuals := make([]float64, len(s.Slices))
	for i, sl := range s.Slices {
		residuals[i] = sl.Total - r.estimate*sl.Seconds
	}
	r.phi, r.df = inflation(residuals, r.n)
	return r, nil
}

func readDistribution(o *Objective, s *Sample) (*reading, *unreadable) {
	m, err := mergeHistograms(s.Slices)
	if err != nil {
		return nil, badData("%v", err)
	}
	if m == nil {
		return nil, noData("there was not one measurement in the window")
	}
	if m.n > maxCount || math.Abs(m.sum) > maxValue {
		return nil, badData("the counts overflow")
	}
	r := &reading{kind: Distribution, unit: s.Unit, n: m.n, seconds: s.Seconds(), hist: m, slices: len(s.Slices)}
	if o.Mean {
		r.readMean(s)
	} else {
		r.readQuantile(s, o.Quantile)
	}
	r.positive = r.estimate > 0
	return r, nil
}

// readQuantile reads a quantile; its uncertainty is that of the number of
// observations beyond it (Woodruff 1952, JASA 47).
func (r *reading) readQuantile(s *Sample, p float64) {
	if p == 0 {
		p = defaultQuantile
	}
	r.quantile = p
	r.statistic = quantileName(p)
	r.estimate = r.hist.quantile(p)
	residuals := make([]float64, len(s.Slices))
	beyond := newCut(r.estimate)
	for i := range s.Slices {
		if h := s.Slices[i].Histogram; h != nil {
			residuals[i] = beyond.above(h) - (1-p)*r.hist.perSlice[i]
		}
	}
	r.phi, r.df = inflation(residuals, r.n*p*(1-p))
}

// readMean reads the mean as the ratio of two sums over slices; its variance
// is that of the linearised ratio, or that of independent observations if
// larger.
func (r *reading) readMean(s *Sample) {
	r.statistic = "mean"
	r.estimate = r.hist.sum / r.n
	residuals := make([]float64, len(s.Slices))
	for i, sl := range s.Slices {
		if sl.Histogram != nil {
			residuals[i] = sl.Histogram.Sum - r.estimate*r.hist.perSlice[i]
		}
	}
	variance := r.hist.variance(r.estimate)
	r.phi, r.df = inflation(residuals, r.n*variance)
	r.se = math.Sqrt(r.phi * variance / r.n)
}

func readValue(s *Sample) (*reading, *unreadable) {
	r := &reading{kind: Value, statistic: "value", slices: len(s.Slices), positive: true, phi: 1}
	points := make([]float64, 0, len(s.Slices))
	for _, sl := range s.Slices {
		v := float64(sl.Value)
		if math.Abs(v) > maxValue {
			return nil, badData("a value is infinite, or too large to calculate with")
		}
		r.seconds += sl.Seconds
		if math.IsNaN(v) {
			continue
		}
		points = append(points, v)
		r.positive = r.positive && v > 0
	}
	if len(points) == 0 {
		return nil, noData("there are no data in the window")
	}
	r.points = points
	r.n = float64(len(points))
	r.estimate = meanOf(points)
	r.se, r.df = math.NaN(), math.Inf(1)
	if len(points) > 1 {
		lr := longRunVariance(points)
		r.se, r.df = math.Sqrt(lr.variance/r.n), lr.df
		r.phi = max(1, (1+lr.rho)/(1-lr.rho))
	}
	return r, nil
}

// run returns what is kept of the reading to learn from later.
func (r *reading) run() *Run {
	return &Run{
		Kind: r.kind, Estimate: Number(r.estimate), N: r.n, Bad: r.bad, Seconds: r.seconds,
		StdErr: r.stdErr(), Inflation: r.phi,
	}
}

// stdErr returns the standard error of the estimate, on the log scale for
// positive quantities; 0 where it is unknown.
func (r *reading) stdErr() float64 {
	var se float64
	switch {
	case r.kind == Ratio:
		se = math.Sqrt(r.phi * r.estimate * (1 - r.estimate) / r.n)
		if r.estimate > 0 {
			se /= r.estimate
		}
	case r.kind == Rate:
		se = math.Sqrt(r.phi / max(r.n, 1))
	case r.quantile > 0:
		se = r.quantileStdErr()
	default:
		se = r.se
		if r.positive {
			se /= r.estimate
		}
	}
	if math.IsNaN(se) || math.IsInf(se, 0) {
		return 0
	}
	return se
}

// quantileStdErr is half the width of the interval that is one standard error
// to each side; where the upper end is unknown, the lower half.
func (r *reading) quantileStdErr() float64 {
	lo, hi := r.bounds(oneSigma)
	if !r.positive {
		return (hi - lo) / 2
	}
	if math.IsInf(hi, 1) {
		return math.Log(r.estimate / lo)
	}
	return math.Log(hi/lo) / 2
}
