package pipeline

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
	"github.com/tidegate-io/tidegate/delivery/deploy"
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

func (c *crasher) Claim(ctx context.Context, id string, l Lease, now time.Time) (r Release, ok bool, err error) {
	err = c.boundary(func() error { r, ok, err = c.memory.Claim(ctx, id, l, now); return err })
	return r, ok, err
}

func (c *crasher) Save(ctx context.Context, r Release, l Lease) error {
	return c.boundary(func() error { return c.memory.Save(ctx, r, l) })
}

func (c *crasher) Enter(ctx context.Context, r Release, l Lease) (ok bool, err error) {
	err = c.boundary(func() error { ok, err = c.memory.Enter(ctx, r, l); return err })
	return ok, err
}

func (c *crasher) Decide(ctx context.Context, d Decision) (stands Decision, won bool, err error) {
	err = c.boundary(func() error { stands, won, err = c.memory.Decide(ctx, d); return err })
	return stands, won, err
}

func (c *crasher) PutDeployment(ctx context.Context, d Deployment) error {
	return c.boundary(func() error { return c.memory.PutDeployment(ctx, d) })
}

func (c *crasher) Deployer(string, string) (deploy.Deployer, error) { return c, nil }

func (c *crasher) Deploy(ctx context.Context, r deploy.Request) (i deploy.Instance, err error) {
	err = c.boundary(func() error { i, err = c.world.Deploy(ctx, r); return err })
	return i, err
}

func (c *crasher) Rollback(ctx context.Context, r deploy.Request) (i deploy.Instance, err error) {
	err = c.boundary(func() error { i, err = c.world.Rollback(ctx, r); return err })
	return i, err
}

func (c *crasher) Register(ctx context.Context, r ValidationRequest) (v Verdict, err error) {
	err = c.boundary(func() error { v, err = c.world.Register(ctx, r); return err })
	return v, err
}

func (c *crasher) Start(ctx context.Context, test, who, key string) (l LoadRun, err error) {
	err = c.boundary(func() error { l, err = c.world.Start(ctx, test, who, key); return err })
	return l, err
}

func (c *crasher) Record(ctx context.Context, e change.Event) (out change.Event, err error) {
	err = c.boundary(func() error { out, err = c.world.Record(ctx, e); return err })
	return out, err
}

func (c *crasher) Command(ctx context.Context, d Command, env map[string]string) (out string, err error) {
	err = c.boundary(func() error { out, err = c.world.Command(ctx, d, env); return err })
	return out, err
}

// quick is the shop's pipeline with its waits cut short.
func quick() Pipeline {
	p := shop()
	for i := range p.Stages {
		for j := range p.Stages[i].Actions {
			if v := p.Stages[i].Actions[j].Validate; v != nil {
				v.In = 5 * time.Second
			}
		}
	}
	return p
}

// The process dies at every boundary in turn; the next one resumes. Whatever
// the point, every effect has one key and one meaning, so that it takes place
// once, and the release ends as if nothing had happened: here taken back from
// production.
func TestCrashAtEveryPoint(t *testing.T) {
	var want map[string]string
	var wantEvents map[string]int
	for crashAt := 0; ; crashAt++ { // 0 never crashes: it says what is wanted
		survived := false
		synctest.Test(t, func(t *testing.T) {
			m, w := newMemory(), newWorld()
			w.verdicts["production 2"] = StatusViolation
			w.current[deploy.Target{App: "shop", Environment: "production"}] = []deploy.Revision{{Version: "1"}}
			if err := m.PutDeployment(t.Context(), Deployment{ID: "d1", Target: deploy.Target{App: "shop", Environment: "production"}, With: "process",
				Revision: deploy.Revision{Version: "1"}, State: DeploymentDone, Verdict: Good, Started: time.Now()}); err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Second)
			s := newService(t, plainBackend{m, w}, "pusher", quick())
			r, err := s.Push(t.Context(), Push{Pipeline: "shop", Revision: deploy.Revision{Version: "2"}, Who: "ci", Key: "2"})
			if err != nil {
				t.Fatal(err)
			}
			survived = live(t, &crasher{memory: m, world: w, left: crashAt, dead: make(chan struct{})})
			if crashAt > 0 && !live(t, &crasher{memory: m, world: w, left: 1 << 30, dead: make(chan struct{})}) {
				t.Fatal("the second process died")
			}
			if r, err = m.Release(t.Context(), r.ID); err != nil || r.State != StateRolledBack {
				t.Fatalf("crash at %d: release is %s (%s, %s), %v", crashAt, r.State, r.Error, r.Waiting, err)
			}
			if v := w.version("production"); v != "1" {
				t.Errorf("crash at %d: production has %s", crashAt, v)
			}
			if crashAt == 0 {
				want, wantEvents = w.done, w.types()
			}
			if d := cmp.Diff(want, w.done); d != "" {
				t.Errorf("crash at %d: effects differ from those without a crash:\n%s", crashAt, d)
			}
			if d := cmp.Diff(wantEvents, w.types()); d != "" {
				t.Errorf("crash at %d: events differ from those without a crash:\n%s", crashAt, d)
			}
		})
		if t.Failed() {
			return
		}
		if survived && crashAt > 0 {
			t.Logf("%d points", crashAt-1)
			if crashAt < 100 {
				t.Errorf("only %d points to crash at: the test sees too little", crashAt)
			}
			return
		}
	}
}

// live is the life of one process: it runs until it dies (false) or 90
// seconds pass (true).
func live(t *testing.T, c *crasher) bool {
	t.Helper()
	if c.left == 0 {
		c.left = 1 << 30
	}
	s := newService(t, c, fmt.Sprintf("%p", c), quick())
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() { ended <- s.Run(ctx) }()
	survived := true
	select {
	case <-c.dead:
		survived = false
	case <-time.After(90 * time.Second):
	}
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	return survived
}
