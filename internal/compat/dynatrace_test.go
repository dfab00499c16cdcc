package compat_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/tidegate-io/tidegate/change"
	"github.com/tidegate-io/tidegate/entity"
)

const ingest = "/api/v2/events/ingest"

// A flag change as scripts send it.
func TestDynatraceFlagChange(t *testing.T) {
	a := newAPI(t)
	got := a.accepted(http.StatusCreated, ingest, `{
		"eventType": "CUSTOM_INFO",
		"title": "featureflag change",
		"timeout": 1,
		"entitySelector": "type(SERVICE),entityName.equals(paymentservice)",
		"properties": {"type": "configuration_change", "feature_flag.key": "paymentServiceFailure", "defaultValue": "on"}
	}`)
	equal(t, change.Event{
		Type: "flag.changed", Kind: change.KindFlag, Title: "featureflag change", Who: "pipeline", Source: "Dynatrace Events API",
		Ref: entity.Ref{Service: "paymentservice"}, Selector: "type(SERVICE),entityName.equals(paymentservice)",
		Entities: []entity.Ref{{Service: "paymentservice", Environment: "dev"}},
		Key:      "paymentServiceFailure", To: "on",
		Properties: map[string]string{"type": "configuration_change", "feature_flag.key": "paymentServiceFailure", "defaultValue": "on"},
	}, got[0])
}

// A finished load test as k6's teardown sends it.
func TestDynatraceTestFinished(t *testing.T) {
	a := newAPI(t)
	got := a.accepted(http.StatusCreated, ingest, `{
		"eventType": "CUSTOM_INFO",
		"title": "k6 load test finished",
		"entitySelector": "type(SERVICE),entityName.equals(checkout)",
		"properties": {"tool": "k6", "action": "test", "state": "finished", "purpose": "acceptance", "duration": "1m"}
	}`)
	equal(t, change.Event{
		Type: "test.finished", Kind: change.KindTest, Title: "k6 load test finished", Who: "pipeline", Source: "k6",
		Ref: entity.Ref{Service: "checkout"}, Selector: "type(SERVICE),entityName.equals(checkout)",
		Entities:   []entity.Ref{{Service: "checkout", Environment: "Staging"}},
		Properties: map[string]string{"tool": "k6", "action": "test", "state": "finished", "purpose": "acceptance", "duration": "1m"},
	}, got[0])
}

func TestDynatraceDeployment(t *testing.T) {
	a := newAPI(t)
	got := a.accepted(http.StatusCreated, ingest, `{
		"eventType": "CUSTOM_DEPLOYMENT", "title": "Deploy", "startTime": 1772366400000, "endTime": 1772366460000, "unknown": {},
		"entitySelector": "type(SERVICE),tag(\"DeploymentGroup:Staging\")",
		"properties": {"dt.event.deployment.name": "shop", "dt.event.deployment.version": "2.1", "dt.event.deployment.release_stage": "staging",
			"dt.event.deployment.ci_back_link": "https://ci.example/1", "dt.event.deployment.remediation_action_link": "https://tower.example/undo",
			"build": 17, "approved": true, "triggeredBy": "ann"}
	}`)
	e := got[0]
	if e.Type != "deployment.finished" || e.Kind != change.KindDeployment || e.Key != "shop" || e.To != "2.1" || e.Version != "2.1" ||
		e.Environment != "staging" || e.Who != "ann" || e.Properties["build"] != "17" || e.Properties["approved"] != "true" {
		t.Errorf("%+v", e)
	}
	if e.Undo == nil || e.Undo.URL != "https://tower.example/undo" || len(e.Links) != 2 || e.Links[0].URL != "https://ci.example/1" {
		t.Errorf("links %v, undo %v", e.Links, e.Undo)
	}
	if !e.Start.Equal(time.UnixMilli(1772366400000)) || !e.End.Equal(time.UnixMilli(1772366460000)) {
		t.Errorf("from %v to %v", e.Start, e.End)
	}
	if len(e.Entities) != 1 || e.Entities[0].Service != "checkout" {
		t.Errorf("entities %v", e.Entities)
	}
}

