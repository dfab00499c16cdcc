package pipeline

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/tidegate-io/tidegate/fault"
)

// Pauses between two looks at what nothing wakes us for, when everything goes
// well: other processes' releases, decisions taken elsewhere.
const (
	takenPoll    = 10 * time.Second
	decisionPoll = 30 * time.Second
	freezePoll   = time.Minute
)

// step does the next thing. more is false when the release is finished or has
// to wait. The error is about the store or the log of changes; what fails in
// the release is in the release.
func (x *execution) step(ctx context.Context) (more bool, err error) {
	st := x.r.Current()
	switch {
	case x.r.State.Finished():
		return false, nil
	case st.Entered.IsZero():
		return x.enter(ctx)
	case !st.Announced:
		if err := x.tell(ctx, x.stageEvent("started")); err != nil {
			return false, err
		}
		return true, x.record(ctx, func(r *Release) { r.Current().Announced = true })
	case st.Outcome != "":
		return true, x.settle(ctx)
	}
	return x.actions(ctx)
}

// park has the release looked at again at a time, at the latest.
func (x *execution) park(due time.Time, waiting string) {
	x.mu.Lock()
	changed := x.r.State != StateWaiting || x.r.Waiting != waiting
	x.r.State, x.r.Waiting, x.r.Due = StateWaiting, waiting, due
	if st := x.r.Current(); !st.Entered.IsZero() {
		st.State = StateWaiting
	}
	snapshot := x.r.clone()
	x.mu.Unlock()
	if changed {
		x.cfg.Changed(snapshot)
	}
}

// enter takes the stage, or says what it waits for.
func (x *execution) enter(ctx context.Context) (more bool, err error) {
	now := x.cfg.Clock()
	by, ahead, err := x.rivals(ctx)
	if err != nil {
		return false, err
	}
	name := x.r.Current().Name
	if by != nil {
		return false, x.superseded(ctx, by)
	}
	if until, reason := x.inForce().frozen(name, now); !until.IsZero() {
		text := fmt.Sprintf("stage %s is frozen until %s", name, until.Format("2006-01-02 15:04 MST"))
		if reason != "" {
			text += ": " + reason
		}
		x.park(earlier(until, now.Add(freezePoll)), text)
		return false, nil
	}
	if ahead != nil {
		x.park(now.Add(takenPoll), fmt.Sprintf("stage %s: release %d is before it", name, ahead.Number))
		return false, nil
	}
	r := x.r.clone()
	st := r.Current()
	r.State, r.Waiting, r.Due = StateRunning, "", time.Time{}
	st.State, st.Entered = StateRunning, now.UTC()
	x.mu.Lock()
	free, err := x.store.Enter(ctx, r, x.lease(now))
	if err == nil && free {
		x.r = r
	}
	x.mu.Unlock()
	if err != nil {
		return false, err
	}
	if !free {
		x.park(now.Add(takenPoll), fmt.Sprintf("stage %s is taken by %s", name, x.holder(ctx)))
		return false, nil
	}
	x.cfg.Changed(r.clone())
	return true, nil
}

// inForce is the definition whose freezes count: the present one.
func (x *execution) inForce() *Pipeline {
	x.Service.mu.Lock()
	defer x.Service.mu.Unlock()
	if p := x.defined[x.r.Pipeline]; p != nil {
		return p
	}
	return &x.r.Definition
}

// rivals looks at the pipeline's other releases: by has overtaken this one,
// ahead is an older one that enters the stage first.
func (x *execution) rivals(ctx context.Context) (by, ahead *Release, err error) {
	all, err := x.store.Releases(ctx, ReleaseQuery{Pipeline: x.r.Pipeline, Limit: lookBack})
	if err != nil {
		return nil, nil, err
	}
	queue := x.r.Definition.Newer == Queue
	for i := range all {
		o := &all[i]
		waitsHere := !o.State.Finished() && o.Stage == x.r.Stage && o.Current().Entered.IsZero()
		switch {
		case o.ID == x.r.ID:
		case o.Number < x.r.Number:
			if queue && waitsHere {
				ahead = o // the list is newest first: the oldest wins
			}
		case !queue && (waitsHere || o.beenIn(x.r.Stage)):
			if by == nil {
				by = o
			}
		}
	}
	return by, ahead, nil
}

