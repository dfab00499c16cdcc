package change_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tidegate-io/tidegate/change"
	"github.com/tidegate-io/tidegate/entity"
	"github.com/tidegate-io/tidegate/fault"
)

// memory is a Store that keeps events in the order of their times.
type memory struct {
	mu     sync.Mutex
	events []change.Event
	fail   error
}

func (m *memory) Add(_ context.Context, e change.Event) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.fail != nil {
		return m.fail
	}
	for _, old := range m.events {
		if old.ID == e.ID {
			return fault.Conflict("event %s exists", e.ID)
		}
	}
	m.events = append(m.events, e)
	return nil
}

func (m *memory) Event(_ context.Context, id string) (change.Event, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, e := range m.events {
		if e.ID == id {
			return e, nil
		}
	}
	return change.Event{}, fault.NotFound("no event %s", id)
}

func (m *memory) Events(_ context.Context, q change.Query) ([]change.Event, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	sorted := slices.Clone(m.events)
	slices.SortStableFunc(sorted, func(a, b change.Event) int { return b.Start.Compare(a.Start) })
	var out []change.Event
	seen := q.Before == ""
	for _, e := range sorted {
		if !seen {
			seen = e.ID == q.Before
			continue
		}
		if len(q.Kinds) > 0 && !slices.Contains(q.Kinds, e.Kind) || !q.From.IsZero() && e.Start.Before(q.From) || !q.To.IsZero() && !e.Start.Before(q.To) {
			continue
		}
		if out = append(out, e); len(out) == q.Limit {
			break
		}
	}
	return out, nil
}

type entities []entity.Entity

func (e entities) Entities(context.Context) ([]entity.Entity, error) {
	if e == nil {
		return nil, errors.New("not now")
	}
	return e, nil
}

func service(name, env string, tags map[string]string) entity.Entity {
	return entity.Entity{ID: "SERVICE-" + name, Type: entity.TypeService, Ref: entity.Ref{Service: name, Environment: env}, Tags: tags}
}

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func newLog(t *testing.T, store change.Store, known change.Entities) *change.Log {
	t.Helper()
	l, err := change.New(change.Config{Store: store, Entities: known, Now: func() time.Time { return noon }})
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func TestRecordCompletesTheEvent(t *testing.T) {
	store := &memory{}
	l := newLog(t, store, entities{service("payment", "dev", nil), service("payment", "prod", nil), service("cart", "dev", nil)})
	got, err := l.Record(t.Context(), change.Event{Type: "flag.changed", Key: "f", Selector: "type(SERVICE),entityName.equals(Payment)"})
	if err != nil {
		t.Fatal(err)
	}
	want := change.Event{
		ID: got.ID, Type: "flag.changed", Kind: change.KindFlag, Title: "flag.changed f", Key: "f", Start: noon, Received: noon,
		Ref: entity.Ref{Service: "payment"}, Selector: "type(SERVICE),entityName.equals(Payment)",
		Entities: []entity.Ref{{Service: "payment", Environment: "dev"}, {Service: "payment", Environment: "prod"}},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]change.Event{want}, store.events); diff != "" {
		t.Errorf("stored: %s", diff)
	}
	if len(got.ID) != 36 || got.ID[14] != '7' {
		t.Errorf("id %q is not a UUID version 7", got.ID)
	}
}

func TestRecordKeepsTheEventWhenEntitiesAreUnknown(t *testing.T) {
	for name, known := range map[string]change.Entities{"failing": entities(nil), "none": nil} {
		got, err := newLog(t, &memory{}, known).Record(t.Context(), change.Event{Type: "x", Selector: "service=cart"})
		if err != nil || got.Service != "cart" || got.Entities != nil {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
	}
}

func TestRecordIsIdempotentByID(t *testing.T) {
	store := &memory{}
	l := newLog(t, store, nil)
	told := 0
	l.Subscribe(func(context.Context, change.Event) { told++ })
	e := change.Event{ID: change.DeriveID("cloudevents", "ci", "1"), Type: "test.finished", Title: "done"}
	first, err := l.Record(t.Context(), e)
	if err != nil {
		t.Fatal(err)
	}
	again, err := l.Record(t.Context(), e)
	if err != nil || !cmp.Equal(first, again) || told != 1 || len(store.events) != 1 {
		t.Errorf("again: %v %v, told %d times, stored %d", again, err, told, len(store.events))
	}
	e.Title = "something else"
	if _, err := l.Record(t.Context(), e); !fault.Is(err, fault.KindConflict) {
		t.Errorf("another event under the same id: %v", err)
	}
	if change.DeriveID("a", "bc") == change.DeriveID("ab", "c") {
		t.Error("parts run together")
	}
}

func TestSubscribersAreToldAfterTheStore(t *testing.T) {
	store := &memory{}
	l := newLog(t, store, nil)
	var told []string
	cancel := l.Subscribe(func(ctx context.Context, e change.Event) {
		if _, err := store.Event(ctx, e.ID); err != nil {
			t.Errorf("told before it was stored: %v", err)
		}
		told = append(told, e.Title)
	})
	ctx, stop := context.WithCancel(t.Context())
	l.Subscribe(func(ctx context.Context, _ change.Event) {
		stop()
		if ctx.Err() != nil {
			t.Error("the caller's cancellation reaches subscribers")
		}
	})
	if _, err := l.Record(ctx, change.Event{Type: "a", Title: "one"}); err != nil {
		t.Fatal(err)
	}
	store.fail = errors.New("disk full")
	if _, err := l.Record(t.Context(), change.Event{Type: "a", Title: "lost"}); err == nil {
		t.Error("no error although the store failed")
	}
	store.fail = nil
	cancel()
	cancel()
	if _, err := l.Record(t.Context(), change.Event{Type: "a", Title: "two"}); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"one"}, told); diff != "" {
		t.Error(diff)
	}
}

