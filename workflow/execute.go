package workflow

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/tidegate-io/tidegate/fault"
)

// Time limits of one attempt of a step.
const (
	effectTimeout   = time.Minute
	verdictTimeout  = 15 * time.Minute // beyond the end of the window
	releaseTimeout  = 5 * time.Second
	maxBackoff      = time.Minute
	defaultAttempts = 3
)

// execution is one run while this engine holds it.
type execution struct {
	*Engine
	flow *compiled

	mu  sync.Mutex // run is saved by the heartbeat, too
	run Run
}

// execute works on a run until it is finished, the lease is lost or ctx ends.
func (e *Engine) execute(ctx context.Context, cancel context.CancelCauseFunc, r Run) {
	x := &execution{Engine: e, run: r}
	beats := make(chan struct{})
	go func() {
		defer close(beats)
		x.heartbeat(ctx, cancel)
	}()
	err := x.steps(ctx)
	cause := context.Cause(ctx)
	cancel(nil)
	<-beats
	x.end(ctx, cause, err)
}

// end stores how it ended, and gives up the lease.
func (x *execution) end(ctx context.Context, cause, err error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), releaseTimeout)
	defer cancel()
	var byPerson cancelled
	switch {
	case err == nil:
		finish(&x.run, "", x.cfg.Clock())
	case errors.As(cause, &byPerson):
		finish(&x.run, byPerson.Error(), x.cfg.Clock())
	case cause == nil && fault.Is(err, fault.KindInvalid):
		finish(&x.run, err.Error(), x.cfg.Clock())
	case cause == nil:
		// The store fails. Like after a shutdown or a lost lease the run is
		// resumed by whoever claims it next.
		x.cfg.Logger.ErrorContext(ctx, "workflow run is interrupted", "run", x.run.ID, "workflow", x.run.Workflow, "error", err)
	}
	err = x.cfg.Store.Save(ctx, x.run, Lease{Owner: x.cfg.Owner})
	if err != nil && !fault.Is(err, fault.KindConflict) {
		x.cfg.Logger.ErrorContext(ctx, "cannot store workflow run", "run", x.run.ID, "error", err)
		return
	}
	x.cfg.Changed(x.run)
}

// finish derives the run's state from its steps; message, when set, says what
// ended it early.
func finish(r *Run, message string, now time.Time) {
	r.State, r.Finished, r.Error = StateDone, now, message
	for i := range r.Steps {
		s := &r.Steps[i]
		switch s.State {
		case StateRunning:
			s.State, s.Error, s.Finished = StateFailed, message, now
		case StatePending:
			s.State, s.Finished = StateSkipped, now
		}
		if s.State == StateFailed && r.Error == "" {
			r.Error = fmt.Sprintf("step %q: %s", s.Name, s.Error)
		}
	}
	if r.Error != "" {
		r.State = StateFailed
	}
}

// heartbeat extends the lease. When that fails for good, another engine may
// have taken the run: nothing more must be done here.
func (x *execution) heartbeat(ctx context.Context, cancel context.CancelCauseFunc) {
	tick := time.NewTicker(x.cfg.Lease / 3)
	defer tick.Stop()
	for last := x.cfg.Clock(); ; {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		err := x.save(ctx)
		now := x.cfg.Clock()
		switch {
		case err == nil:
			last = now
		case fault.Is(err, fault.KindConflict) || now.Sub(last) >= 2*x.cfg.Lease/3:
			cancel(fmt.Errorf("lease lost: %w", err))
			return
		}
	}
}

// save stores the run as it is and extends the lease.
func (x *execution) save(ctx context.Context) error {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.cfg.Store.Save(ctx, x.run, x.lease(x.cfg.Clock()))
}

// record changes the run and stores it.
func (x *execution) record(ctx context.Context, change func(r *Run)) error {
	x.mu.Lock()
	change(&x.run)
	snapshot := x.run.clone()
	x.mu.Unlock()
	if err := x.save(ctx); err != nil {
		return err
	}
	x.cfg.Changed(snapshot)
	return nil
}

func (r *Run) clone() Run {
	c := *r
	c.Steps = append([]StepRun(nil), r.Steps...)
	return c
}

