// Package cause finds out why users are hurt: which service and operation it
// begins at, what is wrong there, which change did it or that none did, how
// sure that is, and what would help.
//
// [Find] is pure: the same [Input] gives the same answer, whatever the order
// of its parts and whenever it is asked. [Gather] builds the input for a set of
// problem events from stores.
//
// # The model
//
// Everything is weighed in log-likelihood ratios: how much more probable is
// what was observed if this is the cause than if it is not. Weights of
// independent observations add up; a softmax over the hypotheses gives the
// confidence. There are two questions.
//
// Where does it begin? Delays and failures travel from callee to caller and are
// conserved on the way: a call that takes a second longer costs its caller at
// most a second, a call that fails at most one failure. So what begins at a
// place is what is in excess there less what its callees explain, and a place is
// the origin to the extent that what begins there explains the symptom, slot by
// slot (flow.go). A callee that nobody called before cannot have become worse:
// its caller began to call it. Load travels the other way, from caller to callee.
// Failing-span signatures, slow paths, log templates and the place's own series
// add to that (place.go).
//
// What did it? Each change is a hypothesis, and so is each way in which no
// change is to blame: an expired certificate, a dependency that is not ours, a
// resource that somebody else used up, more traffic, a record that cannot be
// processed, and a fault that nothing explains (hypothesis.go, exogenous.go). A
// change is weighed by its place on the causal path, by the time from it to the
// earliest anomaly on that path (which may lie long before the symptom: a leak,
// a cache that runs empty), by how much of the behaviour it can have altered
// (substance.go: documents and tests cannot, a refactoring hardly) and by how
// much its words have in common with the symptom's (words.go). What came after
// the earliest anomaly, or does not lie on the path, is not weighed at all.
//
//	answer := cause.Find(cause.Input{Symptoms: events, Calls: graph, Series: series, Changes: changes})
//	if answer.Kind == problem.CauseChange { … answer.Change.Event … }
package cause

import (
	"time"

	"github.com/tidegate-io/tidegate/change"
	"github.com/tidegate-io/tidegate/entity"
	"github.com/tidegate-io/tidegate/evidence"
	"github.com/tidegate-io/tidegate/problem"
)

// Properties of change events that say what a change consists of. All are
// optional; without them a change is weighed by place and time alone.
const (
	// PropertyFiles names the changed files, one a line.
	PropertyFiles = "commit.files"
	// PropertyDiff is the change as a unified diff.
	PropertyDiff = "commit.diff"
	// PropertyMessage is the commit's message, where the title is another.
	PropertyMessage = "commit.message"
	// PropertyIrreversible is "true" for a change that must not be taken back.
	PropertyIrreversible = "irreversible"
)

// Input is everything that is known about a problem. Only Symptoms is
// required. What exceeds a limit is left out, the least telling first.
type Input struct {
	// Now is when the question is asked; nothing later is looked at. Zero
	// means after everything.
	Now time.Time
	// Symptoms are the problem's events. A symptom without an e-value and
	// without observed and expected figures is only alleged: when there are
	// series that should show it and do not, there is no cause either.
	Symptoms []problem.Event
	// Calls is the service graph.
	Calls []Call
	// Series are measurements of any kind at any place.
	Series []Series

	Failures []evidence.FailureGroup
	Slow     []evidence.SlowPath
	Logs     []evidence.LogTemplate
	// Changes of every kind; annotations may say what happened elsewhere
	// (a provider's status page).
	Changes []change.Event
}

// Call is an edge of the service graph.
type Call struct {
	Caller, Callee entity.Ref
}

// Series is one statistic at one place.
type Series struct {
	// Ref is the service, or by Ref.Service the host, queue or node.
	entity.Ref
	// Metric and Statistic say what it is, in the measured system's own words:
	// "latency"/"p90", "container_memory_rss", "http_5xx_ratio". Their words
	// and the unit decide how it is read (see [RoleOf]).
	Metric    string
	Statistic string
	Unit      string
	// Points over the time that is looked at, before and after the onset. A
	// point stands for the Step that begins at its time.
	Points []Point
	Step   time.Duration
	// History holds values of the same statistic over steps of the same
	// length at times when all was well: it says how much is usual.
	History []float64
}

// Point is a value at a time.
type Point struct {
	Time  time.Time
	Value float64
}

// Limits on what is looked at: input comes from outside.
const (
	maxSymptoms = 200
	maxCalls    = 5000
	maxSeries   = 2000
	maxPoints   = 256 // longer series are averaged down
	maxHistory  = 5000
	maxGroups   = 100
	maxLogs     = 500
	maxChanges  = 1000
	maxText     = 64 << 10 // of a diff
	maxSuspects = 20
	maxFindings = 25
)
