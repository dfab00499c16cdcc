// Package guardian watches over a service: a guardian is a list of
// objectives, a validation is one look at all of them over a window. It asks
// a [Sampler] for numbers, has them judged by package judge, gathers evidence
// when the verdict is not a pass, and keeps the history that adaptive
// objectives learn from.
//
// # Life of a validation
//
// [Service.Start] stores a validation as pending: what it answered is not
// lost. [Service.Run] waits until the window has ended and its telemetry has
// settled, then reads, judges and explains it, and stores the result. Watch
// objectives are looked at after every slice before, and a fail ends the
// validation there; watch.go says how. After a
// crash pending and half-done validations are done again from the start;
// reading and judging have no effects and the same input gives the same
// verdict, so a validation has one outcome however often it was attempted.
//
// # Invariants
//
//   - What could not be read is never a pass: no data is inconclusive, a
//     failing query is an error, both by package judge.
//   - A run trains the adaptive objectives of its variant when it passed,
//     warned or was itself learning, unless a person rejected it; a run that
//     failed, erred or was inconclusive does only when a person accepted it.
//   - Events carry ids derived from the validation's, so that none is
//     recorded twice.
//
// # Example
//
//	svc, err := guardian.New(guardian.Config{Definitions: defs, Store: store, Sampler: sampler})
//	go svc.Run(ctx)
//	v, err := svc.Start(ctx, guardian.Request{Guardian: "checkout", Last: time.Minute, Who: "kim"})
//	v, err = svc.Wait(ctx, v.ID)
//	fmt.Println(v.Headline)
package guardian

import (
	"context"
	"time"

	"github.com/tidegate-io/tidegate/entity"
	"github.com/tidegate-io/tidegate/evidence"
	"github.com/tidegate-io/tidegate/judge"
)

// Guardian is the definition.
type Guardian struct {
	Name        string            `json:"name"`
	Labels      map[string]string `json:"labels,omitempty"`
	Description string            `json:"description,omitempty"`
	Target      entity.Ref        `json:"target"`
	Objectives  []Objective       `json:"objectives"`
	Options     judge.Options     `json:"options"`
	// VariantBy names the validation tags that separate histories
	// ("environment"): runs with different values are not learned from together.
	VariantBy []string `json:"variantBy,omitempty"`
	// Variables are what ${name} in places, operations and PromQL stands for
	// unless a run says otherwise; see variables.go.
	Variables map[string]string `json:"variables,omitempty"`
	// Settle is how long to wait after the window before reading it, so that
	// late telemetry is in; default 5 s.
	Settle time.Duration `json:"settle,omitempty"`
	// Schedule validates every Every over the last Last.
	Schedule *Schedule `json:"schedule,omitempty"`
}

// Schedule is a periodic validation.
type Schedule struct {
	Every time.Duration `json:"every"`
	Last  time.Duration `json:"last"`
}

// Objective is an indicator with what it is held against.
type Objective struct {
	judge.Objective
	Indicator Indicator `json:"indicator"`
	// CompareTo is the place compared with, Shift the time before, for
	// comparison and watch objectives.
	CompareTo *entity.Ref   `json:"compareTo,omitempty"`
	Shift     time.Duration `json:"shift,omitempty"`
	// Optional: where there is no data at all the objective is left out of
	// the verdict, instead of making it inconclusive. For signals that not
	// every service has.
	Optional bool `json:"optional,omitempty"`
}

// Indicator says what to measure. Exactly one of Latency, ErrorRate,
// Throughput, PromQL and Ratio is set.
type Indicator struct {
	Latency    *SpanIndicator `json:"latency,omitempty"`
	ErrorRate  *SpanIndicator `json:"errorRate,omitempty"`
	Throughput *SpanIndicator `json:"throughput,omitempty"`
	// PromQL is any expression; several series are an error.
	PromQL string `json:"promql,omitempty"`
	Unit   string `json:"unit,omitempty"`
}

