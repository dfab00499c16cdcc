//go:build unix

package state_test

import (
	"context"
	"testing"
	"time"

	"github.com/tidegate-io/tidegate/change"
	"github.com/tidegate-io/tidegate/entity"
	"github.com/tidegate-io/tidegate/problem"
)

// Whose an event is survives merging, on either database: a report that comes
// again long after opens nothing.
func TestEventsOfMergedProblems(t *testing.T) {
	eachDatabase(t, func(t *testing.T, newURL func(*testing.T) string) {
		db := open(t, newURL(t))
		changes, err := change.New(change.Config{Store: db.Changes()})
		if err != nil {
			t.Fatal(err)
		}
		now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
		s, err := problem.New(problem.Config{Store: db.Problems(), Recorder: changes, Clock: func() time.Time { return now },
			Graph: problem.GraphFunc(func(context.Context, time.Time, time.Time) ([]problem.Call, error) {
				return []problem.Call{{Client: "cart", Server: "redis"}, {Client: "checkout", Server: "redis"}}, nil
			})})
		if err != nil {
			t.Fatal(err)
		}
		event := func(id, service string, end time.Time) problem.Event {
			return problem.Event{ID: id, Source: "test", Title: "t", Ref: entity.Ref{Service: service}, Start: now, End: end}
		}
		observe := func(e problem.Event) int {
			t.Helper()
			ids, err := s.Observe(t.Context(), []problem.Event{e})
			if err != nil {
				t.Fatal(err)
			}
			p, err := s.Problem(t.Context(), ids[0])
			if err != nil {
				t.Fatal(err)
			}
			return p.Number
		}
		a, b, c := event("a", "cart", time.Time{}), event("b", "checkout", time.Time{}), event("c", "redis", now)
		if x, y := observe(a), observe(b); x != 1 || y != 2 {
			t.Fatalf("problems %d, %d", x, y)
		}
		// The last step merges and closes.
		a.End, b.End = now, now
		if _, err := s.Observe(t.Context(), []problem.Event{a, b, c}); err != nil {
			t.Fatal(err)
		}
		a.End, b.End = time.Time{}, time.Time{}
		now = now.Add(2 * time.Hour)
		for _, late := range []problem.Event{a, b, c} {
			if n := observe(late); n != 1 {
				t.Errorf("event %s is of problem %d", late.ID, n)
			}
		}
		if list, err := s.Problems(t.Context(), problem.Query{State: problem.StateOpen}); err != nil || len(list) != 0 {
			t.Errorf("%d problems are open, %v", len(list), err)
		}
	})
}
