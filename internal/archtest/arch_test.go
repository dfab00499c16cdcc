// Package archtest holds the arrows of the architecture, a reason per row,
// and fails when an import goes against them.
package archtest

import (
	"encoding/json"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/tidegate-io/tidegate/"

// row says what the packages below a path may import of this module. Paths
// are relative to the module; an entry ending in /... covers a tree.
type row struct {
	pkg   string
	may   []string
	third []string // modules from outside that a pure domain may use
	why   string
}

var domains = []string{"entity", "fault", "telemetry", "change", "flag", "loadtest", "judge", "evidence", "guardian", "workflow", "notify", "problem", "problem/detect", "delivery/...", "condition", "healing"}

var rows = []row{
	{pkg: "fault", why: "error kinds: the bottom of everything"},
	{pkg: "entity", may: []string{"fault"}, why: "names of things"},
	{pkg: "judge", third: []string{"gonum.org/v1/gonum"}, why: "pure statistics: no clock, no I/O, nothing of ours"},
	{pkg: "telemetry", may: []string{"entity", "fault"}, why: "values only"},
	{pkg: "change", may: []string{"entity", "fault"}, third: []string{"github.com/google/uuid"}, why: "who, what, when, where"},
	{pkg: "flag", may: []string{"entity", "fault", "change"}, third: []string{"*"},
		why: "a runtime change of a flag is a change event; definitions are checked against flagd's published schema"},
	{pkg: "loadtest", may: []string{"entity", "fault", "change"}, third: []string{"*"}, why: "says started and finished as change events"},
	{pkg: "evidence", may: []string{"telemetry", "change", "entity", "fault"}, why: "pure over telemetry and changes"},
	{pkg: "guardian", may: []string{"judge", "evidence", "change", "telemetry", "entity", "fault"},
		third: []string{"golang.org/x/sync", "github.com/google/uuid"}, why: "asks, judges, explains, remembers"},
	{pkg: "condition", may: []string{"fault"}, third: []string{"cel.dev/cel-go"}, why: "the conditions of manifests, in CEL"},
	{pkg: "workflow", may: []string{"condition", "change", "entity", "fault"}, third: []string{"cel.dev/cel-go", "github.com/google/uuid", "golang.org/x/sync"},
		why: "what follows an event; conditions are CEL"},
	{pkg: "healing", may: []string{"problem", "condition", "evidence", "change", "entity", "fault"}, third: []string{"github.com/google/uuid"},
		why: "does something about a problem: it knows causes and changes, and reaches everything else by its own interfaces"},

	{pkg: "problem", may: []string{"judge", "evidence", "change", "telemetry", "entity", "fault"}, third: []string{"github.com/google/uuid", "cel.dev/cel-go", "golang.org/x/sync"},
		why: "events become problems, one per cause"},
	{pkg: "problem/detect", may: []string{"problem", "judge", "telemetry", "entity", "fault"}, why: "notices that users are hurt: pure statistics over counts and values"},
	{pkg: "problem/cause", may: []string{"problem", "evidence", "change", "telemetry", "entity", "fault"}, why: "says why, purely over values; readers are handed in"},
	{pkg: "notify", may: []string{"fault"}, why: "what is said to the outside, and what was not said yet"},

	{pkg: "delivery/deploy", may: []string{"fault"}, why: "what a pipeline knows about running things"},
	{pkg: "delivery/pipeline", may: []string{"delivery/deploy", "change", "entity", "fault"}, third: []string{"github.com/google/uuid"},
		why: "takes revisions through stages; deploying, judging and load are asked of others"},
	{pkg: "delivery/rollout", may: []string{"delivery/traffic", "change", "entity", "fault"}, why: "gives a version its users step by step; judging and moving are asked of others"},
	{pkg: "delivery/signature", may: []string{"judge", "entity", "fault"}, why: "how far environments may differ: pure"},
	{pkg: "delivery/validation", may: []string{"delivery/signature", "guardian", "judge", "change", "entity", "fault"},
		third: []string{"golang.org/x/sync"}, why: "asks the guardians' sampler, judges signatures at their time"},
	{pkg: "delivery/traffic", may: []string{"fault"}, why: "which version answers a request: placing and splitting"},

	{pkg: "internal/artifact", may: domains, third: []string{"*"}, why: "what is deployed, by its content: sources put it there, deployers take it"},
	{pkg: "internal/source", may: append(slices.Clone(domains), "internal/artifact"), third: []string{"*"}, why: "where revisions come from"},
	{pkg: "internal/deployer/...", may: append(slices.Clone(domains), "internal/artifact"), third: []string{"*"}, why: "runs what the artifact store holds"},
	{pkg: "internal/segment/...", may: []string{"fault"}, third: []string{"github.com/klauspost/compress"}, why: "the file format both embedded stores share"},
	{pkg: "internal/otlp/wire", may: []string{"telemetry", "entity", "fault"}, why: "the wire format, shared by receivers and stores"},
	{pkg: "internal/tracestore/...", may: append(slices.Clone(domains), "internal/segment", "internal/otlp/wire"), third: []string{"*"},
		why: "keeps traces as they came: it reads the wire format"},
	{pkg: "internal/logstore/...", may: append(slices.Clone(domains), "internal/segment", "internal/otlp/wire"), third: []string{"*"},
		why: "keeps logs as they came"},
	{pkg: "internal/otlp", may: append(slices.Clone(domains), "internal/otlp/wire"), third: []string{"*"}, why: "receivers walk the wire format"},
	{pkg: "internal/app/...", may: []string{"*"}, third: []string{"*"}, why: "the wiring knows everything"},
	{pkg: "internal/state/...", may: append(slices.Clone(domains), "internal/state/..."), third: []string{"*"}, why: "stores of every domain, and their suite"},
	{pkg: "internal/integration/...", may: domains, third: []string{"*"}, why: "adapters to the outside"},
	{pkg: "internal/archtest", why: "this"},
	{pkg: "internal/web", may: []string{"ui"}, third: []string{"*"}, why: "serves the built UI"},
	{pkg: "internal/program", why: "what running somebody else's program takes, shared by those that do"},
	{pkg: "internal/loadrun", may: append(slices.Clone(domains), "internal/program"), third: []string{"*"}, why: "runs load tests, also other people's programs"},
	{pkg: "internal/healrun", may: append(slices.Clone(domains), "internal/program"), third: []string{"*"}, why: "does what remediations say, also by other people's programs"},
	{pkg: "internal/...", may: domains, third: []string{"*"}, why: "an adapter knows domains, never another adapter"},
	{pkg: "ui", why: "embeds the built UI"},
	{pkg: "demo/...", may: append(slices.Clone(domains), "demo/..."), third: []string{"*"}, why: "the demo uses the product as a user would, by its API"},
	{pkg: "bench/detect", may: []string{"problem/detect"}, why: "measures detection on public series"},
	{pkg: "bench/rootcause", may: []string{"problem", "problem/cause", "evidence", "change", "telemetry", "entity", "fault"}, why: "measures the root cause engine; adapters turn public incidents into telemetry values"},
	{pkg: "bench/judge", may: []string{"judge"}, third: []string{"gonum.org/v1/gonum"}, why: "measures the judge"},
	{pkg: "bench/ingest", may: []string{"entity", "internal/otlp/wire/wiretest", "internal/tracestore"}, third: []string{"go.opentelemetry.io/collector/pdata", "google.golang.org/grpc", "google.golang.org/protobuf"},
		why: "measures the binary from outside; only re-encoding, which the binary puts off, is measured on the store"},
	{pkg: "test/...", may: []string{"*"}, third: []string{"*"}, why: "tests of the whole"},
	{pkg: "cmd/...", may: []string{"*"}, third: []string{"*"}, why: "starts it"},
}

type listed struct {
	ImportPath string
	Imports    []string
}

// TestArrows checks every package's imports against its row.
func TestArrows(t *testing.T) {
	for _, p := range list(t) {
		rel := strings.TrimPrefix(p.ImportPath, module)
		r, ok := rowOf(rel)
		if !ok {
			t.Errorf("%s: no row in archtest: say where it stands and why", rel)
			continue
		}
		for _, imp := range p.Imports {
			target, ours := strings.CutPrefix(imp, module)
			switch {
			case ours && !covered(r.may, target):
				t.Errorf("%s must not import %s (%s)", rel, target, r.why)
			case !ours && isModule(imp) && !thirdAllowed(r.third, imp):
				t.Errorf("%s must not import %s (%s)", rel, imp, r.why)
			}
		}
	}
}

// TestRowsAreUsed keeps the table free of packages that are gone.
func TestRowsAreUsed(t *testing.T) {
	used := map[string]bool{}
	for _, p := range list(t) {
		if r, ok := rowOf(strings.TrimPrefix(p.ImportPath, module)); ok {
			used[r.pkg] = true
		}
	}
	for _, r := range rows {
		if !used[r.pkg] {
			t.Errorf("row %q matches no package", r.pkg)
		}
	}
}

func list(t *testing.T) []listed {
	t.Helper()
	cmd := exec.Command("go", "list", "-json=ImportPath,Imports", "./...")
	cmd.Dir = "../.."
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	var all []listed
	for dec := json.NewDecoder(strings.NewReader(string(out))); dec.More(); {
		var p listed
		if err := dec.Decode(&p); err != nil {
			t.Fatal(err)
		}
		all = append(all, p)
	}
	if len(all) < 10 {
		t.Fatalf("go list found %d packages: something is wrong", len(all))
	}
	return all
}

// rowOf returns the first row that covers the package: rows go from the
// special to the general.
func rowOf(pkg string) (row, bool) {
	for _, r := range rows {
		if covered([]string{r.pkg}, pkg) {
			return r, true
		}
	}
	return row{}, false
}

func covered(patterns []string, pkg string) bool {
	for _, p := range patterns {
		if p == "*" || p == pkg {
			return true
		}
		if tree, ok := strings.CutSuffix(p, "/..."); ok && (pkg == tree || strings.HasPrefix(pkg, tree+"/")) {
			return true
		}
	}
	return false
}

func isModule(path string) bool {
	first, _, _ := strings.Cut(path, "/")
	return strings.Contains(first, ".")
}

func thirdAllowed(allowed []string, path string) bool {
	for _, a := range allowed {
		if a == "*" || path == a || strings.HasPrefix(path, a+"/") {
			return true
		}
	}
	return false
}
