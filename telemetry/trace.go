package telemetry

import (
	"sort"
	"time"
)

// Trace is all spans of one trace id that were stored, ordered by start.
// Spans may be missing: their children are then treated as roots.
type Trace struct {
	ID    TraceID `json:"traceId"`
	Spans []Span  `json:"spans"`
	// Truncated: the trace has more spans than are read of one; those that
	// started first are here.
	Truncated bool `json:"truncated,omitempty"`
}

// Sort orders the spans by start, parents before their children.
func (t *Trace) Sort() {
	sort.SliceStable(t.Spans, func(i, j int) bool { return t.Spans[i].Start.Before(t.Spans[j].Start) })
}

// Root returns the entry span: the earliest one whose parent is not part of
// the trace. It is nil only for an empty trace.
func (t *Trace) Root() *Span {
	have := make(map[SpanID]bool, len(t.Spans))
	for i := range t.Spans {
		have[t.Spans[i].ID] = true
	}
	var root *Span
	for i := range t.Spans {
		s := &t.Spans[i]
		if !s.ParentID.IsZero() && have[s.ParentID] && s.ParentID != s.ID {
			continue
		}
		if root == nil || s.Start.Before(root.Start) {
			root = s
		}
	}
	if root == nil && len(t.Spans) > 0 { // a cycle of parents: hostile input
		root = &t.Spans[0]
	}
	return root
}

// Children indexes the spans by their parent; the slices keep the order of
// t.Spans and hold indexes into it.
func (t *Trace) Children() map[SpanID][]int {
	out := make(map[SpanID][]int, len(t.Spans))
	for i := range t.Spans {
		s := &t.Spans[i]
		if s.ParentID != s.ID {
			out[s.ParentID] = append(out[s.ParentID], i)
		}
	}
	return out
}

// Bounds returns when the first span started and the last one ended.
func (t *Trace) Bounds() (from, to time.Time) {
	for i := range t.Spans {
		s := &t.Spans[i]
		if from.IsZero() || s.Start.Before(from) {
			from = s.Start
		}
		if e := s.End(); e.After(to) {
			to = e
		}
	}
	return from, to
}

// TraceSummary is one line of a list of traces.
type TraceSummary struct {
	ID        TraceID       `json:"traceId"`
	Service   string        `json:"service"`
	Operation string        `json:"operation"`
	Start     time.Time     `json:"start"`
	Duration  time.Duration `json:"duration" doc:"nanoseconds"`
	Spans     int           `json:"spans"`
	Errors    int           `json:"errors"`
	Services  []string      `json:"services"`
	Exception *Exception    `json:"exception,omitempty"`
}

// Summary returns the line that describes the trace in a list.
func (t *Trace) Summary() TraceSummary {
	from, to := t.Bounds()
	sum := TraceSummary{ID: t.ID, Start: from, Duration: to.Sub(from), Spans: len(t.Spans)}
	if r := t.Root(); r != nil {
		sum.Service, sum.Operation = r.Service, r.Name
	}
	seen := map[string]bool{}
	for i := range t.Spans {
		s := &t.Spans[i]
		if s.Failed() {
			sum.Errors++
		}
		if sum.Exception == nil {
			if e, ok := s.Exception(); ok {
				e.Stacktrace = ""
				sum.Exception = &e
			}
		}
		if !seen[s.Service] {
			seen[s.Service] = true
			sum.Services = append(sum.Services, s.Service)
		}
	}
	sort.Strings(sum.Services)
	return sum
}