func TestDynatraceEventTypes(t *testing.T) {
	tests := []struct{ eventType, properties, wantType, wantKind string }{
		{"CUSTOM_INFO", `{}`, "annotation", "annotation"},
		{"CUSTOM_INFO", `{"type":"configuration_change"}`, "configuration.changed", "configuration"},
		{"CUSTOM_INFO", `{"action":"test","state":"started"}`, "test.started", "test"},
		{"CUSTOM_CONFIGURATION", `{}`, "configuration.changed", "configuration"},
		{"CUSTOM_CONFIGURATION", `{"feature_flag.key":"f"}`, "flag.changed", "flag"},
		{"CUSTOM_ANNOTATION", `{}`, "annotation", "annotation"},
		{"MARKED_FOR_TERMINATION", `{}`, "termination.marked", "annotation"},
		{"AVAILABILITY_EVENT", `{}`, "problem.reported", "problem"},
		{"ERROR_EVENT", `{}`, "problem.reported", "problem"},
		{"PERFORMANCE_EVENT", `{}`, "problem.reported", "problem"},
		{"RESOURCE_CONTENTION_EVENT", `{}`, "problem.reported", "problem"},
		{"CUSTOM_ALERT", `{}`, "problem.reported", "problem"},
	}
	a := newAPI(t)
	for _, tt := range tests {
		got := a.accepted(http.StatusCreated, ingest, fmt.Sprintf(`{"eventType":%q,"title":"t","properties":%s}`, tt.eventType, tt.properties))
		if got[0].Type != tt.wantType || string(got[0].Kind) != tt.wantKind {
			t.Errorf("%s %s: %s %s", tt.eventType, tt.properties, got[0].Type, got[0].Kind)
		}
	}
}

func TestDynatraceAnswers(t *testing.T) {
	a := newAPI(t)
	w := a.post(ingest, `{"eventType":"CUSTOM_INFO","title":"t"}`)
	want := `{"reportCount":1,"eventIngestResults":[{"correlationId":"` + a.store.list[0].ID + `","status":"OK"}]}`
	if w.Code != http.StatusCreated || strings.TrimSpace(w.Body.String()) != want {
		t.Errorf("%d %s, want %s", w.Code, w.Body, want)
	}
	many := map[string]string{}
	for i := range 101 {
		many[fmt.Sprint("k", i)] = "v"
	}
	tooMany, err := json.Marshal(many)
	if err != nil {
		t.Fatal(err)
	}
	for body, path := range map[string]string{
		`{"title":"t"}`:                                                                                                 "eventType",
		`{"eventType":"CUSTOM_INFO"}`:                                                                                   "title",
		`{"eventType":"X","title":"t"}`:                                                                                 "eventType",
		`{"eventType":"CUSTOM_INFO","title":"t","timeout":361}`:                                                         "timeout",
		`{"eventType":"CUSTOM_INFO","title":"t","timeout":0}`:                                                           "timeout",
		`{"eventType":"CUSTOM_INFO","title":"t","startTime":2000,"endTime":1000}`:                                       "endTime",
		`{"eventType":"CUSTOM_INFO","title":"t","properties":` + string(tooMany) + `}`:                                  "properties",
		`{"eventType":"CUSTOM_INFO","title":"t","properties":{"k":"` + strings.Repeat("v", 4097) + `"}}`:                "properties.k",
		`{"eventType":"CUSTOM_INFO","title":"t","properties":{"` + strings.Repeat("k", 101) + `":"v"}}`:                 "properties",
		`{"eventType":"CUSTOM_INFO","title":"` + strings.Repeat("t", 501) + `"}`:                                        "title",
		`{"eventType":"CUSTOM_INFO","title":7}`:                                                                         "title",
		`{"eventType":"CUSTOM_INFO","title":"t","entitySelector":"` + strings.Repeat("service=a,", 300) + `service=a"}`: "entitySelector",
	} {
		w := a.post(ingest, body)
		var problem struct {
			Error struct {
				Code       int
				Violations []struct{ Path, Message string } `json:"constraintViolations"`
			}
		}
		if err := json.Unmarshal(w.Body.Bytes(), &problem); err != nil || w.Code != http.StatusBadRequest || problem.Error.Code != http.StatusBadRequest {
			t.Errorf("%.80s: %d %s", body, w.Code, w.Body)
			continue
		}
		if v := problem.Error.Violations; len(v) != 1 || v[0].Path != path || v[0].Message == "" {
			t.Errorf("%.80s: %+v, want %s", body, v, path)
		}
	}
	for body, says := range map[string]string{
		`{`: "not valid JSON",
		`{"eventType":"CUSTOM_INFO","title":"t","entitySelector":"type(SERVICE"}`: "position 13",
	} {
		if w := a.post(ingest, body); w.Code != http.StatusBadRequest || !strings.Contains(w.Body.String(), says) {
			t.Errorf("%s: %d %s", body, w.Code, w.Body)
		}
	}
	if len(a.store.list) != 1 {
		t.Errorf("%d events stored", len(a.store.list))
	}
}

