package loadtest

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tidegate-io/tidegate/change"
	"github.com/tidegate-io/tidegate/entity"
	"github.com/tidegate-io/tidegate/fault"
)

// memory is a Store and a Recorder.
type memory struct {
	mu     sync.Mutex
	runs   map[string]Run
	order  []string
	events []change.Event
	refuse error // what Record answers, when set
}

func newMemory() *memory { return &memory{runs: map[string]Run{}} }

func (m *memory) PutRun(_ context.Context, r Run) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if _, ok := m.runs[r.ID]; !ok {
		m.order = append([]string{r.ID}, m.order...)
	}
	m.runs[r.ID] = r
	return nil
}

func (m *memory) Run(_ context.Context, id string) (Run, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if r, ok := m.runs[id]; ok {
		return r, nil
	}
	return Run{}, fault.NotFound("run %s", id)
}

func (m *memory) Runs(_ context.Context, test string, limit int) ([]Run, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	var out []Run
	for _, id := range m.order {
		if r := m.runs[id]; (test == "" || r.Test == test) && len(out) < limit {
			out = append(out, r)
		}
	}
	return out, nil
}

func (m *memory) Record(_ context.Context, e change.Event) (change.Event, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.refuse != nil {
		return change.Event{}, m.refuse
	}
	if err := e.Validate(); err != nil {
		return change.Event{}, err
	}
	if !slices.ContainsFunc(m.events, func(o change.Event) bool { return o.ID == e.ID }) {
		m.events = append(m.events, e)
	}
	return e, nil
}

func (m *memory) types() []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	var out []string
	for _, e := range m.events {
		out = append(out, e.Type+" "+e.Properties["state"])
	}
	return out
}

type toolFunc func(context.Context, Job) (Outcome, error)

func (f toolFunc) Run(ctx context.Context, j Job) (Outcome, error) { return f(ctx, j) }

// works takes two seconds.
func works(ctx context.Context, j Job) (Outcome, error) {
	j.Progress(Result{Requests: 10})
	select {
	case <-ctx.Done():
		return Outcome{Result: &Result{Requests: 15}}, ctx.Err()
	case <-time.After(2 * time.Second):
		return Outcome{Result: &Result{Requests: 40, Failures: 3, P99: time.Millisecond}}, nil
	}
}

var acceptance = Test{
	Name: "acceptance", Purpose: "acceptance", Target: entity.Ref{Service: "checkout", Environment: "dev"},
	Request: &Request{Method: "POST", URL: "http://127.0.0.1:1/api"},
	Stages:  constant(20, 2*time.Second),
}

// start returns a Runner that runs until the test ends.
func start(t *testing.T, m *memory, tool toolFunc) *Runner {
	t.Helper()
	r, err := NewRunner(Config{Store: m, Recorder: m, HTTP: tool, Command: tool})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- r.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return r
}

func TestRunIsStoredAndReported(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMemory()
		r := start(t, m, works)
		run, err := r.Start(t.Context(), acceptance, "alex")
		if err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if live, _ := r.Get(t.Context(), run.ID); live.State != StateRunning || live.Result == nil || live.Result.Requests != 10 {
			t.Errorf("while running: %+v", live)
		}
		time.Sleep(3 * time.Second)
		got, _ := m.Run(t.Context(), run.ID)
		if got.State != StateFinished || got.Result.Requests != 40 || got.Finished.Sub(got.Started) != 2*time.Second {
			t.Errorf("stored: %+v", got)
		}
		if want := []string{"test.started started", "test.finished finished"}; !slices.Equal(m.types(), want) {
			t.Fatalf("events %q, want %q", m.types(), want)
		}
		e := m.events[1]
		if e.Correlation != run.ID || e.Service != "checkout" || e.Who != "alex" || e.Properties["duration"] != "2s" ||
			e.Properties["purpose"] != "acceptance" || e.Properties["failures"] != "3" || e.Properties["tool"] != "tidegate" {
			t.Errorf("finished event: %+v", e)
		}
	})
}

