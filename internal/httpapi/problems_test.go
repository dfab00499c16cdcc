package httpapi

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tidegate-io/tidegate/entity"
	"github.com/tidegate-io/tidegate/fault"
	"github.com/tidegate-io/tidegate/problem"
)

// fakeProblems remembers what it was asked.
type fakeProblems struct {
	asked    problem.Query
	said     []string
	events   []problem.Event
	resolved []string
}

func (f *fakeProblems) Problem(_ context.Context, id string) (problem.Problem, error) {
	if id == "nobody" {
		return problem.Problem{}, fault.NotFound("no problem %q", id)
	}
	return problem.Problem{ID: id}, nil
}

func (f *fakeProblems) Problems(_ context.Context, q problem.Query) ([]problem.Problem, error) {
	f.asked = q
	return []problem.Problem{{ID: "b", Number: 8}, {ID: "a", Number: 7}}[:min(q.Limit, 2)], nil
}

func (f *fakeProblems) Comment(_ context.Context, id string, c problem.Comment) error {
	f.said = append(f.said, id+" "+c.Who+" "+c.Text+" "+c.Link)
	return nil
}

func (f *fakeProblems) Acknowledge(_ context.Context, id, who, text string) (problem.Problem, error) {
	f.said = append(f.said, id+" "+who+" "+text)
	return problem.Problem{ID: id, AcknowledgedBy: who}, nil
}

func (f *fakeProblems) Close(_ context.Context, id, who, reason string) (problem.Problem, error) {
	f.said = append(f.said, id+" "+who+" "+reason)
	return problem.Problem{}, fault.Conflict("%s is closed already", id)
}

func (f *fakeProblems) Observe(_ context.Context, events []problem.Event) ([]string, error) {
	f.events = append(f.events, events...)
	return []string{"p1"}, nil
}

func (f *fakeProblems) Resolve(_ context.Context, ids []string, _ time.Time) ([]string, error) {
	f.resolved = append(f.resolved, ids...)
	return nil, nil
}

func TestProblemsAreListed(t *testing.T) {
	f := &fakeProblems{}
	code, list := request[ProblemList](t, Config{Problems: f}, "GET",
		"/v1/problems?state=open&service=checkout&environment=production&severity=error&from=2026-11-21T11:00:00Z&to=2026-11-21T12:00:00Z&before=P-9&limit=2", "")
	want := problem.Query{State: problem.StateOpen, Service: "checkout", Environment: "production", Severity: problem.SeverityError,
		From: noon.Add(-time.Hour), To: noon, Limit: 2, Before: 9}
	if d := cmp.Diff(want, f.asked); d != "" || code != 200 || list.Next != "7" || len(list.Problems) != 2 {
		t.Errorf("%d %+v %s", code, list, d)
	}
	if _, list := request[ProblemList](t, Config{Problems: f}, "GET", "/v1/problems?before=9", ""); list.Next != "" || f.asked.Limit != 50 {
		t.Errorf("%+v", list)
	}
	for path, says := range map[string]string{
		"/v1/problems?before=x": "is not the number of a problem", "/v1/problems?from=x": "is not a time", "/v1/problems?state=half": "expected value to be one of",
	} {
		if code, p := request[problemDetails](t, Config{Problems: f}, "GET", path, ""); code/100 != 4 || !strings.Contains(p.Detail+messages(p), says) {
			t.Errorf("%s: %d %+v", path, code, p)
		}
	}
	if code, _ := request[problemDetails](t, Config{Problems: f}, "GET", "/v1/problems/nobody", ""); code != 404 {
		t.Errorf("an unknown problem: %d", code)
	}
}

func messages(p problemDetails) (all string) {
	for _, e := range p.Errors {
		all += " " + e.Message
	}
	return all
}

func TestProblemsAreCaredFor(t *testing.T) {
	f := &fakeProblems{}
	for _, c := range []struct {
		path, body string
		code       int
	}{
		{"P-1/comments", `{"who":"ann","text":"looking","link":"https://x.example"}`, 201},
		{"P-1/acknowledge", `{"who":"ann"}`, 200},
		{"P-1/close", `{"who":"ann","reason":"a drill"}`, 409},
		{"P-1/close", `{"who":"ann"}`, 422},
		{"P-1/comments", `{"who":"ann","text":"x","link":"javascript:x"}`, 422},
	} {
		if code, out := request[map[string]any](t, Config{Problems: f}, "POST", "/v1/problems/"+c.path, c.body); code != c.code {
			t.Errorf("%s %s: %d %v", c.path, c.body, code, out)
		}
	}
	if d := cmp.Diff([]string{"P-1 ann looking https://x.example", "P-1 ann ", "P-1 ann a drill"}, f.said); d != "" {
		t.Error(d)
	}
}

func TestProblemEvents(t *testing.T) {
	f := &fakeProblems{}
	report := func(body string) (int, ProblemEventAccepted) {
		t.Helper()
		return request[ProblemEventAccepted](t, Config{ProblemEvents: f}, "POST", "/v1/problem-events", body)
	}
	code, out := report(`{"id":"backup","title":"It failed","service":"postgres","environment":"production","severity":"error","timeoutSeconds":60,"tags":{"a":"b"},"url":"https://x.example"}`)
	want := problem.Event{ID: "api:backup", Source: "api", Severity: problem.SeverityError, Title: "It failed", Ref: entity.Ref{Service: "postgres", Environment: "production"},
		Expires: noon.Add(time.Minute), Tags: map[string]string{"a": "b"}, External: &problem.External{System: "api", ID: "backup", URL: "https://x.example"}}
	if d := cmp.Diff([]problem.Event{want}, f.events); d != "" || code != 202 || out != (ProblemEventAccepted{Event: "api:backup", Problem: "p1"}) {
		t.Errorf("%d %+v %s", code, out, d)
	}
	if code, out := report(`{"id":"backup","source":"cron","state":"resolved"}`); code != 202 || out.Event != "cron:backup" || f.resolved[0] != "cron:backup" {
		t.Errorf("%d %+v", code, out)
	}
	for _, bad := range []string{`{"title":"x"}`, `{"id":"x","severity":"bad"}`, `{"id":"x","state":"half"}`, `{"id":"x","timeoutSeconds":-1}`} {
		if code, _ := request[problemDetails](t, Config{ProblemEvents: f}, "POST", "/v1/problem-events", bad); code != 422 {
			t.Errorf("%s: %d", bad, code)
		}
	}
}
