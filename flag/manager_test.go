package flag_test

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tidegate-io/tidegate/change"
	"github.com/tidegate-io/tidegate/entity"
	"github.com/tidegate-io/tidegate/fault"
	"github.com/tidegate-io/tidegate/flag"
)

const shop = `{
  "$schema": "https://flagd.dev/schema/v0/flags.json",
  "metadata": {"environment": "dev"},
  "flags": {
    "paymentServiceFailure": {
      "state": "ENABLED",
      "variants": {"on": true, "off": false},
      "defaultVariant": "off",
      "metadata": {"service": "payment"}
    },
    "banner": {
      "state": "ENABLED",
      "variants": {"red": "#f00", "blue": "#00f"},
      "defaultVariant": "blue",
      "targeting": {"if": [{"==": [{"var": "email"}, "a@b.c"]}, "red", null]}
    },
    "old": {"state": "DISABLED", "variants": {"on": true, "off": false}, "defaultVariant": "off"}
  }
}`

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// shopFile writes the shop's flags into a fresh directory.
func shopFile(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "shop.flagd.json")
	write(t, path, shop)
	return path
}

func load(t *testing.T, d *disk, sources ...flag.Source) *flag.Manager {
	t.Helper()
	m := unloaded(t, d, sources...)
	if err := m.Load(t.Context()); err != nil {
		t.Fatal(err)
	}
	return m
}

