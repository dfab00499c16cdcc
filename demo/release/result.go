package release

import (
	"time"

	"github.com/tidegate-io/tidegate/demo/stage"
	"github.com/tidegate-io/tidegate/guardian"
	"github.com/tidegate-io/tidegate/judge"
)

// Result is what the scenario writes as JSON.
type Result struct {
	Scenario    string        `json:"scenario"`
	OK          bool          `json:"ok"`
	Validations []Validation  `json:"validations"`
	Evidence    Evidence      `json:"evidence"`
	Change      *Change       `json:"change"`
	Decision    string        `json:"decision"`
	Rollback    *Rollback     `json:"rollback"`
	Seconds     float64       `json:"seconds"`
	Report      string        `json:"report,omitempty"`
	Claims      []stage.Claim `json:"claims"`
}

// Validation is one verdict of the story.
type Validation struct {
	N          int          `json:"n"`
	Purpose    string       `json:"purpose"`
	Status     judge.Status `json:"status"`
	Headline   string       `json:"headline,omitempty"`
	Objectives []Objective  `json:"objectives"`
}

// Objective is one line of a verdict; estimate and limit in base units
// (seconds, ratio, per second), null where there is none.
type Objective struct {
	Name     string       `json:"name"`
	Status   judge.Status `json:"status"`
	Estimate judge.Number `json:"estimate"`
	Limit    judge.Number `json:"limit"`
}

// Evidence of the no-go.
type Evidence struct {
	Groups []Group `json:"groups"`
}

// Group is a set of failed requests with the same origin.
type Group struct {
	Service       string  `json:"service"`
	Operation     string  `json:"operation"`
	ExceptionType string  `json:"exceptionType"`
	Message       string  `json:"message"`
	StackTop      string  `json:"stackTop"`
	Share         float64 `json:"share"`
}

// Change is what the verdict blames.
type Change struct {
	Kind                      string  `json:"kind"`
	Key                       string  `json:"key"`
	Who                       string  `json:"who"`
	SecondsBeforeFirstFailure float64 `json:"secondsBeforeFirstFailure"`
}

// Rollback is the undoing of the change by the workflow.
type Rollback struct {
	At                  time.Time `json:"at"`
	SecondsAfterVerdict float64   `json:"secondsAfterVerdict"`
	Verified            bool      `json:"verified"`
}

// summarize keeps of a validation what the result tells.
func summarize(v guardian.Validation) Validation {
	out := Validation{N: v.Number, Purpose: v.Tags["purpose"], Status: v.Status, Headline: v.Headline, Objectives: []Objective{}}
	if v.Verdict == nil {
		return out
	}
	for _, r := range v.Verdict.Results {
		out.Objectives = append(out.Objectives, Objective{Name: r.Name, Status: r.Status, Estimate: r.Estimate, Limit: r.Limit})
	}
	return out
}

// groups of the evidence, largest first, as it lists them.
func groups(v guardian.Validation) []Group {
	out := []Group{}
	if v.Evidence == nil {
		return out
	}
	for _, g := range v.Evidence.Failures {
		top := ""
		if g.StackTop != nil {
			top = g.StackTop.Function
		}
		out = append(out, Group{g.Service, g.Operation, g.ExceptionType, g.Message, top, g.Share})
	}
	return out
}

// decide turns a status into the word people use.
func decide(s judge.Status) string {
	switch s {
	case judge.StatusPass, judge.StatusWarn, judge.StatusInfo:
		return "go"
	case judge.StatusFail:
		return "no-go"
	}
	return "undecided"
}
