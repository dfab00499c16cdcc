package workflow

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sort"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/tidegate-io/tidegate/change"
	"github.com/tidegate-io/tidegate/fault"
)

// Defaults and limits of the engine.
const (
	defaultConcurrency = 16
	defaultLease       = 15 * time.Second
	defaultRetries     = 6
	maxDepth           = 4
	claimBatch         = 100
	catchUpEvents      = 500
	catchUpSpan        = 2 * time.Minute
)

// Config of an Engine. Store is required; an effect that is nil fails the
// steps that need it.
type Config struct {
	Store     Store
	Validator Validator
	Undoer    Undoer
	Flagger   Flagger
	Notifier  Notifier
	// Events, when set, is asked at start for the last events before a crash,
	// so that one that was stored but not yet triggered is not lost.
	Events Events

	// Owner names this engine in leases; default a random name. Where only
	// one process uses the store, a constant name lets a restart resume at
	// once instead of waiting for the lease of its predecessor.
	Owner string
	// Concurrency is how many runs are executed at once; default 16.
	Concurrency int
	// Lease is how long a run is held without a sign of life; default 15 s.
	Lease time.Duration
	// Backoff is the first pause before an unavailable effect is tried
	// again; it doubles, up to a minute, six times. Default 1 s.
	Backoff time.Duration
	// Changed, when set, is called after a run was stored. It must not block.
	Changed func(Run)

	Clock  func() time.Time // default time.Now
	Logger *slog.Logger     // nil discards
}

// Events finds stored events; change.Store does.
type Events interface {
	Events(ctx context.Context, q change.Query) ([]change.Event, error)
}

// Engine starts runs for events and executes them. Safe for concurrent use,
// and several engines may share a store.
//
// What a workflow does is itself an event: an undone flag, a validation. Two
// guards keep such events from starting runs without end. They rest on the
// event's Who, which names the workflows that led to it, the first cause first
// ("workflow/judge > notify", see Origin): a workflow is never started by an
// event that it led to, and no chain of workflows that start each other is
// longer than four.
type Engine struct {
	cfg  Config
	wake chan struct{}

	mu      sync.Mutex
	defined map[string]*compiled
	active  map[string]context.CancelCauseFunc // runs being executed here
}

