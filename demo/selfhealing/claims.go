package selfhealing

import (
	"fmt"
	"strings"
	"time"

	"github.com/tidegate-io/tidegate/demo/shop"
	"github.com/tidegate-io/tidegate/demo/stage"
	"github.com/tidegate-io/tidegate/healing"
	"github.com/tidegate-io/tidegate/problem"
)

// What the story promises.
const (
	detectedWithin = 15.0
	healedWithin   = 45.0
)

func (a *act) told() Case {
	c := Case{Name: a.name, Action: "none", FailedRequests: a.failed}
	if a.onset.IsZero() || a.problem.ID == "" {
		return c
	}
	c.DetectedAfter = a.problem.Opened.Sub(a.onset).Seconds()
	if why := a.problem.Cause; why != nil {
		c.Cause = Cause{Kind: string(why.Kind), Service: why.Service, Operation: why.Operation}
		c.Sentence = why.Sentence
		if why.Change != nil && why.Kind == problem.CauseChange {
			c.Cause.Change = &why.Change.Event.ID
		}
	}
	if a.action != nil {
		c.Action = string(a.action.Kind)
		if a.action.Outcome == healing.OutcomeHealed {
			after := a.healed.Sub(a.onset).Seconds()
			c.HealedAfter, c.Verified = &after, len(a.action.Looks) > 0
		}
	}
	return c
}

// Conclude implements stage.Story.
func (p *play) Conclude() []stage.Claim {
	p.told = Result{Scenario: Name, Cases: []Case{}, Seconds: time.Since(p.began).Seconds()}
	r := &p.told
	claim := func(holds bool, found, format string, args ...any) {
		r.Claims = append(r.Claims, stage.Claim{Claim: fmt.Sprintf(format, args...), Found: found, Holds: holds})
	}
	for i, a := range p.acts {
		if p.Exit || i < len(p.acts)-1 { // else Stay does
			a.close()
		}
		c := a.told()
		r.Cases = append(r.Cases, c)
		claim(a.problem.ID != "" && c.DetectedAfter <= detectedWithin, fmt.Sprintf("%.1f s", c.DetectedAfter), "%s: detected within %.0f s of the first failed order", a.name, detectedWithin)
		if a.name == "upstream-outage" {
			claim(c.Cause.Kind == string(problem.CauseDependency) && c.Cause.Change == nil, c.Cause.Kind+": "+c.Sentence, "%s: something that is not ours is to blame, and no change", a.name)
			claim(c.Action == "none", c.Action, "%s: nothing is done about it", a.name)
			claim(a.problem.State == problem.StateClosed, string(a.problem.State), "%s: the problem is over when the outage is", a.name)
			continue
		}
		service := map[string]string{"bad-flag": shop.Payment, "bad-deployment": shop.Shipping}[a.name]
		claim(c.Cause.Service == service, c.Cause.Service+" "+c.Cause.Operation, "%s: it begins at %s", a.name, service)
		claim(c.Cause.Change != nil && *c.Cause.Change == a.change.ID, c.Sentence, "%s: %s's change is to blame", a.name, who)
		claim(c.HealedAfter != nil && c.Verified && *c.HealedAfter <= healedWithin, healedText(c, a), "%s: healed and verified within %.0f s", a.name, healedWithin)
	}
	r.OK = len(stage.Failed(r.Claims)) == 0
	return r.Claims
}

func healedText(c Case, a *act) string {
	if a.action == nil {
		return "nothing was done"
	}
	out := []string{c.Action, string(a.action.Outcome), a.action.Reason}
	if c.HealedAfter != nil {
		out = append(out, fmt.Sprintf("after %.1f s", *c.HealedAfter))
	}
	return strings.Join(out, ", ")
}
