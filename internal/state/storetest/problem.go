package storetest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/tidegate-io/tidegate/change"
	"github.com/tidegate-io/tidegate/entity"
	"github.com/tidegate-io/tidegate/evidence"
	"github.com/tidegate-io/tidegate/fault"
	"github.com/tidegate-io/tidegate/problem"
)

var recordFields = cmpopts.IgnoreUnexported(problem.Record{})

func saveProblems(t *testing.T, s Stores, records ...problem.Record) {
	t.Helper()
	ok(t, s.Problems.Update(t.Context(), func(ctx context.Context, tx problem.Tx) error {
		for _, r := range records {
			if err := tx.Save(ctx, r); err != nil {
				return err
			}
		}
		return nil
	}))
}

// inProblems runs f in an Update that must succeed.
func inProblems(t *testing.T, s Stores, f func(ctx context.Context, tx problem.Tx) error) {
	t.Helper()
	ok(t, s.Problems.Update(t.Context(), f))
}

func aProblem(number int, opened time.Time, events ...string) problem.Record {
	p := problem.Problem{ID: fmt.Sprint("p", number), Number: number, State: problem.StateOpen, Title: "Errors", Severity: problem.SeverityError,
		Start: opened.Add(-time.Minute), Opened: opened, Updated: opened, Impact: problem.Impact{Services: []entity.Ref{{Service: "checkout", Environment: "production"}}}}
	for _, id := range events {
		p.Events = append(p.Events, problem.Event{ID: id, Source: "detector", Signal: problem.SignalErrors, Title: "Errors", Severity: problem.SeverityError, Start: opened})
	}
	return problem.Record{Problem: p, Symptom: "errors|checkout"}
}

func problemsRoundTrip(t *testing.T, s Stores) {
	r := aProblem(1, t0, "e1", "e2")
	r.Cause = &problem.Cause{Kind: problem.CauseChange, Ref: entity.Ref{Service: "payment"}, Change: &evidence.Candidate{Event: change.Event{ID: "c"}}, Sentence: "flag"}
	r.Comments = []problem.Comment{{Time: t0, Who: "ann", Text: "NUL \x00 stays", Kind: "comment"}}
	r.Announcements = []problem.Announcement{{Event: change.Event{ID: "a", Type: problem.TypeOpened}, Channels: []string{"room"}}}
	r.AnalyseAt, r.AnalysedAt = t0.Add(time.Second), t0
	found := &evidence.Evidence{FailedTraces: 3}
	r.Evidence = found
	saveProblems(t, s, r)
	r.Evidence = nil
	inProblems(t, s, func(ctx context.Context, tx problem.Tx) error {
		got, err := tx.Record(ctx, "p1")
		if d := cmp.Diff(r, got, recordFields); d != "" {
			t.Errorf("stored record differs:\n%s", d)
		}
		if err != nil {
			return err
		}
		got.Title = "Other"
		return tx.Save(ctx, got) // without evidence: keeps what is stored
	})
	got, err := s.Problems.Problem(t.Context(), "p1")
	ok(t, err)
	r.Title, r.Evidence = "Other", found
	if d := cmp.Diff(r.Problem, got); d != "" {
		t.Errorf("stored problem differs:\n%s", d)
	}
	listed, err := s.Problems.Problems(t.Context(), problem.Query{})
	ok(t, err)
	r.Evidence = nil
	if d := cmp.Diff([]problem.Problem{r.Problem}, listed); d != "" {
		t.Errorf("lists leave out evidence, nothing else:\n%s", d)
	}
	_, err = s.Problems.Problem(t.Context(), "nobody")
	wantKind(t, err, fault.KindNotFound)
	wantKind(t, s.Problems.Update(t.Context(), func(ctx context.Context, tx problem.Tx) error {
		_, err := tx.Record(ctx, "nobody")
		return err
	}), fault.KindNotFound)
	for _, bad := range []problem.Record{{Problem: problem.Problem{Number: 2}}, {Problem: problem.Problem{ID: "x"}}} {
		wantKind(t, s.Problems.Update(t.Context(), func(ctx context.Context, tx problem.Tx) error { return tx.Save(ctx, bad) }), fault.KindInvalid)
	}
}

func problemsListed(t *testing.T, s Stores) {
	var all []problem.Record
	for i := range 5 {
		r := aProblem(i+1, t0.Add(time.Duration(i)*time.Hour), fmt.Sprint("e", i))
		if i == 3 {
			r.Severity = problem.SeverityCustom
			r.Impact.Services = []entity.Ref{{Service: "cart", Environment: "dev"}, {Service: "cart", Environment: "dev"}}
			r.Cause = &problem.Cause{Ref: entity.Ref{Service: "redis"}}
		}
		if i < 2 {
			r.State, r.Closed = problem.StateClosed, r.Opened.Add(30*time.Minute)
		}
		all = append(all, r)
	}
	saveProblems(t, s, all...)
	for _, c := range []struct {
		name string
		q    problem.Query
		want []int
	}{
		{"all", problem.Query{}, []int{5, 4, 3, 2, 1}},
		{"state", problem.Query{State: problem.StateOpen}, []int{5, 4, 3}},
		{"severity", problem.Query{Severity: problem.SeverityCustom}, []int{4}},
		{"service", problem.Query{Service: "checkout"}, []int{5, 3, 2, 1}},
		{"the service of the cause", problem.Query{Service: "redis"}, []int{4}},
		{"environment", problem.Query{Environment: "dev"}, []int{4}},
		{"no such place", problem.Query{Service: "cart", Environment: "production"}, nil},
		{"lasted after", problem.Query{From: t0.Add(time.Hour)}, []int{5, 4, 3, 2}},
		{"began before", problem.Query{To: t0.Add(time.Hour - time.Minute)}, []int{1}},
		{"page", problem.Query{Before: 4, Limit: 2}, []int{3, 2}},
	} {
		list, err := s.Problems.Problems(t.Context(), c.q)
		ok(t, err)
		var got []int
		for _, p := range list {
			got = append(got, p.Number)
		}
		if d := cmp.Diff(c.want, got); d != "" {
			t.Errorf("%s: %s", c.name, d)
		}
	}
}

