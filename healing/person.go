package healing

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/tidegate-io/tidegate/change"
	"github.com/tidegate-io/tidegate/fault"
	"github.com/tidegate-io/tidegate/problem"
)

// Limits on what people say.
const (
	maxWho = 200
	maxWhy = 2000
)

// Status is how healing is.
type Status struct {
	Stop   Stop   `json:"stop"`
	Limits Limits `json:"limits"`
	// Remediations in force, by name, with their policies.
	Remediations []Remediation `json:"remediations"`
	// Unfinished counts actions by state, LastDay those that ended within a
	// day by outcome (of the last 1,000).
	Unfinished map[State]int   `json:"unfinished"`
	LastDay    map[Outcome]int `json:"lastDay"`
}

// Status returns how healing is.
func (e *Engine) Status(ctx context.Context) (Status, error) {
	s := Status{Limits: e.cfg.Limits, Remediations: e.Remediations(), Unfinished: map[State]int{}, LastDay: map[Outcome]int{}}
	var err error
	if s.Stop, err = e.cfg.Store.Stop(ctx); err != nil {
		return s, err
	}
	unfinished, err := e.cfg.Store.Actions(ctx, Query{Unfinished: true, Limit: 1000})
	if err != nil {
		return s, err
	}
	for i := range unfinished {
		s.Unfinished[unfinished[i].State]++
	}
	latest, err := e.cfg.Store.Actions(ctx, Query{Limit: 1000})
	since := e.cfg.Clock().Add(-24 * time.Hour)
	for i := range latest {
		if a := &latest[i]; a.State == StateEnded && a.Ended.After(since) {
			s.LastDay[a.Outcome]++
		}
	}
	return s, err
}

// Action returns one action, or a fault of KindNotFound.
func (e *Engine) Action(ctx context.Context, id string) (Action, error) {
	return e.cfg.Store.Action(ctx, id)
}

// Actions returns the newest first; an empty problem does not restrict.
func (e *Engine) Actions(ctx context.Context, problem string, limit int) ([]Action, error) {
	id, err := e.problemID(ctx, problem)
	if err != nil {
		return nil, err
	}
	return e.cfg.Store.Actions(ctx, Query{Problem: id, Limit: limit})
}

// Audit returns the newest first; empty ids do not restrict.
func (e *Engine) Audit(ctx context.Context, action, problem string, limit int) ([]Entry, error) {
	id, err := e.problemID(ctx, problem)
	if err != nil {
		return nil, err
	}
	return e.cfg.Store.Audit(ctx, action, id, limit)
}

// problemID is the id of a problem that may be called by its name, P-17. What
// was done about one that is not there any more is known by its id.
func (e *Engine) problemID(ctx context.Context, name string) (string, error) {
	if name == "" {
		return "", nil
	}
	p, err := e.cfg.Problems.Problem(ctx, name)
	if fault.Is(err, fault.KindNotFound) {
		return name, nil
	}
	return p.ID, err
}

// StopAll stops all healing, also what waits for approval, until StartAll. What
// was begun already is finished: only its verification is left. It holds for
// every process on the store, and after a restart.
func (e *Engine) StopAll(ctx context.Context, who, reason string) (Stop, error) {
	return e.setStop(ctx, true, "stopped", who, reason)
}

// StartAll lets healing act again. What was refused meanwhile is not made up
// for.
func (e *Engine) StartAll(ctx context.Context, who, reason string) (Stop, error) {
	return e.setStop(ctx, false, "started", who, reason)
}

func (e *Engine) setStop(ctx context.Context, stopped bool, what, who, reason string) (Stop, error) {
	if err := checkPerson(who, reason); err != nil {
		return Stop{}, err
	}
	s := Stop{Stopped: stopped, Who: who, Reason: reason, Since: e.cfg.Clock()}
	return s, e.cfg.Store.SetStop(ctx, s, Entry{Time: s.Since, Who: who, What: what, Text: fmt.Sprintf("healing %s: %s", what, reason)})
}

func checkPerson(who, reason string) error {
	if who == "" || len(who) > maxWho || who == byPolicy {
		return fault.InvalidField("who", "expected the name of a person, up to %d characters", maxWho)
	}
	if reason == "" || len(reason) > maxWhy {
		return fault.InvalidField("reason", "expected a reason of up to %d characters", maxWhy)
	}
	return nil
}