// beenIn reports whether the release is or was in the stage.
func (r *Release) beenIn(stage int) bool {
	return stage < len(r.Stages) && (!r.Stages[stage].Entered.IsZero() || len(r.Stages[stage].Earlier) > 0)
}

// holder names the release that occupies the stage.
func (x *execution) holder(ctx context.Context) string {
	all, err := x.store.Releases(ctx, ReleaseQuery{Pipeline: x.r.Pipeline, Unfinished: true})
	if err == nil {
		for i := range all {
			if all[i].ID != x.r.ID && all[i].Occupies() == x.r.Current().Name {
				return fmt.Sprintf("release %d (%s)", all[i].Number, all[i].Revision.Version)
			}
		}
	}
	return "another release"
}

func (x *execution) superseded(ctx context.Context, by *Release) error {
	return x.finish(ctx, StateSuperseded, fmt.Sprintf("release %d (%s) overtook it", by.Number, by.Revision.Version),
		func(r *Release) { r.SupersededBy = by.ID })
}

// finish ends the release: first it is told, then it is stored.
func (x *execution) finish(ctx context.Context, state State, message string, also func(*Release)) error {
	now := x.cfg.Clock().UTC()
	if err := x.tell(ctx, x.releaseEvent(state, message)); err != nil {
		return err
	}
	err := x.record(ctx, func(r *Release) {
		r.State, r.Error, r.Finished, r.Waiting, r.Due = state, message, now, "", time.Time{}
		if state == StateSucceeded {
			r.Error = ""
		}
		also(r)
	})
	x.wakeOthers(ctx)
	return err
}

// wakeOthers has the pipeline's other releases look whether it is their turn.
func (x *execution) wakeOthers(ctx context.Context) {
	others, err := x.store.Releases(ctx, ReleaseQuery{Pipeline: x.r.Pipeline, Unfinished: true})
	if err != nil {
		return // they look by themselves, later
	}
	for i := range others {
		if others[i].ID != x.r.ID {
			x.Wake(others[i].ID)
		}
	}
}

// actions does the stage's next action, or group of actions.
func (x *execution) actions(ctx context.Context) (more bool, err error) {
	def := &x.r.Definition.Stages[x.r.Stage]
	from, to := x.next(def)
	if from == len(def.Actions) {
		return true, x.record(ctx, func(r *Release) { r.Current().Outcome = StateSucceeded })
	}
	waits := make([]wait, to-from)
	errs := make([]error, to-from)
	var group sync.WaitGroup
	for i := from; i < to; i++ {
		group.Go(func() { waits[i-from], errs[i-from] = x.act(ctx, i) })
	}
	group.Wait()
	if err := errors.Join(errs...); err != nil || ctx.Err() != nil {
		return false, err
	}
	if bad, text := x.bad(def); bad != "" && !x.working(from, to) {
		return true, x.record(ctx, func(r *Release) { r.Current().Outcome, r.Current().Error = bad, text })
	}
	var due time.Time
	var texts []string
	for _, w := range waits {
		if w.due.IsZero() {
			continue
		}
		texts = append(texts, w.text)
		if due.IsZero() || w.due.Before(due) {
			due = w.due
		}
	}
	if due.IsZero() {
		return true, nil
	}
	x.park(due, strings.Join(texts, "; "))
	return false, nil
}

// next returns the range of the actions that are to be done now.
func (x *execution) next(def *Stage) (from, to int) {
	st := x.r.Current()
	for from = 0; from < len(def.Actions) && st.Actions[from].passed(def.deferred(from)); from++ {
	}
	if from == len(def.Actions) {
		return from, from
	}
	g := def.Actions[from].Group
	for to = from + 1; g > 0 && to < len(def.Actions) && def.Actions[to].Group == g; to++ {
	}
	return from, to
}

