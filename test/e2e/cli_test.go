package e2e

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestMistakes: whatever is typed wrong, the answer says what is wrong and what
// to do, on standard error, and the exit code is 3.
func TestMistakes(t *testing.T) {
	s := start(t, t.TempDir())
	s.apply(checkoutManifests)
	dir := t.TempDir()
	write := func(name, text string) string {
		file := filepath.Join(dir, name)
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return file
	}
	misspelt := write("misspelt.yaml", "apiVersion: tidegate.dev/v1\nkind: Guardian\nmetadata: {name: g}\nspec:\n  target: {servce: checkout}\n  objectives:\n    - {name: a, indicator: {errorRate: {}}, fail: 5%}\n")
	for _, c := range []struct {
		args string // separated by spaces
		want []string
	}{
		// The command line itself.
		{"nope", []string{`unknown command "nope"`, "tidegate --help"}},
		{"guardian shw", []string{`unknown command "shw"`, "expected one of history, list"}},
		{"validate", []string{"accepts 1 arg(s), received 0", "usage: tidegate validate GUARDIAN", "tidegate validate --help"}},
		{"validate checkout --lsat 1m", []string{"unknown flag: --lsat", "usage: tidegate validate GUARDIAN"}},
		{"validate checkout --last soon", []string{`"soon" is not a duration`, "for example 90s, 5m, 1h or 2d"}},
		{"validate checkout --last 1m --next 1m", []string{"[last next]"}},
		{"validate checkout --to 2026-11-21T10:00:00Z", []string{"missing [from]"}},
		{"validate checkout --from 10:00 --to 10:05", []string{`"10:00" is not a time`, "2026-11-21T10:00:00Z"}},
		{"validate checkout --last 1m --tag purpose", []string{"key=value"}},
		{"flag set paymentServiceFailure on", []string{`"reason" not set`, "usage: tidegate flag set KEY VARIANT"}},
		{"status -o yaml", []string{`--output "yaml": expected text or json`}},
		{"status --server localhost:7070", []string{"is not a URL", "http://127.0.0.1:7070"}},
		{"apply guardian.yaml", []string{"usage: tidegate apply -f FILE|DIR"}},
		{"schema Gardian", []string{`unknown kind "Gardian" (did you mean "Guardian"?)`}},
		// Names that are not known.
		{"validate nobody", []string{`no guardian "nobody"`, "see tidegate guardian list"}},
		{"guardian history nobody", []string{`no guardian "nobody"`, "see tidegate guardian list"}},
		{"validation show nope", []string{`no validation "nope"`, "see tidegate guardian history"}},
		{"flag set nope on --reason x", []string{`no flag "nope"`, "see tidegate flag list"}},
		{"flag set paymentServiceFailure maybe --reason x", []string{`"maybe" is not a variant`, "expected one of off, on"}},
		{"event undo nope --reason x", []string{`no event "nope"`, "see tidegate event list"}},
		{"loadtest run nope", []string{`no load test "nope"`, "see tidegate loadtest list"}},
		{"workflow show nope", []string{`no workflow run "nope"`, "see tidegate workflow runs"}},
		{"manifests guardian", []string{"expected a kind and a name", "usage: tidegate manifests [KIND NAME]"}},
		{"manifests guardian nope", []string{`no Guardian "nope"`, "see tidegate manifests"}},
		{"delete guardian nope", []string{`no Guardian "nope"`, "see tidegate manifests"}},
		{"trace get xyz", []string{`trace id "xyz"`, "hex digits"}},
		// Values the server refuses.
		{"trace search --limit 1000", []string{"query.limit: expected number <= 500"}},
		{"logs --severity loud", []string{`expected value to be one of "trace, debug, info, warn, error, fatal"`}},
		{"validate checkout --last 30d", []string{"between 1s and"}},
		{"event send deployment.finished --property x", []string{"key=value"}},
		// Manifests.
		{"apply -f " + filepath.Join(dir, "nowhere.yaml"), []string{"nowhere.yaml: no such file"}},
		{"apply -f " + write("empty.yaml", "\n"), []string{"empty.yaml: the file is empty"}},
		{"apply -f " + misspelt, []string{"misspelt.yaml:5:12", `unknown field "servce" (did you mean "service"?)`, "misspelt.yaml:7:", `"5%" is not a limit`, "nothing of it was applied"}},
	} {
		t.Run(strings.ReplaceAll(c.args, dir, "DIR"), func(t *testing.T) {
			out, errs, code := run(t, s.env(), binary, strings.Fields(c.args)...)
			if code != 3 || out != "" {
				t.Errorf("exit %d, want 3; standard output %q", code, out)
			}
			for _, want := range c.want {
				if !strings.Contains(errs, want) {
					t.Errorf("it does not say %q:\n%s", want, errs)
				}
			}
			lines := map[string]bool{}
			for line := range strings.Lines(errs) {
				line = strings.TrimPrefix(strings.TrimSpace(line), "tidegate: ")
				if lines[line] {
					t.Errorf("it says twice: %s", line)
				}
				lines[line] = true
			}
		})
	}
}

