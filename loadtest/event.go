package loadtest

import (
	"fmt"
	"strconv"
	"time"

	"github.com/tidegate-io/tidegate/change"
)

// TypeTestAborted is the event type of a run that did not do its work:
// failed, cancelled or lost.
const TypeTestAborted = "test.aborted"

// StartedEvent is the event that reports the start of r.
func StartedEvent(r Run) change.Event {
	e := r.event(change.TypeTestStarted, "started")
	e.Start = r.Started
	return e
}

// EndedEvent is the event that reports the end of r: test.finished when it
// did its work, test.aborted otherwise; who cancelled it did that. Its duration property is the judged
// window: the time from start to finish.
func EndedEvent(r Run) change.Event {
	typ := change.TypeTestFinished
	if r.State != StateFinished {
		typ = TypeTestAborted
	}
	e := r.event(typ, string(r.State))
	e.Start, e.End = r.Finished, r.Finished
	if r.State == StateCancelled {
		e.Who, e.Reason = r.CancelledBy, r.CancelReason
	}
	p := e.Properties
	p["started"] = r.Started.UTC().Format(time.RFC3339Nano)
	p["duration"] = r.Finished.Sub(r.Started).Round(time.Millisecond).String()
	if r.Error != "" {
		p["error"] = r.Error
	}
	if res := r.Result; res != nil {
		p["requests"] = strconv.FormatInt(res.Requests, 10)
		p["failures"] = strconv.FormatInt(res.Failures, 10)
		p["p50"], p["p90"], p["p99"] = res.P50.String(), res.P90.String(), res.P99.String()
	}
	return e
}

// event is what both events have in common. The id follows from the run, so
// that reporting again after a crash changes nothing.
func (r Run) event(typ, state string) change.Event {
	return change.Event{
		ID:          r.ID + "." + typ[len("test."):],
		Type:        typ,
		Kind:        change.KindTest,
		Title:       fmt.Sprintf("load test %s %s", r.Test, state),
		Who:         r.Who,
		Source:      "tidegate",
		Ref:         r.Target,
		Key:         r.Test,
		Correlation: r.ID,
		Properties: map[string]string{
			"tool":    r.Tool,
			"action":  "test",
			"state":   state,
			"purpose": r.Purpose,
		},
	}
}
