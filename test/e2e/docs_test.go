package e2e

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// TestDocs runs what the documentation tells people to type: every sh block of
// README.md and docs/*.md, command by command and page by page, against a real
// server with the examples applied and some traffic. Every manifest in a yaml
// block is checked, too.
//
// What differs from what a reader does is in skipped and typed, and nowhere
// else.
func TestDocs(t *testing.T) {
	pages, err := filepath.Glob("../../docs/*.md")
	if err != nil || len(pages) == 0 {
		t.Fatal("no pages", err)
	}
	if readme := "../../README.md"; exists(readme) {
		pages = append(pages, readme)
	}
	for _, page := range pages {
		raw, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		t.Run(filepath.Base(page), func(t *testing.T) {
			t.Parallel() // much of it is waiting for telemetry to settle
			r := newReader(t)
			for _, b := range blocks(string(raw)) {
				switch b.language {
				case "sh":
					for _, command := range commands(t, b.text) {
						t.Run(command, func(t *testing.T) { r.typed(t, command) })
					}
				case "yaml":
					t.Run(firstLine(b.text), func(t *testing.T) { r.manifest(t, b.text) })
				}
			}
		})
	}
}

var link = regexp.MustCompile(`\]\(([^)#:]+)(?:#[^)]*)?\)`)

// TestDocsLinks: every link and picture within the repository is there.
func TestDocsLinks(t *testing.T) {
	var pages []string
	for _, pattern := range []string{"*.md", "docs/*.md", "docs/*/*.md"} {
		found, err := filepath.Glob("../../" + pattern)
		if err != nil {
			t.Fatal(err)
		}
		pages = append(pages, found...)
	}
	n := 0
	for _, page := range pages {
		raw, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range link.FindAllStringSubmatch(string(raw), -1) {
			if n++; !exists(filepath.Join(filepath.Dir(page), m[1])) {
				t.Errorf("%s: nothing at %s", page, m[1])
			}
		}
	}
	if n < 10 {
		t.Errorf("only %d links: are they still found?", n)
	}
}

// skipped are commands that are not run here, by their beginning, each with
// the reason.
var skipped = map[string]string{
	"make ":                            "builds, or plays the demo: tests of their own",
	"git ":                             "the source is here already",
	"bin/tidegate demo ":               "a test of its own",
	"tidegate demo ":                   "a test of its own",
	"./bin/tidegate demo ":             "a test of its own",
	"docker ":                          "another program's",
	"kubectl ":                         "another program's",
	"k6 ":                              "another program's",
	"open ":                            "a browser",
	"export OTEL_EXPORTER_OTLP_":       "read by the SDK of the reader's service",
	"export OTEL_RESOURCE_ATTRIBUTES=": "read by the SDK of the reader's service",
	"export OTEL_BSP_SCHEDULE_DELAY=":  "read by the SDK of the reader's service",
	"export PATH=":                     "tidegate is found already",
}

// reader follows a page in a directory of their own.
type reader struct {
	*server
	dir string
}

func newReader(t *testing.T) *reader {
	r := &reader{server: start(t, t.TempDir()), dir: t.TempDir()}
	if err := os.Symlink(binary, filepath.Join(r.dir, "tidegate")); err != nil {
		t.Fatal(err)
	}
	shop := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusOK) }))
	t.Cleanup(shop.Close)
	if out, code := r.cli("apply", "-f", "../../docs/examples"); code != 0 {
		t.Fatalf("the examples: exit %d\n%s", code, out)
	}
	// The example's load test drives a shop on port 8080 for a minute; here it is
	// one second against a server of the test.
	r.apply(strings.NewReplacer("SHOP", shop.URL).Replace(`
apiVersion: tidegate.dev/v1
kind: LoadTest
metadata: {name: acceptance}
spec:
  target: {service: checkout, environment: dev}
  purpose: acceptance
  rate: 20/s
  duration: 1s
  request: {url: SHOP/api/checkout}
`))
	r.traffic(200, 8*time.Second, 0)
	r.cli("validate", "checkout", "--last", "10s") // so that there is a history to read
	return r
}

