package storetest

import (
	"fmt"
	"math"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tidegate-io/tidegate/delivery/signature"
	"github.com/tidegate-io/tidegate/delivery/validation"
	"github.com/tidegate-io/tidegate/entity"
	"github.com/tidegate-io/tidegate/fault"
	"github.com/tidegate-io/tidegate/judge"
)

func comparisons(t *testing.T, s Stores) {
	limit := 0.25
	full := validation.Validation{ID: "v1", Pipeline: "shop", Build: "17\x00", Release: "r", Stage: "staging", Comparison: "StagingToProduction",
		Service: "cart", Version: "2", Environment: "staging", Who: "ann", Status: validation.StatusWaiting,
		Window: validation.Window{From: t0, To: t0.Add(time.Minute)}, Due: t0.Add(time.Minute), Created: t0, Summary: "waits",
		Results: []signature.Result{{Signature: "cart", Metric: "m", Source: 1, Compare: judge.Number(math.NaN()), Status: signature.StatusOK}},
		Sides:   []validation.Side{{Signature: "cart", SourceEntities: []entity.Ref{{Service: "cart"}}, CompareEntities: []entity.Ref{}}},
		Signatures: []signature.Signature{{Name: "cart", Type: entity.TypeService, Mode: signature.ModePoint,
			Metrics: []signature.Metric{{Key: "m", Measure: signature.ResponseTime, Aggregate: "p90", Upper: &limit}}}},
	}
	stored, created, err := s.Comparisons.Create(t.Context(), full)
	ok(t, err)
	again, createdAgain, err := s.Comparisons.Create(t.Context(), validation.Validation{ID: "v1", Comparison: "other"})
	ok(t, err)
	if !created || createdAgain {
		t.Errorf("created %v, then %v: want true, then false", created, createdAgain)
	}
	got, err := s.Comparisons.Validation(t.Context(), "v1")
	ok(t, err)
	for name, v := range map[string]validation.Validation{"created": stored, "created again": again, "read": got} {
		if d := cmp.Diff(full, v, sameNumber); d != "" {
			t.Errorf("%s: %s", name, d)
		}
	}
	_, err = s.Comparisons.Validation(t.Context(), "nobody")
	wantKind(t, err, fault.KindNotFound)
	_, _, err = s.Comparisons.Create(t.Context(), validation.Validation{ID: ""})
	wantKind(t, err, fault.KindInvalid)
}

var sameNumber = cmp.Comparer(func(a, b judge.Number) bool { return a == b || a.IsNaN() && b.IsNaN() })

func comparisonsListed(t *testing.T, s Stores) {
	for i := range 6 {
		v := validation.Validation{ID: fmt.Sprint("v", i), Pipeline: []string{"shop", "web"}[i%2], Comparison: []string{"A", "B"}[i/4],
			Status: validation.StatusWaiting, Created: t0.Add(time.Duration(i/2) * time.Second), Due: t0.Add(time.Hour),
			Signatures: []signature.Signature{{Name: "large"}}}
		if i == 0 {
			v.Status = validation.StatusOK
		}
		_, _, err := s.Comparisons.Create(t.Context(), v)
		ok(t, err)
	}
	for _, c := range []struct {
		q    validation.Query
		want []string
	}{
		{validation.Query{}, []string{"v5", "v4", "v3", "v2", "v1", "v0"}},
		{validation.Query{Pipeline: "shop"}, []string{"v4", "v2", "v0"}},
		{validation.Query{Pipeline: "shop", Comparison: "A"}, []string{"v2", "v0"}},
		{validation.Query{Status: validation.StatusOK}, []string{"v0"}},
		{validation.Query{Limit: 2}, []string{"v5", "v4"}},
		{validation.Query{Limit: 2, Before: "v4"}, []string{"v3", "v2"}},
		{validation.Query{Pipeline: "none"}, nil},
	} {
		list, err := s.Comparisons.Validations(t.Context(), c.q)
		ok(t, err)
		var ids []string
		for _, v := range list {
			ids = append(ids, v.ID)
			if v.Signatures != nil {
				t.Errorf("%s is listed with its definition", v.ID)
			}
		}
		if d := cmp.Diff(c.want, ids); d != "" {
			t.Errorf("%+v: %s", c.q, d)
		}
	}
	_, err := s.Comparisons.Validations(t.Context(), validation.Query{Before: "gone"})
	wantKind(t, err, fault.KindInvalid)
}

func comparisonLeases(t *testing.T, s Stores) {
	add := func(id string, due time.Time) {
		_, _, err := s.Comparisons.Create(t.Context(), validation.Validation{ID: id, Comparison: "A", Status: validation.StatusWaiting, Created: t0, Due: due,
			Signatures: []signature.Signature{{Name: "cart"}}})
		ok(t, err)
	}
	claim := func(owner string, now time.Time, want string) validation.Validation {
		t.Helper()
		v, got, err := s.Comparisons.Claim(t.Context(), validation.Lease{Owner: owner, Until: now.Add(time.Minute)}, now)
		ok(t, err)
		if v.ID != want || got != (want != "") {
			t.Fatalf("%s claims %q (%v) at %s, want %q", owner, v.ID, got, now.Sub(t0), want)
		}
		return v
	}
	add("later", t0.Add(time.Hour))
	claim("a", t0, "") // not due
	add("second", t0.Add(2*time.Second))
	add("first", t0.Add(time.Second))
	now := t0.Add(3 * time.Second)
	v := claim("a", now, "first") // due for longest
	if len(v.Signatures) != 1 {
		t.Errorf("claimed without its definition: %+v", v)
	}
	claim("b", now, "second")
	claim("b", now, "")                         // both are held
	claim("b", now.Add(2*time.Minute), "first") // a's lease ran out
	wantKind(t, s.Comparisons.Save(t.Context(), v, validation.Lease{Owner: "a"}), fault.KindConflict)
	claim("c", now.Add(2*time.Minute), "second")

	// Saved as waiting again it is due later, with its lease over.
	v.Status, v.Due = validation.StatusWaiting, now.Add(10*time.Minute)
	ok(t, s.Comparisons.Save(t.Context(), v, validation.Lease{Owner: "b"}))
	claim("d", now.Add(10*time.Minute-time.Second), "second")
	claim("d", now.Add(10*time.Minute), "first")
	// What a process that ended had held is free at once.
	ok(t, s.Comparisons.Release(t.Context(), "d"))
	claim("e", now.Add(10*time.Minute), "second")
	claim("e", now.Add(10*time.Minute), "first")
	// A final one is never claimed, or changed, again.
	v.Status = validation.StatusOK
	ok(t, s.Comparisons.Save(t.Context(), v, validation.Lease{Owner: "e"}))
	wantKind(t, s.Comparisons.Save(t.Context(), v, validation.Lease{Owner: "e"}), fault.KindConflict)
	claim("f", t0.Add(24*time.Hour), "second")
	claim("f", t0.Add(24*time.Hour), "later")
	claim("f", t0.Add(24*time.Hour), "")

	add("contended", t0)
	won := inParallel(t, 8, func(i int) (bool, error) {
		_, got, err := s.Comparisons.Claim(t.Context(), validation.Lease{Owner: fmt.Sprint("o", i), Until: t0.Add(time.Minute)}, t0)
		return got, err
	})
	if won != 1 {
		t.Errorf("%d of 8 claimed one validation, want 1", won)
	}
}
