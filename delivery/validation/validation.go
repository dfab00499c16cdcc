// Package validation judges comparisons at their time: a pipeline that has
// deployed a build registers a validation, goes on, and finds its answer when
// the window it asked for has passed.
//
// # Life of a validation
//
// [Service.Register] checks the request, takes a copy of the performance
// signatures it is about, and stores it as waiting; what it answered is not
// lost. When the window has ended and its telemetry has settled, one process
// of those that share the store claims it by a lease, finds the entities of
// both environments, reads every metric on both sides and judges it. It is
// finished as ok, violation, inconclusive or error. Reading and judging have
// no effects: after a crash the lease runs out and it is done again.
//
// # Invariants
//
//   - A finished validation never changes.
//   - What is judged is the definition as it was when it was registered.
//   - No data, no entities and failed queries are never ok.
//   - A request with the same Key answers the same validation.
//
// # Example
//
//	svc, err := validation.New(validation.Config{Store: store, Signatures: catalog,
//		Entities: entities, Sampler: sampler, Relations: graph})
//	go svc.Run(ctx)
//	v, err := svc.Register(ctx, validation.Request{Pipeline: "shop", Build: "17", Stage: "staging",
//		Comparison: "StagingToProduction", In: 5 * time.Minute, Who: "pipeline/shop"})
//	v, err = svc.Wait(ctx, v.ID)
//	fmt.Println(v.Status, v.Summary)
package validation

import (
	"context"
	"time"

	"github.com/tidegate-io/tidegate/delivery/signature"
	"github.com/tidegate-io/tidegate/entity"
)

// Status of a validation.
type Status string

// The statuses. Those after running are final.
const (
	StatusWaiting      Status = "waiting" // for its window to end
	StatusRunning      Status = "running"
	StatusOK           Status = "ok"
	StatusViolation    Status = "violation"
	StatusInconclusive Status = "inconclusive" // too little was seen to say
	StatusError        Status = "error"        // it could not be done
)

// Final reports whether the validation has its answer.
func (s Status) Final() bool { return s != StatusWaiting && s != StatusRunning }

// Window is a half-open interval of time.
type Window struct {
	From time.Time `json:"from"`
	To   time.Time `json:"to"`
}

// Length of the window.
func (w Window) Length() time.Duration { return w.To.Sub(w.From) }

// Shifted returns the window moved back in time.
func (w Window) Shifted(by time.Duration) Window {
	return Window{From: w.From.Add(-by), To: w.To.Add(-by)}
}

// Request asks for a comparison to be judged.
type Request struct {
	// Key makes the request idempotent: the same one again answers the same
	// validation. A random one when empty.
	Key string
	// Pipeline, Build, Release and Stage say what the validation belongs to;
	// all are optional, the report groups by Pipeline and shows Build.
	Pipeline string
	Build    string
	Release  string
	Stage    string
	// Comparison is required: its name in the performance signatures.
	Comparison string
	// Signature restricts it to one signature; all that have the comparison
	// otherwise.
	Signature string
	// Monspec is a monspec.json whose signatures are used instead of those
	// that are in force.
	Monspec []byte
	// Mode, when set, is used instead of the comparison's.
	Mode signature.Mode
	// Service restricts both sides to one service, Version the source to one
	// version of it.
	Service string
	Version string
	// Environment is where the build was deployed, for the events and the
	// report; the comparison says itself what it compares.
	Environment string
	// In is how long from now on the source is watched before it is judged;
	// Last judges the time that has just passed. Exactly one is set.
	In   time.Duration
	Last time.Duration
	Who  string
}

// Validation is a registered comparison and its outcome.
type Validation struct {
	ID          string `json:"id"`
	Pipeline    string `json:"pipeline,omitempty"`
	Build       string `json:"build,omitempty"`
	Release     string `json:"release,omitempty"`
	Stage       string `json:"stage,omitempty"`
	Comparison  string `json:"comparison"`
	Service     string `json:"service,omitempty"`
	Version     string `json:"version,omitempty"`
	Environment string `json:"environment,omitempty"`
	Who         string `json:"who,omitempty"`

	Status Status `json:"status" enum:"waiting,running,ok,violation,inconclusive,error"`
	// Window is that of the request; shifts of the comparison come on top.
	Window   Window    `json:"window"`
	Due      time.Time `json:"due" doc:"when it is judged"`
	Created  time.Time `json:"created"`
	Started  time.Time `json:"started,omitzero"`
	Finished time.Time `json:"finished,omitzero"`
	// Attempts counts how often it was tried.
	Attempts int `json:"attempts,omitempty"`

	// Summary is the outcome, or what it waits for, in one sentence.
	Summary string `json:"summary"`
	// Violations and Warnings count the results that have one.
	Violations int `json:"violations"`
	Warnings   int `json:"warnings"`
	// Results are in the order of the signatures' metrics.
	Results []signature.Result `json:"results,omitempty"`
	// Sides are the entities that were compared, for each signature.
	Sides []Side `json:"sides,omitempty"`
	// Signatures are the definitions as they were when it was registered.
	Signatures []signature.Signature `json:"signatures,omitempty"`
}

// Side is what a signature's comparison was about.
type Side struct {
	Signature       string       `json:"signature"`
	Source          string       `json:"source" doc:"environment"`
	SourceEntities  []entity.Ref `json:"sourceEntities"`
	SourceWindow    Window       `json:"sourceWindow"`
	Compare         string       `json:"compare,omitempty" doc:"environment"`
	CompareEntities []entity.Ref `json:"compareEntities"`
	CompareWindow   Window       `json:"compareWindow"`
}

// Query selects validations, newest first. Zero fields do not restrict.
type Query struct {
	Pipeline   string
	Comparison string
	Status     Status
	Limit      int    // 0 means 100
	Before     string // id of the last validation of the previous page
}

// Lease says who works on a validation, and until when nobody else may.
type Lease struct {
	Owner string
	Until time.Time
}

// Store keeps validations. Safe for concurrent use, also by several processes;
// what returned without an error survives a crash.
type Store interface {
	// Create stores a new validation; when one with the same ID exists it
	// returns that one and created=false.
	Create(ctx context.Context, v Validation) (stored Validation, created bool, err error)
	// Claim gives l's owner the unfinished validation that has been due for
	// longest and that nobody holds a lease of; ok is false when there is none.
	Claim(ctx context.Context, l Lease, now time.Time) (v Validation, ok bool, err error)
	// Save replaces a validation that l's owner holds and sets the lease to
	// l.Until; a fault of KindConflict when somebody else holds it by now.
	Save(ctx context.Context, v Validation, l Lease) error
	// Release ends the leases of an owner whose process has ended.
	Release(ctx context.Context, owner string) error
	// Validation returns one, or a fault of KindNotFound.
	Validation(ctx context.Context, id string) (Validation, error)
	// Validations returns matching ones without their Signatures.
	Validations(ctx context.Context, q Query) ([]Validation, error)
}