func TestRecordRefuses(t *testing.T) {
	long := strings.Repeat("x", 5000)
	tests := []struct {
		field string
		event change.Event
	}{
		{"type", change.Event{}},
		{"type", change.Event{Type: "a b"}},
		{"type", change.Event{Type: strings.Repeat("x", 201)}},
		{"kind", change.Event{Type: "a", Kind: "nonsense"}},
		{"title", change.Event{Type: "a", Title: long}},
		{"who", change.Event{Type: "a", Who: "\xff"}},
		{"key", change.Event{Type: "a", Title: "t", Key: "a\x00"}},
		{"end", change.Event{Type: "a", Start: noon, End: noon.Add(-time.Second)}},
		{"start", change.Event{Type: "a", Start: time.Unix(-1e9, 0)}},
		{"properties.k", change.Event{Type: "a", Properties: map[string]string{"k": long}}},
		{"properties", change.Event{Type: "a", Properties: map[string]string{"": "v"}}},
		{"links.url", change.Event{Type: "a", Links: []change.Link{{URL: "javascript:alert(1)"}}}},
		{"undo.kind", change.Event{Type: "a", Undo: &change.Undo{Kind: "wish"}}},
		{"undo.flagKey", change.Event{Type: "a", Undo: &change.Undo{Kind: "flag"}}},
		{"undo.variant", change.Event{Type: "a", Undo: &change.Undo{Kind: "flag", FlagKey: "f"}}},
		{"undo.url", change.Event{Type: "a", Undo: &change.Undo{Kind: "webhook", URL: "/relative"}}},
		{"", change.Event{Type: "a", Selector: "nonsense"}},
	}
	for _, tt := range tests {
		store := &memory{}
		_, err := newLog(t, store, nil).Record(t.Context(), tt.event)
		var f *fault.Error
		if !errors.As(err, &f) || f.Kind != fault.KindInvalid || f.Field != tt.field {
			t.Errorf("%+v: %v (field %q), want an invalid field %q", tt.event.Type, err, fieldOf(f), tt.field)
		}
		if len(store.events) > 0 {
			t.Errorf("%s: stored all the same", tt.field)
		}
	}
}

func fieldOf(f *fault.Error) string {
	if f == nil {
		return ""
	}
	return f.Field
}

func TestCauses(t *testing.T) {
	l := newLog(t, &memory{}, nil)
	at := func(min int, kind change.Kind, service, env string) {
		e := change.Event{Type: "x", Kind: kind, Title: service + env, Start: noon.Add(time.Duration(min) * time.Minute), Ref: entity.Ref{Service: service, Environment: env}}
		if _, err := l.Record(t.Context(), e); err != nil {
			t.Fatal(err)
		}
	}
	at(1, change.KindFlag, "payment", "dev")
	at(2, change.KindDeployment, "payment", "prod")
	at(3, change.KindDeployment, "payment", "")
	at(4, change.KindTest, "payment", "dev")
	at(5, change.KindConfiguration, "", "")
	at(6, change.KindFlag, "cart", "dev")
	at(9, change.KindFlag, "payment", "dev")
	for range 300 { // more than a page of what does not matter
		at(7, change.KindFlag, "cart", "dev")
	}
	got, err := l.Causes(t.Context(), entity.Ref{Service: "payment", Environment: "dev"}, noon, noon.Add(8*time.Minute), 0)
	if err != nil {
		t.Fatal(err)
	}
	var titles []string
	for _, e := range got {
		titles = append(titles, e.Title)
	}
	if diff := cmp.Diff([]string{"x", "payment", "paymentdev"}, titles); diff != "" {
		t.Error(diff)
	}
}

func TestNewIDsSortByTime(t *testing.T) {
	var ids []string
	for i := range 100 {
		ids = append(ids, change.NewID(noon.Add(time.Duration(i)*time.Millisecond)))
	}
	if !slices.IsSorted(ids) {
		t.Error("ids of later events do not sort later")
	}
}
