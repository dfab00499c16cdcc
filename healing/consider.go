package healing

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/tidegate-io/tidegate/change"
	"github.com/tidegate-io/tidegate/condition"
	"github.com/tidegate-io/tidegate/entity"
	"github.com/tidegate-io/tidegate/problem"
)

// byPolicy is who acts when no person does.
const byPolicy = "policy"

// Consider decides what to do about a problem now, if anything. It is to be
// called whenever a problem changed and may be called at any time: it looks at
// what is stored, and what it decided before has the same id.
func (e *Engine) Consider(ctx context.Context, p problem.Problem) error {
	if p.State != problem.StateOpen {
		return nil
	}
	prior, err := e.cfg.Store.Actions(ctx, Query{Problem: p.ID, Limit: maxPrior})
	if err != nil {
		return fmt.Errorf("problem %s: %w", p.ID, err)
	}
	a, ok, err := e.decide(ctx, &p, prior)
	if err != nil || !ok {
		return err
	}
	created, err := e.cfg.Store.Create(ctx, a, a.entry(a.Created, byPolicy, "decided", "decided: "+a.Title+becauseOf(&p)))
	if err != nil {
		return fmt.Errorf("problem %s: %w", p.ID, err)
	}
	if created {
		e.cfg.Changed(a)
		e.signal()
	}
	return nil
}

// maxPrior bounds the actions of one problem that are looked at.
const maxPrior = 500

func becauseOf(p *problem.Problem) string {
	if p.Cause == nil || p.Cause.Sentence == "" {
		return ""
	}
	return ", because " + p.Cause.Sentence
}

// decide returns the next action on the problem; false when there is none, or
// none yet.
func (e *Engine) decide(ctx context.Context, p *problem.Problem, prior []Action) (Action, bool, error) {
	prior = ofOpening(prior, p)
	for i := range prior {
		if prior[i].State != StateEnded {
			return Action{}, false, nil // it is being helped
		}
	}
	fields := sync.OnceValues(func() (map[string]condition.Record, error) { return view(p) }) // most looks ask no condition
	c := e.remediation(ctx, p, fields)
	if c == nil {
		return Action{}, false, nil
	}
	now := e.cfg.Clock()
	over, page := outlook(prior, c.Policy, now)
	if over {
		return Action{}, false, nil
	}
	young := now.Before(patienceEnds(p, c.Policy))
	switch {
	case page:
	case young && !known(p, c.Policy):
		return Action{}, false, nil // the analysis may find out more
	default:
		for i := range c.Attempts {
			if a, ok := e.attempt(ctx, c, i, p, fields, prior); ok {
				a.Created, a.Due = now, now
				return a, true, nil
			}
		}
		if young && len(prior) == untried(prior) {
			return Action{}, false, nil // nobody is woken for what may heal by itself
		}
	}
	a, ok := c.page(p, prior)
	a.Created, a.Due = now, now
	return a, ok, nil
}

// outlook is what the actions that ended leave to be done: nothing, for now or
// because a person looks after it; or nothing but to page.
func outlook(prior []Action, policy Policy, now time.Time) (over, page bool) {
	for i := range prior {
		a := &prior[i]
		if a.Outcome == OutcomeHealed && now.Sub(a.Ended) < policy.CoolDown {
			return true, false // it was helped: give it time
		}
		ends, pages := a.ends()
		if ends && !pages {
			return true, false
		}
		page = page || ends
	}
	return false, page
}

// ofOpening leaves out what was done when the problem was open before.
func ofOpening(actions []Action, p *problem.Problem) []Action {
	var out []Action
	for _, a := range actions {
		if a.Reopened == p.Reopened {
			out = append(out, a)
		}
	}
	return out
}

// untried counts the actions that ended before anything was done.
func untried(actions []Action) (n int) {
	for i := range actions {
		if actions[i].Acted.IsZero() {
			n++
		}
	}
	return n
}

// patienceEnds is when the analysis has had the time that a policy gives it.
func patienceEnds(p *problem.Problem, policy Policy) time.Time {
	return openSince(p).Add(policy.Patience)
}

// known reports whether the cause is known well enough to act on it.
func known(p *problem.Problem, policy Policy) bool {
	return p.Cause != nil && p.Cause.Kind != problem.CauseUnknown && p.Cause.Confidence >= policy.MinConfidence
}

// openSince is when the problem was opened last.
func openSince(p *problem.Problem) time.Time {
	if p.Resumed.After(p.Opened) {
		return p.Resumed
	}
	return p.Opened
}