// steps executes what is not finished, in order. The error is about the run
// as a whole; a step's failure is in its StepRun.
func (x *execution) steps(ctx context.Context) error {
	var err error
	if x.flow, err = x.run.Definition.compile(); err != nil {
		return err
	}
	if len(x.flow.steps) != len(x.run.Steps) {
		return fault.Invalid("the stored run has %d steps, its definition %d", len(x.run.Steps), len(x.flow.steps))
	}
	if x.run.State == StatePending {
		if err := x.record(ctx, func(r *Run) { r.State = StateRunning }); err != nil {
			return err
		}
	}
	for i := range x.flow.steps {
		if err := x.step(ctx, i); err != nil {
			return err
		}
	}
	return nil
}

// step takes one step from where it is to its end.
func (x *execution) step(ctx context.Context, i int) error {
	switch x.run.Steps[i].State {
	case StateDone, StateSkipped, StateFailed:
		return nil
	case StatePending:
		input, err := x.decide(ctx, i)
		if ctx.Err() != nil { // an interrupted condition has not failed
			return ctx.Err()
		}
		if err != nil {
			return x.finishStep(ctx, i, StateFailed, nil, err)
		}
		if input == nil {
			return x.finishStep(ctx, i, StateSkipped, nil, nil)
		}
		if err := x.intend(ctx, i, input); err != nil {
			return err
		}
	}
	for { // one round per validation of an until step; one for all others
		output, next, err := x.attempt(ctx, i)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err != nil {
			return x.finishStep(ctx, i, StateFailed, output, err)
		}
		if next == nil {
			return x.finishStep(ctx, i, StateDone, output, nil)
		}
		if err := x.intend(ctx, i, next); err != nil {
			return err
		}
	}
}

// decide evaluates the condition and returns the step's input; nil to skip.
func (x *execution) decide(ctx context.Context, i int) (any, error) {
	s := &x.flow.steps[i]
	if !s.Always {
		for _, earlier := range x.run.Steps[:i] {
			if earlier.State == StateFailed {
				return nil, nil
			}
		}
	}
	v, err := x.values(i)
	if err != nil {
		return nil, err
	}
	if s.cond != nil {
		yes, err := s.cond.holds(ctx, v)
		if err != nil || !yes {
			return nil, err
		}
	}
	texts := make(map[string]string, len(s.texts))
	for field, t := range s.texts {
		if texts[field], err = t.render(ctx, v); err != nil {
			return nil, fmt.Errorf("%s: %w", field, err)
		}
	}
	return x.input(i, texts)
}

func (x *execution) values(i int) (values, error) {
	event, err := eventRecord(&x.run.Event)
	if err != nil {
		return values{}, err
	}
	steps, err := stepsRecord(x.run.Steps[:i])
	return values{event, steps}, err
}

// intend stores what is about to be done, before it is done.
func (x *execution) intend(ctx context.Context, i int, input any) error {
	b, err := json.Marshal(input)
	if err != nil {
		return fault.Internal("step %q: input: %w", x.run.Steps[i].Name, err)
	}
	return x.record(ctx, func(r *Run) {
		s := &r.Steps[i]
		s.Input, s.State = b, StateRunning
		s.Attempts++
		if s.Started.IsZero() {
			s.Started = x.cfg.Clock()
		}
	})
}

func (x *execution) finishStep(ctx context.Context, i int, state State, output any, failure error) error {
	var b json.RawMessage
	if output != nil {
		var err error
		if b, err = json.Marshal(output); err != nil {
			return fault.Internal("step %q: output: %w", x.run.Steps[i].Name, err)
		}
	}
	return x.record(ctx, func(r *Run) {
		s := &r.Steps[i]
		s.State, s.Output, s.Finished, s.Error = state, b, x.cfg.Clock(), ""
		if failure != nil {
			s.Error = failure.Error()
		}
	})
}

// attempt does the effect, again while it is unavailable. next is the input
// of a further round.
func (x *execution) attempt(ctx context.Context, i int) (output, next any, err error) {
	pause := x.cfg.Backoff
	for try := 0; ; try++ {
		output, next, err = x.effect(ctx, i)
		if err == nil || !fault.Is(err, fault.KindUnavailable) || try == defaultRetries || ctx.Err() != nil {
			return output, next, err
		}
		x.cfg.Logger.WarnContext(ctx, "workflow step is tried again", "run", x.run.ID, "step", x.run.Steps[i].Name, "in", pause, "error", err)
		select {
		case <-ctx.Done():
			return nil, nil, ctx.Err()
		case <-time.After(pause):
		}
		pause = min(2*pause, maxBackoff)
	}
}
