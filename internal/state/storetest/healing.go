package storetest

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tidegate-io/tidegate/change"
	"github.com/tidegate-io/tidegate/entity"
	"github.com/tidegate-io/tidegate/fault"
	"github.com/tidegate-io/tidegate/healing"
)

func healingAction(id string, created time.Time) healing.Action {
	return healing.Action{ID: id, Problem: "p1", Number: 17, Subject: "change:c1", Kind: healing.KindUndo, State: healing.StatePending, By: "policy",
		Ref: entity.Ref{Service: "checkout", Environment: "production"}, Attempt: healing.Attempt{Name: "undo", Do: healing.Do{Undo: &healing.Undo{}}},
		Created: created, Due: created}
}

func healingActions(t *testing.T, s Stores) {
	h := s.Healing
	a := healingAction("a1", t0)
	a.Change = &change.Event{ID: "c1", Title: "ümlaut \x00", Start: t0}
	entry := healing.Entry{Time: t0, Action: "a1", Problem: "p1", Who: "policy", What: "decided", Text: "undo"}
	created, err := h.Create(t.Context(), a, entry)
	ok(t, err)
	again, err := h.Create(t.Context(), healing.Action{ID: "a1", Problem: "other", Created: t0}, entry)
	ok(t, err)
	if !created || again {
		t.Errorf("created %v, then %v: want true, then false", created, again)
	}
	got, err := h.Action(t.Context(), "a1")
	ok(t, err)
	if d := cmp.Diff(a, got); d != "" {
		t.Errorf("stored action differs:\n%s", d)
	}
	_, err = h.Action(t.Context(), "nobody")
	wantKind(t, err, fault.KindNotFound)
	_, err = h.Create(t.Context(), healing.Action{})
	wantKind(t, err, fault.KindInvalid)

	b := healingAction("a2", t0.Add(time.Minute))
	b.Problem, b.Subject, b.Acted = "p2", "change:c2", t0.Add(2*time.Minute)
	_, err = h.Create(t.Context(), b)
	ok(t, err)
	c := healingAction("a3", t0.Add(2*time.Minute))
	c.State, c.Outcome = healing.StateEnded, healing.OutcomeHealed
	_, err = h.Create(t.Context(), c)
	ok(t, err)
	for _, q := range []struct {
		query healing.Query
		want  []string
	}{
		{healing.Query{}, []string{"a3", "a2", "a1"}},
		{healing.Query{Limit: 1}, []string{"a3"}},
		{healing.Query{Problem: "p2"}, []string{"a2"}},
		{healing.Query{Subject: "change:c1"}, []string{"a3", "a1"}},
		{healing.Query{ActedSince: t0.Add(2 * time.Minute)}, []string{"a2"}},
		{healing.Query{ActedSince: t0.Add(2*time.Minute + 1)}, nil},
		{healing.Query{Unfinished: true}, []string{"a2", "a1"}},
	} {
		list, err := h.Actions(t.Context(), q.query)
		ok(t, err)
		var ids []string
		for _, a := range list {
			ids = append(ids, a.ID)
		}
		if d := cmp.Diff(q.want, ids); d != "" {
			t.Errorf("%+v: %s", q.query, d)
		}
	}
	audit, err := h.Audit(t.Context(), "", "", 0)
	ok(t, err)
	if len(audit) != 1 || audit[0].Seq == 0 {
		t.Fatalf("audit is %+v: want one line, with its number", audit)
	}
	audit[0].Seq = 0
	if d := cmp.Diff(entry, audit[0]); d != "" {
		t.Errorf("audit: %s", d)
	}
}

func healingLeases(t *testing.T, s Stores) {
	h := s.Healing
	a := healingAction("a1", t0)
	_, err := h.Create(t.Context(), a)
	ok(t, err)
	later := healingAction("a2", t0)
	later.Due = t0.Add(time.Hour)
	_, err = h.Create(t.Context(), later)
	ok(t, err)
	claimable := func(owner string, now time.Time, want ...string) {
		t.Helper()
		ids, err := h.Claimable(t.Context(), owner, now, 10)
		ok(t, err)
		if d := cmp.Diff(append([]string{}, want...), ids); d != "" {
			t.Errorf("claimable: %s", d)
		}
	}
	claimable("z", t0, "a1") // a2 is not due
	claimable("z", t0.Add(time.Hour), "a1", "a2")
	until := t0.Add(time.Minute)
	won := inParallel(t, 8, func(i int) (bool, error) {
		_, got, err := h.Claim(t.Context(), "a1", healing.Lease{Owner: fmt.Sprint("o", i), Until: until}, t0)
		return got, err
	})
	if won != 1 {
		t.Fatalf("%d of 8 owners claimed one action, want 1", won)
	}
	claimable("z", t0)
	claimable("z", until, "a1")
	_, got, err := h.Claim(t.Context(), "a1", healing.Lease{Owner: "b", Until: until.Add(time.Minute)}, until)
	ok(t, err)
	if !got {
		t.Fatal("a lease that ended cannot be claimed")
	}
	wantKind(t, h.Save(t.Context(), a, healing.Lease{Owner: "o1", Until: until}), fault.KindConflict)
	a.State, a.Outcome = healing.StateEnded, healing.OutcomeHealed
	ok(t, h.Save(t.Context(), a, healing.Lease{Owner: "b"}, healing.Entry{Action: "a1", What: "healed", Text: "1"}, healing.Entry{Action: "a1", What: "healed", Text: "2"}))
	claimable("z", t0.Add(24*time.Hour), "a2")
	_, got, err = h.Claim(t.Context(), "a1", healing.Lease{Owner: "c", Until: until}, t0.Add(time.Hour))
	ok(t, err)
	if got {
		t.Error("claimed an action that ended")
	}
	audit, err := h.Audit(t.Context(), "a1", "", 0)
	ok(t, err)
	if len(audit) != 2 || audit[0].Text != "2" || audit[0].Seq <= audit[1].Seq {
		t.Errorf("audit is %+v: want two lines, newest first", audit)
	}
	if none, err := h.Audit(t.Context(), "", "p9", 0); err != nil || len(none) != 0 {
		t.Errorf("audit of another problem: %v, %v", none, err)
	}
}

