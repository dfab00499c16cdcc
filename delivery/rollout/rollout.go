// Package rollout brings a new version to users step by step and takes it back
// as soon as it is known to be worse. Blue/green, canaries and flag ramps are
// the same thing here: a list of steps, each a share of the traffic and how
// long it is judged at that share; blue/green has one step, of 100 %.
//
// # Life of a run
//
//	running ─┬─> promoted   every step was good; the replaced side is kept for
//	         │              a while, so that it can still be switched back
//	         ├─> aborted    a step failed, stayed inconclusive, or a person
//	         │              said so; all traffic is at the stable side
//	         └─> failed     the traffic could not be moved back
//
// A step shifts traffic, has a guardian judge the window that begins then, and
// waits for a pause or a person where the definition says so. A pass or a
// warning goes on, a fail aborts at once (a guardian in watch mode fails
// before its window ends), anything else is judged again over a longer window
// until HoldFor is over, and then aborts: no evidence never promotes. The
// window of a step that holds grows, so that evidence adds up; a guardian in
// watch mode may be asked again and again without erring more often.
//
// # Crashes
//
// The run is stored before and after each effect. Shifting to a weight that is
// in force already does nothing, a validation has an id made of run, step and
// attempt, and events have derived ids: what was done before a crash is not
// done twice, and judging goes on over the same window.
//
// # Example
//
//	e, err := rollout.New(rollout.Config{Store: s, Mover: m, Validator: v, Recorder: changes})
//	go e.Run(ctx)
//	run, err := e.Start(ctx, def, rollout.Request{Candidate: side, Who: "kim"})
package rollout

import (
	"context"
	"time"

	"github.com/tidegate-io/tidegate/change"
	"github.com/tidegate-io/tidegate/delivery/traffic"
	"github.com/tidegate-io/tidegate/entity"
)

// Types of events. The first shift to users is a deployment that can be the
// cause of a problem; the shift back undoes it.
const (
	TypeStarted  = "rollout.started"
	TypeShifted  = "rollout.shifted"
	TypeJudged   = "rollout.judged"
	TypePromoted = "rollout.promoted"
	TypeAborted  = "rollout.aborted"
	TypeFailed   = "rollout.failed"
)

// Rollout is the definition: how a new version gets its users.
type Rollout struct {
	Name   string            `json:"name"`
	Labels map[string]string `json:"labels,omitempty"`
	// Target is the service whose version it is: what its events are about.
	Target entity.Ref `json:"target"`
	// Exactly one of Route and Flag is set.
	Route string `json:"route,omitempty"`
	Flag  *Flag  `json:"flag,omitempty"`
	// Guardian judges the steps; its variables candidate and stable are the
	// two versions.
	Guardian string `json:"guardian,omitempty"`
	Steps    []Step `json:"steps"`
	// HoldFor is how long a step without a clear verdict is judged again
	// before the rollout is aborted; default 10 min.
	HoldFor time.Duration `json:"holdFor,omitempty" doc:"nanoseconds"`
	// Keep is how long the replaced side is kept after promotion for an
	// instant switch back; default 5 min.
	Keep time.Duration `json:"keep,omitempty" doc:"nanoseconds"`
}

// Flag is a flag whose variant is given to a growing share of callers.
type Flag struct {
	Set     string `json:"set,omitempty"`
	Key     string `json:"key"`
	Variant string `json:"variant"`
}

// Step is one share of the traffic.
type Step struct {
	// Weight of the candidate in percent.
	Weight float64 `json:"weight"`
	// LoadTest is run to its end first; then its window is judged. For tests
	// of a side that has no users yet, with the route's force header.
	LoadTest string `json:"loadTest,omitempty"`
	// For is the length of the judged window, which begins with the shift;
	// zero judges nothing (unless there is a load test).
	For time.Duration `json:"for,omitempty" doc:"nanoseconds"`
	// Pause after the verdict.
	Pause time.Duration `json:"pause,omitempty" doc:"nanoseconds"`
	// Approve waits for a person.
	Approve bool `json:"approve,omitempty"`
}

func (s Step) judged() bool { return s.For > 0 || s.LoadTest != "" }

// State of a run.
type State string

// The states.
const (
	StateRunning  State = "running"
	StatePromoted State = "promoted"
	StateAborted  State = "aborted"
	StateFailed   State = "failed"
)

// Phase is what a run is doing, for people and for going on after a crash.
type Phase string

