// Package deploy is what a pipeline knows about running things: a Revision of
// an App is deployed to a Target by a Deployer.
//
// A target is an app in an environment, and there a slot. The empty slot is
// the app's only place; a new revision replaces what runs there. Slots with
// names ("blue" and "green", "stable" and "candidate") are places side by
// side, each with its own revision and its own address: what sends the
// traffic to which is not the deployer's business.
//
// # What every Deployer promises
//
//   - Deploy returns without an error only when the revision serves: its
//     health check passed. Until then, and when it fails, the revision before
//     it keeps serving (or serves again, where both need one port), and
//     nothing of the new one is left behind.
//   - Deploy and Rollback are idempotent by Key: asked again with the key of a
//     deployment that took place they answer what it answered. A deployment
//     that a crash interrupted is begun anew after its rests are cleared away.
//   - A failure says what kind it is ([Failure]); the end of ctx is the limit
//     of the time.
//
// Implementations: internal/deployer/process, internal/deployer/command.
package deploy

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/tidegate-io/tidegate/fault"
)

// Deployer runs revisions. Safe for concurrent use.
type Deployer interface {
	// Deploy makes the revision run at the target.
	Deploy(ctx context.Context, r Request) (Instance, error)
	// Rollback makes a revision run again that ran there before. It promises
	// what Deploy does, and may be faster.
	Rollback(ctx context.Context, r Request) (Instance, error)
	// Current is what runs at the target; a fault of KindNotFound when
	// nothing was deployed there.
	Current(ctx context.Context, t Target) (Instance, error)
	// Previous is what ran there before; a fault of KindNotFound when nothing
	// did.
	Previous(ctx context.Context, t Target) (Instance, error)
	// Health says how what runs there is.
	Health(ctx context.Context, t Target) (Health, error)
}

// Remover is a Deployer that can take away what runs at a target, for slots
// that are not needed any more. Removing nothing is no error.
type Remover interface {
	Remove(ctx context.Context, t Target) error
}

// Target is where a revision runs.
type Target struct {
	App         string `json:"app"`
	Environment string `json:"environment"`
	Slot        string `json:"slot,omitempty" doc:"a place beside others, like green; empty for the only one"`
}

// String is the short human form, "shop in production (green)".
func (t Target) String() string {
	s := t.App + " in " + t.Environment
	if t.Slot != "" {
		s += " (" + t.Slot + ")"
	}
	return s
}

// Request asks for a deployment. The time it may take is ctx's.
type Request struct {
	// Key identifies the deployment; required.
	Key string `json:"key"`
	Target
	Revision Revision `json:"revision"`
	Spec     App      `json:"spec"`
}

// Validate reports what is missing, as a fault of KindInvalid.
func (r *Request) Validate() error {
	switch {
	case r.Key == "":
		return fault.InvalidField("key", "a deployment needs a key")
	case !ValidName(r.App) || !ValidName(r.Environment) || (r.Slot != "" && !ValidName(r.Slot)):
		return fault.InvalidField("app", "app, environment and slot are names of letters, digits, dashes, dots and underscores: got %s", r.Target)
	case r.Revision.Version == "":
		return fault.InvalidField("revision.version", "a deployment needs a version")
	}
	return nil
}

// Instance is a revision that runs, or ran, at a target.
type Instance struct {
	Target
	Key      string    `json:"key" doc:"of the deployment that made it"`
	Revision Revision  `json:"revision"`
	Address  string    `json:"address,omitempty" doc:"base URL, where there is one"`
	Since    time.Time `json:"since"`
}

// State of what runs at a target.
type State string

// The states.
const (
	StateStarting   State = "starting"
	StateHealthy    State = "healthy"
	StateUnhealthy  State = "unhealthy"
	StateRestarting State = "restarting" // it ended by itself and is started again
	StateUnknown    State = "unknown"    // the deployer cannot tell
)

// Health is how what runs at a target is.
type Health struct {
	State    State     `json:"state" enum:"starting,healthy,unhealthy,restarting,unknown"`
	Detail   string    `json:"detail,omitempty"`
	Restarts int       `json:"restarts,omitempty" doc:"how often it ended by itself since it was deployed"`
	Checked  time.Time `json:"checked,omitzero"`
}

// Cause is the kind of a failed deployment.
type Cause string

// The causes.
const (
	CauseStart     Cause = "did not start" // the program could not be run
	CauseCrash     Cause = "ended"         // it ended before it was healthy
	CauseUnhealthy Cause = "never healthy" // it ran, and its check did not pass in time
	CauseHang      Cause = "hung"          // the deployer itself did not come to an end
	CauseRefused   Cause = "refused"       // the deployer said no
)

// Failure is a deployment that did not come about. Trying the same again
// unchanged is useless, hence a fault of KindInvalid.
type Failure struct {
	Cause  Cause
	Target Target
	// Version that was to run, and Kept that runs instead; empty when nothing
	// does.
	Version, Kept string
	Detail        string
	// Output is the end of what it wrote.
	Output string
}

// Error says what happened and what runs now.
func (f *Failure) Error() string {
	s := fmt.Sprintf("%s: version %s %s", f.Target, f.Version, f.Cause)
	if f.Detail != "" {
		s += ": " + f.Detail
	}
	if f.Kept != "" {
		return s + "; version " + f.Kept + " keeps running"
	}
	return s + "; nothing runs there"
}

// As lets errors.As find a *fault.Error of KindInvalid.
func (f *Failure) As(target any) bool {
	e, ok := target.(**fault.Error)
	if ok {
		*e = &fault.Error{Kind: fault.KindInvalid, Err: errors.New(f.Error())}
	}
	return ok
}
