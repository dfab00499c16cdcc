package httpapi

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tidegate-io/tidegate/change"
	"github.com/tidegate-io/tidegate/evidence"
	"github.com/tidegate-io/tidegate/fault"
	"github.com/tidegate-io/tidegate/guardian"
)

var noon = time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)

// request asks the API over cfg and returns the status and the decoded answer.
func request[T any](t *testing.T, cfg Config, method, path, body string) (int, T) {
	t.Helper()
	mux := http.NewServeMux()
	cfg.Stream, cfg.Logger = NewStream("test"), slog.New(slog.DiscardHandler)
	cfg.Clock = func() time.Time { return noon }
	Register(mux, cfg)
	r := httptest.NewRequest(method, path, strings.NewReader(body))
	r.Header.Set("Content-Type", "application/json")
	w := httptest.NewRecorder()
	mux.ServeHTTP(w, r)
	var out T
	if err := json.Unmarshal(w.Body.Bytes(), &out); err != nil {
		t.Fatalf("%s %s: %d %s: %v", method, path, w.Code, w.Body, err)
	}
	return w.Code, out
}

// problemDetails is an error answer, RFC 9457.
type problemDetails struct {
	Title, Detail string
	Status        int
	Errors        []struct{ Location, Message string }
}

// fakeChanges is a log in memory that pages as the real one does.
type fakeChanges struct {
	Changes
	events []change.Event
	asked  change.Query
	err    error
}

func (c *fakeChanges) Event(context.Context, string) (change.Event, error) {
	return change.Event{}, c.err
}

func (c *fakeChanges) Record(_ context.Context, e change.Event) (change.Event, error) {
	c.events = append(c.events, e)
	return e, nil
}

func (c *fakeChanges) Events(_ context.Context, q change.Query) ([]change.Event, error) {
	c.asked = q
	from := 0
	for i := range c.events {
		if c.events[i].ID == q.Before {
			from = i + 1
		}
	}
	return c.events[from:min(from+q.Limit, len(c.events))], c.err
}

// TestProblems: every kind of fault has its status, and says what it says.
func TestProblems(t *testing.T) {
	for kind, c := range map[string]struct {
		err    error
		status int
		detail string
		field  string
	}{
		"invalid":     {fault.Invalid("no such thing"), 400, "no such thing", ""},
		"field":       {fault.InvalidField("last", "too long"), 400, "last: too long", "last"},
		"not found":   {fault.NotFound("no event"), 404, "no event", ""},
		"conflict":    {fault.Conflict("there already"), 409, "there already", ""},
		"denied":      {fault.Denied("not yours"), 403, "not yours", ""},
		"unavailable": {fault.Unavailable("later"), 503, "later", ""},
		"wrapped":     {fmt.Errorf("events: %w", fault.NotFound("no event")), 404, "events: no event", ""},
		"a defect":    {errors.New("nil map"), 500, "internal error: nil map", ""},
		"went away":   {fmt.Errorf("events: %w", context.Canceled), 499, "the client went away", ""},
	} {
		t.Run(kind, func(t *testing.T) {
			code, p := request[problemDetails](t, Config{Changes: &fakeChanges{err: c.err}}, "GET", "/v1/events/x", "")
			if code != c.status || p.Status != c.status || p.Detail != c.detail {
				t.Errorf("%d %+v, want %d %q", code, p, c.status, c.detail)
			}
			if c.field != "" && (len(p.Errors) != 1 || p.Errors[0].Location != c.field) {
				t.Errorf("errors %+v, want one at %s", p.Errors, c.field)
			}
		})
	}
}

