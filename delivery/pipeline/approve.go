package pipeline

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/tidegate-io/tidegate/fault"
)

// byValidation decides approvals that verdicts decide, byTimeout those that
// nobody decided.
const (
	byValidation = "validation"
	byTimeout    = "timeout"
)

// approve looks whether there is a decision, and makes it when the verdicts
// do, or when nobody did in time.
func (x *execution) approve(ctx context.Context, i int, def *Action, run *ActionRun, limit time.Duration) (outcome, error) {
	st := x.r.Current()
	d, ok, err := x.store.Decision(ctx, x.r.ID, st.Name, def.Name, st.Attempt)
	if err != nil {
		return outcome{}, err
	}
	if ok {
		return decided(d), nil
	}
	stage := &x.r.Definition.Stages[x.r.Stage]
	verdict, due, note, err := x.byVerdicts(ctx, stage, i)
	if err != nil {
		return outcome{}, err
	}
	now := x.cfg.Clock()
	end := run.Started.Add(limit)
	if verdict == nil && !now.Before(end) {
		verdict = &Approval{By: byTimeout, Reason: fmt.Sprintf("nobody decided within %s", limit)}
	}
	if verdict != nil {
		verdict.At = now.UTC()
		d, _, err := x.store.Decide(ctx, Decision{Release: x.r.ID, Stage: st.Name, Action: def.Name, Attempt: st.Attempt, Approval: *verdict})
		if err != nil {
			return outcome{}, err
		}
		return decided(d), nil
	}
	if poll := now.Add(decisionPoll); due.IsZero() || poll.Before(due) {
		due = poll
	}
	return outcome{state: StateWaiting, due: earlier(due, end), text: def.Name + " waits for " + note}, nil
}

func decided(d Decision) outcome {
	out := outcome{state: StateRejected, set: func(a *ActionRun) { a.Approval = &d.Approval }}
	word := "rejected"
	if d.Approved {
		out.state, word = StateSucceeded, "approved"
	}
	out.text = word + " by " + d.By
	if d.Reason != "" {
		out.text += ": " + d.Reason
	}
	return out
}

// byVerdicts asks the validations that may decide: approved when all are ok,
// rejected when one is violated, or when none of them says anything and no
// person may decide. Else it says who is waited for, and when to look again.
func (x *execution) byVerdicts(ctx context.Context, stage *Stage, i int) (*Approval, time.Time, string, error) {
	var due time.Time
	var open, unclear, good []string
	judges := stage.decidedBy(i)
	for _, j := range judges {
		v, err := x.refresh(ctx, stage, j)
		if err != nil {
			return nil, due, "", err
		}
		text := stage.Actions[j].Name + ": " + v.text()
		switch {
		case !v.Status.Final():
			open = append(open, text)
			if at := x.verdictDue(v); due.IsZero() || at.Before(due) {
				due = at
			}
		case v.Status == StatusViolation:
			return &Approval{By: byValidation, Reason: text}, due, "", nil
		case v.Status == StatusOK:
			good = append(good, text)
		default:
			unclear = append(unclear, text)
		}
	}
	people := stage.Actions[i].Approve.people()
	switch {
	case len(judges) > 0 && len(good) == len(judges):
		return &Approval{Approved: true, By: byValidation, Reason: strings.Join(good, "; ")}, due, "", nil
	case len(open) == 0 && len(unclear) > 0 && len(people) == 0:
		return &Approval{By: byValidation, Reason: strings.Join(unclear, "; ")}, due, "", nil
	}
	waits := append(open, unclear...)
	if len(people) > 0 {
		waits = append(waits, "a decision by "+strings.Join(people, ", "))
	}
	return nil, due, strings.Join(waits, "; "), nil
}

// refresh returns the verdict of validate action j as it is now, and stores
// it when it changed.
func (x *execution) refresh(ctx context.Context, stage *Stage, j int) (Verdict, error) {
	run := x.action(j)
	if run.Verdict != nil && run.Verdict.Status.Final() {
		return *run.Verdict, nil
	}
	if run.Verdict == nil { // it failed before it could be asked for
		return Verdict{Name: run.Name, Status: StatusError, Headline: firstOf(run.Error, "was not asked for")}, nil
	}
	v, err := x.verdict(ctx, &stage.Actions[j], &run)
	if err != nil {
		return Verdict{}, err
	}
	if v.Status == run.Verdict.Status {
		return v, nil
	}
	return v, x.record(ctx, func(r *Release) {
		a := &r.Current().Actions[j]
		a.Verdict, a.Message = &v, v.text()
		if v.Status.Final() {
			out := verdictOutcome(v)
			a.State, a.Finished = out.state, x.cfg.Clock().UTC()
			if a.State == StateFailed {
				a.Error = out.text
			}
		}
	})
}

