package guardian

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/tidegate-io/tidegate/change"
	"github.com/tidegate-io/tidegate/fault"
	"github.com/tidegate-io/tidegate/telemetry"
)

// Definitions are the guardians that exist now. Safe for concurrent use.
type Definitions interface {
	Guardians() []Guardian
	// Guardian returns a definition that passed Validate.
	Guardian(name string) (Guardian, bool)
}

// ChangeFinder finds the changes that may be causes.
type ChangeFinder interface {
	Events(ctx context.Context, q change.Query) ([]change.Event, error)
}

// Recorder stores events. An event whose id is there already is a fault of
// KindConflict or is ignored.
type Recorder interface {
	Record(ctx context.Context, e change.Event) (change.Event, error)
}

// Config is what a Service needs.
type Config struct {
	Definitions Definitions
	Store       Store
	Sampler     Sampler

	// Traces, Logs and Changes are what evidence is gathered from; what is
	// nil becomes a gap in the evidence.
	Traces  telemetry.TraceReader
	Logs    telemetry.LogReader
	Changes ChangeFinder

	// Recorder receives the validation events; may be nil.
	Recorder Recorder
	// Notify is told of every change of a validation, after it is stored. It
	// must not block. May be nil.
	Notify func(Validation)

	// Concurrency is how many validations run at once; default 2.
	Concurrency int
	// MaxWaiting is how many may wait; default 1,000.
	MaxWaiting int

	Clock  func() time.Time
	Logger *slog.Logger
}

// Service runs validations. Its methods are safe for concurrent use.
type Service struct {
	defs     Definitions
	store    Store
	sampler  Sampler
	traces   telemetry.TraceReader
	logs     telemetry.LogReader
	changes  ChangeFinder
	recorder Recorder
	notify   func(Validation)
	now      func() time.Time
	log      *slog.Logger

	concurrency, maxWaiting int

	deciding sync.Mutex // people's decisions, one at a time

	mu      sync.Mutex
	queue   queue
	waiters map[string][]chan struct{} // closed when the validation has finished
	wake    chan struct{}
	slots   map[string]int64 // last schedule slot of each guardian
}

// New returns a Service; nothing happens until Run.
func New(c Config) (*Service, error) {
	switch {
	case c.Definitions == nil:
		return nil, fault.InvalidField("Definitions", "required")
	case c.Store == nil:
		return nil, fault.InvalidField("Store", "required")
	case c.Sampler == nil:
		return nil, fault.InvalidField("Sampler", "required")
	case c.Concurrency < 0 || c.MaxWaiting < 0:
		return nil, fault.InvalidField("Concurrency", "expected a positive number")
	}
	s := &Service{
		defs: c.Definitions, store: c.Store, sampler: c.Sampler,
		traces: c.Traces, logs: c.Logs, changes: c.Changes,
		recorder: c.Recorder, notify: c.Notify, now: c.Clock, log: c.Logger,
		concurrency: c.Concurrency, maxWaiting: c.MaxWaiting,
		queue:   newQueue(),
		waiters: map[string][]chan struct{}{},
		wake:    make(chan struct{}, 1),
		slots:   map[string]int64{},
	}
	if s.concurrency == 0 {
		s.concurrency = 2
	}
	if s.maxWaiting == 0 {
		s.maxWaiting = 1000
	}
	if s.now == nil {
		s.now = time.Now
	}
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	return s, nil
}

// tell passes a stored validation on.
func (s *Service) tell(v Validation) {
	if s.notify != nil {
		s.notify(v)
	}
}

// Wait returns the validation once it has finished. When ctx ends first it
// returns the validation as it is then, with ctx's error.
func (s *Service) Wait(ctx context.Context, id string) (Validation, error) {
	done := s.await(id)
	defer func() { s.forget(id, done) }()
	for {
		v, err := s.store.Validation(ctx, id)
		if err != nil || v.State == StateFinished {
			return v, err
		}
		select {
		case <-done:
			done = s.await(id)
		case <-ctx.Done():
			return v, ctx.Err()
		}
	}
}

func (s *Service) await(id string) chan struct{} {
	ch := make(chan struct{})
	s.mu.Lock()
	defer s.mu.Unlock()
	s.waiters[id] = append(s.waiters[id], ch)
	return ch
}

func (s *Service) forget(id string, ch chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	list := s.waiters[id]
	for i, c := range list {
		if c == ch {
			list = append(list[:i], list[i+1:]...)
			break
		}
	}
	if len(list) == 0 {
		delete(s.waiters, id)
		return
	}
	s.waiters[id] = list
}

// finished wakes those who wait for a validation.
func (s *Service) finished(id string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, ch := range s.waiters[id] {
		close(ch)
	}
	delete(s.waiters, id)
}
