package release

import (
	"bytes"
	"fmt"
	"strings"
	"time"

	"github.com/tidegate-io/tidegate/change"
	"github.com/tidegate-io/tidegate/demo/stage"
	"github.com/tidegate-io/tidegate/judge"
)

// result tells what happened and checks it against the story.
func (p *play) result() Result {
	r := Result{
		Scenario: Name, Validations: []Validation{}, Evidence: Evidence{Groups: []Group{}},
		Seconds: time.Since(p.began).Seconds(), Report: p.report,
	}
	for _, v := range p.training {
		r.Validations = append(r.Validations, summarize(v))
	}
	if p.acceptance != nil {
		r.Validations = append(r.Validations, summarize(*p.acceptance))
	}
	if v := p.nogo; v != nil {
		r.Validations = append(r.Validations, summarize(*v))
		r.Decision, r.Evidence.Groups = decide(v.Status), groups(*v)
		if c, ok := v.Evidence.Cause(); ok {
			r.Change = &Change{Kind: string(c.Event.Kind), Key: c.Event.Key, Who: c.Event.Who, SecondsBeforeFirstFailure: c.SecondsBefore}
		}
	}
	if p.undone.ID != "" {
		r.Rollback = &Rollback{At: p.undone.Start, SecondsAfterVerdict: p.undone.Start.Sub(p.nogo.Finished).Seconds()}
	}
	if v := p.verified; v != nil {
		r.Validations = append(r.Validations, summarize(*v))
		r.Rollback.Verified = v.Status == judge.StatusPass || v.Status == judge.StatusWarn
	}
	r.Claims = p.claims(r)
	r.OK = len(stage.Failed(r.Claims)) == 0
	return r
}

// claims are the sentences of the story, in their order.
func (p *play) claims(r Result) []stage.Claim {
	var out []stage.Claim
	claim := func(holds bool, found, format string, args ...any) {
		out = append(out, stage.Claim{Claim: fmt.Sprintf(format, args...), Found: found, Holds: holds})
	}
	calm := len(p.training) == trainingRuns
	for _, v := range p.training {
		calm = calm && (v.Status == judge.StatusLearning || v.Status == judge.StatusPass || v.Status == judge.StatusWarn)
	}
	claim(calm, statuses(r.Validations[:len(p.training)]), "%d training runs teach the guardian, none of them fails", trainingRuns)
	claim(p.acceptance != nil && decide(p.acceptance.Status) == "go", purposeStatus(r, trainingRuns), "the healthy release is a go")
	claim(r.Decision == "no-go", r.Decision, "with the flag on the release is a no-go")

	top := Group{}
	if len(r.Evidence.Groups) > 0 {
		top = r.Evidence.Groups[0]
	}
	claim(top.Service == "payment" && top.Operation == "PaymentService/Charge" && top.Share >= 0.9,
		fmt.Sprintf("%s %s in %.0f %% of the failures", top.Service, top.Operation, 100*top.Share), "the evidence names payment's PaymentService/Charge")
	claim(strings.Contains(top.ExceptionType, "InvalidTokenError") && strings.Contains(top.Message, "Payment request failed"),
		top.ExceptionType+" "+top.Message, "the evidence has the exception")
	claim(strings.Contains(top.StackTop, "authorize"), top.StackTop, "the stack ends in the card processor's authorize")

	c := Change{}
	if r.Change != nil {
		c = *r.Change
	}
	claim(c.Kind == string(change.KindFlag) && c.Key == flagKey && c.Who == who && c.SecondsBeforeFirstFailure > 0,
		fmt.Sprintf("%s %s by %q, %.1f s before", c.Kind, c.Key, c.Who, c.SecondsBeforeFirstFailure),
		"%s of %s, before the first failure, is to blame", flagKey, who)

	rb := Rollback{}
	if r.Rollback != nil {
		rb = *r.Rollback
	}
	claim(p.undone.To == "off" && p.undone.Who != who && p.flagAfter.DefaultVariant == "off" && rb.SecondsAfterVerdict < undoTimeout.Seconds(),
		fmt.Sprintf("%s to %q by %q after %.1f s", p.undone.Key, p.undone.To, p.undone.Who, rb.SecondsAfterVerdict), "the workflow took the flag back by itself")
	claim(rb.Verified, purposeStatus(r, trainingRuns+2), "the verification passes")
	claim(bytes.Contains(p.reportHTML, []byte(flagKey)) && bytes.Contains(p.reportHTML, []byte("PaymentService/Charge")),
		fmt.Sprintf("%d bytes in %s", len(p.reportHTML), p.report), "the report says what failed and why")
	return out
}

func statuses(vs []Validation) string {
	words := make([]string, len(vs))
	for i, v := range vs {
		words[i] = string(v.Status)
	}
	return strings.Join(words, ", ")
}

// purposeStatus describes the i-th validation, with the objectives that are
// not as they should be.
func purposeStatus(r Result, i int) string {
	if i >= len(r.Validations) {
		return "there was none"
	}
	v := r.Validations[i]
	text := v.Purpose + ": " + string(v.Status)
	for _, o := range v.Objectives {
		if o.Status != judge.StatusPass && o.Status != judge.StatusInfo {
			text += fmt.Sprintf("; %s %s (%.4g, limit %.4g)", o.Name, o.Status, float64(o.Estimate), float64(o.Limit))
		}
	}
	return text
}
