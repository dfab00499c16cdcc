package workflow

import (
	"encoding/json"
	"maps"
	"strings"

	"github.com/tidegate-io/tidegate/change"
	"github.com/tidegate-io/tidegate/condition"
	"github.com/tidegate-io/tidegate/fault"
)

// Identifier is how expressions call a step: its name with every character
// that is not a letter, a digit or an underscore replaced by an underscore,
// and an underscore before a leading digit. steps["the name"] works, too.
func Identifier(name string) string {
	id := strings.Map(func(r rune) rune {
		if r == '_' || r >= '0' && r <= '9' || r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' {
			return r
		}
		return '_'
	}, name)
	if id != "" && id[0] >= '0' && id[0] <= '9' {
		id = "_" + id
	}
	return id
}

// Outputs that every step has, and what each kind adds.
var (
	commonOutputs   = []string{"state", "done", "failed", "skipped", "error", "attempts", "output"}
	validateOutputs = []string{"status", "validation", "report", "number", "headline", "cause"}
	changeOutputs   = []string{"event", "title", "change"}
)

func outputsOf(s *Step) []string {
	out := commonOutputs
	switch {
	case s.Validate != nil:
		out = append(out[:len(out):len(out)], validateOutputs...)
	case s.Undo != nil, s.Flag != nil:
		out = append(out[:len(out):len(out)], changeOutputs...)
	}
	return out
}

// Validated is the output of a validate step.
type Validated struct {
	// Status is the verdict's: pass, warn, fail, inconclusive, learning, error.
	Status string `json:"status"`
	// Validation is the id; Report is the same id, as what notify attaches.
	Validation string `json:"validation"`
	Report     string `json:"report"`
	Number     int    `json:"number,omitempty"`
	Headline   string `json:"headline,omitempty"`
	// Cause is the change that is most likely to blame; nil when there is none.
	Cause *Cause `json:"cause,omitempty"`
}

// Cause is a change that is blamed.
type Cause struct {
	// Change is the event's id.
	Change      string `json:"change"`
	Kind        string `json:"kind"`
	Key         string `json:"key,omitempty"`
	Who         string `json:"who,omitempty"`
	Title       string `json:"title,omitempty"`
	Service     string `json:"service,omitempty"`
	Environment string `json:"environment,omitempty"`
}

// Changed is the output of an undo or flag step.
type Changed struct {
	// Event is the id of the event that recorded what was done.
	Event string `json:"event"`
	Title string `json:"title,omitempty"`
	// Change is, for undo, the id of the event that was taken back.
	Change string `json:"change,omitempty"`
}

// eventRecord is the event as its JSON, with every property as a field beside
// the event's own, which have precedence.
func eventRecord(e *change.Event) (record, error) {
	b, err := json.Marshal(e)
	if err != nil {
		return nil, fault.Internal("event %q: %w", e.ID, err)
	}
	own, err := condition.RecordOf(b)
	if err != nil {
		return nil, fault.Internal("event %q: %w", e.ID, err)
	}
	for k, v := range e.Properties {
		if _, taken := own[k]; !taken && !ownField[k] {
			own[k] = v
		}
	}
	for _, object := range []string{"properties", "undo"} {
		if own[object] == nil {
			own[object] = record{}
		}
	}
	for _, list := range []string{"entities", "links"} {
		if own[list] == nil {
			own[list] = []any{}
		}
	}
	return own, nil
}

// ownField lists the event's own names: a property never stands in for one
// that is empty.
var ownField = map[string]bool{"id": true, "type": true, "kind": true, "title": true, "who": true, "reason": true, "source": true,
	"start": true, "end": true, "received": true, "service": true, "environment": true, "version": true, "selector": true,
	"entities": true, "key": true, "from": true, "to": true, "properties": true, "links": true, "undo": true, "undoOf": true, "correlation": true}

// stepsRecord is what became of the steps, by identifier and by name.
func stepsRecord(steps []StepRun) (record, error) {
	out := record{}
	for i := range steps {
		r, err := stepRecord(&steps[i])
		if err != nil {
			return nil, err
		}
		out[steps[i].Name] = r
		out[Identifier(steps[i].Name)] = r
	}
	return out, nil
}

func stepRecord(s *StepRun) (record, error) {
	output, err := condition.RecordOf(s.Output)
	if err != nil {
		return nil, fault.Internal("step %q: output: %w", s.Name, err)
	}
	r := maps.Clone(output)
	if r["cause"] == nil {
		r["cause"] = record{}
	}
	r["state"], r["error"], r["attempts"], r["output"] = string(s.State), s.Error, int64(s.Attempts), output
	r["done"], r["failed"], r["skipped"] = s.State == StateDone, s.State == StateFailed, s.State == StateSkipped
	return r, nil
}
