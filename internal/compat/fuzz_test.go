package compat_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/tidegate-io/tidegate/change"
	"github.com/tidegate-io/tidegate/internal/compat"
)

// FuzzPayloads posts anything to every route: an answer is either a success
// with an event stored, or says what is wrong and stores nothing.
func FuzzPayloads(f *testing.F) {
	paths := []string{"/api/v2/events/ingest", "/api/v1/events", "/api/cloudevents", "/v2/change/enqueue", "/webhooks/github",
		"/webhooks/alertmanager", "/v2/enqueue", "/webhooks/dynatrace"}
	f.Add(uint8(0), `{"eventType":"CUSTOM_INFO","title":"t","entitySelector":"type(SERVICE)","properties":{"a":1}}`)
	f.Add(uint8(1), `{"eventType":"CUSTOM_INFO","source":"s","description":"d","attachRules":{"tagRule":[{"meTypes":["HOST"],"tags":[{"key":"a:[b"}]}]}}`)
	f.Add(uint8(2), `{"specversion":"1.0","id":"1","source":"s","type":"dev.cdevents.service.deployed.1","data":{"subject":{"id":"a","content":{"environment":{"id":"e"}}}}}`)
	f.Add(uint8(2), `{"specversion":"1.0","id":"1","source":"s","type":"x","data":{"a":{"b":[1]},"undo":{"kind":"flag"}}}`)
	f.Add(uint8(3), `{"routing_key":"k","payload":{"summary":"s","custom_details":{"a":null}}}`)
	f.Add(uint8(4), `{"repository":{"full_name":"a/b"},"workflow_run":{}}`)
	f.Add(uint8(0), `{"eventType":"ERROR_EVENT","title":"t","timeout":5,"entitySelector":"type(SERVICE),entityName(\"a\")"}`)
	f.Add(uint8(2), `{"specversion":"1.0","id":"1","source":"s","type":"dev.cdevents.incident.resolved.0.2.0","data":{"subject":{"id":"a","content":{"environment":{"id":"e"}}}}}`)
	f.Add(uint8(5), `{"version":"4","groupKey":"g","alerts":[{"status":"firing","labels":{"alertname":"a","service":"s"},"startsAt":"2026-01-01T00:00:00Z","endsAt":"0001-01-01T00:00:00Z"}]}`)
	f.Add(uint8(6), `{"routing_key":"k","event_action":"trigger","payload":{"summary":"s","source":"h","severity":"critical","timestamp":"2026-01-01T00:00:00Z","custom_details":{"a":[1]}}}`)
	f.Add(uint8(7), `{"State":"OPEN","PID":"1","ProblemDetailsJSON":{"startTime":1},"Tags":"a:b, c","ImpactedEntities":[{"type":"SERVICE","name":"a","entity":"SERVICE-1"}]}`)
	f.Fuzz(func(t *testing.T, route uint8, body string) {
		path := paths[route%8]
		store, problems := &events{}, &monitored{}
		log, err := change.New(change.Config{Store: store})
		if err != nil {
			t.Fatal(err)
		}
		h, err := compat.New(compat.Config{Recorder: log, Problems: problems, GitHubSecret: secret})
		if err != nil {
			t.Fatal(err)
		}
		mux := http.NewServeMux()
		h.Register(mux)
		r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, path, strings.NewReader(body))
		r.Header.Set("Content-Type", map[bool]string{true: "application/cloudevents+json", false: "application/json"}[path == "/api/cloudevents"])
		r.Header.Set("X-Hub-Signature-256", sign(body))
		r.Header.Set("X-GitHub-Event", "workflow_run")
		r.Header.Set("X-GitHub-Delivery", "1")
		w := httptest.NewRecorder()
		mux.ServeHTTP(w, r)
		switch {
		case w.Code < 300 && len(store.list) == 0 && route%8 < 5:
			t.Fatalf("%s %q: %d and nothing stored", path, body, w.Code)
		case w.Code >= 400 && w.Code != http.StatusBadRequest:
			t.Fatalf("%s %q: %d %s", path, body, w.Code, w.Body)
		case w.Code >= 400 && len(problems.list) > 0 && route%8 >= 5:
			t.Fatalf("%s %q: %d and a problem observed", path, body, w.Code)
		case w.Code >= 400 && len(store.list) > 0 && path != "/api/v1/events":
			t.Fatalf("%s %q: %d and something stored", path, body, w.Code)
		}
	})
}
