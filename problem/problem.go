// Package problem knows when users are hurt: events that detectors, rules and
// other monitors raise become problems, one problem per cause, each with its
// impact, its most likely cause and what was done about it.
//
// An Event is one symptom at one place: the error rate of one operation, a log
// pattern, an alert from outside. A Problem is the set of events that are close
// in time and connected in the service graph, because they have one cause.
// Package problem/detect raises events from golden signals; package
// problem/cause finds the cause; package healing does something about it.
package problem

import (
	"time"

	"github.com/tidegate-io/tidegate/entity"
	"github.com/tidegate-io/tidegate/evidence"
	"github.com/tidegate-io/tidegate/telemetry"
)

// Signal is what went wrong at the place of an event.
type Signal string

// The signals.
const (
	SignalErrors       Signal = "errors"        // share of failed requests
	SignalLatency      Signal = "latency"       // median
	SignalSlowest      Signal = "slowest"       // slowest 10 %
	SignalTrafficDrop  Signal = "traffic.drop"  // fewer requests than expected
	SignalTrafficSurge Signal = "traffic.surge" // more requests than expected
	SignalNoData       Signal = "no-data"       // nothing arrives any more
	SignalSeries       Signal = "series"        // a PromQL series that a person named
	SignalAlert        Signal = "alert"         // a static alert (PromQL) that a person wrote
	SignalLog          Signal = "log"           // a log rule, or a critical log record
	SignalExternal     Signal = "external"      // said by another monitor
)

// Severity orders problems by how much they hurt.
type Severity string

// The severities, worst first.
const (
	SeverityAvailability Severity = "availability" // nothing works
	SeverityError        Severity = "error"        // requests fail
	SeveritySlowdown     Severity = "slowdown"     // requests are slow
	SeverityResource     Severity = "resource"     // something runs out
	SeverityCustom       Severity = "custom"       // a person's own alert
	SeverityInfo         Severity = "info"         // worth knowing, nobody is hurt
)

// Event is one symptom at one place, from its onset to its end. Events are
// values: the same event is raised again with later figures while it lasts.
type Event struct {
	// ID is the same each time the event is raised.
	ID     string `json:"id"`
	Source string `json:"source" doc:"detector, log-rule, alert, alertmanager, pagerduty, dynatrace, api"`
	Signal Signal `json:"signal"`
	entity.Ref
	Operation string   `json:"operation,omitempty"`
	Severity  Severity `json:"severity"`
	Title     string   `json:"title"`

	// Start is the estimated onset, Detected when it was certain enough to
	// say so, End when it was over (zero while it lasts).
	Start    time.Time `json:"start"`
	Detected time.Time `json:"detected"`
	End      time.Time `json:"end,omitzero"`

	// Observed and Expected are in Unit: a ratio for errors, seconds for
	// latencies, requests per second for traffic, the series' own otherwise.
	Observed float64 `json:"observed"`
	Expected float64 `json:"expected"`
	Unit     string  `json:"unit,omitempty"`
	// Affected is the number of failed or slow requests so far, of Requests.
	Affected float64 `json:"affected,omitempty"`
	Requests float64 `json:"requests,omitempty"`
	// EValue is the evidence against "all is as usual" (betting odds); 0 where
	// a rule rather than a test raised the event.
	EValue float64 `json:"eValue,omitempty"`
	// Query is the PromQL expression that shows the signal.
	Query string `json:"query,omitempty"`
	// Why is one sentence with the figures.
	Why string `json:"why,omitempty"`
	// Informational events are shown on the timeline and open no problem.
	Informational bool              `json:"informational,omitempty"`
	Tags          map[string]string `json:"tags,omitempty"`
	// External says where an event of another monitor came from.
	External *External `json:"external,omitempty"`
}

// Open reports whether the event still lasts.
func (e *Event) Open() bool { return e.End.IsZero() }

// External is an event's identity in the system that reported it.
type External struct {
	System string `json:"system" doc:"alertmanager, pagerduty, dynatrace"`
	ID     string `json:"id"`
	URL    string `json:"url,omitempty"`
}

// CauseKind is the broad class of a cause; it decides what may be done.
type CauseKind string

// The kinds of cause. Only CauseChange may be undone.
const (
	CauseChange      CauseKind = "change"      // a deployment, flag or configuration
	CauseDependency  CauseKind = "dependency"  // something that is called and not ours: an upstream outage
	CauseResource    CauseKind = "resource"    // CPU, memory, connections, disk; a noisy neighbour
	CauseTraffic     CauseKind = "traffic"     // more load than it can take
	CauseCertificate CauseKind = "certificate" // expired or untrusted
	CauseFault       CauseKind = "fault"       // failures begin here, and no change explains them
	CauseUnknown     CauseKind = "unknown"     // not enough evidence
)

