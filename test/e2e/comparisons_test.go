package e2e

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.opentelemetry.io/collector/pdata/ptrace/ptraceotlp"
)

const cartManifests = `
apiVersion: tidegate.dev/v1
kind: EntityRules
metadata: {name: shop}
spec:
  tags:
    - {key: DeploymentGroup, value: '{env.DEPLOYMENT_GROUP_NAME}'}
  names:
    - {for: type=service, name: '{Environment}/{Service}'}
---
apiVersion: tidegate.dev/v1
kind: Environment
metadata: {name: staging}
spec: {selector: 'tag("DeploymentGroup:Staging")'}
---
apiVersion: tidegate.dev/v1
kind: PerformanceSignature
metadata: {name: cart}
spec:
  service: cart
  comparisons:
    - {name: StagingToProduction, source: staging, compare: production, tolerance: 15%, tolerances: {requests: 90%}}
    - {name: StagingToMars, source: staging, compare: mars}
    - {name: MarsToProduction, source: mars, compare: production}
  metrics:
    - {responseTime: avg}
    - {responseTime: p90, operation: GET /cart}
    - {failureRate: avg}
    - {requests: count, validate: lower}
    - {calls: true}
`

const cartMonspec = `{
  "Cart": {
    "etype": "SERVICE", "_comment": "as it always was",
    "environments": {
      "Staging": {"tags": [{"context": "CONTEXTLESS", "key": "DeploymentGroup", "value": "Staging"}]},
      "Production": {"tags": [{"context": "Environment", "key": "DEPLOYMENT_GROUP_NAME", "value": "Production"}]}
    },
    "comparisons": [{"name": "FromFile", "source": "Staging", "compare": "Production", "scalefactorperc": {"default": 15}}],
    "perfsignature": [
      {"timeseries": "com.dynatrace.builtin:service.responsetime", "aggregate": "avg", "_upperlimit": 1},
      {"smartscape": "toRelationships:calls", "aggregate": "count"},
      {"smartscape": "fromRelationships:runsOn", "aggregate": "count", "validate": "lower"}
    ],
    "servicemethods": [{"name": "GET /cart", "perfsignature": [{"timeseries": "com.dynatrace.builtin:servicemethod.failurerate"}]}]
  }
}`

// cartTraffic is n requests to the cart of an environment, which ended lately,
// each with a call to a database.
func cartTraffic(environment, group string, n int, took time.Duration, failEvery int) []byte {
	td := ptrace.NewTraces()
	now := time.Now()
	for i := range n {
		id, end := newTraceID(), now.Add(-4*time.Second*time.Duration(i)/time.Duration(n))
		root := addSpan(td, "cart", "GET /cart", ptrace.SpanKindServer, id, pcommon.SpanID{}, end.Add(-took), end)
		call := addSpan(td, "cart", "SELECT", ptrace.SpanKindClient, id, root.SpanID(), end.Add(-took/2), end)
		addSpan(td, "database", "SELECT", ptrace.SpanKindServer, id, call.SpanID(), end.Add(-took/2), end)
		if failEvery > 0 && i%failEvery == 0 {
			root.Status().SetCode(ptrace.StatusCodeError)
		}
	}
	for i := range td.ResourceSpans().Len() {
		a := td.ResourceSpans().At(i).Resource().Attributes()
		a.PutStr("deployment.environment.name", environment)
		a.PutStr("process.environment_variable.DEPLOYMENT_GROUP_NAME", group)
		a.PutStr("service.instance.id", environment+"-1")
	}
	raw, err := ptraceotlp.NewExportRequestFromTraces(td).MarshalProto()
	if err != nil {
		panic(err)
	}
	return raw
}

type comparison struct {
	ID, Status, Summary string
	Results             []struct {
		Name, Status, Why string
		Source, Compare   *float64
		SourceRead        struct{ Queries []string }
	}
}

// compared runs pipeline validate and returns what came out.
func (s *server) compared(code int, args ...string) comparison {
	s.t.Helper()
	out, got := s.cli(append([]string{"pipeline", "validate", "-o", "json"}, args...)...)
	var v comparison
	if err := json.Unmarshal([]byte(out), &v); err != nil || got != code {
		s.t.Fatalf("pipeline validate %s: exit %d, want %d: %s", strings.Join(args, " "), got, code, out)
	}
	return v
}

