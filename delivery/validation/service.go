package validation

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"log/slog"
	"sync"
	"time"

	"github.com/tidegate-io/tidegate/change"
	"github.com/tidegate-io/tidegate/delivery/signature"
	"github.com/tidegate-io/tidegate/entity"
	"github.com/tidegate-io/tidegate/fault"
	"github.com/tidegate-io/tidegate/guardian"
	"github.com/tidegate-io/tidegate/judge"
)

// Signatures are the performance signatures in force. Safe for concurrent use.
type Signatures interface {
	Signatures() []signature.Signature
}

// Entities knows which entities have been seen, with the tags that rules give
// them.
type Entities interface {
	Entities(ctx context.Context) ([]entity.Entity, error)
}

// Relations counts in the service graph.
type Relations interface {
	// Relation counts what the measure (Calls, CalledBy or RunsOn) says of one
	// service over a window: a sample of one value, or of none when nothing was
	// seen, and the query that shows the same number.
	Relation(ctx context.Context, m signature.Measure, of entity.Ref, w Window) (judge.Sample, []string, error)
}

// Recorder stores events.
type Recorder interface {
	Record(ctx context.Context, e change.Event) (change.Event, error)
}

// Config is what a Service needs. Store, Signatures, Entities and Sampler are
// required.
type Config struct {
	Store      Store
	Signatures Signatures
	Entities   Entities
	Sampler    guardian.Sampler
	// Relations is optional: without it smartscape metrics are errors.
	Relations Relations

	// Recorder receives an event when a validation has finished; may be nil.
	Recorder Recorder
	// Notify is told of every change of a validation, after it is stored. It
	// must not block. May be nil.
	Notify func(Validation)

	// Settle is how long to wait after a window before it is read, so that
	// late telemetry is in; default 5 s.
	Settle time.Duration
	// Owner names this process in leases; default a random name. Where only
	// one process uses the store, a constant name lets a restart resume at
	// once.
	Owner string
	// Concurrency is how many validations are judged at once; default 2.
	Concurrency int
	// Poll is how often the store is asked for what is due; default 1 s.
	Poll time.Duration
	// Lease is how long a validation is held without a sign of life; a reading
	// that takes longer is given up. Default 2 min.
	Lease time.Duration

	Clock  func() time.Time // default time.Now
	Logger *slog.Logger     // nil discards
}

// Service registers and judges validations. Its methods are safe for
// concurrent use, and several services may share a store.
type Service struct {
	cfg  Config
	log  *slog.Logger
	wake chan struct{}

	mu      sync.Mutex
	waiters map[string][]chan struct{} // closed when the validation changed
}

// New returns a Service; nothing is judged until Run.
func New(cfg Config) (*Service, error) {
	switch {
	case cfg.Store == nil:
		return nil, fault.InvalidField("Store", "required")
	case cfg.Signatures == nil:
		return nil, fault.InvalidField("Signatures", "required")
	case cfg.Entities == nil:
		return nil, fault.InvalidField("Entities", "required")
	case cfg.Sampler == nil:
		return nil, fault.InvalidField("Sampler", "required")
	case cfg.Concurrency < 0 || cfg.Settle < 0 || cfg.Poll < 0 || cfg.Lease < 0:
		return nil, fault.Invalid("validation: negative limits make no sense")
	}
	if cfg.Settle == 0 {
		cfg.Settle = 5 * time.Second
	}
	if cfg.Owner == "" {
		cfg.Owner = randomID()
	}
	if cfg.Concurrency == 0 {
		cfg.Concurrency = 2
	}
	if cfg.Poll == 0 {
		cfg.Poll = time.Second
	}
	if cfg.Lease == 0 {
		cfg.Lease = 2 * time.Minute
	}
	if cfg.Notify == nil {
		cfg.Notify = func(Validation) {}
	}
	if cfg.Clock == nil {
		cfg.Clock = time.Now
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	return &Service{cfg: cfg, log: cfg.Logger, wake: make(chan struct{}, 1), waiters: map[string][]chan struct{}{}}, nil
}

func randomID() string {
	b := make([]byte, 12)
	rand.Read(b) // never fails
	return hex.EncodeToString(b)
}

// Validation returns one with everything, or a fault of KindNotFound.
func (s *Service) Validation(ctx context.Context, id string) (Validation, error) {
	return s.cfg.Store.Validation(ctx, id)
}

// Validations returns matching ones, newest first, without their definitions.
func (s *Service) Validations(ctx context.Context, q Query) ([]Validation, error) {
	return s.cfg.Store.Validations(ctx, q)
}

// waitPoll is how often Wait looks: another process may have judged it.
const waitPoll = time.Second

// Wait returns the validation once it is final. When ctx ends first it returns
// the validation as it is then, with ctx's error.
func (s *Service) Wait(ctx context.Context, id string) (Validation, error) {
	tick := time.NewTicker(waitPoll)
	defer tick.Stop()
	for {
		changed := s.await(id)
		v, err := s.cfg.Store.Validation(ctx, id)
		if err != nil || v.Status.Final() {
			s.forget(id, changed)
			return v, err
		}
		select {
		case <-changed:
		case <-tick.C:
			s.forget(id, changed)
		case <-ctx.Done():
			s.forget(id, changed)
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

// tell passes a stored validation on.
func (s *Service) tell(v Validation) {
	s.cfg.Notify(v)
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, ch := range s.waiters[v.ID] {
		close(ch)
	}
	delete(s.waiters, v.ID)
}