// The phases.
const (
	PhaseShift   Phase = "shift"   // moves traffic to the step's weight
	PhaseJudge   Phase = "judge"   // waits for the verdict
	PhaseHold    Phase = "hold"    // the verdict was not clear: judges again
	PhasePause   Phase = "pause"   // waits for the time, or a person
	PhasePromote Phase = "promote" // gives the candidate everything
	PhaseBack    Phase = "back"    // gives the stable side everything
	PhaseKeep    Phase = "keep"    // promoted; the replaced side is kept
	PhaseDone    Phase = "done"
)

// Run is one execution of a rollout, with the definition as it was.
type Run struct {
	ID      string  `json:"id"`
	Rollout Rollout `json:"rollout"`
	// Stable and Candidate are the two sides; of a flag ramp only the names
	// are set, to the variants.
	Stable    traffic.Side `json:"stable"`
	Candidate traffic.Side `json:"candidate"`
	Who       string       `json:"who"`
	Reason    string       `json:"reason,omitempty"`
	// Correlation groups it with a release.
	Correlation string `json:"correlation,omitempty"`

	State State `json:"state"`
	Phase Phase `json:"phase"`
	// At is the index of the current step.
	At    int       `json:"at"`
	Steps []StepRun `json:"steps"`
	// Why is the outcome, or what is being waited for, in a sentence.
	Why       string    `json:"why,omitempty"`
	DecidedBy string    `json:"decidedBy,omitempty" doc:"guardian, or the person who promoted or aborted"`
	Started   time.Time `json:"started"`
	Finished  time.Time `json:"finished,omitzero"`
	KeepUntil time.Time `json:"keepUntil,omitzero"`
	// Back is when and how fast all traffic was moved back.
	Back *Shift `json:"back,omitempty"`
}

// Shift is one movement of traffic.
type Shift struct {
	Weight   float64   `json:"weight"`
	Asked    time.Time `json:"asked"`
	Done     time.Time `json:"done,omitzero"`
	InFlight int64     `json:"inFlight,omitempty" doc:"requests that were not answered within the drain time"`
}

// StepRun is what happened in one step.
type StepRun struct {
	Weight   float64       `json:"weight"`
	Shift    Shift         `json:"shift"`
	From     time.Time     `json:"from,omitzero"`
	To       time.Time     `json:"to,omitzero"`
	Attempts int           `json:"attempts,omitempty"`
	HoldEnds time.Time     `json:"holdEnds,omitzero"`
	Verdicts []StepVerdict `json:"verdicts,omitempty"`
	Approved string        `json:"approvedBy,omitempty"`
}

// StepVerdict is one verdict of the guardian.
type StepVerdict struct {
	Validation string  `json:"validation"`
	Status     string  `json:"status"`
	Headline   string  `json:"headline,omitempty"`
	Requests   float64 `json:"requests" doc:"requests of the candidate in the window"`
	// FirstFailure is the start of the candidate's first failing request.
	FirstFailure time.Time `json:"firstFailure,omitzero"`
}

// Query selects runs, newest first.
type Query struct {
	Rollout string
	State   State
	Phase   Phase
	Limit   int // 0 means 100
}

// Store keeps runs. Safe for concurrent use; what returned without an error
// survives a crash.
type Store interface {
	PutRun(ctx context.Context, r Run) error // insert or replace by ID
	Run(ctx context.Context, id string) (Run, error)
	Runs(ctx context.Context, q Query) ([]Run, error)
}

// Mover moves traffic. Asking for what is in force already does nothing.
type Mover interface {
	// Stable is the side that has the users now. A fault of KindNotFound for
	// an unknown route or flag; a route without any side answers ok=false.
	Stable(ctx context.Context, r Rollout) (side traffic.Side, ok bool, err error)
	// Shift gives the candidate the weight in percent, the stable side the
	// rest.
	Shift(ctx context.Context, r Run, weight float64) error
	// Drain waits until a side has answered its last request, and returns how
	// many it has not when the route's patience is over.
	Drain(ctx context.Context, r Run, side traffic.Side) (left int64, err error)
}

// Validation asks for a verdict on a window; ID makes it idempotent.
type Validation struct {
	ID, Guardian      string
	Stable, Candidate string // versions
	From, To          time.Time
	Who               string
}

// Validator judges. It blocks until there is a verdict.
type Validator interface {
	Validate(ctx context.Context, v Validation) (StepVerdict, error)
}

// Tester runs a load test to its end and returns the window it took.
type Tester interface {
	Test(ctx context.Context, name, who string) (from, to time.Time, err error)
}

// Recorder stores events; recording one whose id is there already is harmless.
// *change.Log is one.
type Recorder interface {
	Record(ctx context.Context, e change.Event) (change.Event, error)
}
