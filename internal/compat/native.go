package compat

import (
	"encoding/json"
	"strings"
	"time"

	cloudevent "github.com/cloudevents/sdk-go/v2/event"

	"github.com/tidegate-io/tidegate/change"
	"github.com/tidegate-io/tidegate/entity"
	"github.com/tidegate-io/tidegate/fault"
)

// nativeFields are the fields of an event that its sender may set; everything
// else in the data becomes a property.
type nativeFields struct {
	Kind        change.Kind     `json:"kind"`
	Title       string          `json:"title"`
	Who         string          `json:"who"`
	Reason      string          `json:"reason"`
	Start       time.Time       `json:"start"`
	End         time.Time       `json:"end"`
	Service     string          `json:"service"`
	Environment string          `json:"environment"`
	Version     string          `json:"version"`
	Selector    string          `json:"selector"`
	Key         string          `json:"key"`
	From        string          `json:"from"`
	To          string          `json:"to"`
	Correlation string          `json:"correlation"`
	Links       []change.Link   `json:"links"`
	Undo        *change.Undo    `json:"undo"`
	Properties  map[string]text `json:"properties"`
}

var nativeNames = []string{
	"kind", "title", "who", "reason", "start", "end", "service", "environment", "version", "selector",
	"key", "from", "to", "correlation", "links", "undo", "properties",
}

// nativeEvent translates a CloudEvent in our own terms: its type is the
// event's type ("test.finished", with or without the prefix "dev.tidegate."),
// its data has the event's fields, and its subject is the service when the
// data names none. Other members of the data and extension attributes become
// properties, so {"service": "checkout", "purpose": "acceptance",
// "duration": "1m"} says all about a finished test.
func nativeEvent(ce cloudevent.Event) (change.Event, error) {
	var in nativeFields
	if err := payload(ce, &in); err != nil {
		return change.Event{}, err
	}
	var members map[string]json.RawMessage
	if err := payload(ce, &members); err != nil {
		return change.Event{}, err
	}
	for _, name := range nativeNames {
		delete(members, name)
	}
	p := properties{}
	for k, v := range in.Properties {
		p[k] = string(v)
	}
	for k, v := range members {
		p.gather(k, v)
	}
	for name := range ce.Extensions() {
		p.put(name, extension(ce, name))
	}
	e := change.Event{
		Type: strings.TrimPrefix(ce.Type(), "dev.tidegate."), Kind: in.Kind, Title: in.Title, Who: in.Who, Reason: in.Reason,
		Source: p["tool"], Start: in.Start, End: in.End,
		Ref:      entity.Ref{Service: in.Service, Environment: in.Environment, Version: in.Version},
		Selector: in.Selector, Key: in.Key, From: in.From, To: in.To, Correlation: in.Correlation,
		Links: in.Links, Undo: in.Undo, Properties: p,
	}
	if e.Type == "" {
		return change.Event{}, fault.InvalidField("type", "says nothing after its prefix")
	}
	if e.Service == "" && e.Selector == "" {
		e.Service = ce.Subject()
	}
	return e, nil
}