// TestBadRequests: what never reaches a domain is refused with the place and
// with what was expected.
func TestBadRequests(t *testing.T) {
	cfg := Config{Changes: &fakeChanges{}, Guardians: &fakeGuardians{}}
	for name, c := range map[string]struct {
		method, path, body string
		status             int
		detail             string
	}{
		"number out of range":  {"GET", "/v1/events?limit=0", "", 422, "query.limit: expected number >= 1"},
		"unknown word":         {"GET", "/v1/logs?severity=loud", "", 422, `query.severity: expected value to be one of "trace, debug, info, warn, error, fatal"`},
		"missing field":        {"POST", "/v1/events", `{"type":"deployment.finished"}`, 422, "body: expected required property title to be present"},
		"unknown field":        {"POST", "/v1/events", `{"type":"a","title":"b","servce":"c"}`, 422, "body.servce: unexpected property"},
		"several mistakes":     {"POST", "/v1/events", `{"servce":"c"}`, 422, "the request has mistakes"},
		"not a time":           {"GET", "/v1/events?from=yesterday", "", 400, `from: "yesterday" is not a time: expected RFC 3339 or unix seconds`},
		"time turned around":   {"GET", "/v1/events?from=2000&to=1000", "", 400, "from: must be before to"},
		"window turned around": {"GET", "/v1/services?from=2026-11-21T12:00:00Z&to=2026-11-21T11:00:00Z", "", 400, "from: must be before to"},
		"begins now":           {"GET", "/v1/services?from=2026-11-21T12:00:00Z", "", 400, "from: must be before to"},
		"not a duration":       {"GET", "/v1/traces?minDuration=slow", "", 400, `minDuration: "slow" is not a duration: expected for example 200ms`},
		"not an attribute":     {"GET", "/v1/traces?attr=x", "", 400, `attr: "x": expected key=value`},
		"too many points":      {"GET", "/v1/query?query=up&from=0&to=1000000&step=1s", "", 400, "step: more than 11,000 points: use a longer step"},
		"step of no length":    {"GET", "/v1/query?query=up&from=1000&to=1000.01&step=1us", "", 400, `step: "1us": expected a duration of at least 1ms, for example 2s`},
		"not a length":         {"POST", "/v1/guardians/g/validations", `{"last":"soon"}`, 400, `last: "soon" is not a duration: expected for example 1m`},
		"not a trace id":       {"GET", "/v1/traces/xyz", "", 400, `trace id "xyz": expected up to 32 hex digits`},
	} {
		t.Run(name, func(t *testing.T) {
			code, p := request[problemDetails](t, cfg, c.method, c.path, c.body)
			if code != c.status || p.Detail != c.detail {
				t.Errorf("%d %q, want %d %q", code, p.Detail, c.status, c.detail)
			}
		})
	}
}

// TestTimeRange: times are RFC 3339 or unix seconds and reach the domain.
func TestTimeRange(t *testing.T) {
	for _, from := range []string{"2026-11-21T11:00:00Z", "2026-11-21T12:00:00%2B01:00", "1795258800", "1795258800.0"} {
		log := &fakeChanges{}
		if code, _ := request[EventList](t, Config{Changes: log}, "GET", "/v1/events?from="+from, ""); code != 200 {
			t.Fatalf("from=%s: %d", from, code)
		}
		if want := noon.Add(-time.Hour); !log.asked.From.Equal(want) || !log.asked.To.IsZero() {
			t.Errorf("from=%s: asked for %v … %v, want from %v", from, log.asked.From, log.asked.To, want)
		}
	}
	from, to, err := TimeRange{}.window(noon)
	if err != nil || !to.Equal(noon) || to.Sub(from) != 15*time.Minute {
		t.Errorf("the default is %v … %v, %v", from, to, err)
	}
}

// TestEventPages: following next visits every event once, and ends.
func TestEventPages(t *testing.T) {
	log := &fakeChanges{}
	for i := range 7 {
		log.events = append(log.events, change.Event{ID: fmt.Sprint("e", i)})
	}
	var seen []string
	for before := ""; ; {
		code, page := request[EventList](t, Config{Changes: log}, "GET", "/v1/events?limit=3&kind=flag,test&before="+before, "")
		if code != 200 || len(page.Events) > 3 {
			t.Fatalf("%d %+v", code, page)
		}
		for _, e := range page.Events {
			seen = append(seen, e.ID)
		}
		if before = page.Next; before == "" {
			break
		}
	}
	if got := strings.Join(seen, " "); got != "e0 e1 e2 e3 e4 e5 e6" {
		t.Errorf("saw %s", got)
	}
	if k := log.asked.Kinds; len(k) != 2 || k[0] != change.KindFlag || k[1] != change.KindTest {
		t.Errorf("kinds %v", k)
	}
	if _, page := request[map[string]any](t, Config{Changes: &fakeChanges{}}, "GET", "/v1/events", ""); page["events"] == nil {
		t.Error("no events must read as [], not null")
	}
}

