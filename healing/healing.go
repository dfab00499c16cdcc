// Package healing does something about problems: remediation as code, as a
// durable state machine, with safety rules that are always on.
//
// A [Remediation] says for which problems it is, how far it may go, and what to
// try in which order. For a problem whose cause is known the first remediation
// that matches (by name) is followed: its first attempt whose condition holds
// becomes an [Action]; when that did not help, the next; else a person is paged.
//
// # Life of an action
//
//	pending ──► waiting ──► acting ──► verifying ──► ended
//	   └───────────────────────┘ (approval: automatic)
//
// decide (create it) → check that the problem is still open and that no safety
// rule objects → approve, by policy or by a person → record the intent → attempt
// with an idempotency key → verify → record. Every arrow is one write to the
// store, with its line in the audit. How it ended is its [Outcome].
//
// # Invariants
//
//   - What is tried next is a function of the problem and of what is stored:
//     nothing is remembered in between, and ids are derived, so that asking
//     again ([Engine.Consider]) is harmless, in any process, at any time.
//   - The intent is recorded, in one transaction with the last look at the stop
//     switch, the caps and what else was done, before anything is done: of two
//     processes one acts. See [Store].Reserve.
//   - After a crash between attempt and record nobody knows whether it took
//     place. What is idempotent by its key is asked for again with the same key;
//     anything else is not, and verification decides.
//   - Only a verified action healed. "No error was reported" is not verified.
//   - An attempt to take something back that fails ends the remediation and
//     pages; the service is left alone until that problem is closed.
//
// # Example
//
//	e, err := healing.New(healing.Config{Store: db.Healing(), Problems: problems, Changes: changes, Actors: actors})
//	err = e.Define(remediations)
//	go e.Run(ctx)
//	err = e.Consider(ctx, p) // whenever a problem changed
package healing

import (
	"time"

	"github.com/tidegate-io/tidegate/problem"
)

// Remediation is the definition.
type Remediation struct {
	Name   string            `json:"name"`
	Labels map[string]string `json:"labels,omitempty"`
	For    Match             `json:"for"`
	Policy Policy            `json:"policy"`
	// Attempts are tried in order.
	Attempts []Attempt `json:"attempts"`
	// Otherwise is what happens when no attempt is left.
	Otherwise Otherwise `json:"otherwise,omitzero"`
}

// Match says which problems a remediation is for. Empty fields do not restrict;
// of a list one element must match, of tags each.
type Match struct {
	Environment []string            `json:"environment,omitempty"`
	Service     []string            `json:"service,omitempty" doc:"where the cause is, or a service that is hurt"`
	Severity    []problem.Severity  `json:"severity,omitempty"`
	Cause       []problem.CauseKind `json:"cause,omitempty"`
	Tags        map[string]string   `json:"tags,omitempty"`
	If          string              `json:"if,omitempty" doc:"CEL over problem and cause"`
}

// Approval says who lets an action happen.
type Approval string

// The ways of approval.
const (
	ApprovalAutomatic Approval = "automatic"
	ApprovalManual    Approval = "manual"
)

// Policy bounds what a remediation may do.
type Policy struct {
	Approval Approval `json:"approval"`
	// ApprovalTimeout is how long an action waits for a person.
	ApprovalTimeout time.Duration `json:"approvalTimeout" doc:"nanoseconds"`
	// CoolDown is the time after an action on a service in which no other
	// problem causes another one there.
	CoolDown time.Duration `json:"coolDown" doc:"nanoseconds"`
	// PerHour is how many actions on one service an hour may see.
	PerHour int `json:"perHour"`
	// MaxServices and MaxShare limit the blast radius: how many services an
	// action touches, and what share of the instances of its environment, in
	// (0, 1]; 1 is no limit.
	MaxServices int     `json:"maxServices"`
	MaxShare    float64 `json:"maxShare"`
	// MinConfidence is how sure the analysis must be of the cause.
	MinConfidence float64 `json:"minConfidence"`
	// Patience is how long the analysis may take before a cause that is not
	// known well enough is left to a person.
	Patience time.Duration `json:"patience" doc:"nanoseconds"`
	// DryRun records what would be done, and does nothing.
	DryRun bool `json:"dryRun,omitempty"`
}

// Attempt is one thing to try.
type Attempt struct {
	Name   string `json:"name"`
	When   string `json:"when,omitempty" doc:"CEL over problem and cause"`
	Do     Do     `json:"do"`
	Verify Verify `json:"verify"`
}

// Kind says what is done.
type Kind string

// The kinds. The first three take something back; see Kind.Reverts.
const (
	KindUndo     Kind = "undo"     // a change: the flag's previous variant, or the way its event says
	KindRollback Kind = "rollback" // a deployment, to an earlier revision
	KindSwitch   Kind = "switch"   // traffic back to the other side of blue and green
	KindScale    Kind = "scale"
	KindCommand  Kind = "command"
	KindWebhook  Kind = "webhook"
	KindPage     Kind = "page" // tell a person
)