func TestRunsThatDoNotFinishAreAborted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMemory()
		r := start(t, m, func(ctx context.Context, j Job) (Outcome, error) {
			if j.Test.Name == "broken" {
				return Outcome{Output: "no such host"}, errors.New("exit status 1")
			}
			return works(ctx, j)
		})
		broken := acceptance
		broken.Name = "broken"
		failed, err := r.Start(t.Context(), broken, "")
		if err != nil {
			t.Fatal(err)
		}
		cancelled, err := r.Start(t.Context(), acceptance, "")
		if err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if err := r.Cancel(cancelled.ID, "ann", "wrong target"); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		for id, want := range map[string]State{failed.ID: StateFailed, cancelled.ID: StateCancelled} {
			if got, _ := m.Run(t.Context(), id); got.State != want || got.Error == "" {
				t.Errorf("run %s is %s (%q), want %s", id, got.State, got.Error, want)
			}
		}
		for _, typ := range m.types() {
			if typ == "test.finished finished" {
				t.Errorf("events %q: nothing finished", m.types())
			}
		}
		if err := r.Cancel(cancelled.ID, "ann", "wrong target"); !fault.Is(err, fault.KindNotFound) {
			t.Errorf("second cancel: %v", err)
		}
	})
}

func TestOneRunOfATestAtATimeAndNotTooMany(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := start(t, newMemory(), works)
		if _, err := r.Start(t.Context(), acceptance, ""); err != nil {
			t.Fatal(err)
		}
		if _, err := r.Start(t.Context(), acceptance, ""); !fault.Is(err, fault.KindConflict) {
			t.Errorf("second run of the same test: %v", err)
		}
		for _, name := range []string{"b", "c", "d", "e"} {
			other := acceptance
			other.Name = name
			_, err := r.Start(t.Context(), other, "")
			if full := name == "e"; fault.Is(err, fault.KindUnavailable) != full {
				t.Errorf("test %s: %v", name, err)
			}
		}
		time.Sleep(3 * time.Second)
		if _, err := r.Start(t.Context(), acceptance, ""); err != nil {
			t.Errorf("after the first ended: %v", err)
		}
	})
}

func TestRestartRepairs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMemory()
		now := time.Now().UTC()
		// One run was under way, of another the end was stored and not reported.
		_ = m.PutRun(t.Context(), Run{ID: "a", Test: "acceptance", State: StateRunning, Started: now.Add(-time.Minute)})
		_ = m.PutRun(t.Context(), Run{ID: "b", Test: "acceptance", State: StateFinished, Started: now.Add(-time.Hour), Finished: now.Add(-time.Hour)})
		start(t, m, works)
		synctest.Wait()
		if a, _ := m.Run(t.Context(), "a"); a.State != StateLost || a.Finished.IsZero() {
			t.Errorf("run a: %+v", a)
		}
		got := m.types()
		slices.Sort(got)
		if want := []string{"test.aborted lost", "test.finished finished"}; !slices.Equal(got, want) {
			t.Errorf("events %q, want %q", got, want)
		}
	})
}

func TestStopOfTheServerLosesRuns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMemory()
		r, _ := NewRunner(Config{Store: m, Recorder: m, HTTP: toolFunc(works), Command: toolFunc(works)})
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- r.Run(ctx) }()
		run, err := r.Start(ctx, acceptance, "")
		if err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		cancel()
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		if got, _ := m.Run(t.Context(), run.ID); got.State != StateLost || got.Result.Requests != 15 {
			t.Errorf("got %+v", got)
		}
		if _, err := r.Start(t.Context(), acceptance, ""); !fault.Is(err, fault.KindUnavailable) {
			t.Errorf("start after stop: %v", err)
		}
	})
}

func TestStartThatCannotBeReportedLeavesNothingRunning(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMemory()
		r := start(t, m, works)
		synctest.Wait()
		m.refuse = fault.Unavailable("disk full")
		if _, err := r.Start(t.Context(), acceptance, ""); !fault.Is(err, fault.KindUnavailable) {
			t.Fatalf("got %v", err)
		}
		if runs, _ := m.Runs(t.Context(), "", 10); len(runs) != 1 || runs[0].State != StateFailed {
			t.Errorf("stored: %+v", runs)
		}
		m.refuse = nil
		if _, err := r.Start(t.Context(), acceptance, ""); err != nil {
			t.Errorf("afterwards: %v", err)
		}
		time.Sleep(3 * time.Second)
	})
}

