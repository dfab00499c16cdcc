package workflow

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	gocmp "github.com/google/go-cmp/cmp"

	"github.com/tidegate-io/tidegate/change"
	"github.com/tidegate-io/tidegate/entity"
	"github.com/tidegate-io/tidegate/fault"
)

// world does effects: once per key, as the contract demands, and remembers
// every request.
type world struct {
	mu       sync.Mutex
	done     map[string]string // key to what was done
	requests []string
	statuses []string          // of validations, by the number of effects before; then pass
	verdicts map[string]string // key to status
	fail     func(request string) error
}

func newWorld(statuses ...string) *world {
	return &world{done: map[string]string{}, verdicts: map[string]string{}, statuses: statuses}
}

func (w *world) do(key, what string) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.requests = append(w.requests, what)
	if w.fail != nil {
		if err := w.fail(what); err != nil {
			return err
		}
	}
	if before, again := w.done[key]; again && before != what {
		return fmt.Errorf("key %s was used for %q, now for %q", key, before, what)
	}
	w.done[key] = what
	return nil
}

func (w *world) Validate(ctx context.Context, r ValidateRequest) (Validated, error) {
	if wait := time.Until(r.To); wait > 0 {
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return Validated{}, ctx.Err()
		}
	}
	err := w.do(r.Key, fmt.Sprintf("validate %s for %v", r.Guardian, r.To.Sub(r.From)))
	w.mu.Lock()
	defer w.mu.Unlock()
	status, known := w.verdicts[r.Key]
	if n := len(w.done) - 1; !known && n >= 0 && n < len(w.statuses) {
		status = w.statuses[n]
	}
	status = cmp.Or(status, "pass")
	w.verdicts[r.Key] = status
	v := Validated{Status: status, Validation: r.Key, Report: r.Key}
	if status == "fail" {
		v.Cause = &Cause{Change: "flip-1", Kind: "flag", Key: "paymentServiceFailure"}
	}
	return v, err
}

func (w *world) Undo(_ context.Context, r UndoRequest) (change.Event, error) {
	return change.Event{ID: "undo-" + r.Change, Title: "undone"}, w.do(r.Key, "undo "+r.Change)
}

func (w *world) SetFlag(_ context.Context, r FlagRequest) (change.Event, error) {
	return change.Event{ID: "flag-" + r.Flag}, w.do(r.Key, "flag "+r.Flag+"="+r.Variant)
}

func (w *world) Notify(_ context.Context, n Notification) error {
	return w.do(n.Key, "notify "+n.Channel+": "+n.Message+n.Report)
}

// judgeEveryLoadTest is the example of the documentation.
func judgeEveryLoadTest() Workflow {
	return Workflow{
		Name: "judge-every-load-test",
		On:   Trigger{Event: "test.finished", If: `event.service == "checkout"`},
		Steps: []Step{
			{Name: "verdict", Validate: &ValidateStep{Guardian: "checkout", Last: "${event.duration}"}},
			{Name: "undo", If: `steps.verdict.status == "fail" && event.purpose == "acceptance"`, Undo: &UndoStep{Change: "${steps.verdict.cause.change}"}},
			{Name: "verify", If: "steps.undo.done", Validate: &ValidateStep{Guardian: "checkout", Next: "30s", Until: "pass"}},
			{Name: "tell", Always: true, Notify: &NotifyStep{Channel: "release-room", Report: "${steps.verdict.report}"}},
		},
	}
}

func testFinished(id, purpose string) change.Event {
	return change.Event{ID: id, Type: change.TypeTestFinished, Kind: change.KindTest, Ref: entity.Ref{Service: "checkout"},
		Start: time.Now(), Received: time.Now(), Properties: map[string]string{"purpose": purpose, "duration": "1m", "tool": "k6"}}
}

func newEngine(t *testing.T, store Store, w *world, change func(*Config), workflows ...Workflow) *Engine {
	t.Helper()
	cfg := Config{Store: store, Validator: w, Undoer: w, Flagger: w, Notifier: w, Owner: "test"}
	if change != nil {
		change(&cfg)
	}
	e, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	if err := e.Define(workflows); err != nil {
		t.Fatal(err)
	}
	return e
}

