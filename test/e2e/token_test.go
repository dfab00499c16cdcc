package e2e

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/tidegate-io/tidegate/delivery/traffic"
)

// TestTokens: with tokens nobody gets in without one, in any dialect, and
// everybody who has one does.
func TestTokens(t *testing.T) {
	file := filepath.Join(t.TempDir(), "tokens")
	if err := os.WriteFile(file, []byte("# ours\ns3cret-token-0123456789abcdefgh\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	s := start(t, t.TempDir(), "--tokens-file", file)
	const good, bad = "s3cret-token-0123456789abcdefgh", "wrong-token-0123456789abcdefghijk"
	dynatrace := `{"eventType":"CUSTOM_INFO","title":"x"}`
	pagerDuty := func(key string) string {
		return `{"routing_key":"` + key + `","payload":{"summary":"x"}}`
	}
	cloudEvent := `{"specversion":"1.0","id":"1","source":"/t","type":"dev.cdevents.service.deployed.0.2.0","data":{}}`
	for _, c := range []struct {
		name, method, path, contentType, body string
		header                                []string
		admitted                              bool
	}{
		{"native, none", "GET", "/v1/status", "", "", nil, false},
		{"native, wrong", "GET", "/v1/status", "", "", []string{"Authorization", "Bearer " + bad}, false},
		{"native", "GET", "/v1/status", "", "", []string{"Authorization", "Bearer " + good}, true},
		{"PromQL, none", "GET", "/api/v1/query?query=up", "", "", nil, false},
		{"Jaeger, none", "GET", "/api/services", "", "", nil, false},
		{"UI, none", "GET", "/", "", "", nil, false},
		{"Dynatrace, none", "POST", "/api/v2/events/ingest", "application/json", dynatrace, nil, false},
		{"Dynatrace, wrong", "POST", "/api/v2/events/ingest", "application/json", dynatrace, []string{"Authorization", "Api-Token " + bad}, false},
		{"Dynatrace", "POST", "/api/v2/events/ingest", "application/json", dynatrace, []string{"Authorization", "Api-Token " + good}, true},
		{"CloudEvents, none", "POST", "/api/cloudevents", "application/cloudevents+json", cloudEvent, nil, false},
		{"PagerDuty, wrong", "POST", "/v2/change/enqueue", "application/json", pagerDuty(bad), nil, false},
		{"PagerDuty", "POST", "/v2/change/enqueue", "application/json", pagerDuty(good), nil, true},
		{"GitHub without a secret is not there", "POST", "/webhooks/github", "application/json", "{}", nil, false},
		{"health", "GET", "/healthz", "", "", nil, true},
	} {
		status, answer, err := s.call(c.method, c.path, c.contentType, []byte(c.body), nil, c.header...)
		if err != nil {
			t.Fatal(err)
		}
		if admitted := status < http.StatusBadRequest; admitted != c.admitted {
			t.Errorf("%s: %d %s", c.name, status, answer)
		}
	}
}

// TestIngestTokens: telemetry is taken only from senders with a token, and the
// server's own proxy has one.
func TestIngestTokens(t *testing.T) {
	file := filepath.Join(t.TempDir(), "tokens")
	const good = "1ngest-token-0123456789abcdefgh"
	if err := os.WriteFile(file, []byte(good+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	s := start(t, t.TempDir(), "--ingest-tokens-file", file)
	for _, c := range []struct {
		header []string
		want   int
	}{
		{nil, http.StatusUnauthorized},
		{[]string{"Authorization", "Bearer wrong-token-0123456789abcdefgh"}, http.StatusUnauthorized},
		{[]string{"Authorization", "Bearer " + good}, http.StatusOK},
	} {
		status, answer, err := send(http.MethodPost, "http://"+s.OTLPHTTP+"/v1/traces", "application/json", []byte(`{"resourceSpans":[]}`), nil, c.header...)
		if err != nil || status != c.want {
			t.Errorf("%v: %d %s %v, want %d", c.header, status, answer, err, c.want)
		}
	}
	if status, answer, err := s.call(http.MethodGet, "/v1/status", "", nil, nil); err != nil || status != http.StatusOK {
		t.Errorf("the API needs none: %d %s %v", status, answer, err)
	}
	s.apply(`
apiVersion: tidegate.dev/v1
kind: Route
metadata: {name: own}
spec: {listen: "127.0.0.1:0", service: own-edge, sides: [{name: a, url: "http://` + s.API + `"}]}
`)
	var route traffic.Status
	if _, _, err := s.call(http.MethodGet, "/v1/routes/own", "", nil, &route); err != nil {
		t.Fatal(err)
	}
	res, err := http.Get("http://" + route.Address + "/healthz")
	if err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
	eventually(t, 20*time.Second, "the proxy's span to arrive", func() error {
		var list struct{ Traces []any }
		if status, raw, err := s.call(http.MethodGet, "/v1/traces?service=own-edge", "", nil, &list); err != nil || len(list.Traces) != 1 {
			return fmt.Errorf("%d %s %v", status, raw, err)
		}
		return nil
	})
}
