package signature

import (
	"fmt"

	"github.com/tidegate-io/tidegate/judge"
)

// statistical reports whether the judge knows the distribution of the
// aggregate. Extremes and sums of durations, relations, and bands of two
// static limits are single numbers in any mode.
func (m Metric) statistical() bool {
	if m.Upper != nil && m.Lower != nil {
		return false
	}
	switch m.Measure {
	case ResponseTime:
		_, quantile := m.Aggregate.quantile()
		return quantile || m.Aggregate == Avg
	case FailureRate:
		return m.Aggregate == Avg
	case Requests:
		return m.Aggregate == Avg || m.Aggregate == Count || m.Aggregate == Sum
	case PromQL:
		return m.Aggregate == Avg
	}
	return false
}

// asking is one question to the judge.
type asking struct {
	result *Result
	input  judge.Input
}

// input puts the metric as an objective. The entities of an environment are
// one population here.
func (c Comparison) input(m Metric, p Pair) judge.Input {
	o := judge.Objective{Name: m.Name(), Worse: judge.WorseHigher, Mean: m.Measure == ResponseTime && m.Aggregate == Avg}
	if m.Validate == BoundLower {
		o.Worse = judge.WorseLower
	}
	if m.Measure == ResponseTime && !o.Mean {
		o.Quantile, _ = m.Aggregate.quantile()
	}
	in := judge.Input{Sample: pooled(p.Source.Samples)}
	if limit, static := m.staticLimit(in.Sample.Seconds()); static {
		o.Threshold = &judge.Threshold{Fail: limit, Confidence: 0.95}
		if limit.Op == "<" {
			o.Worse = judge.WorseLower
		} else {
			o.Worse = judge.WorseHigher
		}
		in.Objective = o
		return in
	}
	tolerance := c.tolerance(m)
	o.Comparison = &judge.Comparison{Tolerance: &tolerance}
	in.Objective = o
	if p.Compare != nil && len(p.Compare.Samples) > 0 {
		base := pooled(p.Compare.Samples)
		in.Baseline = &base
	}
	return in
}

// staticLimit in the unit the judge measures in: rates are per second there.
func (m Metric) staticLimit(seconds float64) (*judge.Limit, bool) {
	factor := m.perUnit(seconds)
	switch {
	case m.Upper != nil:
		return &judge.Limit{Op: ">", Value: *m.Upper / factor}, true
	case m.Lower != nil:
		return &judge.Limit{Op: "<", Value: *m.Lower / factor}, true
	}
	return nil, false
}

// perUnit is what one of the judge's units is in the metric's: requests per
// minute, or in the window, for requests per second.
func (m Metric) perUnit(seconds float64) float64 {
	switch {
	case m.Measure != Requests:
		return 1
	case m.Aggregate == Avg:
		return perMinute
	case seconds > 0:
		return seconds
	}
	return 1
}

// pooled merges the samples of several entities: counts slice by slice, the
// points of expressions one after the other.
func pooled(samples []judge.Sample) judge.Sample {
	if len(samples) == 0 {
		return judge.Sample{}
	}
	out := samples[0]
	if len(samples) == 1 {
		return out
	}
	out.Slices = append([]judge.Slice(nil), out.Slices...)
	for _, s := range samples[1:] {
		if s.Kind == judge.Value {
			out.Slices = append(out.Slices, s.Slices...)
			continue
		}
		for i := range min(len(out.Slices), len(s.Slices)) {
			a, b := &out.Slices[i], s.Slices[i]
			a.Bad, a.Total = a.Bad+b.Bad, a.Total+b.Total
			a.Histogram = merged(a.Histogram, b.Histogram)
		}
	}
	return out
}

// merged adds two histograms; finer buckets are put into those of the coarser
// schema.
func merged(a, b *judge.Histogram) *judge.Histogram {
	switch {
	case a == nil:
		return b
	case b == nil:
		return a
	}
	out := judge.Histogram{
		Schema: min(a.Schema, b.Schema), Count: a.Count + b.Count, Sum: a.Sum + b.Sum,
		ZeroThreshold: max(a.ZeroThreshold, b.ZeroThreshold), ZeroCount: a.ZeroCount + b.ZeroCount,
	}
	coarse := func(h *judge.Histogram) []judge.Bucket {
		by := h.Schema - out.Schema
		list := make([]judge.Bucket, 0, len(h.Buckets))
		for _, bucket := range h.Buckets {
			i := (bucket.Index-1)>>by + 1
			if n := len(list); n > 0 && list[n-1].Index == i {
				list[n-1].Count += bucket.Count
				continue
			}
			list = append(list, judge.Bucket{Index: i, Count: bucket.Count})
		}
		return list
	}
	x, y := coarse(a), coarse(b)
	for len(x) > 0 || len(y) > 0 {
		switch {
		case len(y) == 0 || len(x) > 0 && x[0].Index < y[0].Index:
			out.Buckets, x = append(out.Buckets, x[0]), x[1:]
		case len(x) == 0 || y[0].Index < x[0].Index:
			out.Buckets, y = append(out.Buckets, y[0]), y[1:]
		default:
			out.Buckets = append(out.Buckets, judge.Bucket{Index: x[0].Index, Count: x[0].Count + y[0].Count})
			x, y = x[1:], y[1:]
		}
	}
	return &out
}

// askJudge judges all questions together, because the rate of false alarms
// is that of the whole signature.
func askJudge(asked []asking) {
	if len(asked) == 0 {
		return
	}
	inputs := make([]judge.Input, len(asked))
	for i, a := range asked {
		inputs[i] = a.input
	}
	verdict := judge.Judge(judge.Options{}, inputs)
	if len(verdict.Results) != len(asked) {
		for _, a := range asked {
			a.result.Status, a.result.Why = StatusError, verdict.Summary
		}
		return
	}
	for i, a := range asked {
		a.result.take(verdict.Results[i], a.input)
	}
}

// take translates the judge's answer.
func (r *Result) take(v judge.Result, in judge.Input) {
	switch v.Status {
	case judge.StatusPass, judge.StatusWarn:
		r.Status = StatusOK
	case judge.StatusFail:
		r.Status = StatusViolation
	case judge.StatusError:
		r.Status = StatusError
	default:
		r.Status = StatusInconclusive
	}
	factor := judge.Number(1)
	switch r.Unit {
	case "/min":
		factor = perMinute
	case "requests":
		factor = judge.Number(in.Sample.Seconds())
	}
	r.Static = in.Objective.Threshold != nil
	limit := v.Limit * factor
	if r.Static && in.Objective.Threshold.Fail.Op == "<" || !r.Static && r.Validate == BoundLower {
		r.Lower = limit
	} else {
		r.Upper = limit
	}
	r.Source, r.ConfidenceLow, r.ConfidenceHigh = v.Estimate*factor, v.Low*factor, v.High*factor
	if !r.Static && !v.Baseline.IsNaN() {
		r.Compare = v.Baseline * factor
	}
	r.Why = fmt.Sprintf("%s: %s", r.Name, v.Why)
	for _, note := range v.Notes {
		r.Warning = joined(r.Warning, note)
	}
}

func joined(a, b string) string {
	if a == "" {
		return b
	}
	return a + "; " + b
}