// remediation is the first, by name, that is for the problem; nil when none is.
func (e *Engine) remediation(ctx context.Context, p *problem.Problem, fields viewer) *compiled {
	for _, c := range e.definitions() {
		yes, err := c.matches(ctx, p, fields)
		if err != nil {
			e.cfg.Logger.WarnContext(ctx, "the condition of a remediation cannot be asked", "remediation", c.Name, "problem", p.ID, "error", err)
			continue
		}
		if yes {
			return c
		}
	}
	return nil
}

// attempt is the i-th attempt as an action, when its condition holds, there is
// a cause and it was not decided before.
func (e *Engine) attempt(ctx context.Context, c *compiled, i int, p *problem.Problem, fields viewer, prior []Action) (Action, bool) {
	if p.Cause == nil {
		return Action{}, false
	}
	id := decidedID(p, c.Name, subjectOf(p.Cause), i)
	for j := range prior {
		if prior[j].ID == id {
			return Action{}, false
		}
	}
	yes, err := holds(ctx, c.when[i], fields)
	if err != nil {
		e.cfg.Logger.WarnContext(ctx, "the condition of an attempt cannot be asked", "remediation", c.Name, "attempt", c.Attempts[i].Name, "problem", p.ID, "error", err)
	}
	if err != nil || !yes {
		return Action{}, false
	}
	a := newAction(id, p, c.Attempts[i], c.Policy, byPolicy)
	a.Remediation, a.Page = c.Name, c.Otherwise.Page
	return a, true
}

// newAction is an attempt at a problem.
func newAction(id string, p *problem.Problem, attempt Attempt, policy Policy, by string) Action {
	a := Action{
		ID: id, Problem: p.ID, Number: p.Number, Reopened: p.Reopened, Subject: subjectOf(p.Cause), Ref: origin(p),
		Kind: attempt.Do.Kind(), Attempt: attempt, Policy: policy, State: StatePending, By: by,
	}
	if p.Cause != nil && p.Cause.Change != nil {
		e := p.Cause.Change.Event
		a.Change = &e
		a.Ref = placeOf(&e, p.Cause.Change.On, a.Ref)
		a.Revision = revisionOf(&attempt.Do, &e)
	}
	a.Title = titleOf(&a)
	return a
}

// origin is the service where the problem begins, as far as anybody knows.
func origin(p *problem.Problem) entity.Ref {
	var at entity.Ref
	if len(p.Events) > 0 {
		at = p.Events[0].Ref
	}
	if p.Cause != nil && p.Cause.Service != "" {
		at = p.Cause.Ref
	}
	return entity.Ref{Service: at.Service, Environment: at.Environment}
}

// placeOf is the service that taking a change back acts on.
func placeOf(e *change.Event, on, cause entity.Ref) entity.Ref {
	out := entity.Ref{Service: e.Service, Environment: e.Environment}
	for _, r := range []entity.Ref{on, cause} {
		if out.Service == "" {
			out.Service = r.Service
		}
		if out.Environment == "" {
			out.Environment = r.Environment
		}
	}
	return out
}

// revisionOf is what is gone back to, as far as the change itself says.
func revisionOf(d *Do, e *change.Event) string {
	switch {
	case d.Undo != nil && e.Undo != nil && e.Undo.Variant != "":
		return e.Undo.Variant
	case d.Undo != nil, d.Switch != nil:
		return e.From
	case d.Rollback != nil && d.Rollback.To != LastGood:
		return d.Rollback.To
	}
	return ""
}

// page is the end of a remediation: once per opening of a problem. Where nothing
// was tried a person is told only when the remediation says whom, and not about
// a problem that is frequent.
func (c *compiled) page(p *problem.Problem, prior []Action) (Action, bool) {
	id := pageID(p, c.Name)
	for i := range prior {
		if prior[i].ID == id {
			return Action{}, false
		}
	}
	if len(prior) == 0 && (p.Frequent || c.Otherwise.Page == nil) {
		return Action{}, false
	}
	a := Action{
		ID: id, Problem: p.ID, Number: p.Number, Reopened: p.Reopened, Remediation: c.Name, Subject: "page",
		Kind: KindPage, Page: c.Otherwise.Page, Policy: c.Policy, State: StatePending, By: byPolicy, Ref: origin(p),
	}
	a.Title = titleOf(&a)
	return a, true
}

// entry is a line of the audit about the action.
func (a *Action) entry(at time.Time, who, what, text string) Entry {
	return Entry{Time: at, Action: a.ID, Problem: a.Problem, Who: who, What: what, Text: text}
}
