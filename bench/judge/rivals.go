package main

import (
	"math"
	"slices"

	"github.com/tidegate-io/tidegate/judge"
)

// The rivals' published rules, re-implemented. Each says whether it fails the
// new run, given the earlier ones.

// signals are the three numbers that rules over single numbers look at.
type signals struct{ p95, errors, traffic float64 }

// read takes them by the judge's own estimates, so that rules differ and
// readings do not.
func read(w window) signals {
	v := judge.Judge(judge.Options{}, []judge.Input{
		{Objective: judge.Objective{Quantile: 0.95}, Sample: w.latency},
		{Sample: w.errors}, {Sample: w.traffic},
	})
	return signals{float64(v.Results[0].Estimate), float64(v.Results[1].Estimate), float64(v.Results[2].Estimate)}
}

// story is a run with those before it.
type story struct {
	past        []window
	pastSignals []signals
	now         window
	nowSignals  signals
}

func tell(past []window, now window) story {
	s := story{past: past, now: now, nowSignals: read(now)}
	for _, w := range past {
		s.pastSignals = append(s.pastSignals, read(w))
	}
	return s
}

// columns returns the earlier p95s, error rates and traffics; what could not
// be measured is left out.
func (s story) columns() (p95, errors, traffic []float64) {
	for _, x := range s.pastSignals {
		p95, errors, traffic = appendNumber(p95, x.p95), appendNumber(errors, x.errors), appendNumber(traffic, x.traffic)
	}
	return p95, errors, traffic
}

type rival struct {
	name  string
	fails func(story) bool
}

var rivals = []rival{
	{"min/max of 5 runs", overNumbers(func(past []float64, x float64, lower bool) bool {
		if lower {
			return x < slices.Min(past)
		}
		return x > slices.Max(past)
	})},
	{"P99 + IQR", overNumbers(func(past []float64, x float64, lower bool) bool {
		s := slices.Sorted(slices.Values(past))
		iqr := percentile(s, 0.75) - percentile(s, 0.25)
		if lower {
			return x < percentile(s, 0.01)-iqr
		}
		return x > percentile(s, 0.99)+iqr
	})},
	{"Keptn <=+10 %", overNumbers(func(past []float64, x float64, lower bool) bool {
		mean := average(past[max(0, len(past)-3):])
		if lower {
			return x < mean*0.9
		}
		return x > mean*1.1
	})},
	{"Kayenta", kayentaFails},
	{"Argo/Flagger", thresholdEachInterval},
}

// overNumbers applies a rule to each of the three signals; without a number
// (no requests) the rules do not fail.
func overNumbers(beyond func(past []float64, x float64, lower bool) bool) func(story) bool {
	return func(s story) bool {
		p95, errors, traffic := s.columns()
		return len(p95) > 0 && beyond(p95, s.nowSignals.p95, false) ||
			len(errors) > 0 && beyond(errors, s.nowSignals.errors, false) ||
			len(traffic) > 0 && beyond(traffic, s.nowSignals.traffic, true)
	}
}

func appendNumber(xs []float64, x float64) []float64 {
	if math.IsNaN(x) {
		return xs
	}
	return append(xs, x)
}

func average(xs []float64) float64 {
	var sum float64
	for _, x := range xs {
		sum += x
	}
	return sum / float64(len(xs))
}

// percentile interpolates linearly between order statistics.
func percentile(sorted []float64, p float64) float64 {
	at := p * float64(len(sorted)-1)
	i := int(at)
	if i+1 >= len(sorted) {
		return sorted[len(sorted)-1]
	}
	return sorted[i] + (at-float64(i))*(sorted[i+1]-sorted[i])
}

// kayentaFails holds the points of the new run against those of the run
// before it by the Mann–Whitney test of each of the three metrics. (Kayenta
// reads one point a minute; here the two-second slices are its points, as if
// the run lasted half an hour with the requests of a minute.)
func kayentaFails(s story) bool {
	return pointsOf(s.now).worseThan(pointsOf(s.past[len(s.past)-1]))
}

// metrics are the points of a window's three metrics.
type metrics struct{ latency, errors, traffic []float64 }

func pointsOf(w window) metrics {
	return metrics{points(w.latency), points(w.errors), points(w.traffic)}
}

