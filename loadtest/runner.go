package loadtest

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/tidegate-io/tidegate/change"
	"github.com/tidegate-io/tidegate/fault"
)

// Tool does the work of a run. It returns when the work is done or soon after
// ctx ends; what it measured until then comes back either way. The error says
// why it could not do its work.
type Tool interface {
	Run(ctx context.Context, job Job) (Outcome, error)
}

// Job is what a tool is asked to do.
type Job struct {
	Test Test
	Run  Run
	// Progress is to be called about once a second with the result so far.
	Progress func(Result)
}

// Outcome is what a tool brings back.
type Outcome struct {
	Result *Result
	// Output is the end of a program's output.
	Output string
	// Note says what is remarkable about a run that did its work.
	Note string
}

// Recorder records events; recording one again under its id is harmless.
// *change.Log is one.
type Recorder interface {
	Record(ctx context.Context, e change.Event) (change.Event, error)
}

// Config configures a Runner.
type Config struct {
	Store    Store
	Recorder Recorder
	// HTTP is the built-in generator, Command runs programs.
	HTTP, Command Tool
	// MaxRuns is how many may run at once; default 4. Optional.
	MaxRuns int
	// OnChange is told of every new state and of progress; it must not block.
	// Optional.
	OnChange func(Run)
	// Now and Logger are optional.
	Now    func() time.Time
	Logger *slog.Logger
}

// Runner starts load tests and sees them through. Safe for concurrent use.
type Runner struct {
	cfg    Config
	base   context.Context // of all runs; ends when Run returns
	stop   context.CancelFunc
	active sync.WaitGroup

	mu      sync.Mutex
	stopped bool
	live    map[string]*execution
}

// execution is a run that is under way.
type execution struct {
	cancel context.CancelFunc
	test   Test

	mu        sync.Mutex
	run       Run // with the result so far
	cancelled *cancellation
}

// cancellation is who ended a run early, and why.
type cancellation struct{ who, reason string }

