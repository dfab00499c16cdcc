package workflow

import (
	"strings"
	"testing"

	"github.com/tidegate-io/tidegate/fault"
)

func TestValidate(t *testing.T) {
	w := judgeEveryLoadTest()
	if err := w.Validate(); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name   string
		change func(w *Workflow)
		field  string
		want   string
	}{
		{"no event", func(w *Workflow) { w.On.Event = "" }, "spec.on.event", "is missing"},
		{"no steps", func(w *Workflow) { w.Steps = nil }, "spec.steps", "expected 1 to 50"},
		{"bad trigger", func(w *Workflow) { w.On.If = "event.x ==" }, "spec.on.if", "column"},
		{"steps in a trigger", func(w *Workflow) { w.On.If = "steps.verdict.done" }, "spec.on.if", "only event"},
		{"a later step", func(w *Workflow) { w.Steps[0].If = "steps.undo.done" }, "spec.steps[0].if", `unknown step "undo"`},
		{"itself", func(w *Workflow) { w.Steps[0].If = "steps.verdict.done" }, "spec.steps[0].if", `unknown step "verdict"`},
		{"misspelt output", func(w *Workflow) { w.Steps[3].Notify.Report = "${steps.verdict.reprot}" }, "spec.steps[3].notify.report", `did you mean "report"?`},
		{"no action", func(w *Workflow) { w.Steps[1].Undo = nil }, "spec.steps[1]", "found none"},
		{"two actions", func(w *Workflow) { w.Steps[1].Flag = &FlagStep{Key: "f", Variant: "on"} }, "spec.steps[1]", "undo and flag"},
		{"no name", func(w *Workflow) { w.Steps[1].Name = "" }, "spec.steps[1].name", "expected 1 to 63"},
		{"same name", func(w *Workflow) { w.Steps[3].Name = "verify" }, "spec.steps[3].name", "names must differ"},
		{"same identifier", func(w *Workflow) { w.Steps[2].Name, w.Steps[3].Name = "a-b", "a b" }, "spec.steps[3].name", "both called a_b"},
		{"no guardian", func(w *Workflow) { w.Steps[0].Validate.Guardian = "" }, "spec.steps[0].validate.guardian", "is missing"},
		{"two windows", func(w *Workflow) { w.Steps[0].Validate.Next = "1m" }, "spec.steps[0].validate.window", "exactly one"},
		{"bad window", func(w *Workflow) { w.Steps[2].Validate.Next = "soon" }, "spec.steps[2].validate.window.next", "30s, 5m or 1h"},
		{"negative window", func(w *Workflow) { w.Steps[2].Validate.Next = "-1m" }, "spec.steps[2].validate.window.next", "30s, 5m or 1h"},
		{"bad until", func(w *Workflow) { w.Steps[2].Validate.Until = "green" }, "spec.steps[2].validate.until", "expected pass"},
		{"too many attempts", func(w *Workflow) { w.Steps[2].Validate.Attempts = 99 }, "spec.steps[2].validate.attempts", "1 to 20"},
		{"attempts without until", func(w *Workflow) { w.Steps[0].Validate.Attempts = 2 }, "spec.steps[0].validate.attempts", "until"},
		{"no change", func(w *Workflow) { w.Steps[1].Undo.Change = "" }, "spec.steps[1].undo.change", "is missing"},
		{"no channel", func(w *Workflow) { w.Steps[3].Notify.Channel = "" }, "spec.steps[3].notify.channel", "is missing"},
		{"bad tag", func(w *Workflow) { w.Steps[0].Validate.Tags = map[string]string{"k": "${"} }, "spec.steps[0].validate.tags.k", "not closed"},
		{"long text", func(w *Workflow) { w.Steps[3].Notify.Message = strings.Repeat("x", maxText+1) }, "spec.steps[3].notify.message", "limit"},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := judgeEveryLoadTest()
			c.change(&w)
			err := w.Validate()
			if !fault.Is(err, fault.KindInvalid) || !strings.HasPrefix(err.Error(), c.field+": ") || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error %v, want %s: … %s", err, c.field, c.want)
			}
		})
	}
}

// A definition that is refused leaves the ones in force.
func TestDefineAllOrNone(t *testing.T) {
	e := newEngine(t, newMemory(), newWorld(), nil, judgeEveryLoadTest())
	broken := judgeEveryLoadTest()
	broken.Name, broken.Steps = "other", nil
	for _, ws := range [][]Workflow{{broken}, {judgeEveryLoadTest(), judgeEveryLoadTest()}} {
		if err := e.Define(ws); !fault.Is(err, fault.KindInvalid) {
			t.Errorf("Define: %v, want a fault of kind invalid", err)
		}
	}
	ws, err := e.Workflows(t.Context())
	if err != nil || len(ws) != 1 || ws[0].Name != "judge-every-load-test" {
		t.Errorf("workflows %v, %v: want the first definition", ws, err)
	}
}
