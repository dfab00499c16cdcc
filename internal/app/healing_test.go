package app

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/tidegate-io/tidegate/change"
	"github.com/tidegate-io/tidegate/entity"
	"github.com/tidegate-io/tidegate/evidence"
	"github.com/tidegate-io/tidegate/fault"
	"github.com/tidegate-io/tidegate/healing"
	"github.com/tidegate-io/tidegate/problem"
)

const healingManifests = `apiVersion: tidegate.dev/v1
kind: FlagSet
metadata: {name: shop}
spec:
  target: {service: checkout, environment: production}
  flags:
    new-pricing: {state: ENABLED, variants: {"on": true, "off": false}, defaultVariant: "off"}
---
apiVersion: tidegate.dev/v1
kind: Remediation
metadata: {name: shop}
spec:
  for: {environment: production}
  policy: {approval: automatic}
  attempts:
    - when: cause.change.kind == "flag"
      do: {undo: change}
      verify: {settle: 1ms, within: 1m}
`

// blames says that the last flip of a flag did it.
type blames struct{ changes *change.Log }

func (b blames) Explain(ctx context.Context, _ problem.Problem) (problem.Cause, *evidence.Evidence, error) {
	flips, err := b.changes.Events(ctx, change.Query{Kinds: []change.Kind{change.KindFlag}, Key: "new-pricing"})
	cause := problem.Cause{Kind: problem.CauseUnknown, Ref: entity.Ref{Service: "checkout", Environment: "production"}}
	for _, e := range flips {
		if e.To == "on" {
			cause.Kind, cause.Confidence, cause.Remedy = problem.CauseChange, 0.9, problem.RemedyFlagOff
			cause.Change = &evidence.Candidate{Event: e, On: cause.Ref, Likely: true}
			cause.Sentence = "the flag new-pricing broke it"
			return cause, nil, err
		}
	}
	return cause, nil, err
}

// A flag breaks something, the problem is explained, the flag is set back, and
// when the problem is over that is healed: with the stores, the flags and the
// problems of a server.
func TestHealing(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	a, err := New(ctx, Config{Version: "test", Dir: t.TempDir(), Listen: Listen{API: "127.0.0.1:0", OTLPGRPC: "127.0.0.1:0", OTLPHTTP: "127.0.0.1:0",
		FlagEvaluation: "127.0.0.1:0", FlagSync: "127.0.0.1:0", OFREP: "127.0.0.1:0"}})
	if err != nil {
		t.Fatal(err)
	}
	a.explainer = blames{a.changes}
	for _, open := range []func(context.Context) error{a.openProblems, a.openHealing} {
		if err := open(ctx); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := a.catalog.Apply(ctx, "test.yaml", []byte(healingManifests), false); err != nil {
		t.Fatal(err)
	}
	ready, ended := make(chan struct{}), make(chan error, 1)
	go func() { ended <- a.Run(ctx, func(Listen) error { close(ready); return nil }) }()
	<-ready
	flip, err := a.changes.Record(ctx, change.Event{Type: change.TypeFlagChanged, Kind: change.KindFlag, Title: "new-pricing on", Key: "new-pricing", From: "off", To: "on",
		Ref: entity.Ref{Service: "checkout", Environment: "production"}, Undo: &change.Undo{Kind: "flag", FlagSet: "shop", FlagKey: "new-pricing", Variant: "off"}})
	if err != nil {
		t.Fatal(err)
	}
	ids, err := a.problems.Observe(ctx, []problem.Event{{ID: "e1", Source: "test", Signal: problem.SignalErrors, Ref: flip.Ref, Operation: "PlaceOrder",
		Severity: problem.SeverityError, Title: "PlaceOrder fails", Start: time.Now()}})
	if err != nil || ids[0] == "" {
		t.Fatalf("the problem is %q, %v", ids, err)
	}
	acting := awaitAction(t, a, ids[0], func(act healing.Action) bool { return act.State == healing.StateVerifying })
	undo, err := a.changes.Event(ctx, acting.Event)
	if err != nil || undo.UndoOf != flip.ID || undo.Who != "healing/shop" {
		t.Errorf("the undo is %+v, %v; want one of %s by healing/shop", undo, err, flip.ID)
	}
	if _, err := a.problems.Resolve(ctx, []string{"e1"}, time.Now()); err != nil {
		t.Fatal(err)
	}
	healed := awaitAction(t, a, ids[0], func(act healing.Action) bool { return act.State == healing.StateEnded })
	if healed.Outcome != healing.OutcomeHealed {
		t.Errorf("the action is %s: %s", healed.Outcome, healed.Reason)
	}
	p, err := a.problems.Problem(ctx, ids[0])
	if err != nil {
		t.Fatal(err)
	}
	var story strings.Builder
	for _, c := range p.Comments {
		story.WriteString(c.Kind + ": " + c.Text + "\n")
	}
	for _, want := range []string{"decided: set flag new-pricing back to off", "approved by policy", "verified: set flag new-pricing back to off: the problem is over"} {
		if strings.Count(story.String(), want) != 1 {
			t.Errorf("the story has %q %d times:\n%s", want, strings.Count(story.String(), want), &story)
		}
	}
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

func awaitAction(t *testing.T, a *App, problemID string, done func(healing.Action) bool) healing.Action {
	t.Helper()
	var last []healing.Action
	for deadline := time.Now().Add(30 * time.Second); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		var err error
		if last, err = a.healing.Actions(t.Context(), problemID, 10); err != nil {
			t.Fatal(err)
		}
		if len(last) == 1 && done(last[0]) {
			return last[0]
		}
	}
	t.Fatalf("it did not come to that: %+v", last)
	return healing.Action{}
}

// A remediation that names what does not exist is refused.
func TestRemediationReferences(t *testing.T) {
	c, _ := openCatalog(t)
	for _, wrong := range []string{"attempts: [{do: {undo: change}, verify: {guardian: nobody}}]", "otherwise: {page: {channel: nowhere}}", "otherwise: {page: {onCall: nobody}}"} {
		_, err := c.Apply(t.Context(), "r.yaml", []byte("apiVersion: tidegate.dev/v1\nkind: Remediation\nmetadata: {name: r}\nspec: {"+wrong+"}\n"), false)
		if !fault.Is(err, fault.KindInvalid) || !strings.Contains(err.Error(), "there is no") {
			t.Errorf("%s: %v, want it refused", wrong, err)
		}
	}
}
