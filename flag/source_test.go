package flag_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tidegate-io/tidegate/entity"
	"github.com/tidegate-io/tidegate/flag"
)

func one(key, def string) string {
	return `{"flags": {"` + key + `": {"state": "ENABLED", "variants": {"on": true, "off": false}, "defaultVariant": "` + def + `"}}}`
}

func TestBadFileIsRefusedAndTheOldStateStays(t *testing.T) {
	tests := []struct{ name, text, says string }{
		{"syntax", "{\n  \"flags\": {\n    \"banner\": {,}\n  }\n}", ":3: not valid JSON: invalid character ','"},
		{"cut off", "{\n  \"flags\": {", ":2: not valid JSON"},
		{"empty", "", ":1: not valid JSON: unexpected EOF"},
		{"trailing", one("banner", "on") + "\n{}", ":2: not valid JSON: expected the end"},
		{"not an object", "[]", ":1: expected an object with the member flags"},
		{"no flags", "{\n\"x\": 1}", ":1: the member flags is missing"},
		{"twice", "{\"flags\": {\n\"a\": {},\n\"a\": {}}}", ":3: not valid JSON: flags.a is defined twice"},
		{"default", "{\"flags\": {\n\"a\": {\"state\": \"ENABLED\",\n\"variants\": {\"on\": true, \"off\": false},\n\"defaultVariant\": \"onn\"}}}", `:4: flags.a.defaultVariant: "onn" is not a variant, expected one of off, on`},
		{"state", "{\"flags\": {\n\"a\": {\"state\": \"enabled\",\n\"variants\": {\"on\": true}}}}", `:2: flags.a.state: expected ENABLED or DISABLED, found "enabled"`},
		{"no variants", "{\"flags\": {\n\"a\": {\"state\": \"ENABLED\"}}}", ":2: flags.a.variants: expected at least one variant"},
		{"mixed", "{\"flags\": {\n\"a\": {\"state\": \"ENABLED\",\"variants\": {\"a\": true,\n\"b\": 1}}}}", ":3: flags.a.variants.b: is a number while others are a boolean"},
		{"types", "{\"flags\": {\n\"a\": {\"state\": 1}}}", ":2: flags.a: state must not be a number"},
		{"targeting", "{\"flags\": {\"a\": {\"state\": \"ENABLED\",\"variants\": {\"a\": true},\n\"targeting\": {\n\"no_such_operator\": []}}}}", "flags.a.targeting"},
		{"array variants", `{"flags": {"a": {"state": "ENABLED","variants": {"a": [1]}}}}`, "flags.a.variants"},
		{"array", "{\"flags\": [\n{\"state\": \"ENABLED\"}]}", ":2: flags.0: the member key is missing"},
		{"deep", strings.Repeat("[", 100) + strings.Repeat("]", 100), "nested more than 64 deep"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "shop.flagd.json")
			write(t, path, one("banner", "on"))
			d := newDisk()
			m := load(t, d, flag.Source{Path: path})
			before := m.State().Flags()
			write(t, path, tt.text)
			for range 2 {
				if err := m.Reload(t.Context()); err != nil {
					t.Fatal(err)
				}
			}
			if diff := cmp.Diff(before, m.State().Flags()); diff != "" {
				t.Errorf("the old state did not stay: %s", diff)
			}
			problems := m.State().Problems()
			if len(problems) != 1 || !strings.Contains(problems[0].Error(), tt.says) || problems[0].File != path {
				t.Errorf("problems: %v, want %q", problems, tt.says)
			}
			if len(d.audits) != 1 || d.audits[0].What != "refused" || d.audits[0].Set != "shop" || !strings.Contains(d.audits[0].Note, tt.says) {
				t.Errorf("audits: %+v", d.audits)
			}
			write(t, path, one("banner", "off"))
			if err := m.Reload(t.Context()); err != nil {
				t.Fatal(err)
			}
			if len(m.State().Problems()) != 0 || variant(t, m, "banner") != "off" {
				t.Errorf("not healed: %v", m.State().Problems())
			}
		})
	}
}