// A comparison of environments from telemetry to exit code, over a restart.
func TestComparisons(t *testing.T) {
	dir := t.TempDir()
	s := start(t, dir)
	s.apply(cartManifests)

	// The deployment is reported before its service is there: it waits.
	status, raw, err := s.call("POST", "/api/v1/events", "application/json", []byte(`{"eventType":"CUSTOM_DEPLOYMENT","source":"ci","deploymentName":"cart","deploymentVersion":"2",
		"attachRules":{"tagRule":[{"meTypes":["SERVICE"],"tags":[{"context":"CONTEXTLESS","key":"DeploymentGroup","value":"Staging"}]}]}}`), nil)
	if err != nil || status != 200 {
		t.Fatalf("a deployment before its service: %d %s, %v", status, raw, err)
	}
	var stored struct{ StoredIds []string }
	if err := json.Unmarshal(raw, &stored); err != nil || len(stored.StoredIds) != 1 {
		t.Fatalf("%s: %v", raw, err)
	}
	type placed struct {
		Placement *struct{ State, Reason string }
		Entities  []struct{ Service, Environment string }
	}
	event := func() placed { return get[placed](s, "/v1/events/"+stored.StoredIds[0]) }
	if e := event(); e.Placement == nil || e.Placement.State != "waiting" || !strings.Contains(e.Placement.Reason, "No entity matches") {
		t.Fatalf("not waiting: %+v", e)
	}

	send := func(staging time.Duration, failEvery int) {
		t.Helper()
		if !s.export("traces", cartTraffic("production", "Production", 300, 50*time.Millisecond, 0)) ||
			!s.export("traces", cartTraffic("staging", "Staging", 200, staging, failEvery)) {
			t.Fatal("spans were not accepted")
		}
	}
	send(50*time.Millisecond, 0)
	eventually(t, 10*time.Second, "the deployment is placed", func() error {
		if e := event(); e.Placement.State != "placed" || len(e.Entities) == 0 || e.Entities[0].Environment != "staging" {
			return fmt.Errorf("%+v", e)
		}
		return nil
	})
	if out, code := s.cli("rules", "preview"); code != 0 || !strings.Contains(out, "tag DeploymentGroup:Staging") || !strings.Contains(out, "name production/cart") {
		t.Errorf("rules preview: %s", out)
	}
	if out, code := s.cli("entities", `tag("DeploymentGroup:Production"),type(SERVICE)`); code != 0 || !strings.Contains(out, "production/cart") || strings.Contains(out, "staging") {
		t.Errorf("entities: %s", out)
	}

	good := s.compared(0, "--comparison", "StagingToProduction", "--last", "10s", "--pipeline", "shop", "--build", "1")
	if len(good.Results) != 5 || good.Status != "ok" {
		t.Fatalf("%+v", good)
	}
	for _, r := range good.Results {
		if r.Source == nil || r.Compare == nil || len(r.SourceRead.Queries) == 0 {
			t.Errorf("%s: %v against %v by %q", r.Name, r.Source, r.Compare, r.SourceRead.Queries)
		}
	}
	if n := *good.Results[3].Source; n != 200 {
		t.Errorf("%v requests, 200 were sent", n)
	}
	if n := *good.Results[4].Source; n != 1 {
		t.Errorf("calls %v services, want 1", n)
	}
	if none := s.compared(2, "--comparison", "MarsToProduction", "--last", "10s"); !strings.Contains(none.Summary, `no entity is in environment "mars"`) {
		t.Errorf("an environment without entities: %s", none.Summary)
	}
	if alone := s.compared(0, "--comparison", "StagingToMars", "--last", "20s"); !strings.Contains(alone.Summary, "5 with a warning") {
		t.Errorf("nothing to compare with: %s", alone.Summary)
	}
	if _, out, code := run(t, s.env(), binary, "pipeline", "validate", "--comparison", "StagingToProd", "--last", "10s"); code != 3 || !strings.Contains(out, "there is MarsToProduction, StagingToMars, StagingToProduction") {
		t.Errorf("an unknown comparison: %d %s", code, out)
	}

	send(200*time.Millisecond, 2)
	bad := s.compared(1, "--comparison", "StagingToProduction", "--last", "5s", "--pipeline", "shop", "--build", "2")
	if bad.Status != "violation" || !strings.Contains(bad.Summary, "metrics violate StagingToProduction") {
		t.Errorf("%s: %s", bad.Status, bad.Summary)
	}

	// A registered one outlives its server.
	out, code := s.cli("pipeline", "validate", "--wait=false", "--comparison", "StagingToProduction", "--in", "2s", "--pipeline", "shop", "--build", "3", "-o", "json")
	var waiting comparison
	if err := json.Unmarshal([]byte(out), &waiting); err != nil || code != 0 || waiting.Status != "waiting" {
		t.Fatalf("%d %s", code, out)
	}
	s.kill()
	s = start(t, dir)
	if v := get[comparison](s, "/v1/comparison-validations/"+waiting.ID+"?wait=true"); v.Status == "waiting" || v.Status == "running" || v.Status == "" {
		t.Errorf("after a restart: %+v", v)
	}

	file := filepath.Join(t.TempDir(), "monspec.json")
	if err := os.WriteFile(file, []byte(cartMonspec), 0o600); err != nil {
		t.Fatal(err)
	}
	send(50*time.Millisecond, 0)
	out, _ = s.cli("pipeline", "validate", "-o", "json", "--monspec", file, "--comparison", "FromFile", "--last", "5s")
	var fromFile comparison
	if err := json.Unmarshal([]byte(out), &fromFile); err != nil {
		t.Fatal(err)
	}
	// Instances may not have been counted yet after the restart.
	if len(fromFile.Results) != 4 || fromFile.Results[0].Status != "ok" || fromFile.Results[3].Status != "ok" {
		t.Errorf("monspec: %+v", fromFile)
	}
	report, code := s.cli("pipeline", "report", "--pipeline", "shop", "--comparison", "StagingToProduction", "--format", "csv")
	if lines := strings.Split(strings.TrimSpace(report), "\n"); code != 0 || len(lines) < 11 || !strings.Contains(report, "shop,StagingToProduction,2,") || !strings.Contains(report, "violation") {
		t.Errorf("report: %d %s", code, report)
	}
	if html, code := s.cli("pipeline", "report", "--pipeline", "shop", "--comparison", "StagingToProduction"); code != 0 || !strings.Contains(html, "✕ violation") || strings.Contains(html, "<script") {
		t.Errorf("report: %d %.300s", code, html)
	}
}
