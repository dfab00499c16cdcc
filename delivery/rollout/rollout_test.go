package rollout

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tidegate-io/tidegate/change"
	"github.com/tidegate-io/tidegate/delivery/traffic"
	"github.com/tidegate-io/tidegate/fault"
)

// world is what survives a crash of the engine: the store, the traffic, the
// guardian and the log of changes. dieAt counts calls down; at zero the
// process is "killed": that call has its effect or not, and no later one
// reaches the world.
type world struct {
	mu       sync.Mutex
	runs     map[string]string
	weight   float64
	shifts   []float64 // weights that were put in force
	verdicts map[string]string
	say      func(v Validation) string
	events   map[string]change.Event
	order    []string
	tests    int
	released []string
	stuck    bool // traffic cannot be moved

	dieAt  int
	after  bool // die after the effect, not before
	dead   bool
	killed context.CancelFunc
}

func newWorld() *world {
	return &world{runs: map[string]string{}, verdicts: map[string]string{}, events: map[string]change.Event{},
		say: func(Validation) string { return "pass" }, dieAt: -1}
}

// call does one effect on the world, unless the process is dead.
func (w *world) call(ctx context.Context, do func() error) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.dead || ctx.Err() != nil {
		return context.Canceled
	}
	w.dieAt--
	if w.dieAt == 0 {
		w.dead = true
		w.killed()
		if w.after {
			_ = do()
		}
		return context.Canceled
	}
	return do()
}

func (w *world) PutRun(ctx context.Context, r Run) error {
	return w.call(ctx, func() error {
		b, err := json.Marshal(r)
		w.runs[r.ID] = string(b)
		return err
	})
}

func (w *world) Run(_ context.Context, id string) (r Run, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	doc, ok := w.runs[id]
	if !ok {
		return r, fault.NotFound("no run %s", id)
	}
	return r, json.Unmarshal([]byte(doc), &r)
}

func (w *world) Runs(_ context.Context, q Query) ([]Run, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	var out []Run
	for _, doc := range w.runs {
		var r Run
		if err := json.Unmarshal([]byte(doc), &r); err != nil {
			return nil, err
		}
		if (q.State == "" || r.State == q.State) && (q.Phase == "" || r.Phase == q.Phase) {
			out = append(out, r)
		}
	}
	return out, nil
}

var (
	blue  = traffic.Side{Name: "blue", Version: "1", URL: "http://127.0.0.1:1"}
	green = traffic.Side{Name: "green", Version: "2", URL: "http://127.0.0.1:2"}
)

func (w *world) Stable(context.Context, Rollout) (traffic.Side, bool, error) { return blue, true, nil }

func (w *world) Shift(ctx context.Context, _ Run, weight float64) error {
	return w.call(ctx, func() error {
		if w.stuck {
			return fault.Denied("the road is closed")
		}
		if w.weight != weight {
			w.weight = weight
			w.shifts = append(w.shifts, weight)
		}
		return nil
	})
}

func (w *world) Drain(ctx context.Context, _ Run, _ traffic.Side) (int64, error) {
	return 0, w.call(ctx, func() error { return nil })
}

func (w *world) Validate(ctx context.Context, v Validation) (StepVerdict, error) {
	if !sleep(ctx, time.Until(v.To)) && v.To.After(time.Now()) {
		return StepVerdict{}, ctx.Err()
	}
	out := StepVerdict{Validation: v.ID, Requests: 100}
	err := w.call(ctx, func() error {
		if _, ok := w.verdicts[v.ID]; !ok {
			w.verdicts[v.ID] = w.say(v)
		}
		out.Status, out.Headline = w.verdicts[v.ID], "it is "+w.verdicts[v.ID]
		return nil
	})
	return out, err
}

func (w *world) Test(ctx context.Context, _, _ string) (time.Time, time.Time, error) {
	from := time.Now()
	sleep(ctx, 10*time.Second)
	return from, time.Now(), w.call(ctx, func() error { w.tests++; return nil })
}

func (w *world) Record(ctx context.Context, e change.Event) (change.Event, error) {
	return e, w.call(ctx, func() error {
		if err := e.Validate(); err != nil {
			return err
		}
		if old, ok := w.events[e.ID]; ok {
			if old.Type != e.Type || old.Title != e.Title {
				return fault.Conflict("another event %s", e.ID)
			}
			return nil
		}
		w.events[e.ID] = e
		w.order = append(w.order, e.Type)
		return nil
	})
}