func TestSourceChangesAreOnRecord(t *testing.T) {
	d := newDisk()
	path := filepath.Join(t.TempDir(), "shop.json")
	write(t, path, one("a", "off"))
	m := load(t, d, flag.Source{Path: path, Place: entity.Ref{Service: "cart"}})
	if len(d.events)+len(d.audits) != 0 {
		t.Fatal("the first reading is not a change")
	}
	write(t, path, one("a", "on"))
	if err := m.Reload(t.Context()); err != nil {
		t.Fatal(err)
	}
	if len(d.events) != 1 {
		t.Fatalf("events: %+v", d.events)
	}
	e := d.events[0]
	if e.From != "off" || e.To != "on" || e.Service != "cart" || e.Source != path || e.Undo.Variant != "off" || d.lastAudit().What != "source" {
		t.Errorf("event %+v, audit %+v", e, d.lastAudit())
	}
	if _, _, err := m.Set(t.Context(), flag.Change{Key: "a", Variant: "off", Who: "ann"}); err != nil {
		t.Fatal(err)
	}
	// An edit that a runtime change hides is audited and is not an event.
	write(t, path, strings.Replace(one("a", "on"), `"on"}`, `"off"}`, 1))
	if err := m.Reload(t.Context()); err != nil {
		t.Fatal(err)
	}
	if len(d.events) != 2 || d.lastAudit().Note != "default variant changed" || d.lastAudit().EventID != "" {
		t.Errorf("events %+v, audit %+v", d.events[1:], d.lastAudit())
	}
	// Targeting is beyond what a runtime change hides, and cannot be undone by one.
	write(t, path, strings.Replace(one("a", "off"), `"state"`, `"targeting": {"if": [true, "on"]}, "state"`, 1))
	if err := m.Reload(t.Context()); err != nil {
		t.Fatal(err)
	}
	if last := d.events[len(d.events)-1]; len(d.events) != 3 || last.Title != "Flag a: targeting changed" || last.Undo != nil {
		t.Errorf("event %+v", last)
	}
}

const configMap = `# comment
apiVersion: v1
kind: Service
metadata: {name: other}
---
apiVersion: v1
kind: ConfigMap
metadata:
  name: flags
data:
  README: not a definition
  demo.flagd.json: |
    {
      "flags": {
        "a": {"state": "ENABLED", "variants": {"on": true, "off": false},
          "defaultVariant": "off"}
      }
    }
  second.json: '{"flags": {"b": {"state": "ENABLED", "variants": {"x": 1}, "defaultVariant": "x"}}}'
`

func TestConfigMap(t *testing.T) {
	path := filepath.Join(t.TempDir(), "flags.yaml")
	write(t, path, configMap)
	m := load(t, newDisk(), flag.Source{Path: path})
	a, errA := m.Flag(t.Context(), "demo", "a")
	b, errB := m.Flag(t.Context(), "second", "b")
	if errA != nil || errB != nil || a.Source != path+"#demo.flagd.json" || b.DefaultVariant != "x" {
		t.Errorf("%+v %v, %+v %v", a, errA, b, errB)
	}
	write(t, path, strings.Replace(configMap, `"defaultVariant": "off"`, `"defaultVariant": "of"`, 1))
	if err := m.Reload(t.Context()); err != nil {
		t.Fatal(err)
	}
	p := m.State().Problems()
	if len(p) != 1 || p[0].Line != 16 || p[0].File != path+"#demo.flagd.json" {
		t.Errorf("problems %+v, want line 16", p)
	}
	for text, says := range map[string]string{"a: [": "not valid YAML", "kind: Service\n": "expected a Kubernetes ConfigMap"} {
		write(t, path, text)
		if err := m.Reload(t.Context()); err != nil {
			t.Fatal(err)
		}
		if p := m.State().Problems(); len(p) != 1 || !strings.Contains(p[0].Reason, says) {
			t.Errorf("%q: %+v", text, p)
		}
	}
	if len(m.State().Flags()) != 2 {
		t.Error("the old state did not stay")
	}
}