// unasked is embedded for the methods that no test calls.
type unasked = Guardians

// fakeGuardians keeps validations of "known", numbered downwards.
type fakeGuardians struct {
	unasked
	history []guardian.Validation
	running bool // validations never finish
}

func (g *fakeGuardians) Guardian(_ context.Context, name string) (guardian.Guardian, error) {
	if name != "known" {
		return guardian.Guardian{}, fault.NotFound("no guardian %q", name)
	}
	return guardian.Guardian{Name: name}, nil
}

func (g *fakeGuardians) Validations(_ context.Context, q guardian.HistoryQuery) (out []guardian.Validation, err error) {
	for _, v := range g.history {
		if v.Guardian == q.Guardian && (q.Before == 0 || v.Number < q.Before) && len(out) < q.Limit {
			out = append(out, v)
		}
	}
	return out, nil
}

func (g *fakeGuardians) Validation(_ context.Context, id string) (guardian.Validation, error) {
	return guardian.Validation{ID: id, State: guardian.StateRunning}, nil
}

func (g *fakeGuardians) Wait(ctx context.Context, id string) (guardian.Validation, error) {
	if g.running {
		<-ctx.Done()
		return guardian.Validation{}, ctx.Err()
	}
	return guardian.Validation{ID: id, State: guardian.StateFinished}, nil
}

func TestHistoryPages(t *testing.T) {
	g := &fakeGuardians{}
	for n := 5; n > 0; n-- {
		g.history = append(g.history, guardian.Validation{Guardian: "deleted", Number: n, Evidence: &evidence.Evidence{}})
	}
	var seen []int
	for before := 0; ; {
		code, page := request[ValidationList](t, Config{Guardians: g}, "GET", fmt.Sprint("/v1/guardians/deleted/validations?limit=2&before=", before), "")
		if code != 200 {
			t.Fatal(code)
		}
		for _, v := range page.Validations {
			seen = append(seen, v.Number)
			if v.Evidence != nil {
				t.Error("lists are without the evidence")
			}
		}
		if before = page.Next; before == 0 {
			break
		}
	}
	if got := fmt.Sprint(seen); got != "[5 4 3 2 1]" {
		t.Errorf("saw %s", got)
	}
	if code, _ := request[ValidationList](t, Config{Guardians: g}, "GET", "/v1/guardians/known/validations", ""); code != 200 {
		t.Errorf("a guardian without validations: %d", code)
	}
	if code, p := request[problemDetails](t, Config{Guardians: g}, "GET", "/v1/guardians/nobody/validations", ""); code != 404 {
		t.Errorf("a guardian that never was: %d %+v", code, p)
	}
}

// TestWait: a verdict that takes longer than a request may last is not an
// error; the validation is shown as it is.
func TestWait(t *testing.T) {
	for state, g := range map[guardian.State]*fakeGuardians{guardian.StateFinished: {}, guardian.StateRunning: {running: true}} {
		synctest.Test(t, func(t *testing.T) {
			code, v := request[guardian.Validation](t, Config{Guardians: g}, "GET", "/v1/validations/v1?wait=true", "")
			if code != 200 || v.ID != "v1" || v.State != state {
				t.Errorf("%d %+v, want %s", code, v, state)
			}
		})
	}
}

// fakeManifests refuses everything, with places.
type fakeManifests struct{ Manifests }

type mistakes struct{ error }

func (mistakes) Places() [][2]string {
	return [][2]string{{"a.yaml:3:5", "unknown field"}, {"a.yaml:9:1", "spec is missing"}}
}

func (fakeManifests) Apply(context.Context, string, []byte, bool) ([]Applied, error) {
	return nil, mistakes{fault.Invalid("mistakes")}
}

func TestManifestMistakesHavePlaces(t *testing.T) {
	code, p := request[problemDetails](t, Config{Manifests: fakeManifests{}}, "POST", "/v1/manifests", "kind: x")
	if code != 400 || len(p.Errors) != 2 || p.Errors[0].Location != "a.yaml:3:5" || p.Errors[1].Message != "spec is missing" {
		t.Errorf("%d %+v", code, p)
	}
}
