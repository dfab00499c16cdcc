package main

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tidegate-io/tidegate/change"
	"github.com/tidegate-io/tidegate/entity"
	"github.com/tidegate-io/tidegate/evidence"
	"github.com/tidegate-io/tidegate/problem"
)

func TestShowProblem(t *testing.T) {
	at := func(second int) time.Time { return time.Date(2026, 3, 1, 12, 0, second, 0, time.Local) }
	p := problem.Problem{
		ID: "x", Number: 17, State: problem.StateClosed, Severity: problem.SeverityError, Title: "Errors in payment",
		Start: at(0), Opened: at(5), Closed: at(50), Reopened: 1,
		Cause: &problem.Cause{Kind: problem.CauseChange, Ref: entity.Ref{Service: "payment"}, Confidence: 0.93, Remedy: problem.RemedyFlagOff, Sentence: "The flag did it",
			Change:   &evidence.Candidate{Event: change.Event{ID: "c1", Title: "flag on", Who: "ann", Kind: change.KindFlag, Key: "f"}},
			Path:     []evidence.Hop{{Service: "frontend", Operation: "GET /"}, {Service: "payment"}},
			Findings: []problem.Finding{{Text: "failures begin in payment"}}},
		Impact: problem.Impact{Services: []entity.Ref{{Service: "payment", Environment: "dev"}}, EntryPoints: []string{"frontend GET /"}, FailedRequests: 12},
		Events: []problem.Event{
			{Title: "Later", Source: "alertmanager", Start: at(20), Why: "it said so"},
			{Title: "Errors", Source: "detector", Start: at(0), End: at(40), Observed: 0.5, Expected: 0.01, Unit: "ratio"},
		},
		Alerts:   []problem.Alert{{Profile: "p", State: problem.AlertSent, Sent: at(10), Channels: []string{"room"}}, {Profile: "q", State: problem.AlertSkipped, Why: "looked after"}},
		Comments: []problem.Comment{{Time: at(5), Who: "tidegate", Text: "Opened: Errors"}},
	}
	var out bytes.Buffer
	showProblem(&out, &p)
	want := `P-17 Errors in payment
closed, error, since 2026-03-01 12:00:00, 50s, came back once

Cause
  The flag did it (change, 93 % sure)
  change c1: flag on, by ann
  remedy: flag-off
  path: frontend GET / → payment
  - failures begin in payment

Impact
  services: payment (dev)
  users call: frontend GET /
  failed requests: 12

Events
  12:00:00 to 12:00:40  Errors: 50 % instead of 1 % (detector)
  12:00:20 to now  Later: it said so (alertmanager)

Alerts
  p: sent at 12:00:10 to room
  q: skipped: looked after

What happened
  12:00:05  tidegate: Opened: Errors
`
	if d := cmp.Diff(strings.Split(want, "\n"), strings.Split(out.String(), "\n")); d != "" {
		t.Error(d)
	}
	for brief, cause := range map[string]*problem.Cause{
		"not known yet": nil, "flag f": p.Cause, "dependency in bank": {Kind: problem.CauseDependency, Ref: entity.Ref{Service: "bank"}}, "unknown": {Kind: problem.CauseUnknown},
	} {
		if got := causeInBrief(cause); got != brief {
			t.Errorf("%q, want %q", got, brief)
		}
	}
}
