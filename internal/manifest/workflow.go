package manifest

import (
	"strings"

	"github.com/tidegate-io/tidegate/workflow"
)

// Workflow is the spec of kind Workflow.
type Workflow struct {
	On    Trigger `json:"on"`
	Steps []Step  `json:"steps"`
}

// Trigger says which events start a run.
type Trigger struct {
	Event string `json:"event" doc:"event type, for example test.finished; * for any"`
	If    string `json:"if,omitempty" doc:"CEL over event"`
}

// Step is one step; exactly one of validate, undo, flag and notify.
type Step struct {
	Name     string        `json:"name"`
	If       string        `json:"if,omitempty" doc:"CEL over event and steps"`
	Always   bool          `json:"always,omitempty" doc:"run even when an earlier step failed"`
	Validate *ValidateStep `json:"validate,omitempty"`
	Undo     *UndoStep     `json:"undo,omitempty"`
	Flag     *FlagStep     `json:"flag,omitempty"`
	Notify   *NotifyStep   `json:"notify,omitempty"`
}

// ValidateStep asks a guardian and waits for its verdict.
type ValidateStep struct {
	Guardian string            `json:"guardian"`
	Window   StepWindow        `json:"window"`
	Until    string            `json:"until,omitempty" enum:"pass" doc:"repeat until this status"`
	Attempts int               `json:"attempts,omitempty" doc:"with until: how often at most; default 3"`
	Tags     map[string]string `json:"tags,omitempty"`
}

// StepWindow is the time before the event's end, or the time to come.
type StepWindow struct {
	Last string `json:"last,omitempty" doc:"duration before the event, may hold ${…}"`
	Next string `json:"next,omitempty" doc:"duration from now on, may hold ${…}"`
}

// UndoStep takes a change back.
type UndoStep struct {
	Change string `json:"change" doc:"id of a change event, usually ${steps.NAME.cause.change}"`
}

// FlagStep sets a flag.
type FlagStep struct {
	Set     string `json:"set,omitempty"`
	Key     string `json:"key"`
	Variant string `json:"variant"`
	Reason  string `json:"reason,omitempty"`
}

// NotifyStep tells a channel.
type NotifyStep struct {
	Channel string `json:"channel"`
	Message string `json:"message,omitempty"`
	Report  string `json:"report,omitempty" doc:"usually ${steps.NAME.report}"`
}

func (w *Workflow) check(c *checker) {
	if w.On.Event == "" {
		c.at("on").errorf("event is missing: expected an event type, for example test.finished")
	}
	if len(w.Steps) == 0 {
		c.errorf("needs at least one step")
	}
	for i := range w.Steps {
		if v := w.Steps[i].Validate; v != nil {
			oneOf(c.at("steps[%d].validate.until", i), v.Until, "pass")
		}
	}
	if len(c.d.errs) > 0 {
		return
	}
	if err := w.Definition("check", nil).Validate(); err != nil {
		c.fault(err)
	}
}

// Definition returns the workflow as the domain knows it.
func (w *Workflow) Definition(name string, labels map[string]string) *workflow.Workflow {
	out := &workflow.Workflow{Name: name, Labels: labels, On: workflow.Trigger{Event: w.On.Event, If: w.On.If}}
	for _, s := range w.Steps {
		d := workflow.Step{Name: s.Name, If: s.If, Always: s.Always}
		if v := s.Validate; v != nil {
			d.Validate = &workflow.ValidateStep{Guardian: v.Guardian, Last: v.Window.Last, Next: v.Window.Next,
				Until: v.Until, Attempts: v.Attempts, Tags: v.Tags}
		}
		if s.Undo != nil {
			d.Undo = &workflow.UndoStep{Change: s.Undo.Change}
		}
		if s.Flag != nil {
			d.Flag = (*workflow.FlagStep)(s.Flag)
		}
		if s.Notify != nil {
			d.Notify = (*workflow.NotifyStep)(s.Notify)
		}
		out.Steps = append(out.Steps, d)
	}
	return out
}

func quoteList(words []string) string { return strings.Join(words, ", ") }
