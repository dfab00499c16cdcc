package healing

import (
	"context"
	"time"

	"github.com/tidegate-io/tidegate/fault"
	"github.com/tidegate-io/tidegate/problem"
)

const (
	// commenter says what healing did, on problems.
	commenter = "tidegate"
	// maxComment bounds a comment, in characters; the audit has all of it.
	maxComment = 900
	// sayWithin is how long a line that was not said may be made up for.
	sayWithin = 15 * time.Minute
)

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
	return problem.Comment{Time: e.Time, Who: who, Text: clip(e.Text, maxComment), Kind: kind, Link: "/v1/healing/actions/" + e.Action}
}

// say puts a line on the problem and hands it to the systems that the problem
// came from. A comment that cannot be made does not hold up the healing; it is
// made later, see catchUp.
func (e *Engine) say(ctx context.Context, entry Entry) {
	if err := e.cfg.Problems.Comment(ctx, entry.Problem, said(&entry)); err != nil && ctx.Err() == nil && !fault.Is(err, fault.KindNotFound) {
		e.cfg.Logger.WarnContext(ctx, "cannot comment on a problem", "problem", entry.Problem, "error", err)
	}
	if e.cfg.Reporter == nil {
		return
	}
	p, err := e.cfg.Problems.Problem(ctx, entry.Problem)
	if err != nil {
		return // as the comment before
	}
	seen := map[problem.External]bool{}
	for i := range p.Events {
		to := p.Events[i].External
		if to == nil || seen[*to] {
			continue
		}
		seen[*to] = true
		if err := e.cfg.Reporter.Report(ctx, actionID(entry.Action, entry.What, entry.Text, to.System, to.ID), *to, entry.Text); err != nil && ctx.Err() == nil {
			e.cfg.Logger.WarnContext(ctx, "cannot comment where a problem came from", "problem", entry.Problem, "system", to.System, "error", err)
		}
	}
}

// catchUp says what is in the audit and not on the problem: a process may have
// ended between the two.
func (e *Engine) catchUp(ctx context.Context, id string, entries []Entry) error {
	if len(entries) == 0 {
		return nil
	}
	p, err := e.cfg.Problems.Problem(ctx, id)
	if fault.Is(err, fault.KindNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	type comment struct{ text, link string }
	there := map[comment]bool{}
	for _, c := range p.Comments {
		there[comment{c.Text, c.Link}] = true
	}
	for i := len(entries) - 1; i >= 0; i-- { // oldest first
		if c := said(&entries[i]); !there[comment{c.Text, c.Link}] {
			e.say(ctx, entries[i])
		}
	}
	return nil
}

// sayMissing catches up with lines that nobody is about to say any more.
func (e *Engine) sayMissing(ctx context.Context, id string) error {
	entries, err := e.cfg.Store.Audit(ctx, "", id, maxPrior)
	if err != nil {
		return err
	}
	var old []Entry
	now := e.cfg.Clock()
	for _, entry := range entries {
		if age := now.Sub(entry.Time); age > e.cfg.Lease && age < sayWithin {
			old = append(old, entry)
		}
	}
	return e.catchUp(ctx, id, old)
}
