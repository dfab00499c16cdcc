package release

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/tidegate-io/tidegate/change"
	"github.com/tidegate-io/tidegate/demo/stage"
	"github.com/tidegate-io/tidegate/evidence"
	"github.com/tidegate-io/tidegate/flag"
	"github.com/tidegate-io/tidegate/guardian"
	"github.com/tidegate-io/tidegate/judge"
)

// told is a play in which everything went as it should.
func told() *play {
	t0 := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	validation := func(n int, purpose string, s judge.Status) guardian.Validation {
		return guardian.Validation{Number: n, Status: s, Tags: map[string]string{"purpose": purpose}, Finished: t0,
			Verdict: &judge.Verdict{Status: s, Results: []judge.Result{{Name: "errors", Status: s, Estimate: 0.01, Limit: judge.Number(0.02)}}}}
	}
	p := &play{began: time.Now(), report: "report.html", reportHTML: []byte("paymentServiceFailure broke PaymentService/Charge")}
	for n := range trainingRuns {
		p.training = append(p.training, validation(n+1, "training", judge.StatusLearning))
	}
	good := validation(6, "acceptance", judge.StatusPass)
	bad := validation(7, "acceptance", judge.StatusFail)
	again := validation(8, "verification", judge.StatusPass)
	bad.Evidence = &evidence.Evidence{
		Failures: []evidence.FailureGroup{{Service: "payment", Operation: "PaymentService/Charge", ExceptionType: "card.InvalidTokenError",
			Message: "Payment request failed. Invalid token.", Share: 1, StackTop: &evidence.Frame{Function: "card.(*Processor).authorize"}}},
		Changes: []evidence.Candidate{{Likely: true, SecondsBefore: 4, Event: change.Event{Kind: change.KindFlag, Key: flagKey, Who: who}}},
	}
	p.acceptance, p.nogo, p.verified = &good, &bad, &again
	p.undone = change.Event{ID: "e", Key: flagKey, To: "off", Who: "workflow", Start: t0.Add(time.Second)}
	p.flagAfter = flag.Flag{DefaultVariant: "off"}
	return p
}

func TestEveryClaimCanFail(t *testing.T) {
	if r := told().result(); !r.OK || r.Decision != "no-go" || len(r.Validations) != 8 || r.Rollback.SecondsAfterVerdict != 1 {
		t.Fatalf("the story as told: %+v", r)
	}
	spoil := map[string]func(*play){
		"5 training runs":      func(p *play) { p.training[2].Status = judge.StatusFail },
		"training runs":        func(p *play) { p.training = p.training[:4] },
		"the healthy release":  func(p *play) { p.acceptance.Status = judge.StatusInconclusive },
		"is a no-go":           func(p *play) { p.nogo.Status = judge.StatusPass },
		"the evidence names":   func(p *play) { p.nogo.Evidence.Failures[0].Share = 0.5 },
		"has the exception":    func(p *play) { p.nogo.Evidence.Failures[0].ExceptionType = "" },
		"the stack ends":       func(p *play) { p.nogo.Evidence.Failures[0].StackTop = nil },
		"of alex, before":      func(p *play) { p.nogo.Evidence.Changes[0].Event.Who = "sam" },
		"is to blame":          func(p *play) { p.nogo.Evidence.Changes[0].Likely = false },
		"took the flag back":   func(p *play) { p.undone.Who = who },
		"flag back by itself":  func(p *play) { p.flagAfter.DefaultVariant = "on" },
		"the verification":     func(p *play) { p.verified.Status = judge.StatusFail },
		"report says":          func(p *play) { p.reportHTML = []byte("nothing") },
		"back by itself":       func(p *play) { p.undone = change.Event{}; p.verified = nil },
		"the evidence":         func(p *play) { p.nogo.Evidence = nil },
		"verification passes":  func(p *play) { p.verified = nil },
		"the healthy":          func(p *play) { p.acceptance = nil },
		"with the flag on the": func(p *play) { p.nogo = nil; p.undone = change.Event{}; p.verified = nil },
	}
	for words, do := range spoil {
		p := told()
		do(p)
		r := p.result()
		var failed []string
		for _, c := range stage.Failed(r.Claims) {
			failed = append(failed, c.Claim)
		}
		if r.OK || !strings.Contains(strings.Join(failed, "\n"), words) {
			t.Errorf("%s: the claims that fail are %q", words, failed)
		}
		if _, err := json.Marshal(r); err != nil {
			t.Errorf("%s: %v", words, err)
		}
	}
}

func TestResultAsJSON(t *testing.T) {
	raw, err := json.Marshal(told().result())
	if err != nil {
		t.Fatal(err)
	}
	var got map[string]any
	if err := json.Unmarshal(raw, &got); err != nil {
		t.Fatal(err)
	}
	for _, key := range []string{"scenario", "validations", "evidence", "change", "decision", "rollback", "seconds"} {
		if got[key] == nil {
			t.Errorf("no %q in %s", key, raw)
		}
	}
	group := got["evidence"].(map[string]any)["groups"].([]any)[0].(map[string]any)
	if group["stackTop"] != "card.(*Processor).authorize" || got["change"].(map[string]any)["secondsBeforeFirstFailure"] != 4.0 {
		t.Errorf("%s", raw)
	}
}
