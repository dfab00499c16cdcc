// Package change knows what was changed in a system: who did what, when,
// where, and how to undo it. Deployments, flag flips, configuration changes,
// load tests and free annotations are all events of one shape, whatever tool
// reported them.
//
// An event that names a service is visible on that service's charts and is a
// candidate cause for what goes wrong there afterwards. "test.finished" and
// its like are what workflows are triggered by.
package change

import (
	"context"
	"time"

	"github.com/tidegate-io/tidegate/entity"
)

// Kind is the broad class of an event; it decides the icon on a timeline and
// whether the event can be the cause of a problem.
type Kind string

// The kinds of events.
const (
	KindDeployment    Kind = "deployment"
	KindFlag          Kind = "flag"
	KindConfiguration Kind = "configuration"
	KindTest          Kind = "test"
	KindValidation    Kind = "validation"
	KindAnnotation    Kind = "annotation"
	KindProblem       Kind = "problem"
	KindAction        Kind = "action" // something Tidegate itself did: an undo, a notification
)

// Causal reports whether events of this kind can break a system.
func (k Kind) Causal() bool {
	return k == KindDeployment || k == KindFlag || k == KindConfiguration
}

// Types that Tidegate itself gives meaning to. Other types are kept as sent.
const (
	TypeDeploymentFinished   = "deployment.finished"
	TypeConfigurationChanged = "configuration.changed"
	TypeFlagChanged          = "flag.changed"
	TypeFlagDefined          = "flag.defined" // a flag became known; what code did without it is not
	TypeTestStarted          = "test.started"
	TypeTestFinished         = "test.finished"
	TypeValidationStarted    = "validation.started"
	TypeValidationObjective  = "validation.objective"
	TypeValidationFinished   = "validation.finished"
	TypeAnnotation           = "annotation"
)

// Event is one thing that happened to the system, at a place, by somebody.
type Event struct {
	ID   string `json:"id" doc:"unique; assigned when empty"`
	Type string `json:"type" doc:"for example deployment.finished, flag.changed, test.finished"`
	Kind Kind   `json:"kind"`

	Title  string `json:"title"`
	Who    string `json:"who,omitempty" doc:"person or system that did it"`
	Reason string `json:"reason,omitempty"`
	Source string `json:"source,omitempty" doc:"the tool that reported it"`

	Start    time.Time `json:"start"`
	End      time.Time `json:"end,omitzero"`
	Received time.Time `json:"received,omitzero"`

	// Where. Ref is set when the event names one service; Selector is kept as
	// sent, and Entities is what it matched.
	entity.Ref
	Selector string       `json:"selector,omitempty"`
	Entities []entity.Ref `json:"entities,omitempty"`
	// Placement is set when the selector matched nothing at first.
	Placement *Placement `json:"placement,omitempty"`

	// Key identifies what was changed within its kind: the flag's key, the
	// application's name.
	Key string `json:"key,omitempty"`
	// From and To are the values before and after: variants, versions.
	From string `json:"from,omitempty"`
	To   string `json:"to,omitempty"`

	// Properties are everything else the sender said, as strings.
	Properties map[string]string `json:"properties,omitempty"`
	// Links are titled URLs: pipeline run, commit, remediation.
	Links []Link `json:"links,omitempty"`
	// Undo says how to take the change back; nil when nobody said.
	Undo *Undo `json:"undo,omitempty"`
	// UndoOf is the id of the event that this event took back.
	UndoOf string `json:"undoOf,omitempty"`
	// Correlation groups events that belong together: a pipeline run, a load
	// test run.
	Correlation string `json:"correlation,omitempty"`
}

// Link is a titled URL.
type Link struct {
	Title string `json:"title"`
	URL   string `json:"url"`
}

// Undo is the action that takes a change back.
type Undo struct {
	// Kind is "flag", "webhook", "rollout" or "rollback".
	Kind string `json:"kind" enum:"flag,webhook,rollout,rollback"`
	// FlagSet, FlagKey and Variant: for kind flag, what to set it to.
	FlagSet string `json:"flagSet,omitempty"`
	FlagKey string `json:"flagKey,omitempty"`
	Variant string `json:"variant,omitempty"`
	// URL: for kind webhook, what to POST to.
	URL string `json:"url,omitempty"`
	// Rollout: for kind rollout, the id of the run to abort.
	Rollout string `json:"rollout,omitempty"`
	// Deployment: for kind rollback, which of Tidegate's own deployments to
	// take back; what ran before it and was good runs again.
	Deployment string `json:"deployment,omitempty"`
}

// UndoRollback is the kind of undo that takes a deployment back.
const UndoRollback = "rollback"

// Places returns every service reference the event is about.
func (e *Event) Places() []entity.Ref {
	if e.Service != "" || e.Environment != "" {
		return append([]entity.Ref{e.Ref}, e.Entities...)
	}
	return e.Entities
}

// Touches reports whether the event is about the service, in the environment
// when both sides name one.
func (e *Event) Touches(r entity.Ref) bool {
	for _, p := range e.Places() {
		if p.Service == r.Service && (p.Environment == "" || r.Environment == "" || p.Environment == r.Environment) {
			return true
		}
	}
	return false
}

// Query selects events. Zero fields do not restrict.
type Query struct {
	Kinds       []Kind
	Types       []string
	Service     string
	Environment string
	Who         string
	Key         string
	Correlation string
	From, To    time.Time // on Start; To is exclusive
	Limit       int       // newest first; 0 means 100
	Before      string    // cursor: id of the last event of the previous page
}

// Store keeps events. Safe for concurrent use; what Add returned without an
// error survives a crash.
type Store interface {
	// Add stores the event. An id that is there already is a fault of
	// KindConflict and changes nothing.
	Add(ctx context.Context, e Event) error
	// Event returns one event, or a fault of KindNotFound.
	Event(ctx context.Context, id string) (Event, error)
	// Events returns matching events, newest first.
	Events(ctx context.Context, q Query) ([]Event, error)
}
