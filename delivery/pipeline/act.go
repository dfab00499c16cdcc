package pipeline

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/tidegate-io/tidegate/change"
	"github.com/tidegate-io/tidegate/delivery/deploy"
	"github.com/tidegate-io/tidegate/entity"
	"github.com/tidegate-io/tidegate/fault"
)

// Trying again.
const (
	unavailableTries = 6
	maxBackoff       = time.Minute
	maxOutput        = 8 << 10
)

// wait is until when an action waits and for what; zero when it does not.
type wait struct {
	due  time.Time
	text string
}

// outcome is what one attempt of an action came to.
type outcome struct {
	state State // waiting: not yet
	due   time.Time
	text  string           // message, or what is waited for
	set   func(*ActionRun) // what is to be stored besides
}

// act takes one action from where it is: it stores the intent, does one
// attempt and stores what came of it. The error is about the store.
func (x *execution) act(ctx context.Context, i int) (wait, error) {
	def := &x.r.Definition.Stages[x.r.Stage].Actions[i]
	run := x.action(i)
	now := x.cfg.Clock()
	switch {
	case run.State.Finished():
		return wait{}, nil
	case run.NotBefore.After(now):
		return wait{run.NotBefore, def.Name + " is tried again"}, nil
	case run.State == StatePending:
		key := x.key(def.Name, run.Tries+1)
		if err := x.record(ctx, func(r *Release) {
			r.State, r.Current().State, r.Waiting = StateRunning, StateRunning, ""
			a := &r.Current().Actions[i]
			a.State, a.Tries, a.Key, a.NotBefore = StateRunning, run.Tries+1, key, time.Time{}
			a.Started, a.Error, a.Message = now.UTC(), "", ""
			a.Verdict, a.LoadTest, a.Deployment, a.Approval = nil, nil, nil, nil
		}); err != nil {
			return wait{}, err
		}
		run = x.action(i)
	}
	out, err := x.attempt(ctx, i, def, &run)
	switch {
	case ctx.Err() != nil: // interrupted, not failed
		return wait{}, nil
	case err != nil:
		return x.failed(ctx, i, def, err, out.set)
	case out.state == StateWaiting && out.set == nil && run.State == StateWaiting && run.Message == out.text:
		return wait{out.due, out.text}, nil // nothing new
	}
	return wait{out.due, out.text}, x.record(ctx, func(r *Release) {
		a := &r.Current().Actions[i]
		a.State, a.Message = out.state, out.text
		if out.state.Finished() {
			a.Finished = x.cfg.Clock().UTC()
			if out.state == StateRejected || out.state == StateFailed {
				a.Error = out.text
			}
		}
		if out.set != nil {
			out.set(a)
		}
	})
}

func (x *execution) action(i int) ActionRun {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.r.Current().Actions[i]
}

// key is the same however often an attempt is resumed.
func (x *execution) key(action string, try int) string {
	st := x.r.Current()
	return fmt.Sprintf("%s.%s.%d.%s.%d", x.r.ID, st.Name, st.Attempt, action, try)
}

// failed stores a failed attempt: tried again, or the end of the action.
func (x *execution) failed(ctx context.Context, i int, def *Action, failure error, set func(*ActionRun)) (wait, error) {
	now := x.cfg.Clock()
	var due time.Time
	err := x.record(ctx, func(r *Release) {
		a := &r.Current().Actions[i]
		if set != nil {
			set(a)
		}
		a.Error = clip(failure.Error(), maxReason)
		a.Passing++
		passing := fault.Is(failure, fault.KindUnavailable) && a.Passing <= unavailableTries
		switch {
		case passing: // the same attempt once more
			due = now.Add(x.backoff(a.Passing))
		case a.Tries <= def.Retries:
			due = now.Add(x.backoff(a.Tries))
			a.State, a.Passing = StatePending, 0
		default:
			a.State, a.Finished = StateFailed, now.UTC()
		}
		a.NotBefore = due.UTC()
		if due.IsZero() {
			a.NotBefore = time.Time{}
		}
	})
	return wait{due, def.Name + " is tried again: " + clip(failure.Error(), 200)}, err
}

func (x *execution) backoff(n int) time.Duration {
	return min(x.cfg.Backoff<<min(n-1, 20), maxBackoff)
}