func (w *world) config() Config {
	return Config{Store: w, Mover: w, Validator: w, Tester: w, Recorder: w, Released: func(ctx context.Context, _ Run, s traffic.Side) error {
		return w.call(ctx, func() error {
			if !slices.Contains(w.released, s.Name) {
				w.released = append(w.released, s.Name)
			}
			return nil
		})
	}}
}

// process is one life of the engine.
type process struct {
	*Engine
	stop func()
}

func (w *world) boot(t *testing.T) *process {
	t.Helper()
	e, err := New(w.config())
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	w.mu.Lock()
	w.dead, w.killed = false, cancel
	w.mu.Unlock()
	done := make(chan error, 1)
	go func() { done <- e.Run(ctx) }()
	synctest.Wait()
	return &process{e, func() { cancel(); <-done }}
}

func (w *world) only(t *testing.T) Run {
	t.Helper()
	runs, err := w.Runs(t.Context(), Query{})
	if err != nil || len(runs) != 1 {
		t.Fatalf("%d runs, %v", len(runs), err)
	}
	return runs[0]
}

func canary() Rollout {
	return Rollout{Name: "shop", Route: "shop", Guardian: "versions", Keep: time.Minute, HoldFor: 2 * time.Minute, Steps: []Step{
		{Weight: 0, LoadTest: "smoke"}, {Weight: 10, For: 30 * time.Second, Pause: 5 * time.Second}, {Weight: 50, For: 30 * time.Second},
	}}
}

var ask = Request{ID: "run-1", Candidate: green, Who: "kim"}

// finish waits until the run is over.
func finish(t *testing.T, w *world) Run {
	t.Helper()
	for range 3000 {
		if r := w.only(t); r.Phase == PhaseDone {
			return r
		}
		time.Sleep(time.Second)
	}
	t.Fatalf("not over: %+v", w.only(t))
	return Run{}
}

func TestGoodGoesUpStepByStep(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		p := w.boot(t)
		defer p.stop()
		if _, err := p.Start(t.Context(), canary(), ask); err != nil {
			t.Fatal(err)
		}
		r := finish(t, w)
		if r.State != StatePromoted || !slices.Equal(w.shifts, []float64{10, 50, 100}) || !slices.Equal(w.released, []string{"blue"}) || w.tests != 1 {
			t.Errorf("%s, shifts %v, released %v, tests %d", r.State, w.shifts, w.released, w.tests)
		}
		want := []string{TypeStarted, TypeJudged, TypeShifted, TypeJudged, TypeShifted, TypeJudged, TypePromoted}
		if !slices.Equal(w.order, want) {
			t.Errorf("events %v, want %v", w.order, want)
		}
		if took := r.Finished.Sub(r.Started); took != 75*time.Second {
			t.Errorf("took %s, want 10s test + 30s + 5s + 30s", took)
		}
	})
}

func TestBadGoesBackAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		w.say = func(v Validation) string {
			if v.ID == "run-1-1-1" {
				return "fail"
			}
			return "pass"
		}
		p := w.boot(t)
		defer p.stop()
		if _, err := p.Start(t.Context(), canary(), ask); err != nil {
			t.Fatal(err)
		}
		r := finish(t, w)
		if r.State != StateAborted || !slices.Equal(w.shifts, []float64{10, 0}) || !slices.Equal(w.released, []string{"green"}) {
			t.Errorf("%s, shifts %v, released %v", r.State, w.shifts, w.released)
		}
		if r.Why != "it is fail" || r.DecidedBy != "guardian versions" || r.Back == nil || r.Back.Done.IsZero() {
			t.Errorf("why %q, decided by %q, back %+v", r.Why, r.DecidedBy, r.Back)
		}
		for _, e := range w.events {
			if e.Type == TypeAborted && w.events[e.UndoOf].Type != TypeShifted {
				t.Errorf("the abort undoes %q", e.UndoOf)
			}
		}
	})
}

// No evidence never promotes: the step is judged again, and given up in the end.
func TestUnclearHolds(t *testing.T) {
	for _, status := range []string{"inconclusive", "error", "learning", "info", ""} {
		t.Run(status, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld()
				asked := 0
				w.say = func(v Validation) string {
					if strings.HasPrefix(v.ID, "run-1-1-") {
						asked++
						return status
					}
					return "pass"
				}
				p := w.boot(t)
				defer p.stop()
				if _, err := p.Start(t.Context(), canary(), ask); err != nil {
					t.Fatal(err)
				}
				r := finish(t, w)
				if r.State != StateAborted || asked != 4 || !strings.HasPrefix(r.Why, "No clear verdict at 10 % within 2m0s") {
					t.Errorf("%s after %d questions: %s", r.State, asked, r.Why)
				}
			})
		})
	}
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		w.say = func(v Validation) string {
			if v.ID == "run-1-1-1" {
				return "inconclusive"
			}
			return "pass"
		}
		p := w.boot(t)
		defer p.stop()
		if _, err := p.Start(t.Context(), canary(), ask); err != nil {
			t.Fatal(err)
		}
		if r := finish(t, w); r.State != StatePromoted || len(r.Steps[1].Verdicts) != 2 {
			t.Errorf("%s with %d verdicts", r.State, len(r.Steps[1].Verdicts))
		}
	})
}