// inBubble runs the engine while test runs.
func inBubble(t *testing.T, e *Engine, test func(t *testing.T)) {
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() { ended <- e.Run(ctx) }()
	test(t)
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

// finished waits until a run is finished.
func finished(t *testing.T, e *Engine, id string) Run {
	t.Helper()
	for range 10_000 {
		r, err := e.WorkflowRun(t.Context(), id)
		if err != nil {
			t.Fatal(err)
		}
		if r.State == StateDone || r.State == StateFailed {
			return r
		}
		time.Sleep(100 * time.Millisecond)
	}
	t.Fatalf("run %s does not end", id)
	return Run{}
}

func trigger(t *testing.T, e *Engine, ev change.Event) string {
	t.Helper()
	ids, err := e.Trigger(t.Context(), ev)
	if err != nil || len(ids) != 1 {
		t.Fatalf("trigger: runs %v, %v: want one run", ids, err)
	}
	return ids[0]
}

func states(r Run) map[string]State {
	out := map[string]State{}
	for _, s := range r.Steps {
		out[s.Name] = s.State
	}
	return out
}

func TestTheDocumentedWorkflow(t *testing.T) {
	for _, c := range []struct {
		name     string
		purpose  string
		statuses []string
		want     []string
		state    State
		steps    map[string]State
	}{
		{"no-go, undone, verified", "acceptance", []string{"fail", "", "pass"},
			[]string{"validate checkout for 1m0s", "undo flip-1", "validate checkout for 30s", "notify release-room: REPORT"},
			StateDone, map[string]State{"verdict": StateDone, "undo": StateDone, "verify": StateDone, "tell": StateDone}},
		{"go", "acceptance", []string{"pass"},
			[]string{"validate checkout for 1m0s", "notify release-room: REPORT"},
			StateDone, map[string]State{"verdict": StateDone, "undo": StateSkipped, "verify": StateSkipped, "tell": StateDone}},
		{"a failing training run is not undone", "training", []string{"fail"},
			[]string{"validate checkout for 1m0s", "notify release-room: REPORT"},
			StateDone, map[string]State{"verdict": StateDone, "undo": StateSkipped, "verify": StateSkipped, "tell": StateDone}},
		{"never verified", "acceptance", []string{"fail", "", "fail", "fail", "fail"},
			[]string{"validate checkout for 1m0s", "undo flip-1", "validate checkout for 30s", "validate checkout for 30s", "validate checkout for 30s", "notify release-room: REPORT"},
			StateFailed, map[string]State{"verdict": StateDone, "undo": StateDone, "verify": StateFailed, "tell": StateDone}},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(c.statuses...)
				e := newEngine(t, newMemory(), w, nil, judgeEveryLoadTest())
				inBubble(t, e, func(t *testing.T) {
					id := trigger(t, e, testFinished("e1", c.purpose))
					if again := trigger(t, e, testFinished("e1", c.purpose)); again != id {
						t.Errorf("the same event started run %s and then %s", id, again)
					}
					r := finished(t, e, id)
					if r.State != c.state {
						t.Errorf("run is %s (%s), want %s", r.State, r.Error, c.state)
					}
					if d := gocmp.Diff(c.steps, states(r)); d != "" {
						t.Error(d)
					}
					for i := range c.want {
						c.want[i] = strings.ReplaceAll(c.want[i], "REPORT", message(r))
					}
					if d := gocmp.Diff(c.want, w.requests); d != "" {
						t.Error(d)
					}
				})
			})
		})
	}
}

// message is what the notify step of a run said.
func message(r Run) string {
	var n Notification
	if err := json.Unmarshal(r.Steps[3].Input, &n); err != nil {
		return err.Error()
	}
	return n.Message + r.ID + "-1-1"
}

