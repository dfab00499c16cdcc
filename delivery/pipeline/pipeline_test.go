package pipeline

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tidegate-io/tidegate/delivery/deploy"
	"github.com/tidegate-io/tidegate/fault"
)

const day = 20 * time.Minute // long enough for a release

// want checks how a release stands.
func want(t *testing.T, r Release, state State, stage string, texts ...string) {
	t.Helper()
	all := r.Error + " | " + r.Waiting
	if r.State != state || r.Current().Name != stage {
		t.Fatalf("release %d is %s in %s (%s), want %s in %s", r.Number, r.State, r.Current().Name, all, state, stage)
	}
	for _, text := range texts {
		if !strings.Contains(all, text) {
			t.Errorf("release %d says %q, want it to say %q", r.Number, all, text)
		}
	}
}

func TestStory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		s := running(t, w, newMemory(), shop())
		w.verdicts = map[string]Status{"staging 2": StatusViolation, "production 4": StatusViolation}
		var ids []string
		for v := range 4 {
			ids = append(ids, push(t, s, fmt.Sprint(v+1)).ID)
			time.Sleep(day)
		}
		want(t, get(t, s, ids[0]), StateSucceeded, "production")
		want(t, get(t, s, ids[1]), StateRejected, "staging", "rejected by validation", "is violation")
		want(t, get(t, s, ids[2]), StateSucceeded, "production")
		r := get(t, s, ids[3])
		want(t, r, StateRolledBack, "production", "violation")
		if u := r.Current().Rollbacks; len(u) != 1 || !u[0].Done || u[0].From != "4" || u[0].To != "3" {
			t.Errorf("rollbacks: %+v", u)
		}
		if w.version("production") != "3" || w.version("staging") != "4" {
			t.Errorf("production has %s, staging %s: want 3 and 4", w.version("production"), w.version("staging"))
		}
		if r.Changes == nil || r.Changes.From != "3" || r.Changes.To != "4" || r.Changes.Release != 3 || r.Changes.Definition {
			t.Errorf("changes: %+v", r.Changes)
		}
		got := w.types()
		wanted := map[string]int{
			"deployment.started": 8, "deployment.finished": 8, "shop.released": 3,
			"pipeline.stage.started": 7, "pipeline.stage.succeeded": 5, "pipeline.stage.rejected": 1, "pipeline.stage.rolledBack": 1,
			"pipeline.release.succeeded": 2, "pipeline.release.rejected": 1, "pipeline.release.rolledBack": 1,
		}
		if d := cmp.Diff(wanted, got); d != "" {
			t.Errorf("events:\n%s", d)
		}
		for _, e := range w.events {
			if e.Type == "shop.released" && e.Version == "3" && e.Title != "3 replaces 1" {
				t.Errorf("title %q", e.Title)
			}
			if e.Type == "deployment.finished" && e.Version == "4" && e.Environment == "production" &&
				(e.From != "3" || e.Undo == nil || e.Undo.Deployment == "" || e.Correlation != ids[3] || e.Service != "shop") {
				t.Errorf("event of the deployment: %+v", e)
			}
		}
		if !slices.Contains(w.order, "run smoke 3 http://3") {
			t.Errorf("effects: %q", w.order)
		}
		// What was judged is remembered.
		verdicts := map[string]Goodness{}
		all, err := s.Deployments(t.Context(), DeploymentQuery{App: "shop"})
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range all {
			verdicts[d.Target.Environment+" "+d.Revision.Version] = d.Verdict
		}
		if d := cmp.Diff(map[string]Goodness{"staging 1": Good, "staging 2": Bad, "staging 3": Good, "staging 4": Good,
			"production 1": Good, "production 3": Good, "production 4": Bad}, verdicts); d != "" {
			t.Errorf("verdicts:\n%s", d)
		}
	})
}

