package pipeline

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tidegate-io/tidegate/change"
	"github.com/tidegate-io/tidegate/delivery/deploy"
	"github.com/tidegate-io/tidegate/fault"
)

// world is what a service acts on; it survives the service. Effects are
// idempotent by key, and done says what each key asked for.
type world struct {
	mu       sync.Mutex
	done     map[string]string
	order    []string
	events   map[string]change.Event
	current  map[deploy.Target][]deploy.Revision // the last is current
	verdicts map[string]Status                   // by "stage version", what it comes to
	judgedAt map[string]time.Time                // by key
	loads    map[string]time.Time
	// broken deployments: by version, "unhealthy", "hang" or "away N" times.
	broken  map[string]string
	away    int // how many effects are still unavailable
	failing int // how many commands still fail
	calls   int
}

func newWorld() *world {
	return &world{done: map[string]string{}, events: map[string]change.Event{}, current: map[deploy.Target][]deploy.Revision{},
		verdicts: map[string]Status{}, judgedAt: map[string]time.Time{}, loads: map[string]time.Time{}, broken: map[string]string{}}
}

// once does an effect unless its key was used.
func (w *world) once(key, what string, do func()) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.calls++
	if w.away > 0 {
		w.away--
		return fault.Unavailable("away for a moment")
	}
	if old, ok := w.done[key]; ok {
		if old != what {
			return fault.Internal("key %s was used for %s, now for %s", key, old, what)
		}
		return nil
	}
	w.done[key] = what
	w.order = append(w.order, what)
	if do != nil {
		do()
	}
	return nil
}

func (w *world) Deployer(with, _ string) (deploy.Deployer, error) {
	if with != "process" {
		return nil, fault.Invalid("unknown deployer %q: expected process", with)
	}
	return w, nil
}

func (w *world) Deploy(ctx context.Context, r deploy.Request) (deploy.Instance, error) {
	return w.run(ctx, "deploy", r)
}

func (w *world) Rollback(ctx context.Context, r deploy.Request) (deploy.Instance, error) {
	return w.run(ctx, "roll back", r)
}

func (w *world) run(ctx context.Context, verb string, r deploy.Request) (deploy.Instance, error) {
	w.mu.Lock()
	how := w.broken[r.Revision.Version]
	w.mu.Unlock()
	switch how {
	case "hang": // does not even listen to ctx
		select {}
	case "unhealthy":
		kept, _ := w.Current(ctx, r.Target)
		return deploy.Instance{}, &deploy.Failure{Cause: deploy.CauseUnhealthy, Target: r.Target, Version: r.Revision.Version,
			Kept: kept.Revision.Version, Output: "listening on nothing"}
	}
	time.Sleep(2 * time.Second)
	if ctx.Err() != nil {
		return deploy.Instance{}, ctx.Err()
	}
	err := w.once(r.Key, fmt.Sprintf("%s %s to %s", verb, r.Revision.Version, r.Target), func() {
		w.current[r.Target] = append(w.current[r.Target], r.Revision)
	})
	return deploy.Instance{Target: r.Target, Key: r.Key, Revision: r.Revision, Address: "http://" + r.Revision.Version}, err
}

func (w *world) nth(t deploy.Target, back int) (deploy.Instance, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if n := len(w.current[t]); n >= back {
		return deploy.Instance{Target: t, Revision: w.current[t][n-back]}, nil
	}
	return deploy.Instance{}, fault.NotFound("nothing at %s", t)
}

func (w *world) Current(_ context.Context, t deploy.Target) (deploy.Instance, error) {
	return w.nth(t, 1)
}
func (w *world) Previous(_ context.Context, t deploy.Target) (deploy.Instance, error) {
	return w.nth(t, 2)
}
func (w *world) Health(context.Context, deploy.Target) (deploy.Health, error) {
	return deploy.Health{State: deploy.StateHealthy}, nil
}

func (w *world) version(env string) string {
	i, _ := w.Current(context.Background(), deploy.Target{App: "shop", Environment: env})
	return i.Revision.Version
}

func (w *world) Register(_ context.Context, r ValidationRequest) (Verdict, error) {
	name := r.Validate.Comparison + r.Validate.Guardian
	var due time.Time
	err := w.once("validation "+r.Key, "judge "+r.Stage+" "+r.Version, func() {
		w.judgedAt[r.Key] = time.Now().Add(r.Validate.In)
	})
	w.mu.Lock()
	due = w.judgedAt[r.Key]
	w.mu.Unlock()
	return Verdict{Of: "comparison", Name: name, ID: r.Key, Status: StatusWaiting, Due: due, Headline: r.Stage + " " + r.Version}, err
}