// NewRunner returns a Runner; Store, Recorder and both tools are required.
func NewRunner(cfg Config) (*Runner, error) {
	if cfg.Store == nil || cfg.Recorder == nil || cfg.HTTP == nil || cfg.Command == nil {
		return nil, fault.Invalid("loadtest: Store, Recorder, HTTP and Command are required")
	}
	if cfg.MaxRuns <= 0 {
		cfg.MaxRuns = 4
	}
	if cfg.OnChange == nil {
		cfg.OnChange = func(Run) {}
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	r := &Runner{cfg: cfg, live: map[string]*execution{}}
	r.base, r.stop = context.WithCancel(context.Background())
	return r, nil
}

// Run repairs what an earlier process left behind, then blocks until ctx ends
// and every run that was under way has ended too.
func (r *Runner) Run(ctx context.Context) error {
	err := r.repair(ctx)
	if err == nil {
		<-ctx.Done()
	}
	r.mu.Lock()
	r.stopped = true
	r.mu.Unlock()
	r.stop()
	r.active.Wait()
	return err
}

// repairAge bounds how far back ends of runs are looked at for a missing event.
const repairAge = 24 * time.Hour

func (r *Runner) repair(ctx context.Context) error {
	runs, err := r.cfg.Store.Runs(ctx, "", 100)
	if err != nil {
		return fmt.Errorf("load test runs of an earlier process: %w", err)
	}
	for _, run := range runs {
		if err := r.repairRun(ctx, run); err != nil {
			return err
		}
	}
	return nil
}

func (r *Runner) repairRun(ctx context.Context, run Run) (err error) {
	if r.execution(run.ID) != nil {
		return nil // ours, and under way
	}
	if run.State == StateRunning {
		// Ours again, if it ended since it was listed: then its end is stored.
		if run, err = r.cfg.Store.Run(ctx, run.ID); err != nil {
			return err
		}
	}
	switch {
	case run.State == StateRunning:
		run.State, run.Finished = StateLost, r.cfg.Now().UTC()
		run.Error = "the server stopped during the run"
		err = r.conclude(ctx, run)
	case r.cfg.Now().Sub(run.Finished) < repairAge:
		err = r.record(ctx, EndedEvent(run))
	}
	if fault.Is(err, fault.KindInvalid) {
		// It will be refused every time: no reason not to start.
		r.cfg.Logger.ErrorContext(ctx, "end of load test cannot be reported", "run", run.ID, "error", err)
		return nil
	}
	return err
}

// Start begins a run of test and returns it running, stored and reported.
// Errors: KindInvalid for a wrong definition, KindConflict when the same test
// runs already, KindUnavailable when too many tests run.
func (r *Runner) Start(ctx context.Context, test Test, who string) (Run, error) {
	if err := test.Check(); err != nil {
		return Run{}, err
	}
	return r.start(ctx, newID(r.cfg.Now().UTC()), test, who)
}

// StartOnce is Start under an id of the caller's: the same one again answers
// the run that it began, whatever became of it.
func (r *Runner) StartOnce(ctx context.Context, id string, test Test, who string) (Run, error) {
	if run, err := r.Get(ctx, id); !fault.Is(err, fault.KindNotFound) {
		return run, err
	}
	if err := test.Check(); err != nil {
		return Run{}, err
	}
	return r.start(ctx, id, test, who)
}

func (r *Runner) start(ctx context.Context, id string, test Test, who string) (Run, error) {
	x, runCtx, err := r.admit(id, test, who)
	if err != nil {
		return Run{}, err
	}
	run := x.run
	if err := reportable(run); err != nil {
		r.remove(x)
		return Run{}, err
	}
	if err := r.announce(ctx, run); err != nil {
		r.remove(x)
		return Run{}, fmt.Errorf("start of load test %s: %w", test.Name, err)
	}
	r.cfg.OnChange(run)
	go func() {
		defer r.remove(x)
		r.execute(runCtx, x)
	}()
	return run, nil
}

// reportable checks what a run is reported with before anything is stored.
func reportable(r Run) error {
	e := StartedEvent(r)
	return e.Validate()
}

// announce stores the run and reports its start. A run whose start cannot be
// reported does not begin, and its record says so.
func (r *Runner) announce(ctx context.Context, run Run) error {
	if err := r.cfg.Store.PutRun(ctx, run); err != nil {
		return err
	}
	err := r.record(ctx, StartedEvent(run))
	if err == nil {
		return nil
	}
	run.State, run.Finished, run.Error = StateFailed, r.cfg.Now().UTC(), "its start could not be reported"
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), endTimeout)
	defer cancel()
	return errors.Join(err, r.cfg.Store.PutRun(ctx, run))
}

// admit makes room for a run, or says why there is none.
func (r *Runner) admit(id string, test Test, who string) (*execution, context.Context, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.stopped {
		return nil, nil, fault.Unavailable("the server is stopping")
	}
	if x := r.live[id]; x != nil {
		return nil, nil, fault.Conflict("load test run %s exists already", id)
	}
	for _, x := range r.live {
		if x.test.Name == test.Name {
			return nil, nil, fault.Conflict("load test %s is running already (run %s)", test.Name, x.run.ID)
		}
	}
	if len(r.live) >= r.cfg.MaxRuns {
		return nil, nil, fault.Unavailable("%d load tests are running, which is the limit", len(r.live))
	}
	now := r.cfg.Now().UTC()
	x := &execution{test: test, run: Run{
		ID: id, Test: test.Name, Target: test.Target, Purpose: test.Purpose,
		Tool: test.Tool(), Who: who, State: StateRunning, Started: now,
	}}
	runCtx, cancel := context.WithCancel(r.base)
	x.cancel = cancel
	r.live[x.run.ID] = x
	r.active.Add(1)
	return x, runCtx, nil
}

// remove lets go of what admit took.
func (r *Runner) remove(x *execution) {
	x.cancel()
	r.mu.Lock()
	delete(r.live, x.run.ID)
	r.mu.Unlock()
	r.active.Done()
}

// endTimeout bounds the storing of a run's end while the server stops.
const endTimeout = 10 * time.Second

func (r *Runner) execute(ctx context.Context, x *execution) {
	tool := r.cfg.HTTP
	if x.test.Command != nil {
		tool = r.cfg.Command
	}
	out, err := tool.Run(ctx, Job{Test: x.test, Run: x.snapshot(), Progress: func(res Result) {
		r.cfg.OnChange(x.progress(res))
	}})
	run := x.end(out, err, r.base.Err() != nil)
	run.Finished = r.cfg.Now().UTC()

	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), endTimeout)
	defer cancel()
	if err := r.conclude(ctx, run); err != nil {
		r.cfg.Logger.Error("end of load test not recorded; the next start repairs it", "run", run.ID, "error", err)
	}
}

