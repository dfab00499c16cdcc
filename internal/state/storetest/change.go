package storetest

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tidegate-io/tidegate/change"
	"github.com/tidegate-io/tidegate/entity"
	"github.com/tidegate-io/tidegate/fault"
)

func changesRoundTrip(t *testing.T, s Stores) {
	full := change.Event{
		ID: "e-1", Type: change.TypeFlagChanged, Kind: change.KindFlag, Title: "it's \"on\"; ÄÖÜ 潮汐",
		Who: "ann\x00e", Reason: `?0 ? $1 \ ' --`, Source: "cli", Start: t0, End: t0.Add(time.Minute), Received: t0.Add(time.Second),
		Ref: entity.Ref{Service: "payment", Environment: "dev", Version: "1.2"}, Selector: "type(SERVICE)",
		Entities: []entity.Ref{{Service: "payment", Environment: "dev"}, {Service: "checkout"}},
		Key:      "paymentServiceFailure", From: "off", To: "on", Properties: map[string]string{"k": "v\x00", "purpose": "acceptance"},
		Links: []change.Link{{Title: "run", URL: "https://ci.example/1"}},
		Undo:  &change.Undo{Kind: "flag", FlagKey: "paymentServiceFailure", Variant: "off"}, UndoOf: "e-0", Correlation: "run-1",
	}
	bare := change.Event{ID: "e-2", Type: "x", Start: time.Date(1, 1, 1, 0, 0, 0, 0, time.UTC)}
	for _, want := range []change.Event{full, bare} {
		ok(t, s.Changes.Add(t.Context(), want))
		got, err := s.Changes.Event(t.Context(), want.ID)
		ok(t, err)
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("stored event differs:\n%s", d)
		}
	}
	_, err := s.Changes.Event(t.Context(), "nobody")
	wantKind(t, err, fault.KindNotFound)
	for _, id := range []string{"", "a\x00b", string(make([]byte, 300))} {
		wantKind(t, s.Changes.Add(t.Context(), change.Event{ID: id, Type: "x", Start: t0}), fault.KindInvalid)
	}
}

func changesAddedOnce(t *testing.T, s Stores) {
	added := inParallel(t, 8, func(i int) (bool, error) {
		err := s.Changes.Add(t.Context(), change.Event{ID: "same", Type: "x", Start: t0, Title: fmt.Sprint(i)})
		if fault.Is(err, fault.KindConflict) {
			return false, nil
		}
		return err == nil, err
	})
	if added != 1 {
		t.Errorf("%d of 8 adds of one id succeeded, want 1", added)
	}
	before, err := s.Changes.Event(t.Context(), "same")
	ok(t, err)
	wantKind(t, s.Changes.Add(t.Context(), change.Event{ID: "same", Type: "y", Start: t0}), fault.KindConflict)
	after, err := s.Changes.Event(t.Context(), "same")
	ok(t, err)
	if d := cmp.Diff(before, after); d != "" {
		t.Errorf("a refused event changed the stored one:\n%s", d)
	}
}

func changesSelected(t *testing.T, s Stores) {
	at := func(minutes int) time.Time { return t0.Add(time.Duration(minutes) * time.Minute) }
	for _, e := range []change.Event{
		{ID: "deploy", Type: "deployment.finished", Kind: change.KindDeployment, Who: "ci", Key: "shop", Start: at(0), Ref: entity.Ref{Service: "checkout", Environment: "dev"}},
		{ID: "flag", Type: "flag.changed", Kind: change.KindFlag, Who: "ann", Key: "f", Start: at(1), Ref: entity.Ref{Service: "payment"}},
		{ID: "wide", Type: "annotation", Kind: change.KindAnnotation, Start: at(2), Correlation: "c1",
			Entities: []entity.Ref{{Service: "checkout", Environment: "prod"}, {Service: "payment", Environment: "prod"}, {Service: "payment", Environment: "prod", Version: "2"}}},
		{ID: "nowhere", Type: "annotation", Kind: change.KindAnnotation, Start: at(3)},
		{ID: "test", Type: "test.finished", Kind: change.KindTest, Start: at(4), Ref: entity.Ref{Environment: "dev"}},
	} {
		ok(t, s.Changes.Add(t.Context(), e))
	}
	for _, c := range []struct {
		name string
		q    change.Query
		want []string
	}{
		{"everything", change.Query{}, []string{"test", "nowhere", "wide", "flag", "deploy"}},
		{"kinds", change.Query{Kinds: []change.Kind{change.KindFlag, change.KindDeployment}}, []string{"flag", "deploy"}},
		{"types", change.Query{Types: []string{"annotation", "test.finished"}}, []string{"test", "nowhere", "wide"}},
		{"service", change.Query{Service: "checkout"}, []string{"wide", "deploy"}},
		{"service in environment", change.Query{Service: "checkout", Environment: "dev"}, []string{"deploy"}},
		{"no environment is any", change.Query{Service: "payment", Environment: "dev"}, []string{"flag"}},
		{"environment", change.Query{Environment: "prod"}, []string{"wide", "flag"}},
		{"who", change.Query{Who: "ann"}, []string{"flag"}},
		{"key", change.Query{Key: "shop"}, []string{"deploy"}},
		{"correlation", change.Query{Correlation: "c1"}, []string{"wide"}},
		{"time, end exclusive", change.Query{From: at(1), To: at(3)}, []string{"wide", "flag"}},
		{"one nanosecond", change.Query{From: at(1).Add(1)}, []string{"test", "nowhere", "wide"}},
		{"limit", change.Query{Limit: 2}, []string{"test", "nowhere"}},
		{"no match", change.Query{Service: "x' OR '1'='1"}, []string{}},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := s.Changes.Events(t.Context(), c.q)
			ok(t, err)
			if d := cmp.Diff(c.want, eventIDs(got)); d != "" {
				t.Error(d)
			}
		})
	}
}

