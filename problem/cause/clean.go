package cause

import (
	"cmp"
	"slices"

	"github.com/tidegate-io/tidegate/change"
	"github.com/tidegate-io/tidegate/evidence"
)

// cleanRest puts findings and changes in an order of their own and enforces
// the limits.
func (w *world) cleanRest() {
	w.Failures = slices.Clone(w.Failures)
	w.Failures = slices.DeleteFunc(w.Failures, func(g evidence.FailureGroup) bool { return g.Service == "" && g.Origin.Service == "" })
	slices.SortStableFunc(w.Failures, func(a, b evidence.FailureGroup) int {
		return cmp.Or(cmp.Compare(b.Count, a.Count), cmp.Compare(a.Service, b.Service), cmp.Compare(a.Operation, b.Operation),
			cmp.Compare(a.Signature, b.Signature), cmp.Compare(a.Message, b.Message))
	})
	w.Failures = w.Failures[:min(len(w.Failures), maxGroups)]

	w.Slow = slices.Clone(w.Slow)
	slices.SortStableFunc(w.Slow, func(a, b evidence.SlowPath) int {
		return cmp.Or(cmp.Compare(a.Service, b.Service), cmp.Compare(a.Operation, b.Operation), cmp.Compare(a.Candidate, b.Candidate))
	})
	w.Slow = w.Slow[:min(len(w.Slow), maxGroups)]

	w.Logs = slices.Clone(w.Logs)
	slices.SortStableFunc(w.Logs, func(a, b evidence.LogTemplate) int {
		return cmp.Or(cmp.Compare(b.Count, a.Count), cmp.Compare(a.Service, b.Service), cmp.Compare(a.Template, b.Template))
	})
	w.Logs = w.Logs[:min(len(w.Logs), maxLogs)]

	w.Changes = slices.Clone(w.Changes)
	if !w.Now.IsZero() {
		w.Changes = slices.DeleteFunc(w.Changes, func(e change.Event) bool { return e.Start.After(w.Now) })
	}
	slices.SortStableFunc(w.Changes, func(a, b change.Event) int {
		return cmp.Or(b.Start.Compare(a.Start), cmp.Compare(a.ID, b.ID), cmp.Compare(a.Service, b.Service), cmp.Compare(a.Title, b.Title))
	})
	w.Changes = w.Changes[:min(len(w.Changes), maxChanges)]
}
