package compat_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tidegate-io/tidegate/entity"
	"github.com/tidegate-io/tidegate/problem"
)

// monitored remembers what it is told; events are checked as the service does.
type monitored struct {
	list         []problem.Event
	resolved     []string
	groups       []string
	acknowledged []string
}

func (m *monitored) Observe(_ context.Context, events []problem.Event) ([]string, error) {
	out := make([]string, len(events))
	for i := range events {
		e := events[i]
		if e.Start.IsZero() {
			e.Start = noon
		}
		if e.End.After(noon) {
			e.End, e.Expires = time.Time{}, e.End
		}
		if err := e.Validate(); err != nil {
			return nil, err
		}
		out[i] = "problem-1"
	}
	m.list = append(m.list, events...)
	return out, nil
}

func (m *monitored) Resolve(_ context.Context, ids []string, _ time.Time) ([]string, error) {
	m.resolved = append(m.resolved, ids...)
	return []string{"problem-1"}, nil
}

func (m *monitored) ResolveGroup(_ context.Context, source, group string, _ time.Time) ([]string, error) {
	m.groups = append(m.groups, source+" "+group)
	return []string{"problem-1"}, nil
}

func (m *monitored) AcknowledgeEvent(_ context.Context, id, who string) error {
	m.acknowledged = append(m.acknowledged, id+" "+who)
	return nil
}

// observed posts and returns the events that were raised.
func (a *api) observed(status int, path, body string, headers ...string) []problem.Event {
	a.t.Helper()
	before := len(a.problems.list)
	if w := a.post(path, body, headers...); w.Code != status {
		a.t.Fatalf("%s: %d %s", path, w.Code, w.Body)
	}
	return a.problems.list[before:]
}

// refused posts what must be a 400 that says a text.
func (a *api) refused(path, body, says string) {
	a.t.Helper()
	before := len(a.problems.list)
	if w := a.post(path, body); w.Code != http.StatusBadRequest || !strings.Contains(w.Body.String(), says) {
		a.t.Errorf("%s %.100s: %d %s, want a 400 that says %q", path, body, w.Code, w.Body, says)
	}
	if len(a.problems.list) > before {
		a.t.Errorf("%s %.100s: refused, and yet taken", path, body)
	}
}

const firing = `{"version":"4","groupKey":"{}:{alertname=\"HighErrorRate\"}","truncatedAlerts":0,"status":"firing","receiver":"tidegate",
	"groupLabels":{"alertname":"HighErrorRate"},"commonLabels":{},"commonAnnotations":{},"externalURL":"http://alertmanager:9093","unknown":1,
	"alerts":[{"status":"firing","labels":{"alertname":"HighErrorRate","severity":"critical","service":"checkout","env":"production"},
		"annotations":{"summary":"Many errors","description":"5 % of the requests fail"},"startsAt":"2026-03-01T11:00:00.5Z","endsAt":"0001-01-01T00:00:00Z",
		"generatorURL":"http://prometheus:9090/graph","fingerprint":"f1"},
	{"status":"firing","labels":{"alertname":"Disk"},"annotations":{},"startsAt":"2026-03-01T11:00:00Z","generatorURL":"javascript:x"}]}`

