package problem

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/tidegate-io/tidegate/change"
	"github.com/tidegate-io/tidegate/entity"
	"github.com/tidegate-io/tidegate/evidence"
	"github.com/tidegate-io/tidegate/fault"
)

// Recorder stores the events that tell of a problem's course; *change.Log is
// one. Recording an event again with the same id changes nothing.
type Recorder interface {
	Record(ctx context.Context, e change.Event) (change.Event, error)
}

// Publisher sends an event to notification channels, once for each id and
// channel.
type Publisher interface {
	PublishTo(ctx context.Context, e change.Event, channels []string) error
}

// Explainer finds the cause of a problem.
type Explainer interface {
	// Explain returns the cause, of kind CauseUnknown when there is not enough
	// to say, and the evidence, which may be nil.
	Explain(ctx context.Context, p Problem) (Cause, *evidence.Evidence, error)
}

// Entities knows the tags of services, for alerting profiles.
type Entities interface {
	Entities(ctx context.Context) ([]entity.Entity, error)
}

// Config of a [Service]. Store and Recorder are required.
type Config struct {
	Store    Store
	Recorder Recorder
	// Graph connects services; without it only events of one service are of
	// one problem.
	Graph Graph
	// Explainer finds causes; without it they stay unknown.
	Explainer Explainer
	// Publisher sends alerts to channels; without it only workflows learn of
	// them.
	Publisher Publisher
	// Entities, when set, adds the tags of services to those profiles select by.
	Entities Entities
	// URL where people reach the server, for links.
	URL string

	Rules Rules
	// ExplainEvery is how often the cause is looked for while a problem is
	// open, besides when events are added; default 30 s. ExplainTimeout bounds
	// one analysis; default 20 s.
	ExplainEvery, ExplainTimeout time.Duration

	Clock  func() time.Time // default time.Now
	Logger *slog.Logger     // nil discards
}

// Settings of the service's work.
const (
	analyseApart   = 5 * time.Second // between two analyses of one problem
	analyseAtOnce  = 2               // analyses that run at the same time
	analyseRarer   = 10 * time.Minute
	analyseFactor  = 10 // how much rarer a problem is analysed that is older
	dueBatch       = 100
	poll           = time.Second
	retryAfter     = 10 * time.Second
	refreshAfter   = 10 * time.Second // figures of a lasting event are stored this often
	maxRemembered  = 20_000
	maxObservation = 2000
)

// Service turns events into problems and keeps them. Safe for concurrent use,
// and several processes may share a store.
type Service struct {
	store     Store
	recorder  Recorder
	explainer Explainer
	publisher Publisher
	entities  Entities
	topos     *topologies
	rules     Rules
	url       string
	every     time.Duration
	timeout   time.Duration
	now       func() time.Time
	logger    *slog.Logger
	wake      chan struct{}

	mu          sync.Mutex
	profiles    []Profile
	windows     []Window
	subscribers []*func(Problem)
	raised      map[string]raised    // by event: what is stored of it
	retry       map[string]time.Time // by problem: when to try again what failed
	analysing   map[string]bool
}

// raised is what is stored of an event that lasts.
type raised struct {
	problem  string
	stored   time.Time
	severity Severity
}

