package e2e

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"
)

const checkoutManifests = `
apiVersion: tidegate.dev/v1
kind: Guardian
metadata: {name: checkout}
spec:
  target: {service: checkout, environment: dev}
  settle: 2s
  objectives:
    - name: latency
      indicator: {latency: {quantile: 0.95}}
      fail: "> 200ms"
    - name: errors
      indicator: {errorRate: {}}
      fail: "> 5%"
---
apiVersion: tidegate.dev/v1
kind: FlagSet
metadata: {name: shop}
spec:
  target: {service: payment, environment: dev}
  flags:
    paymentServiceFailure:
      state: ENABLED
      variants: {"on": true, "off": false}
      defaultVariant: "off"
---
apiVersion: tidegate.dev/v1
kind: Workflow
metadata: {name: judge-every-load-test}
spec:
  on: {event: test.finished, if: 'event.service == "checkout"'}
  steps:
    - name: verdict
      validate: {guardian: checkout, window: {last: '${event.duration}'}}
    - name: undo
      if: steps.verdict.status == "fail" && event.purpose == "acceptance"
      undo: {change: '${steps.verdict.cause.change}'}
`

type validation struct {
	ID, State, Status, Headline, Trigger string
	Number                               int
	Evidence                             struct {
		Failures []struct {
			Service, Operation, ExceptionType, Message string
			Share                                      float64
			StackTop                                   struct{ Function string }
		}
		Changes []struct {
			Event struct {
				ID, Who, Title, Key string
			}
			SecondsBefore float64 `json:"secondsBeforeFirstFailure"`
			Likely        bool
		}
	}
}

type workflowRun struct {
	ID, State string
	Steps     []struct {
		Name, State, Error string
	}
}

// TestExitCodes: 0 pass, 1 fail, 2 inconclusive, 3 error.
func TestExitCodes(t *testing.T) {
	s := start(t, t.TempDir())
	s.apply(checkoutManifests)
	if out, code := s.cli("validate", "checkout", "--last", "10s"); code != 2 {
		t.Errorf("without data: exit %d, want 2\n%s", code, out)
	}
	s.traffic(200, 8*time.Second, 0)
	if out, code := s.cli("validate", "checkout", "--last", "10s"); code != 0 {
		t.Errorf("healthy: exit %d, want 0\n%s", code, out)
	}
	s.traffic(200, 2*time.Second, 2)
	out, code := s.cli("validate", "checkout", "--last", "10s")
	if code != 1 {
		t.Errorf("half of the requests fail: exit %d, want 1\n%s", code, out)
	}
	for _, want := range []string{"payment", "PaymentService/Charge", "CardDeclined", "charge.go:42"} {
		if !strings.Contains(out, want) {
			t.Errorf("the verdict does not name %q:\n%s", want, out)
		}
	}
	if out, code := s.cli("validate", "nobody", "--last", "10s"); code != 3 {
		t.Errorf("unknown guardian: exit %d, want 3\n%s", code, out)
	}
}