func TestAlertmanager(t *testing.T) {
	a := newAPI(t)
	got := a.observed(http.StatusOK, "/webhooks/alertmanager", firing, "Authorization", "Bearer "+token)
	if len(got) != 2 {
		t.Fatalf("%+v", got)
	}
	want := problem.Event{ID: got[0].ID, Source: "alertmanager", Signal: problem.SignalExternal, Severity: problem.SeverityError,
		Ref: entity.Ref{Service: "checkout", Environment: "production"}, Title: "Many errors", Why: "5 % of the requests fail",
		Start:    time.Date(2026, 3, 1, 11, 0, 0, 5e8, time.UTC),
		Tags:     map[string]string{"alertname": "HighErrorRate", "severity": "critical", "service": "checkout", "env": "production"},
		External: &problem.External{System: "alertmanager", ID: "f1", URL: "http://prometheus:9090/graph"}}
	if d := cmp.Diff(want, got[0]); d != "" {
		t.Error(d)
	}
	if e := got[1]; e.Title != "Disk" || e.Severity != problem.SeverityCustom || e.External.URL != "http://alertmanager:9093" || !strings.Contains(e.Group, "HighErrorRate") {
		t.Errorf("%+v", e)
	}
	if again := a.observed(http.StatusOK, "/webhooks/alertmanager", firing); again[0].ID != got[0].ID || again[1].ID != got[1].ID {
		t.Error("a notification sent again raises other events")
	}
	if next := a.observed(http.StatusOK, "/webhooks/alertmanager", strings.ReplaceAll(firing, "2026-03-01T11", "2026-03-01T12")); next[0].ID == got[0].ID {
		t.Error("an alert that fires again is the same event")
	}
	w := a.post("/webhooks/alertmanager", strings.ReplaceAll(firing, `"status":"firing","labels"`, `"status":"resolved","labels"`))
	if w.Code != http.StatusOK || strings.TrimSpace(w.Body.String()) != `{"problems":["problem-1"]}` {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	if d := cmp.Diff([]string{got[0].ID, got[1].ID}, a.problems.resolved); d != "" {
		t.Error(d)
	}
	if w := a.post("/webhooks/alertmanager", firing, "Authorization", "Bearer wrong"); w.Code != http.StatusUnauthorized {
		t.Errorf("a wrong token: %d", w.Code)
	}
	for body, says := range map[string]string{
		`{}`:                            `"field":"version"`,
		`{"version":"3","alerts":[]}`:   `"field":"version"`,
		`{"version":"4"}`:               `"field":"alerts"`,
		`{"version":"4","alerts":[{}]}`: `"field":"alerts[0].status"`,
		`{"version":"4","alerts":{}}`:   "must not be",
		`{"version":"4","alerts":[{"status":"firing"}]}`:                                                          `"field":"alerts[0].labels"`,
		`{"version":"4","alerts":[{"status":"firing","labels":{"a":"b"}}]}`:                                       `"field":"alerts[0].startsAt"`,
		`{"version":"4","alerts":[{"status":"firing","labels":{"a":"b"},"startsAt":"1500-01-01T00:00:00Z"}]}`:     `"field":"start"`,
		`{"version":"4","alerts":[{"status":"firing","labels":{"a":"b"},"startsAt":"yesterday, or the day be"}]}`: "not valid JSON",
	} {
		a.refused("/webhooks/alertmanager", body, says)
	}
}

func TestPagerDutyEvents(t *testing.T) {
	a := newAPI(t)
	body := func(action, rest string) string {
		return `{"routing_key":"` + token + `","event_action":"` + action + `"` + rest + `}`
	}
	trigger := body("trigger", `,"dedup_key":"disk/1","client":"nagios","client_url":"https://nagios.example","payload":{"summary":"Disk full","source":"db-1","severity":"warning",
		"timestamp":"2026-03-01T11:00:00Z","component":"postgres","group":"storage","class":"disk","custom_details":{"environment":"production","free":"0"}},"links":[{"href":"https://x.example"}]`)
	got := a.observed(http.StatusAccepted, "/v2/enqueue", trigger, "Authorization", "")
	want := problem.Event{ID: got[0].ID, Source: "pagerduty", Signal: problem.SignalExternal, Severity: problem.SeverityCustom,
		Ref: entity.Ref{Service: "postgres", Environment: "production"}, Title: "Disk full", Start: time.Date(2026, 3, 1, 11, 0, 0, 0, time.UTC),
		Tags:     map[string]string{"environment": "production", "free": "0", "source": "db-1", "group": "storage", "class": "disk", "component": "postgres"},
		External: &problem.External{System: "pagerduty", ID: "disk/1", URL: "https://nagios.example"}}
	if d := cmp.Diff(want, got[0]); d != "" {
		t.Error(d)
	}
	a.observed(http.StatusAccepted, "/v2/enqueue", body("acknowledge", `,"dedup_key":"disk/1"`))
	a.observed(http.StatusAccepted, "/v2/enqueue", body("resolve", `,"dedup_key":"disk/1"`))
	if d := cmp.Diff([]string{got[0].ID + " pipeline"}, a.problems.acknowledged); d != "" {
		t.Error(d)
	}
	if d := cmp.Diff([]string{got[0].ID}, a.problems.resolved); d != "" {
		t.Error(d)
	}
	payload := `,"payload":{"summary":"s","source":"h","severity":"info"}`
	w := a.post("/v2/enqueue", body("trigger", payload))
	var answer struct {
		Status   string `json:"status"`
		DedupKey string `json:"dedup_key"`
	}
	if err := json.Unmarshal(w.Body.Bytes(), &answer); err != nil || w.Code != http.StatusAccepted || answer.Status != "success" || len(answer.DedupKey) != 32 {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	a.post("/v2/enqueue", body("resolve", `,"dedup_key":"`+answer.DedupKey+`"`))
	if last := a.problems.list[len(a.problems.list)-1].ID; a.problems.resolved[1] != last {
		t.Error("the key that was made up does not resolve the event")
	}
	for body, says := range map[string]string{
		`{}`:                      "'routing_key' is missing",
		`{"routing_key":"wrong"}`: "'routing_key' is invalid",
		body("", payload):         "'event_action' is missing",
		body("x", payload):        "'event_action' must be one of",
		body("resolve", ""):       "'dedup_key' is missing",
		body("resolve", `,"dedup_key":"`+strings.Repeat("x", 256)+`"`): "'dedup_key' is longer",
		body("trigger", ""):                                                                            "'payload.summary' is missing",
		body("trigger", `,"payload":{"summary":"s"}`):                                                  "'payload.source' is missing",
		body("trigger", `,"payload":{"summary":"s","source":"h"}`):                                     "'payload.severity' is missing",
		body("trigger", `,"payload":{"summary":"s","source":"h","severity":"bad"}`):                    "'payload.severity' must be one of",
		body("trigger", `,"payload":{"summary":"s","source":"h","severity":"info","timestamp":"now"}`): "'payload.timestamp'",
		body("trigger", `,"payload":{"summary":"`+strings.Repeat("x", 1025)+`"}`):                      "longer than 1024",
	} {
		a.refused("/v2/enqueue", body, says)
	}
}

func TestDynatraceNotification(t *testing.T) {
	a := newAPI(t)
	open := `{"state":"OPEN","PID":"-7_V2","problemid":"P-99","ProblemTitle":"Failure rate increase","ProblemURL":"https://dt.example/p","ProblemSeverity":"ERROR",
		"ProblemImpact":"SERVICE","Tags":"team:shop, environment:production,plain","ProblemDetailsJSON":{"startTime":1772362800000},
		"ImpactedEntities":[{"type":"SERVICE","name":"checkout","entity":"SERVICE-1"},{"type":"HOST","name":"h","entity":"HOST-1"}]}`
	got := a.observed(http.StatusOK, "/webhooks/dynatrace", open)
	if len(got) != 2 || got[0].ID == got[1].ID {
		t.Fatalf("%+v", got)
	}
	want := problem.Event{ID: got[0].ID, Source: "dynatrace", Signal: problem.SignalExternal, Severity: problem.SeverityError,
		Ref: entity.Ref{Service: "checkout", Environment: "production"}, Title: "Failure rate increase", Why: "Dynatrace P-99, impact SERVICE",
		Start: time.UnixMilli(1772362800000), Group: "-7_V2", Tags: map[string]string{"team": "shop", "environment": "production", "plain": ""},
		External: &problem.External{System: "dynatrace", ID: "-7_V2", URL: "https://dt.example/p"}}
	if d := cmp.Diff(want, got[0]); d != "" {
		t.Error(d)
	}
	if got[1].Service != "" {
		t.Errorf("a host is no service: %+v", got[1])
	}
	quoted := `{"State":"open","PID":7,"ImpactedEntities":"[{\"type\":\"SERVICE\",\"name\":\"cart\"}]","ProblemDetailsJSON":"{\"startTime\":5}"}`
	if got := a.observed(http.StatusOK, "/webhooks/dynatrace", quoted); len(got) != 1 || got[0].Service != "cart" || got[0].Title != "Dynatrace problem 7" || !got[0].Start.Equal(time.UnixMilli(5)) {
		t.Errorf("%+v", got)
	}
	for _, state := range []string{"RESOLVED", "CLOSED", "MERGED"} {
		w := a.post("/webhooks/dynatrace", `{"State":"`+state+`","PID":"-7_V2","ImpactedEntities":[]}`)
		if w.Code != http.StatusOK || strings.TrimSpace(w.Body.String()) != `{"problem":"problem-1"}` {
			t.Errorf("%s: %d %s", state, w.Code, w.Body)
		}
	}
	if d := cmp.Diff([]string{"dynatrace -7_V2", "dynatrace -7_V2", "dynatrace -7_V2"}, a.problems.groups); d != "" {
		t.Error(d)
	}
	for _, test := range []string{
		`{"State":"OPEN","PID":"999999999999","ImpactedEntities":[{"type":"HOST","name":"Myhost1","entity":"HOST-XXXXXXXXXXXXX"}]}`,
		`{"State":"OPEN","PID":"XXXXXXXXXXXXX"}`,
	} {
		if got := a.observed(http.StatusOK, "/webhooks/dynatrace", test); len(got) != 0 {
			t.Errorf("a connection test raised %+v", got)
		}
	}
	for body, says := range map[string]string{
		`{"State":"OPEN","ImpactedEntities":[]}`:                        `"field":"PID"`,
		`{"PID":"1","ImpactedEntities":[]}`:                             `"field":"State"`,
		`{"PID":"1","State":"HALF","ImpactedEntities":[]}`:              `"field":"State"`,
		`{"PID":"1","State":"OPEN"}`:                                    `"field":"ImpactedEntities"`,
		`{"PID":"1","State":"OPEN","ImpactedEntities":null}`:            `"field":"ImpactedEntities"`,
		`{"PID":"1","State":"OPEN","ImpactedEntities":"{Entities}"}`:    `"field":"ImpactedEntities"`,
		`{"PID":"1","State":"OPEN","ImpactedEntities":{"name":"cart"}}`: `"field":"ImpactedEntities"`,
	} {
		a.refused("/webhooks/dynatrace", body, says)
	}
}

// The event types of Dynatrace that open a problem are over after their
// timeout, unless they are sent again.
func TestDynatraceProblemEvents(t *testing.T) {
	a := newAPI(t)
	body := `{"eventType":"PERFORMANCE_EVENT","title":"slow","entitySelector":"type(SERVICE),entityName.equals(PaymentService)"%s}`
	got := a.observed(http.StatusCreated, ingest, fmt.Sprintf(body, `,"timeout":5`))
	if len(got) != 1 {
		t.Fatalf("%+v", got)
	}
	e := got[0]
	if e.Service != "paymentservice" || e.Environment != "dev" || e.Severity != problem.SeveritySlowdown || !e.End.Equal(noon.Add(5*time.Minute)) {
		t.Errorf("%+v", e)
	}
	again := a.observed(http.StatusCreated, ingest, fmt.Sprintf(body, ""))
	if again[0].ID != got[0].ID || !again[0].End.Equal(noon.Add(15*time.Minute)) {
		t.Errorf("%+v", again[0])
	}
	if got := a.observed(http.StatusCreated, ingest, `{"eventType":"CUSTOM_INFO","title":"t"}`); len(got) != 0 {
		t.Errorf("%+v", got)
	}
	v1 := `{"eventType":"AVAILABILITY_EVENT","source":"s","title":"down","timeoutMinutes":7,"attachRules":{"entityIds":["SERVICE-1"]}}`
	if got := a.observed(http.StatusOK, "/api/v1/events", v1); len(got) != 1 || got[0].Severity != problem.SeverityAvailability || !got[0].End.Equal(noon.Add(7*time.Minute)) {
		t.Errorf("%+v", got)
	}
}

func TestCDEventsIncidents(t *testing.T) {
	a := newAPI(t)
	incident := func(predicate string) string {
		return `{"specversion":"1.0","id":"` + predicate + `","source":"monitor","type":"dev.cdevents.incident.` + predicate + `.0.2.0",
			"data":{"subject":{"id":"inc-1","content":{"environment":{"id":"production"},"description":"slow","service":{"id":"checkout"}}}}}`
	}
	got := a.observed(http.StatusAccepted, "/api/cloudevents", incident("detected"))
	if len(got) != 1 || got[0].Service != "checkout" || got[0].Environment != "production" || got[0].Title != "slow" || got[0].External.ID != "inc-1" {
		t.Fatalf("%+v", got)
	}
	if again := a.observed(http.StatusAccepted, "/api/cloudevents", incident("reported")); again[0].ID != got[0].ID {
		t.Error("the incident is another when it is reported")
	}
	if over := a.observed(http.StatusAccepted, "/api/cloudevents", incident("resolved")); len(over) != 0 || len(a.problems.groups) != 1 || a.problems.groups[0] != "cdevents "+got[0].Group {
		t.Errorf("%+v %v", over, a.problems.groups)
	}
	if len(a.store.list) != 3 {
		t.Errorf("%d change events", len(a.store.list))
	}
}
