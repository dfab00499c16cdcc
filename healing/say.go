package healing

import (
	"github.com/tidegate-io/tidegate/fault"
	"github.com/tidegate-io/tidegate/problem"
)

// Who says what healing did, on problems.
const commenter = "tidegate"

// said is a line of the audit as a comment on the problem. The link names the
// action, so that a comment is known again.
func said(e *Entry) problem.Comment {
	kind := "action"
	if e.What == "verified" || e.What == string(OutcomeHealed) {
		kind = "verified"
	}
	who := commenter
	if e.Who != byPolicy {
		who = e.Who
	}
	return problem.Comment{Time: e.Time, Who: who, Text: e.Text, Kind: kind, Link: "/v1/healing/actions/" + e.Action}
}

// say puts a line on the problem and hands it to the system that the problem
// came from. A comment that cannot be made does not hold up the healing.
func (x *execution) say(e Entry) {
	c := said(&e)
	if err := x.cfg.Problems.Comment(x.ctx, e.Problem, c); err != nil && x.ctx.Err() == nil && !fault.Is(err, fault.KindNotFound) {
		x.cfg.Logger.WarnContext(x.ctx, "cannot comment on a problem", "problem", e.Problem, "error", err)
	}
	x.report(e)
}

func (x *execution) report(e Entry) {
	if x.cfg.Reporter == nil {
		return
	}
	p, err := x.cfg.Problems.Problem(x.ctx, e.Problem)
	if err != nil {
		return // said already that the problem cannot be read
	}
	seen := map[problem.External]bool{}
	for i := range p.Events {
		to := p.Events[i].External
		if to == nil || seen[*to] {
			continue
		}
		seen[*to] = true
		if err := x.cfg.Reporter.Report(x.ctx, actionID(e.Action, e.What, e.Text, to.System, to.ID), *to, e.Text); err != nil && x.ctx.Err() == nil {
			x.cfg.Logger.WarnContext(x.ctx, "cannot comment where a problem came from", "problem", e.Problem, "system", to.System, "error", err)
		}
	}
}

// catchUp says what was stored and not said: that an action was decided, and
// the last line before a crash.
func (x *execution) catchUp() error {
	entries, err := x.cfg.Store.Audit(x.ctx, x.a.ID, "", maxPrior)
	if err != nil {
		return err
	}
	p, err := x.cfg.Problems.Problem(x.ctx, x.a.Problem)
	if fault.Is(err, fault.KindNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	there := map[problem.Comment]bool{}
	for _, c := range p.Comments {
		there[problem.Comment{Text: c.Text, Kind: c.Kind, Link: c.Link}] = true
	}
	for i := len(entries) - 1; i >= 0; i-- {
		c := said(&entries[i])
		if !there[problem.Comment{Text: c.Text, Kind: c.Kind, Link: c.Link}] {
			x.say(entries[i])
		}
	}
	return nil
}
