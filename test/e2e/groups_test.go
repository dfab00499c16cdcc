package e2e

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/tidegate-io/tidegate/internal/httpapi"
)

// TestGroups: failed spans and log lines are counted by what they have in
// common, by API and command line.
func TestGroups(t *testing.T) {
	s := start(t, t.TempDir())
	now := time.Now()
	for i := range 7 {
		status := 2
		if i < 2 {
			status = 1
		}
		body := fmt.Sprintf(`{"resourceSpans":[{"resource":{"attributes":[{"key":"service.name","value":{"stringValue":"payment"}}]},"scopeSpans":[{"spans":[
			{"traceId":"%032x","spanId":"%016x","name":"Charge","kind":2,"startTimeUnixNano":"%d","endTimeUnixNano":"%d","status":{"code":%d},
			"events":[{"name":"exception","timeUnixNano":"%d","attributes":[{"key":"exception.type","value":{"stringValue":"card.Refused"}}]}]}]}]}]}`,
			i+1, i+1, now.UnixNano(), now.Add(time.Millisecond).UnixNano(), status, now.UnixNano())
		if code, raw, err := send(http.MethodPost, "http://"+s.OTLPHTTP+"/v1/traces", "application/json", []byte(body), nil); err != nil || code != 200 {
			t.Fatalf("%d %s %v", code, raw, err)
		}
		s.logged("payment", 17, fmt.Sprintf("card %d refused", 1000+i))
	}
	out, code := s.cli("trace", "failures", "--service", "payment", "-o", "json")
	var groups []struct {
		Service, Operation, ExceptionType string
		Count                             int
	}
	if err := json.Unmarshal([]byte(out), &groups); err != nil || code != 0 || len(groups) != 1 || groups[0].Count != 5 || groups[0].ExceptionType != "card.Refused" || groups[0].Operation != "Charge" {
		t.Errorf("exit %d, %v: %s", code, err, out)
	}
	if out, code := s.cli("trace", "failures", "--service", "nobody"); code != 0 || !strings.Contains(out, "nothing failed") {
		t.Errorf("exit %d: %s", code, out)
	}
	var templates httpapi.TemplateList
	eventually(t, 10*time.Second, "the lines to be counted", func() error {
		status, raw, err := s.call(http.MethodGet, "/v1/log-templates?service=payment&severity=error", "", nil, &templates)
		if err != nil || status != 200 || len(templates.Templates) != 1 || templates.Templates[0].Count != 7 || !strings.Contains(templates.Templates[0].Template, "refused") {
			return fmt.Errorf("%d %s %v", status, raw, err)
		}
		return nil
	})
	if out, code := s.cli("logs", "templates"); code != 0 || !strings.Contains(out, "refused") {
		t.Errorf("exit %d: %s", code, out)
	}
}