func TestApprovals(t *testing.T) {
	for name, c := range map[string]struct {
		by      []string
		verdict Status
		decide  *PersonsDecision // after a minute in the stage's approval
		state   State
		text    string
	}{
		"verdict approves":               {[]string{"validation"}, StatusOK, nil, StateSucceeded, ""},
		"verdict rejects":                {[]string{"validation", "anyone"}, StatusViolation, nil, StateRejected, "rejected by validation: validate: is violation"},
		"no verdict, nobody else":        {[]string{"validation"}, StatusInconclusive, nil, StateRejected, "is inconclusive"},
		"no verdict, nobody in time":     {[]string{"validation", "user:kim"}, StatusError, nil, StateRejected, "nobody decided within 10m"},
		"a person is faster":             {[]string{"validation", "user:kim"}, StatusViolation, &PersonsDecision{Approve: true, Who: "kim"}, StateSucceeded, ""},
		"a person rejects":               {[]string{"validation", "group:release"}, StatusOK, &PersonsDecision{Who: "ann", Reason: "not today"}, StateRejected, "rejected by ann: not today"},
		"only a person":                  {[]string{"anyone"}, StatusOK, &PersonsDecision{Approve: true, Who: "zoe"}, StateSucceeded, ""},
		"only a person, who does not":    {[]string{"user:kim"}, StatusOK, nil, StateRejected, "nobody decided"},
		"named validation":               {[]string{"validation:validate"}, StatusOK, nil, StateSucceeded, ""},
		"verdict fails without approval": {nil, StatusInconclusive, nil, StateFailed, "validate: is inconclusive"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld()
				w.verdicts["staging 1"] = c.verdict
				p := shop()
				p.Stages = []Stage{{Name: "staging", Actions: []Action{{Validate: &Validate{Comparison: "C", In: 5 * time.Minute}}}}}
				if c.by != nil {
					p.Stages[0].Actions = append(p.Stages[0].Actions, Action{Approve: &Approve{By: c.by}, Timeout: 10 * time.Minute})
				}
				s := running(t, w, newMemory(), p)
				r := push(t, s, "1")
				time.Sleep(time.Minute)
				if !slices.Contains(c.by, "validation") {
					time.Sleep(5 * time.Minute) // the verdict comes first
				}
				if c.decide != nil {
					c.decide.Release, c.decide.Stage = r.ID, "staging"
					if _, err := s.Decide(t.Context(), *c.decide); err != nil {
						t.Fatal(err)
					}
				}
				time.Sleep(day)
				want(t, get(t, s, r.ID), c.state, "staging", c.text)
			})
		})
	}
}

func TestDecisionsThatCannotBe(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		s := running(t, w, newMemory(), shop())
		r := push(t, s, "1")
		refused := func(d PersonsDecision, kind fault.Kind, text string) {
			t.Helper()
			d.Release = r.ID
			_, err := s.Decide(t.Context(), d)
			if !fault.Is(err, kind) || !strings.Contains(err.Error(), text) {
				t.Errorf("%+v: %v, want %v saying %q", d, err, kind, text)
			}
		}
		time.Sleep(10 * time.Second)
		refused(PersonsDecision{Stage: "staging", Who: "kim"}, fault.KindConflict, "not waiting for an approval: it is waiting (load test acceptance is running)")
		refused(PersonsDecision{Stage: "production", Who: "kim"}, fault.KindConflict, "not waiting for an approval: it is pending")
		refused(PersonsDecision{Stage: "moon", Who: "kim"}, fault.KindNotFound, "no stage")
		time.Sleep(2 * time.Minute)
		if got := get(t, s, r.ID); got.State != StateWaiting || !strings.Contains(got.Waiting, "a decision by group:release") {
			t.Fatalf("%s: %s", got.State, got.Waiting)
		}
		refused(PersonsDecision{Stage: "staging", Who: "mallory"}, fault.KindDenied, "mallory may not decide")
		refused(PersonsDecision{Stage: "staging", Who: "validation"}, fault.KindInvalid, "not a person")
		refused(PersonsDecision{Stage: "staging", Action: "deploy", Who: "kim"}, fault.KindConflict, "not waiting")

		// Two at once: one counts, the other is told.
		errs := make([]error, 2)
		var both sync.WaitGroup
		for i, who := range []string{"kim", "ann"} {
			both.Go(func() {
				_, errs[i] = s.Decide(t.Context(), PersonsDecision{Release: r.ID, Stage: "staging", Who: who, Approve: i == 0})
			})
		}
		both.Wait()
		if (errs[0] == nil) == (errs[1] == nil) {
			t.Fatalf("two decisions at once: %v and %v, want one of them to count", errs[0], errs[1])
		}
		second := errors.Join(errs...)
		if !fault.Is(second, fault.KindConflict) || !strings.Contains(second.Error(), "rejected by ann") && !strings.Contains(second.Error(), "approved by kim") {
			t.Errorf("the second is told: %v", second)
		}
		time.Sleep(time.Minute)
		refused(PersonsDecision{Stage: "staging", Who: "kim"}, fault.KindConflict, "not waiting for an approval: it was")
	})
}

func TestTriedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		p := shop()
		p.Stages[0].Actions[2].Retries = 2
		s := running(t, w, newMemory(), p)
		w.failing, w.away = 2, 3
		r := push(t, s, "1")
		time.Sleep(day)
		r = get(t, s, r.ID)
		want(t, r, StateSucceeded, "production")
		if a := r.Stages[0].Actions[2]; a.Tries != 3 || a.Output != "done" {
			t.Errorf("the command: %d tries, output %q", a.Tries, a.Output)
		}
		w.failing = 3
		r = push(t, s, "2")
		time.Sleep(day)
		r = get(t, s, r.ID)
		want(t, r, StateFailed, "staging", "command: exit status 1")
		if a := r.Stages[0].Actions; a[1].State != StateSucceeded || a[3].State != StateSkipped || a[2].Output != "some output" {
			t.Errorf("load test beside it %s, what follows %s, output %q", a[1].State, a[3].State, a[2].Output)
		}
		// Retry of the stage, once however many ask.
		won := 0
		for range 2 {
			_, err := s.Retry(t.Context(), r.ID, "staging", "kim", "fixed the smoke test")
			if err == nil {
				won++
			} else if !fault.Is(err, fault.KindConflict) {
				t.Error(err)
			}
		}
		time.Sleep(day)
		r = get(t, s, r.ID)
		want(t, r, StateSucceeded, "production")
		if e := r.Stages[0].Earlier; won != 1 || len(e) != 1 || e[0].State != StateFailed || e[0].RetriedBy != "kim" {
			t.Errorf("retried %d times, earlier attempts %+v", won, e)
		}
		if _, err := s.Retry(t.Context(), r.ID, "production", "kim", ""); !fault.Is(err, fault.KindConflict) {
			t.Errorf("retry of what succeeded: %v", err)
		}
	})
}

func TestRerunAndRetryOfTheOld(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		s := running(t, w, newMemory(), shop())
		w.verdicts["staging 1"] = StatusViolation
		old := push(t, s, "1")
		time.Sleep(day)
		push(t, s, "2")
		time.Sleep(day)
		_, err := s.Retry(t.Context(), old.ID, "staging", "kim", "")
		if !fault.Is(err, fault.KindConflict) || !strings.Contains(err.Error(), "rerun release 1") {
			t.Errorf("retry below a newer release: %v", err)
		}
		w.verdicts = map[string]Status{}
		r, err := s.Rerun(t.Context(), old.ID, "kim", "it was the test's fault")
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(day)
		r = get(t, s, r.ID)
		want(t, r, StateSucceeded, "production")
		if r.RerunOf != old.ID || r.Number != 3 || r.Revision.Version != "1" || r.Changes.From != "2" {
			t.Errorf("rerun: %+v", r)
		}
	})
}

func TestPushIsIdempotentByKey(t *testing.T) {
	s := newService(t, plainBackend{newMemory(), newWorld()}, "here", shop())
	p := Push{Pipeline: "shop", Revision: deploy.Revision{Version: "1"}, Who: "ci", Key: "build 17"}
	a, errA := s.Push(t.Context(), p)
	b, errB := s.Push(t.Context(), p)
	if errA != nil || errB != nil || a.ID != b.ID || b.Number != 1 {
		t.Errorf("%v %v: %s and %s", errA, errB, a.ID, b.ID)
	}
	for field, p := range map[string]Push{
		"pipeline":         {Pipeline: "cart", Revision: deploy.Revision{Version: "1"}, Who: "ci"},
		"who":              {Pipeline: "shop", Revision: deploy.Revision{Version: "1"}},
		"revision.version": {Pipeline: "shop", Revision: deploy.Revision{Version: "../1"}, Who: "ci"},
	} {
		if _, err := s.Push(t.Context(), p); err == nil || !strings.Contains(err.Error(), field) {
			t.Errorf("%+v: %v, want it to name %s", p, err, field)
		}
	}
}

