package healing

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/tidegate-io/tidegate/fault"
	"github.com/tidegate-io/tidegate/problem"
)

const (
	releaseTimeout = 5 * time.Second
	maxBackoff     = time.Minute
	maxTries       = 4
	// objectedPause is between two looks at an action that rules object to
	// while the analysis may still change.
	objectedPause = 2 * time.Second
	// actionTimeout bounds one attempt of what has no time limit of its own.
	actionTimeout = 10 * time.Minute
)

// execution is one action while this engine holds it.
type execution struct {
	*Engine
	ctx    context.Context
	cancel context.CancelCauseFunc

	mu sync.Mutex // a is saved by the heartbeat, too
	a  Action
	// resumed: the action was taken up in the state it has.
	resumed bool
	// problem as it was when it was decided to act.
	problem problem.Problem
}

// errLater: there is nothing to do now.
var errLater = errors.New("later")

// execute works on an action until it ended, waits, the lease is lost or ctx
// ends.
func (e *Engine) execute(ctx context.Context, a Action) {
	x := &execution{Engine: e, a: a, resumed: true}
	x.ctx, x.cancel = context.WithCancelCause(ctx)
	beats := make(chan struct{})
	go func() {
		defer close(beats)
		x.heartbeat()
	}()
	err := x.sayAgain()
	for err == nil && x.a.State != StateEnded {
		err = x.step()
		x.resumed = false
	}
	interrupted := x.ctx.Err() != nil
	x.cancel(nil)
	<-beats
	if err != nil && !errors.Is(err, errLater) && !interrupted {
		e.cfg.Logger.ErrorContext(ctx, "healing action is interrupted", "action", a.ID, "problem", a.Problem, "again in", e.cfg.Sweep, "error", err)
		x.a.Due = e.cfg.Clock().Add(e.cfg.Sweep)
	}
	x.release(ctx)
	if x.a.State == StateEnded && ctx.Err() == nil {
		x.next(ctx)
	}
}

// release gives the lease up. What was interrupted is in the state that was
// stored last and is taken up again when it is due.
func (x *execution) release(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), releaseTimeout)
	defer cancel()
	err := x.cfg.Store.Save(ctx, x.a, Lease{Owner: x.cfg.Owner})
	if err != nil && !fault.Is(err, fault.KindConflict) {
		x.cfg.Logger.ErrorContext(ctx, "cannot release a healing action", "action", x.a.ID, "error", err)
	}
}

// next considers the problem again: another attempt may follow.
func (x *execution) next(ctx context.Context) {
	p, err := x.cfg.Problems.Problem(ctx, x.a.Problem)
	if err == nil {
		err = x.Consider(ctx, p)
	}
	if err != nil && ctx.Err() == nil && !fault.Is(err, fault.KindNotFound) {
		x.cfg.Logger.ErrorContext(ctx, "cannot decide what follows a healing action", "action", x.a.ID, "error", err)
	}
}

// heartbeat extends the lease. When that fails for good, another engine may
// have taken the action: nothing more must be done here.
func (x *execution) heartbeat() {
	tick := time.NewTicker(x.cfg.Lease / 3)
	defer tick.Stop()
	for last := x.cfg.Clock(); ; {
		select {
		case <-x.ctx.Done():
			return
		case <-tick.C:
		}
		x.mu.Lock()
		err := x.cfg.Store.Save(x.ctx, x.a, x.lease())
		x.mu.Unlock()
		now := x.cfg.Clock()
		switch {
		case err == nil:
			last = now
		case fault.Is(err, fault.KindConflict) || now.Sub(last) >= 2*x.cfg.Lease/3:
			x.cancel(fmt.Errorf("lease lost: %w", err))
			return
		}
	}
}

// save stores a changed action with its lines of the audit, and then says them
// on the problem.
func (x *execution) save(a Action, entries ...Entry) error {
	x.mu.Lock()
	err := x.cfg.Store.Save(x.ctx, a, x.lease(), entries...)
	if err == nil {
		x.a = a
	}
	x.mu.Unlock()
	if err != nil {
		return err
	}
	x.saved(entries)
	return nil
}

func (x *execution) saved(entries []Entry) {
	x.cfg.Changed(x.a)
	for _, e := range entries {
		x.say(x.ctx, e)
	}
}

// sayAgain says what was said no more before the action was taken up: that it
// was decided, and the last line before a crash.
func (x *execution) sayAgain() error {
	entries, err := x.cfg.Store.Audit(x.ctx, x.a.ID, "", maxPrior)
	if err != nil {
		return err
	}
	return x.catchUp(x.ctx, x.a.Problem, entries)
}

// step takes the action one state further.
func (x *execution) step() error {
	switch x.a.State {
	case StatePending:
		return x.begin()
	case StateWaiting:
		return x.wait()
	case StateActing:
		return x.act()
	default:
		return x.verify()
	}
}

// finish ends the action.
func (x *execution) finish(o Outcome, who, reason string) error {
	a := ended(x.a, o, reason, x.cfg.Clock())
	return x.save(a, a.entry(a.Ended, who, string(o), fmt.Sprintf("%s: %s", a.Title, reason)))
}

func ended(a Action, o Outcome, reason string, now time.Time) Action {
	a.State, a.Outcome, a.Reason, a.Ended, a.Due = StateEnded, o, reason, now, time.Time{}
	return a
}

