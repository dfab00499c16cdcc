package rollout

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/tidegate-io/tidegate/change"
	"github.com/tidegate-io/tidegate/delivery/traffic"
	"github.com/tidegate-io/tidegate/fault"
)

// Config of an Engine. Store and Mover are required; a step that needs what is
// nil aborts.
type Config struct {
	Store     Store
	Mover     Mover
	Validator Validator
	Tester    Tester
	Recorder  Recorder
	// Changed is called after a run was stored. It must not block.
	Changed func(Run)
	// Released is called when a side is no longer needed: the candidate of an
	// aborted run, the replaced side once it is kept no longer. It may be
	// called again after a crash.
	Released func(ctx context.Context, r Run, side traffic.Side) error

	Clock  func() time.Time // default time.Now
	Logger *slog.Logger     // nil discards
}

// Engine executes rollouts. Traffic is moved by the process that forwards it,
// so a rollout belongs to one process. Safe for concurrent use.
type Engine struct {
	cfg Config
	log *slog.Logger

	starting sync.Mutex // one Start at a time

	mu     sync.Mutex
	ctx    context.Context // of Run; nil before
	active map[string]*drive
	wait   sync.WaitGroup
}

// drive is a run that is being executed.
type drive struct {
	run      Run // owned by its goroutine; copies are stored
	commands chan command
	keeping  atomic.Bool   // only the replaced side is kept
	ended    chan struct{} // closed at the end of the goroutine
}

// command is what a person wants of a run.
type command struct {
	promote     bool // else abort
	who, reason string
	done        chan error
}

// New returns an Engine.
func New(cfg Config) (*Engine, error) {
	if cfg.Store == nil || cfg.Mover == nil {
		return nil, fault.Invalid("rollout: a store and a mover are needed")
	}
	if cfg.Clock == nil {
		cfg.Clock = time.Now
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	return &Engine{cfg: cfg, log: cfg.Logger, active: map[string]*drive{}}, nil
}

// resumeLimit bounds the runs taken up at a start.
const resumeLimit = 1000

// Run executes what was left and what is started, until ctx ends. Runs that
// are under way then go on after the next start.
func (e *Engine) Run(ctx context.Context) error {
	if err := e.takeUp(ctx); err != nil {
		return err
	}
	<-ctx.Done()
	e.wait.Wait()
	return nil
}

// takeUp begins what is stored and not over: runs of an earlier process, and
// those that were started before this one ran.
func (e *Engine) takeUp(ctx context.Context) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.ctx = ctx
	for _, q := range []Query{{State: StateRunning, Limit: resumeLimit}, {Phase: PhaseKeep, Limit: resumeLimit}} {
		runs, err := e.cfg.Store.Runs(ctx, q)
		if err != nil {
			return fmt.Errorf("rollouts of an earlier process: %w", err)
		}
		for _, r := range runs {
			if e.active[r.ID] == nil {
				e.begin(r)
			}
		}
	}
	return nil
}

// begin starts the goroutine of a run. The lock is held.
func (e *Engine) begin(r Run) {
	d := &drive{run: r, commands: make(chan command), ended: make(chan struct{})}
	d.keeping.Store(r.Phase == PhaseKeep)
	e.active[r.ID] = d
	ctx := e.ctx
	e.wait.Go(func() {
		defer close(d.ended)
		e.execute(ctx, d)
		e.mu.Lock()
		delete(e.active, d.run.ID)
		e.mu.Unlock()
	})
}

// Request asks for a run.
type Request struct {
	// ID makes it idempotent; assigned when empty.
	ID string
	// Candidate is the new side of a route; a flag ramp has none.
	Candidate   traffic.Side
	Who, Reason string
	Correlation string
}