func TestNewerReleases(t *testing.T) {
	for _, newer := range []string{Supersede, Queue} {
		t.Run(newer, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld()
				p := shop()
				p.Newer = newer
				s := running(t, w, newMemory(), p)
				var ids []string
				for v := range 4 { // one enters, three wait
					ids = append(ids, push(t, s, fmt.Sprint(v+1)).ID)
					time.Sleep(5 * time.Second)
				}
				if r := get(t, s, ids[3]); r.State != StateWaiting || !strings.Contains(r.Waiting, "stage staging") {
					t.Errorf("the last one: %s, %s", r.State, r.Waiting)
				}
				time.Sleep(3 * day)
				states := make([]State, 4)
				for i, id := range ids {
					states[i] = get(t, s, id).State
				}
				wanted := []State{StateSucceeded, StateSuperseded, StateSuperseded, StateSucceeded}
				if newer == Queue {
					wanted = []State{StateSucceeded, StateSucceeded, StateSucceeded, StateSucceeded}
				}
				if d := cmp.Diff(wanted, states); d != "" {
					t.Error(d)
				}
				if newer == Supersede {
					if r := get(t, s, ids[1]); !slices.Contains(ids[2:], r.SupersededBy) || !strings.Contains(r.Error, "overtook it") {
						t.Errorf("superseded by %s: %s", r.SupersededBy, r.Error)
					}
				}
				if w.version("production") != "4" {
					t.Errorf("production has %s", w.version("production"))
				}
			})
		})
	}
}

func TestFreeze(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		p := shop()
		// The bubble's clock starts on Saturday, 2000-01-01 00:00 UTC.
		p.Freeze = []Freeze{{Stages: []string{"production"}, Weekly: "Fri 16:00 - Sat 00:30", Reason: "nobody is there"}}
		s := running(t, w, newMemory(), p)
		r := push(t, s, "1")
		time.Sleep(day)
		want(t, get(t, s, r.ID), StateWaiting, "production", "frozen until 2000-01-01 00:30 UTC: nobody is there")
		time.Sleep(2 * day)
		want(t, get(t, s, r.ID), StateSucceeded, "production")

		p.Freeze = []Freeze{{From: time.Now(), To: time.Now().Add(1000 * time.Hour)}}
		if err := s.Define([]Pipeline{p}); err != nil {
			t.Fatal(err)
		}
		r = push(t, s, "2")
		time.Sleep(day)
		want(t, get(t, s, r.ID), StateWaiting, "staging", "frozen until")
		p.Freeze = nil // an emergency: what is in force now counts
		if err := s.Define([]Pipeline{p}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(day)
		want(t, get(t, s, r.ID), StateSucceeded, "production")
	})
}

func TestDeploymentsThatFail(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		p := shop()
		p.Stages = p.Stages[1:]
		p.Stages[0].OnFail = Rollback
		s := running(t, w, newMemory(), p)
		push(t, s, "1")
		time.Sleep(day)
		w.broken["2"] = "unhealthy"
		r := push(t, s, "2")
		time.Sleep(day)
		r = get(t, s, r.ID)
		want(t, r, StateFailed, "production", "version 2 never healthy", "version 1 keeps running")
		if a := r.Current().Actions[0]; a.Output != "listening on nothing" || a.Deployment == nil || a.Deployment.State != DeploymentFailed {
			t.Errorf("action: %+v", a)
		}
		if w.types()["deployment.failed"] != 1 || len(r.Current().Rollbacks) != 0 {
			t.Errorf("events %v, rollbacks %v: nothing is to be taken back", w.types(), r.Current().Rollbacks)
		}
		r = push(t, s, "4")
		time.Sleep(day)
		want(t, get(t, s, r.ID), StateSucceeded, "production")
	})
}

