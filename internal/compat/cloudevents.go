package compat

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"

	"github.com/cloudevents/sdk-go/v2/binding"
	cloudevent "github.com/cloudevents/sdk-go/v2/event"
	cehttp "github.com/cloudevents/sdk-go/v2/protocol/http"

	"github.com/tidegate-io/tidegate/change"
	"github.com/tidegate-io/tidegate/fault"
)

// cloudEvents accepts CloudEvents 1.0 over HTTP in its three content modes.
func (h *Handlers) cloudEvents(w http.ResponseWriter, r *http.Request) {
	who, err := h.authorize(r)
	if err != nil {
		unauthorized(w)
		return
	}
	body, err := readBody(w, r, maxBody)
	if err != nil {
		h.problem(w, r, err)
		return
	}
	in, err := parseCloudEvents(r, body)
	if err != nil {
		h.problem(w, r, err)
		return
	}
	// All are translated before the first is recorded, so that a request with
	// a wrong event in it is refused as a whole.
	events := make([]change.Event, len(in))
	for i, ce := range in {
		if events[i], err = translate(ce, who); err != nil {
			h.problem(w, r, fmt.Errorf("event %q: %w", ce.ID(), err))
			return
		}
	}
	stored, err := h.record(r.Context(), events)
	if err != nil {
		h.problem(w, r, err)
		return
	}
	h.cloudEventsAccepted(w, r, in, stored)
}

func (h *Handlers) cloudEventsAccepted(w http.ResponseWriter, r *http.Request, in []cloudevent.Event, stored []change.Event) {
	if r.URL.Path == "/api/v1/event" { // Keptn's answer
		writeJSON(w, http.StatusOK, map[string]string{"keptnContext": extension(in[0], "shkeptncontext")})
		return
	}
	ids := make([]string, len(stored))
	for i, e := range stored {
		ids[i] = e.ID
	}
	writeJSON(w, http.StatusAccepted, map[string][]string{"ids": ids})
}

// contentMode returns the media type that tells the modes apart. Senders that
// post a whole event as plain application/json, as Keptn's API allowed, are
// understood too, unless they set any of the headers of binary mode.
func contentMode(r *http.Request, body []byte) string {
	kind := mediaType(r)
	if kind != cloudevent.ApplicationJSON {
		return kind
	}
	for name := range r.Header {
		if strings.HasPrefix(name, "Ce-") {
			return kind
		}
	}
	if bytes.HasPrefix(bytes.TrimSpace(body), []byte{'['}) {
		return cloudevent.ApplicationCloudEventsBatchJSON
	}
	return cloudevent.ApplicationCloudEventsJSON
}

// parseCloudEvents reads one event or a batch.
func parseCloudEvents(r *http.Request, body []byte) ([]cloudevent.Event, error) {
	kind := contentMode(r, body)
	header := r.Header.Clone()
	header.Set("Content-Type", kind)
	message := cehttp.NewMessage(header, io.NopCloser(bytes.NewReader(body)))
	var events []cloudevent.Event
	if kind == cloudevent.ApplicationCloudEventsBatchJSON {
		var err error
		if events, err = binding.ToEvents(context.Background(), message, message.BodyReader); err != nil {
			return nil, fault.Invalid("not a batch of CloudEvents: %w", err)
		}
	} else {
		e, err := binding.ToEvent(context.Background(), message)
		if err != nil {
			return nil, notACloudEvent(r, kind, body, err)
		}
		events = []cloudevent.Event{*e}
	}
	if len(events) == 0 || len(events) > maxBatch {
		return nil, fault.Invalid("a batch has 1 to %d events, this one %d", maxBatch, len(events))
	}
	for i := range events {
		if err := required(events[i]); err != nil {
			return nil, err
		}
	}
	return events, nil
}

// notACloudEvent explains a request that cannot be read as an event; most
// often an attribute is missing, and then it says which.
func notACloudEvent(r *http.Request, kind string, body []byte, err error) error {
	if kind == cloudevent.ApplicationCloudEventsJSON {
		var attributes map[string]json.RawMessage
		if json.Unmarshal(body, &attributes) != nil {
			return fault.Invalid("not a CloudEvent: %w", err)
		}
		for _, name := range []string{"specversion", "id", "source", "type"} {
			if len(attributes[name]) < 3 { // absent or ""
				return fault.InvalidField(name, "is required of a CloudEvent")
			}
		}
		return fault.Invalid("not a CloudEvent: %w", err)
	}
	for _, name := range []string{"specversion", "id", "source", "type"} {
		if r.Header.Get("ce-"+name) == "" {
			return fault.InvalidField(name, "is required of a CloudEvent: send it as the header ce-%s, "+
				"or the whole event as application/cloudevents+json", name)
		}
	}
	return fault.Invalid("not a CloudEvent: %w", err)
}

// required checks the attributes that every CloudEvent has.
func required(e cloudevent.Event) error {
	for _, a := range []struct{ name, value string }{{"id", e.ID()}, {"source", e.Source()}, {"type", e.Type()}} {
		if a.value == "" {
			return fault.InvalidField(a.name, "is required of a CloudEvent")
		}
	}
	if err := e.Validate(); err != nil {
		return fault.Invalid("not a valid CloudEvent: %w", err)
	}
	return nil
}

// translate turns a CloudEvent into an event, by the family of its type.
func translate(ce cloudevent.Event, who string) (change.Event, error) {
	var e change.Event
	var err error
	switch {
	case strings.HasPrefix(ce.Type(), "dev.cdevents."):
		e, err = cdEvent(ce)
	case strings.HasPrefix(ce.Type(), "sh.keptn.event."):
		e, err = keptnEvent(ce)
	default:
		e, err = nativeEvent(ce)
	}
	if err != nil {
		return change.Event{}, err
	}
	e.ID = change.DeriveID("cloudevents", ce.Source(), ce.ID())
	if e.Start.IsZero() {
		e.Start = ce.Time()
	}
	e.Who = firstOf(e.Who, who)
	e.Source = firstOf(e.Source, ce.Source())
	return e, nil
}

// extension returns an extension attribute as text.
func extension(ce cloudevent.Event, name string) string {
	if v, ok := ce.Extensions()[name]; ok {
		return fmt.Sprint(v)
	}
	return ""
}

// payload reads the event's data, which has to be a JSON object or absent.
func payload(ce cloudevent.Event, v any) error {
	if len(ce.Data()) == 0 {
		return nil
	}
	if err := decode(ce.Data(), v); err != nil {
		return fmt.Errorf("data: %w", err)
	}
	return nil
}
