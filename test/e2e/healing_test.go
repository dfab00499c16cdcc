package e2e

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/tidegate-io/tidegate/healing"
)

// The attempt is only made by hand: its condition never holds. The command takes
// its time, so that the server can be killed while it runs.
const healingManifest = `
apiVersion: tidegate.dev/v1
kind: Remediation
metadata: {name: shop}
spec:
  for: {environment: production}
  policy: {patience: 1h}
  attempts:
    - name: restart
      when: cause.service == "nowhere"
      do: {command: {args: [sh, -c, 'cat >> FILE; echo >> FILE; sleep 4; echo restarted']}}
      verify: {settle: 1s, within: 1m}
`

// TestHealing: a person has a command run for a problem, when it is open and the
// switch is not on. The server is killed while it runs: it is not run again, and
// that the problem is over verifies it.
func TestHealing(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(t.TempDir(), "requests")
	s := start(t, dir)
	s.apply(strings.ReplaceAll(healingManifest, "FILE", file))
	event := func(state string) (answer struct{ Problem string }) {
		t.Helper()
		body := fmt.Sprintf(`{"id":"e1","state":%q,"title":"checkout fails","severity":"error","service":"checkout","environment":"production"}`, state)
		if status, raw, err := s.call(http.MethodPost, "/v1/problem-events", "application/json", []byte(body), &answer); err != nil || status >= 300 {
			t.Fatalf("event: %d %s %v", status, raw, err)
		}
		return answer
	}
	id := event("open").Problem
	event("resolved")

	remediate := func(args ...string) (string, int) {
		t.Helper()
		_, errs, code := run(t, s.env(), binary, append([]string{"healing", "remediate", id, "shop/restart", "--reason", "it hangs"}, args...)...)
		return errs, code
	}
	if errs, code := remediate(); code != 3 || !strings.Contains(errs, "the problem is over") || !strings.Contains(errs, "override is possible") {
		t.Errorf("against objections: exit %d\n%s", code, errs)
	}
	if out, code := s.cli("healing", "stop", "--reason", "hands off"); code != 0 || !strings.Contains(out, "STOPPED") {
		t.Errorf("stop: exit %d, %s", code, out)
	}
	if errs, code := remediate("--override"); code != 3 || !strings.Contains(errs, "hands off") {
		t.Errorf("while stopped: exit %d\n%s", code, errs)
	}
	s.cli("healing", "start", "--reason", "go on")
	if again := event("open").Problem; again != id {
		t.Fatalf("problem %s came back as %s", id, again)
	}
	if errs, code := remediate(); code != 0 {
		t.Fatalf("exit %d\n%s", code, errs)
	}
	eventually(t, 20*time.Second, "the command to run", func() error {
		_, err := os.Stat(file)
		return err
	})
	s.kill()

	s = start(t, dir)
	action := func(state healing.State) (a healing.Action) {
		t.Helper()
		eventually(t, 40*time.Second, "the action to be "+string(state), func() error {
			list := get[struct{ Actions []healing.Action }](s, "/v1/healing/actions").Actions
			if len(list) != 1 || list[0].State != state {
				return fmt.Errorf("actions are %+v", list)
			}
			a = list[0]
			return nil
		})
		return a
	}
	if a := action(healing.StateVerifying); !a.Unknown {
		t.Errorf("whether it took place is known: %+v", a)
	}
	event("resolved")
	a := action(healing.StateEnded)
	if a.Outcome != healing.OutcomeHealed || a.ApprovedBy != "tester" || a.Why != "it hangs" {
		t.Errorf("the action is %s (%s), approved by %q, because %q", a.Outcome, a.Reason, a.ApprovedBy, a.Why)
	}
	raw, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var request healing.Request
	if err := json.Unmarshal(raw, &request); err != nil || request.Key != a.ID || request.Service != "checkout" || request.Problem != id {
		t.Errorf("the command was run with %s (%v), want one request, of %s", raw, err, a.ID)
	}
	out, code := s.cli("healing", "audit")
	for _, want := range []string{"hands off", "go on", "tester asks to run sh", "nobody knows whether the attempt took place"} {
		if code != 0 || !strings.Contains(out, want) {
			t.Errorf("the audit (exit %d) does not say %q:\n%s", code, want, out)
		}
	}
}