func (m *metrics) add(w window) {
	p := pointsOf(w)
	m.latency, m.errors, m.traffic = append(m.latency, p.latency...), append(m.errors, p.errors...), append(m.traffic, p.traffic...)
}

func (m metrics) worseThan(base metrics) bool {
	return mannWhitney(m.latency, base.latency) == 1 || mannWhitney(m.errors, base.errors) == 1 ||
		mannWhitney(m.traffic, base.traffic) == -1
}

// points are the values a metric store would return, one a slice.
func points(s judge.Sample) []float64 {
	var out []float64
	for i := range s.Slices {
		one := judge.Sample{Kind: s.Kind, Slices: s.Slices[i : i+1]}
		o := judge.Objective{Quantile: 0.95}
		out = appendNumber(out, float64(judge.Judge(judge.Options{}, []judge.Input{{Objective: o, Sample: one}}).Results[0].Estimate))
	}
	return out
}

const (
	kayentaConfidence = 0.98
	kayentaTolerance  = 0.25
)

// mannWhitney classifies as Kayenta's MannWhitneyClassifier does: +1 when the
// confidence interval of the shift lies above the tolerance band, a quarter of
// the Hodges–Lehmann estimate, -1 when it lies below, else 0.
func mannWhitney(experiment, control []float64) int {
	if len(experiment) < 2 || len(control) < 2 {
		return 0
	}
	if straddlesZero(experiment, control, kayentaConfidence) {
		return 0 // and so does the band
	}
	low, high, estimate := shift(experiment, control, kayentaConfidence)
	band := math.Abs(kayentaTolerance * estimate)
	switch {
	case low > band:
		return 1
	case high < -band:
		return -1
	}
	return 0
}

// shift is the Hodges–Lehmann estimate with its interval, as R's
// wilcox.test(conf.int = TRUE) in the normal approximation without ties.
func shift(experiment, control []float64, confidence float64) (low, high, estimate float64) {
	diffs := make([]float64, 0, len(experiment)*len(control))
	for _, e := range experiment {
		for _, c := range control {
			diffs = append(diffs, e-c)
		}
	}
	slices.Sort(diffs)
	k := endRank(experiment, control, confidence)
	return diffs[k-1], diffs[len(diffs)-k], percentile(diffs, 0.5)
}

// endRank is which of the differences, counted from either end, is an end of
// the interval.
func endRank(experiment, control []float64, confidence float64) int {
	n, m := float64(len(experiment)), float64(len(control))
	z := math.Sqrt2 * math.Erfinv(confidence)
	return max(1, int(math.Ceil(n*m/2-z*math.Sqrt(n*m*(n+m+1)/12)-0.5)))
}

// straddlesZero reports whether the interval of the shift does, without sorting
// the differences: that is most of what Kayenta's rule takes.
func straddlesZero(experiment, control []float64, confidence float64) bool {
	notAbove, notBelow := 0, 0
	for _, e := range experiment {
		for _, c := range control {
			if e <= c {
				notAbove++
			}
			if e >= c {
				notBelow++
			}
		}
	}
	k := endRank(experiment, control, confidence)
	return notAbove >= k && notBelow >= k
}

// Limits somebody would write for Argo or Flagger after five runs: a fifth
// above the usual p95, twice the usual error rate and at least 1 %, a fifth
// below the usual traffic; looked at every ten seconds, and the first failed
// measurement fails (Argo's default failureLimit of 0).
const (
	fixedSlack    = 0.2
	fixedErrors   = 0.01
	intervalSlice = 5
)

func thresholdEachInterval(st story) bool {
	p95, errors, traffic := st.columns()
	for from := 0; from+intervalSlice <= len(st.now.latency.Slices); from += intervalSlice {
		s := read(st.now.part(from, from+intervalSlice))
		if s.p95 > (1+fixedSlack)*average(p95) || s.errors > max(fixedErrors, 2*average(errors)) ||
			s.traffic < (1-fixedSlack)*average(traffic) {
			return true
		}
	}
	return false
}

func (w window) part(from, to int) window {
	cut := func(s judge.Sample) judge.Sample {
		s.Slices = s.Slices[from:to]
		return s
	}
	return window{cut(w.latency), cut(w.errors), cut(w.traffic)}
}