// A deployer that does not answer cannot be left to synctest: its goroutine
// never ends.
func TestDeployerHangs(t *testing.T) {
	w := newWorld()
	w.broken["2"] = "hang"
	w.current[deploy.Target{App: "shop", Environment: "production"}] = []deploy.Revision{{Version: "1"}}
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(errTimeout)
	defer func(d time.Duration) { hangGrace = d }(hangGrace)
	hangGrace = time.Millisecond
	s := newService(t, plainBackend{newMemory(), w}, "here")
	d, err := s.perform(ctx, Deployment{ID: "k", Target: deploy.Target{App: "shop", Environment: "production"}, With: "process",
		Revision: deploy.Revision{Version: "2"}})
	if err == nil || !strings.Contains(err.Error(), "shop in production: version 2 hung") || !strings.Contains(err.Error(), "version 1 keeps running") {
		t.Errorf("%v", err)
	}
	if d.State != DeploymentFailed || w.types()["deployment.failed"] != 1 {
		t.Errorf("deployment %s, events %v", d.State, w.types())
	}
	if again, err := s.perform(t.Context(), d); err == nil || again.State != DeploymentFailed {
		t.Errorf("asked again: %v", err)
	}
}

func TestRollback(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		s := running(t, w, newMemory(), shop())
		back := func(q RollbackRequest) (Deployment, error) {
			q.Who, q.Reason = "healing", "it fails"
			return s.Rollback(t.Context(), q)
		}
		if _, err := back(RollbackRequest{App: "shop", Environment: "production", Key: "k0"}); !fault.Is(err, fault.KindNotFound) {
			t.Errorf("nothing was deployed: %v", err)
		}
		for v := range 4 {
			w.verdicts["staging 3"] = StatusViolation
			push(t, s, fmt.Sprint(v+1))
			time.Sleep(day)
		}
		d, err := back(RollbackRequest{App: "shop", Environment: "production", Key: "k1"}) // from 4; 3 was never there
		if err != nil || d.Revision.Version != "2" || d.From != "4" || w.version("production") != "2" {
			t.Fatalf("%v: %+v", err, d)
		}
		again, err := back(RollbackRequest{App: "shop", Environment: "production", Key: "k1"})
		if err != nil || again.ID != d.ID || w.version("production") != "2" {
			t.Errorf("the same key: %v, %s", err, w.version("production"))
		}
		if _, err := back(RollbackRequest{Of: d.RollbackOf, Key: "k2"}); err != nil || w.version("production") != "2" {
			t.Errorf("what was taken back already: %v, %s runs", err, w.version("production"))
		}
		if _, err := back(RollbackRequest{App: "shop", Environment: "production", To: "4", Key: "k3"}); !fault.Is(err, fault.KindConflict) {
			t.Errorf("back to what was judged bad: %v", err)
		}
		if _, err := back(RollbackRequest{App: "shop", Environment: "production", To: "7", Key: "k4"}); !fault.Is(err, fault.KindNotFound) {
			t.Errorf("back to what never ran: %v", err)
		}
		d, err = back(RollbackRequest{App: "shop", Environment: "production", To: "1", Key: "k5"})
		if err != nil || d.Revision.Version != "1" {
			t.Errorf("%v: %+v", err, d)
		}
		if _, err := back(RollbackRequest{App: "shop", Environment: "production", Key: "k6"}); !fault.Is(err, fault.KindNotFound) {
			t.Errorf("nothing good is left: %v", err)
		}
		if h, err := s.Health(t.Context(), deploy.Target{App: "shop", Environment: "production"}); err != nil || h.State != deploy.StateHealthy {
			t.Errorf("health: %v %v", h, err)
		}
	})
}

// Several processes share the work: everything is done once.
func TestSeveralProcesses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, m := newWorld(), newMemory()
		p := quick()
		p.Newer = Queue
		var services []*Service
		for i := range 3 {
			s := newService(t, plainBackend{m, w}, fmt.Sprint("p", i), p)
			services = append(services, s)
			ctx, cancel := context.WithCancel(t.Context())
			ended := make(chan error)
			go func() { ended <- s.Run(ctx) }()
			t.Cleanup(func() { cancel(); <-ended })
		}
		for v := range 4 {
			push(t, services[v%3], fmt.Sprint(v+1))
		}
		time.Sleep(day / 2)
		all, err := services[0].Releases(t.Context(), ReleaseQuery{})
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range all {
			want(t, r, StateSucceeded, "production")
		}
		if got := w.types()["deployment.finished"]; got != 8 || w.version("production") != "4" {
			t.Errorf("%d deployments, production has %s: want 8 and 4", got, w.version("production"))
		}
	})
}
