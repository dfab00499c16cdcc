package rollout

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/tidegate-io/tidegate/fault"
)

// Effects that are unavailable are tried again with growing pauses.
const (
	attempts   = 6
	firstPause = 250 * time.Millisecond
	storePause = time.Second
)

// errInterrupted: ctx of the engine has ended; the next start goes on.
var errInterrupted = errors.New("interrupted")

// execute drives a run to its end, or until ctx ends.
func (e *Engine) execute(ctx context.Context, d *drive) {
	for d.run.Phase != PhaseDone {
		before := d.run.Phase
		err := e.advance(ctx, d)
		if ctx.Err() != nil {
			return
		}
		if err != nil { // an effect that does not work
			e.log.Error("rollout", "run", d.run.ID, "phase", before, "error", err)
			d.run.blocked(before, err)
		}
		if err := e.keepPutting(ctx, &d.run); err != nil {
			return
		}
		d.keeping.Store(d.run.Phase == PhaseKeep)
	}
	e.log.Info("rollout ended", "run", d.run.ID, "rollout", d.run.Rollout.Name, "state", d.run.State, "why", d.run.Why)
}

// blocked decides what follows when an effect cannot be had: traffic goes back
// to where it was, and when that is what does not work, a person is needed.
func (r *Run) blocked(phase Phase, err error) {
	switch phase {
	case PhaseBack:
		r.State, r.Phase = StateFailed, PhaseDone
		r.Why = "All traffic should be at " + r.Stable.Name + ", but it could not be moved: " + err.Error()
	case PhaseKeep:
		r.Phase = PhaseDone
	case PhasePromote:
		if r.Stable == r.Candidate {
			r.State, r.Phase = StateFailed, PhaseDone
			r.Why = err.Error()
			return
		}
		fallthrough
	default:
		r.abort("tidegate", err.Error())
	}
}

func (r *Run) abort(who, why string) {
	r.Phase, r.DecidedBy, r.Why = PhaseBack, who, why
}

// keepPutting stores the run, however long the store is away.
func (e *Engine) keepPutting(ctx context.Context, r *Run) error {
	for {
		err := e.put(ctx, r)
		if err == nil {
			return nil
		}
		e.log.Error("rollout could not be stored; it waits", "run", r.ID, "error", err)
		if !sleep(ctx, storePause) {
			return errInterrupted
		}
	}
}

// advance does one phase and says in the run what comes next.
func (e *Engine) advance(ctx context.Context, d *drive) error {
	switch d.run.Phase {
	case PhaseShift:
		return e.shift(ctx, d)
	case PhaseJudge, PhaseHold:
		return e.judge(ctx, d)
	case PhasePause:
		return e.pause(ctx, d)
	case PhasePromote:
		return e.promote(ctx, d)
	case PhaseBack:
		return e.back(ctx, d)
	case PhaseKeep:
		return e.keep(ctx, d)
	}
	return fault.Internal("rollout %s: unknown phase %q", d.run.ID, d.run.Phase)
}

// shift moves traffic to the step's weight. The event goes first: what users
// may suffer from is on record before they do.
func (e *Engine) shift(ctx context.Context, d *drive) error {
	r := &d.run
	step := &r.Steps[r.At]
	if step.Shift.Asked.IsZero() {
		step.Shift = Shift{Weight: step.Weight, Asked: e.cfg.Clock()}
		if err := e.keepPutting(ctx, r); err != nil {
			return err
		}
	}
	events := []event{{name: "started"}}
	if step.Weight > 0 {
		events = append(events, event{name: "shifted", step: r.At})
	}
	if err := e.record(ctx, r, events...); err != nil {
		return err
	}
	if err := e.try(ctx, func() error { return e.cfg.Mover.Shift(ctx, *r, step.Weight) }); err != nil {
		return fmt.Errorf("traffic could not be moved to %s: %w", r.Candidate.Name, err)
	}
	step.Shift.Done = e.cfg.Clock()
	step.HoldEnds = step.Shift.Done.Add(r.Rollout.HoldFor)
	step.From = step.Shift.Done
	r.Phase = PhaseJudge
	return nil
}

