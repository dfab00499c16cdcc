package httpapi

import (
	"context"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/tidegate-io/tidegate/change"
	"github.com/tidegate-io/tidegate/entity"
)

// Changes is the log of changes.
type Changes interface {
	Record(ctx context.Context, e change.Event) (change.Event, error)
	Event(ctx context.Context, id string) (change.Event, error)
	Events(ctx context.Context, q change.Query) ([]change.Event, error)
}

// Undoer takes a change back.
type Undoer interface {
	// Undo is idempotent: undoing twice returns the first undo's event.
	Undo(ctx context.Context, eventID, who, reason string) (change.Event, error)
}

// EventInput is what a sender says of an event.
type EventInput struct {
	ID          string            `json:"id,omitempty" maxLength:"100" doc:"makes a repeated request harmless"`
	Type        string            `json:"type" minLength:"1" maxLength:"200" doc:"for example deployment.finished, test.finished"`
	Kind        change.Kind       `json:"kind,omitempty" doc:"derived from type when empty"`
	Title       string            `json:"title" minLength:"1" maxLength:"500"`
	Who         string            `json:"who,omitempty" maxLength:"200"`
	Reason      string            `json:"reason,omitempty" maxLength:"2000"`
	Source      string            `json:"source,omitempty" maxLength:"200"`
	Start       time.Time         `json:"start,omitzero"`
	End         time.Time         `json:"end,omitzero"`
	Service     string            `json:"service,omitempty" maxLength:"200"`
	Environment string            `json:"environment,omitempty" maxLength:"200"`
	Version     string            `json:"version,omitempty" maxLength:"200"`
	Selector    string            `json:"selector,omitempty" maxLength:"2000"`
	Key         string            `json:"key,omitempty" maxLength:"200"`
	From        string            `json:"from,omitempty" maxLength:"500"`
	To          string            `json:"to,omitempty" maxLength:"500"`
	Properties  map[string]string `json:"properties,omitempty"`
	Links       []change.Link     `json:"links,omitempty" maxItems:"20"`
	Undo        *change.Undo      `json:"undo,omitempty"`
	Correlation string            `json:"correlation,omitempty" maxLength:"200"`
}

func (in EventInput) event() change.Event {
	return change.Event{
		ID: in.ID, Type: in.Type, Kind: in.Kind, Title: in.Title, Who: in.Who, Reason: in.Reason,
		Source: in.Source, Start: in.Start, End: in.End,
		Ref:      entity.Ref{Service: in.Service, Environment: in.Environment, Version: in.Version},
		Selector: in.Selector, Key: in.Key, From: in.From, To: in.To,
		Properties: in.Properties, Links: in.Links, Undo: in.Undo, Correlation: in.Correlation,
	}
}

// EventList is a page of events, newest first.
type EventList struct {
	Events []change.Event `json:"events"`
	// Next is the value of "before" for the next page; empty on the last.
	Next string `json:"next,omitempty"`
}

// WhoWhy is asked of everybody who changes something.
type WhoWhy struct {
	Who    string `json:"who" minLength:"1" maxLength:"200"`
	Reason string `json:"reason" minLength:"1" maxLength:"2000"`
}

type eventsQuery struct {
	TimeRange
	Kind        []string `query:"kind"`
	Type        []string `query:"type"`
	Service     string   `query:"service"`
	Environment string   `query:"environment"`
	Who         string   `query:"who"`
	Key         string   `query:"key"`
	Correlation string   `query:"correlation"`
	Before      string   `query:"before"`
	Limit       int      `query:"limit" default:"100" minimum:"1" maximum:"1000"`
}

func (q *eventsQuery) query() (change.Query, error) {
	from, to, err := q.optional()
	out := change.Query{Types: q.Type, Service: q.Service, Environment: q.Environment, Who: q.Who, Key: q.Key,
		Correlation: q.Correlation, From: from, To: to, Limit: q.Limit, Before: q.Before}
	for _, k := range q.Kind {
		out.Kinds = append(out.Kinds, change.Kind(k))
	}
	return out, err
}

// IDParam is the path parameter id.
type IDParam struct {
	ID string `path:"id"`
}

func (a *server) registerChanges(api huma.API) {
	huma.Get(api, "/v1/events", call(a, func(ctx context.Context, in *eventsQuery) (EventList, error) {
		q, err := in.query()
		if err != nil {
			return EventList{}, err
		}
		events, err := a.Changes.Events(ctx, q)
		out := EventList{Events: nonNil(events)}
		if len(events) == q.Limit {
			out.Next = events[len(events)-1].ID
		}
		return out, err
	}))
	huma.Post(api, "/v1/events", call(a, func(ctx context.Context, in *struct{ Body EventInput }) (change.Event, error) {
		return a.Changes.Record(ctx, in.Body.event())
	}), status(http.StatusCreated))
	huma.Get(api, "/v1/events/{id}", call(a, func(ctx context.Context, in *IDParam) (change.Event, error) {
		return a.Changes.Event(ctx, in.ID)
	}))
	huma.Post(api, "/v1/events/{id}/undo", call(a, func(ctx context.Context, in *struct {
		IDParam
		Body WhoWhy
	}) (change.Event, error) {
		return a.Undo.Undo(ctx, in.ID, in.Body.Who, in.Body.Reason)
	}))
}

// status sets the code of the good answer.
func status(code int) func(*huma.Operation) {
	return func(o *huma.Operation) { o.DefaultStatus = code }
}

// nonNil makes an empty list read as [] in JSON.
func nonNil[T any](s []T) []T {
	if s == nil {
		return []T{}
	}
	return s
}