// New returns a Service without alerting profiles.
func New(cfg Config) (*Service, error) {
	switch {
	case cfg.Store == nil:
		return nil, fault.Invalid("problem: Config.Store is missing")
	case cfg.Recorder == nil:
		return nil, fault.Invalid("problem: Config.Recorder is missing")
	case cfg.ExplainEvery < 0 || cfg.ExplainTimeout < 0:
		return nil, fault.Invalid("problem: Config.ExplainEvery and ExplainTimeout must not be negative")
	}
	rules, err := cfg.Rules.withDefaults()
	if err != nil {
		return nil, err
	}
	if cfg.ExplainEvery == 0 {
		cfg.ExplainEvery = 30 * time.Second
	}
	if cfg.ExplainTimeout == 0 {
		cfg.ExplainTimeout = 20 * time.Second
	}
	if cfg.Clock == nil {
		cfg.Clock = time.Now
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	return &Service{
		store: cfg.Store, recorder: cfg.Recorder, explainer: cfg.Explainer, publisher: cfg.Publisher, entities: cfg.Entities,
		topos: &topologies{graph: cfg.Graph, hops: rules.Hops}, rules: rules, url: strings.TrimRight(cfg.URL, "/"),
		every: cfg.ExplainEvery, timeout: cfg.ExplainTimeout, now: cfg.Clock, logger: cfg.Logger, wake: make(chan struct{}, 1),
		raised: map[string]raised{}, retry: map[string]time.Time{}, analysing: map[string]bool{},
	}, nil
}

// Define replaces the alerting profiles and maintenance windows, or none when
// one of them is invalid.
func (s *Service) Define(profiles []Profile, windows []Window) error {
	compiled := make([]Profile, len(profiles))
	for i := range profiles {
		var err error
		if compiled[i], err = profiles[i].compile(); err != nil {
			return fmt.Errorf("alerting profile %q: %w", profiles[i].Name, err)
		}
	}
	for i := range windows {
		if err := windows[i].Validate(); err != nil {
			return fmt.Errorf("maintenance window %q: %w", windows[i].Name, err)
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.profiles, s.windows = compiled, slices.Clone(windows)
	return nil
}

// Subscribe has f called with each problem after a step of it is stored,
// without evidence. f must be quick and must not call the function that
// Subscribe returns, which ends the subscription.
func (s *Service) Subscribe(f func(Problem)) (cancel func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	entry := &f
	s.subscribers = append(s.subscribers, entry)
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		if i := slices.Index(s.subscribers, entry); i >= 0 {
			s.subscribers = slices.Delete(slices.Clone(s.subscribers), i, i+1)
		}
	}
}

func (s *Service) tell(problems []Problem) {
	s.mu.Lock()
	subscribers := s.subscribers
	s.mu.Unlock()
	for _, p := range problems {
		for _, f := range subscribers {
			(*f)(p)
		}
	}
}

func (s *Service) signal() {
	select {
	case s.wake <- struct{}{}:
	default: // a signal is waiting already
	}
}

// scope says which records a step needs besides those that are open or were
// closed lately.
type scope struct {
	problems []string // must exist
	events   []string // their owners, where there are any
}

// step takes one step: f changes the board, and all that follows from it is
// stored together.
func (s *Service) step(ctx context.Context, need scope, f func(b *board) error) error {
	now := s.now().UTC()
	topo, err := s.topos.now(ctx, now)
	if err != nil {
		s.logger.WarnContext(ctx, "the service graph cannot be read: using the last one", "error", err)
	}
	tags := s.tags(ctx)
	var changed []Problem
	err = s.store.Update(ctx, func(ctx context.Context, tx Tx) error {
		changed = nil
		b, err := s.board(ctx, tx, topo, now, need)
		if err != nil {
			return err
		}
		if err := f(b); err != nil {
			return err
		}
		changed, err = s.finish(ctx, tx, b, tags)
		return err
	})
	if err != nil {
		return err
	}
	if len(changed) > 0 {
		s.tell(changed)
		s.signal()
	}
	return nil
}

func (s *Service) board(ctx context.Context, tx Tx, topo *topology, now time.Time, need scope) (*board, error) {
	active, err := tx.Active(ctx, now.Add(-s.rules.ReopenFor))
	if err != nil {
		return nil, err
	}
	b := newBoard(s.rules, topo, now, active)
	add := func(id string) error {
		r, err := tx.Record(ctx, id)
		if err == nil {
			b.add(&r)
		}
		return err
	}
	for _, id := range need.problems {
		if err := add(id); err != nil {
			return nil, err
		}
	}
	var strangers []string
	for _, id := range need.events {
		if b.owner[id] == nil {
			strangers = append(strangers, id)
		}
	}
	if len(strangers) == 0 {
		return b, nil
	}
	owners, err := tx.Owners(ctx, strangers)
	if err != nil {
		return nil, err
	}
	for _, id := range owners {
		if err := add(id); err != nil {
			return nil, err
		}
	}
	return b, nil
}

// finish derives what follows from a step and stores it.
func (s *Service) finish(ctx context.Context, tx Tx, b *board, tags func([]entity.Ref) []map[string]string) ([]Problem, error) {
	for i := 0; i < len(b.changed); i++ { // refreshing may change more
		b.refresh(b.changed[i])
	}
	next := 0
	for _, r := range b.changed {
		if r.Number != 0 {
			continue
		}
		if next == 0 {
			var err error
			if next, err = tx.NextNumber(ctx); err != nil {
				return nil, err
			}
		}
		r.Number = next
		next++
	}
	// What is merged first: its events are then free for the other to take.
	slices.SortStableFunc(b.changed, func(x, y *Record) int { return cmp.Compare(y.MergedInto, x.MergedInto) })
	out := make([]Problem, 0, len(b.changed))
	for _, r := range b.changed {
		if err := s.damp(ctx, tx, r, b.now); err != nil {
			return nil, err
		}
		s.route(r, tags(r.Impact.Services), b.now)
		s.write(r, b.now)
		if s.explainer == nil {
			r.AnalyseAt = time.Time{}
		}
		if err := tx.Save(ctx, *r); err != nil {
			return nil, err
		}
		out = append(out, r.Problem)
	}
	return out, nil
}

// tags returns what knows the tags of places; nothing when entities cannot be
// listed.
func (s *Service) tags(ctx context.Context) func([]entity.Ref) []map[string]string {
	var known []entity.Entity
	if s.entities != nil {
		var err error
		if known, err = s.entities.Entities(ctx); err != nil {
			s.logger.WarnContext(ctx, "tags of services are not known", "error", err)
		}
	}
	return func(places []entity.Ref) (out []map[string]string) {
		for _, k := range known {
			if slices.ContainsFunc(places, func(p entity.Ref) bool { return p.Covers(k.Ref) }) {
				out = append(out, k.Tags)
			}
		}
		return out
	}
}