// A kill before or after any call to the outside, and a start after it: the
// outcome is the same, and no shift, verdict or event is there twice.
func TestAKillAnywhereChangesNothing(t *testing.T) {
	for _, story := range []string{"pass", "fail"} {
		for _, after := range []bool{false, true} {
			n := 1
			for ; n < 200 && !story1(t, story, n, after); n++ {
			}
			if n < 15 || n == 200 {
				t.Errorf("%s: %d places to be killed at", story, n)
			}
		}
	}
}

// story1 reports whether the run came to its end without reaching call n.
func story1(t *testing.T, story string, n int, after bool) (unharmed bool) {
	t.Run(fmt.Sprintf("%s/%d/%v", story, n, after), func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld()
			w.say = func(v Validation) string {
				if strings.HasPrefix(v.ID, "run-1-2-") {
					return story
				}
				return "pass"
			}
			p := w.boot(t)
			w.mu.Lock()
			w.dieAt, w.after = n, after
			w.mu.Unlock()
			_, err := p.Start(t.Context(), canary(), ask)
			for range 1000 {
				w.mu.Lock()
				dead := w.dead
				w.mu.Unlock()
				if runs, _ := w.Runs(t.Context(), Query{}); dead || len(runs) == 1 && runs[0].Phase == PhaseDone {
					unharmed = !dead
					break
				}
				time.Sleep(time.Second)
			}
			p.stop()
			p = w.boot(t)
			defer p.stop()
			if err != nil { // the caller, not having been answered, asks again
				if _, err := p.Start(t.Context(), canary(), ask); err != nil {
					t.Fatal(err)
				}
			}
			r := finish(t, w)
			state, shifts, released := StatePromoted, []float64{10, 50, 100}, "blue"
			last := TypePromoted
			if story == "fail" {
				state, shifts, released, last = StateAborted, []float64{10, 50, 0}, "green", TypeAborted
			}
			want := []string{TypeStarted, TypeJudged, TypeShifted, TypeJudged, TypeShifted, TypeJudged, last}
			if r.State != state || !slices.Equal(w.shifts, shifts) || !slices.Equal(w.released, []string{released}) || !slices.Equal(w.order, want) || len(w.verdicts) != 3 {
				t.Errorf("%s, shifts %v, released %v, events %v, verdicts %v", r.State, w.shifts, w.released, w.order, w.verdicts)
			}
		})
	})
	return unharmed
}

func TestAPersonDecides(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		p := w.boot(t)
		defer p.stop()
		def := canary()
		def.Steps = []Step{{Weight: 5, Approve: true}, {Weight: 20, For: time.Hour}}
		if _, err := p.Start(t.Context(), def, ask); err != nil {
			t.Fatal(err)
		}
		time.Sleep(24 * time.Hour)
		if r := w.only(t); r.Phase != PhasePause || !strings.HasPrefix(r.Why, "Waits at 5 %") {
			t.Fatalf("%s: %s", r.Phase, r.Why)
		}
		if _, err := p.Promote(t.Context(), "run-1", "", ""); !fault.Is(err, fault.KindInvalid) {
			t.Errorf("nobody: %v", err)
		}
		if r, err := p.Promote(t.Context(), "run-1", "ann", "looks fine"); err != nil || r.Steps[0].Approved != "ann" || r.At != 1 {
			t.Errorf("promote: %+v, %v", r, err)
		}
		time.Sleep(time.Minute)
		if r, err := p.Abort(t.Context(), "run-1", "bob", "customers call"); err != nil || r.DecidedBy != "bob" {
			t.Errorf("abort: %v, %v", r.DecidedBy, err)
		}
		r := finish(t, w)
		if r.State != StateAborted || r.Why != "bob decided: customers call" || w.weight != 0 {
			t.Errorf("%s: %s, weight %v", r.State, r.Why, w.weight)
		}
		if _, err := p.Abort(t.Context(), "run-1", "bob", "again"); !fault.Is(err, fault.KindConflict) {
			t.Errorf("abort of what is over: %v", err)
		}
		if _, err := p.Abort(t.Context(), "run-9", "bob", "again"); !fault.Is(err, fault.KindNotFound) {
			t.Errorf("abort of nothing: %v", err)
		}
	})
}

