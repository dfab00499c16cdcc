package e2e

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strconv"
	"sync"
	"testing"
	"time"
)

const crashManifests = `
apiVersion: tidegate.dev/v1
kind: Guardian
metadata: {name: checkout}
spec:
  target: {service: checkout, environment: dev}
  settle: 1s
  objectives:
    - name: errors
      indicator: {errorRate: {}}
      fail: "> 5%"
---
apiVersion: tidegate.dev/v1
kind: FlagSet
metadata: {name: shop}
spec:
  target: {service: payment}
  flags:
    crash:
      state: ENABLED
      variants: {"a": "a", "b": "b"}
      defaultVariant: a
`

// acked is everything the server has said yes to.
type acked struct {
	mu          sync.Mutex
	traces      []string
	logs        []string
	events      []string
	flagEvents  []string
	validations []string
	spansSent   int // acknowledged or not
	variant     string
}

func (a *acked) add(f func()) {
	a.mu.Lock()
	defer a.mu.Unlock()
	f()
}

// TestKillLosesNothing kills the server under load, several times over the
// same data, and expects to find everything it had acknowledged.
func TestKillLosesNothing(t *testing.T) {
	dir := t.TempDir()
	var a acked
	s := start(t, dir)
	s.apply(crashManifests)
	for round := range 3 {
		load(s, &a, round)
		s = start(t, dir)
		check(t, s, &a)
	}
	if len(a.traces) < 100 || len(a.events) < 10 || len(a.flagEvents) < 3 || len(a.validations) < 3 || len(a.logs) < 10 {
		t.Errorf("too little was acknowledged to mean anything: %d traces, %d logs, %d events, %d flag changes, %d validations",
			len(a.traces), len(a.logs), len(a.events), len(a.flagEvents), len(a.validations))
	}
	t.Logf("survived 3 kills: %d traces, %d logs, %d events, %d flag changes, %d validations",
		len(a.traces), len(a.logs), len(a.events), len(a.flagEvents), len(a.validations))
}

// load sends all kinds of things until the server is killed under it.
func load(s *server, a *acked, round int) {
	stop := make(chan struct{})
	var wg sync.WaitGroup
	worker := func(step func(i int)) {
		wg.Go(func() {
			for i := 0; ; i++ {
				select {
				case <-stop:
					return
				case <-time.After(5 * time.Millisecond): // a pace: everything is looked up again afterwards
					step(i)
				}
			}
		})
	}
	for range 2 {
		worker(func(int) {
			now := time.Now()
			var batch []request
			for range 5 {
				batch = append(batch, request{service: "checkout", took: 10 * time.Millisecond, end: now})
			}
			raw, ids := traces(batch...)
			a.add(func() { a.spansSent += len(ids) })
			if s.export("traces", raw) {
				a.add(func() { a.traces = append(a.traces, ids...) })
			}
		})
	}
	worker(func(i int) {
		line := fmt.Sprintf("crashline-%d-%d-", round, i)
		if s.export("logs", logs(line)) {
			a.add(func() { a.logs = append(a.logs, line) })
		}
	})
	worker(func(i int) {
		id := fmt.Sprintf("crash-%d-%d", round, i)
		in := fmt.Sprintf(`{"id":%q,"type":"configuration.changed","title":"change %d","service":"checkout"}`, id, i)
		if status, _, err := s.call(http.MethodPost, "/v1/events", "application/json", []byte(in), nil); err == nil && status == http.StatusCreated {
			a.add(func() { a.events = append(a.events, id) })
		}
	})
	worker(func(i int) {
		variant := []string{"b", "a"}[i%2]
		var out struct {
			Event *struct{ ID string }
		}
		in := fmt.Sprintf(`{"variant":%q,"who":"tester","reason":"crash test"}`, variant)
		if status, _, err := s.call(http.MethodPost, "/v1/flags/shop/crash", "application/json", []byte(in), &out); err == nil && status == http.StatusOK && out.Event != nil {
			a.add(func() { a.flagEvents, a.variant = append(a.flagEvents, out.Event.ID), variant })
		}
	})
	worker(func(i int) {
		var out struct{ ID string }
		if status, _, err := s.call(http.MethodPost, "/v1/guardians/checkout/validations", "application/json", []byte(`{"last":"4s"}`), &out); err == nil && status == http.StatusCreated {
			a.add(func() { a.validations = append(a.validations, out.ID) })
		}
		time.Sleep(100 * time.Millisecond) // a slower pace: validations cost the server more than the rest
	})
	time.Sleep(time.Second + rand.N(2*time.Second)) // the moment of the kill is meant to be any
	s.kill()
	close(stop)
	wg.Wait()
}