// attempt does, or looks at, what an action does, within its time.
func (x *execution) attempt(ctx context.Context, i int, def *Action, run *ActionRun) (outcome, error) {
	limit := x.r.Definition.timeout(def)
	switch def.Kind() {
	case KindValidate:
		return x.validate(ctx, i, def, run, limit)
	case KindApprove:
		return x.approve(ctx, i, def, run, limit)
	case KindLoadTest:
		return x.loadTest(ctx, def, run, limit)
	}
	ctx, cancel := context.WithTimeoutCause(ctx, limit, errTimeout)
	defer cancel()
	var out outcome
	var err error
	switch def.Kind() {
	case KindDeploy:
		out, err = x.deploy(ctx, def, run)
	case KindEvent:
		out, err = x.event(ctx, def, run)
	case KindCommand:
		out, err = x.command(ctx, def, run)
	case KindWebhook:
		out, err = x.webhook(ctx, def, run)
	}
	if err != nil && errors.Is(context.Cause(ctx), errTimeout) {
		var f *deploy.Failure
		if !errors.As(err, &f) {
			err = fault.Invalid("did not end within %s", limit)
		}
	}
	return out, err
}

var errTimeout = errors.New("its time is over")

// loadTest starts a run and looks after it.
func (x *execution) loadTest(ctx context.Context, def *Action, run *ActionRun, limit time.Duration) (outcome, error) {
	if x.cfg.LoadTester == nil {
		return outcome{}, fault.Invalid("this server runs no load tests")
	}
	var lr LoadRun
	var err error
	if run.LoadTest == nil {
		lr, err = x.cfg.LoadTester.Start(ctx, def.LoadTest.Test, x.who(), run.Key)
	} else {
		lr, err = x.cfg.LoadTester.LoadRun(ctx, run.LoadTest.Run)
	}
	if err != nil {
		return outcome{}, err
	}
	set := func(a *ActionRun) { a.LoadTest = &lr }
	switch lr.State {
	case "finished":
		return outcome{state: StateSucceeded, text: lr.Headline, set: set}, nil
	case "lost": // by a restart of the server: a new run, so under a new key
		again := func(a *ActionRun) { a.LoadTest, a.Key = nil, run.Key+"+" }
		return outcome{state: StateRunning, text: "load test " + def.LoadTest.Test + " was interrupted and begins anew", set: again}, nil
	case "failed":
		return outcome{set: set}, fault.Invalid("load test %s: %s", def.LoadTest.Test, lr.Headline)
	}
	if x.cfg.Clock().Sub(run.Started) > limit {
		return outcome{set: set}, fault.Invalid("load test %s did not end within %s", def.LoadTest.Test, limit)
	}
	out := outcome{state: StateWaiting, due: x.cfg.Clock().Add(x.cfg.Poll), text: "load test " + def.LoadTest.Test + " is running"}
	if run.LoadTest == nil {
		out.set = set
	}
	return out, nil
}

// validate registers a validation and, unless an approval does so, waits for
// its verdict.
func (x *execution) validate(ctx context.Context, i int, def *Action, run *ActionRun, limit time.Duration) (outcome, error) {
	v, err := x.verdict(ctx, def, run)
	if err != nil {
		return outcome{}, err
	}
	set := func(a *ActionRun) { a.Verdict = &v }
	if v.Status.Final() {
		return verdictOutcome(v), nil
	}
	now := x.cfg.Clock()
	if now.Sub(run.Started) > limit {
		return outcome{set: set}, fault.Invalid("no verdict within %s", limit)
	}
	out := outcome{state: StateWaiting, due: x.verdictDue(v), text: def.Name + ": " + v.text()}
	if run.Verdict == nil || run.Verdict.Status != v.Status {
		out.set = set
	}
	if x.r.Definition.Stages[x.r.Stage].deferred(i) {
		out.due = time.Time{} // what follows may begin
	}
	return out, nil
}

func (x *execution) verdict(ctx context.Context, def *Action, run *ActionRun) (Verdict, error) {
	if x.cfg.Validator == nil {
		return Verdict{}, fault.Invalid("this server judges nothing")
	}
	if run.Verdict != nil {
		return x.cfg.Validator.Verdict(ctx, *run.Verdict)
	}
	v := *def.Validate
	if len(v.Variables) > 0 {
		v.Variables = x.expanded(v.Variables)
	}
	service := v.Service
	if service == "" {
		service = x.deployedService()
	}
	return x.cfg.Validator.Register(ctx, ValidationRequest{Key: run.Key, Pipeline: x.r.Pipeline, Release: x.r.ID,
		Stage: x.r.Current().Name, Environment: x.r.Current().Environment, Version: x.r.Revision.Version,
		Service: service, Validate: v, Who: x.who()})
}