// TestDynatraceScripts: a script that posts the two payloads which flag
// scripts and k6's teardown send triggers a validation that blames the flag.
func TestDynatraceScripts(t *testing.T) {
	s := start(t, t.TempDir())
	s.apply(checkoutManifests)
	s.traffic(50, time.Second, 0) // the services are known before their events come

	ingest := func(body string) {
		t.Helper()
		status, answer, err := s.call(http.MethodPost, "/api/v2/events/ingest", "application/json", []byte(body), nil, "Authorization", "Api-Token dt0c01.abc")
		if err != nil || status != http.StatusCreated || !strings.Contains(string(answer), `"reportCount":1`) {
			t.Fatalf("ingest: %d %s %v", status, answer, err)
		}
	}
	ingest(`{"eventType":"CUSTOM_INFO","title":"featureflag change","timeout":1,
		"entitySelector":"type(SERVICE),entityName.equals(payment)",
		"properties":{"type":"configuration_change","feature_flag.key":"paymentServiceFailure","defaultValue":"on"}}`)
	time.Sleep(2 * time.Second) // failures begin after the change, as they do
	s.traffic(200, time.Second, 2)
	ingest(`{"eventType":"CUSTOM_INFO","title":"k6 load test finished",
		"entitySelector":"type(SERVICE),entityName.equals(checkout)",
		"properties":{"tool":"k6","action":"test","state":"finished","purpose":"acceptance","duration":"10s"}}`)

	var v validation
	eventually(t, 30*time.Second, "the validation", func() error {
		list := get[struct{ Validations []validation }](s, "/v1/guardians/checkout/validations").Validations
		if len(list) != 1 || list[0].State != "finished" {
			return fmt.Errorf("%+v", list)
		}
		v = get[validation](s, "/v1/validations/"+list[0].ID)
		return nil
	})
	if v.Status != "fail" {
		t.Fatalf("status %s: %s", v.Status, v.Headline)
	}
	f := v.Evidence.Failures
	if len(f) != 1 || f[0].Service != "payment" || f[0].Operation != "PaymentService/Charge" || f[0].ExceptionType != "CardDeclined" || f[0].Share != 1 {
		t.Errorf("failures: %+v", f)
	}
	c := v.Evidence.Changes
	if len(c) == 0 || !c[0].Likely || c[0].Event.Key != "paymentServiceFailure" || c[0].SecondsBefore < 0 || c[0].SecondsBefore > 30 {
		t.Errorf("changes: %+v", c)
	}
	out, _ := s.cli("workflow", "runs", "-o", "json")
	if !strings.Contains(out, "judge-every-load-test") {
		t.Errorf("workflow runs: %s", out)
	}
}

// TestUndo: the flag that a person turned on goes back by itself, once.
func TestUndo(t *testing.T) {
	s := start(t, t.TempDir())
	s.apply(checkoutManifests)
	s.traffic(50, time.Second, 0)
	if out, code := s.cli("flag", "set", "paymentServiceFailure", "on", "--reason", "game day", "--on-failure", "off"); code != 0 {
		t.Fatalf("flag set: exit %d\n%s", code, out)
	}
	time.Sleep(2 * time.Second)
	s.traffic(200, time.Second, 2)
	if out, code := s.cli("event", "send", "test.finished", "--title", "load test", "--service", "checkout", "--environment", "dev",
		"--property", "duration=10s", "--property", "purpose=acceptance"); code != 0 {
		t.Fatalf("event send: exit %d\n%s", code, out)
	}
	eventually(t, 40*time.Second, "the flag to go back", func() error {
		if f := get[struct{ DefaultVariant string }](s, "/v1/flags/shop/paymentServiceFailure"); f.DefaultVariant != "off" {
			return fmt.Errorf("it is %q; runs: %+v", f.DefaultVariant, get[struct{ Runs []workflowRun }](s, "/v1/workflow-runs").Runs)
		}
		return nil
	})
	undone := 0
	for _, e := range get[struct {
		Events []struct{ UndoOf, Who string }
	}](s, "/v1/events?kind=flag").Events {
		if e.UndoOf != "" {
			undone++
		}
	}
	if undone != 1 {
		t.Errorf("%d undos recorded, want 1", undone)
	}
	// The history survives a restart.
	dir := s.cmd.Args[3]
	s.stop()
	s = start(t, dir)
	if f := get[struct{ DefaultVariant string }](s, "/v1/flags/shop/paymentServiceFailure"); f.DefaultVariant != "off" {
		t.Errorf("after a restart the flag is %q", f.DefaultVariant)
	}
	if out, code := s.cli("guardian", "history", "checkout"); code != 0 || !strings.Contains(out, "fail") {
		t.Errorf("after a restart: exit %d\n%s", code, out)
	}
}