// judge has the guardian judge the step's window, and decides.
func (e *Engine) judge(ctx context.Context, d *drive) error {
	r := &d.run
	def, step := r.Rollout.Steps[r.At], &r.Steps[r.At]
	if !def.judged() {
		r.Phase = PhasePause
		return nil
	}
	if e.cfg.Validator == nil || def.LoadTest != "" && e.cfg.Tester == nil {
		return fault.Unavailable("there is nothing that judges or tests here")
	}
	var v StepVerdict
	decided, err := e.interruptible(ctx, d, func(ctx context.Context) (err error) {
		v, err = e.verdict(ctx, r, def, step)
		return err
	})
	if decided || err != nil {
		return err
	}
	step.Verdicts = append(step.Verdicts, v)
	r.decide(v, e.cfg.Clock())
	return e.record(ctx, r, event{name: "judged", step: r.At, attempt: len(step.Verdicts)})
}

// verdict asks for one verdict. The window and the attempt are stored before,
// so a restart asks the same question.
func (e *Engine) verdict(ctx context.Context, r *Run, def Step, step *StepRun) (StepVerdict, error) {
	if step.Attempts == len(step.Verdicts) {
		if def.LoadTest != "" {
			from, to, err := e.cfg.Tester.Test(ctx, def.LoadTest, r.Who)
			if err != nil {
				return StepVerdict{}, fmt.Errorf("load test %s: %w", def.LoadTest, err)
			}
			step.From, step.To = from, to
		} else {
			// A step that holds is judged over all that it has seen.
			step.To = step.From.Add(def.For)
			if len(step.Verdicts) > 0 {
				step.To = e.cfg.Clock().Add(def.For)
			}
		}
		step.Attempts++
		if err := e.keepPutting(ctx, r); err != nil {
			return StepVerdict{}, err
		}
	}
	var v StepVerdict
	err := e.try(ctx, func() (err error) {
		v, err = e.cfg.Validator.Validate(ctx, Validation{
			ID: fmt.Sprintf("%s-%d-%d", r.ID, r.At, step.Attempts), Guardian: r.Rollout.Guardian,
			Stable: r.Stable.Version, Candidate: r.Candidate.Version, From: step.From, To: step.To, Who: r.Who,
		})
		return err
	})
	return v, err
}

// decide turns a verdict into what comes next.
func (r *Run) decide(v StepVerdict, now time.Time) {
	switch v.Status {
	case "pass", "warn":
		r.Phase, r.Why = PhasePause, v.Headline
	case "fail":
		r.abort("guardian "+r.Rollout.Guardian, v.Headline)
	default:
		if ends := r.Steps[r.At].HoldEnds; now.Before(ends) {
			r.Phase = PhaseHold
			r.Why = fmt.Sprintf("Holds at %g %%: %s", r.Steps[r.At].Weight, v.Headline)
			return
		}
		r.abort("guardian "+r.Rollout.Guardian, fmt.Sprintf("No clear verdict at %g %% within %s: %s", r.Steps[r.At].Weight, r.Rollout.HoldFor, v.Headline))
	}
}

// pause waits as the step says and goes to the next one.
func (e *Engine) pause(ctx context.Context, d *drive) error {
	r := &d.run
	def, step := r.Rollout.Steps[r.At], &r.Steps[r.At]
	if def.Pause > 0 || def.Approve && step.Approved == "" {
		if def.Approve {
			r.Why = fmt.Sprintf("Waits at %g %% for somebody to promote or abort it", step.Weight)
			if err := e.keepPutting(ctx, r); err != nil {
				return err
			}
		}
		until := e.cfg.Clock().Add(def.Pause)
		decided, err := e.interruptible(ctx, d, func(ctx context.Context) error {
			if def.Approve {
				<-ctx.Done()
				return ctx.Err()
			}
			sleep(ctx, until.Sub(e.cfg.Clock()))
			return ctx.Err()
		})
		if decided || err != nil {
			return err
		}
	}
	r.next()
	return nil
}

// next goes to the following step, or to the end.
func (r *Run) next() {
	if r.At+1 < len(r.Steps) {
		r.At++
		r.Phase = PhaseShift
		return
	}
	r.Phase = PhasePromote
}