// Of many who are about to act at once each sees what the others did before.
func healingReserve(t *testing.T, s Stores) {
	h := s.Healing
	const n = 8
	for i := range n {
		a := healingAction(fmt.Sprint("a", i), t0)
		a.Subject = fmt.Sprint("change:", i)
		_, err := h.Create(t.Context(), a)
		ok(t, err)
		_, _, err = h.Claim(t.Context(), a.ID, healing.Lease{Owner: a.ID, Until: t0.Add(time.Minute)}, t0)
		ok(t, err)
	}
	tooMany := errors.New("too many")
	reserve := func(i int) error {
		a := healingAction(fmt.Sprint("a", i), t0)
		a.Subject = fmt.Sprint("change:", i)
		return h.Reserve(t.Context(), a, healing.Lease{Owner: a.ID, Until: t0.Add(time.Minute)}, t0, func(r healing.Reservation) (healing.Action, []healing.Entry, error) {
			acted := 0
			for _, other := range r.Recent {
				if !other.Acted.IsZero() {
					acted++
				}
			}
			if r.Stop.Stopped || acted >= 3 {
				return a, nil, tooMany
			}
			a.State, a.Acted = healing.StateActing, t0.Add(time.Second)
			return a, []healing.Entry{{Action: a.ID, What: "acting"}}, nil
		})
	}
	won := inParallel(t, n, func(i int) (bool, error) {
		err := reserve(i)
		if errors.Is(err, tooMany) {
			return false, nil
		}
		return err == nil, err
	})
	if won != 3 {
		t.Errorf("%d of %d may act, want 3", won, n)
	}
	acting, err := h.Actions(t.Context(), healing.Query{ActedSince: t0})
	ok(t, err)
	audit, err := h.Audit(t.Context(), "", "", 0)
	ok(t, err)
	if len(acting) != 3 || len(audit) != 3 {
		t.Errorf("%d actions and %d lines of audit are stored, want 3 each", len(acting), len(audit))
	}
	err = h.Reserve(t.Context(), healingAction("a0", t0), healing.Lease{Owner: "somebody else"}, t0, func(healing.Reservation) (healing.Action, []healing.Entry, error) {
		return healingAction("a0", t0), nil, nil
	})
	wantKind(t, err, fault.KindConflict)
}

func healingStop(t *testing.T, s Stores) {
	h := s.Healing
	now, err := h.Stop(t.Context())
	ok(t, err)
	if d := cmp.Diff(healing.Stop{}, now); d != "" {
		t.Errorf("at first: %s", d)
	}
	want := healing.Stop{Stopped: true, Who: "kim", Reason: "maintenance", Since: t0}
	ok(t, h.SetStop(t.Context(), want, healing.Entry{Time: t0, Who: "kim", What: "stopped", Text: "maintenance"}))
	now, err = h.Stop(t.Context())
	ok(t, err)
	if d := cmp.Diff(want, now); d != "" {
		t.Error(d)
	}
	a := healingAction("a1", t0)
	_, err = h.Create(t.Context(), a)
	ok(t, err)
	_, _, err = h.Claim(t.Context(), "a1", healing.Lease{Owner: "o", Until: t0.Add(time.Minute)}, t0)
	ok(t, err)
	ok(t, h.Reserve(t.Context(), a, healing.Lease{Owner: "o"}, t0, func(r healing.Reservation) (healing.Action, []healing.Entry, error) {
		if d := cmp.Diff(want, r.Stop); d != "" {
			t.Errorf("the switch as Reserve shows it: %s", d)
		}
		return a, nil, nil
	}))
	audit, err := h.Audit(t.Context(), "", "", 0)
	ok(t, err)
	if len(audit) != 1 || audit[0].What != "stopped" || audit[0].Who != "kim" {
		t.Errorf("audit is %+v", audit)
	}
}
