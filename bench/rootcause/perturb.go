package main

import (
	"math"
	"math/rand/v2"
	"slices"

	"github.com/tidegate-io/tidegate/change"
	"github.com/tidegate-io/tidegate/problem/cause"
)

// perturbation spoils the data, to see how much of an answer hangs on details:
// an engine tuned to a set falls apart.
type perturbation struct {
	noise float64 // standard deviation of the factor on each value, as a logarithm
	drop  float64 // share of the log lines, of the traces and of the other series that are lost
	rnd   *rand.Rand
}

func (p *perturbation) lost() bool { return p.drop > 0 && p.rnd.Float64() < p.drop }

// series spoils series; those of the place of the symptom are kept.
func (p *perturbation) series(list []cause.Series, keep string) []cause.Series {
	if p.noise == 0 && p.drop == 0 {
		return list
	}
	out := slices.DeleteFunc(slices.Clone(list), func(s cause.Series) bool { return s.Service != keep && p.lost() })
	for i, s := range out {
		out[i].Points = slices.Clone(s.Points)
		for j, pt := range s.Points {
			f := math.Exp(p.noise * p.rnd.NormFloat64())
			if v := &out[i].Points[j].Value; cause.RoleOf(s.Metric, s.Unit) == cause.RoleSuccess {
				*v = 100 - (100-pt.Value)*f // in percent
			} else {
				*v *= f
			}
		}
	}
	return out
}

// incident loses log lines, traces and series.
func (p *perturbation) incident(i *incident) {
	i.series = p.series(i.series, i.symptom.Service)
	if p.drop == 0 {
		return
	}
	logs := i.logs[:0]
	for _, l := range i.logs {
		if !p.lost() {
			logs = append(logs, l)
		}
	}
	i.logs = logs
	traces := i.traces[:0]
	for _, t := range i.traces {
		if !p.lost() {
			traces = append(traces, t)
		}
	}
	i.traces = traces
}

// leaveOut takes kinds of evidence away, to see what each is worth.
func leaveOut(in *cause.Input, kinds map[string]bool) {
	if kinds["series"] {
		in.Series = nil
	}
	if kinds["calls"] {
		in.Calls = nil
	}
	if kinds["failures"] {
		in.Failures, in.Slow = nil, nil
	}
	if kinds["logs"] {
		in.Logs = nil
	}
	if kinds["history"] {
		for i := range in.Series {
			in.Series[i].History = nil
		}
	}
	if kinds["annotations"] {
		in.Changes = slices.DeleteFunc(in.Changes, func(e change.Event) bool { return e.Kind == change.KindAnnotation })
	}
	if kinds["diffs"] {
		for _, e := range in.Changes {
			delete(e.Properties, cause.PropertyDiff)
			delete(e.Properties, cause.PropertyFiles)
		}
	}
}
