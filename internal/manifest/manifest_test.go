package manifest

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/santhosh-tekuri/jsonschema/v6"
	"go.yaml.in/yaml/v3"

	"github.com/tidegate-io/tidegate/fault"
	"github.com/tidegate-io/tidegate/judge"
	"github.com/tidegate-io/tidegate/loadtest"
)

const examples = "../../docs/examples"

// TestExamples: every example parses, every kind has one, and the published
// schema accepts what the parser accepts.
func TestExamples(t *testing.T) {
	files, err := filepath.Glob(examples + "/*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatalf("no examples: %v", err)
	}
	seen := map[string]bool{}
	for _, f := range files {
		data, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		objects, err := Parse(filepath.Base(f), data, Options{})
		if err != nil {
			t.Errorf("%v", err)
		}
		for _, o := range objects {
			seen[o.Kind] = true
		}
		docs, err := splitDocuments(data)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range docs {
			if err := validateSchema(t, d); err != nil {
				t.Errorf("%s: the schema refuses what the parser takes: %v", f, err)
			}
		}
	}
	for _, k := range Kinds() {
		if !seen[k] {
			t.Errorf("kind %s has no example", k)
		}
	}
}

func validateSchema(t *testing.T, doc *yaml.Node) error {
	t.Helper()
	raw, err := Schema(lookup(doc, "kind").Value)
	if err != nil {
		t.Fatal(err)
	}
	parsed, err := jsonschema.UnmarshalJSON(bytes.NewReader(raw))
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	if err := c.AddResource("schema.json", parsed); err != nil {
		t.Fatal(err)
	}
	schema, err := c.Compile("schema.json")
	if err != nil {
		t.Fatal(err)
	}
	var v any
	if err := doc.Decode(&v); err != nil {
		t.Fatal(err)
	}
	js, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	inst, err := jsonschema.UnmarshalJSON(bytes.NewReader(js))
	if err != nil {
		t.Fatal(err)
	}
	return schema.Validate(inst)
}

func guardianWith(objective string) string {
	return "apiVersion: tidegate.dev/v1\nkind: Guardian\nmetadata: {name: g}\nspec:\n  target: {service: s}\n  objectives:\n    - " +
		strings.ReplaceAll(objective, "\n", "\n      ") + "\n"
}