// TestServeMistakes: a server that cannot start says why, and what to change.
func TestServeMistakes(t *testing.T) {
	dir := t.TempDir()
	s := start(t, dir)
	for _, c := range []struct {
		args, want []string
	}{
		{[]string{"--data", dir}, []string{"is in use by process", "--data"}},
		{[]string{"--listen", s.API}, []string{s.API + " is in use by another program", "--listen"}},
		{[]string{"--listen", "nonsense"}, []string{"--listen nonsense", "missing port"}},
		{[]string{"--state", "mysql://x"}, []string{"sqlite://path or postgres://"}},
		{[]string{"--tokens-file", "/nowhere"}, []string{"--tokens-file", "no such file"}},
		{[]string{"--prometheus", "prometheus:9090"}, []string{"expected http://"}},
		{[]string{"--prometheus", "http://x", "--prometheus-token-file", "/nowhere"}, []string{"--prometheus-token-file", "no such file"}},
		{[]string{"--prometheus", "http://x", "--prometheus-resolution", "1h"}, []string{"--prometheus-resolution", "1s to 2m"}},
		{[]string{"--prometheus-user", "me"}, []string{"need --prometheus"}},
		{[]string{"--log-level", "loud"}, []string{"expected debug, info, warn or error"}},
		{[]string{"--traces-age", "long"}, []string{`"long" is not a duration`}},
		{[]string{"--traces-bytes", "much"}, []string{`"much" is not a size`, "20GiB"}},
	} {
		t.Run(strings.Join(c.args, " "), func(t *testing.T) {
			args := append([]string{"serve", "--data", t.TempDir(), "--listen", "127.0.0.1:0", "--otlp-grpc", "127.0.0.1:0",
				"--otlp-http", "127.0.0.1:0", "--flagd", "127.0.0.1:0", "--flagd-sync", "127.0.0.1:0", "--ofrep", "127.0.0.1:0"}, c.args...)
			_, errs, code := run(t, nil, binary, args...)
			if code != 3 {
				t.Errorf("exit %d, want 3", code)
			}
			for _, want := range c.want {
				if !strings.Contains(errs, want) {
					t.Errorf("it does not say %q:\n%s", want, errs)
				}
			}
		})
	}
}

func TestNoServer(t *testing.T) {
	_, errs, code := run(t, []string{"TIDEGATE_SERVER=http://127.0.0.1:1"}, binary, "status")
	for _, want := range []string{"no answer from http://127.0.0.1:1", "connection refused", "tidegate serve", "--server"} {
		if code != 3 || !strings.Contains(errs, want) {
			t.Errorf("exit %d, it does not say %q: %s", code, want, errs)
		}
	}
}

