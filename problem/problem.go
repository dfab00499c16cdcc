// Package problem knows when users are hurt: events that detectors, rules and
// other monitors raise become problems, one problem per cause, each with its
// impact, its most likely cause and what was done about it.
//
// An Event is one symptom at one place: the error rate of one operation, a log
// pattern, an alert from outside. A Problem is the set of events that are close
// in time and connected in the service graph, because they have one cause.
// Package problem/detect raises events from golden signals; package
// problem/cause finds the cause; package healing does something about it.
//
// # From events to problems
//
// [Service.Observe] takes events; raising one again with the same id updates
// it, whatever the number of times and processes. A new event joins the open
// problem whose events it is connected to (the same service, or one calls the
// other, directly or over a few hops) when it begins while they last or shortly
// before or after; an event that connects two problems makes them one. Nothing
// joins a problem later than 90 minutes after it was opened. An event that
// comes back within 30 minutes after its problem was closed opens that problem
// again. When the analysis finds for two problems the same cause they become
// one at any age: no two open problems have the same cause. [Rules] holds the
// figures.
//
// A problem is closed when all its events ended, or by a person; events that a
// person closed it over do not open it again. The same symptom again and again
// makes a problem frequent, and frequent problems alert nobody.
//
// # Durability
//
// What Observe returned without an error is stored. Everything that follows
// from a step (events for workflows, alerts of profiles, the next analysis) is
// stored with the step as something to do, done by [Service.Run], idempotent by
// its id, and then struck off: a crash between any two of these repeats at most
// what is harmless to repeat. Steps of several processes on one store are
// serialized by the store ([Store.Update]).
//
//	s, err := problem.New(problem.Config{Store: db.Problems(), Recorder: changes, Graph: graph})
//	go s.Run(ctx)
//	ids, err := s.Observe(ctx, []problem.Event{{ID: "…", Source: "detector", Signal: problem.SignalErrors, …}})
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
	// Group, when set, is shared by events of one source that belong together
	// by what that source says, wherever they are.
	Group string `json:"group,omitempty"`
	// Expires, when set, is when the event is over unless it is raised again:
	// for sources that do not say when it ends.
	Expires time.Time `json:"expires,omitzero"`
	// Seen is when the event was raised last; set by the service.
	Seen time.Time `json:"seen,omitzero"`
	// External says where an event of another monitor came from.
	External *External `json:"external,omitempty"`
}

// Open reports whether the event still lasts.
func (e *Event) Open() bool { return e.End.IsZero() }

// External is an event's identity in the system that reported it.
type External struct {
	System string `json:"system" doc:"alertmanager, pagerduty, dynatrace, cdevents"`
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
	CauseData        CauseKind = "data"        // a record that cannot be processed
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
	RemedyRotate       Remedy = "rotate-certificate"
	RemedyReschedule   Remedy = "reschedule" // away from what it shares a machine with
	RemedyQuarantine   Remedy = "quarantine" // set the record aside that cannot be processed
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
	// Reopened counts how often it came back within the reopen window, and
	// Resumed is when it did so last.
	Reopened int       `json:"reopened,omitempty"`
	Resumed  time.Time `json:"resumed,omitzero"`
	// MergedInto is the problem that has the events now; this one is closed.
	MergedInto string `json:"mergedInto,omitempty"`
	// Frequent: the same happens so often that nobody is alerted any more.
	Frequent bool `json:"frequent,omitempty"`
	// AcknowledgedBy is the person who looks after it.
	AcknowledgedBy string `json:"acknowledgedBy,omitempty"`

	Events []Event `json:"events"`
	// MoreEvents is the number of times that an event was left out because
	// the problem has as many as it may have.
	MoreEvents int    `json:"moreEvents,omitempty"`
	Impact     Impact `json:"impact"`
	// Cause is nil until the first analysis is done.
	Cause    *Cause             `json:"cause,omitempty"`
	Evidence *evidence.Evidence `json:"evidence,omitempty"`
	Tags     map[string]string  `json:"tags,omitempty"`
	// Comments are what people and Tidegate itself said, oldest first.
	Comments []Comment `json:"comments,omitempty"`
	// Alerts are the alerting profiles that the problem matches and what
	// became of them; NotAlerted says why nobody is alerted, when that is so.
	Alerts     []Alert `json:"alerts,omitempty"`
	NotAlerted string  `json:"notAlerted,omitempty"`
	// Updated is when anything of this changed last.
	Updated time.Time `json:"updated"`
}

// Impact says who is hurt and how much.
type Impact struct {
	Services []entity.Ref `json:"services"`
	// EntryPoints are the operations at the edge that users call, and
	// Operations all that are hurt, as "service operation".
	EntryPoints []string `json:"entryPoints,omitempty"`
	Operations  []string `json:"operations,omitempty"`
	// FailedRequests and SlowRequests are those of the service that has most
	// of them: one request of a user fails in each service that it passes.
	FailedRequests float64 `json:"failedRequests"`
	SlowRequests   float64 `json:"slowRequests"`
}

// Comment is one line of a problem's story.
type Comment struct {
	Time time.Time `json:"time"`
	Who  string    `json:"who"`
	Text string    `json:"text"`
	// Kind is "comment", or what happened: opened, acknowledged, cause, action,
	// verified, alerted, closed, reopened, merged.
	Kind string `json:"kind"`
	Link string `json:"link,omitempty"`
}
