package guardian

import (
	"context"
	"time"

	"github.com/tidegate-io/tidegate/entity"
	"github.com/tidegate-io/tidegate/judge"
)

// Slices are whole multiples of the resolution at which span metrics are
// written; finer ones would show arrivals where there are only write cycles.
const (
	sliceResolution = 2 * time.Second
	longestSlice    = 10 * time.Second
	wantedSlices    = 30
	maxSlices       = 1750
)

// sliceOf returns how finely a window of the given length is cut: 2 to 10 s,
// about thirty pieces where that is possible, and longer ones only where a
// window would otherwise have more than 1,750: the judge's cost is measured
// with 1,800 slices, and readers widen a window to their resolution.
func sliceOf(window time.Duration) time.Duration {
	s := min(roundUp(window/wantedSlices, sliceResolution), longestSlice)
	return max(s, roundUp(window/maxSlices, sliceResolution))
}

// roundUp returns the smallest positive multiple of unit that is at least d.
func roundUp(d, unit time.Duration) time.Duration {
	return max(unit, (d+unit-1)/unit*unit)
}

// target is where the objective is measured.
func (o Objective) target(g Guardian) entity.Ref {
	for _, s := range []*SpanIndicator{o.Indicator.Latency, o.Indicator.ErrorRate, o.Indicator.Throughput} {
		if s != nil && s.Target != nil {
			return *s.Target
		}
	}
	return g.Target
}

// operation is the one operation the objective is about; empty means all.
func (o Objective) operation() string {
	for _, s := range []*SpanIndicator{o.Indicator.Latency, o.Indicator.ErrorRate, o.Indicator.Throughput} {
		if s != nil {
			return s.Operation
		}
	}
	return ""
}

// Shifted returns the window moved back in time.
func (w Window) Shifted(by time.Duration) Window {
	return Window{From: w.From.Add(-by), To: w.To.Add(-by)}
}

// Length of the window.
func (w Window) Length() time.Duration { return w.To.Sub(w.From) }

// measurement is one objective with all that was read for it.
type measurement struct {
	objective Objective
	input     judge.Input
	source    Source
}

// measure reads an objective, what it is compared with, and its course.
func (s *Service) measure(ctx context.Context, o Objective, r Reading) (measurement, error) {
	m, err := s.read(ctx, o, r)
	if err == nil {
		m.source.Series, err = s.course(ctx, o, r)
	}
	return m, err
}

// read reads an objective and what it is compared with.
func (s *Service) read(ctx context.Context, o Objective, r Reading) (measurement, error) {
	sample, queries, err := s.sampler.Sample(ctx, r)
	if err != nil {
		return measurement{}, err
	}
	m := measurement{
		objective: o,
		input:     judge.Input{Objective: o.Objective, Sample: sample},
		source:    Source{Objective: o.Name, Queries: queries, Window: r.Window},
	}
	if o.Comparison != nil || o.Watch != nil {
		base, more, err := s.sampler.Sample(ctx, o.baseline(r))
		if err != nil {
			return measurement{}, err
		}
		m.input.Baseline = &base
		m.source.Queries = append(m.source.Queries, more...)
	}
	return m, nil
}

// leftOut reports whether an optional objective has no data.
func (o Objective) leftOut(m measurement) bool {
	return o.Optional && m.input.Sample.Err == "" && !hasData(m.input.Sample)
}

// baseline is the reading an objective is compared with.
func (o Objective) baseline(r Reading) Reading {
	if o.CompareTo != nil {
		r.Target = *o.CompareTo
		r.Indicator = r.Indicator.at(*o.CompareTo)
	}
	r.Window = r.Window.Shifted(o.Shift)
	return r
}

// at moves a span indicator to another place.
func (i Indicator) at(r entity.Ref) Indicator {
	move := func(s *SpanIndicator) *SpanIndicator {
		if s == nil || s.Target == nil {
			return s
		}
		return &SpanIndicator{Operation: s.Operation, Target: &r}
	}
	i.Latency, i.ErrorRate, i.Throughput = move(i.Latency), move(i.ErrorRate), move(i.Throughput)
	return i
}

// hasData reports whether a sample holds a single observation.
func hasData(s judge.Sample) bool {
	for _, sl := range s.Slices {
		switch {
		case s.Kind == judge.Value && !sl.Value.IsNaN(),
			s.Kind == judge.Distribution && sl.Histogram != nil && sl.Histogram.Count > 0,
			(s.Kind == judge.Ratio || s.Kind == judge.Rate) && sl.Total > 0:
			return true
		}
	}
	return false
}
