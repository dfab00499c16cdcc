package compat_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/tidegate-io/tidegate/change"
	"github.com/tidegate-io/tidegate/entity"
)

const structured = "application/cloudevents+json; charset=utf-8"

func TestNativeCloudEvent(t *testing.T) {
	a := newAPI(t)
	want := change.Event{
		Type: "test.finished", Kind: change.KindTest, Title: "test.finished", Who: "pipeline", Source: "k6",
		Start: time.Date(2026, 3, 1, 11, 59, 0, 0, time.UTC), Ref: entity.Ref{Service: "checkout", Environment: "dev"},
		Properties: map[string]string{"tool": "k6", "purpose": "acceptance", "duration": "1m", "summary.p95": "0.2", "run": "7"},
	}
	data := `{"service":"checkout","environment":"dev","purpose":"acceptance","duration":"1m","tool":"k6","summary":{"p95":0.2},"properties":{"run":7}}`

	got := a.accepted(http.StatusAccepted, "/api/cloudevents", data, "ce-specversion", "1.0", "ce-id", "1", "ce-source", "/ci",
		"ce-type", "test.finished", "ce-time", "2026-03-01T11:59:00Z")
	equal(t, want, got[0])

	got = a.accepted(http.StatusAccepted, "/api/cloudevents",
		`{"specversion":"1.0","id":"2","source":"/ci","type":"dev.tidegate.test.finished","time":"2026-03-01T11:59:00Z","datacontenttype":"application/json","data":`+data+`}`,
		"Content-Type", structured)
	equal(t, want, got[0])

	got = a.accepted(http.StatusAccepted, "/api/cloudevents",
		`{"specversion":"1.0","id":"3","source":"/ci","type":"test.finished","time":"2026-03-01T11:59:00Z","data":`+data+`}`)
	equal(t, want, got[0])

	// A retry is harmless.
	if again := a.accepted(http.StatusAccepted, "/api/cloudevents", data, "ce-specversion", "1.0", "ce-id", "1", "ce-source", "/ci",
		"ce-type", "test.finished", "ce-time", "2026-03-01T11:59:00Z"); len(again) != 0 {
		t.Errorf("recorded again: %+v", again)
	}
}

func TestCloudEventSubjectIsTheService(t *testing.T) {
	a := newAPI(t)
	got := a.accepted(http.StatusAccepted, "/api/cloudevents", "", "Content-Type", "", "ce-specversion", "1.0", "ce-id", "1", "ce-source", "/ci",
		"ce-type", "deployment.finished", "ce-subject", "checkout", "ce-release", "2.1")
	if e := got[0]; e.Service != "checkout" || e.Kind != change.KindDeployment || e.Properties["release"] != "2.1" {
		t.Errorf("%+v", e)
	}
}

func TestCloudEventBatch(t *testing.T) {
	a := newAPI(t)
	event := func(id, kind string) string {
		return fmt.Sprintf(`{"specversion":"1.0","id":%q,"source":"ci","type":%q,"data":{"service":"checkout"}}`, id, kind)
	}
	batch := []string{"Content-Type", "application/cloudevents-batch+json"}
	got := a.accepted(http.StatusAccepted, "/api/cloudevents", "["+event("1", "test.started")+","+event("2", "test.finished")+"]", batch...)
	if len(got) != 2 || got[0].Type != "test.started" || got[1].Type != "test.finished" {
		t.Errorf("%+v", got)
	}
	// One wrong event refuses all of them.
	w := a.post("/api/cloudevents", "["+event("3", "x")+","+event("4", "dev.cdevents.service.deployed.0.2.0")+"]", batch...)
	if w.Code != http.StatusBadRequest || !strings.Contains(w.Body.String(), `event \"4\"`) || len(a.store.list) != 2 {
		t.Errorf("%d %s, %d stored", w.Code, w.Body, len(a.store.list))
	}
	for _, body := range []string{"[]", "{}", "[1]", "[" + strings.Repeat(event("1", "x")+",", 100) + event("1", "x") + "]"} {
		if w := a.post("/api/cloudevents", body, batch...); w.Code != http.StatusBadRequest {
			t.Errorf("%.40s: %d %s", body, w.Code, w.Body)
		}
	}
}