func TestMistakes(t *testing.T) {
	for name, c := range map[string]struct {
		yaml string
		want []string // "line:column: text"
	}{
		"unknown field, with a suggestion": {
			guardianWith("name: x\nindicater: {errorRate: {}}\nadaptive: {}"),
			[]string{`8:7: `, `unknown field "indicater" (did you mean "indicator"?)`}},
		"unknown kind": {
			"apiVersion: tidegate.dev/v1\nkind: Guardain\nmetadata: {name: g}\nspec: {}\n",
			[]string{`2:7: kind: unknown kind "Guardain" (did you mean "Guardian"?)`}},
		"wrong version": {
			"apiVersion: v1\nkind: Guardian\nmetadata: {name: g}\nspec: {template: golden-signals, target: {service: s}}\n",
			[]string{`1:13: apiVersion: expected tidegate.dev/v1, found "v1"`}},
		"bad name": {
			"apiVersion: tidegate.dev/v1\nkind: Guardian\nmetadata: {name: My Guard}\nspec: {template: golden-signals, target: {service: s}}\n",
			[]string{`metadata.name: "My Guard" is not a name`}},
		"nothing said": {
			"{}\n", []string{`apiVersion: is missing: expected tidegate.dev/v1`, `kind: is missing: expected one of Alert, AlertingProfile`, `metadata.name: is missing`}},
		"a query that does not parse": {
			guardianWith("name: x\nindicator: {promql: 'sum(rate(x[1m])'}\nfail: '> 1'"),
			[]string{`8:27: spec.objectives[0].indicator.promql: no PromQL`, `unclosed left parenthesis`}},
		"a query without a number": {
			guardianWith("name: x\nindicator: {promql: 'x[1m]'}\nfail: '> 1'"),
			[]string{`spec.objectives[0].indicator.promql: the query's result is a range vector, expected numbers`}},
		"flags that flagd would refuse": {
			"apiVersion: tidegate.dev/v1\nkind: FlagSet\nmetadata: {name: f}\nspec:\n  flags:\n    a: {stat: ENABLED}\n    b: {state: ENABLED, variants: {\"on\": true}, defaultVariant: \"of\"}\n",
			[]string{`6:8: spec.flags.a: state: expected ENABLED or DISABLED`, `7:8: spec.flags.b: defaultVariant: `}},
		"bad limit": {
			guardianWith("name: x\nindicator: {latency: {}}\nfail: 200ms"),
			[]string{`9:13: spec.objectives[0].fail: "200ms" is not a limit`}},
		"unknown unit": {
			guardianWith("name: x\nindicator: {latency: {}}\nfail: '> 200 parsecs'"),
			[]string{`unknown unit "parsecs"`}},
		"two criteria": {
			guardianWith("name: x\nindicator: {latency: {}}\nfail: '> 200ms'\nadaptive: {}"),
			[]string{`spec.objectives[0]: has several criteria`}},
		"two indicators": {
			guardianWith("name: x\nindicator: {latency: {}, errorRate: {}}\nfail: '> 200ms'"),
			[]string{`spec.objectives[0].indicator: expected exactly one of`}},
		"the domain's own check, at its place": {
			guardianWith("name: x\nindicator: {latency: {quantile: 1.5}}\nfail: '> 200ms'"),
			[]string{`spec.objectives[0]`}},
		"field given twice": {
			guardianWith("name: x\nname: y\nindicator: {latency: {}}\nfail: '> 200ms'"),
			[]string{`8:7: spec.objectives[0]: field "name" is given twice`}},
		"object given twice": {
			guardianWith("name: x\nindicator: {latency: {}}\nfail: '> 1s'") + "---\n" + guardianWith("name: x\nindicator: {latency: {}}\nfail: '> 1s'"),
			[]string{`Guardian/g is defined twice`}},
		"list expected": {
			"apiVersion: tidegate.dev/v1\nkind: Guardian\nmetadata: {name: g}\nspec: {target: {service: s}, objectives: {name: x}}\n",
			[]string{`spec.objectives: expected a list, found fields`}},
		"not YAML": {
			"apiVersion: [\n",
			[]string{"file.yaml:"}},
		"unset environment variable": {
			"apiVersion: tidegate.dev/v1\nkind: LoadTest\nmetadata: {name: l}\nspec: {target: {service: s}, duration: 1s, rate: 1/s, request: {url: '${env.NOPE}/x'}}\n",
			[]string{`environment variable NOPE is not set`}},
		"an alert whose query does not parse": {
			"apiVersion: tidegate.dev/v1\nkind: Alert\nmetadata: {name: a}\nspec:\n  query: sum(rate(x[1m])\n  limit: '> 1'\n",
			[]string{`5:10: spec.query: no PromQL`}},
		"an alert that is too often looked at": {
			"apiVersion: tidegate.dev/v1\nkind: Alert\nmetadata: {name: a}\nspec:\n  query: up\n  every: 10ms\n",
			[]string{`6:10: spec.every: expected 1s to 1h`}},
		"a log rule that matches everything": {
			"apiVersion: tidegate.dev/v1\nkind: LogRule\nmetadata: {name: l}\nspec: {match: {service: cart}, within: 1m}\n",
			[]string{`4:7: spec: matches every record`}},
		"a pattern that is none": {
			"apiVersion: tidegate.dev/v1\nkind: LogRule\nmetadata: {name: l}\nspec: {match: {pattern: '('}, within: 1m}\n",
			[]string{`spec.pattern: error parsing regexp`}},
		"an unknown severity": {
			"apiVersion: tidegate.dev/v1\nkind: AlertingProfile\nmetadata: {name: p}\nspec: {for: {severity: eror}}\n",
			[]string{`spec.for.severity: "eror"`}},
		"a filter that says nothing": {
			"apiVersion: tidegate.dev/v1\nkind: AlertingProfile\nmetadata: {name: p}\nspec: {for: {events: [{}]}}\n",
			[]string{`spec.for.events[0]: says nothing`}},
		"a window that ends before it begins": {
			"apiVersion: tidegate.dev/v1\nkind: MaintenanceWindow\nmetadata: {name: w}\nspec: {from: 2026-05-01T03:00, to: 2026-05-01T02:00}\n",
			[]string{`spec.to: expected a time after from`}},
		"a window without times": {
			"apiVersion: tidegate.dev/v1\nkind: MaintenanceWindow\nmetadata: {name: w}\nspec: {to: tomorrow}\n",
			[]string{`spec.to: "tomorrow" is not a time`}},
		"body file that is not there": {
			"apiVersion: tidegate.dev/v1\nkind: LoadTest\nmetadata: {name: l}\nspec: {target: {service: s}, duration: 1s, rate: 1/s, request: {url: 'http://x/', body: {file: order.json}}}\n",
			[]string{`spec.request.body.file: "order.json" was not found`}},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := Parse("file.yaml", []byte(c.yaml), Options{})
			if err == nil {
				t.Fatal("no error")
			}
			if !fault.Is(err, fault.KindInvalid) {
				t.Errorf("kind = %v, want invalid", fault.KindOf(err))
			}
			for _, want := range c.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("got  %v\nwant it to contain %q", err, want)
				}
			}
		})
	}
}

func TestKind(t *testing.T) {
	if k, err := Kind("loadtest"); err != nil || k != "LoadTest" {
		t.Errorf("%q %v", k, err)
	}
	if _, err := Kind("Gardian"); !fault.Is(err, fault.KindNotFound) || !strings.Contains(err.Error(), `did you mean "Guardian"?`) {
		t.Errorf("%v", err)
	}
}