// Remedy is what would help.
type Remedy string

// The remedies.
const (
	RemedyRollback     Remedy = "rollback"
	RemedyFlagOff      Remedy = "flag-off"
	RemedyConfigRevert Remedy = "config-revert"
	RemedyScale        Remedy = "scale"
	RemedyFailOver     Remedy = "fail-over"
	RemedyRollForward  Remedy = "roll-forward"
	RemedyNone         Remedy = "none"
)

// Cause is the answer to "why": where it begins, what is wrong there, and
// which change did it, if any did.
type Cause struct {
	Kind CauseKind `json:"kind"`
	// Where failures or delays begin; the dependency for CauseDependency.
	entity.Ref
	Operation string `json:"operation,omitempty"`
	// Exception or Resource name what is wrong, where known.
	Exception string `json:"exception,omitempty"`
	Resource  string `json:"resource,omitempty"`
	// Change is the change to blame; nil when none is.
	Change *evidence.Candidate `json:"change,omitempty"`
	// Confidence in [0, 1] that place and change are right.
	Confidence float64 `json:"confidence"`
	Remedy     Remedy  `json:"remedy"`
	// Path is the chain of calls from the symptom to the origin.
	Path []evidence.Hop `json:"path,omitempty"`
	// Ranking holds the places looked at, most likely first.
	Ranking []Suspect `json:"ranking,omitempty"`
	// Findings are the evidence in the order it counts.
	Findings []Finding `json:"findings,omitempty"`
	// Sentence says all this in one line.
	Sentence string `json:"sentence"`
}

// Suspect is a place that may be the origin.
type Suspect struct {
	entity.Ref
	Operation string  `json:"operation,omitempty"`
	Score     float64 `json:"score"`
	Why       string  `json:"why"`
}

// Finding is one piece of evidence.
type Finding struct {
	Kind   string              `json:"kind" doc:"anomaly, failure, slow-path, log, resource, change, no-change"`
	Text   string              `json:"text"`
	Weight float64             `json:"weight" doc:"log-likelihood ratio or share; orders findings of one kind"`
	Query  string              `json:"query,omitempty"`
	Traces []telemetry.TraceID `json:"traces,omitempty"`
}

// State of a problem.
type State string

// The states.
const (
	StateOpen   State = "open"
	StateClosed State = "closed"
)

// Problem is a set of events with one cause.
type Problem struct {
	ID string `json:"id"`
	// Number counts problems from 1, for people: P-17.
	Number   int      `json:"number"`
	State    State    `json:"state"`
	Title    string   `json:"title"`
	Severity Severity `json:"severity"`

	// Start is the onset of the earliest event.
	Start  time.Time `json:"start"`
	Opened time.Time `json:"opened"`
	Closed time.Time `json:"closed,omitzero"`
	// Reopened counts how often it came back within the reopen window.
	Reopened int `json:"reopened,omitempty"`
	// Frequent: the same happens so often that nobody is alerted any more.
	Frequent bool `json:"frequent,omitempty"`
	// AcknowledgedBy is the person who looks after it.
	AcknowledgedBy string `json:"acknowledgedBy,omitempty"`

	Events []Event `json:"events"`
	Impact Impact  `json:"impact"`
	// Cause is nil until the first analysis is done.
	Cause    *Cause             `json:"cause,omitempty"`
	Evidence *evidence.Evidence `json:"evidence,omitempty"`
	Tags     map[string]string  `json:"tags,omitempty"`
	// Comments are what people and Tidegate itself said, oldest first.
	Comments []Comment `json:"comments,omitempty"`
	// Updated is when anything of this changed last.
	Updated time.Time `json:"updated"`
}

// Impact says who is hurt and how much.
type Impact struct {
	Services []entity.Ref `json:"services"`
	// EntryPoints are the operations at the edge that users call.
	EntryPoints    []string `json:"entryPoints,omitempty"`
	Operations     []string `json:"operations,omitempty"`
	FailedRequests float64  `json:"failedRequests"`
	SlowRequests   float64  `json:"slowRequests"`
}

// Comment is one line of a problem's story.
type Comment struct {
	Time time.Time `json:"time"`
	Who  string    `json:"who"`
	Text string    `json:"text"`
	// Kind is "comment", or what happened: opened, cause, action, verified,
	// closed, reopened, merged.
	Kind string `json:"kind"`
	Link string `json:"link,omitempty"`
}