func check(t *testing.T, s *server, a *acked) {
	t.Helper()
	missing := func(what string, ids []string, path func(string) string) {
		t.Helper()
		lost := 0
		for _, id := range ids {
			if status, answer, err := s.call(http.MethodGet, path(id), "", nil, nil); err != nil || status != http.StatusOK {
				if lost++; lost <= 3 {
					t.Errorf("%s %s was acknowledged and is lost: %d %s %v", what, id, status, answer, err)
				}
			}
		}
		if lost > 3 {
			t.Errorf("%d of %d %ss are lost", lost, len(ids), what)
		}
	}
	missing("trace", a.traces, func(id string) string { return "/v1/traces/" + id })
	missing("event", a.events, func(id string) string { return "/v1/events/" + id })
	missing("flag change", a.flagEvents, func(id string) string { return "/v1/events/" + id })
	checkLogs(t, s, a)
	checkFlag(t, s, a)
	checkCounts(t, s, a)
	for _, id := range a.validations { // every one ends, with a verdict
		v := get[struct{ State, Status string }](s, "/v1/validations/"+id+"?wait=true")
		if v.State != "finished" || v.Status == "" {
			t.Errorf("validation %s: %+v", id, v)
		}
	}
}

func checkLogs(t *testing.T, s *server, a *acked) {
	t.Helper()
	for _, line := range a.logs {
		got := get[struct{ Logs []struct{ Body string } }](s, "/v1/logs?limit=1&q="+line)
		if len(got.Logs) == 0 {
			t.Errorf("log line %q was acknowledged and is lost", line)
			return
		}
	}
}

// checkFlag: every acknowledged change is in the audit, and the last of them
// is in force, unless a later one came through unacknowledged.
func checkFlag(t *testing.T, s *server, a *acked) {
	t.Helper()
	audit := get[struct {
		Audit []struct{ EventID, To, What string }
	}](s, "/v1/flag-audit?set=shop&key=crash&limit=1000").Audit
	have := map[string]bool{}
	for _, l := range audit {
		have[l.EventID] = true
	}
	for i := max(0, len(a.flagEvents)-900); i < len(a.flagEvents); i++ {
		if !have[a.flagEvents[i]] {
			t.Errorf("flag change %s was acknowledged and is not in the audit", a.flagEvents[i])
		}
	}
	f := get[struct{ DefaultVariant string }](s, "/v1/flags/shop/crash")
	if len(audit) == 0 || f.DefaultVariant != audit[0].To {
		t.Errorf("in force is %q, the audit's newest says %+v", f.DefaultVariant, audit[:min(1, len(audit))])
	}
	if n := len(a.flagEvents); n > 0 && audit[0].EventID == a.flagEvents[n-1] && f.DefaultVariant != a.variant {
		t.Errorf("in force is %q, acknowledged was %q", f.DefaultVariant, a.variant)
	}
}

// checkCounts: every acknowledged request is counted in the span metrics, and
// none twice.
func checkCounts(t *testing.T, s *server, a *acked) {
	t.Helper()
	var n float64
	query := `/api/v1/query?query=sum(traces_span_metrics_calls_total%7Bservice_name%3D%22checkout%22%2Cspan_kind%3D%22SPAN_KIND_SERVER%22%7D)`
	eventually(t, 20*time.Second, "the span metrics to count every acknowledged request", func() error {
		answer := get[struct {
			Data struct {
				Result []struct{ Value []json.RawMessage }
			}
		}](s, query)
		if len(answer.Data.Result) != 1 {
			return fmt.Errorf("%d series", len(answer.Data.Result))
		}
		var text string
		if err := json.Unmarshal(answer.Data.Result[0].Value[1], &text); err != nil {
			return err
		}
		var err error
		if n, err = strconv.ParseFloat(text, 64); err != nil {
			return err
		}
		if n < float64(len(a.traces)) {
			return fmt.Errorf("%.0f counted, %d acknowledged", n, len(a.traces))
		}
		return nil
	})
	if n > float64(a.spansSent) {
		t.Errorf("%.0f requests counted, only %d were sent: some were counted twice", n, a.spansSent)
	}
}