func TestWindows(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld("fail", "fail")
		flow := Workflow{Name: "w", On: Trigger{Event: "*"}, Steps: []Step{
			{Name: "last", Validate: &ValidateStep{Guardian: "g", Last: "1m", Until: "pass", Tags: map[string]string{"purpose": "${event.tool} run"}}},
		}}
		e := newEngine(t, newMemory(), w, nil, flow)
		inBubble(t, e, func(t *testing.T) {
			ev := testFinished("e", "acceptance")
			ev.End = ev.Start.Add(-10 * time.Second)
			ev.Start = ev.End.Add(-time.Minute)
			r := finished(t, e, trigger(t, e, ev))
			var v validation
			if err := json.Unmarshal(r.Steps[0].Input, &v); err != nil {
				t.Fatal(err)
			}
			if v.Round != 3 || r.Steps[0].Attempts != 3 || !v.To.After(ev.End) {
				t.Errorf("last round %+v: want the third, later than the event", v)
			}
			if d := gocmp.Diff(map[string]string{"purpose": "k6 run", "duration": "1m", "tool": "k6"}, v.Tags); d != "" {
				t.Error(d)
			}
			if got := eventEnd(&ev, time.Now()); !got.Equal(ev.End) {
				t.Errorf("window ends %v, want the event's end %v", got, ev.End)
			}
			ev.End = time.Now().Add(15 * time.Minute) // a time-out, not an end
			if got := eventEnd(&ev, time.Now()); !got.Equal(ev.Start) {
				t.Errorf("window ends %v, want the event's start %v", got, ev.Start)
			}
		})
	})
}

func TestTags(t *testing.T) {
	many := map[string]string{"": "empty", "long": strings.Repeat("x", maxTagValue+1), strings.Repeat("k", maxTagKey+1): "v", "purpose": "theirs"}
	for i := range 90 {
		many[fmt.Sprintf("p%02d", i)] = "v"
	}
	tags := tagsOf(many, map[string]string{"purpose": "ours", "z": "last"})
	if len(tags) != maxTags || tags["purpose"] != "ours" || tags["z"] != "last" || tags["p47"] != "v" || tags["p48"] != "" || tags["long"] != "" {
		t.Errorf("%d tags %v: want 50, the step's own first", len(tags), tags)
	}
}

func TestUnavailableEffectsAreTriedAgain(t *testing.T) {
	flow := Workflow{Name: "w", On: Trigger{Event: "*"}, Steps: []Step{
		{Name: "flip", Flag: &FlagStep{Key: "f", Variant: "off"}},
		{Name: "next", Flag: &FlagStep{Key: "g", Variant: "off"}},
	}}
	for _, c := range []struct {
		name     string
		err      error
		times    int
		requests int
		state    State
	}{
		{"unavailable, then well", fault.Unavailable("busy"), 3, 5, StateDone},
		{"unavailable for good", fault.Unavailable("busy"), 100, 7, StateFailed},
		{"invalid is final", fault.Invalid("no such flag"), 1, 1, StateFailed},
		{"an unknown error is final", errors.New("defect"), 1, 1, StateFailed},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld()
				failures := 0
				w.fail = func(string) error {
					if failures++; failures <= c.times {
						return c.err
					}
					return nil
				}
				e := newEngine(t, newMemory(), w, nil, flow)
				inBubble(t, e, func(t *testing.T) {
					began := time.Now()
					r := finished(t, e, trigger(t, e, change.Event{ID: "e", Type: "x"}))
					if r.State != c.state || len(w.requests) != c.requests {
						t.Errorf("run is %s after %d requests, want %s after %d", r.State, len(w.requests), c.state, c.requests)
					}
					if c.state == StateFailed && states(r)["next"] != StateSkipped {
						t.Errorf("steps %v: want next skipped", states(r))
					}
					if c.times == 3 && time.Since(began) < 7*time.Second {
						t.Errorf("three pauses took %v, want 1 s + 2 s + 4 s", time.Since(began))
					}
				})
			})
		})
	}
}