// TestToken: with tokens nothing is answered without one, and the refusal says
// where to put it.
func TestToken(t *testing.T) {
	file := filepath.Join(t.TempDir(), "tokens")
	if err := os.WriteFile(file, []byte("# people\ns3cret\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	s := start(t, t.TempDir(), "--tokens-file", file)
	for name, c := range map[string]struct {
		env  string
		code int
	}{"none": {"TIDEGATE_TOKEN=", 3}, "wrong": {"TIDEGATE_TOKEN=nope", 3}, "right": {"TIDEGATE_TOKEN=s3cret", 0}} {
		_, errs, code := run(t, append(s.env(), c.env), binary, "status")
		if code != c.code || (code != 0) != strings.Contains(errs, "set TIDEGATE_TOKEN, or use --token-file") {
			t.Errorf("%s: exit %d, want %d: %s", name, code, c.code, errs)
		}
	}
}

// TestEmpty: a new server has nothing to show, which reads as an invitation to
// people and as an empty list to programs.
func TestEmpty(t *testing.T) {
	s := start(t, t.TempDir())
	for command, want := range map[string]string{
		"guardian list": "tidegate apply", "services": "tidegate status", "flag list": "tidegate apply", "flag audit": "no flag",
		"event list": "no changes", "loadtest list": "tidegate apply", "loadtest runs": "tidegate loadtest run",
		"workflow list": "tidegate apply", "workflow runs": "no runs", "manifests": "tidegate apply",
		"trace search": "no such traces", "logs": "no such lines",
	} {
		args := strings.Fields(command)
		if out, code := s.cli(args...); code != 0 || !strings.Contains(out, want) || strings.Count(out, "\n") != 1 {
			t.Errorf("%s: exit %d, want a line with %q\n%s", command, code, want, out)
		}
		if out, code := s.cli(append(args, "-o", "json")...); code != 0 || strings.TrimSpace(out) != "[]" {
			t.Errorf("%s -o json: exit %d, want []: %s", command, code, out)
		}
	}
	out, code := s.cli("status")
	for _, want := range []string{"spans", "log lines", "series", "OTLP", s.OTLPGRPC, "rejected as malformed: 0"} {
		if code != 0 || !strings.Contains(out, want) {
			t.Errorf("status: exit %d, it does not say %q\n%s", code, want, out)
		}
	}
}

// TestApplyDirectory: files refer to each other in any order, and one with
// mistakes does not hold up the others.
func TestApplyDirectory(t *testing.T) {
	s := start(t, t.TempDir())
	dir := t.TempDir()
	for name, text := range map[string]string{
		"a-workflow.yaml": "apiVersion: tidegate.dev/v1\nkind: Workflow\nmetadata: {name: w}\nspec:\n  on: {event: test.finished}\n  steps: [{name: v, validate: {guardian: g, window: {last: 1m}}}]\n",
		"b-guardian.yaml": "apiVersion: tidegate.dev/v1\nkind: Guardian\nmetadata: {name: g}\nspec: {target: {service: s}, template: golden-signals}\n",
		"c-broken.yaml":   "kind: [\n",
		"notes.txt":       "not a manifest",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	out, errs, code := run(t, s.env(), binary, "apply", "-f", dir)
	if code != 3 || out != "Guardian/g created\nWorkflow/w created\n" || !strings.Contains(errs, "c-broken.yaml:1:1") || strings.Contains(errs, "a-workflow") {
		t.Errorf("exit %d\n%s%s", code, out, errs)
	}
	if out, code := s.cli("manifests", "guardian", "g"); code != 0 || !strings.HasPrefix(out, "# from "+dir) || !strings.Contains(out, "template: golden-signals") {
		t.Errorf("manifests: exit %d\n%s", code, out)
	}
	if out, code := s.cli("delete", "workflow", "w"); code != 0 || out != "Workflow/w deleted\n" {
		t.Errorf("delete, with the kind in lower case: exit %d %s", code, out)
	}
}

// TestVerdictOnATerminal: the numbers fit 100 columns, sentences are only where
// something holds a pass back.
func TestVerdictOnATerminal(t *testing.T) {
	s := start(t, t.TempDir())
	s.apply(checkoutManifests)
	s.traffic(200, 4*time.Second, 0)
	out, code := s.cli("validate", "checkout", "--last", "5s")
	if code != 0 || strings.Contains(out, "requests).") {
		t.Errorf("exit %d\n%s", code, out)
	}
	for line := range strings.Lines(out) {
		if n := len([]rune(line)); n > 101 {
			t.Errorf("%d columns: %s", n, line)
		}
	}
	out, _ = s.cli("validate", "checkout", "--last", "5s", "-o", "json")
	var v validation
	if err := json.Unmarshal([]byte(out), &v); err != nil || v.State != "finished" || v.Number != 2 {
		t.Errorf("%v %+v", err, v)
	}
}

// TestCompletion: the shell completes commands, names and values from the
// running server.
func TestCompletion(t *testing.T) {
	s := start(t, t.TempDir())
	s.apply(checkoutManifests)
	for words, want := range map[string]string{
		"validate ":                       "checkout\tcheckout (dev)",
		"flag set ":                       "paymentServiceFailure",
		"flag set paymentServiceFailure ": "off",
		"workflow runs ":                  "judge-every-load-test",
		"delete ":                         "NotificationChannel",
		"status -o ":                      "json",
		"event list --kind ":              "deployment",
		"gua":                             "guardian",
	} {
		args := append([]string{"__complete"}, strings.Split(words, " ")...)
		if out, code := s.cli(args...); code != 0 || !strings.Contains(out, want) {
			t.Errorf("%q: exit %d, %q is not offered:\n%s", words, code, want, out)
		}
	}
	if out, errs, code := run(t, []string{"TIDEGATE_SERVER=http://127.0.0.1:1"}, binary, "__complete", "validate", ""); code != 0 || !strings.HasPrefix(out, ":4") {
		t.Errorf("without a server: exit %d %q %s", code, out, errs)
	}
	for _, shell := range []string{"bash", "zsh", "fish"} {
		if out, code := s.cli("completion", shell); code != 0 || !strings.Contains(out, "tidegate") {
			t.Errorf("%s: exit %d", shell, code)
		}
	}
	script := filepath.Join(t.TempDir(), "completion.bash")
	out, _ := s.cli("completion", "bash")
	if err := os.WriteFile(script, []byte(out), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, errs, code := run(t, nil, "sh", "-c", fmt.Sprintf("! command -v bash || bash -n %s", script)); code != 0 {
		t.Errorf("bash does not understand its script: %s", errs)
	}
}