// passed reports whether what follows may begin. A verdict that an approval
// waits for only has to be asked for.
func (a *ActionRun) passed(deferred bool) bool {
	return a.State == StateSucceeded || a.State == StateSkipped || (deferred && (a.Verdict != nil || a.State == StateFailed))
}

// working reports whether an action of the group does something that must
// come to its end first. Verdicts and approvals are not waited for any more.
func (x *execution) working(from, to int) bool {
	for _, a := range x.r.Current().Actions[from:to] {
		if !a.State.Finished() && a.Kind != KindValidate && a.Kind != KindApprove {
			return true
		}
	}
	return false
}

// bad returns how the stage ends because of an action that ended badly.
func (x *execution) bad(def *Stage) (State, string) {
	for i, a := range x.r.Current().Actions {
		if (a.State == StateFailed || a.State == StateRejected) && !def.deferred(i) {
			return a.State, fmt.Sprintf("%s: %s", a.Name, a.Error)
		}
	}
	return "", ""
}

// settle ends a stage whose outcome is known: what it deployed is good or
// taken back, it is told, and the release goes on or ends.
func (x *execution) settle(ctx context.Context) error {
	st := x.r.Current()
	if st.Outcome == StateSucceeded {
		if err := x.judged(ctx, Good, ""); err != nil {
			return err
		}
		return x.leave(ctx, StateSucceeded)
	}
	if err := x.judged(ctx, Bad, st.Error); err != nil {
		return err
	}
	if !x.r.Definition.Stages[x.r.Stage].rollback(st) {
		return x.leave(ctx, st.Outcome)
	}
	outcome := st.Outcome
	all, err := x.rollback(ctx)
	if err != nil {
		return err
	}
	if all {
		outcome = StateRolledBack
	}
	return x.leave(ctx, outcome)
}

// rollback reports whether a stage that ended badly is taken back.
func (s *Stage) rollback(st *StageRun) bool {
	if s.OnFail == Rollback {
		return true
	}
	for i, a := range st.Actions {
		if (a.State == StateFailed || a.State == StateRejected) && s.Actions[i].OnFail == Rollback {
			return true
		}
	}
	return false
}

// leave ends the stage, and the release with it unless there is another.
func (x *execution) leave(ctx context.Context, state State) error {
	now := x.cfg.Clock().UTC()
	if err := x.tell(ctx, x.stageEvent(string(state))); err != nil {
		return err
	}
	end := func(r *Release) {
		st := r.Current()
		st.State, st.Finished = state, now
		for i := range st.Actions {
			a := &st.Actions[i]
			switch {
			case a.State.Finished():
			case a.Verdict != nil && state == StateSucceeded:
				a.State, a.Finished, a.Message = StateSkipped, now, "approved before the verdict was there"
			default:
				a.State, a.Finished, a.Message = StateSkipped, now, ""
			}
		}
	}
	if state == StateSucceeded && x.r.Stage+1 < len(x.r.Stages) {
		err := x.record(ctx, func(r *Release) { end(r); r.Stage++; r.State = StateQueued })
		x.wakeOthers(ctx)
		return err
	}
	text := x.r.Current().Name + ": " + x.r.Current().Error
	return x.finish(ctx, state, text, func(r *Release) {
		end(r)
		for i := r.Stage + 1; i < len(r.Stages); i++ {
			r.Stages[i].State = StateSkipped
		}
	})
}

// judged marks what the stage deployed.
func (x *execution) judged(ctx context.Context, verdict Goodness, reason string) error {
	for _, a := range x.r.Current().Actions {
		if a.Deployment == nil {
			continue
		}
		d, err := x.store.Deployment(ctx, a.Deployment.ID)
		if fault.Is(err, fault.KindNotFound) {
			continue
		}
		if err != nil {
			return err
		}
		if d.Verdict == verdict || d.State != DeploymentDone {
			continue
		}
		d.Verdict = verdict
		if verdict == Bad {
			d.Error = reason
		}
		if err := x.store.PutDeployment(ctx, d); err != nil {
			return err
		}
	}
	return nil
}

func earlier(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}