func TestDirectory(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "one.flagd.json"), one("a", "on"))
	write(t, filepath.Join(dir, "two.json"), one("a", "off"))
	write(t, filepath.Join(dir, "notes.txt"), "x")
	m := load(t, newDisk(), flag.Source{Path: dir})
	if _, err := m.Flag(t.Context(), "", "a"); err == nil || !strings.Contains(err.Error(), "one, two") {
		t.Errorf("ambiguous: %v", err)
	}
	if err := os.Remove(filepath.Join(dir, "two.json")); err != nil {
		t.Fatal(err)
	}
	// A file may move: the other place is free by then.
	if err := os.Rename(filepath.Join(dir, "one.flagd.json"), filepath.Join(dir, "a.one.json")); err != nil {
		t.Fatal(err)
	}
	if err := m.Reload(t.Context()); err != nil {
		t.Fatal(err)
	}
	if f, err := m.Flag(t.Context(), "", "a"); err != nil || f.Set != "a.one" {
		t.Errorf("%+v, %v", f, err)
	}
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	if err := m.Reload(t.Context()); err != nil {
		t.Fatal(err)
	}
	if variant(t, m, "a") != "on" || len(m.State().Problems()) != 1 {
		t.Errorf("a directory that is gone takes its flags along: %v", m.State().Problems())
	}
}

func TestCollision(t *testing.T) {
	dir := t.TempDir()
	first, second := filepath.Join(dir, "1.json"), filepath.Join(dir, "2.json")
	write(t, first, one("a", "on"))
	write(t, second, one("a", "off"))
	m := load(t, newDisk(), flag.Source{Path: first, Set: "s"}, flag.Source{Path: second, Set: "s"})
	if p := m.State().Problems(); variant(t, m, "a") != "on" || len(p) != 1 || !strings.Contains(p[0].Reason, "defined in "+first) {
		t.Errorf("problems %v", p)
	}
	write(t, first, one("b", "on"))
	if err := m.Reload(t.Context()); err != nil {
		t.Fatal(err)
	}
	if len(m.State().Problems()) != 0 || variant(t, m, "a") != "off" || variant(t, m, "b") != "on" {
		t.Errorf("problems %v", m.State().Problems())
	}
}

func TestSetSources(t *testing.T) {
	m := load(t, newDisk(), flag.Source{Document: []byte(one("a", "on")), Set: "x"})
	if variant(t, m, "a") != "on" {
		t.Error("document")
	}
	if err := m.SetSources(t.Context(), []flag.Source{{Document: []byte(one("b", "on")), Set: "y"}}); err != nil {
		t.Fatal(err)
	}
	if _, err := m.Flag(t.Context(), "", "a"); err == nil || variant(t, m, "b") != "on" {
		t.Error("not replaced")
	}
	for _, bad := range []flag.Source{{}, {Path: "x", Document: []byte("{}")}, {Document: []byte("{}")}} {
		if err := m.SetSources(t.Context(), []flag.Source{bad}); err == nil {
			t.Errorf("%+v is accepted", bad)
		}
	}
}

func TestWatchFollowsEveryKindOfReplacement(t *testing.T) {
	dir := t.TempDir()
	// As the kubelet mounts a ConfigMap: files link into a directory that is swapped.
	mount := filepath.Join(dir, "mount")
	generation := func(name, def string) {
		t.Helper()
		if err := os.MkdirAll(filepath.Join(mount, name), 0o700); err != nil {
			t.Fatal(err)
		}
		write(t, filepath.Join(mount, name, "k8s.json"), one("k8s", def))
		if err := os.Symlink(name, filepath.Join(mount, "..tmp")); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(filepath.Join(mount, "..tmp"), filepath.Join(mount, "..data")); err != nil {
			t.Fatal(err)
		}
	}
	generation("..1", "off")
	if err := os.Symlink("..data/k8s.json", filepath.Join(mount, "k8s.json")); err != nil {
		t.Fatal(err)
	}
	plain := filepath.Join(dir, "plain.json")
	write(t, plain, one("plain", "off"))
	m := unloaded(t, newDisk(), flag.Source{Path: mount}, flag.Source{Path: plain})
	run(t, m)
	eventually(t, func() bool { return len(m.State().Flags()) == 2 })

	write(t, plain, one("plain", "on"))
	eventually(t, func() bool { return variant(t, m, "plain") == "on" })

	write(t, plain+".new", one("plain", "off"))
	if err := os.Rename(plain+".new", plain); err != nil {
		t.Fatal(err)
	}
	eventually(t, func() bool { return variant(t, m, "plain") == "off" })

	generation("..2", "on")
	eventually(t, func() bool { return variant(t, m, "k8s") == "on" })
}
