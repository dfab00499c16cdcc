package healing

import (
	"context"
	"fmt"
	"time"

	"github.com/tidegate-io/tidegate/change"
	"github.com/tidegate-io/tidegate/fault"
	"github.com/tidegate-io/tidegate/problem"
)

// Types of the events that record what healing did.
const (
	TypeActed = "healing.acted"
	TypePaged = "healing.paged"
)

// act does what was intended.
func (x *execution) act() error {
	if x.resumed {
		why, err := x.mayRepeat()
		if err != nil {
			return err
		}
		if why != "" {
			return x.unknown(why)
		}
		if x.problem, err = x.cfg.Problems.Problem(x.ctx, x.a.Problem); err != nil && !fault.Is(err, fault.KindNotFound) {
			return err
		}
	}
	answer, err := x.attempt(x.request(&x.problem))
	if x.ctx.Err() != nil {
		return x.ctx.Err() // whether it took place is not known: see unknown
	}
	if err != nil {
		return x.finish(OutcomeFailed, x.a.ApprovedBy, err.Error())
	}
	if answer.Event == "" {
		if answer.Event, err = x.record(answer.Message); err != nil {
			return err
		}
	}
	return x.done(answer)
}

// mayRepeat: the attempt was made before, perhaps by a process that ended. It
// says why it must not be made again.
func (x *execution) mayRepeat() (why string, err error) {
	if !x.a.Attempt.Do.repeatable() {
		return "it cannot be asked for twice", nil
	}
	stop, err := x.cfg.Store.Stop(x.ctx)
	if err != nil || !stop.Stopped {
		return "", err
	}
	return "healing was stopped meanwhile", nil
}

// unknown leaves it to verification whether something happened.
func (x *execution) unknown(why string) error {
	a := x.a
	a.State, a.Unknown, a.Done = StateVerifying, true, x.cfg.Clock()
	return x.save(a, a.entry(a.Done, byPolicy, "unknown",
		a.Title+": the process ended while this was being done and "+why+"; whether it helped is verified all the same"))
}

// attempt asks the actor, again while it is unavailable.
func (x *execution) attempt(r Request) (Answer, error) {
	kind := r.Kind
	if r.Command != nil {
		kind = KindCommand
	} else if r.Webhook != nil {
		kind = KindWebhook
	}
	actor := x.cfg.Actors[kind]
	if actor == nil {
		return Answer{}, fault.Invalid("this server cannot %s: nothing is configured for it", kind)
	}
	pause := x.cfg.Backoff
	for try := 1; ; try++ {
		answer, err := do(x.ctx, actor, r)
		if err == nil || try == maxTries || !fault.Is(err, fault.KindUnavailable) {
			return answer, err
		}
		if why, unread := x.mayRepeat(); why != "" || unread != nil {
			return answer, err
		}
		x.cfg.Logger.WarnContext(x.ctx, "healing action is tried again", "action", x.a.ID, "in", pause, "error", err)
		if err := x.sleep(pause); err != nil {
			return Answer{}, err
		}
		pause, r.Repeated = min(2*pause, maxBackoff), true
	}
}

func do(ctx context.Context, actor Actor, r Request) (Answer, error) {
	ctx, cancel := context.WithTimeout(ctx, actionTimeout)
	defer cancel()
	answer, err := actor.Do(ctx, r)
	if err != nil && context.Cause(ctx) == context.DeadlineExceeded {
		return answer, fault.Unavailable("took longer than %s: %w", actionTimeout, err)
	}
	return answer, err
}

func (x *execution) sleep(d time.Duration) error {
	select {
	case <-x.ctx.Done():
		return x.ctx.Err()
	case <-time.After(d):
		return nil
	}
}

// request is what the actor is asked.
func (x *execution) request(p *problem.Problem) Request {
	a := &x.a
	r := Request{
		Key: a.ID, Kind: a.Kind, Repeated: x.resumed, Ref: a.Ref, Change: a.Change, Revision: a.Revision,
		Problem: a.Problem, Number: a.Number, Title: p.Title, Cause: p.Cause, Who: a.who(), Reason: a.reason(p),
	}
	r.Command, r.Webhook = a.Attempt.Do.via()
	if s := a.Attempt.Do.Scale; s != nil {
		r.Instances, r.More = s.To, s.By
	}
	return r
}

// who is how events name whoever acts: the person, or the remediation.
func (a *Action) who() string {
	if a.By != byPolicy {
		return a.By
	}
	return "healing/" + a.Remediation
}

func (a *Action) reason(p *problem.Problem) string {
	why := fmt.Sprintf("P-%d", a.Number)
	for _, more := range []string{p.Title, a.Why} {
		if more != "" {
			why += ": " + more
		}
	}
	if a.ApprovedBy != byPolicy && a.ApprovedBy != a.By {
		why += " (approved by " + a.ApprovedBy + ")"
	}
	return why
}

