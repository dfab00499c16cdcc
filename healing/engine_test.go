package healing

import (
	"context"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tidegate-io/tidegate/change"
	"github.com/tidegate-io/tidegate/fault"
	"github.com/tidegate-io/tidegate/problem"
)

// run lets the engine work for a while.
func run(t *testing.T, e *Engine, d time.Duration) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() { ended <- e.Run(ctx) }()
	time.Sleep(d)
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

// told is what became of every action, in the order of the decisions: "undo healed".
func told(t *testing.T, m *memory) []string {
	t.Helper()
	var out []string
	for _, e := range m.audit {
		if e.What == "decided" {
			a, err := m.Action(t.Context(), e.Action)
			if err != nil {
				t.Fatal(err)
			}
			out = append(out, string(a.Kind)+" "+outcomeOf(&a))
		}
	}
	return out
}

func wantTold(t *testing.T, m *memory, want ...string) {
	t.Helper()
	if d := cmp.Diff(want, told(t, m)); d != "" {
		t.Errorf("actions:\n%s\n%s", d, m.lines())
	}
}

func (m *memory) lines() string {
	var b strings.Builder
	for _, e := range m.audit {
		b.WriteString(e.What + " | " + e.Text + "\n")
	}
	return b.String()
}

func TestHeals(t *testing.T) {
	for name, c := range map[string]struct {
		blamed change.Event
		want   string
		effect string
	}{
		"a flag":       {badFlag(), "undo healed", "undo checkout c-flag → off"},
		"a deployment": {badDeployment(), "rollback healed", "rollback checkout c-deploy → 2.0"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				m, w := newMemory(), newWorld(problemOf("p1", c.blamed))
				w.verdicts = []string{"inconclusive", "pass"}
				run(t, engineOf(t, m, w, shop()), 3*time.Minute)
				wantTold(t, m, c.want)
				if !slices.Contains(values(w.effects()), c.effect) {
					t.Errorf("effects are %q, want %q among them", w.effects(), c.effect)
				}
				a, _ := m.Actions(t.Context(), Query{})
				if len(a[0].Looks) != 2 || a[0].Looks[1].Status != "pass" {
					t.Errorf("looks are %+v, want one that is inconclusive and one that passes", a[0].Looks)
				}
				comments := strings.Join(w.comments("p1"), "\n")
				for _, want := range []string{"decided: ", "approved by policy", "done: ", "validation 1: checkout says inconclusive", "verified by checkout"} {
					if strings.Count(comments, want) != 1 {
						t.Errorf("comments have %q %d times, want once:\n%s", want, strings.Count(comments, want), comments)
					}
				}
				undone := w.events[len(w.events)-1]
				if undone.Kind != change.KindAction || undone.UndoOf != c.blamed.ID || undone.Who != "healing/shop" {
					t.Errorf("the event is %+v, want an action that undoes %s", undone, c.blamed.ID)
				}
			})
		})
	}
}

func values(m map[string]string) []string {
	var out []string
	for _, v := range m {
		out = append(out, v)
	}
	return out
}

// What does not help is followed by the next attempt, and the last by a page.
func TestEscalates(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, w := newMemory(), newWorld(problemOf("p1", badFlag()))
		w.verdicts = []string{"fail"}
		r := shop()
		r.Attempts = append(r.Attempts, Attempt{Name: "restart", Do: Do{Command: &Command{Args: []string{"restart"}}}, Verify: Verify{Guardian: "checkout", Within: time.Minute}})
		run(t, engineOf(t, m, w, r), 10*time.Minute)
		wantTold(t, m, "undo unhealed", "command unhealed", "page paged")
		if len(w.pages) != 1 {
			t.Fatalf("%d pages, want 1", len(w.pages))
		}
		for _, p := range w.pages {
			for _, want := range []string{"P-17 checkout fails", "new-pricing on broke", "Set flag new-pricing back to off: unhealed", "Run restart: unhealed"} {
				if !strings.Contains(p.Text, want) {
					t.Errorf("the page lacks %q:\n%s", want, p.Text)
				}
			}
		}
	})
}

