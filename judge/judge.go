// Package judge decides whether what was measured is good enough, with known
// error rates. It is pure: no clock, no I/O, no globals; the same input gives
// the same verdict.
//
// A [Sample] is one indicator over one window, cut in slices. It is reduced to
// a reading (an estimate, a confidence interval, a variance inflation φ found
// in the slices) and held against one criterion: a [Threshold], the run's own
// history ([Adaptive]), another window ([Comparison]) or, look by look, a
// baseline running beside it ([Watch]).
//
// # Invariants
//
//   - No data, data that are not numbers and failed queries never pass.
//   - Alpha bounds the probability that a guardian fails although nothing
//     changed: p-values are corrected by Holm's method over its objectives.
//   - More bad events never improve a verdict, the unit does not matter, nor
//     does the order of the objectives; identical samples never fail.
//   - Nothing is tuned: each constant names its source.
//
// # Example
//
//	v := judge.Judge(judge.Options{}, []judge.Input{{
//		Objective: judge.Objective{Name: "errors", Threshold: &judge.Threshold{
//			Fail: &judge.Limit{Op: ">", Value: 0.01}}},
//		Sample: judge.Sample{Kind: judge.Ratio, Slices: slices},
//	}})
//	fmt.Println(v.Status, v.Summary)
package judge

import (
	"fmt"
	"math"
)

// defaultAlpha is the accepted rate of false fails of a whole guardian.
const defaultAlpha = 0.01

// test is a criterion with a p-value: whether it rejects is known only
// together with those of the other objectives.
type test interface {
	// pValue of "no worse than acceptable".
	pValue() float64
	// settle writes status, limits and reason, given the level that the
	// correction left to this test and whether it rejects there.
	settle(res *Result, level float64, rejected, requirePower bool)
}

// assessment is a result under construction.
type assessment struct {
	result Result
	weight float64
	power  bool
	test   test // nil when the result is final
}

// Judge holds every input against its objective and combines the results.
func Judge(opts Options, inputs []Input) Verdict {
	v := Verdict{Alpha: opts.Alpha, Results: make([]Result, len(inputs))}
	if v.Alpha == 0 {
		v.Alpha = defaultAlpha
	}
	if err := opts.Validate(); err != nil {
		return Verdict{Status: StatusError, Summary: fmt.Sprintf("Not judged: %v.", err), Alpha: defaultAlpha, Results: []Result{}}
	}
	list := make([]*assessment, len(inputs))
	for i := range inputs {
		list[i] = assess(&opts, &inputs[i])
	}
	settle(list, v.Alpha)
	for i, a := range list {
		a.distrustSilence()
		a.result.dropUnknown()
		a.result.explainBounds()
		if a.result.Role == RoleInfo {
			a.inform()
		}
		v.Results[i] = a.result
	}
	combine(&v, &opts, list)
	return v
}

// assess reads the sample and prepares or finishes the objective's result.
func assess(opts *Options, in *Input) *assessment {
	o := &in.Objective
	a := &assessment{weight: o.Weight, result: emptyResult(o, &in.Sample)}
	if a.weight == 0 {
		a.weight = 1
	}
	res := &a.result
	if err := o.Validate(); err != nil {
		res.Status, res.Why = StatusError, fmt.Sprintf("the objective is not valid: %v.", err)
		return a
	}
	now, bad := read(o, &in.Sample)
	if bad != nil {
		res.Status, res.Why = bad.status, bad.why+"."
		return a
	}
	res.take(now)
	a.choose(opts, in, now)
	return a
}

// choose applies the criterion that is set.
func (a *assessment) choose(opts *Options, in *Input, now *reading) {
	res := &a.result
	power := func(byDefault bool) bool {
		if opts.RequirePower != nil {
			return *opts.RequirePower
		}
		return byDefault
	}
	switch o := &in.Objective; {
	case o.Threshold != nil:
		judgeThreshold(o.Threshold, now, res, power(false))
	case o.Adaptive != nil:
		a.power = power(false)
		t, missing := newAdaptive(in, now)
		if t == nil {
			res.learning(in, missing)
			return
		}
		a.test = t
	case o.Comparison != nil, o.Watch != nil:
		base := a.readBaseline(in)
		if base == nil {
			return
		}
		a.power = power(true)
		a.compare(opts, in, now, base)
	default:
		res.Status = StatusInfo
		res.Why = fmt.Sprintf("%s was %s%s.", res.subject(), res.format(now.estimate), res.among())
	}
}

