package e2e

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tidegate-io/tidegate/problem"
)

const problemManifests = `
apiVersion: tidegate.dev/v1
kind: NotificationChannel
metadata: {name: room}
spec: {webhook: {url: ROOM}}
---
apiVersion: tidegate.dev/v1
kind: AlertingProfile
metadata: {name: production}
spec:
  for: {environment: production, severity: error}
  delay: 3s
  channels: [room]
---
apiVersion: tidegate.dev/v1
kind: LogRule
metadata: {name: declined}
spec:
  match: {pattern: 'declined: \d+', severity: WARN}
  moreThan: 2
  within: 5s
  raise: {severity: error}
---
apiVersion: tidegate.dev/v1
kind: Workflow
metadata: {name: follow}
spec:
  on: {event: problem.alerted, if: 'event.profile == "production"'}
  steps:
    - name: tell
      notify: {channel: room, message: 'workflow: ${event.problemTitle}'}
`

// room is a channel's receiver; it sees each message once, by its id.
type room struct {
	mu   sync.Mutex
	seen map[string]bool
	said []string
}

func (r *room) ServeHTTP(_ http.ResponseWriter, req *http.Request) {
	body, _ := io.ReadAll(req.Body)
	var m struct {
		ID, Type string
		Data     struct{ Title, Message string }
	}
	_ = json.Unmarshal(body, &m) // what is not a CloudEvent shows as an empty line
	r.mu.Lock()
	defer r.mu.Unlock()
	if id := req.Header.Get("Idempotency-Key"); !r.seen[id] {
		r.seen[id] = true
		r.said = append(r.said, strings.TrimSpace(m.Type+" "+m.Data.Title+m.Data.Message))
	}
}

func (r *room) heard(line string) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !slices.Contains(r.said, line) {
		return fmt.Errorf("heard %q", r.said)
	}
	return nil
}

// TestProblems: what another monitor and a log say becomes problems; the server
// is killed while an alert waits, and all the same everybody is told once.
func TestProblems(t *testing.T) {
	listener := &room{seen: map[string]bool{}}
	web := httptest.NewServer(listener)
	t.Cleanup(web.Close)
	dir := t.TempDir()
	s := start(t, dir)
	s.apply(strings.ReplaceAll(problemManifests, "ROOM", web.URL))

	alert := func(status string) {
		t.Helper()
		body := fmt.Sprintf(`{"version":"4","alerts":[{"status":%q,"fingerprint":"f","startsAt":"2026-01-01T00:00:00Z",
			"labels":{"alertname":"CheckoutDown","severity":"critical","service":"checkout","env":"production"}}]}`, status)
		if code, raw, err := s.call(http.MethodPost, "/webhooks/alertmanager", "application/json", []byte(body), nil); err != nil || code != http.StatusOK {
			t.Fatalf("alert: %d %s %v", code, raw, err)
		}
	}
	alert("firing")
	s.kill() // before the delay of the profile is over
	s = start(t, dir)
	alert("firing") // Alertmanager repeats itself
	eventually(t, 30*time.Second, "the alert", func() error { return listener.heard("dev.tidegate.problem.alerted.v1 P-1 open: CheckoutDown") })
	eventually(t, 30*time.Second, "the workflow", func() error { return listener.heard("dev.tidegate.workflow.notification.v1 workflow: CheckoutDown") })
	alert("resolved")
	eventually(t, 30*time.Second, "that it is over", func() error { return listener.heard("dev.tidegate.problem.cleared.v1 P-1 over: CheckoutDown") })

	for i := range 3 {
		s.logged("payment", 13, fmt.Sprintf("declined: %d", i))
	}
	s.logged("cart", 13, "declined: 1")
	var p problem.Problem
	eventually(t, 30*time.Second, "the log rule", func() error {
		list := get[struct{ Problems []problem.Problem }](s, "/v1/problems?service=payment").Problems
		if len(list) != 1 {
			return fmt.Errorf("%d problems in payment", len(list))
		}
		p = list[0]
		return nil
	})
	if p.Title != "Log records of payment match declined" || p.Events[0].Observed != 3 || !strings.Contains(p.NotAlerted, "not in the environment production") {
		t.Errorf("%+v", p)
	}
	eventually(t, 30*time.Second, "the end of it", func() error {
		if got := get[problem.Problem](s, "/v1/problems/"+p.ID); got.State != problem.StateClosed {
			return fmt.Errorf("is %s", got.State)
		}
		return nil
	})
	listener.mu.Lock()
	defer listener.mu.Unlock()
	if len(listener.said) != 3 {
		t.Errorf("heard %q", listener.said)
	}
}

// logged sends a record of now.
func (s *server) logged(service string, severity int, text string) {
	s.t.Helper()
	body := fmt.Sprintf(`{"resourceLogs":[{"resource":{"attributes":[{"key":"service.name","value":{"stringValue":%q}}]},
		"scopeLogs":[{"logRecords":[{"timeUnixNano":"%d","severityNumber":%d,"body":{"stringValue":%q}}]}]}]}`, service, time.Now().UnixNano(), severity, text)
	if code, raw, err := send(http.MethodPost, "http://"+s.OTLPHTTP+"/v1/logs", "application/json", []byte(body), nil); err != nil || code != http.StatusOK {
		s.t.Fatalf("log: %d %s %v", code, raw, err)
	}
}