// What nobody changed cannot be changed back: nothing is done, a person is told.
func TestNoChangeNoRollback(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, w := newMemory(), newWorld(upstreamOutage("p1"))
		r := shop()
		r.Attempts[0].When = "" // tries all the same
		run(t, engineOf(t, m, w, r), 10*time.Minute)
		wantTold(t, m, "undo refused", "page paged")
		if len(w.done) != 0 {
			t.Errorf("done: %v, want nothing", w.done)
		}
	})
}

// Where no attempt is for the cause, somebody is told only when the remediation
// says who; what was tried in vain is told in any case.
func TestNobodyToTell(t *testing.T) {
	for name, c := range map[string]struct {
		problem  problem.Problem
		page     bool
		frequent bool
		want     []string
	}{
		"an outage":                  {upstreamOutage("p1"), false, false, nil},
		"an outage, told":            {upstreamOutage("p1"), true, false, []string{"page paged"}},
		"an outage, again and again": {upstreamOutage("p1"), true, true, nil},
		"a flag, in vain":            {problemOf("p1", badFlag()), false, false, []string{"undo unhealed", "page paged"}},
		"a flag, again and again":    {problemOf("p1", badFlag()), true, true, []string{"undo unhealed", "page paged"}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c.problem.Frequent = c.frequent
				m, w := newMemory(), newWorld(c.problem)
				w.verdicts = []string{"fail"}
				r := shop()
				if !c.page {
					r.Otherwise = Otherwise{}
				}
				run(t, engineOf(t, m, w, r), 5*time.Minute)
				wantTold(t, m, c.want...)
				if paged := len(w.pages) > 0; paged != (c.page && len(c.want) > 0) {
					t.Errorf("somebody was told: %v", paged)
				}
			})
		})
	}
}

// Without a guardian the problem itself says whether it helped.
func TestVerifiedByTheProblem(t *testing.T) {
	for closes, want := range map[bool]string{true: "undo healed", false: "undo unhealed"} {
		synctest.Test(t, func(t *testing.T) {
			m, w := newMemory(), newWorld(problemOf("p1", badFlag()))
			r := shop()
			r.Attempts[0].Verify = Verify{Within: time.Minute}
			if closes {
				time.AfterFunc(30*time.Second, func() {
					_ = w.change("p1", func(p *problem.Problem) { p.State, p.Closed = problem.StateClosed, time.Now() })
				})
			}
			run(t, engineOf(t, m, w, r), 2*time.Minute)
			if got := told(t, m); got[0] != want {
				t.Errorf("closes %v: %v, want %s first", closes, got, want)
			}
		})
	}
}

// The analysis may take a while; then it is a person's turn.
func TestPatience(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := problemOf("p1", badFlag())
		full := p.Cause
		p.Cause = &problem.Cause{Kind: problem.CauseUnknown}
		m, w := newMemory(), newWorld(p)
		e := engineOf(t, m, w, shop())
		run(t, e, 50*time.Second)
		wantTold(t, m)
		_ = w.change("p1", func(p *problem.Problem) { p.Cause = full })
		run(t, e, 5*time.Minute)
		wantTold(t, m, "undo healed")
	})
	synctest.Test(t, func(t *testing.T) {
		p := problemOf("p1", badFlag())
		p.Cause = nil
		m, w := newMemory(), newWorld(p)
		run(t, engineOf(t, m, w, shop()), 2*time.Minute)
		wantTold(t, m, "page paged")
	})
}

// The first analysis blames the wrong thing, or nothing: nobody is paged for what
// heals by itself once it knows better.
func TestTheFirstAnalysisIsWrong(t *testing.T) {
	defined := badFlag()
	defined.ID, defined.Type, defined.Undo = "c-defined", change.TypeFlagDefined, nil
	for name, first := range map[string]problem.Problem{"a flag that was only defined": problemOf("p1", defined), "nothing": upstreamOutage("p1")} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				m, w := newMemory(), newWorld(first)
				right := problemOf("p1", badFlag())
				w.events = append(w.events, right.Cause.Change.Event)
				time.AfterFunc(20*time.Second, func() { _ = w.change("p1", func(p *problem.Problem) { p.Cause = right.Cause }) })
				run(t, engineOf(t, m, w, shop()), 4*time.Minute)
				got := told(t, m)
				if len(got) == 0 || got[len(got)-1] != "undo healed" || len(w.pages) > 0 {
					t.Errorf("actions are %v, %d pages; want the last to heal and nobody paged\n%s", got, len(w.pages), m.lines())
				}
			})
		})
	}
}

