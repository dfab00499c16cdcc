package compat

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/tidegate-io/tidegate/change"
	"github.com/tidegate-io/tidegate/entity"
	"github.com/tidegate-io/tidegate/problem"
)

// Problems takes what other monitors say is wrong; *problem.Service is one.
// What it returned without an error is durable.
type Problems interface {
	Observe(ctx context.Context, events []problem.Event) (problems []string, err error)
	// Resolve ends events; those that are not known are nothing to do.
	Resolve(ctx context.Context, eventIDs []string, at time.Time) (problems []string, err error)
	// ResolveGroup ends the events of a source that have a group.
	ResolveGroup(ctx context.Context, source, group string, at time.Time) (problems []string, err error)
	AcknowledgeEvent(ctx context.Context, eventID, who string) error
}

// Limits of a problem's event; what foreign documents hold beyond is cut.
const (
	maxProblemName  = 300
	maxProblemTitle = 500
	maxProblemText  = 4000
	maxProblemTags  = 50
	problemBatch    = 500
	maxPlaces       = 50
)

// observe raises events, in as many steps as they need.
func (h *Handlers) observe(ctx context.Context, events []problem.Event) ([]string, error) {
	var out []string
	for batch := range slices.Chunk(events, problemBatch) {
		problems, err := h.problems.Observe(ctx, batch)
		if err != nil {
			return out, err
		}
		out = append(out, problems...)
	}
	return out, nil
}

// raise makes problems of recorded events that say that something is wrong,
// and ends them.
func (h *Handlers) raise(ctx context.Context, stored []change.Event) error {
	if h.problems == nil {
		return nil
	}
	for i := range stored {
		e := &stored[i]
		if e.Kind != change.KindProblem {
			continue
		}
		id, over := problemID(e)
		if id == "" {
			continue
		}
		var err error
		if over {
			_, err = h.problems.ResolveGroup(ctx, problemSource(e), id, e.Start)
		} else {
			_, err = h.observe(ctx, problemEvents(e, id))
		}
		if err != nil {
			return fmt.Errorf("problem of event %s: %w", e.ID, err)
		}
	}
	return nil
}

// problemID identifies the symptom that an event reports: the same incident,
// or the same event of the Dynatrace API sent again. Empty when the event
// reports none.
func problemID(e *change.Event) (id string, over bool) {
	switch {
	case e.Properties["cdevents.subject"] == "incident":
		return change.DeriveID("cdevents", e.Key), e.Properties["cdevents.predicate"] == "resolved"
	case dynatraceSeverity(e.Key) != "" && e.Type == typeProblemReported:
		return change.DeriveID("dynatrace-event", e.Key, e.Title, e.Selector, e.Service, e.Environment), false
	}
	return "", false
}

func problemSource(e *change.Event) string {
	if e.Properties["cdevents.subject"] == "incident" {
		return "cdevents"
	}
	return "dynatrace"
}

// problemEvents is one event for each place that the reported event is about;
// its source says that they belong together.
func problemEvents(e *change.Event, id string) []problem.Event {
	places := e.Entities
	if len(places) == 0 {
		places = []entity.Ref{e.Ref}
	}
	severity := problem.SeverityError
	if s := dynatraceSeverity(e.Key); s != "" {
		severity = s
	}
	var out []problem.Event
	seen := map[entity.Ref]bool{}
	for _, p := range places {
		if seen[p] || len(out) == maxPlaces {
			continue
		}
		seen[p] = true
		x := problem.Event{
			ID: change.DeriveID(id, p.Service, p.Environment, p.Version), Source: problemSource(e), Signal: problem.SignalExternal, Severity: severity,
			Ref: p, Title: cut(e.Title, maxProblemTitle), Start: e.Start, End: e.End, Why: cut(e.Reason, maxProblemText), Group: id,
			Tags: problemTags(e.Properties), External: &problem.External{System: problemSource(e), ID: cut(e.Key, maxProblemName)},
		}
		if len(e.Links) > 0 {
			x.External.URL = e.Links[0].URL
		}
		out = append(out, x)
	}
	return out
}

// problemTags are as many tags as an event may have, in the order of their
// names.
func problemTags(from map[string]string) map[string]string {
	names := make([]string, 0, len(from))
	for k := range from {
		names = append(names, k)
	}
	slices.Sort(names)
	out := map[string]string{}
	for _, k := range names {
		if name := cut(k, maxProblemName); name != "" && len(out) < maxProblemTags {
			out[name] = cut(from[k], maxProblemName)
		}
	}
	return out
}

// severityWord is what the words of monitors mean here.
func severityWord(word string) problem.Severity {
	switch strings.ToLower(word) {
	case "critical", "page", "emergency", "fatal", "error", "high", "major":
		return problem.SeverityError
	case "info", "information", "none", "notice", "low":
		return problem.SeverityInfo
	}
	return problem.SeverityCustom
}

// problemURL is text when a browser may be sent there.
func problemURL(candidates ...string) string {
	for _, c := range candidates {
		if isLink(c) {
			return c
		}
	}
	return ""
}
