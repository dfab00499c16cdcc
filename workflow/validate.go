package workflow

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/tidegate-io/tidegate/fault"
)

// Limits on definitions.
const (
	maxSteps    = 50
	maxName     = 63
	maxText     = 16 << 10
	maxAttempts = 20
	maxWindow   = 7 * 24 * time.Hour
)

// Validate checks a definition: its shape, and that every condition and every
// ${…} compiles and refers to steps and outputs that exist. The error is a
// fault of KindInvalid that names the place ("spec.steps[2].if") and says
// what was expected.
func (w *Workflow) Validate() error {
	_, err := w.compile()
	return err
}

// compiled is a definition with its expressions.
type compiled struct {
	*Workflow
	trigger *expression // nil: any event of the type
	steps   []compiledStep
}

type compiledStep struct {
	*Step
	kind  string
	cond  *expression // nil: always true
	texts map[string]*template
}

func (w *Workflow) compile() (*compiled, error) {
	if w.On.Event == "" {
		return nil, fault.InvalidField("spec.on.event", "is missing: expected an event type such as test.finished, or *")
	}
	if len(w.Steps) == 0 || len(w.Steps) > maxSteps {
		return nil, fault.InvalidField("spec.steps", "has %d steps: expected 1 to %d", len(w.Steps), maxSteps)
	}
	c := &compiled{Workflow: w}
	if w.On.If != "" {
		var err error
		if c.trigger, err = compileCondition(w.On.If, scope{noSteps: true}); err != nil {
			return nil, inField("spec.on.if", err)
		}
	}
	sc, owner := scope{steps: map[string][]string{}}, map[string]string{}
	for i := range w.Steps {
		s, err := compileStep(&w.Steps[i], fmt.Sprintf("spec.steps[%d]", i), sc)
		if err != nil {
			return nil, err
		}
		id := Identifier(s.Name)
		if other, taken := owner[id]; taken {
			return nil, fault.InvalidField(fmt.Sprintf("spec.steps[%d].name", i), "%q and %q are both called %s in expressions: names must differ", other, s.Name, id)
		}
		owner[id] = s.Name
		sc.steps[id], sc.steps[s.Name] = outputsOf(s.Step), outputsOf(s.Step)
		c.steps = append(c.steps, *s)
	}
	return c, nil
}

func compileStep(s *Step, at string, sc scope) (*compiledStep, error) {
	if s.Name == "" || len(s.Name) > maxName {
		return nil, fault.InvalidField(at+".name", "%q: expected 1 to %d characters", s.Name, maxName)
	}
	out := &compiledStep{Step: s, texts: map[string]*template{}}
	if s.If != "" {
		cond, err := compileCondition(s.If, sc)
		if err != nil {
			return nil, inField(at+".if", err)
		}
		out.cond = cond
	}
	kind, texts, err := s.action(at)
	if err != nil {
		return nil, err
	}
	out.kind = kind
	for field, text := range texts {
		if len(text) > maxText {
			return nil, fault.InvalidField(at+"."+field, "has %d bytes, the limit is %d", len(text), maxText)
		}
		t, err := compileTemplate(text, sc)
		if err != nil {
			return nil, inField(at+"."+field, err)
		}
		out.texts[field] = t
	}
	return out, nil
}

// action returns the step's kind and its texts, by field.
func (s *Step) action(at string) (kind string, texts map[string]string, err error) {
	var kinds []string
	if s.Validate != nil {
		kinds, texts = append(kinds, "validate"), s.Validate.texts()
		err = s.Validate.check(at + ".validate")
	}
	if s.Undo != nil {
		kinds, texts = append(kinds, "undo"), map[string]string{"undo.change": s.Undo.Change}
		err = required(at, texts, "undo.change")
	}
	if s.Flag != nil {
		kinds, texts = append(kinds, "flag"), map[string]string{"flag.set": s.Flag.Set, "flag.key": s.Flag.Key, "flag.variant": s.Flag.Variant, "flag.reason": s.Flag.Reason}
		err = required(at, texts, "flag.key", "flag.variant")
	}
	if s.Notify != nil {
		kinds, texts = append(kinds, "notify"), map[string]string{"notify.channel": s.Notify.Channel, "notify.message": s.Notify.Message, "notify.report": s.Notify.Report}
		err = required(at, texts, "notify.channel")
	}
	if len(kinds) != 1 {
		found := "none"
		if len(kinds) > 1 {
			found = strings.Join(kinds, " and ")
		}
		return "", nil, fault.InvalidField(at, "expected exactly one of validate, undo, flag and notify, found %s", found)
	}
	return kinds[0], texts, err
}

func required(at string, texts map[string]string, fields ...string) error {
	for _, f := range fields {
		if texts[f] == "" {
			return fault.InvalidField(at+"."+f, "is missing")
		}
	}
	return nil
}

func (v *ValidateStep) texts() map[string]string {
	out := map[string]string{"validate.guardian": v.Guardian, "validate.window.last": v.Last, "validate.window.next": v.Next}
	for k, t := range v.Tags {
		out["validate.tags."+k] = t
	}
	return out
}

func (v *ValidateStep) check(at string) error {
	if v.Guardian == "" {
		return fault.InvalidField(at+".guardian", "is missing")
	}
	if (v.Last == "") == (v.Next == "") {
		return fault.InvalidField(at+".window", "expected exactly one of last and next")
	}
	for field, text := range map[string]string{".window.last": v.Last, ".window.next": v.Next} {
		if text == "" || strings.Contains(text, "${") {
			continue
		}
		if _, err := parseWindow(text); err != nil {
			return inField(at+field, err)
		}
	}
	if len(v.Tags) > maxTags {
		return fault.InvalidField(at+".tags", "has %d tags, the limit is %d", len(v.Tags), maxTags)
	}
	if v.Until != "" && v.Until != "pass" {
		return fault.InvalidField(at+".until", "%q: expected pass", v.Until)
	}
	if v.Attempts < 0 || v.Attempts > maxAttempts {
		return fault.InvalidField(at+".attempts", "%d: expected 1 to %d", v.Attempts, maxAttempts)
	}
	if v.Attempts > 1 && v.Until == "" {
		return fault.InvalidField(at+".attempts", "needs until: pass")
	}
	return nil
}

// parseWindow reads the length of a window.
func parseWindow(text string) (time.Duration, error) {
	d, err := time.ParseDuration(strings.TrimSpace(text))
	if err != nil || d <= 0 || d > maxWindow {
		return 0, fault.Invalid("%q is not the length of a window: expected for example 30s, 5m or 1h, at most %v", text, maxWindow)
	}
	return d, nil
}

// inField puts an error's place in the definition before it.
func inField(field string, err error) error {
	var f *fault.Error
	if errors.As(err, &f) && f.Field == "" {
		return &fault.Error{Kind: f.Kind, Field: field, Err: err}
	}
	return err
}