// deployedService is the service of the first app that the stage deploys.
func (x *execution) deployedService() string {
	for i := range x.r.Definition.Stages[x.r.Stage].Actions {
		if d := x.r.Definition.Stages[x.r.Stage].Actions[i].Deploy; d != nil {
			app := x.r.Definition.app(d)
			return app.Service
		}
	}
	return ""
}

func (x *execution) verdictDue(v Verdict) time.Time {
	next := x.cfg.Clock().Add(x.cfg.Poll)
	if v.Due.After(next) {
		return v.Due
	}
	return next
}

func (v Verdict) text() string {
	if v.Headline != "" {
		return v.Headline
	}
	return v.Name + " is " + string(v.Status)
}

// verdictOutcome: only ok lets a release pass.
func verdictOutcome(v Verdict) outcome {
	out := outcome{state: StateFailed, text: v.text(), set: func(a *ActionRun) { a.Verdict = &v }}
	if v.Status == StatusOK {
		out.state = StateSucceeded
	}
	return out
}

// event records what the definition says.
func (x *execution) event(ctx context.Context, def *Action, run *ActionRun) (outcome, error) {
	if x.cfg.Recorder == nil {
		return outcome{}, fault.Invalid("this server keeps no changes")
	}
	d, st := def.Event, x.r.Current()
	e := change.Event{ID: change.DeriveID("pipeline", run.Key), Type: d.Type, Title: x.expand(d.Title), Who: x.who(), Source: "tidegate",
		Start: run.Started, Ref: entity.Ref{Service: d.Service, Environment: st.Environment, Version: x.r.Revision.Version},
		Key: x.r.Pipeline, Properties: x.properties(x.expanded(d.Properties)), Correlation: x.r.ID}
	if e.Title == "" {
		e.Title = fmt.Sprintf("%s %s in %s", x.r.Pipeline, x.r.Revision.Version, st.Environment)
	}
	if e.Service == "" {
		e.Service = x.deployedService()
	}
	stored, err := x.cfg.Recorder.Record(ctx, e)
	if err != nil {
		return outcome{}, err
	}
	return outcome{state: StateSucceeded, text: e.Title, set: func(a *ActionRun) { a.EventID = stored.ID }}, nil
}

// command runs a program that knows what it is run for.
func (x *execution) command(ctx context.Context, def *Action, run *ActionRun) (outcome, error) {
	if x.cfg.Caller == nil {
		return outcome{}, fault.Invalid("this server runs no commands")
	}
	c := *def.Command
	c.Args = make([]string, len(def.Command.Args))
	for i, a := range def.Command.Args {
		c.Args[i] = x.expand(a)
	}
	c.Env = x.expanded(def.Command.Env)
	st := x.r.Current()
	output, err := x.cfg.Caller.Command(ctx, c, map[string]string{
		"TIDEGATE_KEY": run.Key, "TIDEGATE_PIPELINE": x.r.Pipeline, "TIDEGATE_RELEASE": x.r.ID,
		"TIDEGATE_NUMBER": strconv.Itoa(x.r.Number), "TIDEGATE_STAGE": st.Name, "TIDEGATE_ENVIRONMENT": st.Environment,
		"TIDEGATE_VERSION": x.r.Revision.Version, "TIDEGATE_COMMIT": x.r.Revision.Commit, "TIDEGATE_ADDRESS": x.address(),
	})
	set := func(a *ActionRun) { a.Output = clipEnd(output, maxOutput) }
	if err != nil {
		return outcome{set: set}, err
	}
	return outcome{state: StateSucceeded, set: set}, nil
}

// webhook posts the release.
func (x *execution) webhook(ctx context.Context, def *Action, run *ActionRun) (outcome, error) {
	if x.cfg.Caller == nil {
		return outcome{}, fault.Invalid("this server calls no webhooks")
	}
	st := x.r.Current()
	body, err := json.Marshal(Call{Key: run.Key, Pipeline: x.r.Pipeline, Release: x.r.ID, Number: x.r.Number,
		Stage: st.Name, Environment: st.Environment, Revision: x.r.Revision, At: run.Started})
	if err != nil {
		return outcome{}, fault.Internal("webhook: %w", err)
	}
	output, err := x.cfg.Caller.Webhook(ctx, *def.Webhook, run.Key, body)
	set := func(a *ActionRun) { a.Output = clip(output, maxOutput) }
	if err != nil {
		return outcome{set: set}, err
	}
	return outcome{state: StateSucceeded, set: set}, nil
}
