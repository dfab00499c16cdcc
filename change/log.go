package change

import (
	"context"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/tidegate-io/tidegate/entity"
	"github.com/tidegate-io/tidegate/fault"
)

// Entities knows which entities have been seen. [Log] asks it what a selector
// matches.
type Entities interface {
	Entities(ctx context.Context) ([]entity.Entity, error)
}

// Config configures a [Log].
type Config struct {
	Store Store
	// Entities is optional; without it selectors are kept but match nothing
	// beyond the service they name.
	Entities Entities
	// Wait is how long an event whose selector matches nothing waits for an
	// entity to be seen, where the store is a [Placer] and Run runs; default 10
	// minutes.
	Wait time.Duration
	// Placed, when set, is called after an event was placed or given up. It
	// must be quick.
	Placed func(ctx context.Context, e Event)
	// Now is optional, default time.Now.
	Now func() time.Time
	// Logger is optional.
	Logger *slog.Logger
}

// Log is where every change and test event comes in: it completes and checks
// an event, finds the places it is about, stores it, and only then tells the
// subscribers. What Record returned without an error is durable.
//
// # Identity
//
// An event with an ID is recorded once: recording it again returns what was
// stored and tells nobody. Senders that identify their events themselves
// (CloudEvents by source and id, GitHub by delivery id) get an ID derived
// from that with [DeriveID], so their retries are harmless. Events without any
// identity get a time-ordered random one (UUID version 7, RFC 9562), because
// two equal payloads may well be two changes: a flag turned on twice.
//
// # Subscribers
//
// They are called in the process that recorded the event, once, in the order
// of subscription, on the goroutine of Record. A crash between storing and
// telling loses the call, not the event; reactions that must survive that
// read the Store when they start.
//
// A Log is safe for concurrent use.
type Log struct {
	store    Store
	entities Entities
	waitFor  time.Duration
	placed   func(ctx context.Context, e Event)
	now      func() time.Time
	logger   *slog.Logger

	mu          sync.Mutex
	subscribers []*func(context.Context, Event)
}