// promote gives the candidate everything.
func (e *Engine) promote(ctx context.Context, d *drive) error {
	r := &d.run
	if err := e.record(ctx, r, event{name: "started"}); err != nil {
		return err
	}
	if err := e.try(ctx, func() error { return e.cfg.Mover.Shift(ctx, *r, 100) }); err != nil {
		return fmt.Errorf("traffic could not be moved to %s: %w", r.Candidate.Name, err)
	}
	r.State, r.Phase, r.Finished = StatePromoted, PhaseKeep, e.cfg.Clock()
	r.KeepUntil = r.Finished.Add(r.Rollout.Keep)
	if r.DecidedBy == "" && r.Rollout.Guardian != "" && r.Stable != r.Candidate {
		r.DecidedBy = "guardian " + r.Rollout.Guardian
	}
	return e.record(ctx, r, event{name: "promoted"})
}

// back gives the stable side everything, at once, and lets the candidate
// answer what it has under way.
func (e *Engine) back(ctx context.Context, d *drive) error {
	r := &d.run
	if r.Back == nil {
		r.Back = &Shift{Asked: e.cfg.Clock()}
	}
	if err := e.try(ctx, func() error { return e.cfg.Mover.Shift(ctx, *r, 0) }); err != nil {
		return errors.Join(err, e.record(ctx, r, event{name: "failed"}))
	}
	r.Back.Done = e.cfg.Clock()
	r.State, r.Finished, r.KeepUntil = StateAborted, r.Back.Done, time.Time{}
	if err := e.record(ctx, r, event{name: "aborted"}); err != nil {
		return err
	}
	left, err := e.cfg.Mover.Drain(ctx, *r, r.Candidate)
	if err != nil {
		return err
	}
	r.Back.InFlight = left
	e.release(ctx, *r, true)
	r.Phase = PhaseDone
	return ctx.Err()
}

// keep waits until the replaced side is not needed any more.
func (e *Engine) keep(ctx context.Context, d *drive) error {
	r := &d.run
	if r.Stable == r.Candidate {
		r.Phase = PhaseDone
		return nil
	}
	decided, err := e.interruptible(ctx, d, func(ctx context.Context) error {
		sleep(ctx, r.KeepUntil.Sub(e.cfg.Clock()))
		return ctx.Err()
	})
	if decided && r.Phase == PhaseBack || err != nil {
		return err
	}
	if _, err := e.cfg.Mover.Drain(ctx, *r, r.Stable); err != nil {
		return err
	}
	e.release(ctx, *r, false)
	r.Phase = PhaseDone
	return ctx.Err()
}

func (e *Engine) release(ctx context.Context, r Run, candidate bool) {
	if e.cfg.Released == nil || ctx.Err() != nil {
		return
	}
	side := r.Stable
	if candidate {
		side = r.Candidate
	}
	if err := e.cfg.Released(ctx, r, side); err != nil {
		e.log.Error("side could not be released", "run", r.ID, "side", side.Name, "error", err)
	}
}

// interruptible does something that takes long and ends it when a person
// decides instead.
func (e *Engine) interruptible(ctx context.Context, d *drive, do func(context.Context) error) (decided bool, err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	result := make(chan error, 1)
	go func() { result <- do(ctx) }()
	select {
	case err := <-result:
		return false, err
	case c := <-d.commands:
		cancel()
		<-result
		e.obey(&d.run, c)
		c.done <- e.put(context.WithoutCancel(ctx), &d.run)
		return true, nil
	}
}

// obey does what a person decided.
func (e *Engine) obey(r *Run, c command) {
	why := fmt.Sprintf("%s decided: %s", c.who, c.reason)
	if !c.promote {
		r.abort(c.who, why)
		return
	}
	if r.Phase == PhaseKeep {
		return // ends at once
	}
	r.Steps[r.At].Approved = c.who
	r.DecidedBy, r.Why = c.who, why
	r.next()
}

// try repeats what is unavailable.
func (e *Engine) try(ctx context.Context, do func() error) error {
	pause := firstPause
	for n := 1; ; n++ {
		err := do()
		if err == nil || n == attempts || !fault.Is(err, fault.KindUnavailable) {
			return err
		}
		if !sleep(ctx, pause) {
			return err
		}
		pause *= 2
	}
}

// sleep reports whether ctx is still alive after d.
func sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return ctx.Err() == nil
	case <-ctx.Done():
		return false
	}
}