func TestDynatraceV1(t *testing.T) {
	a := newAPI(t)
	got := a.accepted(http.StatusOK, "/api/v1/events", `{
		"eventType": "CUSTOM_DEPLOYMENT", "source": "AWS CodeDeploy", "start": 1772366400000,
		"attachRules": {
			"entityIds": ["SERVICE-1"],
			"tagRule": [{"meTypes": ["SERVICE", "PROCESS_GROUP_INSTANCE"], "tags": [{"context": "AWS", "key": "DeploymentGroup", "value": "Staging"}]}]
		},
		"deploymentName": "shop", "deploymentVersion": "2.1", "deploymentProject": "web", "ciBackLink": "https://ci.example/1",
		"remediationAction": "https://tower.example/undo", "customProperties": {"RevisionLocation": "s3://b", "n": 1}
	}`)
	if len(got) != 3 || got[0].Correlation == "" || got[0].Correlation != got[2].Correlation {
		t.Fatalf("%+v", got)
	}
	selectors := []string{`entityId("SERVICE-1")`, `type("SERVICE"),tag("DeploymentGroup:Staging")`, `type("PROCESS_GROUP_INSTANCE"),tag("DeploymentGroup:Staging")`}
	services := []string{"paymentservice", "checkout", ""}
	for i, e := range got {
		matched := ""
		if len(e.Entities) > 0 {
			matched = e.Entities[0].Service
		}
		if e.Selector != selectors[i] || matched != services[i] {
			t.Errorf("%s matched %q", e.Selector, matched)
		}
		if e.Type != "deployment.finished" || e.Title != "shop 2.1" || e.To != "2.1" || e.Source != "AWS CodeDeploy" || e.Undo.URL != "https://tower.example/undo" || e.Properties["n"] != "1" {
			t.Errorf("%+v", e)
		}
	}
	got = a.accepted(http.StatusOK, "/api/v1/events", `{"eventType":"CUSTOM_CONFIGURATION","source":"ansible","description":"more replicas","configuration":"replicas",
		"original":"1","changed":"3","attachRules":{"entityIds":["SERVICE-1"]},"customProperties":{"remediationAction":"https://tower.example/undo"}}`)
	if e := got[0]; e.Type != "configuration.changed" || e.Key != "replicas" || e.From != "1" || e.To != "3" || e.Undo == nil {
		t.Errorf("%+v", e)
	}
}

func TestDynatraceV1Required(t *testing.T) {
	a := newAPI(t)
	for body, path := range map[string]string{
		`{}`:                          "eventType",
		`{"eventType":"CUSTOM_INFO"}`: "source",
		`{"eventType":"CUSTOM_INFO","source":"s"}`:                                    "description",
		`{"eventType":"CUSTOM_INFO","source":"s","description":"d"}`:                  "attachRules",
		`{"eventType":"CUSTOM_INFO","source":"s","description":"d","attachRules":{}}`: "attachRules",
		`{"eventType":"CUSTOM_DEPLOYMENT","source":"s"}`:                              "deploymentName",
		`{"eventType":"CUSTOM_DEPLOYMENT","source":"s","deploymentName":"n"}`:         "deploymentVersion",
		`{"eventType":"CUSTOM_CONFIGURATION","source":"s","description":"d"}`:         "configuration",
		`{"eventType":"CUSTOM_ANNOTATION","source":"s"}`:                              "annotationType",
		`{"eventType":"NONSENSE","source":"s","attachRules":{"entityIds":["a"]}}`:     "eventType",
	} {
		w := a.post("/api/v1/events", body)
		if w.Code != http.StatusBadRequest || !strings.Contains(w.Body.String(), `"path":"`+path+`"`) {
			t.Errorf("%s: %d %s", body, w.Code, w.Body)
		}
	}
}