func changesPaged(t *testing.T, s Stores) {
	var want []string
	for i := range 25 {
		id := fmt.Sprintf("e%02d", i)
		want = append(want, id)
		ok(t, s.Changes.Add(t.Context(), change.Event{ID: id, Type: "x", Start: t0.Add(time.Duration(i/5) * time.Second)}))
	}
	slices.Reverse(want) // equal starts are ordered by id
	var got []string
	for q := (change.Query{Limit: 7}); ; {
		page, err := s.Changes.Events(t.Context(), q)
		ok(t, err)
		if len(page) == 0 {
			break
		}
		if len(page) > 7 {
			t.Fatalf("page of %d events, limit 7", len(page))
		}
		got = append(got, eventIDs(page)...)
		q.Before = page[len(page)-1].ID
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	_, err := s.Changes.Events(t.Context(), change.Query{Before: "gone"})
	wantKind(t, err, fault.KindInvalid)
}

func changesWaiting(t *testing.T, s Stores) {
	placer, isPlacer := s.Changes.(change.Placer)
	if !isPlacer {
		t.Fatal("the store cannot keep events waiting")
	}
	waiting := func(want ...string) {
		t.Helper()
		list, err := placer.Waiting(t.Context(), 10)
		ok(t, err)
		if d := cmp.Diff(append([]string{}, want...), eventIDs(list)); d != "" {
			t.Errorf("waiting: %s", d)
		}
	}
	for i, id := range []string{"late", "soon"} {
		ok(t, s.Changes.Add(t.Context(), change.Event{ID: id, Type: "x", Start: t0, Selector: "service=cart",
			Placement: &change.Placement{State: change.PlacementWaiting, Until: t0.Add(time.Duration(2-i) * time.Minute)}}))
	}
	ok(t, s.Changes.Add(t.Context(), change.Event{ID: "placed at once", Type: "x", Start: t0}))
	waiting("soon", "late")
	e, err := s.Changes.Event(t.Context(), "soon")
	ok(t, err)
	e.Entities = []entity.Ref{{Service: "cart", Environment: "dev"}}
	e.Placement = &change.Placement{State: change.PlacementPlaced, Until: e.Placement.Until, At: t0, Reason: "seen"}
	placed, err := placer.Place(t.Context(), e)
	ok(t, err)
	again, err := placer.Place(t.Context(), e)
	ok(t, err)
	if !placed || again {
		t.Errorf("placed %v, then %v: want true, then false", placed, again)
	}
	waiting("late")
	got, err := s.Changes.Event(t.Context(), "soon")
	ok(t, err)
	if d := cmp.Diff(e, got); d != "" {
		t.Error(d)
	}
	found, err := s.Changes.Events(t.Context(), change.Query{Service: "cart", Environment: "dev"})
	ok(t, err)
	if d := cmp.Diff([]string{"soon"}, eventIDs(found)); d != "" {
		t.Errorf("found by its place: %s", d)
	}
}

func eventIDs(events []change.Event) []string {
	ids := make([]string, len(events))
	for i, e := range events {
		ids[i] = e.ID
	}
	return ids
}
