package cause

import (
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/tidegate-io/tidegate/entity"
	"github.com/tidegate-io/tidegate/evidence"
	"github.com/tidegate-io/tidegate/problem"
)

// clock writes a time of day for people, in UTC.
func clock(t time.Time) string { return t.UTC().Format("15:04:05") }

// lasting writes a length of time for people.
func lasting(d time.Duration) string {
	switch d = d.Abs(); {
	case d < 10*time.Second:
		return fmt.Sprintf("%.1f s", d.Seconds())
	case d < 2*time.Minute:
		return fmt.Sprintf("%.0f s", d.Seconds())
	case d < 2*time.Hour:
		return fmt.Sprintf("%.0f min", d.Minutes())
	}
	return fmt.Sprintf("%.1f h", d.Hours())
}

// figure writes a value with three digits that count.
func figure(v float64) string {
	if math.Abs(v) < 1e-9 {
		return "0"
	}
	if math.Abs(v) >= 1000 || math.Abs(v) < 0.001 {
		return fmt.Sprintf("%.3g", v)
	}
	return strings.TrimRight(strings.TrimRight(fmt.Sprintf("%.3f", v), "0"), ".")
}

func percentage(share float64) string { return fmt.Sprintf("%.0f %%", 100*share) }

func symptomText(e problem.Event) string {
	if e.Why != "" {
		return e.Why
	}
	text := fmt.Sprintf("%s of %s since %s", e.Signal, e.Ref, clock(e.Start))
	if e.Observed != 0 || e.Expected != 0 {
		text += fmt.Sprintf(": %s instead of %s %s", figure(e.Observed), figure(e.Expected), e.Unit)
	}
	return strings.TrimSpace(text)
}

func flowText(r entity.Ref, share float64) string {
	return fmt.Sprintf("What begins at %s explains %s of the symptom, slot by slot", r, percentage(share))
}

func failureText(g evidence.FailureGroup, share float64) string {
	what := g.ExceptionType
	if g.Message != "" {
		what = strings.TrimPrefix(what+": "+g.Message, ": ")
	}
	return fmt.Sprintf("%s of the failing requests (%d) begin to fail in %s, %s: %s", percentage(share), g.Count, g.Service, g.Operation, what)
}

func slowText(p evidence.SlowPath, share float64) string {
	return fmt.Sprintf("%s of the added time is spent in %s, %s: %s a request instead of %s", percentage(share), p.Service, p.Operation,
		lasting(p.Candidate), lasting(p.Baseline))
}

func logText(l evidence.LogTemplate) string {
	was := "never before"
	if l.Baseline > 0 {
		was = fmt.Sprintf("%d times before", l.Baseline)
	}
	return fmt.Sprintf("%s logs %d times, %s: %s", l.Service, l.Count, was, l.Template)
}

func shiftText(m *measured, s shift) string {
	how := "went"
	if s.ramp > 2*m.Step {
		how = "moved over " + lasting(s.ramp)
	}
	return fmt.Sprintf("%s of %s %s from %s to %s at %s", strings.TrimSpace(m.Metric+" "+m.Statistic), m.Ref, how, figure(s.before), figure(s.after), clock(s.end))
}