func unloaded(t *testing.T, d *disk, sources ...flag.Source) *flag.Manager {
	t.Helper()
	m, err := flag.New(flag.Config{Store: d, Recorder: d, Sources: sources, Now: func() time.Time { return noon }, Rescan: time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func variant(t *testing.T, m *flag.Manager, key string) string {
	t.Helper()
	f, err := m.Flag(t.Context(), "", key)
	if err != nil {
		t.Fatal(err)
	}
	return f.DefaultVariant
}

// served is the default variant in the document that is served.
func served(t *testing.T, m *flag.Manager, key string) string {
	t.Helper()
	for _, d := range m.State().Documents() {
		var doc struct {
			Flags map[string]struct{ DefaultVariant string }
		}
		if err := json.Unmarshal(d.JSON, &doc); err != nil {
			t.Fatal(err)
		}
		if f, ok := doc.Flags[key]; ok {
			return f.DefaultVariant
		}
	}
	t.Fatalf("flag %s is not served", key)
	return ""
}

func TestFlagsAsPeopleSeeThem(t *testing.T) {
	path := shopFile(t)
	m := load(t, newDisk(), flag.Source{Path: path, Place: entity.Ref{Service: "frontend"}})
	got, err := m.Flag(t.Context(), "shop", "paymentServiceFailure")
	if err != nil {
		t.Fatal(err)
	}
	want := flag.Flag{
		Set: "shop", Key: "paymentServiceFailure", State: "ENABLED",
		Variants:       map[string]json.RawMessage{"on": json.RawMessage("true"), "off": json.RawMessage("false")},
		DefaultVariant: "off", SourceVariant: "off",
		Metadata: map[string]string{"environment": "dev", "service": "payment"},
		Service:  "payment", Environment: "dev", Source: path,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	banner, err := m.Flag(t.Context(), "", "banner")
	if err != nil || banner.Service != "frontend" || banner.Targeting == nil {
		t.Errorf("banner: %+v, %v", banner, err)
	}
	if _, err := m.Flag(t.Context(), "", "nothing"); !fault.Is(err, fault.KindNotFound) {
		t.Errorf("unknown flag: %v", err)
	}
	if n := len(m.State().Documents()); n != 1 || !strings.Contains(string(m.State().Documents()[0].JSON), `"flagSetId":"shop"`) {
		t.Errorf("documents: %s", m.State().Documents()[0].JSON)
	}
}

func TestSetIsOnRecordBeforeItIsServed(t *testing.T) {
	d := newDisk()
	m := load(t, d, flag.Source{Path: shopFile(t)})
	before := m.State().Changed()
	d.onRecord = func() {
		if v := variant(t, m, "paymentServiceFailure"); v != "off" {
			t.Errorf("served %s before its event was recorded", v)
		}
		if len(d.overrides) != 1 || len(d.audits) != 1 {
			t.Error("the event is recorded before the change and its audit are stored")
		}
	}
	f, e, err := m.Set(t.Context(), flag.Change{Key: "paymentServiceFailure", Variant: "on", Who: "ann", Reason: "trial"})
	if err != nil {
		t.Fatal(err)
	}
	if f.DefaultVariant != "on" || f.SourceVariant != "off" || f.Override == nil || served(t, m, "paymentServiceFailure") != "on" {
		t.Errorf("flag: %+v", f)
	}
	want := change.Event{
		ID: e.ID, Type: "flag.changed", Kind: change.KindFlag, Title: "Flag paymentServiceFailure: off → on",
		Who: "ann", Reason: "trial", Source: "tidegate", Start: noon,
		Ref: entity.Ref{Service: "payment", Environment: "dev"}, Key: "paymentServiceFailure", From: "off", To: "on",
		Properties: map[string]string{"feature_flag.key": "paymentServiceFailure", "feature_flag.set.id": "shop"},
		Undo:       &change.Undo{Kind: "flag", FlagSet: "shop", FlagKey: "paymentServiceFailure", Variant: "off"},
	}
	if diff := cmp.Diff(want, e); diff != "" {
		t.Error(diff)
	}
	select {
	case <-before:
	default:
		t.Error("whoever waits for a change was not woken")
	}
	a := d.lastAudit()
	if a.From != "off" || a.To != "on" || a.Who != "ann" || a.EventID != e.ID || a.What != "runtime" {
		t.Errorf("audit: %+v", a)
	}
}

func TestSetCarriesItsUndo(t *testing.T) {
	d := newDisk()
	m := load(t, d, flag.Source{Path: shopFile(t)})
	_, e, err := m.Set(t.Context(), flag.Change{Key: "banner", Variant: "red", Who: "ann", OnFailure: "red"})
	if err != nil || e.Undo.Variant != "red" {
		t.Fatalf("%+v, %v", e.Undo, err)
	}
	_, undo, err := m.Set(t.Context(), flag.Change{Set: e.Undo.FlagSet, Key: e.Undo.FlagKey, Variant: "blue", Who: "guardian", UndoOf: e.ID})
	if err != nil || undo.UndoOf != e.ID || undo.From != "red" || undo.To != "blue" {
		t.Errorf("undo: %+v, %v", undo, err)
	}
}

func TestSetRefuses(t *testing.T) {
	d := newDisk()
	m := load(t, d, flag.Source{Path: shopFile(t)})
	tests := []struct {
		change flag.Change
		kind   fault.Kind
		says   string
	}{
		{flag.Change{Key: "nothing", Variant: "on", Who: "a"}, fault.KindNotFound, `no flag "nothing"`},
		{flag.Change{Set: "x", Key: "banner", Variant: "on", Who: "a"}, fault.KindNotFound, `in set "x"`},
		{flag.Change{Key: "banner", Variant: "on", Who: "a"}, fault.KindInvalid, "expected one of blue, red"},
		{flag.Change{Key: "banner", Variant: "red", Who: "a", OnFailure: "x"}, fault.KindInvalid, "onFailure"},
		{flag.Change{Key: "banner", Variant: "red"}, fault.KindInvalid, "who"},
		{flag.Change{Key: "old", Variant: "on", Who: "a"}, fault.KindConflict, "DISABLED"},
	}
	for _, tt := range tests {
		_, _, err := m.Set(t.Context(), tt.change)
		if !fault.Is(err, tt.kind) || !strings.Contains(err.Error(), tt.says) {
			t.Errorf("%+v: %v", tt.change, err)
		}
	}
	if len(d.audits)+len(d.events)+len(d.overrides) != 0 {
		t.Error("something was stored")
	}
}

func TestSetIsIdempotent(t *testing.T) {
	d := newDisk()
	m := load(t, d, flag.Source{Path: shopFile(t)})
	c := flag.Change{Key: "banner", Variant: "red", Who: "ann", IdempotencyKey: "k1"}
	_, first, err := m.Set(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := m.Set(t.Context(), flag.Change{Key: "banner", Variant: "blue", Who: "bob"}); err != nil {
		t.Fatal(err)
	}
	// A late repetition of the first must not undo the second.
	f, again, err := m.Set(t.Context(), c)
	if err != nil || again.ID != first.ID || f.DefaultVariant != "blue" {
		t.Errorf("repeated: %+v, %s, %v", again, f.DefaultVariant, err)
	}
	c.Variant = "blue"
	if _, _, err := m.Set(t.Context(), c); !fault.Is(err, fault.KindConflict) {
		t.Errorf("another change under the same key: %v", err)
	}
	if _, _, err := m.Set(t.Context(), flag.Change{Key: "paymentServiceFailure", Variant: "on", Who: "x", IdempotencyKey: "k1"}); !fault.Is(err, fault.KindConflict) {
		t.Errorf("another flag under the same key: %v", err)
	}
	if len(d.events) != 2 {
		t.Errorf("%d events", len(d.events))
	}
	// Setting what is in force already reports who brought it about.
	_, e, err := m.Set(t.Context(), flag.Change{Key: "banner", Variant: "blue", Who: "eve"})
	if err != nil || e.Who != "bob" || len(d.events) != 2 {
		t.Errorf("unchanged: %+v, %v", e, err)
	}
}

func TestChangesSurviveARestart(t *testing.T) {
	d := newDisk()
	path := shopFile(t)
	m := load(t, d, flag.Source{Path: path})
	if _, _, err := m.Set(t.Context(), flag.Change{Key: "banner", Variant: "red", Who: "ann"}); err != nil {
		t.Fatal(err)
	}
	m = load(t, d, flag.Source{Path: path})
	if v := served(t, m, "banner"); v != "red" {
		t.Errorf("after a restart: %s", v)
	}
	f, e, err := m.Clear(t.Context(), "", "banner", "bob", "done")
	if err != nil || f.DefaultVariant != "blue" || f.Override != nil || e.From != "red" || e.To != "blue" || e.Undo.Variant != "red" {
		t.Errorf("cleared: %+v, %+v, %v", f, e, err)
	}
	if _, e, err := m.Clear(t.Context(), "", "banner", "bob", ""); err != nil || e.ID != "" {
		t.Errorf("nothing to clear: %+v, %v", e, err)
	}
	if v := served(t, load(t, d, flag.Source{Path: path}), "banner"); v != "blue" {
		t.Errorf("after clearing and a restart: %s", v)
	}
}

func TestCrashBetweenStoringAndReporting(t *testing.T) {
	d := newDisk()
	path := shopFile(t)
	m := load(t, d, flag.Source{Path: path})
	d.failRecord = errDown
	_, _, err := m.Set(t.Context(), flag.Change{Key: "banner", Variant: "red", Who: "ann", Reason: "why", OnFailure: "red", UndoOf: "x"})
	if !fault.Is(err, fault.KindUnavailable) {
		t.Fatalf("error: %v", err)
	}
	if v := served(t, m, "banner"); v != "blue" {
		t.Errorf("served %s without a record of it", v)
	}
	// The crash: a new process finds the change, and no event of it.
	d.failRecord = nil
	m = unloaded(t, d, flag.Source{Path: path})
	d.onRecord = func() {
		if len(m.State().Documents()) != 0 {
			t.Error("served before it was reported")
		}
	}
	if err := m.Load(t.Context()); err != nil {
		t.Fatal(err)
	}
	if v := served(t, m, "banner"); v != "red" {
		t.Errorf("after the restart: %s", v)
	}
	if len(d.events) != 1 {
		t.Fatalf("%d events", len(d.events))
	}
	e := d.events[0]
	if e.ID != d.lastAudit().EventID || e.Who != "ann" || e.Reason != "why" || e.From != "blue" || e.To != "red" || e.Undo.Variant != "red" || e.UndoOf != "x" {
		t.Errorf("event: %+v", e)
	}
	load(t, d, flag.Source{Path: path})
	if len(d.events) != 1 {
		t.Error("reported again at the next start")
	}
}

func TestUnreportedChangeIsFinishedLater(t *testing.T) {
	d := newDisk()
	m := load(t, d, flag.Source{Path: shopFile(t)})
	d.failRecord = errDown
	if _, _, err := m.Set(t.Context(), flag.Change{Key: "banner", Variant: "red", Who: "ann"}); err == nil {
		t.Fatal("no error")
	}
	if _, _, err := m.Set(t.Context(), flag.Change{Key: "paymentServiceFailure", Variant: "on", Who: "bob"}); !fault.Is(err, fault.KindUnavailable) {
		t.Fatalf("a later change overtakes: %v", err)
	}
	d.failRecord = nil
	run(t, m)
	eventually(t, func() bool { return variant(t, m, "banner") == "red" })
	if got := d.recorded(); len(got) != 1 || got[0].Who != "ann" {
		t.Errorf("events: %+v", got)
	}
}

func TestFailingStoreChangesNothing(t *testing.T) {
	d := newDisk()
	m := load(t, d, flag.Source{Path: shopFile(t)})
	d.failStore = errDown
	if _, _, err := m.Set(t.Context(), flag.Change{Key: "banner", Variant: "red", Who: "ann"}); err == nil {
		t.Fatal("no error")
	}
	d.failStore = nil
	if variant(t, m, "banner") != "blue" || len(d.events) != 0 {
		t.Error("something happened")
	}
}

func TestConcurrentChangesHaveOneOrder(t *testing.T) {
	d := newDisk()
	m := load(t, d, flag.Source{Path: shopFile(t)})
	var wg sync.WaitGroup
	for i := range 20 {
		wg.Go(func() {
			v := []string{"red", "blue"}[i%2]
			if _, _, err := m.Set(context.Background(), flag.Change{Key: "banner", Variant: v, Who: fmt.Sprint(i)}); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	v := "blue"
	for _, e := range d.events {
		if e.From != v {
			t.Fatalf("event goes from %s although %s was in force", e.From, v)
		}
		v = e.To
	}
	if variant(t, m, "banner") != v {
		t.Errorf("in force is %s, the last event says %s", variant(t, m, "banner"), v)
	}
}

func TestOverrideOfAVariantThatIsGone(t *testing.T) {
	d := newDisk()
	path := shopFile(t)
	m := load(t, d, flag.Source{Path: path})
	if _, _, err := m.Set(t.Context(), flag.Change{Key: "banner", Variant: "red", Who: "ann"}); err != nil {
		t.Fatal(err)
	}
	write(t, path, `{"flags": {"banner": {"state": "ENABLED", "variants": {"green": "#0f0"}, "defaultVariant": "green"}}}`)
	if err := m.Reload(t.Context()); err != nil {
		t.Fatal(err)
	}
	f, err := m.Flag(t.Context(), "", "banner")
	if err != nil || f.DefaultVariant != "green" || f.Override != nil || served(t, m, "banner") != "green" {
		t.Errorf("%+v, %v", f, err)
	}
}

// run follows the sources until the test ends.
func run(t *testing.T, m *flag.Manager) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- m.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
}

func eventually(t *testing.T, holds func() bool) {
	t.Helper()
	deadline := time.Now().Add(10 * time.Second)
	for !holds() {
		if time.Now().After(deadline) {
			t.Fatal("did not happen in 10 s")
		}
		time.Sleep(5 * time.Millisecond)
	}
}
