package e2e

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tidegate-io/tidegate/delivery/rollout"
	"github.com/tidegate-io/tidegate/delivery/traffic"
)

const rolloutManifests = `
apiVersion: tidegate.dev/v1
kind: Route
metadata: {name: shop}
spec:
  listen: 127.0.0.1:0
  service: shop-edge
  environment: production
  force: {header: X-Side}
  sides: [{name: blue, version: "1", url: "BLUE"}]
---
apiVersion: tidegate.dev/v1
kind: Rollout
metadata: {name: shop}
spec:
  route: shop
  guardian: errors
  steps:
    - {weight: 30%, approve: true}
    - {weight: 100%, for: 4s}
  keep: 1h
---
apiVersion: tidegate.dev/v1
kind: Guardian
metadata: {name: errors}
spec:
  variables: {candidate: ""}
  target: {service: shop-edge, environment: production, version: "${candidate}"}
  settle: 5s
  objectives:
    - {name: errors, indicator: {errorRate: {}}, fail: "> 5%"}
`

// TestRollout: a version gets its users by command line and API; the server is
// killed in the middle and goes on with the same split; the guardian then finds
// that the version fails, and all traffic goes back.
func TestRollout(t *testing.T) {
	var fails atomic.Bool
	side := func(name string) *httptest.Server {
		srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			if name == "green" && fails.Load() {
				w.WriteHeader(http.StatusInternalServerError)
			}
			fmt.Fprint(w, name)
		}))
		t.Cleanup(srv.Close)
		return srv
	}
	blue, green := side("blue"), side("green")
	dir := t.TempDir()
	s := start(t, dir)
	s.apply(strings.ReplaceAll(rolloutManifests, "BLUE", blue.URL))

	if out, code := s.cli("rollout", "start", "shop", "--side", "green", "--version", "2", "--url", green.URL, "--wait=false"); code != 0 {
		t.Fatalf("exit %d\n%s", code, out)
	}
	current := func() rollout.Run {
		t.Helper()
		var list struct{ Runs []rollout.Run }
		if status, raw, err := s.call(http.MethodGet, "/v1/rollout-runs?rollout=shop", "", nil, &list); err != nil || status != 200 || len(list.Runs) != 1 {
			t.Fatalf("%d %s %v", status, raw, err)
		}
		return list.Runs[0]
	}
	waits := func() {
		t.Helper()
		eventually(t, 20*time.Second, "the first step to wait for a person", func() error {
			if r := current(); r.Phase != rollout.PhasePause || r.State != rollout.StateRunning {
				return fmt.Errorf("%s, %s: %s", r.State, r.Phase, r.Why)
			}
			return nil
		})
	}
	// shares asks the route 200 times.
	shares := func() map[string]int {
		t.Helper()
		var status traffic.Status
		if code, raw, err := s.call(http.MethodGet, "/v1/routes/shop", "", nil, &status); err != nil || code != 200 {
			t.Fatalf("%d %s %v", code, raw, err)
		}
		got := map[string]int{}
		for range 200 {
			res, err := http.Get("http://" + status.Address)
			if err != nil {
				t.Fatal(err)
			}
			body := make([]byte, 10)
			n, _ := res.Body.Read(body)
			res.Body.Close()
			got[string(body[:n])]++
		}
		return got
	}
	waits()
	if got := shares(); got["green"] < 25 || got["green"] > 95 || got["blue"]+got["green"] != 200 { // 30 % of 200, more than five standard errors
		t.Errorf("at 30 %%: %v", got)
	}
	s.kill()
	s = start(t, dir)
	waits()
	if got := shares(); got["green"] < 25 || got["blue"] == 0 {
		t.Errorf("after the kill: %v", got)
	}

	fails.Store(true)
	r := current()
	if out, code := s.cli("rollout", "promote", r.ID, "--reason", "looks fine"); code != 0 {
		t.Fatalf("exit %d\n%s", code, out)
	}
	eventually(t, 10*time.Second, "all traffic at green", func() error {
		if got := shares(); got["blue"] > 0 {
			return fmt.Errorf("%v", got)
		}
		return nil
	})
	eventually(t, 60*time.Second, "the rollout to be taken back", func() error {
		shares() // customers go on
		if r := current(); r.State != rollout.StateAborted || r.DecidedBy != "guardian errors" {
			return fmt.Errorf("%s by %q: %s", r.State, r.DecidedBy, r.Why)
		}
		return nil
	})
	if got := shares(); got["green"] > 0 {
		t.Errorf("after it was taken back: %v", got)
	}
	if _, errs, code := run(t, s.env(), binary, "rollout", "abort", r.ID, "--reason", "again"); code != 3 || !strings.Contains(errs, "nothing to decide") {
		t.Errorf("abort of what is over: exit %d\n%s", code, errs)
	}
}
