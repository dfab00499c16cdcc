// Package evidence finds out why: from the failing and slow requests of a
// window it derives where failures began, which calls got slower, which log
// messages are new, and which change came before. It is pure over the values
// of telemetry and change; whoever asks supplies the readers.
package evidence

import (
	"time"

	"github.com/tidegate-io/tidegate/change"
	"github.com/tidegate-io/tidegate/entity"
	"github.com/tidegate-io/tidegate/telemetry"
)

// Evidence is everything found for one verdict.
type Evidence struct {
	// Failures are groups of failed requests by where they began, largest first.
	Failures []FailureGroup `json:"failures,omitempty"`
	// FailedTraces is the number of failing traces looked at; Truncated says
	// that there were more.
	FailedTraces int  `json:"failedTraces"`
	Truncated    bool `json:"truncated,omitempty"`
	// FirstFailure is the start of the earliest failing request in the window.
	FirstFailure time.Time `json:"firstFailure,omitzero"`
	// Slow lists where time is spent more than in the baseline, largest first.
	Slow []SlowPath `json:"slow,omitempty"`
	// Logs lists message templates that are new or more frequent.
	Logs []LogTemplate `json:"logs,omitempty"`
	// Changes are the candidate causes, most likely first.
	Changes []Candidate `json:"changes,omitempty"`
	// Gaps says what could not be looked at and why ("no log store").
	Gaps []string `json:"gaps,omitempty"`
}

// Cause returns the change most likely to blame, if any is likely enough.
func (e *Evidence) Cause() (Candidate, bool) {
	if e == nil || len(e.Changes) == 0 || !e.Changes[0].Likely {
		return Candidate{}, false
	}
	return e.Changes[0], true
}

// Frame is one line of a stack trace.
type Frame struct {
	Function string `json:"function"`
	File     string `json:"file,omitempty"`
	Line     int    `json:"line,omitempty"`
	InApp    bool   `json:"inApp" doc:"not from a library or the runtime"`
}

// FailureGroup is a set of failed requests with the same origin.
type FailureGroup struct {
	// Signature identifies the group across runs (hash of the fields below).
	Signature     string `json:"signature"`
	Service       string `json:"service"`
	Operation     string `json:"operation"`
	ExceptionType string `json:"exceptionType,omitempty"`
	// Message has numbers and ids masked.
	Message  string `json:"message,omitempty"`
	StackTop *Frame `json:"stackTop,omitempty"`
	// Path is the chain of calls from the entry to the origin.
	Path []Hop `json:"path"`

	Count int `json:"count"`
	// Share of the failing traces that this group explains, in [0, 1].
	Share     float64   `json:"share"`
	FirstSeen time.Time `json:"firstSeen"`
	LastSeen  time.Time `json:"lastSeen"`
	// SeenBefore: the same signature occurred in the baseline window.
	SeenBefore bool `json:"seenBefore"`
	// Exemplars are up to five traces, newest first.
	Exemplars []Exemplar `json:"exemplars"`
	// Note says what limits the finding: the called side left no span.
	Note string `json:"note,omitempty"`

	// What ranking needs beyond what is shown: the origin as it is named in
	// spans (with its version), the called side that left no span, the flags
	// that the failing requests evaluated, when it began (also before the
	// window), and whether it was about as frequent in the baseline.
	Origin  entity.Ref `json:"-"`
	Peer    string     `json:"-"`
	Flags   []string   `json:"-"`
	Started time.Time  `json:"-"`
	Usual   bool       `json:"-"`
}

// Hop is one service call on a path.
type Hop struct {
	Service   string `json:"service"`
	Operation string `json:"operation"`
	Kind      string `json:"kind,omitempty"`
}

// Exemplar is one request that shows the finding.
type Exemplar struct {
	TraceID   telemetry.TraceID    `json:"traceId"`
	SpanID    telemetry.SpanID     `json:"spanId"`
	Time      time.Time            `json:"time"`
	Duration  time.Duration        `json:"duration" doc:"nanoseconds"`
	Exception *telemetry.Exception `json:"exception,omitempty"`
	Frames    []Frame              `json:"frames,omitempty"`
}

// SlowPath is one operation's share of the critical path.
type SlowPath struct {
	Service   string `json:"service"`
	Operation string `json:"operation"`
	// Self time on the critical path per request, candidate and baseline.
	Candidate time.Duration `json:"candidate" doc:"nanoseconds"`
	Baseline  time.Duration `json:"baseline" doc:"nanoseconds"`
	Exemplars []Exemplar    `json:"exemplars,omitempty"`
}

// LogTemplate is a family of log lines that differ only in their variables.
type LogTemplate struct {
	Service  string              `json:"service"`
	Severity string              `json:"severity"`
	Template string              `json:"template"`
	Count    int                 `json:"count"`
	Baseline int                 `json:"baseline"`
	New      bool                `json:"new"`
	Sample   telemetry.LogRecord `json:"sample"`
	TraceIDs []telemetry.TraceID `json:"traceIds,omitempty"`

	// First is the earliest of its lines in the window; Same says that all of
	// them (more than one) are equal to the letter, variables included.
	First time.Time `json:"-"`
	Same  bool      `json:"-"`
}

// Candidate is a change that may be the cause.
type Candidate struct {
	Event change.Event `json:"event"`
	// Where the change touches the causal path; empty when it names no service.
	On entity.Ref `json:"on"`
	// SecondsBefore is the time from the change to the first failure.
	SecondsBefore float64 `json:"secondsBeforeFirstFailure"`
	// Likely: on the causal path and shortly before the onset.
	Likely bool    `json:"likely"`
	Score  float64 `json:"score"`
	Why    string  `json:"why"`
}