// Approve lets an action happen that waits for it. The safety rules are asked
// again. A fault of KindConflict when it does not wait (any more).
func (e *Engine) Approve(ctx context.Context, id, who, reason string) (Action, error) {
	return e.answer(ctx, id, who, reason, func(a Action, now time.Time) (Action, Entry) {
		a.State, a.ApprovedBy, a.Due, a.Reason = StatePending, who, now, ""
		return a, a.entry(now, who, "approved", fmt.Sprintf("%s: approved by %s: %s", a.Title, who, reason))
	})
}

// Reject ends an action that waits for approval, and with it the remediation of
// its problem: a person looks after it. Faults as of Approve.
func (e *Engine) Reject(ctx context.Context, id, who, reason string) (Action, error) {
	return e.answer(ctx, id, who, reason, func(a Action, now time.Time) (Action, Entry) {
		a = ended(a, OutcomeRejected, fmt.Sprintf("rejected by %s: %s", who, reason), now)
		return a, a.entry(now, who, string(a.Outcome), a.Title+": "+a.Reason)
	})
}

func (e *Engine) answer(ctx context.Context, id, who, reason string, decide func(Action, time.Time) (Action, Entry)) (Action, error) {
	if err := checkPerson(who, reason); err != nil {
		return Action{}, err
	}
	a, err := e.cfg.Store.Action(ctx, id)
	if err != nil {
		return a, err
	}
	// An owner of its own, so that not even this process's engine has it too.
	l := Lease{Owner: uuid.NewString(), Until: e.cfg.Clock().Add(e.cfg.Lease)}
	a, ok, err := e.cfg.Store.Claim(ctx, id, l, e.cfg.Clock())
	if err != nil {
		return a, err
	}
	if !ok {
		return a, fault.Conflict("action %s is over, or being worked on: look again", id)
	}
	now := e.cfg.Clock()
	if a.State != StateWaiting || !now.Before(a.Due) {
		state := string(a.State)
		if err := e.cfg.Store.Save(ctx, a, Lease{Owner: l.Owner}); err != nil {
			return a, err
		}
		return a, fault.Conflict("action %s does not wait for approval: it is %s", id, state)
	}
	a, entry := decide(a, now)
	if err := e.cfg.Store.Save(ctx, a, Lease{Owner: l.Owner}, entry); err != nil {
		return a, err
	}
	e.cfg.Changed(a)
	e.say(ctx, entry)
	e.signal()
	return a, nil
}

// Option is something a person can have done about a problem.
type Option struct {
	// Action is its name: undo, rollback, or REMEDIATION/ATTEMPT.
	Action string `json:"action"`
	Kind   Kind   `json:"kind"`
	Title  string `json:"title"`
	// Suggested: it is what the analysis suggests.
	Suggested bool `json:"suggested,omitempty"`
	// Objections of the safety rules: a person can override those that are not
	// final.
	Objections []Objection `json:"objections,omitempty"`
}

// Options lists what can be done about a problem, with what the safety rules
// have against it.
func (e *Engine) Options(ctx context.Context, problemID string) ([]Option, error) {
	p, err := e.cfg.Problems.Problem(ctx, problemID)
	if err != nil {
		return nil, err
	}
	out := []Option{}
	for _, name := range e.optionNames(&p) {
		a, f, err := e.byHand(ctx, &p, name, byPolicy)
		if err != nil {
			return nil, err
		}
		out = append(out, Option{Action: name, Kind: a.Kind, Title: a.Title, Suggested: suggested(&p, a.Kind), Objections: Object(f)})
	}
	return out, nil
}

func (e *Engine) optionNames(p *problem.Problem) []string {
	var names []string
	if p.Cause != nil && p.Cause.Change != nil {
		if p.Cause.Change.Event.Undo != nil {
			names = append(names, string(KindUndo))
		}
		if p.Cause.Change.Event.Kind == change.KindDeployment {
			names = append(names, string(KindRollback))
		}
	}
	for _, c := range e.definitions() {
		if !c.For.matchesPlace(p) {
			continue
		}
		for _, a := range c.Attempts {
			names = append(names, c.Name+"/"+a.Name)
		}
	}
	return names
}

func suggested(p *problem.Problem, k Kind) bool {
	if p.Cause == nil {
		return false
	}
	switch p.Cause.Remedy {
	case problem.RemedyRollback:
		return k == KindRollback || k == KindSwitch
	case problem.RemedyFlagOff, problem.RemedyConfigRevert:
		return k == KindUndo
	case problem.RemedyScale:
		return k == KindScale
	}
	return false
}

// ByHand is what a person asks for.
type ByHand struct {
	// Action as Options name it; flag-off and config-revert mean undo.
	Action string
	Who    string
	Reason string
	// Override the objections that are not final.
	Override bool
}