// Reverts reports whether the kind takes a change back. Such an action needs a
// change to blame, is done once per change, and halts when it fails.
func (k Kind) Reverts() bool { return k == KindUndo || k == KindRollback || k == KindSwitch }

// Do says what to do; exactly one field is set.
type Do struct {
	Undo     *Undo     `json:"undo,omitempty"`
	Rollback *Rollback `json:"rollback,omitempty"`
	Switch   *Switch   `json:"switch,omitempty"`
	Scale    *Scale    `json:"scale,omitempty"`
	Command  *Command  `json:"command,omitempty"`
	Webhook  *Webhook  `json:"webhook,omitempty"`
}

// Undo takes the change back that is the cause.
type Undo struct{}

// LastGood stands for the newest earlier revision that nobody judged bad.
const LastGood = "last-good"

// Rollback deploys an earlier revision of what the cause deployed.
type Rollback struct {
	To  string `json:"to" doc:"last-good, or a revision"`
	Via Via    `json:"via,omitzero"`
}

// Switch sends traffic back to where it went before the cause: the way the
// change says that it is undone, unless Via says how.
type Switch struct {
	Via Via `json:"via,omitzero"`
}

// Scale sets the number of instances, or changes it.
type Scale struct {
	To  int `json:"to,omitempty"`
	By  int `json:"by,omitempty"`
	Via Via `json:"via,omitzero"`
}

// Via says how, where Tidegate cannot do it itself: at most one is set.
type Via struct {
	Command *Command `json:"command,omitempty"`
	Webhook *Webhook `json:"webhook,omitempty"`
}

// Command is a program. It gets the [Request] as JSON on its standard input and
// may answer with an [Answer] on its standard output.
type Command struct {
	Args    []string          `json:"args"`
	Env     map[string]string `json:"env,omitempty"`
	Dir     string            `json:"dir,omitempty"`
	Timeout time.Duration     `json:"timeout" doc:"nanoseconds"`
	// Idempotent: run twice it does the same, so that it may be run again when
	// nobody knows whether it ran.
	Idempotent bool `json:"idempotent,omitempty"`
}

// Webhook is an HTTP endpoint. It gets the [Request] as JSON, with the key of
// the action as Idempotency-Key, and may answer with an [Answer].
type Webhook struct {
	URL     string            `json:"url"`
	Headers map[string]string `json:"headers,omitempty"`
	// SecretEnv or SecretFile name the key of the signature.
	SecretEnv  string        `json:"secretEnv,omitempty"`
	SecretFile string        `json:"secretFile,omitempty"`
	Timeout    time.Duration `json:"timeout" doc:"nanoseconds"`
}

// Verify says how it is known whether an action helped.
type Verify struct {
	// Guardian whose validations must pass; empty waits for the problem to be
	// closed.
	Guardian  string            `json:"guardian,omitempty"`
	Variables map[string]string `json:"variables,omitempty"`
	// Settle is the time between the action and the first look.
	Settle time.Duration `json:"settle" doc:"nanoseconds"`
	// Window is the length of one validation; they are repeated until one
	// passes or Within is over.
	Window time.Duration `json:"window" doc:"nanoseconds"`
	Within time.Duration `json:"within" doc:"nanoseconds"`
}

// Otherwise is the end of a remediation that did not heal.
type Otherwise struct {
	Page *PageTo `json:"page,omitempty"`
}

// PageTo says whom to page.
type PageTo struct {
	OnCall  string `json:"onCall,omitempty"`
	Channel string `json:"channel,omitempty"`
}

// Kind returns what is done.
func (d *Do) Kind() Kind {
	switch {
	case d.Undo != nil:
		return KindUndo
	case d.Rollback != nil:
		return KindRollback
	case d.Switch != nil:
		return KindSwitch
	case d.Scale != nil:
		return KindScale
	case d.Command != nil:
		return KindCommand
	case d.Webhook != nil:
		return KindWebhook
	}
	return ""
}

// via returns the program or endpoint that does it; nil for what Tidegate does
// itself.
func (d *Do) via() (*Command, *Webhook) {
	var v Via
	switch {
	case d.Rollback != nil:
		v = d.Rollback.Via
	case d.Switch != nil:
		v = d.Switch.Via
	case d.Scale != nil:
		v = d.Scale.Via
	default:
		v = Via{Command: d.Command, Webhook: d.Webhook}
	}
	return v.Command, v.Webhook
}

// repeatable reports whether it may be done again when nobody knows whether it
// was done: by its key, or because it says so.
func (d *Do) repeatable() bool {
	command, _ := d.via()
	switch {
	case command != nil:
		return command.Idempotent
	case d.Scale != nil:
		return d.Scale.By == 0 || d.Scale.Via.Webhook != nil
	}
	return true
}
