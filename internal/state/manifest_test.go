//go:build unix

package state_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/tidegate-io/tidegate/fault"
	"github.com/tidegate-io/tidegate/internal/state"
)

func testManifests(t *testing.T, s *state.Manifests) {
	at := time.Date(2026, 3, 1, 12, 0, 0, 5, time.UTC)
	put := func(want []state.Change, ms ...state.Manifest) {
		t.Helper()
		got, err := s.Put(t.Context(), ms...)
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(want, got); d != "" {
			t.Fatal(d)
		}
	}
	checkout := state.Manifest{Kind: "Guardian", Name: "checkout", Source: "shop.yaml", YAML: "kind: Guardian # ü '?\n", Updated: at, By: "ann"}
	flow := state.Manifest{Kind: "Workflow", Name: "judge", Source: "shop.yaml", YAML: "kind: Workflow", Updated: at, By: "ann"}
	put([]state.Change{state.Created, state.Created}, flow, checkout)

	later := checkout
	later.Updated, later.By = at.Add(time.Hour), "bob"
	put([]state.Change{state.Unchanged}, later)
	got, err := s.Get(t.Context(), "Guardian", "checkout")
	if err != nil {
		t.Fatal(err)
	}
	want := checkout
	if d := cmp.Diff(want, got, cmpopts.IgnoreFields(state.Manifest{}, "BaseModel", "UpdatedNs", "SHA256")); d != "" || len(got.SHA256) != 64 {
		t.Errorf("stored manifest (sha256 %q) differs:\n%s", got.SHA256, d)
	}
	later.YAML = "kind: Guardian # changed"
	put([]state.Change{state.Replaced}, later)

	// All or none: the second of these is refused.
	if _, err := s.Put(t.Context(), state.Manifest{Kind: "Guardian", Name: "new", YAML: "x"}, state.Manifest{Kind: "Guardian"}); !fault.Is(err, fault.KindInvalid) {
		t.Errorf("a manifest without a name: %v, want a fault of kind invalid", err)
	}
	names := func(kind string) (out []string) {
		t.Helper()
		ms, err := s.List(t.Context(), kind)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range ms {
			out = append(out, m.Kind+"/"+m.Name+" by "+m.By)
		}
		return out
	}
	if d := cmp.Diff([]string{"Guardian/checkout by bob", "Workflow/judge by ann"}, names("")); d != "" {
		t.Error(d)
	}
	if d := cmp.Diff([]string{"Workflow/judge by ann"}, names("Workflow")); d != "" {
		t.Error(d)
	}
	if err := s.Delete(t.Context(), "Guardian", "checkout"); err != nil {
		t.Fatal(err)
	}
	if err := s.Delete(t.Context(), "Guardian", "checkout"); !fault.Is(err, fault.KindNotFound) {
		t.Errorf("second delete: %v, want a fault of kind not found", err)
	}
	if _, err := s.Get(t.Context(), "Guardian", "checkout"); !fault.Is(err, fault.KindNotFound) {
		t.Errorf("get after delete: %v, want a fault of kind not found", err)
	}
}