func TestApproval(t *testing.T) {
	manual := shop()
	manual.Policy.Approval = ApprovalManual
	for name, c := range map[string]struct {
		decide func(*Engine, string) (Action, error)
		after  time.Duration
		want   []string
	}{
		"approved": {func(e *Engine, id string) (Action, error) { return e.Approve(t.Context(), id, "kim", "go") }, 5 * time.Minute, []string{"undo healed"}},
		"rejected": {func(e *Engine, id string) (Action, error) { return e.Reject(t.Context(), id, "kim", "I look") }, time.Hour, []string{"undo rejected"}},
		"nobody":   {func(e *Engine, id string) (Action, error) { return Action{}, nil }, time.Hour, []string{"undo expired", "page paged"}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				m, w := newMemory(), newWorld(problemOf("p1", badFlag()))
				e := engineOf(t, m, w, manual)
				run(t, e, time.Minute)
				wantTold(t, m, "undo waiting")
				if len(w.pages) != 1 || len(w.done) != 0 {
					t.Errorf("%d pages and %d effects, want a message that it waits", len(w.pages), len(w.done))
				}
				waiting, _ := m.Actions(t.Context(), Query{})
				if _, err := c.decide(e, waiting[0].ID); err != nil {
					t.Fatal(err)
				}
				run(t, e, c.after)
				wantTold(t, m, c.want...)
				for _, decide := range []func(context.Context, string, string, string) (Action, error){e.Approve, e.Reject} {
					if _, err := decide(t.Context(), waiting[0].ID, "kim", "late"); !fault.Is(err, fault.KindConflict) {
						t.Errorf("a decision that comes late: %v, want a conflict", err)
					}
				}
				if name == "approved" && !strings.Contains(m.lines(), "approved by kim") {
					t.Errorf("the audit does not say who approved:\n%s", m.lines())
				}
			})
		})
	}
}

// Problems are called by their names, too.
func TestByName(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, w := newMemory(), newWorld(problemOf("p1", badFlag()))
		e := engineOf(t, m, w, shop())
		run(t, e, 5*time.Minute)
		for name, want := range map[string]int{"p1": 1, "P-17": 1, "P-18": 0, "": 1} {
			actions, err := e.Actions(t.Context(), name, 10)
			if err != nil || len(actions) != want {
				t.Errorf("%d actions on %q (%v), want %d", len(actions), name, err, want)
			}
			audit, err := e.Audit(t.Context(), "", name, 10)
			if err != nil || (len(audit) > 0) != (want > 0) {
				t.Errorf("%d lines about %q, %v", len(audit), name, err)
			}
		}
	})
}

func TestDryRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, w := newMemory(), newWorld(problemOf("p1", badFlag()))
		r := shop()
		r.Policy.DryRun = true
		run(t, engineOf(t, m, w, r), 10*time.Minute)
		wantTold(t, m, "undo dry-run")
		if len(w.done)+len(w.pages) != 0 || !strings.Contains(m.lines(), "would set flag new-pricing back to off") {
			t.Errorf("done %v, pages %v, audit:\n%s", w.done, w.pages, m.lines())
		}
	})
}