// New returns an engine without definitions.
func New(cfg Config) (*Engine, error) {
	if cfg.Store == nil {
		return nil, fault.Invalid("workflow: Config.Store is missing")
	}
	if cfg.Owner == "" {
		cfg.Owner = uuid.NewString()
	}
	if cfg.Concurrency <= 0 {
		cfg.Concurrency = defaultConcurrency
	}
	if cfg.Lease <= 0 {
		cfg.Lease = defaultLease
	}
	if cfg.Backoff <= 0 {
		cfg.Backoff = time.Second
	}
	if cfg.Changed == nil {
		cfg.Changed = func(Run) {}
	}
	if cfg.Clock == nil {
		cfg.Clock = time.Now
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	return &Engine{cfg: cfg, wake: make(chan struct{}, 1),
		defined: map[string]*compiled{}, active: map[string]context.CancelCauseFunc{}}, nil
}

// Define replaces all definitions, or none when one of them is invalid. Runs
// that started keep the definition they started with.
func (e *Engine) Define(workflows []Workflow) error {
	defined := make(map[string]*compiled, len(workflows))
	for i := range workflows {
		w := workflows[i]
		c, err := w.compile()
		if err != nil {
			return fmt.Errorf("workflow %q: %w", w.Name, err)
		}
		if w.Name == "" || defined[w.Name] != nil {
			return fault.Invalid("workflow name %q: expected a unique name", w.Name)
		}
		defined[w.Name] = c
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.defined = defined
	return nil
}

// Workflows returns the definitions by name.
func (e *Engine) Workflows(context.Context) ([]Workflow, error) {
	out := []Workflow{}
	for _, c := range e.definitions() {
		out = append(out, *c.Workflow)
	}
	return out, nil
}

// WorkflowRun returns one run, or a fault of KindNotFound.
func (e *Engine) WorkflowRun(ctx context.Context, id string) (Run, error) {
	return e.cfg.Store.Run(ctx, id)
}

// WorkflowRuns returns runs, newest first; an empty name does not restrict.
func (e *Engine) WorkflowRuns(ctx context.Context, name string, limit int) ([]Run, error) {
	return e.cfg.Store.Runs(ctx, name, limit)
}

func (e *Engine) definitions() []*compiled {
	e.mu.Lock()
	defer e.mu.Unlock()
	out := make([]*compiled, 0, len(e.defined))
	for _, c := range e.defined {
		out = append(out, c)
	}
	sort.Slice(out, func(i, j int) bool { return out[i].Name < out[j].Name })
	return out
}

// RunID is the id of the run that an event starts: the same event starts a
// workflow at most once.
func RunID(workflow, eventID string) string {
	sum := sha256.Sum256([]byte(workflow + "\x00" + eventID))
	return "run-" + hex.EncodeToString(sum[:12])
}

// Trigger stores a run for every workflow that the event starts and returns
// their ids; those that it started before are among them. A condition that
// cannot be evaluated for the event does not hold, and is logged.
func (e *Engine) Trigger(ctx context.Context, ev change.Event) ([]string, error) {
	return e.trigger(ctx, ev, e.definitions())
}

func (e *Engine) trigger(ctx context.Context, ev change.Event, defined []*compiled) ([]string, error) {
	var ids []string
	var errs []error
	fields := sync.OnceValues(func() (record, error) { return eventRecord(&ev) })
	for _, c := range defined {
		matches, err := c.matches(ctx, &ev, fields)
		if err != nil {
			e.cfg.Logger.WarnContext(ctx, "workflow condition does not apply to event", "workflow", c.Name, "event", ev.ID, "error", err)
			continue
		}
		if !matches {
			continue
		}
		id, err := e.start(ctx, c, ev)
		if err != nil {
			errs = append(errs, fmt.Errorf("start workflow %q: %w", c.Name, err))
		}
		if id != "" {
			ids = append(ids, id)
		}
	}
	if len(ids) > 0 {
		e.signal()
	}
	return ids, errors.Join(errs...)
}

// matches reports whether the event starts the workflow; fields is asked only
// when there is a condition.
func (c *compiled) matches(ctx context.Context, ev *change.Event, fields func() (record, error)) (bool, error) {
	if c.On.Event != "*" && c.On.Event != ev.Type {
		return false, nil
	}
	if c.trigger == nil {
		return true, nil
	}
	r, err := fields()
	if err != nil {
		return false, err
	}
	return c.trigger.holds(ctx, values{event: r, steps: record{}})
}

// start creates the run, unless that would be a loop.
func (e *Engine) start(ctx context.Context, c *compiled, ev change.Event) (string, error) {
	chain := chainOf(ev.Who)
	if slices.Contains(chain, c.Name) || len(chain) >= maxDepth {
		e.cfg.Logger.InfoContext(ctx, "event of a workflow's own making starts no run", "workflow", c.Name, "event", ev.ID, "who", ev.Who)
		return "", nil
	}
	now := e.cfg.Clock()
	r := Run{ID: RunID(c.Name, ev.ID), Workflow: c.Name, Definition: *c.Workflow, Event: ev, State: StatePending, Started: now}
	for _, s := range c.steps {
		r.Steps = append(r.Steps, StepRun{Name: s.Name, Kind: s.kind, State: StatePending})
	}
	created, err := e.cfg.Store.Create(ctx, r)
	if err != nil {
		return "", err
	}
	if created {
		e.cfg.Changed(r)
	}
	return r.ID, nil
}

func (e *Engine) signal() {
	select {
	case e.wake <- struct{}{}:
	default: // a signal is waiting already
	}
}

// Run executes runs until ctx ends, and returns when all its goroutines have
// ended. What was interrupted is resumed by the next Run.
func (e *Engine) Run(ctx context.Context) error {
	var running sync.WaitGroup
	defer running.Wait()
	e.catchUp(ctx)
	slots := make(chan struct{}, e.cfg.Concurrency)
	poll := time.NewTicker(e.cfg.Lease / 3)
	defer poll.Stop()
	for {
		if err := e.claim(ctx, slots, &running); err != nil && ctx.Err() == nil {
			e.cfg.Logger.ErrorContext(ctx, "cannot look for workflow runs", "error", err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-e.wake:
		case <-poll.C:
		}
	}
}

// claim starts what can be started while there are slots.
func (e *Engine) claim(ctx context.Context, slots chan struct{}, running *sync.WaitGroup) error {
	now := e.cfg.Clock()
	ids, err := e.cfg.Store.Claimable(ctx, e.cfg.Owner, now, claimBatch)
	if err != nil {
		return err
	}
	for _, id := range ids {
		if e.isActive(id) {
			continue
		}
		select {
		case slots <- struct{}{}:
		default:
			return nil // the end of a run wakes us
		}
		r, ok, err := e.cfg.Store.Claim(ctx, id, e.lease(now), now)
		if err != nil || !ok {
			<-slots
			if err != nil {
				return err
			}
			continue
		}
		runCtx, cancel := context.WithCancelCause(ctx)
		e.activate(id, cancel)
		running.Go(func() {
			defer func() {
				cancel(nil)
				e.deactivate(id)
				<-slots
				e.signal()
			}()
			e.execute(runCtx, cancel, r)
		})
	}
	return nil
}

func (e *Engine) lease(now time.Time) Lease {
	return Lease{Owner: e.cfg.Owner, Until: now.Add(e.cfg.Lease)}
}

func (e *Engine) isActive(id string) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.active[id] != nil
}

func (e *Engine) activate(id string, cancel context.CancelCauseFunc) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.active[id] = cancel
}

func (e *Engine) deactivate(id string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	delete(e.active, id)
}

// cancelled is the cause of a run's end when a person asked for it.
type cancelled struct{ who string }

func (c cancelled) Error() string { return "cancelled by " + c.who }

// Cancel ends a run. A step that is being attempted is interrupted; its
// effect may still have happened. A fault of KindConflict when another engine
// holds the run or it is finished.
func (e *Engine) Cancel(ctx context.Context, id, who string) error {
	e.mu.Lock()
	cancel := e.active[id]
	e.mu.Unlock()
	if cancel != nil {
		cancel(cancelled{who})
		return nil
	}
	if _, err := e.cfg.Store.Run(ctx, id); err != nil {
		return err
	}
	now := e.cfg.Clock()
	r, ok, err := e.cfg.Store.Claim(ctx, id, e.lease(now), now)
	if err != nil {
		return err
	}
	if !ok {
		return fault.Conflict("workflow run %q is finished, or another replica works on it", id)
	}
	finish(&r, cancelled{who}.Error(), now)
	if err := e.cfg.Store.Save(ctx, r, Lease{Owner: e.cfg.Owner}); err != nil {
		return err
	}
	e.cfg.Changed(r)
	return nil
}

// catchUp triggers the last events before the engine's predecessor ended: an
// event is stored before its workflows are triggered, and a crash may have
// come between. Events are looked at that were received within two minutes of
// the newest one; a run that exists is not started again, and no workflow is
// started by what was received before it came into force.
func (e *Engine) catchUp(ctx context.Context) {
	if e.cfg.Events == nil {
		return
	}
	events, err := e.cfg.Events.Events(ctx, change.Query{Limit: catchUpEvents})
	if err != nil {
		e.cfg.Logger.ErrorContext(ctx, "cannot look for events that started no workflow yet", "error", err)
		return
	}
	var newest time.Time
	for i := range events {
		if events[i].Received.After(newest) {
			newest = events[i].Received
		}
	}
	for _, ev := range slices.Backward(events) {
		if ev.Received.Before(newest.Add(-catchUpSpan)) {
			continue
		}
		if _, err := e.trigger(ctx, ev, e.definedBefore(ev.Received)); err != nil {
			e.cfg.Logger.ErrorContext(ctx, "cannot start workflows", "event", ev.ID, "error", err)
		}
	}
}

// definedBefore returns the definitions that were in force at t already.
func (e *Engine) definedBefore(t time.Time) []*compiled {
	return slices.DeleteFunc(e.definitions(), func(c *compiled) bool { return c.Since.After(t) })
}
