package storetest

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tidegate-io/tidegate/delivery/deploy"
	"github.com/tidegate-io/tidegate/delivery/pipeline"
	"github.com/tidegate-io/tidegate/fault"
)

func release(id, name string) pipeline.Release {
	return pipeline.Release{ID: id, Pipeline: name, Revision: deploy.Revision{Version: "1", Properties: map[string]string{"a": "b"}},
		State: pipeline.StateQueued, Who: "kim", Created: t0, Definition: pipeline.Pipeline{Name: name, Stages: []pipeline.Stage{{Name: "staging"}}},
		Stages: []pipeline.StageRun{
			{Name: "staging", State: pipeline.StatePending, Attempt: 1, Actions: []pipeline.ActionRun{{Name: "deploy", Kind: pipeline.KindDeploy, State: pipeline.StatePending}}},
			{Name: "production", State: pipeline.StatePending, Attempt: 1, Actions: []pipeline.ActionRun{}}}}
}

func created(t *testing.T, s Stores, r pipeline.Release) pipeline.Release {
	t.Helper()
	r, fresh, err := s.Pipelines.Create(t.Context(), r)
	ok(t, err)
	if !fresh {
		t.Fatalf("release %s was there already", r.ID)
	}
	return r
}

func releasesKept(t *testing.T, s Stores) {
	want := created(t, s, release("r1", "shop"))
	if want.Number != 1 {
		t.Errorf("the first release has number %d", want.Number)
	}
	got, err := s.Pipelines.Release(t.Context(), "r1")
	ok(t, err)
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("stored release differs:\n%s", d)
	}
	again := release("r1", "shop")
	again.Who = "other"
	again, fresh, err := s.Pipelines.Create(t.Context(), again)
	ok(t, err)
	if fresh || again.Who != "kim" || again.Number != 1 {
		t.Errorf("created twice: %v, %s, number %d", fresh, again.Who, again.Number)
	}
	created(t, s, release("c1", "cart"))
	if n := created(t, s, release("r2", "shop")).Number; n != 2 {
		t.Errorf("the second release has number %d: the refused one left a gap", n)
	}
	_, err = s.Pipelines.Release(t.Context(), "nobody")
	wantKind(t, err, fault.KindNotFound)
	for _, c := range []struct {
		q    pipeline.ReleaseQuery
		want []string
	}{
		{pipeline.ReleaseQuery{Pipeline: "shop"}, []string{"r2", "r1"}},
		{pipeline.ReleaseQuery{Pipeline: "shop", Before: 2}, []string{"r1"}},
		{pipeline.ReleaseQuery{Pipeline: "shop", Limit: 1}, []string{"r2"}},
		{pipeline.ReleaseQuery{Limit: 10}, []string{"r2", "r1", "c1"}},
		{pipeline.ReleaseQuery{Pipeline: "none"}, nil},
	} {
		list, err := s.Pipelines.Releases(t.Context(), c.q)
		ok(t, err)
		var ids []string
		for _, r := range list {
			ids = append(ids, r.ID)
		}
		if d := cmp.Diff(c.want, ids); d != "" {
			t.Errorf("%+v: %s", c.q, d)
		}
	}
}

func releaseLeases(t *testing.T, s Stores) {
	r := created(t, s, release("r1", "shop"))
	until := t0.Add(time.Minute)
	won := inParallel(t, 8, func(i int) (bool, error) {
		_, got, err := s.Pipelines.Claim(t.Context(), "r1", pipeline.Lease{Owner: fmt.Sprint("o", i), Until: until}, t0)
		return got, err
	})
	if won != 1 {
		t.Fatalf("%d of 8 owners claimed one release, want 1", won)
	}
	wantKind(t, s.Pipelines.Save(t.Context(), r, pipeline.Lease{Owner: "stranger"}), fault.KindConflict)
	_, err := s.Pipelines.Enter(t.Context(), r, pipeline.Lease{Owner: "stranger"})
	wantKind(t, err, fault.KindConflict)

	claim := func(owner string, now time.Time, want bool) {
		t.Helper()
		_, got, err := s.Pipelines.Claim(t.Context(), "r1", pipeline.Lease{Owner: owner, Until: now.Add(time.Minute)}, now)
		ok(t, err)
		if got != want {
			t.Fatalf("claim by %s at %v: %v, want %v", owner, now.Sub(t0), got, want)
		}
	}
	claimable := func(owner string, now time.Time, want ...string) {
		t.Helper()
		ids, err := s.Pipelines.Claimable(t.Context(), owner, now, 10)
		ok(t, err)
		if d := cmp.Diff(append([]string{}, want...), ids); d != "" {
			t.Errorf("claimable by %s at %v: %s", owner, now.Sub(t0), d)
		}
	}
	claim("a", until, true)
	r.Due = until.Add(time.Hour)
	ok(t, s.Pipelines.Save(t.Context(), r, pipeline.Lease{Owner: "a"})) // parked
	claimable("b", until)
	claimable("b", r.Due, "r1")
	claim("b", until, true) // woken before it is due
	claim("a", until, false)
	claimable("b", r.Due.Add(-time.Second))

	r.State = pipeline.StateFailed
	ok(t, s.Pipelines.Save(t.Context(), r, pipeline.Lease{Owner: "b"}))
	claim("b", r.Due.Add(time.Hour), false) // finished
	claimable("b", r.Due.Add(time.Hour))

	r.State, r.Due = pipeline.StateQueued, time.Time{}
	reopened := inParallel(t, 8, func(int) (bool, error) { return s.Pipelines.Reopen(t.Context(), r) })
	if reopened != 1 {
		t.Errorf("reopened %d times at once, want once", reopened)
	}
	claimable("c", t0, "r1")
}