func (w *world) Verdict(_ context.Context, v Verdict) (Verdict, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if time.Now().Before(w.judgedAt[v.ID]) {
		return v, nil
	}
	v.Status = StatusOK
	if s := w.verdicts[v.Headline]; s != "" {
		v.Status = s
	}
	v.Headline = "is " + string(v.Status)
	return v, nil
}

func (w *world) Start(_ context.Context, test, _, key string) (LoadRun, error) {
	err := w.once("load "+key, "load "+test, func() { w.loads[key] = time.Now().Add(20 * time.Second) })
	return LoadRun{Run: key, State: "running"}, err
}

func (w *world) LoadRun(_ context.Context, run string) (LoadRun, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if time.Now().Before(w.loads[run]) {
		return LoadRun{Run: run, State: "running"}, nil
	}
	return LoadRun{Run: run, State: "finished", Headline: "600 requests"}, nil
}

func (w *world) Record(_ context.Context, e change.Event) (change.Event, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if old, ok := w.events[e.ID]; ok {
		return old, nil
	}
	e.Kind = "x"
	w.events[e.ID] = e
	return e, nil
}

func (w *world) Command(_ context.Context, c Command, env map[string]string) (string, error) {
	w.mu.Lock()
	failing := w.failing > 0
	if failing {
		w.failing--
	}
	w.mu.Unlock()
	if failing {
		return "some output", fault.Invalid("exit status 1")
	}
	return "done", w.once("command "+env["TIDEGATE_KEY"], "run "+strings.Join(c.Args, " "), nil)
}

func (w *world) Webhook(_ context.Context, h Webhook, key string, _ []byte) (string, error) {
	return "ok", w.once("webhook "+key, "call "+h.URL, nil)
}

func (w *world) types() map[string]int {
	w.mu.Lock()
	defer w.mu.Unlock()
	out := map[string]int{}
	for _, e := range w.events {
		out[e.Type]++
	}
	return out
}

// shop is the pipeline of the design: staging with load, comparison and
// approval, then production, kept or taken back.
func shop() Pipeline {
	return Pipeline{
		Name: "shop", Groups: map[string][]string{"release": {"kim", "ann"}},
		Stages: []Stage{
			{Name: "staging", Actions: []Action{
				{Deploy: &Deploy{App: "shop", With: "process"}},
				{LoadTest: &LoadTest{Test: "acceptance"}, Group: 1},
				{Command: &Command{Args: []string{"smoke", "${release.version}", "${address}"}}, Group: 1},
				{Validate: &Validate{Comparison: "StagingToProduction", In: 5 * time.Minute}},
				{Approve: &Approve{By: []string{"validation", "group:release"}}},
			}},
			{Name: "production", Actions: []Action{
				{Deploy: &Deploy{App: "shop", With: "process"}},
				{Event: &Event{Type: "shop.released", Title: "${release.version} replaces ${previous.version}"}},
				{Validate: &Validate{Comparison: "ProductionToLastHour", In: 5 * time.Minute}, OnFail: Rollback},
				{Webhook: &Webhook{URL: "http://tell.example"}},
			}},
		},
	}
}

// backend is everything a service needs, so that a test may put something in
// between.
type backend interface {
	Store
	Deployers
	Validator
	LoadTester
	Recorder
	Caller
}

type plainBackend struct {
	*memory
	*world
}

func newService(t *testing.T, b backend, owner string, defs ...Pipeline) *Service {
	t.Helper()
	s, err := New(Config{Store: b, Deployers: b, Validator: b, LoadTester: b, Recorder: b, Caller: b, Owner: owner, Poll: 4 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Define(defs); err != nil {
		t.Fatal(err)
	}
	return s
}

// running starts a service that ends with the test.
func running(t *testing.T, w *world, m *memory, defs ...Pipeline) *Service {
	t.Helper()
	s := newService(t, plainBackend{m, w}, "here", defs...)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() { ended <- s.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	return s
}

func push(t *testing.T, s *Service, version string) Release {
	t.Helper()
	r, err := s.Push(t.Context(), Push{Pipeline: "shop", Revision: deploy.Revision{Version: version}, Who: "ci"})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func get(t *testing.T, s *Service, id string) Release {
	t.Helper()
	r, err := s.Release(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	return r
}
