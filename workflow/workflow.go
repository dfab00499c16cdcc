// Package workflow runs what should follow an event: validate, decide, undo,
// verify, notify. A workflow is a list of named steps with conditions in CEL;
// a run is durable: a crash between any two steps resumes with the next one
// and no step with an effect is done twice.
package workflow

import (
	"context"
	"encoding/json"
	"time"

	"github.com/tidegate-io/tidegate/change"
)

// Workflow is the definition.
type Workflow struct {
	Name   string            `json:"name"`
	Labels map[string]string `json:"labels,omitempty"`
	On     Trigger           `json:"on"`
	Steps  []Step            `json:"steps"`
	// Since, when set, is when the definition came into force. After a crash
	// the workflow catches up with events that were received later, not with
	// earlier ones: they were never its business.
	Since time.Time `json:"-"`
}

// Trigger starts a run for each event of a type for which If holds.
type Trigger struct {
	Event string `json:"event" doc:"event type, or * for any"`
	If    string `json:"if,omitempty" doc:"CEL over event"`
}

// Step is one step. Exactly one of Validate, Undo, Flag and Notify is set.
// Strings marked CEL-interpolated may hold ${…} expressions over event and steps.
type Step struct {
	Name string `json:"name"`
	If   string `json:"if,omitempty" doc:"CEL over event and steps"`
	// Always: run even when an earlier step failed.
	Always   bool          `json:"always,omitempty"`
	Validate *ValidateStep `json:"validate,omitempty"`
	Undo     *UndoStep     `json:"undo,omitempty"`
	Flag     *FlagStep     `json:"flag,omitempty"`
	Notify   *NotifyStep   `json:"notify,omitempty"`
}

// ValidateStep runs a validation and waits for its verdict.
type ValidateStep struct {
	Guardian string `json:"guardian"`
	// Exactly one of Last and Next: durations, CEL-interpolated.
	Last string `json:"last,omitempty"`
	Next string `json:"next,omitempty"`
	// Until "pass": repeat (at most Attempts, default 3) until it passes.
	Until    string            `json:"until,omitempty"`
	Attempts int               `json:"attempts,omitempty"`
	Tags     map[string]string `json:"tags,omitempty"`
}

// UndoStep takes a change back.
type UndoStep struct {
	Change string `json:"change" doc:"id of a change event, CEL-interpolated"`
}

// FlagStep sets a flag.
type FlagStep struct {
	Set     string `json:"set,omitempty"`
	Key     string `json:"key"`
	Variant string `json:"variant"`
	Reason  string `json:"reason,omitempty"`
}

// NotifyStep posts to a notification channel.
type NotifyStep struct {
	Channel string `json:"channel"`
	Message string `json:"message,omitempty"`
	Report  string `json:"report,omitempty" doc:"id of a validation whose report to attach"`
}

// State of a run or of a step.
type State string

// The states.
const (
	StatePending State = "pending"
	StateRunning State = "running"
	StateDone    State = "done"
	StateSkipped State = "skipped"
	StateFailed  State = "failed"
)

// Run is one execution for one event. Its ID is derived from the workflow's
// name and the event's id, so an event starts a workflow at most once.
type Run struct {
	ID       string `json:"id"`
	Workflow string `json:"workflow"`
	// Definition as it was when the run started.
	Definition Workflow     `json:"definition"`
	Event      change.Event `json:"event"`
	// Chain lists the workflows whose runs led to the event, first cause first.
	Chain    []string  `json:"chain,omitempty"`
	State    State     `json:"state"`
	Started  time.Time `json:"started"`
	Finished time.Time `json:"finished,omitzero"`
	Steps    []StepRun `json:"steps"`
	Error    string    `json:"error,omitempty"`
}

// StepRun is what happened to one step.
type StepRun struct {
	Name     string          `json:"name"`
	Kind     string          `json:"kind" doc:"validate, undo, flag, notify"`
	State    State           `json:"state"`
	Input    json.RawMessage `json:"input,omitempty"`
	Output   json.RawMessage `json:"output,omitempty"`
	Error    string          `json:"error,omitempty"`
	Attempts int             `json:"attempts,omitempty"`
	Started  time.Time       `json:"started,omitzero"`
	Finished time.Time       `json:"finished,omitzero"`
}

// Lease is the right to work on a run until a time. Owner names a process's
// engine; it must differ between replicas and between restarts.
type Lease struct {
	Owner string
	Until time.Time
}

// Store keeps runs. Safe for concurrent use, by several processes; what
// returned without an error survives a crash.
type Store interface {
	// Create stores a new run; false when the id exists already.
	Create(ctx context.Context, r Run) (created bool, err error)
	// Claimable returns ids of pending and running runs that nobody but owner
	// holds at now, oldest first.
	Claimable(ctx context.Context, owner string, now time.Time, limit int) ([]string, error)
	// Claim takes the lease and returns the run as it is stored; false when
	// the run is finished or another owner's lease has not ended at now.
	Claim(ctx context.Context, id string, l Lease, now time.Time) (r Run, ok bool, err error)
	// Save stores the run and extends the lease to l.Until (or ends it); a
	// fault of KindConflict when l.Owner does not hold the run any more.
	Save(ctx context.Context, r Run, l Lease) error
	// Run returns one run, or a fault of KindNotFound.
	Run(ctx context.Context, id string) (Run, error)
	// Runs returns the newest first; an empty workflow does not restrict.
	Runs(ctx context.Context, workflow string, limit int) ([]Run, error)
}
