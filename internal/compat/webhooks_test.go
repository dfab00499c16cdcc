package compat_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/tidegate-io/tidegate/change"
	"github.com/tidegate-io/tidegate/entity"
)

func TestPagerDutyChange(t *testing.T) {
	a := newAPI(t)
	body := `{"routing_key":"` + token + `","payload":{"summary":"Build 7 deployed","source":"jenkins","timestamp":"2026-03-01T11:00:00.000+0000",
		"custom_details":{"service":"checkout","environment":"production","version":"2.1","build":{"number":7}}},
		"links":[{"href":"https://ci.example/7","text":"Build"},{"href":"ftp://no"}]}`
	got := a.accepted(http.StatusAccepted, "/v2/change/enqueue", body, "Authorization", "")
	equal(t, change.Event{
		Type: "deployment.finished", Kind: change.KindDeployment, Title: "Build 7 deployed", Who: "pipeline", Source: "jenkins",
		Start: time.Date(2026, 3, 1, 11, 0, 0, 0, time.UTC), Ref: entity.Ref{Service: "checkout", Environment: "production", Version: "2.1"}, To: "2.1",
		Properties: map[string]string{"service": "checkout", "environment": "production", "version": "2.1", "build.number": "7"},
		Links:      []change.Link{{Title: "Build", URL: "https://ci.example/7"}},
	}, got[0])
	w := a.post("/v2/change/enqueue", `{"routing_key":"`+token+`","payload":{"summary":"limit raised"}}`)
	if w.Code != http.StatusAccepted || strings.TrimSpace(w.Body.String()) != `{"message":"Change event processed","status":"success"}` {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	if e := a.store.list[1]; e.Type != "configuration.changed" || e.Start != noon {
		t.Errorf("%+v", e)
	}
	for body, says := range map[string]string{
		`{"payload":{"summary":"x"}}`:                                                               "'routing_key' is missing",
		`{"routing_key":"wrong","payload":{"summary":"x"}}`:                                         "'routing_key' is invalid",
		`{"routing_key":"` + token + `","payload":{}}`:                                              "'payload.summary' is missing",
		`{"routing_key":"` + token + `","payload":{"summary":"` + strings.Repeat("x", 1025) + `"}}`: "longer than 1024",
		`{"routing_key":"` + token + `","payload":{"summary":"x","timestamp":"yesterday"}}`:         "'payload.timestamp'",
		`[]`: "must not be",
	} {
		w := a.post("/v2/change/enqueue", body)
		if w.Code != http.StatusBadRequest || !strings.Contains(w.Body.String(), says) || !strings.Contains(w.Body.String(), `"status":"invalid event"`) {
			t.Errorf("%.60s: %d %s", body, w.Code, w.Body)
		}
	}
}

func sign(body string) string {
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write([]byte(body))
	return "sha256=" + hex.EncodeToString(mac.Sum(nil))
}

// hook delivers a GitHub webhook; it carries no token.
func (a *api) hook(status int, event, delivery, body string) []change.Event {
	a.t.Helper()
	return a.accepted(status, "/webhooks/github", body, "Authorization", "", "X-Hub-Signature-256", sign(body), "X-GitHub-Event", event, "X-GitHub-Delivery", delivery)
}

const repository = `"repository":{"name":"checkout","full_name":"shop/checkout","html_url":"https://github.com/shop/checkout"},"sender":{"login":"ann"}`

func TestGitHub(t *testing.T) {
	a := newAPI(t)
	got := a.hook(http.StatusAccepted, "deployment_status", "d-1", `{"action":"created",`+repository+`,
		"deployment":{"id":5,"ref":"v2.1","sha":"abc","task":"deploy","environment":"production","description":"Release","created_at":"2026-03-01T11:00:00Z"},
		"deployment_status":{"state":"success","log_url":"https://github.com/shop/checkout/runs/1","environment_url":"https://shop.example","created_at":"2026-03-01T11:05:00Z"}}`)
	equal(t, change.Event{
		Type: "deployment.finished", Kind: change.KindDeployment, Title: "Deployment of checkout@v2.1 to production: success", Reason: "Release", Who: "ann", Source: "github",
		Start: time.Date(2026, 3, 1, 11, 5, 0, 0, time.UTC), Ref: entity.Ref{Service: "checkout", Environment: "production", Version: "v2.1"}, Key: "shop/checkout", To: "v2.1",
		Properties:  map[string]string{"repository": "shop/checkout", "sha": "abc", "task": "deploy", "state": "success"},
		Links:       []change.Link{{Title: "Log", URL: "https://github.com/shop/checkout/runs/1"}, {Title: "Environment", URL: "https://shop.example"}},
		Correlation: "github-deployment-5",
	}, got[0])

	tests := []struct{ event, body, wantType string }{
		{"deployment", `{"deployment":{"id":5,"ref":"v2.1","environment":"production"},` + repository + `}`, "deployment.requested"},
		{"deployment_status", `{"deployment":{"id":5,"ref":"v2.1"},"deployment_status":{"state":"failure"},` + repository + `}`, "deployment.failed"},
		{"deployment_status", `{"deployment":{"id":5,"ref":"v2.1"},"deployment_status":{"state":"in_progress"},` + repository + `}`, "deployment.in_progress"},
		{"push", `{"ref":"refs/heads/main","before":"a","after":"b","compare":"https://github.com/x","commits":[{}],"head_commit":{"message":"fix"},` + repository + `}`, "code.pushed"},
		{"workflow_run", `{"action":"completed","workflow_run":{"id":9,"name":"release","conclusion":"success","html_url":"https://github.com/r"},` + repository + `}`, "pipeline.finished"},
		{"workflow_run", `{"action":"in_progress","workflow_run":{"id":9,"name":"release"},` + repository + `}`, "pipeline.started"},
	}
	for i, tt := range tests {
		got := a.hook(http.StatusAccepted, tt.event, string(rune('a'+i)), tt.body)
		if got[0].Type != tt.wantType || got[0].Kind != change.KindAnnotation || got[0].Service != "checkout" {
			t.Errorf("%s: %+v", tt.event, got[0])
		}
		if again := a.hook(http.StatusAccepted, tt.event, string(rune('a'+i)), tt.body); len(again) != 0 {
			t.Errorf("%s: a redelivery was recorded", tt.event)
		}
	}
	for _, event := range []string{"ping", "issues"} {
		if got := a.hook(http.StatusOK, event, "x", `{`+repository+`}`); len(got) != 0 {
			t.Errorf("%s: %+v", event, got)
		}
	}
}

func TestGitHubRefuses(t *testing.T) {
	a := newAPI(t)
	body := `{"ref":"refs/heads/main",` + repository + `}`
	for _, signature := range []string{"", "sha256=", "sha256=zz", sign(body + " "), strings.TrimPrefix(sign(body), "sha256="), "sha1=" + sign(body)[7:]} {
		w := a.post("/webhooks/github", body, "X-Hub-Signature-256", signature, "X-GitHub-Event", "push", "X-GitHub-Delivery", "1")
		if w.Code != http.StatusUnauthorized {
			t.Errorf("%s: %d", signature, w.Code)
		}
	}
	for event, body := range map[string]string{"push": `{` + repository + `}`, "deployment": `{` + repository + `}`, "deployment_status": `{` + repository + `}`, "workflow_run": `{` + repository + `}`, "issues": `{}`, "": body, "x": `[`} {
		w := a.post("/webhooks/github", body, "X-Hub-Signature-256", sign(body), "X-GitHub-Event", event, "X-GitHub-Delivery", "1")
		if w.Code != http.StatusBadRequest {
			t.Errorf("%s: %d %s", event, w.Code, w.Body)
		}
	}
	if len(a.store.list) != 0 {
		t.Error("something was stored")
	}
}