// Start stores a run and begins it. Faults: KindInvalid for a wrong
// definition or side, KindNotFound for an unknown route, KindConflict when the
// route or flag is being rolled out already, KindUnavailable after Run.
func (e *Engine) Start(ctx context.Context, def Rollout, req Request) (Run, error) {
	if err := def.Validate(); err != nil {
		return Run{}, err
	}
	if def.Route != "" {
		if err := req.Candidate.Validate(); err != nil {
			return Run{}, err
		}
	}
	if req.Who == "" {
		return Run{}, fault.InvalidField("who", "who rolls this out?")
	}
	if req.ID == "" {
		req.ID = change.NewID(e.cfg.Clock())
	}
	e.starting.Lock()
	defer e.starting.Unlock()
	switch old, err := e.cfg.Store.Run(ctx, req.ID); {
	case err == nil && old.Rollout.Name == def.Name:
		return old, nil
	case err == nil:
		return Run{}, fault.Conflict("run %s exists already, of rollout %q", req.ID, old.Rollout.Name)
	case !fault.Is(err, fault.KindNotFound):
		return Run{}, err
	}
	if err := e.free(ctx, def); err != nil {
		return Run{}, err
	}
	r, err := e.prepare(ctx, def.withDefaults(), req)
	if err != nil {
		return Run{}, err
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.ctx != nil && e.ctx.Err() != nil {
		return Run{}, fault.Unavailable("the rollout engine has ended")
	}
	if err := e.put(ctx, &r); err != nil {
		return Run{}, err
	}
	if e.ctx != nil { // else Run begins it
		e.begin(r)
	}
	return r, nil
}

// free makes way for a run: a second one over the same traffic is refused, one
// that only keeps the side it replaced gives it up.
func (e *Engine) free(ctx context.Context, def Rollout) error {
	for _, d := range e.over(def) {
		if !d.keeping.Load() {
			return fault.Conflict("rollout %s of the same traffic is under way (run %s); abort it first, or wait", d.run.Rollout.Name, d.run.ID)
		}
		c := command{promote: true, who: "tidegate", reason: "a newer version is rolled out", done: make(chan error, 1)}
		select {
		case d.commands <- c:
		case <-d.ended:
			continue
		case <-ctx.Done():
			return ctx.Err()
		}
		<-d.ended
	}
	return nil
}

// over returns the runs that have to do with the same traffic.
func (e *Engine) over(def Rollout) (out []*drive) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, d := range e.active {
		other := d.run.Rollout // never changes
		if def.Route != "" && other.Route == def.Route ||
			def.Flag != nil && other.Flag != nil && other.Flag.Set == def.Flag.Set && other.Flag.Key == def.Flag.Key {
			out = append(out, d)
		}
	}
	return out
}

func (e *Engine) prepare(ctx context.Context, def Rollout, req Request) (Run, error) {
	stable, ok, err := e.cfg.Mover.Stable(ctx, def)
	if err != nil {
		return Run{}, err
	}
	r := Run{ID: req.ID, Rollout: def, Stable: stable, Candidate: req.Candidate, Who: req.Who, Reason: req.Reason,
		Correlation: req.Correlation, State: StateRunning, Phase: PhaseShift, Started: e.cfg.Clock()}
	if def.Flag != nil {
		r.Candidate = traffic.Side{Name: def.Flag.Variant, Version: def.Flag.Variant}
	}
	if ok && stable.Name == r.Candidate.Name {
		return Run{}, fault.Conflict("%q has all the traffic already; the candidate needs another name", stable.Name)
	}
	if !ok { // nothing to compare with, and nobody to hurt
		r.Stable, r.Phase = r.Candidate, PhasePromote
		r.Why = "the first version behind this route"
	}
	for _, s := range def.Steps {
		r.Steps = append(r.Steps, StepRun{Weight: s.Weight})
	}
	return r, nil
}

// Promote lets a run that waits for a person, holds or judges go on with the
// next step, whatever the verdict.
func (e *Engine) Promote(ctx context.Context, id, who, reason string) (Run, error) {
	return e.command(ctx, id, command{promote: true, who: who, reason: reason})
}

// Abort takes all traffic back to the stable side; also after promotion, as
// long as the replaced side is kept.
func (e *Engine) Abort(ctx context.Context, id, who, reason string) (Run, error) {
	return e.command(ctx, id, command{who: who, reason: reason})
}

func (e *Engine) command(ctx context.Context, id string, c command) (Run, error) {
	if c.who == "" || c.reason == "" {
		return Run{}, fault.Invalid("say who decides this and why")
	}
	e.mu.Lock()
	d := e.active[id]
	e.mu.Unlock()
	if d == nil {
		r, err := e.cfg.Store.Run(ctx, id)
		if err != nil {
			return r, err
		}
		return r, fault.Conflict("run %s is %s; there is nothing to decide", id, r.State)
	}
	c.done = make(chan error, 1)
	select {
	case d.commands <- c:
	case <-d.ended:
		return Run{}, fault.Conflict("run %s has just ended", id)
	case <-ctx.Done():
		return Run{}, fault.Unavailable("run %s is busy moving traffic; try again", id)
	}
	if err := <-c.done; err != nil {
		return Run{}, err
	}
	return e.cfg.Store.Run(ctx, id)
}

func (e *Engine) put(ctx context.Context, r *Run) error {
	if err := e.cfg.Store.PutRun(ctx, *r); err != nil {
		return err
	}
	if e.cfg.Changed != nil {
		e.cfg.Changed(*r)
	}
	return nil
}