// record tells of what the actor does not tell of itself. Its id is the
// action's, so that it is recorded once.
func (x *execution) record(message string) (string, error) {
	a := &x.a
	e := change.Event{
		ID: a.ID + "-done", Type: TypeActed, Kind: change.KindAction, Title: sentence(a.Title), Who: a.who(),
		Reason: clip(message, maxReason), Source: "tidegate", Start: x.cfg.Clock(), Ref: a.Ref, Correlation: a.Problem,
		Properties: map[string]string{"action": a.ID, "problem": a.Problem, "kind": string(a.Kind)},
	}
	if a.Kind.Reverts() && a.Change != nil {
		e.UndoOf, e.Key, e.From, e.To = a.Change.ID, a.Change.Key, a.Change.To, a.Revision
	}
	e, err := x.cfg.Changes.Record(x.ctx, e)
	return e.ID, err
}

// Limits on what an actor answers.
const (
	maxReason = 1000
	maxEvent  = 200
)

func (x *execution) done(answer Answer) error {
	a := x.a
	a.State, a.Done = StateVerifying, x.cfg.Clock()
	a.Event, a.Answer = clip(answer.Event, maxEvent), clip(answer.Message, maxReason)
	text := "done: " + a.Title
	if a.Answer != "" {
		text += " (" + a.Answer + ")"
	}
	return x.save(a, a.entry(a.Done, a.ApprovedBy, "done", text))
}

// page tells a person, and records that somebody was told: the event reaches
// channels that subscribe to it, whoever is configured here.
func (x *execution) page() error {
	if x.a.Policy.DryRun {
		return x.finish(OutcomeDryRun, byPolicy, "this is a dry run: nobody was paged")
	}
	p, err := x.cfg.Problems.Problem(x.ctx, x.a.Problem)
	if err != nil && !fault.Is(err, fault.KindNotFound) {
		return err
	}
	if p.State != problem.StateOpen {
		return x.finish(OutcomeObsolete, byPolicy, "the problem is over")
	}
	text, err := x.story(&p)
	if err != nil {
		return err
	}
	whom := "nobody in particular: the remediation names nobody"
	if to := x.a.Page; to != nil {
		whom = to.OnCall + to.Channel
		if x.cfg.Pager == nil {
			return x.finish(OutcomeFailed, byPolicy, "this server cannot page: nothing is configured for it")
		}
		err := x.cfg.Pager.Page(x.ctx, Page{Key: x.a.ID, To: *to, Problem: p.ID, Text: text})
		switch {
		case fault.Is(err, fault.KindInvalid), fault.Is(err, fault.KindNotFound):
			x.cfg.Logger.ErrorContext(x.ctx, "nobody can be paged", "action", x.a.ID, "problem", p.ID, "error", err)
			whom = "nobody: " + err.Error()
		case err != nil:
			return err
		}
	}
	if _, err := x.cfg.Changes.Record(x.ctx, change.Event{
		ID: x.a.ID + "-paged", Type: TypePaged, Kind: change.KindAction, Title: sentence(fmt.Sprintf("P-%d needs a person", p.Number)),
		Who: x.a.who(), Reason: clip(text, maxReason), Source: "tidegate", Start: x.cfg.Clock(), Ref: x.a.Ref, Correlation: p.ID,
		Properties: map[string]string{"action": x.a.ID, "problem": p.ID},
	}); err != nil {
		return err
	}
	return x.finish(OutcomePaged, byPolicy, whom)
}

// story is what a paged person reads: what is wrong, why, what was tried.
func (x *execution) story(p *problem.Problem) (string, error) {
	text := fmt.Sprintf("P-%d %s", p.Number, p.Title)
	if p.Cause != nil && p.Cause.Sentence != "" {
		text += "\nCause: " + p.Cause.Sentence
	}
	prior, err := x.cfg.Store.Actions(x.ctx, Query{Problem: p.ID, Limit: maxPrior})
	if err != nil {
		return "", err
	}
	prior = ofOpening(prior, p)
	tried := false
	for i := len(prior) - 1; i >= 0; i-- {
		if a := &prior[i]; a.Kind != KindPage && a.State == StateEnded {
			tried = true
			text += fmt.Sprintf("\n%s: %s, %s", sentence(a.Title), a.Outcome, a.Reason)
		}
	}
	if !tried {
		text += "\nNothing was tried: no attempt is for this cause."
	}
	return text, nil
}

// sentence begins with a capital letter.
func sentence(s string) string {
	if s != "" && s[0] >= 'a' && s[0] <= 'z' {
		s = string(s[0]-'a'+'A') + s[1:]
	}
	return clip(s, maxTitle)
}

const maxTitle = 500

func clip(s string, n int) string {
	if r := []rune(s); len(r) > n {
		return string(r[:n-1]) + "…"
	}
	return s
}
