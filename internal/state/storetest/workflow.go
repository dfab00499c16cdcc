package storetest

import (
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tidegate-io/tidegate/change"
	"github.com/tidegate-io/tidegate/fault"
	"github.com/tidegate-io/tidegate/workflow"
)

func workflowRuns(t *testing.T, s Stores) {
	run := workflow.Run{ID: "r1", Workflow: "judge", Definition: workflow.Workflow{Name: "judge", Steps: []workflow.Step{{Name: "v", Validate: &workflow.ValidateStep{Guardian: "g"}}}},
		Event: change.Event{ID: "e", Type: "test.finished", Start: t0}, State: workflow.StatePending, Started: t0,
		Steps: []workflow.StepRun{{Name: "v", Kind: "validate", State: workflow.StatePending, Input: json.RawMessage(`{"a":1}`)}}}
	created, err := s.Workflows.Create(t.Context(), run)
	ok(t, err)
	again, err := s.Workflows.Create(t.Context(), workflow.Run{ID: "r1", Workflow: "other", Started: t0})
	ok(t, err)
	if !created || again {
		t.Errorf("created %v, then %v: want true, then false", created, again)
	}
	got, err := s.Workflows.Run(t.Context(), "r1")
	ok(t, err)
	if d := cmp.Diff(run, got); d != "" {
		t.Errorf("stored run differs:\n%s", d)
	}
	_, err = s.Workflows.Run(t.Context(), "nobody")
	wantKind(t, err, fault.KindNotFound)
	_, err = s.Workflows.Create(t.Context(), workflow.Run{ID: "r2", Workflow: "other", Started: t0.Add(time.Minute)})
	ok(t, err)
	for _, c := range []struct {
		workflow string
		limit    int
		want     []string
	}{{"", 0, []string{"r2", "r1"}}, {"judge", 0, []string{"r1"}}, {"", 1, []string{"r2"}}, {"none", 0, nil}} {
		runs, err := s.Workflows.Runs(t.Context(), c.workflow, c.limit)
		ok(t, err)
		var ids []string
		for _, r := range runs {
			ids = append(ids, r.ID)
		}
		if d := cmp.Diff(c.want, ids); d != "" {
			t.Errorf("runs of %q: %s", c.workflow, d)
		}
	}
}

func workflowLeases(t *testing.T, s Stores) {
	for i := range 3 {
		_, err := s.Workflows.Create(t.Context(), workflow.Run{ID: fmt.Sprint("r", i), Workflow: "w", State: workflow.StatePending, Started: t0.Add(time.Duration(-i) * time.Second)})
		ok(t, err)
	}
	claimable := func(owner string, now time.Time, want ...string) {
		t.Helper()
		ids, err := s.Workflows.Claimable(t.Context(), owner, now, 10)
		ok(t, err)
		if d := cmp.Diff(append([]string{}, want...), ids); d != "" {
			t.Errorf("claimable: %s", d)
		}
	}
	claimable("z", t0, "r2", "r1", "r0")
	until := t0.Add(time.Minute)
	won := inParallel(t, 8, func(i int) (bool, error) {
		_, got, err := s.Workflows.Claim(t.Context(), "r0", workflow.Lease{Owner: fmt.Sprint("o", i), Until: until}, t0)
		return got, err
	})
	if won != 1 {
		t.Fatalf("%d of 8 owners claimed one run, want 1", won)
	}
	claimable("z", t0, "r2", "r1")

	claim := func(owner string, now time.Time, want bool) workflow.Run {
		t.Helper()
		r, got, err := s.Workflows.Claim(t.Context(), "r1", workflow.Lease{Owner: owner, Until: now.Add(time.Minute)}, now)
		ok(t, err)
		if got != want {
			t.Fatalf("claim by %s at %v: %v, want %v", owner, now.Sub(t0), got, want)
		}
		return r
	}
	a := claim("a", t0, true)
	claimable("a", t0, "r2", "r1") // its own are among them
	claimable("z", t0, "r2")
	claim("a", t0.Add(time.Second), true) // its own
	claim("b", t0.Add(time.Second), false)
	a.State = workflow.StateRunning
	ok(t, s.Workflows.Save(t.Context(), a, workflow.Lease{Owner: "a", Until: t0.Add(time.Hour)}))
	claim("b", t0.Add(30*time.Minute), false) // Save extended the lease
	b := claim("b", t0.Add(time.Hour), true)
	if b.State != workflow.StateRunning {
		t.Errorf("claimed run has state %q, want what was saved", b.State)
	}
	wantKind(t, s.Workflows.Save(t.Context(), a, workflow.Lease{Owner: "a", Until: t0.Add(9 * time.Hour)}), fault.KindConflict)

	b.State = workflow.StateDone
	ok(t, s.Workflows.Save(t.Context(), b, workflow.Lease{Owner: "b"}))
	claim("c", t0.Add(24*time.Hour), false) // finished
	claimable("z", t0.Add(24*time.Hour), "r2", "r0")
	_, got, err := s.Workflows.Claim(t.Context(), "nobody", workflow.Lease{Owner: "c", Until: until}, t0)
	ok(t, err)
	if got {
		t.Error("claimed a run that does not exist")
	}
}