func TestAllMistakesAtOnce(t *testing.T) {
	_, err := Parse("f.yaml", []byte(guardianWith("nam: x\nfail: soon\nkey: maybe")), Options{})
	var errs Errors
	if !errors.As(err, &errs) || len(errs) != 3 {
		t.Fatalf("got %d errors, want 3: %v", len(errs), err)
	}
}

func TestTemplateMerge(t *testing.T) {
	objects, err := Parse("f.yaml", []byte(`
apiVersion: tidegate.dev/v1
kind: Guardian
metadata: {name: g}
spec:
  target: {service: s}
  template: golden-signals
  objectives:
    - name: latency
      fail: "> 200ms"
    - name: extra
      indicator: {promql: up}
      info: true
`), Options{})
	if err != nil {
		t.Fatal(err)
	}
	g := objects[0].Spec.(*Guardian).Definition("g", nil)
	byName := map[string]int{}
	for i, o := range g.Objectives {
		byName[o.Name] = i
	}
	l := g.Objectives[byName["latency"]]
	if l.Threshold == nil || l.Threshold.Fail.Value != 0.2 || l.Adaptive != nil || l.Indicator.Latency == nil {
		t.Errorf("latency: the template's indicator with the manifest's limit expected, got %+v", l)
	}
	if _, ok := byName["errors"]; !ok {
		t.Error("the template's other objectives are gone")
	}
	if e := g.Objectives[byName["extra"]]; e.Role != judge.RoleInfo {
		t.Errorf("extra: role %q", e.Role)
	}
}

func TestQuantities(t *testing.T) {
	for text, want := range map[string]Limit{
		"> 200ms": {">", 0.2}, ">= 5%": {">=", 0.05}, "< 10/s": {"<", 10}, "<-3": {"<", -3}, "> 600/min": {">", 10}, "<= 1e-3": {"<=", 1e-3},
	} {
		var l Limit
		if err := l.parse(text); err != nil || cmp.Diff(want, l) != "" {
			t.Errorf("%q: %v, %v", text, l, err)
		}
	}
	for text, want := range map[string]time.Duration{"90s": 90 * time.Second, "2d": 48 * time.Hour, "1d12h": 36 * time.Hour, "250ms": 250 * time.Millisecond} {
		if d, err := ParseDuration(text); err != nil || d != want {
			t.Errorf("%q: %v, %v", text, d, err)
		}
	}
	for _, bad := range []string{"", "1", "-5s", "5 minutes", "d", "xd"} {
		if _, err := ParseDuration(bad); err == nil {
			t.Errorf("%q: no error", bad)
		}
	}
}

func TestLoadTestStages(t *testing.T) {
	objects, err := Parse("f.yaml", []byte(`
apiVersion: tidegate.dev/v1
kind: LoadTest
metadata: {name: l}
spec:
  target: {service: s}
  rate: {stages: [{to: 20/s, over: 5s}, {hold: 55s}]}
  request: {url: '${env.SHOP}/x', body: {text: "{}"}}
`), Options{Env: func(n string) (string, bool) { return "http://shop:1", n == "SHOP" }})
	if err != nil {
		t.Fatal(err)
	}
	got := objects[0].Spec.(*LoadTest).Definition("l", nil)
	want := []loadtest.Stage{{To: 20, Over: 5 * time.Second}, {To: 20, Over: 55 * time.Second}}
	if diff := cmp.Diff(want, got.Stages); diff != "" || got.Duration != time.Minute || got.Request.URL != "http://shop:1/x" || got.Request.Method != "POST" {
		t.Errorf("%s %+v", diff, got)
	}
}

func TestInline(t *testing.T) {
	in := "apiVersion: tidegate.dev/v1\nkind: LoadTest\nmetadata: {name: l}\nspec: {target: {service: s}, duration: 1s, rate: 1/s, request: {url: 'http://x/', body: {file: order.json}}}\n"
	out, err := Inline([]byte(in), fstest.MapFS{"order.json": {Data: []byte(`{"a":1}`)}})
	if err != nil {
		t.Fatal(err)
	}
	objects, err := Parse("f.yaml", out, Options{})
	if err != nil {
		t.Fatal(err)
	}
	if got := objects[0].Spec.(*LoadTest).Definition("l", nil).Request.Body; got != `{"a":1}` {
		t.Errorf("body = %q", got)
	}
	if _, err := Inline([]byte(in), fstest.MapFS{}); err == nil {
		t.Error("a missing file is no error")
	}
}

func FuzzParse(f *testing.F) {
	files, _ := filepath.Glob(examples + "/*.yaml")
	for _, name := range files {
		data, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Add([]byte("a: &a [*a]\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		objects, err := Parse("f.yaml", data, Options{})
		if err != nil {
			return
		}
		for _, o := range objects { // what parses once parses again from its own text
			if _, err := Parse("f.yaml", []byte(o.YAML), Options{}); err != nil {
				t.Fatalf("%s: %v", o.YAML, err)
			}
		}
	})
}