// begin checks, and asks for approval or goes on.
func (x *execution) begin() error {
	if x.a.Kind == KindPage {
		return x.page()
	}
	f, err := x.facts(x.ctx, x.a)
	switch {
	case fault.Is(err, fault.KindNotFound):
		return x.finish(OutcomeObsolete, byPolicy, "the problem does not exist any more")
	case err != nil:
		return err
	}
	x.problem = f.Problem
	if why := obsolete(f); why != "" {
		return x.finish(OutcomeObsolete, byPolicy, why)
	}
	a := f.Action
	a.Objections = Object(f)
	if left := standing(a.Objections, a.Override); len(left) > 0 {
		if a.ApprovedBy == "" && f.Now.Before(patienceEnds(&f.Problem, a.Policy)) {
			return x.postpone(a, left)
		}
		a, entry := refused(a, left, f.Now)
		return x.save(a, entry)
	}
	switch {
	case a.Policy.DryRun && a.By == byPolicy:
		a = ended(a, OutcomeDryRun, "this is a dry run: nothing was done", f.Now)
		return x.save(a, a.entry(f.Now, byPolicy, string(a.Outcome), "dry run: would "+a.Title))
	case a.ApprovedBy == "" && a.Policy.Approval == ApprovalManual:
		return x.ask(a)
	case a.ApprovedBy == "":
		a.ApprovedBy = byPolicy
	}
	return x.reserve(f, a)
}

// postpone looks again later: the first analysis of a problem knows less than
// the next ones, and an objection may rest on that.
func (x *execution) postpone(a Action, objections []Objection) error {
	a.Due, a.Reason = x.cfg.Clock().Add(objectedPause), "not yet: "+reasons(objections)
	if err := x.save(a); err != nil {
		return err
	}
	return errLater
}

// obsolete: by itself nothing is done about a problem that is over or has
// another cause by now. A person decides for themselves; the rules warn.
func obsolete(f *Facts) string {
	if f.Action.By != byPolicy {
		return ""
	}
	switch {
	case f.Problem.State != problem.StateOpen:
		return "the problem is over"
	case f.Problem.Cause == nil || subjectOf(f.Problem.Cause) != f.Action.Subject:
		return "the problem has another cause now"
	}
	return ""
}

func refused(a Action, objections []Objection, now time.Time) (Action, Entry) {
	o := OutcomeRefused
	for _, ob := range objections {
		if ob.Freezes {
			o = OutcomeFrozen
		}
	}
	a = ended(a, o, reasons(objections), now)
	return a, a.entry(now, byPolicy, string(o), fmt.Sprintf("did not %s: %s", a.Title, a.Reason))
}

// ask tells a person, and waits. The message has a key, so that one that was
// sent before a crash is not sent again.
func (x *execution) ask(a Action) error {
	a.State, a.Due = StateWaiting, x.cfg.Clock().Add(a.Policy.ApprovalTimeout)
	a.Reason = "waits for a person's approval until " + clock(a.Due)
	if a.Page != nil && x.cfg.Pager != nil {
		text := fmt.Sprintf("P-%d: %s? Waiting for approval until %s (tidegate healing approve %s).", a.Number, a.Title, clock(a.Due), a.ID)
		if err := x.cfg.Pager.Page(x.ctx, Page{Key: a.ID + "-ask", To: *a.Page, Problem: a.Problem, Text: text}); err != nil {
			x.cfg.Logger.ErrorContext(x.ctx, "nobody is told that an action waits for approval", "action", a.ID, "error", err)
		}
	}
	if err := x.save(a, a.entry(x.cfg.Clock(), byPolicy, "waiting", a.Title+": waiting for approval until "+clock(a.Due))); err != nil {
		return err
	}
	return errLater
}

// wait ends the time to approve.
func (x *execution) wait() error {
	if x.cfg.Clock().Before(x.a.Due) {
		return errLater
	}
	return x.finish(OutcomeExpired, byPolicy, "nobody approved within "+x.a.Policy.ApprovalTimeout.String())
}

// reserve records the intent, in one transaction with the last look.
func (x *execution) reserve(f *Facts, a Action) error {
	var entries []Entry
	x.mu.Lock()
	err := x.cfg.Store.Reserve(x.ctx, a, x.lease(), f.Now.Add(-recentSpan), func(r Reservation) (Action, []Entry, error) {
		f.Now, f.Stop, f.Recent, f.Action = x.cfg.Clock(), r.Stop, r.Recent, a
		var entry Entry
		out := a
		out.Objections = Object(f)
		if left := standing(out.Objections, a.Override); len(left) > 0 {
			out, entry = refused(out, left, f.Now)
		} else {
			out.State, out.Acted, out.Due, out.Reason = StateActing, f.Now, f.Now, ""
			entry = out.entry(f.Now, a.ApprovedBy, "acting", fmt.Sprintf("%s, approved by %s%s", out.Title, a.ApprovedBy, overriding(&out)))
		}
		a, entries = out, []Entry{entry}
		return out, entries, nil
	})
	if err == nil {
		x.a = a
	}
	x.mu.Unlock()
	if err != nil {
		return err
	}
	x.saved(entries)
	return nil
}

func overriding(a *Action) string {
	if a.Override == "" || len(a.Objections) == 0 {
		return ""
	}
	return fmt.Sprintf(" against objections (%s), because: %s", reasons(a.Objections), a.Override)
}