func TestAPromotedRunCanBeTakenBackWhileTheOldSideIsKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		p := w.boot(t)
		defer func() { p.stop() }()
		def := Rollout{Name: "shop", Route: "shop", Guardian: "versions", Keep: time.Hour, Steps: []Step{{Weight: 100, For: time.Minute}}}
		if _, err := p.Start(t.Context(), def, ask); err != nil {
			t.Fatal(err)
		}
		time.Sleep(2 * time.Minute)
		if r := w.only(t); r.State != StatePromoted || len(w.released) != 0 {
			t.Fatalf("%s, released %v", r.State, w.released)
		}
		p.stop()
		p = w.boot(t)
		if r, err := p.Abort(t.Context(), "run-1", "bob", "slow after all"); err != nil {
			t.Fatal(r, err)
		}
		if r := finish(t, w); r.State != StateAborted || !slices.Equal(w.shifts, []float64{100, 0}) || !slices.Equal(w.released, []string{"green"}) {
			t.Errorf("%s, shifts %v, released %v", r.State, w.shifts, w.released)
		}
	})
}

func TestOneRolloutAtATime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		p := w.boot(t)
		defer p.stop()
		def := Rollout{Name: "shop", Route: "shop", Guardian: "versions", Keep: time.Hour, Steps: []Step{{Weight: 100, For: time.Minute}}}
		if _, err := p.Start(t.Context(), def, ask); err != nil {
			t.Fatal(err)
		}
		if r, err := p.Start(t.Context(), def, ask); err != nil || r.ID != "run-1" {
			t.Errorf("the same again: %v", err)
		}
		second := Request{ID: "run-2", Candidate: traffic.Side{Name: "red", URL: "http://127.0.0.1:3"}, Who: "kim"}
		if _, err := p.Start(t.Context(), def, second); !fault.Is(err, fault.KindConflict) {
			t.Errorf("a second one: %v", err)
		}
		time.Sleep(2 * time.Minute) // the first only keeps its old side now
		if _, err := p.Start(t.Context(), def, second); err != nil {
			t.Errorf("after promotion: %v", err)
		}
		if !slices.Equal(w.released, []string{"blue"}) {
			t.Errorf("released %v", w.released)
		}
	})
}

func TestTrafficThatCannotBeMovedBackIsSaid(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		w.say = func(v Validation) string {
			w.stuck = true
			return "fail"
		}
		p := w.boot(t)
		defer p.stop()
		def := Rollout{Name: "shop", Route: "shop", Guardian: "versions", Steps: []Step{{Weight: 10, For: time.Minute}}}
		if _, err := p.Start(t.Context(), def, ask); err != nil {
			t.Fatal(err)
		}
		r := finish(t, w)
		if r.State != StateFailed || !strings.Contains(r.Why, "the road is closed") || !slices.Contains(w.order, TypeFailed) {
			t.Errorf("%s: %s; events %v", r.State, r.Why, w.order)
		}
	})
}

func TestWrongDefinitions(t *testing.T) {
	for field, change := range map[string]func(*Rollout){
		"metadata.name":        func(r *Rollout) { r.Name = "" },
		"spec: what":           func(r *Rollout) { r.Flag = &Flag{Key: "a", Variant: "on"} },
		"spec.flag":            func(r *Rollout) { r.Route, r.Flag = "", &Flag{Key: "a"} },
		"spec.steps: ":         func(r *Rollout) { r.Steps = nil },
		"spec.steps[1].weight": func(r *Rollout) { r.Steps[1].Weight = 101 },
		"spec.steps[2].weight": func(r *Rollout) { r.Steps[2].Weight = 5 },
		"spec.steps[1].for":    func(r *Rollout) { r.Steps[1].For = time.Second },
		"spec.steps[0].for":    func(r *Rollout) { r.Steps[0] = Step{For: time.Minute} },
		"spec.steps[0]: who":   func(r *Rollout) { r.Guardian = "" },
		"spec.holdFor":         func(r *Rollout) { r.HoldFor = -1 },
		"spec.keep":            func(r *Rollout) { r.Keep = -1 },
		"spec.steps[1].pause":  func(r *Rollout) { r.Steps[1].Pause = -1 },
	} {
		r := canary()
		change(&r)
		if err := r.Validate(); !fault.Is(err, fault.KindInvalid) || !strings.HasPrefix(err.Error(), field) {
			t.Errorf("want a fault at %s, got %v", field, err)
		}
	}
}