func stagesHoldOne(t *testing.T, s Stores) {
	const n = 6
	var all [n]pipeline.Release
	for i := range all {
		r := created(t, s, release(fmt.Sprint("r", i), "shop"))
		l := pipeline.Lease{Owner: "o", Until: t0.Add(time.Hour)}
		_, got, err := s.Pipelines.Claim(t.Context(), r.ID, l, t0)
		ok(t, err)
		if !got {
			t.Fatal("not claimed")
		}
		r.State, r.Stages[0].State, r.Stages[0].Entered = pipeline.StateRunning, pipeline.StateRunning, t0
		all[i] = r
	}
	lease := pipeline.Lease{Owner: "o", Until: t0.Add(time.Hour)}
	var who [n]bool
	entered := inParallel(t, n, func(i int) (bool, error) {
		in, err := s.Pipelines.Enter(t.Context(), all[i], lease)
		who[i] = in
		return in, err
	})
	if entered != 1 {
		t.Fatalf("%d releases entered one stage at once, want 1", entered)
	}
	in, out := 0, 1
	for i := range who {
		if who[i] {
			in, out = i, (i+1)%n
		}
	}
	stored, err := s.Pipelines.Release(t.Context(), all[out].ID)
	ok(t, err)
	if stored.State != pipeline.StateQueued {
		t.Errorf("a release that did not enter is stored as %s", stored.State)
	}
	// On to the next stage: the first is free.
	all[in].Stages[0].State, all[in].Stage = pipeline.StateSucceeded, 1
	ok(t, s.Pipelines.Save(t.Context(), all[in], lease))
	free, err := s.Pipelines.Enter(t.Context(), all[out], lease)
	ok(t, err)
	if !free {
		t.Error("the stage is not free after its release has left")
	}
}

func decisionsOnce(t *testing.T, s Stores) {
	_, there, err := s.Pipelines.Decision(t.Context(), "r1", "staging", "approve", 1)
	ok(t, err)
	if there {
		t.Error("there is a decision that nobody took")
	}
	won := inParallel(t, 8, func(i int) (bool, error) {
		d := pipeline.Decision{Release: "r1", Stage: "staging", Action: "approve", Attempt: 1,
			Approval: pipeline.Approval{Approved: i%2 == 0, By: fmt.Sprint("p", i), At: t0}}
		stands, won, err := s.Pipelines.Decide(t.Context(), d)
		if won != (stands.By == d.By) {
			return won, fmt.Errorf("%s: won %v, but %s stands", d.By, won, stands.By)
		}
		return won, err
	})
	if won != 1 {
		t.Errorf("%d of 8 decisions stand, want 1", won)
	}
	d, there, err := s.Pipelines.Decision(t.Context(), "r1", "staging", "approve", 1)
	ok(t, err)
	if !there || d.At != t0 {
		t.Errorf("decision: %v %+v", there, d)
	}
	if _, there, _ := s.Pipelines.Decision(t.Context(), "r1", "staging", "approve", 2); there {
		t.Error("the next attempt is decided already")
	}
}

func deployments(t *testing.T, s Stores) {
	put := func(id, env, release string, at time.Duration) pipeline.Deployment {
		d := pipeline.Deployment{ID: id, Target: deploy.Target{App: "shop", Environment: env}, With: "process", State: pipeline.DeploymentStarted,
			Verdict: pipeline.Open, Release: release, Started: t0.Add(at)}
		ok(t, s.Pipelines.PutDeployment(t.Context(), d))
		return d
	}
	put("d1", "staging", "r1", 0)
	d := put("d2", "production", "r1", time.Second)
	put("d3", "production", "r2", 2*time.Second)
	d.State, d.Verdict, d.Address = pipeline.DeploymentDone, pipeline.Good, "http://x"
	ok(t, s.Pipelines.PutDeployment(t.Context(), d))
	got, err := s.Pipelines.Deployment(t.Context(), "d2")
	ok(t, err)
	if diff := cmp.Diff(d, got); diff != "" {
		t.Errorf("stored deployment differs:\n%s", diff)
	}
	_, err = s.Pipelines.Deployment(t.Context(), "none")
	wantKind(t, err, fault.KindNotFound)
	for _, c := range []struct {
		q    pipeline.DeploymentQuery
		want []string
	}{
		{pipeline.DeploymentQuery{}, []string{"d3", "d2", "d1"}},
		{pipeline.DeploymentQuery{App: "shop", Environment: "production"}, []string{"d3", "d2"}},
		{pipeline.DeploymentQuery{Release: "r1"}, []string{"d2", "d1"}},
		{pipeline.DeploymentQuery{App: "cart"}, nil},
	} {
		all, err := s.Pipelines.Deployments(t.Context(), c.q)
		ok(t, err)
		var ids []string
		for _, d := range all {
			ids = append(ids, d.ID)
		}
		if diff := cmp.Diff(c.want, ids); diff != "" {
			t.Errorf("%+v: %s", c.q, diff)
		}
	}
}