func TestCancel(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		flow := Workflow{Name: "w", On: Trigger{Event: "*"}, Steps: []Step{
			{Name: "wait", Validate: &ValidateStep{Guardian: "g", Next: "1h"}},
			{Name: "tell", Always: true, Notify: &NotifyStep{Channel: "c"}},
		}}
		e := newEngine(t, newMemory(), w, nil, flow)
		waiting := trigger(t, e, change.Event{ID: "e0", Type: "x"}) // nobody runs it yet
		if err := e.Cancel(t.Context(), waiting, "ann"); err != nil {
			t.Fatal(err)
		}
		inBubble(t, e, func(t *testing.T) {
			id := trigger(t, e, change.Event{ID: "e1", Type: "x"})
			time.Sleep(time.Minute)
			if err := e.Cancel(t.Context(), id, "ann"); err != nil {
				t.Fatal(err)
			}
			for _, id := range []string{waiting, id} {
				r := finished(t, e, id)
				if r.State != StateFailed || r.Error != "cancelled by ann" || states(r)["tell"] != StateSkipped {
					t.Errorf("cancelled run: %s %q %v", r.State, r.Error, states(r))
				}
				if err := e.Cancel(t.Context(), id, "ann"); !fault.Is(err, fault.KindConflict) {
					t.Errorf("second cancel: %v, want a fault of kind conflict", err)
				}
			}
			if err := e.Cancel(t.Context(), "nobody", "ann"); !fault.Is(err, fault.KindNotFound) {
				t.Errorf("cancel of no run: %v, want a fault of kind not found", err)
			}
			if len(w.requests) != 0 {
				t.Errorf("effects %v, want none", w.requests)
			}
		})
	})
}

func TestTriggers(t *testing.T) {
	e := newEngine(t, newMemory(), newWorld(), nil,
		Workflow{Name: "any", On: Trigger{Event: "*"}, Steps: judgeEveryLoadTest().Steps},
		Workflow{Name: "slow", On: Trigger{Event: "test.finished", If: `int(event.users) > 100 && event.kind == "test"`}, Steps: judgeEveryLoadTest().Steps},
	)
	ev := change.Event{ID: "e", Type: "test.finished", Kind: change.KindTest}
	for _, c := range []struct {
		users string
		typ   string
		want  int
	}{{"200", "test.finished", 2}, {"5", "test.finished", 1}, {"", "test.finished", 1}, {"200", "other", 1}} {
		ev.Type, ev.Properties = c.typ, map[string]string{"users": c.users}
		ev.ID += "x"
		ids, err := e.Trigger(t.Context(), ev)
		if err != nil || len(ids) != c.want {
			t.Errorf("%s with %q users: runs %v, %v: want %d", c.typ, c.users, ids, err, c.want)
		}
	}
}

// Events of a workflow's own making end: not in the workflow itself, not in a
// circle of two, and not in an endless chain.
func TestLoops(t *testing.T) {
	on := func(name, event string) Workflow {
		return Workflow{Name: name, On: Trigger{Event: event}, Steps: []Step{{Name: "s", Flag: &FlagStep{Key: name, Variant: "on"}}}}
	}
	e := newEngine(t, newMemory(), newWorld(), nil, on("a", "flag.changed"), on("b", "flag.changed"))
	first, err := e.Trigger(t.Context(), change.Event{ID: "0", Type: "flag.changed", Who: "ann"})
	if err != nil || len(first) != 2 {
		t.Fatalf("a person's change: %v, %v: want both workflows", first, err)
	}
	// caused is an event of what a run did, as the wiring records it.
	caused := func(id, run string) []string {
		t.Helper()
		r, err := e.WorkflowRun(t.Context(), run)
		if err != nil {
			t.Fatal(err)
		}
		ids, err := e.Trigger(t.Context(), change.Event{ID: id, Type: "flag.changed", Who: originOf(&r).Who})
		if err != nil {
			t.Fatal(err)
		}
		return ids
	}
	byA := caused("1", RunID("a", "0"))
	if d := gocmp.Diff([]string{RunID("b", "1")}, byA); d != "" {
		t.Errorf("what a did starts b only:\n%s", d)
	}
	if again := caused("2", byA[0]); again != nil {
		t.Errorf("what a made b do started %v, want nothing", again)
	}

	var many []Workflow
	for i := range 10 {
		many = append(many, on(fmt.Sprint("w", i), fmt.Sprint("t", i)))
	}
	e = newEngine(t, newMemory(), newWorld(), nil, many...)
	who := "ann"
	for i := range 10 {
		ids, err := e.Trigger(t.Context(), change.Event{ID: fmt.Sprint(i), Type: fmt.Sprint("t", i), Who: who})
		if err != nil {
			t.Fatal(err)
		}
		if len(ids) == 0 {
			if i != maxDepth {
				t.Errorf("the chain ended after %d workflows, want %d", i, maxDepth)
			}
			return
		}
		r, err := e.WorkflowRun(t.Context(), ids[0])
		if err != nil {
			t.Fatal(err)
		}
		who = originOf(&r).Who
	}
	t.Error("the chain did not end")
}

