package main

import (
	"github.com/tidegate-io/tidegate/judge"
)

// The guardian under test: three objectives, everything by default.
var (
	latencyObjective = judge.Objective{Name: "latency", Worse: judge.WorseHigher, Quantile: 0.95}
	errorsObjective  = judge.Objective{Name: "errors", Worse: judge.WorseHigher}
	trafficObjective = judge.Objective{Name: "traffic", Worse: judge.WorseLower}
)

func threshold(o judge.Objective) judge.Objective {
	o.Threshold = &judge.Threshold{Fail: &judge.Limit{Op: ">", Value: 1}, Confidence: 0.95}
	return o
}

func adaptive(o judge.Objective) judge.Objective {
	o.Adaptive = &judge.Adaptive{}
	return o
}

func comparison(o judge.Objective) judge.Objective {
	o.Comparison = &judge.Comparison{}
	return o
}

func watch(o judge.Objective) judge.Objective {
	o.Watch = &judge.Watch{}
	return o
}

// guardian keeps the history of an adaptive guardian.
type guardian struct{ latency, errors, traffic []judge.Run }

// validate judges a run against what was learned.
func (g *guardian) validate(w window) judge.Verdict {
	return judge.Judge(judge.Options{}, []judge.Input{
		{Objective: adaptive(latencyObjective), Sample: w.latency, History: g.latency},
		{Objective: adaptive(errorsObjective), Sample: w.errors, History: g.errors},
		{Objective: adaptive(trafficObjective), Sample: w.traffic, History: g.traffic},
	})
}

// learn adds the runs of a verdict.
func (g *guardian) learn(v judge.Verdict) {
	for i, to := range []*[]judge.Run{&g.latency, &g.errors, &g.traffic} {
		if r := v.Results[i].Run; r != nil {
			*to = append(*to, *r)
		}
	}
}

// against judges a candidate against a baseline with the criterion.
func against(criterion func(judge.Objective) judge.Objective, now, base window) judge.Verdict {
	return judge.Judge(judge.Options{}, []judge.Input{
		{Objective: criterion(latencyObjective), Sample: now.latency, Baseline: &base.latency},
		{Objective: criterion(errorsObjective), Sample: now.errors, Baseline: &base.errors},
		{Objective: criterion(trafficObjective), Sample: now.traffic, Baseline: &base.traffic},
	})
}
