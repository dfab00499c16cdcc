package change_test

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tidegate-io/tidegate/change"
	"github.com/tidegate-io/tidegate/entity"
)

// Waiting implements change.Placer.
func (m *memory) Waiting(_ context.Context, limit int) ([]change.Event, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	var out []change.Event
	for _, e := range m.events {
		if e.Placement != nil && e.Placement.State == change.PlacementWaiting && len(out) < limit {
			out = append(out, e)
		}
	}
	return out, nil
}

// Place implements change.Placer.
func (m *memory) Place(_ context.Context, e change.Event) (bool, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	i := slices.IndexFunc(m.events, func(o change.Event) bool { return o.ID == e.ID })
	if i < 0 || m.events[i].Placement.State != change.PlacementWaiting {
		return false, nil
	}
	m.events[i] = e
	return true, nil
}

// seen is what telemetry has come from, by and by.
type seen struct{ list []entity.Entity }

func (s *seen) Entities(context.Context) ([]entity.Entity, error) { return s.list, nil }

func TestEventsWaitForTheirEntities(t *testing.T) {
	now, known, store := noon, &seen{}, &memory{}
	var told []change.PlacementState
	l, err := change.New(change.Config{Store: store, Entities: known, Now: func() time.Time { return now },
		Placed: func(_ context.Context, e change.Event) { told = append(told, e.Placement.State) }})
	if err != nil {
		t.Fatal(err)
	}
	record := func(selector string) change.Event {
		t.Helper()
		e, err := l.Record(t.Context(), change.Event{Type: change.TypeDeploymentFinished, Key: "shop", Selector: selector})
		if err != nil {
			t.Fatalf("a deployment before its service is refused: %v", err)
		}
		return e
	}
	look := func(id string) change.Event {
		t.Helper()
		if err := l.PlaceWaiting(t.Context()); err != nil {
			t.Fatal(err)
		}
		e, err := l.Event(t.Context(), id)
		if err != nil {
			t.Fatal(err)
		}
		return e
	}
	early := record(`tag("DeploymentGroup:Staging"),entityName.equals("CART")`)
	if p := early.Placement; p == nil || p.State != change.PlacementWaiting || !p.Until.Equal(noon.Add(10*time.Minute)) ||
		!strings.Contains(p.Reason, "No entity matches tag(\"DeploymentGroup:Staging\")") {
		t.Fatalf("placement %+v, want waiting for 10 minutes with its reason", p)
	}
	never := record("service=nobody,team=x")
	if e := look(early.ID); e.Placement.State != change.PlacementWaiting {
		t.Fatalf("placed without an entity: %+v", e.Placement)
	}

	now = now.Add(9 * time.Minute)
	known.list = []entity.Entity{service("cart", "staging", map[string]string{"DeploymentGroup": "Staging"}), service("cart", "production", nil)}
	e := look(early.ID)
	if p := e.Placement; p.State != change.PlacementPlaced || !p.At.Equal(now) || len(e.Entities) != 1 || e.Entities[0].Environment != "staging" || e.Service != "cart" {
		t.Errorf("placed as %+v %+v", e, p)
	}
	if e := look(never.ID); e.Placement.State != change.PlacementWaiting {
		t.Errorf("given up after 9 minutes: %+v", e.Placement)
	}
	now = now.Add(time.Minute)
	if e := look(never.ID); e.Placement.State != change.PlacementUnmatched || !strings.Contains(e.Placement.Reason, "No entity that matches service=nobody,team=x was seen within 10m0s") {
		t.Errorf("after 10 minutes: %+v", e.Placement)
	}
	if !slices.Equal(told, []change.PlacementState{change.PlacementPlaced, change.PlacementUnmatched}) {
		t.Errorf("told %v", told)
	}
	if e := record("service=cart"); e.Placement != nil {
		t.Errorf("an event that matches at once: %+v", e.Placement)
	}
	if e, err := l.Record(t.Context(), change.Event{Type: "x", Placement: &change.Placement{State: change.PlacementWaiting}}); err != nil || e.Placement != nil {
		t.Errorf("a placement that was sent is kept: %+v, %v", e.Placement, err)
	}
}
