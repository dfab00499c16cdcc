package problem_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tidegate-io/tidegate/change"
	"github.com/tidegate-io/tidegate/problem"
)

// story is what happens to one problem: it is opened, explained, gets worse,
// is told of, and ends. Each step that is refused by a dead process is tried
// again by the next one, as sources do.
func story(w *world, restart func()) {
	profile := []problem.Profile{{Name: "p", Channels: []string{"room"}, Delay: 20 * time.Second}}
	explain := func(c *problem.Config) {
		c.Explainer = explainer(func(problem.Problem) (problem.Cause, error) { return blame("payment", "c1"), nil })
	}
	var stop func()
	begin := func() {
		w.start(explain)
		if err := w.Define(profile, nil); err != nil {
			w.t.Fatal(err)
		}
		stop = w.run()
	}
	begin()
	again := func() {
		if w.store.isDead() {
			stop()
			restart()
			begin()
		}
	}
	start := time.Now()
	a, b := event("a", "payment"), event("b", "checkout")
	a.Start, b.Start = start, start
	tick := func(d time.Duration, events ...problem.Event) {
		for until := time.Now().Add(d); time.Now().Before(until); {
			for i := range events {
				events[i].Detected = start
			}
			if _, err := w.Observe(w.t.Context(), events); err != nil && !errors.Is(err, errDead) {
				w.t.Fatal(err)
			}
			time.Sleep(time.Second)
			again()
		}
	}
	tick(5*time.Second, a)
	tick(40*time.Second, a, b)
	a.End = start.Add(45 * time.Second)
	tick(5*time.Second, a, b)
	b.End = start.Add(50 * time.Second)
	tick(30*time.Second, a, b)
	stop()
}

// outcome is what must be the same whatever crashed.
type outcome struct {
	Events   []string // ids of the events told, each once
	Sent     []string
	Problems []string
}

func outcomeOf(t *testing.T, w *world) outcome {
	t.Helper()
	o := outcome{Sent: w.sent()}
	w.events.mu.Lock()
	for _, e := range w.events.events {
		o.Events = append(o.Events, e.Type)
	}
	w.events.mu.Unlock()
	list, err := w.store.Problems(context.Background(), problem.Query{Limit: 100})
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range list {
		var kinds []string
		for _, c := range p.Comments {
			kinds = append(kinds, c.Kind)
		}
		var states []string
		for _, a := range p.Alerts {
			states = append(states, string(a.State))
		}
		o.Problems = append(o.Problems, fmt.Sprint(p.Name(), " ", p.State, " ", len(p.Events), " events ", p.Cause.Change.Event.ID, kinds, states))
	}
	return o
}

// The process dies after each of its writes in turn; the next one goes on, and
// in the end nothing is lost and nothing told twice.
func TestCrashBetweenSteps(t *testing.T) {
	var want outcome
	in(t, func(t *testing.T) {
		w := &world{t: t, store: newMemory(), events: &recorder{}, room: &room{}}
		story(w, func() { t.Fatal("it died without being told to") })
		want = outcomeOf(t, w)
	})
	if d := cmp.Diff([]string{problem.TypeOpened, problem.TypeUpdated, problem.TypeAlerted, problem.TypeClosed, problem.TypeCleared}, want.Events); d != "" {
		t.Fatal(d)
	}
	deaths := 0
	for death := 1; ; death++ {
		died := false
		in(t, func(t *testing.T) {
			w := &world{t: t, store: newMemory(), events: &recorder{}, room: &room{}}
			w.store.dieAfter = death
			story(w, func() { died = true; w.store.revive() })
			if d := cmp.Diff(want, outcomeOf(t, w)); d != "" {
				t.Errorf("dead after write %d: %s", death, d)
			}
		})
		if !died || t.Failed() {
			break
		}
		deaths++
	}
	if deaths < 8 {
		t.Errorf("only %d writes to die after", deaths)
	}
}

// Recording an event fails before, or after it was stored: it is tried again,
// in order, and told once.
func TestTellingFails(t *testing.T) {
	for name, c := range map[string]struct {
		where    func(*recorder, func(change.Event) error)
		failures int
	}{
		"before it is stored": {func(r *recorder, f func(change.Event) error) { r.before = f }, 3},
		"after it is stored":  {func(r *recorder, f func(change.Event) error) { r.after = f }, 1},
	} {
		t.Run(name, func(t *testing.T) {
			in(t, func(t *testing.T) {
				w := newWorld(t, nil)
				failures := c.failures
				c.where(w.events, func(e change.Event) error {
					if e.Type != problem.TypeOpened { // what comes after it waits for it
						return nil
					}
					if failures--; failures >= 0 {
						return errors.New("not now")
					}
					return nil
				})
				defer w.run()()
				w.observe(event("a", "payment"))
				w.observe(ended(event("a", "payment")))
				time.Sleep(2 * time.Minute)
				if got, want := w.events.types(), []string{problem.TypeOpened, problem.TypeClosed}; !slices.Equal(got, want) || failures > 0 {
					t.Errorf("told %v, %d failures left", got, failures)
				}
			})
		})
	}
}

// Two processes on one store do everything once.
func TestTwoProcesses(t *testing.T) {
	in(t, func(t *testing.T) {
		var calls atomic.Int64
		config := func(c *problem.Config) {
			c.Explainer = explainer(func(problem.Problem) (problem.Cause, error) {
				calls.Add(1)
				return blame("payment", "c1"), nil
			})
		}
		w := newWorld(t, config)
		other := &world{t: t, store: w.store, events: w.events, room: w.room}
		other.start(config)
		defer w.run()()
		defer other.run()()
		w.observe(event("a", "payment"))
		time.Sleep(time.Second)
		other.observe(event("b", "payment"))
		time.Sleep(20 * time.Second)
		if calls.Load() != 2 { // at opening, and 5 s later because of b
			t.Errorf("%d analyses", calls.Load())
		}
		numbers(t, []int{1}, other.open())
		if got, want := w.events.types(), []string{problem.TypeOpened, problem.TypeUpdated}; !slices.Equal(got, want) {
			t.Errorf("told: %v", got)
		}
	})
}
