// Package loadtest drives requests at a target at a set pace and measures
// what the caller sees. A run reports when it started and when it finished;
// the finished event is what a guardian validates.
//
// A [Test] is the definition, a [Run] one execution of it. The [Runner] starts
// runs, keeps them in a [Store], and records test.started and test.finished
// as change events. What does the work is a [Tool]: the built-in HTTP
// generator or a program such as k6, both in internal/loadrun. The arithmetic
// of a load test is here and pure: [Schedule] says when each request is due,
// [Tally] adds up what came back.
//
// Arrivals are open-loop. When a request is due it is sent, whether or not
// earlier ones were answered, and its latency counts from when it was due, so
// a target that stalls cannot hide the stall by being sent less ("coordinated
// omission"). A request that is due while MaxInFlight are outstanding is not
// sent later in a burst: it is dropped and counted.
//
// # Lifecycle of a run
//
//	running → finished | failed | cancelled | lost
//
// The final state is stored first and the event recorded second, under an id
// derived from the run's. [Runner.Run] repairs what a crash left between the
// two, and calls runs lost that were running when the process died. Only a
// run that did its work ends with test.finished; the other ends are
// test.aborted, because nobody should judge half a test.
package loadtest

import (
	"context"
	"encoding/json"
	"time"

	"github.com/tidegate-io/tidegate/entity"
)

// Test is the definition of a load test.
type Test struct {
	Name    string            `json:"name"`
	Labels  map[string]string `json:"labels,omitempty"`
	Target  entity.Ref        `json:"target"`
	Purpose string            `json:"purpose,omitempty" doc:"training, acceptance, …"`

	// Exactly one of Request and Command is set.
	Request *Request `json:"request,omitempty"`
	Command *Command `json:"command,omitempty"`

	Duration time.Duration `json:"duration,omitempty" doc:"nanoseconds; default the sum of the stages"`
	// Stages of the arrival rate, which begins at zero. A stage that takes no
	// time is a jump, so a constant rate is {To: r}, {To: r, Over: duration}.
	Stages []Stage `json:"stages,omitempty"`
	// Timeout of one request, default 10 s; MaxInFlight default 1,000.
	Timeout     time.Duration `json:"timeout,omitempty"`
	MaxInFlight int           `json:"maxInFlight,omitempty"`
}

// Stage brings the rate from the previous stage's to To, linearly, over Over.
type Stage struct {
	To   float64       `json:"to" doc:"requests per second at the end"`
	Over time.Duration `json:"over" doc:"nanoseconds"`
}

// Request is what the built-in generator sends.
type Request struct {
	Method  string            `json:"method,omitempty"`
	URL     string            `json:"url"`
	Headers map[string]string `json:"headers,omitempty"`
	Body    string            `json:"body,omitempty"`
}

// Command is any other tool, k6 for example.
type Command struct {
	Args []string          `json:"args"`
	Env  map[string]string `json:"env,omitempty"`
	Dir  string            `json:"dir,omitempty"`
}

// State of a run.
type State string

// The states.
const (
	StateRunning   State = "running"
	StateFinished  State = "finished"
	StateFailed    State = "failed" // the tool or the generator could not do its work
	StateCancelled State = "cancelled"
	StateLost      State = "lost" // the server restarted during the run
)

// Run is one execution.
type Run struct {
	ID       string     `json:"id"`
	Test     string     `json:"test"`
	Target   entity.Ref `json:"target"`
	Purpose  string     `json:"purpose,omitempty"`
	Tool     string     `json:"tool"`
	Who      string     `json:"who,omitempty"`
	State    State      `json:"state"`
	Started  time.Time  `json:"started"`
	Finished time.Time  `json:"finished,omitzero"`
	Error    string     `json:"error,omitempty"`
	// CancelledBy and CancelReason: who ended it early, as they said.
	CancelledBy  string  `json:"cancelledBy,omitempty"`
	CancelReason string  `json:"cancelReason,omitempty"`
	Result       *Result `json:"result,omitempty"`
	// Output is the end of a command's output.
	Output string `json:"output,omitempty"`
}

// Result is what the caller saw.
type Result struct {
	Requests int64         `json:"requests"`
	Failures int64         `json:"failures"`
	Rate     float64       `json:"rate" doc:"requests per second"`
	Mean     time.Duration `json:"mean"`
	P50      time.Duration `json:"p50"`
	P90      time.Duration `json:"p90"`
	P99      time.Duration `json:"p99"`
	Max      time.Duration `json:"max"`
	// Codes counts HTTP status codes; "0" stands for no answer.
	Codes map[string]int64 `json:"codes,omitempty"`
	// Errors counts the most frequent error messages, at most ten.
	Errors map[string]int64 `json:"errors,omitempty"`
	// Dropped counts requests not sent because MaxInFlight was reached.
	Dropped int64 `json:"dropped,omitempty"`
	// Extra is what the command reported, as JSON.
	Extra json.RawMessage `json:"extra,omitempty"`
}

// Store keeps runs. Safe for concurrent use.
type Store interface {
	PutRun(ctx context.Context, r Run) error // insert or replace by ID
	Run(ctx context.Context, id string) (Run, error)
	Runs(ctx context.Context, test string, limit int) ([]Run, error) // newest first
}
