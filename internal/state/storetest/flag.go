package storetest

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tidegate-io/tidegate/fault"
	"github.com/tidegate-io/tidegate/flag"
)

func flagOverrides(t *testing.T, s Stores) {
	set := func(set, key, variant, id string) {
		t.Helper()
		applied, err := s.Flags.SetOverride(t.Context(),
			flag.Override{Set: set, Key: key, Variant: variant, Who: "ann", Reason: "why", At: t0, EventID: "e-" + id},
			flag.Audit{ID: id, Set: set, Key: key, To: variant, At: t0}, "")
		ok(t, err)
		if !applied {
			t.Fatalf("override %s/%s was not applied", set, key)
		}
	}
	set("shop", "b", "on", "1")
	set("shop", "a", "on", "2")
	set("shop", "b", "off", "3")
	set("demo", "b", "on", "4")
	got, err := s.Flags.Overrides(t.Context())
	ok(t, err)
	want := []flag.Override{
		{Set: "demo", Key: "b", Variant: "on", Who: "ann", Reason: "why", At: t0, EventID: "e-4"},
		{Set: "shop", Key: "a", Variant: "on", Who: "ann", Reason: "why", At: t0, EventID: "e-2"},
		{Set: "shop", Key: "b", Variant: "off", Who: "ann", Reason: "why", At: t0, EventID: "e-3"},
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	ok(t, s.Flags.ClearOverride(t.Context(), "shop", "b", flag.Audit{ID: "5", Set: "shop", Key: "b", At: t0}))
	wantKind(t, s.Flags.ClearOverride(t.Context(), "shop", "b", flag.Audit{ID: "6", Set: "shop", Key: "b", At: t0}), fault.KindNotFound)
	got, err = s.Flags.Overrides(t.Context())
	ok(t, err)
	if d := cmp.Diff(want[:2], got); d != "" {
		t.Error(d)
	}
	audits, err := s.Flags.Audits(t.Context(), "", "", 0)
	ok(t, err)
	if d := cmp.Diff([]string{"5", "4", "3", "2", "1"}, auditIDs(audits)); d != "" {
		t.Errorf("a change and its audit line are one:\n%s", d)
	}
	_, err = s.Flags.SetOverride(t.Context(), flag.Override{Set: "shop", Key: "c"}, flag.Audit{ID: "1"}, "k")
	wantKind(t, err, fault.KindConflict)
	got, err = s.Flags.Overrides(t.Context())
	ok(t, err)
	if len(got) != 2 {
		t.Errorf("a refused change left its override: %+v", got)
	}
	applied, err := s.Flags.SetOverride(t.Context(), flag.Override{Set: "shop", Key: "c"}, flag.Audit{ID: "7", At: t0}, "k")
	ok(t, err)
	if !applied {
		t.Error("a refused change used up its idempotency key")
	}
}

func flagIdempotency(t *testing.T, s Stores) {
	applied := inParallel(t, 8, func(i int) (bool, error) {
		return s.Flags.SetOverride(t.Context(),
			flag.Override{Set: "s", Key: "k", Variant: fmt.Sprint(i), At: t0},
			flag.Audit{ID: fmt.Sprint("a", i), Set: "s", Key: "k", At: t0}, "same-key")
	})
	if applied != 1 {
		t.Errorf("%d of 8 changes with one key were applied, want 1", applied)
	}
	audits, err := s.Flags.Audits(t.Context(), "s", "k", 0)
	ok(t, err)
	overrides, err := s.Flags.Overrides(t.Context())
	ok(t, err)
	if len(audits) != 1 || len(overrides) != 1 || audits[0].ID != "a"+overrides[0].Variant {
		t.Errorf("audits %+v and overrides %+v: want the one that was applied", audits, overrides)
	}
}

func flagAudits(t *testing.T, s Stores) {
	for i, key := range []string{"a", "b", "a"} {
		ok(t, s.Flags.AddAudit(t.Context(), flag.Audit{ID: fmt.Sprint(i), Set: "s", Key: key, From: "x", To: "y", Who: "w",
			Reason: "r", At: t0.Add(time.Duration(i) * time.Second), EventID: "e", What: "source", Note: "n"}))
	}
	wantKind(t, s.Flags.AddAudit(t.Context(), flag.Audit{ID: "0"}), fault.KindConflict)
	for _, c := range []struct {
		set, key string
		limit    int
		want     []string
	}{
		{"", "", 0, []string{"2", "1", "0"}},
		{"s", "a", 0, []string{"2", "0"}},
		{"", "b", 0, []string{"1"}},
		{"t", "", 0, []string{}},
		{"s", "", 1, []string{"2"}},
	} {
		got, err := s.Flags.Audits(t.Context(), c.set, c.key, c.limit)
		ok(t, err)
		if d := cmp.Diff(c.want, auditIDs(got)); d != "" {
			t.Errorf("audits of %q/%q: %s", c.set, c.key, d)
		}
	}
}

func auditIDs(audits []flag.Audit) []string {
	ids := make([]string, len(audits))
	for i, a := range audits {
		ids[i] = a.ID
	}
	return ids
}
