package healing

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tidegate-io/tidegate/change"
	"github.com/tidegate-io/tidegate/problem"
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

func (c *crasher) Create(ctx context.Context, a Action, e ...Entry) (ok bool, err error) {
	err = c.boundary(func() error { ok, err = c.memory.Create(ctx, a, e...); return err })
	return ok, err
}

func (c *crasher) Claim(ctx context.Context, id string, l Lease, now time.Time) (a Action, ok bool, err error) {
	err = c.boundary(func() error { a, ok, err = c.memory.Claim(ctx, id, l, now); return err })
	return a, ok, err
}

func (c *crasher) Save(ctx context.Context, a Action, l Lease, e ...Entry) error {
	return c.boundary(func() error { return c.memory.Save(ctx, a, l, e...) })
}

func (c *crasher) Reserve(ctx context.Context, a Action, l Lease, since time.Time, decide func(Reservation) (Action, []Entry, error)) error {
	return c.boundary(func() error { return c.memory.Reserve(ctx, a, l, since, decide) })
}

func (c *crasher) Do(ctx context.Context, r Request) (out Answer, err error) {
	err = c.boundary(func() error { out, err = c.world.Do(ctx, r); return err })
	return out, err
}

func (c *crasher) Verify(ctx context.Context, v Verification) (out Verdict, err error) {
	err = c.boundary(func() error { out, err = c.world.Verify(ctx, v); return err })
	return out, err
}

func (c *crasher) Page(ctx context.Context, p Page) error {
	return c.boundary(func() error { return c.world.Page(ctx, p) })
}

func (c *crasher) Record(ctx context.Context, e change.Event) (out change.Event, err error) {
	err = c.boundary(func() error { out, err = c.world.Record(ctx, e); return err })
	return out, err
}

func (c *crasher) Comment(ctx context.Context, id string, m problem.Comment) error {
	return c.boundary(func() error { return c.world.Comment(ctx, id, m) })
}

// The process dies at every boundary in turn; the next one resumes. Whatever
// the point, every effect has one key and one meaning, so that it takes place
// once, every line is said once, and it all ends as if nothing had happened:
// the flag is set back, that does not help, the command is run, that does not
// help either, and a person is paged.
func TestCrashAtEveryPoint(t *testing.T) {
	for name, idempotent := range map[string]bool{"what may be repeated": true, "what must not be": false} {
		t.Run(name, func(t *testing.T) { crashEverywhere(t, idempotent) })
	}
}

func crashEverywhere(t *testing.T, idempotent bool) {
	r := shop()
	r.Attempts[0].Verify.Window, r.Attempts[0].Verify.Within = 20*time.Second, 20*time.Second // one look, however much time a crash takes
	r.Attempts = append(r.Attempts[:1:1], Attempt{Name: "restart", Do: Do{Command: &Command{Args: []string{"restart"}, Idempotent: idempotent}},
		Verify: Verify{Guardian: "checkout", Within: 20 * time.Second}})
	var want map[string]string
	synctest.Test(t, func(t *testing.T) {
		m, w := newMemory(), sick()
		if !live(t, &crasher{memory: m, world: w, left: 1 << 30, dead: make(chan struct{})}, r) {
			t.Fatal("died without a reason")
		}
		wantTold(t, m, "undo unhealed", "command unhealed", "page paged")
		want = w.effects()
	})
	unknown, survived := 0, false
	for crashAt := 1; !survived && !t.Failed(); crashAt++ {
		synctest.Test(t, func(t *testing.T) {
			m, w := newMemory(), sick()
			survived = live(t, &crasher{memory: m, world: w, left: crashAt, dead: make(chan struct{})}, r)
			if !live(t, &crasher{memory: m, world: w, left: 1 << 30, dead: make(chan struct{})}, r) {
				t.Fatal("the second process died")
			}
			doubtful := strings.Contains(m.lines(), "unknown | ")
			if doubtful {
				unknown++
			}
			got := w.effects()
			for key, times := range w.asked {
				if times > 1 && !idempotent && strings.HasPrefix(w.done[key], "command") {
					t.Errorf("crash at %d: what must not be repeated was asked for %d times", crashAt, times)
				}
			}
			if doubtful { // the command, and its event, may be there or not
				for _, effects := range []map[string]string{got, want} {
					for k, v := range effects {
						if strings.HasPrefix(v, "command") || strings.HasSuffix(k, "-done") && !strings.Contains(k, undoID()) {
							delete(effects, k)
						}
					}
				}
			}
			if d := cmp.Diff(want, got); d != "" {
				t.Errorf("crash at %d: effects differ from those without a crash:\n%s", crashAt, d)
			}
			wantTold(t, m, "undo unhealed", "command unhealed", "page paged")
			saidOnce(t, crashAt, m, w)
		})
		if unknown > 0 { // some were taken away for the comparison
			synctest.Test(t, func(t *testing.T) {
				w := sick()
				live(t, &crasher{memory: newMemory(), world: w, left: 1 << 30, dead: make(chan struct{})}, r)
				want = w.effects()
			})
		}
		if survived {
			t.Logf("%d points, the outcome of %d is unknown", crashAt-1, unknown)
			if crashAt < 60 {
				t.Errorf("only %d points to crash at: the test sees too little", crashAt)
			}
		}
	}
	if idempotent != (unknown == 0) {
		t.Errorf("idempotent is %v, and the outcome was unknown %d times", idempotent, unknown)
	}
}

// sick is a world in which nothing helps.
func sick() *world {
	w := newWorld(problemOf("p1", badFlag()))
	w.verdicts = []string{"fail"}
	return w
}

func undoID() string {
	p := problemOf("p1", badFlag())
	return decidedID(&p, "shop", subjectOf(p.Cause), 0)
}

// saidOnce: every line of the audit is on the problem, once.
func saidOnce(t *testing.T, crashAt int, m *memory, w *world) {
	t.Helper()
	count := map[string]int{}
	for _, c := range w.problems["p1"].Comments {
		count[c.Text+c.Link]++
	}
	for i := range m.audit {
		if c := said(&m.audit[i]); count[c.Text+c.Link] != 1 {
			t.Errorf("crash at %d: %q is said %d times", crashAt, c.Text, count[c.Text+c.Link])
		}
	}
}

// live is the life of one process: it runs until it dies (false) or two minutes
// pass (true).
func live(t *testing.T, c *crasher, r Remediation) bool {
	t.Helper()
	cfg := configOf(c, c.world)
	cfg.Problems, cfg.Changes, cfg.Verifier, cfg.Pager = c, c, c, c
	cfg.Actors = map[Kind]Actor{KindUndo: c, KindCommand: c}
	cfg.Owner = fmt.Sprintf("%p", c)
	cfg.Sweep = 15 * time.Second
	e, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	if err := e.Define([]Remediation{r}); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() { ended <- e.Run(ctx) }()
	survived := true
	select {
	case <-c.dead:
		survived = false
	case <-time.After(2 * time.Minute):
	}
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	return survived
}