// The switch holds for what was decided, for what waits and for people, and
// nothing is done while it is on.
func TestStop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, w := newMemory(), newWorld(problemOf("p1", badFlag()))
		e := engineOf(t, m, w, shop())
		if _, err := e.StopAll(t.Context(), "kim", "maintenance"); err != nil {
			t.Fatal(err)
		}
		run(t, e, 5*time.Minute)
		wantTold(t, m, "undo refused", "page paged")
		_, err := e.Remediate(t.Context(), "p1", ByHand{Action: "undo", Who: "kim", Reason: "now", Override: true})
		if !fault.Is(err, fault.KindDenied) || !strings.Contains(err.Error(), "maintenance") {
			t.Errorf("by hand while stopped: %v, want denied with the reason", err)
		}
		if _, err := e.StartAll(t.Context(), "kim", "done"); err != nil {
			t.Fatal(err)
		}
		if _, err := e.Remediate(t.Context(), "p1", ByHand{Action: "flag-off", Who: "kim", Reason: "now"}); err != nil {
			t.Fatal(err)
		}
		run(t, e, 5*time.Minute)
		if got := told(t, m); !slices.Contains(got, "undo healed") {
			t.Errorf("after the start: %v", got)
		}
		if d := cmp.Diff([]string{"started", "stopped"}, whats(m, "started", "stopped")); d != "" {
			t.Errorf("audit of the switch: %s", d)
		}
	})
}

// whats are the kinds of lines in the audit, newest first, of those named.
func whats(m *memory, of ...string) []string {
	var out []string
	for _, e := range slices.Backward(m.audit) {
		if slices.Contains(of, e.What) {
			out = append(out, e.What)
		}
	}
	return out
}

// A person may act against objections, by saying why; the audit keeps it.
func TestByHand(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := problemOf("p1", badFlag())
		p.Cause.Confidence = 0.2
		m, w := newMemory(), newWorld(p)
		e := engineOf(t, m, w) // no remediation at all
		options, err := e.Options(t.Context(), "p1")
		if err != nil || len(options) != 1 || options[0].Action != "undo" || !options[0].Suggested || len(options[0].Objections) != 1 {
			t.Fatalf("options are %+v, %v: want undo, suggested, with an objection", options, err)
		}
		_, err = e.Remediate(t.Context(), "p1", ByHand{Action: "undo", Who: "kim", Reason: "I know it"})
		if !fault.Is(err, fault.KindConflict) || !strings.Contains(err.Error(), "20 % sure") {
			t.Fatalf("against objections: %v, want a conflict that says them", err)
		}
		a, err := e.Remediate(t.Context(), "p1", ByHand{Action: "undo", Who: "kim", Reason: "I know it", Override: true})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := e.Remediate(t.Context(), "p1", ByHand{Action: "undo", Who: "kim", Reason: "again", Override: true}); !fault.Is(err, fault.KindConflict) {
			t.Errorf("a second one at once: %v, want a conflict", err)
		}
		go func() {
			time.Sleep(time.Minute)
			_ = w.change("p1", func(p *problem.Problem) { p.State, p.Closed = problem.StateClosed, time.Now() })
		}()
		run(t, e, 5*time.Minute)
		got, _ := e.Action(t.Context(), a.ID)
		if got.Outcome != OutcomeHealed || got.ApprovedBy != "kim" {
			t.Errorf("the action is %s, approved by %q", outcomeOf(&got), got.ApprovedBy)
		}
		if !strings.Contains(m.lines(), "against objections (the analysis is only 20 % sure") {
			t.Errorf("the audit does not say that it was overridden:\n%s", m.lines())
		}
		for action, kind := range map[string]fault.Kind{"nonsense": fault.KindInvalid, "shop/undo": fault.KindInvalid} {
			if _, err := e.Remediate(t.Context(), "p1", ByHand{Action: action, Who: "kim", Reason: "x"}); !fault.Is(err, kind) {
				t.Errorf("%s: %v, want %v", action, err, kind)
			}
		}
		if _, err := e.Remediate(t.Context(), "p1", ByHand{Action: "undo", Who: "kim"}); !fault.Is(err, fault.KindInvalid) {
			t.Errorf("without a reason: %v", err)
		}
	})
}