func TestCheck(t *testing.T) {
	tests := map[string]func(*Test){
		"name":            func(x *Test) { x.Name = "" },
		"request":         func(x *Test) { x.Request = nil },
		"request.url":     func(x *Test) { x.Request = &Request{URL: "ftp://x"} },
		"stages":          func(x *Test) { x.Stages = nil },
		"duration":        func(x *Test) { x.Duration = -1 },
		"command.args":    func(x *Test) { x.Request, x.Command = nil, &Command{} },
		"maxInFlight":     func(x *Test) { x.MaxInFlight = 1 << 30 },
		"request (twice)": func(x *Test) { x.Command = &Command{Args: []string{"k6"}} },
	}
	for field, spoil := range tests {
		x := acceptance
		spoil(&x)
		var f *fault.Error
		if err := x.Check(); !errors.As(err, &f) || f.Kind != fault.KindInvalid || f.Field == "" {
			t.Errorf("%s: got %v", field, err)
		}
	}
	if err := acceptance.Check(); err != nil {
		t.Error(err)
	}
}

func TestCancelSaysWhoAndWhy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMemory()
		r := start(t, m, works)
		run, err := r.Start(t.Context(), acceptance, "ci")
		if err != nil {
			t.Fatal(err)
		}
		if err := r.Cancel(run.ID, "a\x00", ""); !fault.Is(err, fault.KindInvalid) {
			t.Errorf("NUL: %v", err)
		}
		if err := r.Cancel(run.ID, "ann", "wrong target"); err != nil {
			t.Fatal(err)
		}
		_ = r.Cancel(run.ID, "bob", "me too") // may come when it has ended
		synctest.Wait()
		got, _ := m.Run(t.Context(), run.ID)
		if got.Who != "ci" || got.CancelledBy != "ann" || got.CancelReason != "wrong target" || got.Error != "cancelled by ann: wrong target" {
			t.Errorf("run %+v", got)
		}
		if e := m.events[len(m.events)-1]; e.Type != TypeTestAborted || e.Who != "ann" || e.Reason != "wrong target" {
			t.Errorf("event %+v", e)
		}
	})
}

// A start that could never be reported is refused before anything is stored.
func TestStartWithUnfitWhoIsRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMemory()
		r := start(t, m, works)
		if _, err := r.Start(t.Context(), acceptance, "a\x00"); !fault.Is(err, fault.KindInvalid) {
			t.Errorf("got %v", err)
		}
		if len(m.runs) != 0 {
			t.Errorf("stored %+v", m.runs)
		}
		if _, err := r.Start(t.Context(), acceptance, "ann"); err != nil {
			t.Errorf("the next one: %v", err)
		}
	})
}

// The words of a tool are cut between letters, so that the end is reported.
func TestEndWithAnyErrorIsReported(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMemory()
		r := start(t, m, func(context.Context, Job) (Outcome, error) {
			return Outcome{}, errors.New("x\x00\xff" + strings.Repeat("ä", 1000))
		})
		if _, err := r.Start(t.Context(), acceptance, ""); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if got := m.types(); len(got) != 2 || got[1] != "test.aborted failed" {
			t.Errorf("events %q", got)
		}
	})
}

// A stored run whose end the log of changes refuses does not keep the server
// from starting.
func TestRestartSurvivesAnEndThatCannotBeReported(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMemory()
		now := time.Now().UTC()
		_ = m.PutRun(t.Context(), Run{ID: "a", Test: "acceptance", Who: "a\x00", State: StateFailed, Started: now, Finished: now})
		_ = m.PutRun(t.Context(), Run{ID: "b", Test: "acceptance", Who: "a\x00", State: StateRunning, Started: now})
		r, err := NewRunner(Config{Store: m, Recorder: m, HTTP: toolFunc(works), Command: toolFunc(works)})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- r.Run(ctx) }()
		synctest.Wait()
		select {
		case err := <-ended:
			t.Fatalf("ended: %v", err)
		default:
		}
		cancel()
		<-ended
	})
}