// Several engines on one store share the work; one that dies is followed by
// another.
func TestReplicas(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store, w := newMemory(), newWorld()
		flow := Workflow{Name: "w", On: Trigger{Event: "*"}, Steps: []Step{
			{Name: "wait", Validate: &ValidateStep{Guardian: "g", Next: "1m"}},
			{Name: "flip", Flag: &FlagStep{Key: "${event.id}", Variant: "on"}},
		}}
		var ids []string
		a := newEngine(t, store, w, func(c *Config) { c.Owner = "a" }, flow)
		b := newEngine(t, store, w, func(c *Config) { c.Owner = "b" }, flow)
		// A dead engine holds one run.
		ids = append(ids, trigger(t, a, change.Event{ID: "held", Type: "x"}))
		if _, ok, err := store.Claim(t.Context(), ids[0], Lease{"dead", time.Now().Add(15 * time.Second)}, time.Now()); !ok || err != nil {
			t.Fatal(ok, err)
		}
		inBubble(t, a, func(t *testing.T) {
			inBubble(t, b, func(t *testing.T) {
				for i := range 20 {
					ids = append(ids, trigger(t, a, change.Event{ID: fmt.Sprint(i), Type: "x"}))
				}
				for _, id := range ids {
					if r := finished(t, a, id); r.State != StateDone {
						t.Errorf("run %s is %s: %s", id, r.State, r.Error)
					}
				}
			})
		})
		count := map[string]int{}
		for _, r := range w.requests {
			count[r]++
		}
		if count["validate g for 1m0s"] != 21 || len(w.done) != 42 || len(w.requests) != 42 {
			t.Errorf("%d requests for %d effects, want 42 each", len(w.requests), len(w.done))
		}
	})
}

// An event that was stored just before a crash starts its workflow after all.
func TestCatchUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		old, missed := testFinished("old", "acceptance"), testFinished("missed", "acceptance")
		old.Received = old.Received.Add(-time.Hour)
		e := newEngine(t, newMemory(), newWorld(), func(c *Config) { c.Events = listed{missed, old} }, judgeEveryLoadTest())
		inBubble(t, e, func(t *testing.T) {
			time.Sleep(time.Minute)
			runs, err := e.WorkflowRuns(t.Context(), "", 0)
			if err != nil || len(runs) != 1 || runs[0].Event.ID != "missed" || runs[0].State != StateDone {
				t.Errorf("runs %+v, %v: want one, done, for the missed event", runs, err)
			}
		})
	})
}

// A workflow that came after an event is not started by it, however often the
// process starts: the event may be days old.
func TestCatchUpStartsNothingThatCameLater(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ev := testFinished("early", "acceptance")
		later := judgeEveryLoadTest()
		later.Since = ev.Received.Add(time.Second)
		e := newEngine(t, newMemory(), newWorld(), func(c *Config) { c.Events = listed{ev} }, later)
		inBubble(t, e, func(t *testing.T) {
			time.Sleep(time.Minute)
			if runs, err := e.WorkflowRuns(t.Context(), "", 0); err != nil || len(runs) != 0 {
				t.Errorf("runs %+v, %v: want none", runs, err)
			}
		})
	})
}

type listed []change.Event

func (l listed) Events(context.Context, change.Query) ([]change.Event, error) { return l, nil }
