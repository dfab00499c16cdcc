package healing

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/tidegate-io/tidegate/fault"
)

const (
	claimBatch = 100
	// lookPause is between a problem's change and the look at it.
	lookPause = 200 * time.Millisecond
)

// Engine decides, acts and verifies. Safe for concurrent use, and several
// engines may share a store.
type Engine struct {
	cfg  Config
	wake chan struct{} // there may be an action to work on
	look chan struct{} // there may be a problem to decide about

	mu      sync.Mutex
	defined []*compiled // by name
	active  map[string]bool
}

// New returns an engine without remediations.
func New(cfg Config) (*Engine, error) {
	if err := cfg.defaults(); err != nil {
		return nil, err
	}
	return &Engine{cfg: cfg, wake: make(chan struct{}, 1), look: make(chan struct{}, 1), active: map[string]bool{}}, nil
}

// Define replaces all remediations, or none when one of them is invalid.
// Actions keep the attempt and the policy that they were decided with.
func (e *Engine) Define(remediations []Remediation) error {
	defined := make([]*compiled, 0, len(remediations))
	names := map[string]bool{}
	for _, r := range remediations {
		c, err := r.WithDefaults().compile()
		if err != nil {
			return fmt.Errorf("remediation %q: %w", r.Name, err)
		}
		if r.Name == "" || names[r.Name] {
			return fault.Invalid("remediation name %q: expected a unique name", r.Name)
		}
		names[r.Name] = true
		defined = append(defined, c)
	}
	slices.SortFunc(defined, func(a, b *compiled) int { return strings.Compare(a.Name, b.Name) })
	e.mu.Lock()
	defer e.mu.Unlock()
	e.defined = defined
	return nil
}

// Remediations returns the definitions by name, with defaults filled in.
func (e *Engine) Remediations() []Remediation {
	out := []Remediation{}
	for _, c := range e.definitions() {
		out = append(out, c.Remediation)
	}
	return out
}

func (e *Engine) definitions() []*compiled {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.defined // never changed, only replaced
}

// Look has Run look at the open problems soon. It does not block: it may be
// called by whoever tells of a changed problem.
func (e *Engine) Look() { poke(e.look) }

func (e *Engine) signal() { poke(e.wake) }

func poke(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default: // a signal is waiting already
	}
}

// Run works on actions and looks at open problems until ctx ends, and returns
// when all its goroutines have ended. What was interrupted is resumed by the
// next Run.
func (e *Engine) Run(ctx context.Context) error {
	var running sync.WaitGroup
	defer running.Wait()
	slots := make(chan struct{}, e.cfg.Concurrency)
	at := time.Now() // problems may be open before this process was
	next := time.NewTimer(0)
	defer next.Stop()
	for {
		if err := e.claim(ctx, slots, &running); err != nil && ctx.Err() == nil {
			e.cfg.Logger.ErrorContext(ctx, "cannot look for healing actions", "error", err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-e.wake:
		case <-e.look:
			if soon := time.Now().Add(lookPause); soon.Before(at) { // changes come in crowds
				at = soon
				next.Reset(lookPause)
			}
		case <-next.C:
			e.sweep(ctx)
			at = time.Now().Add(e.cfg.Sweep)
			next.Reset(e.cfg.Sweep)
		}
	}
}

// sweep considers every open problem: one whose action ended just before a
// crash, or whose analysis ran out of time.
func (e *Engine) sweep(ctx context.Context) {
	if len(e.definitions()) == 0 {
		return
	}
	open, err := e.cfg.Problems.OpenProblems(ctx)
	if err != nil {
		if ctx.Err() == nil {
			e.cfg.Logger.ErrorContext(ctx, "cannot look for open problems", "error", err)
		}
		return
	}
	for _, p := range open {
		err := e.Consider(ctx, p)
		if err == nil {
			err = e.sayMissing(ctx, p.ID)
		}
		if err != nil && ctx.Err() == nil {
			e.cfg.Logger.ErrorContext(ctx, "cannot decide about a problem", "problem", p.ID, "error", err)
		}
	}
}

// claim takes up what is due while there are slots.
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
			return nil // the end of an action wakes us
		}
		a, ok, err := e.cfg.Store.Claim(ctx, id, e.lease(), now)
		if err != nil || !ok {
			<-slots
			if err != nil {
				return err
			}
			continue
		}
		e.setActive(id, true)
		running.Go(func() {
			defer func() {
				e.setActive(id, false)
				<-slots
				e.signal()
			}()
			e.execute(ctx, a)
		})
	}
	return nil
}

func (e *Engine) lease() Lease {
	return Lease{Owner: e.cfg.Owner, Until: e.cfg.Clock().Add(e.cfg.Lease)}
}

func (e *Engine) isActive(id string) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.active[id]
}

func (e *Engine) setActive(id string, yes bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if yes {
		e.active[id] = true
		return
	}
	delete(e.active, id)
}