// people are those in By that are no validations.
func (a *Approve) people() []string {
	return slices.DeleteFunc(slices.Clone(a.By), func(who string) bool { return strings.HasPrefix(who, byValidation) })
}

// may reports whether a person may decide.
func (p *Pipeline) may(a *Approve, who string) bool {
	for _, by := range a.By {
		kind, name, _ := strings.Cut(by, ":")
		switch {
		case kind == "anyone", kind == "user" && name == who,
			kind == "group" && slices.Contains(p.Groups[name], who):
			return true
		}
	}
	return false
}

// PersonsDecision is what a person says to a stage that waits for an approval.
type PersonsDecision struct {
	Release string
	Stage   string
	// Action is the approval; the one that waits when empty.
	Action  string
	Approve bool
	Who     string
	Reason  string
}

// Decide approves or rejects. Faults: KindNotFound for an unknown release or
// stage, KindConflict when the stage does not wait for an approval or somebody
// was first, KindDenied when it is not this person's to decide.
func (s *Service) Decide(ctx context.Context, d PersonsDecision) (Release, error) {
	if err := whoWhy(d.Who, d.Reason); err != nil {
		return Release{}, err
	}
	if d.Who == byValidation || d.Who == byTimeout {
		return Release{}, fault.InvalidField("who", "%q is not a person", d.Who)
	}
	r, err := s.store.Release(ctx, d.Release)
	if err != nil {
		return Release{}, err
	}
	name, err := r.waitingApproval(d.Stage, d.Action)
	if err != nil {
		return Release{}, err
	}
	st, stage := r.Current(), &r.Definition.Stages[r.Stage]
	i := slices.IndexFunc(stage.Actions, func(a Action) bool { return a.Name == name })
	if !r.Definition.may(stage.Actions[i].Approve, d.Who) {
		return Release{}, fault.Denied("%s may not decide on %s of stage %s: that is for %s",
			d.Who, name, st.Name, strings.Join(stage.Actions[i].Approve.By, ", "))
	}
	stands, won, err := s.store.Decide(ctx, Decision{Release: r.ID, Stage: st.Name, Action: name, Attempt: st.Attempt,
		Approval: Approval{Approved: d.Approve, By: d.Who, Reason: d.Reason, At: s.cfg.Clock().UTC()}})
	if err != nil {
		return Release{}, err
	}
	if !won {
		return Release{}, fault.Conflict("stage %s of release %d of %s was %s already, at %s",
			st.Name, r.Number, r.Pipeline, decided(stands).text, stands.At.Format(time.RFC3339))
	}
	s.Wake(r.ID)
	return r, nil
}

// waitingApproval returns the name of the approval that a stage waits for, or
// says why it does not.
func (r *Release) waitingApproval(stage, action string) (string, error) {
	i := r.Definition.stage(stage)
	if i < 0 {
		return "", fault.NotFound("release %d of %s has no stage %q", r.Number, r.Pipeline, stage)
	}
	if i == r.Stage && !r.State.Finished() {
		for _, a := range r.Current().Actions {
			if a.Kind == KindApprove && a.State == StateWaiting && (action == "" || a.Name == action) {
				return a.Name, nil
			}
		}
	}
	st := r.Stages[i]
	for _, a := range st.Actions {
		if a.Approval != nil && (action == "" || a.Name == action) {
			return "", fault.Conflict("stage %s of release %d of %s is not waiting for an approval: it was %s",
				stage, r.Number, r.Pipeline, decided(Decision{Approval: *a.Approval}).text)
		}
	}
	how := string(st.State)
	if i == r.Stage && r.Waiting != "" {
		how += " (" + r.Waiting + ")"
	}
	return "", fault.Conflict("stage %s of release %d of %s is not waiting for an approval: it is %s", stage, r.Number, r.Pipeline, how)
}