func TestCloudEventRequired(t *testing.T) {
	a := newAPI(t)
	for name, body := range map[string]string{
		"specversion": `{"id":"1","source":"s","type":"t"}`,
		"id":          `{"specversion":"1.0","source":"s","type":"t"}`,
		"source":      `{"specversion":"1.0","id":"1","type":"t"}`,
		"type":        `{"specversion":"1.0","id":"1","source":"s"}`,
	} {
		w := a.post("/api/cloudevents", body, "Content-Type", structured)
		if w.Code != http.StatusBadRequest || !strings.Contains(w.Body.String(), `"field":"`+name+`"`) {
			t.Errorf("structured without %s: %d %s", name, w.Code, w.Body)
		}
		headers := []string{"ce-specversion", "1.0", "ce-id", "1", "ce-source", "s", "ce-type", "t", "ce-" + name, ""}
		w = a.post("/api/cloudevents", "{}", headers...)
		if w.Code != http.StatusBadRequest || !strings.Contains(w.Body.String(), `"field":"`+name+`"`) {
			t.Errorf("binary without %s: %d %s", name, w.Code, w.Body)
		}
	}
	if w := a.post("/api/cloudevents", `{"type":"test.finished"}`); w.Code != http.StatusBadRequest || !strings.Contains(w.Body.String(), `"field":"specversion"`) {
		t.Errorf("plain JSON: %d %s", w.Code, w.Body)
	}
	for _, body := range []string{`{`, `[]`, `{"specversion":"1.0","id":"1","source":"s","type":"t","data":[1]}`, `{"specversion":"9","id":"1","source":"s","type":"t"}`,
		`{"specversion":"1.0","id":"1","source":"s","type":"t","data":{"kind":"nonsense"}}`} {
		if w := a.post("/api/cloudevents", body, "Content-Type", structured); w.Code != http.StatusBadRequest {
			t.Errorf("%s: %d %s", body, w.Code, w.Body)
		}
	}
}

// cd posts a CDEvent in binary mode.
func (a *api) cd(kind, subject string) []change.Event {
	a.t.Helper()
	return a.accepted(http.StatusAccepted, "/api/cloudevents",
		`{"context":{"specversion":"0.5.1","id":"i","source":"/cd","type":"`+kind+`","timestamp":"2026-03-01T12:00:00Z","chainId":"chain"},"subject":`+subject+`,"customData":{"purpose":"acceptance","duration":"2m"}}`,
		"ce-specversion", "1.0", "ce-id", kind, "ce-source", "/cd", "ce-type", kind)
}

func TestCDEvents(t *testing.T) {
	a := newAPI(t)
	env := `"environment":{"id":"production"}`
	tests := []struct {
		kind, subject string
		want          change.Event
	}{
		{"dev.cdevents.service.deployed.0.3.0", `{"id":"checkout","content":{` + env + `,"artifactId":"pkg:oci/checkout@sha256%3A0b31?tag=2.1"}}`,
			change.Event{Type: "deployment.finished", Kind: change.KindDeployment, Title: "service checkout deployed", Ref: entity.Ref{Service: "checkout", Environment: "production", Version: "2.1"}, To: "2.1", Key: "checkout"}},
		{"dev.cdevents.service.rolledback.0.3.0", `{"id":"checkout","content":{` + env + `,"artifactId":"pkg:golang/shop/checkout@v1.9"}}`,
			change.Event{Type: "deployment.finished", Kind: change.KindDeployment, Title: "service checkout rolledback", Ref: entity.Ref{Service: "checkout", Environment: "production", Version: "v1.9"}, To: "v1.9", Key: "checkout"}},
		{"dev.cdevents.service.removed.0.3.0", `{"id":"checkout","content":{` + env + `}}`,
			change.Event{Type: "deployment.removed", Kind: change.KindDeployment, Title: "service checkout removed", Ref: entity.Ref{Service: "checkout", Environment: "production"}, Key: "checkout"}},
		{"dev.cdevents.testsuiterun.finished.0.2.0", `{"id":"run-1","content":{` + env + `,"outcome":"success","service":{"id":"checkout"},"testSuite":{"id":"s","name":"load"}}}`,
			change.Event{Type: "test.finished", Kind: change.KindTest, Title: "testsuiterun run-1 finished", Ref: entity.Ref{Service: "checkout", Environment: "production"}, Key: "load"}},
		{"dev.cdevents.testcaserun.started.0.2.0", `{"id":"case-1","content":{` + env + `}}`,
			change.Event{Type: "testcase.started", Kind: change.KindTest, Title: "testcaserun case-1 started", Ref: entity.Ref{Environment: "production"}, Key: "case-1"}},
		{"dev.cdevents.incident.detected.0.2.0", `{"id":"inc-1","content":{` + env + `,"description":"slow","service":{"id":"checkout"}}}`,
			change.Event{Type: "problem.detected", Kind: change.KindProblem, Title: "slow", Ref: entity.Ref{Service: "checkout", Environment: "production"}, Key: "inc-1"}},
		{"dev.cdevents.pipelinerun.finished.0.2.0", `{"id":"p-1","content":{"pipelineName":"release","url":"https://ci.example/1","outcome":"success"}}`,
			change.Event{Type: "pipelinerun.finished", Kind: change.KindAnnotation, Title: "pipelinerun p-1 finished", Key: "release", Links: []change.Link{{Title: "pipelinerun", URL: "https://ci.example/1"}}}},
		{"dev.cdevents.artifact.packaged.0.2.0", `{"id":"pkg:a","content":{}}`,
			change.Event{Type: "artifact.packaged", Kind: change.KindAnnotation, Title: "artifact pkg:a packaged", Key: "pkg:a"}},
		{"dev.cdevents.change.merged.0.2.0", `{"id":"pr-1","content":{}}`,
			change.Event{Type: "change.merged", Kind: change.KindAnnotation, Title: "change pr-1 merged", Key: "pr-1"}},
	}
	for _, tt := range tests {
		t.Run(tt.kind, func(t *testing.T) {
			got := a.cd(tt.kind, tt.subject)
			p := got[0].Properties
			if p["purpose"] != "acceptance" || p["duration"] != "2m" || p["cdevents.predicate"] == "" {
				t.Errorf("properties %v", p)
			}
			tt.want.Properties, tt.want.Who, tt.want.Source, tt.want.Correlation = p, "pipeline", "/cd", "chain"
			equal(t, tt.want, got[0])
		})
	}
}