// New returns a Log over cfg.Store.
func New(cfg Config) (*Log, error) {
	if cfg.Store == nil {
		return nil, fault.Invalid("change log: a store is required")
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	if cfg.Wait <= 0 {
		cfg.Wait = defaultWait
	}
	return &Log{store: cfg.Store, entities: cfg.Entities, waitFor: cfg.Wait, placed: cfg.Placed, now: cfg.Now, logger: cfg.Logger}, nil
}

// Record stores the event and returns it as stored: with its ID, its times,
// its kind and the entities its selector matched. Errors are faults of
// KindInvalid when the event is wrong (naming the field), of KindConflict when
// its ID belongs to a different event.
func (l *Log) Record(ctx context.Context, e Event) (Event, error) {
	e, err := l.complete(ctx, e)
	if err != nil {
		return Event{}, err
	}
	err = l.store.Add(ctx, e)
	if fault.Is(err, fault.KindConflict) {
		return l.recorded(ctx, e)
	}
	if err != nil {
		return Event{}, err
	}
	l.tell(ctx, e)
	return e, nil
}

// recorded returns the event that was stored under e's ID before.
func (l *Log) recorded(ctx context.Context, e Event) (Event, error) {
	before, err := l.store.Event(ctx, e.ID)
	if err != nil {
		return Event{}, err
	}
	if before.Type != e.Type || before.Title != e.Title || before.Key != e.Key || before.To != e.To {
		return Event{}, fault.Conflict("event %s exists already and says something else: %s %q", e.ID, before.Type, before.Title)
	}
	return before, nil
}

// complete fills in what the sender left out and checks the rest.
func (l *Log) complete(ctx context.Context, e Event) (Event, error) {
	now := l.now().UTC()
	e.Received, e.Placement = now, nil // found here, whatever was sent
	if e.Start.IsZero() {
		e.Start = now
	}
	e.Start, e.End = e.Start.UTC(), e.End.UTC()
	if e.ID == "" {
		e.ID = NewID(now)
	}
	if e.Kind == "" {
		e.Kind = kindOf(e.Type)
	}
	if e.Title == "" {
		e.Title = strings.TrimSpace(e.Type + " " + e.Key)
	}
	if err := e.Validate(); err != nil {
		return Event{}, err
	}
	return l.place(ctx, e)
}

// place resolves the selector to the service it names and the entities it
// matches now.
func (l *Log) place(ctx context.Context, e Event) (Event, error) {
	if e.Selector == "" {
		return e, nil
	}
	s, err := entity.ParseSelector(e.Selector)
	if err != nil {
		return Event{}, err
	}
	pinned := s.Ref()
	if e.Service == "" {
		e.Service = pinned.Service
	}
	if e.Environment == "" {
		e.Environment = pinned.Environment
	}
	if e.Version == "" {
		e.Version = pinned.Version
	}
	if l.entities == nil || s.IsZero() {
		return e, nil
	}
	known, err := l.entities.Entities(ctx)
	if err != nil {
		// The event is worth more than its resolution: keep it.
		l.logger.WarnContext(ctx, "selector of an event was not resolved", "event", e.ID, "selector", e.Selector, "error", err)
		return e, nil
	}
	e.Entities = matching(s, known)
	e.Service = spelledAsSeen(e.Service, e.Entities)
	return l.wait(e), nil
}

// matching returns the distinct references of the entities that s matches.
func matching(s entity.Selector, known []entity.Entity) []entity.Ref {
	var out []entity.Ref
	seen := map[entity.Ref]bool{}
	for _, k := range known {
		if len(out) == maxEntities {
			break
		}
		if seen[k.Ref] || !s.Matches(k) {
			continue
		}
		seen[k.Ref] = true
		out = append(out, k.Ref)
	}
	slices.SortFunc(out, func(a, b entity.Ref) int {
		return strings.Compare(a.Service+"\x00"+a.Environment+"\x00"+a.Version, b.Service+"\x00"+b.Environment+"\x00"+b.Version)
	})
	return out
}

// spelledAsSeen gives a service the spelling telemetry uses: foreign selectors
// ignore case, lookups by service do not.
func spelledAsSeen(service string, matched []entity.Ref) string {
	for _, m := range matched {
		if m.Service == service {
			return service
		}
	}
	for _, m := range matched {
		if strings.EqualFold(m.Service, service) {
			return m.Service
		}
	}
	return service
}

// Subscribe has f called after each event that is stored from now on. f must
// be quick and must not call the function that Subscribe returns, which ends
// the subscription.
func (l *Log) Subscribe(f func(ctx context.Context, e Event)) (cancel func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	entry := &f
	l.subscribers = append(l.subscribers, entry)
	return func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		if i := slices.Index(l.subscribers, entry); i >= 0 {
			l.subscribers = slices.Delete(slices.Clone(l.subscribers), i, i+1)
		}
	}
}

// tell calls the subscribers. The event is stored, so the caller giving up no
// longer matters.
func (l *Log) tell(ctx context.Context, e Event) {
	l.mu.Lock()
	subscribers := l.subscribers
	l.mu.Unlock()
	ctx = context.WithoutCancel(ctx)
	for _, f := range subscribers {
		(*f)(ctx, e)
	}
}

// Event returns a recorded event, or a fault of KindNotFound.
func (l *Log) Event(ctx context.Context, id string) (Event, error) { return l.store.Event(ctx, id) }

// Events returns matching events, newest first.
func (l *Log) Events(ctx context.Context, q Query) ([]Event, error) { return l.store.Events(ctx, q) }

// Causes returns the events that may have broken place: deployments, flag and
// configuration changes that started in [from, to) and touch the place, or
// that name no place at all, newest first and at most limit (0 means 100).
func (l *Log) Causes(ctx context.Context, place entity.Ref, from, to time.Time, limit int) ([]Event, error) {
	if limit <= 0 {
		limit = 100
	}
	q := Query{Kinds: []Kind{KindDeployment, KindFlag, KindConfiguration}, From: from, To: to, Limit: 200}
	var out []Event
	for {
		page, err := l.store.Events(ctx, q)
		if err != nil {
			return nil, err
		}
		for i := range page {
			if !page[i].Touches(place) && len(page[i].Places()) > 0 {
				continue
			}
			if out = append(out, page[i]); len(out) == limit {
				return out, nil
			}
		}
		if len(page) < q.Limit {
			return out, nil
		}
		q.Before = page[len(page)-1].ID
	}
}