// readBaseline reads the other side, or finishes the result without one.
func (a *assessment) readBaseline(in *Input) *reading {
	res := &a.result
	if in.Baseline == nil {
		res.Status, res.Why = StatusInconclusive, "there is no baseline to compare with."
		return nil
	}
	if in.Baseline.Kind != in.Sample.Kind || in.Baseline.Unit != in.Sample.Unit {
		res.Status = StatusError
		res.Why = fmt.Sprintf("the baseline is a %s in %q, the candidate a %s in %q: they cannot be compared.",
			in.Baseline.Kind, in.Baseline.Unit, in.Sample.Kind, in.Sample.Unit)
		return nil
	}
	base, bad := read(&in.Objective, in.Baseline)
	if bad != nil {
		res.Status, res.Why = bad.status, "in the baseline "+bad.why+"."
		return nil
	}
	return base
}

// compare prepares the test against the baseline.
func (a *assessment) compare(opts *Options, in *Input, now, base *reading) {
	p := pair{objective: &in.Objective, now: now, base: base, candidate: &in.Sample, baseline: in.Baseline, alpha: opts.Alpha}
	if p.alpha == 0 {
		p.alpha = defaultAlpha
	}
	if w := in.Objective.Watch; w != nil {
		p.accept = acceptableOf(w.Tolerance, w.Margin, now.kind, false)
		a.test = newWatch(p)
		return
	}
	c := in.Objective.Comparison
	p.accept = acceptableOf(c.Tolerance, c.Margin, now.kind, c.Point)
	if c.Point {
		comparePoint(p, &a.result)
		return
	}
	a.test = newComparison(p)
}

func emptyResult(o *Objective, s *Sample) Result {
	nan := Number(math.NaN())
	r := Result{
		Name: o.Name, Role: o.Role, Kind: s.Kind, Criterion: o.criterion(), Unit: s.Unit, Statistic: o.statistic(s.Kind),
		Estimate: nan, Low: nan, High: nan, Limit: nan, LimitLow: nan, Warn: nan, Baseline: nan,
		MDE: nan, Detectable: nan, PValue: nan, EValue: nan, Inflation: 1,
	}
	if r.Role == "" {
		r.Role = RoleRequired
	}
	return r
}

func (o *Objective) criterion() string {
	switch {
	case o.Threshold != nil:
		return "threshold"
	case o.Adaptive != nil:
		return "adaptive"
	case o.Comparison != nil:
		return "comparison"
	case o.Watch != nil:
		return "watch"
	}
	return "info"
}

// statistic names what would be estimated, for results without data.
func (o *Objective) statistic(k Kind) string {
	switch {
	case k == Ratio:
		return "error rate"
	case k == Rate:
		return "rate"
	case k != Distribution:
		return "value"
	case o.Mean:
		return "mean"
	case o.Quantile > 0 && o.Quantile < 1:
		return quantileName(o.Quantile)
	}
	return quantileName(defaultQuantile)
}

// take copies what the reading says.
func (r *Result) take(now *reading) {
	lo, hi := now.bounds(shownTail)
	r.Statistic = now.statistic
	r.Estimate = Number(now.estimate)
	r.show(now, shownTail, lo, hi)
	if now.kind == Value && math.IsNaN(now.se) {
		r.Low, r.High = Number(math.NaN()), Number(math.NaN())
	}
	r.N, r.Inflation = now.n, now.phi
	r.Run = now.run()
}

func (r *Result) learning(in *Input, missing int) {
	r.Status = StatusLearning
	runs := usableRuns(in.History, r.Kind)
	r.Learned = len(runs)
	if len(runs) > 0 {
		r.Baseline = Number(medianEstimate(runs))
	}
	need := max(in.Objective.Adaptive.minRuns(), 2)
	r.Why = fmt.Sprintf("%s was %s; still learning: run %d of the %d good runs that are needed before one is judged%s.",
		r.subject(), r.format(float64(r.Estimate)), need-missing+1, need, r.among())
}

// distrustSilence takes back a pass without a single request: a rate of zero is
// a measurement, and can fail, but no traffic proves nothing.
func (a *assessment) distrustSilence() {
	r := &a.result
	if r.Kind == Rate && r.N == 0 && (r.Status == StatusPass || r.Status == StatusWarn) {
		r.Status, r.Why = StatusInconclusive, "there was not one request in the window; no traffic proves nothing."
	}
}

// inform takes the decision out of a result that decides nothing; that there
// were no data, or that the query failed, stays.
func (a *assessment) inform() {
	if s := a.result.Status; s == StatusError || a.result.Estimate.IsNaN() {
		return
	}
	a.result.Status = StatusInfo
}