// Remediate starts an action by hand. When safety rules object it is a fault of
// KindConflict that says why; with Override only of what is final. The person
// who asks is the one who approves.
func (e *Engine) Remediate(ctx context.Context, problemID string, h ByHand) (Action, error) {
	if err := checkPerson(h.Who, h.Reason); err != nil {
		return Action{}, err
	}
	p, err := e.cfg.Problems.Problem(ctx, problemID)
	if err != nil {
		return Action{}, err
	}
	a, f, err := e.byHand(ctx, &p, h.Action, h.Who)
	if err != nil {
		return Action{}, err
	}
	a.Why, a.ApprovedBy = h.Reason, h.Who
	if h.Override {
		a.Override = h.Reason
	}
	if left := standing(Object(f), a.Override); len(left) > 0 {
		return Action{}, objected(left)
	}
	created, err := e.cfg.Store.Create(ctx, a, a.entry(a.Created, h.Who, "decided", fmt.Sprintf("%s asks to %s: %s", h.Who, a.Title, h.Reason)))
	if err != nil {
		return Action{}, err
	}
	if !created {
		return e.cfg.Store.Action(ctx, a.ID) // asked for twice at once
	}
	e.cfg.Changed(a)
	e.signal()
	return a, nil
}

func objected(objections []Objection) error {
	for _, o := range objections {
		if o.Final {
			return fault.Denied("%s", o.Reason)
		}
	}
	return fault.Conflict("%s (override is possible)", reasons(objections))
}

// byHand makes the action, and the facts to judge it by. Its id counts the
// actions by hand on this opening of the problem, so that one click is one
// action.
func (e *Engine) byHand(ctx context.Context, p *problem.Problem, name, who string) (Action, *Facts, error) {
	attempt, policy, page, err := e.optionOf(p, name)
	if err != nil {
		return Action{}, nil, err
	}
	prior, err := e.cfg.Store.Actions(ctx, Query{Problem: p.ID, Limit: maxPrior})
	if err != nil {
		return Action{}, nil, err
	}
	prior = ofOpening(prior, p)
	n := 0
	for i := range prior {
		if prior[i].State != StateEnded && who != byPolicy {
			return Action{}, nil, fault.Conflict("another action on this problem is %s: %s", prior[i].State, prior[i].Title)
		}
		if prior[i].By != byPolicy {
			n++
		}
	}
	a := newAction(actionID(p.ID, strconv.Itoa(p.Reopened), "by hand", name, strconv.Itoa(n)), p, attempt, policy, who)
	a.Created, a.Due, a.Page = e.cfg.Clock(), e.cfg.Clock(), page
	f, err := e.facts(ctx, a)
	if err != nil {
		return Action{}, nil, err
	}
	return f.Action, f, nil
}

// optionOf finds the attempt that a name stands for, with the policy of the
// remediation that is for this problem.
func (e *Engine) optionOf(p *problem.Problem, name string) (Attempt, Policy, *PageTo, error) {
	own := Remediation{Attempts: []Attempt{{}}}
	switch name {
	case string(KindUndo), string(problem.RemedyFlagOff), string(problem.RemedyConfigRevert):
		own.Attempts[0].Do.Undo = &Undo{}
	case string(KindRollback):
		own.Attempts[0].Do.Rollback = &Rollback{To: LastGood}
	default:
		remediation, attempt, _ := strings.Cut(name, "/")
		for _, c := range e.definitions() {
			i := slices.IndexFunc(c.Attempts, func(a Attempt) bool { return a.Name == attempt })
			if c.Name == remediation && i >= 0 {
				return c.Attempts[i], c.Policy, c.Otherwise.Page, nil
			}
		}
		return Attempt{}, Policy{}, nil, fault.InvalidField("action", "unknown action %q: expected undo, rollback, or REMEDIATION/ATTEMPT", name)
	}
	if p.Cause == nil || p.Cause.Change == nil {
		return Attempt{}, Policy{}, nil, fault.Conflict("no change is blamed for P-%d: there is nothing to take back", p.Number)
	}
	own = own.WithDefaults()
	kind := own.Attempts[0].Do.Kind()
	for _, c := range e.definitions() { // the way it is done and verified by itself
		if !c.For.matchesPlace(p) {
			continue
		}
		for _, a := range c.Attempts {
			if a.Do.Kind() == kind {
				return a, c.Policy, c.Otherwise.Page, nil
			}
		}
	}
	return own.Attempts[0], own.Policy, nil, nil
}
