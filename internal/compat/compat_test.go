package compat_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tidegate-io/tidegate/change"
	"github.com/tidegate-io/tidegate/entity"
	"github.com/tidegate-io/tidegate/fault"
	"github.com/tidegate-io/tidegate/internal/compat"
)

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

const (
	token  = "dt0c01.secret"
	secret = "github's secret"
)

// events is the store below the log.
type events struct {
	mu   sync.Mutex
	list []change.Event
	fail error
}

func (s *events) Add(_ context.Context, e change.Event) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.fail != nil {
		return s.fail
	}
	for _, old := range s.list {
		if old.ID == e.ID {
			return fault.Conflict("exists")
		}
	}
	s.list = append(s.list, e)
	return nil
}

func (s *events) Event(_ context.Context, id string) (change.Event, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, e := range s.list {
		if e.ID == id {
			return e, nil
		}
	}
	return change.Event{}, fault.NotFound("none")
}

func (s *events) Events(context.Context, change.Query) ([]change.Event, error) { return s.list, nil }

type known []entity.Entity

func (k known) Entities(context.Context) ([]entity.Entity, error) { return k, nil }

// api is the handlers over a real log.
type api struct {
	t        *testing.T
	store    *events
	problems *monitored
	mux      *http.ServeMux
}

func newAPI(t *testing.T) *api {
	t.Helper()
	a := &api{t: t, store: &events{}, problems: &monitored{}, mux: http.NewServeMux()}
	entities := known{
		{ID: "SERVICE-1", Type: entity.TypeService, Ref: entity.Ref{Service: "paymentservice", Environment: "dev"}},
		{ID: "SERVICE-2", Type: entity.TypeService, Ref: entity.Ref{Service: "checkout", Environment: "Staging"}, Tags: map[string]string{"DeploymentGroup": "Staging"}},
	}
	log, err := change.New(change.Config{Store: a.store, Entities: entities, Now: func() time.Time { return noon }})
	if err != nil {
		t.Fatal(err)
	}
	h, err := compat.New(compat.Config{Recorder: log, Problems: a.problems, Verify: verify, GitHubSecret: secret, Now: func() time.Time { return noon }})
	if err != nil {
		t.Fatal(err)
	}
	h.Register(a.mux)
	return a
}

func verify(_ context.Context, got string) (string, error) {
	if got != token {
		return "", errors.New("unknown token")
	}
	return "pipeline", nil
}

// post sends a request with a valid token; headers are pairs.
func (a *api) post(path, body string, headers ...string) *httptest.ResponseRecorder {
	a.t.Helper()
	r := httptest.NewRequestWithContext(a.t.Context(), http.MethodPost, path, strings.NewReader(body))
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Authorization", "Api-Token "+token)
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	w := httptest.NewRecorder()
	a.mux.ServeHTTP(w, r)
	return w
}

// accepted posts, checks the status, and returns the events stored.
func (a *api) accepted(status int, path, body string, headers ...string) []change.Event {
	a.t.Helper()
	before := len(a.store.list)
	if w := a.post(path, body, headers...); w.Code != status {
		a.t.Fatalf("%s: %d %s", path, w.Code, w.Body)
	}
	return a.store.list[before:]
}

// equal compares an event, but for what Record assigns.
func equal(t *testing.T, want, got change.Event) {
	t.Helper()
	if got.ID == "" || got.Received != noon {
		t.Errorf("id %q, received %v", got.ID, got.Received)
	}
	want.ID, want.Received = got.ID, got.Received
	if want.Start.IsZero() {
		want.Start = noon
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

const native = `{"specversion":"1.0","id":"1","source":"ci","type":"test.finished","data":{"service":"checkout"}}`

func TestTokens(t *testing.T) {
	a := newAPI(t)
	for _, header := range []string{"Api-Token " + token, "api-token " + token, "Bearer " + token, "Token " + token} {
		if w := a.post("/api/v2/events/ingest", `{"eventType":"CUSTOM_INFO","title":"x"}`, "Authorization", header); w.Code != http.StatusCreated {
			t.Errorf("%s: %d", header, w.Code)
		}
	}
	if w := a.post("/api/v1/event", native, "Content-Type", "application/cloudevents+json", "Authorization", "", "x-token", token); w.Code != http.StatusOK {
		t.Errorf("x-token: %d %s", w.Code, w.Body)
	}
	stored := len(a.store.list)
	for _, header := range []string{"", token, "Bearer", "Bearer wrong", "Basic " + token} {
		for path, body := range map[string]string{"/api/v2/events/ingest": `{}`, "/api/v1/events": `{}`, "/api/cloudevents": native} {
			if w := a.post(path, body, "Authorization", header); w.Code != http.StatusUnauthorized || strings.Contains(w.Body.String(), "secret") {
				t.Errorf("%s %q: %d %s", path, header, w.Code, w.Body)
			}
		}
	}
	if len(a.store.list) != stored {
		t.Error("something was stored")
	}
}

func TestFailingStore(t *testing.T) {
	for err, want := range map[error]int{
		fault.Unavailable("busy"):    http.StatusServiceUnavailable,
		errors.New("disk full, sda"): http.StatusInternalServerError,
	} {
		a := newAPI(t)
		a.store.fail = err
		for path, body := range map[string]string{
			"/api/v2/events/ingest":  `{"eventType":"CUSTOM_INFO","title":"x"}`,
			"/api/cloudevents":       native,
			"/v2/change/enqueue":     `{"routing_key":"` + token + `","payload":{"summary":"x"}}`,
			"/api/v1/events":         `{"eventType":"CUSTOM_INFO","description":"x","source":"s","attachRules":{"entityIds":["a"]}}`,
			"/api/v1/event?ignored=": native,
		} {
			kind := "application/json"
			if body == native {
				kind = "application/cloudevents+json"
			}
			w := a.post(path, body, "Content-Type", kind)
			if w.Code != want || strings.Contains(w.Body.String(), "sda") {
				t.Errorf("%s: %d %s, want %d", path, w.Code, w.Body, want)
			}
			if want == http.StatusServiceUnavailable && w.Header().Get("Retry-After") == "" {
				t.Errorf("%s: no Retry-After", path)
			}
		}
	}
}

func TestLargeBodies(t *testing.T) {
	a := newAPI(t)
	for _, path := range []string{"/api/v2/events/ingest", "/api/v1/events", "/api/cloudevents", "/v2/change/enqueue"} {
		if w := a.post(path, `{"title":"`+strings.Repeat("x", 2<<20)+`"}`); w.Code != http.StatusRequestEntityTooLarge {
			t.Errorf("%s: %d", path, w.Code)
		}
	}
}