// A failed rollback ends the remediation, pages, and leaves the service alone
// while its problem is open.
func TestFailedRollbackHalts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		second := problemOf("p2", badFlag())
		second.State = problem.StateClosed // at first
		m, w := newMemory(), newWorld(problemOf("p1", badDeployment()), second)
		w.failing = fault.Invalid("no such revision")
		r := shop()
		r.Policy.CoolDown = time.Second
		r.Attempts = append(r.Attempts, Attempt{Name: "restart", Do: Do{Command: &Command{Args: []string{"restart"}}}})
		e := engineOf(t, m, w, r)
		run(t, e, time.Minute)
		wantTold(t, m, "rollback failed", "page paged")
		w.failing = nil
		_ = w.change("p2", func(p *problem.Problem) { p.State, p.Start = problem.StateOpen, time.Now() })
		run(t, e, time.Minute)
		got, _ := m.Actions(t.Context(), Query{Problem: "p2"})
		for _, a := range got {
			if a.Kind != KindPage && (a.Outcome != OutcomeRefused || !strings.Contains(a.Reason, "still open: a person has to look first")) {
				t.Errorf("%s of the second problem is %s (%s), want refused: halted", a.Kind, outcomeOf(&a), a.Reason)
			}
		}
		if len(got) < 2 {
			t.Errorf("%d actions on the second problem, want some that are refused", len(got))
		}
	})
}

// Of two problems with one cause, in two processes, one acts.
func TestOneActionPerChange(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, w := newMemory(), newWorld(problemOf("p1", badFlag()), problemOf("p2", badFlag()))
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error)
		for range 3 {
			e := engineOf(t, m, w, shop())
			go func() { ended <- e.Run(ctx) }()
		}
		time.Sleep(10 * time.Minute)
		cancel()
		for range 3 {
			if err := <-ended; err != nil {
				t.Error(err)
			}
		}
		got := told(t, m)
		if n := len(slices.DeleteFunc(slices.Clone(got), func(s string) bool { return s != "undo healed" })); n != 1 {
			t.Errorf("%v: want one that healed, and the other refused", got)
		}
		undone := 0
		for _, what := range w.effects() {
			if strings.HasPrefix(what, "undo ") {
				undone++
			}
		}
		if undone != 1 {
			t.Errorf("the change was undone %d times:\n%v", undone, w.effects())
		}
	})
}

// What the problem's cause is may change until something is done.
func TestAnotherCause(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, w := newMemory(), newWorld(problemOf("p1", badFlag()))
		r := shop()
		r.Policy.Approval = ApprovalManual
		e := engineOf(t, m, w, r)
		run(t, e, 10*time.Second)
		wantTold(t, m, "undo waiting")
		deployment := problemOf("p1", badDeployment())
		w.events = append(w.events, deployment.Cause.Change.Event)
		_ = w.change("p1", func(p *problem.Problem) { p.Cause = deployment.Cause })
		waiting, _ := m.Actions(t.Context(), Query{})
		if _, err := e.Approve(t.Context(), waiting[0].ID, "kim", "go"); err != nil {
			t.Fatal(err)
		}
		run(t, e, 10*time.Second)
		wantTold(t, m, "undo obsolete", "rollback waiting")
		if len(w.done) != 0 {
			t.Errorf("done: %v, want nothing", w.done)
		}
	})
}

// Problems from elsewhere hear of it there.
func TestReports(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := problemOf("p1", badFlag())
		p.Events[0].External = &problem.External{System: "dynatrace", ID: "P-221"}
		p.Events = append(p.Events, p.Events[0])
		m, w := newMemory(), newWorld(p)
		run(t, engineOf(t, m, w, shop()), 5*time.Minute)
		if len(w.reports) != len(w.comments("p1")) {
			t.Errorf("%d reports for %d comments:\n%v", len(w.reports), len(w.comments("p1")), w.reports)
		}
	})
}

// What is unavailable for the moment is asked again, with the same key.
func TestUnavailable(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, w := newMemory(), newWorld(problemOf("p1", badFlag()))
		w.failing = fault.Unavailable("later")
		time.AfterFunc(4*time.Second, func() { w.mu.Lock(); w.failing = nil; w.mu.Unlock() })
		run(t, engineOf(t, m, w, shop()), 5*time.Minute)
		wantTold(t, m, "undo healed")
		if len(w.asked) != 1 {
			t.Errorf("asked for %v, want one key", w.asked)
		}
	})
}