// conclude stores the end first and reports it second; repair redoes the second.
func (r *Runner) conclude(ctx context.Context, run Run) error {
	if err := r.cfg.Store.PutRun(ctx, run); err != nil {
		return fmt.Errorf("store load test run %s: %w", run.ID, err)
	}
	r.cfg.OnChange(run)
	return r.record(ctx, EndedEvent(run))
}

func (r *Runner) record(ctx context.Context, e change.Event) error {
	_, err := r.cfg.Recorder.Record(ctx, e)
	if err != nil && !fault.Is(err, fault.KindConflict) {
		return fmt.Errorf("record %s of load test run %s: %w", e.Type, e.Correlation, err)
	}
	return nil
}

// Cancel ends a run early; who did it and why is kept with the run and told by
// its test.aborted event. The first one counts. Faults: KindNotFound when it is
// not running, KindInvalid when who or reason is no plain text.
func (r *Runner) Cancel(id, who, reason string) error {
	x := r.execution(id)
	if x == nil {
		return fault.NotFound("load test run %s is not running", id)
	}
	e := StartedEvent(x.snapshot())
	e.Who, e.Reason = who, reason
	if err := e.Validate(); err != nil {
		return err
	}
	x.mu.Lock()
	if x.cancelled == nil {
		x.cancelled = &cancellation{who, reason}
	}
	x.mu.Unlock()
	x.cancel()
	return nil
}

// Get returns a run, with the result so far while it is under way.
func (r *Runner) Get(ctx context.Context, id string) (Run, error) {
	if x := r.execution(id); x != nil {
		return x.snapshot(), nil
	}
	return r.cfg.Store.Run(ctx, id)
}

// List returns the newest runs of a test (of all tests when it is empty),
// newest first, with results so far.
func (r *Runner) List(ctx context.Context, test string, limit int) ([]Run, error) {
	runs, err := r.cfg.Store.Runs(ctx, test, limit)
	if err != nil {
		return nil, err
	}
	for i := range runs {
		if x := r.execution(runs[i].ID); x != nil {
			runs[i] = x.snapshot()
		}
	}
	return runs, nil
}

func (r *Runner) execution(id string) *execution {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.live[id]
}

func (x *execution) snapshot() Run {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.run
}

func (x *execution) progress(res Result) Run {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.run.Result = &res
	return x.run
}

// end derives the final state from what the tool said and from who stopped it.
func (x *execution) end(out Outcome, err error, stopping bool) Run {
	x.mu.Lock()
	defer x.mu.Unlock()
	run := x.run
	if out.Result != nil {
		run.Result = out.Result
	}
	run.Output, run.Error = out.Output, out.Note
	switch {
	case x.cancelled != nil:
		run.State, run.CancelledBy, run.CancelReason = StateCancelled, x.cancelled.who, x.cancelled.reason
		run.Error = x.cancelled.String()
	case stopping:
		run.State, run.Error = StateLost, "the server stopped during the run"
	case err != nil && !errors.Is(err, context.Canceled):
		run.State, run.Error = StateFailed, shorten(err.Error())
	default:
		run.State = StateFinished
	}
	return run
}

// String says it in a sentence, "cancelled by ann: wrong target".
func (c *cancellation) String() string {
	s := "cancelled"
	if c.who != "" {
		s += " by " + c.who
	}
	if c.reason != "" {
		s += ": " + c.reason
	}
	return s
}

// shorten also makes the words of a tool fit for an event: valid text.
func shorten(s string) string {
	const limit = 1000
	cut := len(s) > limit
	if cut {
		s = s[:limit]
	}
	s = strings.ToValidUTF8(strings.ReplaceAll(s, "\x00", ""), "")
	if cut {
		s += "…"
	}
	return s
}

// newID is the start and a random part: unique, sorts by time, and safe in a
// header, a URL and a file name.
func newID(now time.Time) string {
	var b [4]byte
	_, _ = rand.Read(b[:]) // never fails
	return now.Format("20060102-150405-") + hex.EncodeToString(b[:])
}