func TestCDEventsRequired(t *testing.T) {
	a := newAPI(t)
	for kind, body := range map[string][2]string{
		"dev.cdevents.service.deployed.0.3.0":   {`{"subject":{"id":"a","content":{}}}`, "subject.content.environment.id"},
		"dev.cdevents.incident.detected.0.2.0":  {`{"subject":{"id":"a"}}`, "subject.content.environment.id"},
		"dev.cdevents.artifact.packaged.0.2.0":  {`{"subject":{}}`, "subject.id"},
		"dev.cdevents.nonsense":                 {`{"subject":{"id":"a"}}`, "type"},
		"sh.keptn.event.deployment":             {`{}`, "type"},
		"sh.keptn.event.deployment.finished":    {`{"project":"p","stage":"s"}`, "data.service"},
		"sh.keptn.event.deployment.triggered":   {`{"stage":"s"}`, "data.project"},
		"sh.keptn.event.dev.delivery.triggered": {`{"project":"s"}`, "data.stage"},
	} {
		w := a.post("/api/cloudevents", body[0], "ce-specversion", "1.0", "ce-id", "1", "ce-source", "/cd", "ce-type", kind)
		if w.Code != http.StatusBadRequest || !strings.Contains(w.Body.String(), `"field":"`+body[1]+`"`) {
			t.Errorf("%s: %d %s", kind, w.Code, w.Body)
		}
	}
}

func TestKeptn(t *testing.T) {
	a := newAPI(t)
	keptn := func(kind, data string) change.Event {
		t.Helper()
		return a.accepted(http.StatusOK, "/api/v1/event",
			`{"specversion":"1.0","id":"`+kind+`","source":"jmeter","type":"`+kind+`","shkeptncontext":"ctx-1","triggeredid":"t-1","contenttype":"application/json","data":`+data+`}`,
			"Content-Type", structured)[0]
	}
	e := keptn("sh.keptn.event.test.finished", `{"project":"shop","stage":"dev","service":"checkout","result":"pass","status":"succeeded","labels":{"buildId":1},
		"test":{"start":"2026-03-01T11:00:00Z","end":"2026-03-01T11:05:00Z","teststrategy":"performance"}}`)
	equal(t, change.Event{
		Type: "test.finished", Kind: change.KindTest, Title: "Keptn test finished of checkout in dev", Who: "pipeline", Source: "keptn",
		Start: time.Date(2026, 3, 1, 11, 5, 0, 0, time.UTC), Ref: entity.Ref{Service: "checkout", Environment: "dev"}, Key: "shop/checkout", Correlation: "ctx-1",
		Properties: map[string]string{"buildId": "1", "keptn.project": "shop", "keptn.stage": "dev", "result": "pass", "status": "succeeded", "triggeredid": "t-1", "purpose": "performance", "duration": "5m0s"},
	}, e)
	e = keptn("sh.keptn.event.deployment.finished", `{"project":"shop","stage":"dev","service":"checkout","result":"pass","configurationChange":{"values":{"image":"registry:5000/shop/checkout:2.1"}},
		"deployment":{"deploymentURIsPublic":["https://checkout.example"]}}`)
	if e.Kind != change.KindDeployment || e.Version != "2.1" || e.To != "2.1" || len(e.Links) != 1 {
		t.Errorf("%+v", e)
	}
	for kind, want := range map[string]struct {
		kind     string
		category change.Kind
	}{
		"sh.keptn.event.deployment.triggered":      {"deployment.triggered", change.KindAnnotation},
		"sh.keptn.event.evaluation.status.changed": {"evaluation.status.changed", change.KindValidation},
		"sh.keptn.event.dev.delivery.triggered":    {"delivery.triggered", change.KindAnnotation},
		"sh.keptn.event.action.finished":           {"action.finished", change.KindAction},
	} {
		if e := keptn(kind, `{"project":"shop","stage":"dev","service":"checkout"}`); e.Type != want.kind || e.Kind != want.category {
			t.Errorf("%s: %s %s", kind, e.Type, e.Kind)
		}
	}
	w := a.post("/api/v1/event", `{"specversion":"1.0","id":"9","source":"s","type":"sh.keptn.event.test.started","shkeptncontext":"ctx-9","data":{"project":"p","stage":"s","service":"x"}}`, "Content-Type", structured)
	if strings.TrimSpace(w.Body.String()) != `{"keptnContext":"ctx-9"}` {
		t.Errorf("answer %s", w.Body)
	}
}