// typed runs a command as a reader would. Servers are not started: that their
// flags exist is what --help checks.
func (r *reader) typed(t *testing.T, command string) {
	for begin, reason := range skipped {
		if strings.HasPrefix(command+" ", begin) {
			t.Skip(reason)
		}
	}
	command = strings.TrimPrefix(command, "./")
	command = strings.TrimPrefix(command, "bin/")
	if word, _, _ := strings.Cut(command, " "); word != "tidegate" {
		if _, err := exec.LookPath(word); err != nil {
			t.Skip(word + " is not installed")
		}
	}
	switch {
	case strings.HasPrefix(command, "tidegate serve"):
		command += " --help"
	case strings.HasPrefix(command, "curl "):
		command = strings.Replace(command, "curl ", "curl --fail-with-body ", 1)
	}
	for _, s := range []struct{ in, out string }{
		{"127.0.0.1:7070", r.API},
		{"--next 2m", "--next 1s"}, // nobody wants to wait
		{"validation show ID", "validation show " + r.validation()},
		{"validation accept ID", "validation accept " + r.validation()},
		{"validation reject ID", "validation reject " + r.validation()},
		{"validation pin ID", "validation pin " + r.validation()},
		{"validation unpin ID", "validation unpin " + r.validation()},
		{"validation report ID", "validation report " + r.validation()},
	} {
		command = strings.ReplaceAll(command, s.in, s.out)
	}
	env := append(r.env(), "PATH="+r.dir+":"+os.Getenv("PATH"))
	out, errs, code := run(t, env, "sh", "-c", "cd "+r.dir+"\n"+command)
	good := code == 0
	if strings.HasPrefix(command, "tidegate validate ") || strings.HasPrefix(command, "tidegate pipeline validate ") {
		good = code < 3 // any verdict is an answer
	}
	if !good {
		t.Errorf("exit %d\n%s%s", code, out, errs)
	}
	t.Log("\n" + out + errs)
}

// validation is the id of a finished validation of checkout.
func (r *reader) validation() string {
	for _, v := range get[struct{ Validations []validation }](r.server, "/v1/guardians/checkout/validations").Validations {
		if v.State == "finished" {
			return v.ID
		}
	}
	r.t.Fatal("no finished validation")
	return ""
}

var (
	bodyFile    = regexp.MustCompile(`\{file: ([\w.-]+)\}`)
	fileComment = regexp.MustCompile(`^# ([\w./-]+\.yaml)\n`)
)

// manifest checks a yaml block: a whole manifest, which is saved when its first
// line names a file, or the objectives of a guardian.
func (r *reader) manifest(t *testing.T, text string) {
	if m := fileComment.FindStringSubmatch(text); m != nil {
		if err := os.WriteFile(filepath.Join(r.dir, m[1]), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	switch {
	case strings.HasPrefix(text, "objectives:"):
		text = "apiVersion: tidegate.dev/v1\nkind: Guardian\nmetadata: {name: page}\nspec:\n  target: {service: checkout}\n  " +
			strings.ReplaceAll(text, "\n", "\n  ")
	case !strings.Contains(text, "apiVersion: tidegate.dev/v1"):
		t.Skip("not a manifest")
	}
	dir := t.TempDir()
	write := func(name, text string) {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("manifest.yaml", text)
	for _, m := range bodyFile.FindAllStringSubmatch(text, -1) {
		write(m[1], "{}") // what it refers to, beside it
	}
	if _, errs, code := run(t, r.env(), binary, "apply", "--dry-run", "-f", filepath.Join(dir, "manifest.yaml")); code != 0 {
		t.Errorf("%s\n%s", errs, text)
	}
}

type block struct{ language, text string }

var fenced = regexp.MustCompile("(?ms)^```(\\w+)\n(.*?)^```")

func blocks(page string) (out []block) {
	for _, m := range fenced.FindAllStringSubmatch(page, -1) {
		out = append(out, block{m[1], m[2]})
	}
	return out
}

// commands splits a block where the shell finds a command complete.
func commands(t *testing.T, text string) (out []string) {
	t.Helper()
	command := ""
	for line := range strings.Lines(text) {
		command += line
		if strings.HasSuffix(command, "\\\n") {
			continue
		}
		if _, _, code := run(t, nil, "sh", "-n", "-c", command); code == 0 {
			if c := strings.TrimSpace(command); c != "" && !strings.HasPrefix(c, "#") {
				out = append(out, c)
			}
			command = ""
		}
	}
	if command != "" {
		t.Errorf("not a command: %s", command)
	}
	return out
}

// TestCommands: the splitter of TestDocs.
func TestCommands(t *testing.T) {
	got := commands(t, "# first\ntidegate a\n\ntidegate b \\\n  -c\ncurl -d '{\n  \"x\": 1}'\nexport A=b   # why\n")
	want := []string{"tidegate a", "tidegate b \\\n  -c", "curl -d '{\n  \"x\": 1}'", "export A=b   # why"}
	if fmt.Sprintf("%q", got) != fmt.Sprintf("%q", want) {
		t.Errorf("got  %q\nwant %q", got, want)
	}
}

func firstLine(s string) string {
	line, _, _ := strings.Cut(strings.TrimSpace(s), "\n")
	return line
}

func exists(file string) bool {
	_, err := os.Stat(file)
	return err == nil
}
