package report

import (
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/tidegate-io/tidegate/evidence"
	"github.com/tidegate-io/tidegate/guardian"
	"github.com/tidegate-io/tidegate/judge"
)

// How much of the evidence a report shows.
const (
	shownFailures = 5
	shownFrames   = 12
	shownLogs     = 10
	shownOthers   = 5
)

// explain puts the evidence in words.
func (p *page) explain(v guardian.Validation, base string) {
	e := v.Evidence
	if e == nil {
		return
	}
	cause, known := e.Cause()
	if known {
		c := newCandidate(cause, e)
		p.Cause = &c
	}
	for i, c := range e.Changes {
		if (i > 0 || !known) && len(p.Others) < shownOthers {
			p.Others = append(p.Others, newCandidate(c, e))
		}
	}
	for _, g := range e.Failures[:min(len(e.Failures), shownFailures)] {
		p.Failures = append(p.Failures, newFailure(g, base))
	}
	if e.FailedTraces > 0 {
		p.FailedText = fmt.Sprintf("%d failed requests were looked at", e.FailedTraces)
		if e.Truncated {
			p.FailedText += ", there were more"
		}
		p.FailedText += fmt.Sprintf("; the first failed at %s.", moment(e.FirstFailure))
	}
	for _, s := range e.Slow {
		p.Slow = append(p.Slow, slow{s.Service, s.Operation, span(s.Candidate), span(s.Baseline), span(s.Candidate - s.Baseline)})
	}
	p.Logs = e.Logs[:min(len(e.Logs), shownLogs)]
	p.Gaps = e.Gaps
}

func newCandidate(c evidence.Candidate, e *evidence.Evidence) candidate {
	first := "the first failure"
	if len(e.Failures) == 0 {
		first = "the first slow request"
	}
	before := span(time.Duration(c.SecondsBefore*float64(time.Second))) + " before " + first
	if c.SecondsBefore < 0 {
		before = "at the time of " + first
	}
	return candidate{
		What: what(c.Event), Who: c.Event.Who, When: moment(c.Event.Start), Before: before,
		Where: c.On.String(), Why: c.Why, Reason: c.Event.Reason,
	}
}

func newFailure(g evidence.FailureGroup, base string) failure {
	f := failure{FailureGroup: g, Share: percent(g.Share), Seen: "new: not seen before"}
	if g.SeenBefore {
		f.Seen = "seen before"
	}
	f.Exception = strings.Trim(g.ExceptionType+": "+g.Message, ": ")
	for _, x := range g.Exemplars {
		shown := exemplar{ID: x.TraceID.String(), When: moment(x.Time), Took: span(x.Duration)}
		if base != "" {
			shown.URL = strings.TrimSuffix(base, "/") + "/traces/" + shown.ID + "?span=" + x.SpanID.String()
		}
		f.Exemplars = append(f.Exemplars, shown)
	}
	if len(g.Exemplars) == 0 {
		return f
	}
	x := g.Exemplars[0]
	f.Frames = x.Frames[:min(len(x.Frames), shownFrames)]
	if x.Exception != nil {
		f.Stack = strings.TrimSpace(x.Exception.Stacktrace)
		f.Exception = strings.Trim(x.Exception.Type+": "+x.Exception.Message, ": ")
	}
	return f
}

func percent(share float64) string {
	return guardian.Format(judge.Number(share), judge.Ratio, "")
}

// objectives puts the results in words, with their charts.
func (p *page) objectives(v guardian.Validation, g *guardian.Guardian) {
	if v.Verdict == nil {
		return
	}
	for _, r := range v.Verdict.Results {
		p.Objectives = append(p.Objectives, newObjective(r, v, g))
	}
}

func newObjective(r judge.Result, v guardian.Validation, g *guardian.Guardian) objective {
	show := func(n judge.Number) string {
		if n.IsNaN() {
			return ""
		}
		return guardian.Format(n, r.Kind, r.Unit)
	}
	o := objective{
		Name: r.Name, Statistic: r.Statistic, Why: r.Why, Status: statusOf(r.Status), Notes: r.Notes,
		Estimate: guardian.Format(r.Estimate, r.Kind, r.Unit), Baseline: show(r.Baseline), Limit: limits(r, show),
	}
	if r.Role == judge.RoleInfo {
		o.Role = "for information"
	}
	if r.N > 0 {
		what := "requests"
		if r.Kind == judge.Value {
			what = "points"
		}
		o.N = guardian.Format(judge.Number(math.Round(r.N)), judge.Value, what)
	}
	o.Interval = interval(r, show)
	if !r.MDE.IsNaN() && r.MDE > 0 {
		o.MDE = percent(float64(r.MDE))
	}
	o.Evidence = evidenceOf(v, r.Name)
	for _, s := range v.Sources {
		if s.Objective == r.Name {
			o.Queries = s.Queries
			o.Chart = newChart(r, s, v)
		}
	}
	return o
}

// tooWide is the ratio of an interval's ends from which it says nothing.
const tooWide = 1000

// interval writes the confidence interval; one that is open to one side says
// so, and one that says nothing is left out.
func interval(r judge.Result, show func(judge.Number) string) string {
	low, high := show(r.Low), show(r.High)
	openLow, openHigh := math.IsInf(float64(r.Low), -1), math.IsInf(float64(r.High), 1)
	switch {
	case low == "" || high == "" || low == high || openLow && openHigh:
		return ""
	case openHigh:
		return "at least " + low
	case openLow:
		return "at most " + high
	case r.Low > 0 && r.High/r.Low > tooWide && r.Kind != judge.Ratio:
		return ""
	}
	return low + " to " + high
}

// limits writes what the estimate was held against.
func limits(r judge.Result, show func(judge.Number) string) string {
	low, high, warn := show(r.LimitLow), show(r.Limit), show(r.Warn)
	text := high
	switch {
	case low != "" && high != "":
		text = low + " to " + high
	case low != "":
		text = "at least " + low
	}
	if warn != "" {
		text = strings.TrimPrefix(text+", warning at "+warn, ", ")
	}
	return text
}
