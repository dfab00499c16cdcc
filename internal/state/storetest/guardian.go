package storetest

import (
	"fmt"
	"math"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tidegate-io/tidegate/entity"
	"github.com/tidegate-io/tidegate/evidence"
	"github.com/tidegate-io/tidegate/fault"
	"github.com/tidegate-io/tidegate/guardian"
	"github.com/tidegate-io/tidegate/judge"
)

// equalNumbers takes NaN for equal to NaN.
var equalNumbers = cmp.Comparer(func(a, b judge.Number) bool { return a == b || a.IsNaN() && b.IsNaN() })

func validationsNumbered(t *testing.T, s Stores) {
	var numbers [12]int
	created := inParallel(t, 12, func(i int) (bool, error) {
		v, created, err := s.Guardians.Create(t.Context(), guardian.Validation{
			ID: fmt.Sprint("v", i/2), Guardian: "checkout", State: guardian.StatePending, Created: t0})
		numbers[i] = v.Number
		return created, err
	})
	if created != 6 {
		t.Errorf("%d validations were created for 6 ids", created)
	}
	for i := 0; i < 12; i += 2 {
		if numbers[i] != numbers[i+1] {
			t.Errorf("id v%d has numbers %d and %d", i/2, numbers[i], numbers[i+1])
		}
	}
	unique := slices.Compact(slices.Sorted(slices.Values(numbers[:])))
	if d := cmp.Diff([]int{1, 2, 3, 4, 5, 6}, unique); d != "" {
		t.Error(d)
	}
	v, _, err := s.Guardians.Create(t.Context(), guardian.Validation{ID: "other", Guardian: "payment", Number: 77, Created: t0})
	ok(t, err)
	if v.Number != 1 {
		t.Errorf("first validation of another guardian has number %d", v.Number)
	}
	_, _, err = s.Guardians.Create(t.Context(), guardian.Validation{Guardian: "payment"})
	wantKind(t, err, fault.KindInvalid)
}

func validationsUpdated(t *testing.T, s Stores) {
	v, _, err := s.Guardians.Create(t.Context(), guardian.Validation{ID: "v", Guardian: "checkout", State: guardian.StatePending, Created: t0})
	ok(t, err)
	nan := judge.Number(math.NaN())
	v.Target = entity.Ref{Service: "checkout", Environment: "dev"}
	v.State, v.Status, v.Variant, v.Finished = guardian.StateFinished, judge.StatusFail, "dev", t0.Add(time.Minute)
	v.Tags, v.Window = map[string]string{"purpose": "acceptance"}, guardian.Window{From: t0, To: t0.Add(time.Minute)}
	v.Verdict = &judge.Verdict{Status: judge.StatusFail, Results: []judge.Result{{Name: "latency", Estimate: 0.25, MDE: nan, High: judge.Number(math.Inf(1))}}}
	v.Evidence = &evidence.Evidence{FailedTraces: 3, FirstFailure: t0, Gaps: []string{"no log store"}}
	v.Sources = []guardian.Source{{Objective: "latency", Queries: []string{"up"}, Series: [][2]judge.Number{{1, nan}}}}
	v.Watch = &guardian.Watch{Until: t0.Add(time.Hour), Courses: []guardian.WatchCourse{{Objective: "latency", FailAt: 100, Looks: []guardian.Look{{Time: t0, EValue: 3, Estimate: nan}}}}}
	ok(t, s.Guardians.Update(t.Context(), v))
	got, err := s.Guardians.Validation(t.Context(), "v")
	ok(t, err)
	if d := cmp.Diff(v, got, equalNumbers); d != "" {
		t.Errorf("stored validation differs:\n%s", d)
	}
	listed, err := s.Guardians.Validations(t.Context(), guardian.HistoryQuery{Guardian: "checkout"})
	ok(t, err)
	v.Evidence, v.Sources, v.Watch = nil, nil, nil
	if d := cmp.Diff([]guardian.Validation{v}, listed, equalNumbers); d != "" {
		t.Errorf("lists leave out evidence, sources and watch, nothing else:\n%s", d)
	}
	wantKind(t, s.Guardians.Update(t.Context(), guardian.Validation{ID: "nobody", Guardian: "checkout", Number: 1}), fault.KindNotFound)
	v.Number = 2
	wantKind(t, s.Guardians.Update(t.Context(), v), fault.KindNotFound)
	_, err = s.Guardians.Validation(t.Context(), "nobody")
	wantKind(t, err, fault.KindNotFound)
}

func validationsListed(t *testing.T, s Stores) {
	for i := range 6 {
		_, _, err := s.Guardians.Create(t.Context(), guardian.Validation{
			ID: fmt.Sprint("c", i+1), Guardian: "checkout", Variant: []string{"dev", "prod"}[i%2],
			State: []guardian.State{guardian.StateFinished, guardian.StateFinished, guardian.StatePending}[i%3], Created: t0.Add(time.Duration(i) * time.Minute)})
		ok(t, err)
	}
	_, _, err := s.Guardians.Create(t.Context(), guardian.Validation{ID: "p1", Guardian: "payment", State: guardian.StateRunning, Created: t0.Add(90 * time.Second)})
	ok(t, err)
	pin, err := s.Guardians.Validation(t.Context(), "c3")
	ok(t, err)
	pin.Pinned = true
	ok(t, s.Guardians.Update(t.Context(), pin))
	dev, none := "dev", ""
	for _, c := range []struct {
		name string
		q    guardian.HistoryQuery
		want []string
	}{
		{"all guardians by creation", guardian.HistoryQuery{}, []string{"c6", "c5", "c4", "c3", "p1", "c2", "c1"}},
		{"guardian", guardian.HistoryQuery{Guardian: "checkout"}, []string{"c6", "c5", "c4", "c3", "c2", "c1"}},
		{"variant", guardian.HistoryQuery{Guardian: "checkout", Variant: &dev}, []string{"c5", "c3", "c1"}},
		{"empty variant", guardian.HistoryQuery{Variant: &none}, []string{"p1"}},
		{"state", guardian.HistoryQuery{State: guardian.StatePending}, []string{"c6", "c3"}},
		{"pinned", guardian.HistoryQuery{Guardian: "checkout", Pinned: true}, []string{"c3"}},
		{"limit and before", guardian.HistoryQuery{Guardian: "checkout", Limit: 2, Before: 5}, []string{"c4", "c3"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := s.Guardians.Validations(t.Context(), c.q)
			ok(t, err)
			ids := []string{}
			for _, v := range got {
				ids = append(ids, v.ID)
			}
			if d := cmp.Diff(c.want, ids); d != "" {
				t.Error(d)
			}
		})
	}
}
