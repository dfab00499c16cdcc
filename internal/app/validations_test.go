package app

import (
	"fmt"
	"testing"
	"time"

	"github.com/tidegate-io/tidegate/delivery/signature"
	"github.com/tidegate-io/tidegate/delivery/validation"
	"github.com/tidegate-io/tidegate/entity"
	"github.com/tidegate-io/tidegate/internal/tsdb"
)

// Rules hold for what was seen before them, and no longer when they are gone.
func TestRulesHoldForWhatWasSeen(t *testing.T) {
	e := newEntities()
	e.saw(service("cart", map[string]string{"process.environment_variable.GROUP": "Staging"}))
	rules, err := entity.NewRules([]entity.TagRule{{Key: "group", Value: "{env.GROUP}"}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	e.setRules(rules)
	e.saw(service("cart", map[string]string{"more": "x"}))
	if tags := e.tagsOf(t, "SERVICE-cart"); tags["group"] != "Staging" || tags["more"] != "x" {
		t.Errorf("tags %v", tags)
	}
	if raw := e.raw(); raw[0].Tags["group"] != "" {
		t.Errorf("what telemetry told has the rule's tag: %v", raw[0].Tags)
	}
	e.setRules(entity.Rules{})
	if tags := e.tagsOf(t, "SERVICE-cart"); tags["group"] != "" || tags["more"] != "x" {
		t.Errorf("without rules: %v", tags)
	}
}

// A service runs on as many instances as are heard of; one that has no
// instances to tell of has no data.
func TestInstancesAreCounted(t *testing.T) {
	db, err := tsdb.Open(tsdb.Config{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	a := &App{entities: newEntities(), metrics: db}
	ref := entity.Ref{Service: "cart", Environment: "staging", Version: "1"}
	for i := range 3 {
		a.entities.saw(entity.Entity{ID: fmt.Sprint("PROCESS-", i), Type: entity.TypeProcess, Ref: ref})
	}
	a.entities.saw(entity.Entity{ID: "SERVICE-cart", Type: entity.TypeService, Ref: ref})
	now := time.Now()
	if err := a.writeInstances(t.Context(), now); err != nil {
		t.Fatal(err)
	}
	ask := func(of entity.Ref, at time.Time) []float64 {
		t.Helper()
		s, queries, err := relations{db}.Relation(t.Context(), signature.RunsOn, of, validation.Window{From: at.Add(-time.Minute), To: at})
		if err != nil || s.Err != "" || len(queries) != 1 {
			t.Fatalf("%v %s, by %q", err, s.Err, queries)
		}
		var out []float64
		for _, sl := range s.Slices {
			out = append(out, float64(sl.Value))
		}
		return out
	}
	if got := ask(entity.Ref{Service: "cart", Environment: "staging"}, now.Add(time.Second)); len(got) != 1 || got[0] != 3 {
		t.Errorf("cart runs on %v instances, want 3", got)
	}
	for _, nothing := range [][]float64{ask(entity.Ref{Service: "web"}, now.Add(time.Second)), ask(ref, now.Add(time.Hour))} {
		if len(nothing) != 0 {
			t.Errorf("%v instances of what was not heard of", nothing)
		}
	}
	if gone := a.entities.seenSince(now.Add(time.Minute)); len(gone) != 0 {
		t.Errorf("%d entities heard of in the future", len(gone))
	}
}