func problemsActive(t *testing.T, s Stores) {
	open, closed, old, merged := aProblem(1, t0, "e1"), aProblem(2, t0.Add(time.Second), "e2"), aProblem(3, t0.Add(-time.Hour), "e3"), aProblem(4, t0, "e4")
	closed.State, closed.Closed = problem.StateClosed, t0.Add(time.Minute)
	old.State, old.Closed = problem.StateClosed, t0.Add(-time.Minute)
	merged.State, merged.Closed, merged.MergedInto = problem.StateClosed, t0.Add(time.Minute), "p1"
	other := aProblem(5, t0.Add(2*time.Second), "e5")
	other.Symptom = "latency|cart"
	saveProblems(t, s, open, closed, old, merged, other)
	inProblems(t, s, func(ctx context.Context, tx problem.Tx) error {
		active, err := tx.Active(ctx, t0.Add(time.Minute))
		var got []string
		for _, r := range active {
			got = append(got, r.ID)
		}
		if d := cmp.Diff([]string{"p1", "p2", "p5"}, got); d != "" {
			t.Errorf("active: %s", d)
		}
		recent, err2 := tx.Recent(ctx, "errors|checkout", t0)
		got = nil
		for _, p := range recent {
			got = append(got, p.ID)
		}
		slices.Sort(got)
		if d := cmp.Diff([]string{"p1", "p2"}, got); d != "" {
			t.Errorf("recent: %s", d)
		}
		n, err3 := tx.NextNumber(ctx)
		if n != 6 {
			t.Errorf("next number is %d", n)
		}
		return errors.Join(err, err2, err3)
	})
}

func problemEventsOwned(t *testing.T, s Stores) {
	owners := func(want map[string]string) {
		t.Helper()
		inProblems(t, s, func(ctx context.Context, tx problem.Tx) error {
			got, err := tx.Owners(ctx, []string{"a", "b", "c", "nobody"})
			if d := cmp.Diff(want, got); d != "" {
				t.Error(d)
			}
			none, err2 := tx.Owners(ctx, nil)
			if len(none) != 0 {
				t.Errorf("owners of no events: %v", none)
			}
			return errors.Join(err, err2)
		})
	}
	first, second := aProblem(1, t0, "a"), aProblem(2, t0, "b", "c")
	saveProblems(t, s, first, second)
	owners(map[string]string{"a": "p1", "b": "p2", "c": "p2"})
	second.MergedInto, second.State = "p1", problem.StateClosed
	first.Events = append(first.Events, second.Events...)
	saveProblems(t, s, second, first)
	saveProblems(t, s, second) // a comment on what was merged takes nothing back
	owners(map[string]string{"a": "p1", "b": "p1", "c": "p1"})
	saveProblems(t, s, aProblem(3, t0, "a")) // it came back, long after
	saveProblems(t, s, first)
	owners(map[string]string{"a": "p3", "b": "p1", "c": "p1"})
}

func problemsDue(t *testing.T, s Stores) {
	at := func(r problem.Record, d time.Duration) problem.Record { r.AnalyseAt = t0.Add(d); return r }
	never := aProblem(3, t0)
	said := aProblem(4, t0)
	said.State, said.Announcements = problem.StateClosed, []problem.Announcement{{Event: change.Event{ID: "x"}}}
	saveProblems(t, s, at(aProblem(1, t0), 2*time.Second), at(aProblem(2, t0), time.Second), never, said)
	for after, want := range map[time.Duration][]string{-time.Second: {}, 0: {"p4"}, time.Second: {"p4", "p2"}, time.Hour: {"p4", "p2", "p1"}} {
		got, err := s.Problems.Due(t.Context(), t0.Add(after), 10)
		ok(t, err)
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("after %v: %s", after, d)
		}
	}
	got, err := s.Problems.Due(t.Context(), t0.Add(time.Hour), 1)
	ok(t, err)
	if d := cmp.Diff([]string{"p4"}, got); d != "" {
		t.Error(d)
	}
}

// Steps are serialized: each sees what the one before stored, and a step that
// fails leaves nothing.
func problemSteps(t *testing.T, s Stores) {
	inParallel(t, 12, func(i int) (bool, error) {
		err := s.Problems.Update(t.Context(), func(ctx context.Context, tx problem.Tx) error {
			n, err := tx.NextNumber(ctx)
			if err != nil {
				return err
			}
			if err := tx.Save(ctx, aProblem(n, t0, fmt.Sprint("e", n))); err != nil {
				return err
			}
			if i%3 == 0 {
				return fault.Unavailable("not this one")
			}
			return nil
		})
		if i%3 == 0 {
			if !fault.Is(err, fault.KindUnavailable) {
				return false, fmt.Errorf("a step that fails returned %w", err)
			}
			err = nil
		}
		return true, err
	})
	list, err := s.Problems.Problems(t.Context(), problem.Query{})
	ok(t, err)
	for i, p := range list {
		if p.Number != len(list)-i {
			t.Errorf("problem %d of %d has number %d", i, len(list), p.Number)
		}
	}
	if len(list) != 8 {
		t.Errorf("%d problems after 8 steps that succeeded", len(list))
	}
}
