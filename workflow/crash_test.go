package workflow

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tidegate-io/tidegate/change"
)

// crasher is a process that dies at its nth boundary: a write to the store or
// an effect, before or after it took place. Once dead, it does nothing more.
type crasher struct {
	*memory
	*world
	mu   sync.Mutex
	left int
	dead chan struct{}
}

var errDead = errors.New("the process is dead")

// boundary runs f unless the process is dead, and may die before or after it.
func (c *crasher) boundary(f func() error) error {
	if c.dies() {
		return errDead
	}
	err := f()
	if c.dies() {
		return errDead
	}
	return err
}

func (c *crasher) dies() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.left--; c.left == 0 {
		close(c.dead)
	}
	return c.left <= 0
}

func (c *crasher) Create(ctx context.Context, r Run) (ok bool, err error) {
	err = c.boundary(func() error { ok, err = c.memory.Create(ctx, r); return err })
	return ok, err
}

func (c *crasher) Save(ctx context.Context, r Run, l Lease) error {
	return c.boundary(func() error { return c.memory.Save(ctx, r, l) })
}

func (c *crasher) Claim(ctx context.Context, id string, l Lease, now time.Time) (r Run, ok bool, err error) {
	err = c.boundary(func() error { r, ok, err = c.memory.Claim(ctx, id, l, now); return err })
	return r, ok, err
}

func (c *crasher) Validate(ctx context.Context, r ValidateRequest) (v Validated, err error) {
	err = c.boundary(func() error { v, err = c.world.Validate(ctx, r); return err })
	return v, err
}

func (c *crasher) Undo(ctx context.Context, r UndoRequest) (e change.Event, err error) {
	err = c.boundary(func() error { e, err = c.world.Undo(ctx, r); return err })
	return e, err
}

func (c *crasher) Notify(ctx context.Context, n Notification) error {
	return c.boundary(func() error { return c.world.Notify(ctx, n) })
}

// The process dies at every boundary in turn; the next one resumes. Whatever
// the point, every effect has one key and is requested with one meaning, so
// that it takes place once, and the run ends as if nothing had happened.
func TestCrashAtEveryPoint(t *testing.T) {
	want := map[string]string{}
	for crashAt := 1; ; crashAt++ {
		survived := false
		synctest.Test(t, func(t *testing.T) {
			store, w := newMemory(), newWorld("fail", "", "pass")
			ev := testFinished("e1", "acceptance")
			first := &crasher{memory: store, world: w, left: crashAt, dead: make(chan struct{})}
			survived = live(t, first, ev)
			second := &crasher{memory: store, world: w, left: 1 << 30, dead: make(chan struct{})}
			if !live(t, second, ev) {
				t.Fatal("the second process died")
			}
			r, err := store.Run(t.Context(), RunID("judge-every-load-test", "e1"))
			if err != nil || r.State != StateDone {
				t.Fatalf("crash at %d: run is %s (%s), %v", crashAt, r.State, r.Error, err)
			}
			if len(want) == 0 && !survived {
				want = uncrashed(t, ev)
			}
			if d := cmp.Diff(want, w.done); d != "" && !survived {
				t.Errorf("crash at %d: effects differ from those without a crash:\n%s", crashAt, d)
			}
		})
		if t.Failed() {
			return
		}
		if survived {
			t.Logf("%d points", crashAt-1)
			if crashAt < 20 {
				t.Errorf("only %d points to crash at: the test sees too little", crashAt)
			}
			return
		}
	}
}

// uncrashed is what is done when nothing goes wrong.
func uncrashed(t *testing.T, ev change.Event) map[string]string {
	w := newWorld("fail", "", "pass")
	if !live(t, &crasher{memory: newMemory(), world: w, left: 1 << 30, dead: make(chan struct{})}, ev) {
		t.Fatal("died without a reason")
	}
	return w.done
}

// live is the life of one process: it triggers the event, and runs until it
// dies (false) or ten minutes pass (true).
func live(t *testing.T, c *crasher, ev change.Event) bool {
	t.Helper()
	e, err := New(Config{Store: c, Validator: c, Undoer: c, Notifier: c, Owner: fmt.Sprintf("%p", c)})
	if err != nil {
		t.Fatal(err)
	}
	if err := e.Define([]Workflow{judgeEveryLoadTest()}); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error)
	if _, err := e.Trigger(ctx, ev); err != nil && !errors.Is(err, errDead) {
		t.Fatal(err)
	}
	go func() { ended <- e.Run(ctx) }()
	survived := true
	select {
	case <-c.dead:
		survived = false
	case <-time.After(10 * time.Minute):
	}
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	return survived
}
