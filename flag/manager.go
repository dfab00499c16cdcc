package flag

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/tidegate-io/tidegate/change"
	"github.com/tidegate-io/tidegate/fault"
)

// Recorder is the log of changes that runtime changes are reported to;
// *change.Log is one. Recording an event twice under one ID is harmless. It is
// called with the Manager locked: whoever is told of the event there must not
// call the Manager's mutating methods before returning.
type Recorder interface {
	Record(ctx context.Context, e change.Event) (change.Event, error)
	Event(ctx context.Context, id string) (change.Event, error)
}

// Config configures a [Manager].
type Config struct {
	Store    Store
	Recorder Recorder
	// Sources are read by Load; see also SetSources.
	Sources []Source
	// Rescan is how often sources are read again even when the operating
	// system reported no change, as network file systems do not; default 10 s.
	Rescan time.Duration
	Now    func() time.Time // optional
	Logger *slog.Logger     // optional
}

// Manager holds the flags in force. Safe for concurrent use.
type Manager struct {
	store    Store
	recorder Recorder
	rescan   time.Duration
	now      func() time.Time
	logger   *slog.Logger

	state atomic.Pointer[State]
	// rewatch tells Run that the sources are different ones.
	rewatch chan struct{}

	// mu serialises everything that changes the state, including its writes
	// to the store, so that history has one order.
	mu        sync.Mutex
	loaded    bool
	sources   []Source
	files     map[string]*fileState // by text.source
	overrides map[overrideKey]Override
	// unreported is a runtime change that is stored but whose event is not.
	// It is reported before anything else happens.
	unreported *Audit
}

type overrideKey struct{ set, key string }

// fileState is what is known of one file.
type fileState struct {
	digest    [32]byte // of the contents looked at last
	documents []*document
	problem   *DefinitionError
}

// New returns a Manager without flags; Load brings them in.
func New(cfg Config) (*Manager, error) {
	if cfg.Store == nil || cfg.Recorder == nil {
		return nil, fault.Invalid("flag manager: a store and a recorder are required")
	}
	if err := checkSources(cfg.Sources); err != nil {
		return nil, err
	}
	if cfg.Rescan <= 0 {
		cfg.Rescan = 10 * time.Second
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	m := &Manager{
		store: cfg.Store, recorder: cfg.Recorder, rescan: cfg.Rescan, now: cfg.Now, logger: cfg.Logger,
		rewatch: make(chan struct{}, 1), sources: slices.Clone(cfg.Sources),
		files: map[string]*fileState{}, overrides: map[overrideKey]Override{},
	}
	m.state.Store(&State{changed: make(chan struct{})})
	return m, nil
}

func checkSources(sources []Source) error {
	for _, s := range sources {
		if err := s.check(); err != nil {
			return err
		}
	}
	return nil
}

// State returns what is in force now.
func (m *Manager) State() *State { return m.state.Load() }

// Flags returns all flags in force, sorted by set and key.
func (m *Manager) Flags(context.Context) ([]Flag, error) { return slices.Clone(m.State().Flags()), nil }

// Flag returns one flag; the set may be empty when only one set has the key.
func (m *Manager) Flag(_ context.Context, set, key string) (Flag, error) {
	return m.State().Flag(set, key)
}

// Audits returns the history of a set or of a flag, newest first; empty
// arguments do not restrict, limit 0 means 100.
func (m *Manager) Audits(ctx context.Context, set, key string, limit int) ([]Audit, error) {
	if limit <= 0 {
		limit = 100
	}
	return m.store.Audits(ctx, set, key, limit)
}

// Load reads the runtime changes and the sources, finishes what a crash left
// unfinished, and puts the result in force. A bad source is not an error: it
// is among State.Problems. Calling it again does nothing.
func (m *Manager) Load(ctx context.Context) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.loaded {
		return nil
	}
	if err := m.readOverrides(ctx); err != nil {
		return err
	}
	m.readSources(ctx, false)
	if err := m.finishInterrupted(ctx); err != nil {
		return err
	}
	if err := m.publish(); err != nil {
		return err
	}
	m.loaded = true
	return nil
}

// Refresh reads the runtime changes again, after another replica made one.
func (m *Manager) Refresh(ctx context.Context) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.report(ctx); err != nil {
		return err
	}
	if err := m.readOverrides(ctx); err != nil {
		return err
	}
	return m.publish()
}

// SetSources replaces the sources; flags of sources that are gone disappear.
func (m *Manager) SetSources(ctx context.Context, sources []Source) error {
	if err := checkSources(sources); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.sources = slices.Clone(sources)
	select {
	case m.rewatch <- struct{}{}:
	default:
	}
	return m.reload(ctx)
}

// Reload reads the sources now instead of waiting for the watch.
func (m *Manager) Reload(ctx context.Context) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.reload(ctx)
}

func (m *Manager) reload(ctx context.Context) error {
	if !m.readSources(ctx, m.loaded) {
		return nil
	}
	return m.publish()
}

func (m *Manager) readOverrides(ctx context.Context) error {
	list, err := m.store.Overrides(ctx)
	if err != nil {
		return fmt.Errorf("reading runtime changes of flags: %w", err)
	}
	m.overrides = make(map[overrideKey]Override, len(list))
	for _, o := range list {
		m.overrides[overrideKey{o.Set, o.Key}] = o
	}
	return nil
}

// publish puts a new state in force and wakes whoever waits for one.
func (m *Manager) publish() error {
	var docs []*document
	var problems []DefinitionError
	for _, source := range slices.Sorted(maps.Keys(m.files)) {
		f := m.files[source]
		docs = append(docs, f.documents...)
		if f.problem != nil {
			problems = append(problems, *f.problem)
		}
	}
	s, err := newState(docs, m.overrides, problems)
	if err != nil {
		return err
	}
	close(m.state.Swap(s).changed)
	return nil
}