// SpanIndicator is measured on the spans that serve requests (kinds server
// and consumer) of the target.
type SpanIndicator struct {
	Operation string `json:"operation,omitempty"`
	// Target overrides the guardian's.
	Target *entity.Ref `json:"target,omitempty"`
}

// Window is a half-open interval of time.
type Window struct {
	From time.Time `json:"from"`
	To   time.Time `json:"to"`
}

// State of a validation.
type State string

// The states.
const (
	StatePending  State = "pending" // waits for the window to end and settle
	StateRunning  State = "running"
	StateFinished State = "finished"
)

// Validation is one look at all objectives.
type Validation struct {
	ID       string     `json:"id"`
	Guardian string     `json:"guardian"`
	Target   entity.Ref `json:"target"`
	// Number counts the guardian's validations from 1.
	Number  int               `json:"number"`
	Variant string            `json:"variant,omitempty"`
	Tags    map[string]string `json:"tags,omitempty" doc:"purpose, environment, version, …"`
	// Variables are the values given for this run.
	Variables map[string]string `json:"variables,omitempty"`
	Window    Window            `json:"window"`
	State     State             `json:"state"`
	// Trigger says who or what asked: "manual", "schedule", "event", "workflow", "api".
	Trigger  string    `json:"trigger"`
	Who      string    `json:"who,omitempty"`
	EventID  string    `json:"eventId,omitempty"`
	Created  time.Time `json:"created"`
	Started  time.Time `json:"started,omitzero"`
	Finished time.Time `json:"finished,omitzero"`

	// Status is the verdict's, once finished.
	Status  judge.Status   `json:"status,omitempty"`
	Verdict *judge.Verdict `json:"verdict,omitempty"`
	// Sources says for each result of the verdict where its number came from.
	Sources  []Source           `json:"sources,omitempty"`
	Evidence *evidence.Evidence `json:"evidence,omitempty"`
	// Watch is there when objectives were watched while the window was open.
	Watch *Watch `json:"watch,omitempty"`
	// Headline is the verdict as one sentence, with the cause where known.
	Headline string `json:"headline,omitempty"`

	// Training: "auto" (learned from when it passed), "accepted", "rejected".
	Training string `json:"training"`
	Pinned   bool   `json:"pinned,omitempty" doc:"reference run"`
}

// Source is where a number came from.
type Source struct {
	Objective string   `json:"objective"`
	Queries   []string `json:"queries"`
	Window    Window   `json:"window"`
	// Series is a drawable course over the window and some time before it:
	// [unix seconds, value]; gaps are null.
	Series [][2]judge.Number `json:"series,omitempty"`
}

// Reading asks for one indicator over one window.
type Reading struct {
	Indicator Indicator
	Target    entity.Ref
	Window    Window
	Slice     time.Duration
}

// Sampler reads indicators. A failing query is reported in Sample.Err, not as
// an error; the error is for what makes the whole validation impossible.
type Sampler interface {
	// Sample returns the sample and the PromQL expressions it was read by.
	Sample(ctx context.Context, r Reading) (judge.Sample, []string, error)
}

// HistoryQuery selects validations, newest first.
type HistoryQuery struct {
	Guardian string
	Variant  *string
	State    State
	Limit    int  // 0 means 100
	Before   int  // only numbers below this one; 0 does not restrict
	Pinned   bool // only pinned ones
}

// Store keeps validations. Safe for concurrent use; what returned without an
// error survives a crash.
type Store interface {
	// Create stores a new validation and assigns its Number. When one with the
	// same ID exists it returns that one and created=false.
	Create(ctx context.Context, v Validation) (stored Validation, created bool, err error)
	// Update replaces a validation by ID.
	Update(ctx context.Context, v Validation) error
	Validation(ctx context.Context, id string) (Validation, error)
	// Validations may leave out Evidence, Sources and Watch, which are large.
	Validations(ctx context.Context, q HistoryQuery) ([]Validation, error)
}
