package signature

import (
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/tidegate-io/tidegate/fault"
	"github.com/tidegate-io/tidegate/judge"
)

// Aggregate makes one number of a window.
type Aggregate string

// The aggregates; besides, p1 to p99.9 are percentiles.
const (
	Min    Aggregate = "min"
	Max    Aggregate = "max"
	Avg    Aggregate = "avg"
	Sum    Aggregate = "sum"
	Median Aggregate = "median"
	Count  Aggregate = "count"
)

// ParseAggregate reads an aggregate in any case; "percentile" is refused with
// the form that is meant.
func ParseAggregate(text string) (Aggregate, error) {
	a := Aggregate(strings.ToLower(text))
	return a, a.validate()
}

func (a Aggregate) validate() error {
	switch a {
	case Min, Max, Avg, Sum, Median, Count:
		return nil
	}
	if _, ok := a.quantile(); ok {
		return nil
	}
	return fault.Invalid("expected min, max, avg, sum, median, count or a percentile such as p90, found %q", string(a))
}

// quantile is the fraction of median and pXX, within (0, 1).
func (a Aggregate) quantile() (float64, bool) {
	if a == Median {
		return 0.5, true
	}
	digits, ok := strings.CutPrefix(string(a), "p")
	if !ok || digits == "" || digits[0] < '0' || digits[0] > '9' || strings.ContainsAny(digits, "eExX_") {
		return 0, false
	}
	v, err := strconv.ParseFloat(digits, 64)
	return v / 100, err == nil && v > 0 && v < 100
}

// perMinute is how many seconds Dynatrace's metric of requests is about.
const perMinute = 60

// of reduces a sample to the aggregate: in seconds, as a ratio, in requests
// per minute, in the unit of the expression. There is no data when ok is false;
// n is the number of observations behind the number.
func (a Aggregate) of(s judge.Sample) (v, n float64, ok bool) {
	switch s.Kind {
	case judge.Distribution:
		return a.ofDurations(s)
	case judge.Ratio:
		return a.ofRatio(s)
	case judge.Rate:
		return a.ofRate(s)
	}
	return a.ofValues(s)
}

// ofDurations knows the extremes as well as the buckets do: the upper edge of
// the highest and the lower edge of the lowest that holds something.
func (a Aggregate) ofDurations(s judge.Sample) (v, n float64, ok bool) {
	var sum float64
	low, high := math.Inf(1), math.Inf(-1)
	for _, sl := range s.Slices {
		h := sl.Histogram
		if h == nil || h.Count <= 0 {
			continue
		}
		n, sum = n+h.Count, sum+h.Sum
		l, u := edges(h)
		low, high = min(low, l), max(high, u)
	}
	if n == 0 {
		return 0, 0, false
	}
	switch a {
	case Min:
		return low, n, true
	case Max:
		return high, n, true
	case Avg:
		return sum / n, n, true
	case Sum:
		return sum, n, true
	case Count:
		return n, n, true
	}
	v, ok = a.estimate(s)
	return v, n, ok
}

// edges of what a histogram holds.
func edges(h *judge.Histogram) (low, high float64) {
	low, high = math.Inf(1), math.Inf(-1)
	edge := func(i int) float64 { return math.Exp2(float64(i) * math.Exp2(-float64(h.Schema))) }
	for _, b := range h.Buckets {
		if b.Count > 0 {
			low, high = min(low, edge(b.Index-1)), max(high, edge(b.Index))
		}
	}
	if h.ZeroCount > 0 {
		low, high = 0, max(high, h.ZeroThreshold)
	}
	return low, high
}

// estimate asks the judge for the quantile of a distribution.
func (a Aggregate) estimate(s judge.Sample) (float64, bool) {
	q, _ := a.quantile()
	res := judge.Judge(judge.Options{}, []judge.Input{{Objective: judge.Objective{Name: "quantile", Quantile: q}, Sample: s}}).Results[0]
	return float64(res.Estimate), !res.Estimate.IsNaN()
}

// ofRatio: the mean is over all requests; minimum, maximum and percentiles are
// over the slices that had any; count and sum are the failures.
func (a Aggregate) ofRatio(s judge.Sample) (v, n float64, ok bool) {
	var bad, total float64
	var parts []float64
	for _, sl := range s.Slices {
		if sl.Total > 0 {
			bad, total = bad+sl.Bad, total+sl.Total
			parts = append(parts, sl.Bad/sl.Total)
		}
	}
	if total == 0 {
		return 0, 0, false
	}
	switch a {
	case Avg:
		return bad / total, total, true
	case Sum, Count:
		return bad, total, true
	}
	return a.over(parts), total, true
}

// ofRate: the mean is per minute; minimum, maximum and percentiles are over
// the slices; count and sum are the requests in the window. A rate of zero is
// a measurement, of no observations.
func (a Aggregate) ofRate(s judge.Sample) (v, n float64, ok bool) {
	var total, seconds float64
	var parts []float64
	for _, sl := range s.Slices {
		if sl.Seconds > 0 {
			total, seconds = total+sl.Total, seconds+sl.Seconds
			parts = append(parts, sl.Total/sl.Seconds*perMinute)
		}
	}
	if seconds == 0 {
		return 0, 0, false
	}
	switch a {
	case Avg:
		return total / seconds * perMinute, total, true
	case Sum, Count:
		return total, total, true
	}
	return a.over(parts), total, true
}

// ofValues aggregates the points of an expression; count is their number.
func (a Aggregate) ofValues(s judge.Sample) (v, n float64, ok bool) {
	var parts []float64
	for _, sl := range s.Slices {
		if !sl.Value.IsNaN() && !math.IsInf(float64(sl.Value), 0) {
			parts = append(parts, float64(sl.Value))
		}
	}
	if len(parts) == 0 {
		return 0, 0, false
	}
	return a.over(parts), float64(len(parts)), true
}

// over aggregates numbers; percentiles interpolate between the nearest ranks.
func (a Aggregate) over(parts []float64) float64 {
	slices.Sort(parts)
	sum := 0.0
	for _, p := range parts {
		sum += p
	}
	switch a {
	case Min:
		return parts[0]
	case Max:
		return parts[len(parts)-1]
	case Avg:
		return sum / float64(len(parts))
	case Sum:
		return sum
	case Count:
		return float64(len(parts))
	}
	q, _ := a.quantile()
	at := q * float64(len(parts)-1)
	below := int(at)
	if below+1 >= len(parts) {
		return parts[len(parts)-1]
	}
	return parts[below] + (at-float64(below))*(parts[below+1]-parts[below])
}
