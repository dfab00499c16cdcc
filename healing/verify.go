package healing

import (
	"fmt"
	"time"

	"github.com/tidegate-io/tidegate/fault"
	"github.com/tidegate-io/tidegate/problem"
)

// pollOpen is how often it is looked whether a problem is closed.
const pollOpen = 2 * time.Second

// verify finds out whether it helped.
func (x *execution) verify() error {
	if x.a.Attempt.Verify.Guardian == "" {
		return x.verifyClosed()
	}
	if x.cfg.Verifier == nil {
		return x.finish(OutcomeUnhealed, byPolicy, "whether it helped cannot be verified: no guardians are configured")
	}
	for {
		i, ok, err := x.look()
		if err != nil {
			return err
		}
		if !ok {
			return x.finish(OutcomeUnhealed, byPolicy, x.notVerified())
		}
		if err := x.validate(i); err != nil {
			return err
		}
		if l := x.a.Looks[i]; l.Status == "pass" || l.Status == "warn" {
			return x.healed(fmt.Sprintf("verified by %s: %s", x.a.Attempt.Verify.Guardian, firstOf(l.Headline, l.Status)))
		}
	}
}

// look returns the index of the validation to do: one that was begun, or a new
// one, whose window is stored before it is asked for. False when the time is
// over.
func (x *execution) look() (int, bool, error) {
	a, v := x.a, x.a.Attempt.Verify
	n := len(a.Looks)
	if n > 0 && a.Looks[n-1].Status == "" {
		return n - 1, true, nil
	}
	from := a.Done.Add(v.Settle)
	if now := x.cfg.Clock(); now.After(from) {
		from = now
	}
	l := Look{Validation: fmt.Sprintf("%s-v%d", a.ID, n+1), From: from, To: from.Add(v.Window)}
	if n > 0 && l.To.After(a.Done.Add(v.Settle+v.Within)) {
		return 0, false, nil
	}
	a.Looks = append(a.Looks[:n:n], l)
	return n, true, x.save(a)
}

// validate does one validation.
func (x *execution) validate(i int) error {
	v, l := x.a.Attempt.Verify, x.a.Looks[i]
	if err := x.sleep(l.From.Sub(x.cfg.Clock())); err != nil {
		return err
	}
	verdict, err := x.cfg.Verifier.Verify(x.ctx, Verification{
		Key: l.Validation, Guardian: v.Guardian, Variables: v.Variables, From: l.From, To: l.To, Who: x.a.who(), Event: x.a.Event,
	})
	switch {
	case x.ctx.Err() != nil:
		return x.ctx.Err()
	case fault.Is(err, fault.KindUnavailable):
		return err // taken up again when the lease has ended
	case err != nil:
		verdict = Verdict{Status: "error", Headline: err.Error()}
	}
	a := x.a
	a.Looks = append([]Look(nil), a.Looks...)
	a.Looks[i].Status, a.Looks[i].Headline = verdict.Status, clip(verdict.Headline, maxTitle)
	return x.save(a, a.entry(x.cfg.Clock(), byPolicy, "verified", fmt.Sprintf("%s, validation %d: %s", v.Guardian, i+1, firstOf(verdict.Headline, verdict.Status))))
}

func (x *execution) notVerified() string {
	last := x.a.Looks[len(x.a.Looks)-1]
	return fmt.Sprintf("not verified by %s in %d validations, the last says %s", x.a.Attempt.Verify.Guardian, len(x.a.Looks), firstOf(last.Headline, last.Status))
}

// verifyClosed waits for the problem to be closed: its events have ended.
func (x *execution) verifyClosed() error {
	v := x.a.Attempt.Verify
	until := x.a.Done.Add(v.Settle + v.Within)
	for {
		p, err := x.cfg.Problems.Problem(x.ctx, x.a.Problem)
		switch {
		case fault.Is(err, fault.KindNotFound):
			return x.finish(OutcomeUnhealed, byPolicy, "whether it helped cannot be verified: the problem does not exist any more")
		case err != nil:
			return err
		case p.State != problem.StateOpen:
			return x.healed("the problem is over since " + clock(p.Closed))
		case !x.cfg.Clock().Before(until):
			return x.finish(OutcomeUnhealed, byPolicy, "the problem is still open after "+v.Within.String())
		}
		if err := x.sleep(min(pollOpen, until.Sub(x.cfg.Clock()))); err != nil {
			return err
		}
	}
}

func (x *execution) healed(how string) error {
	if x.a.Unknown {
		how += "; nobody knows whether the attempt took place"
	}
	return x.finish(OutcomeHealed, byPolicy, how)
}

func firstOf(texts ...string) string {
	for _, t := range texts {
		if t != "" {
			return t
		}
	}
	return ""
}
