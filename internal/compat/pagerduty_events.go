package compat

import (
	"encoding/json"
	"net/http"
	"strings"
	"time"

	"github.com/tidegate-io/tidegate/change"
	"github.com/tidegate-io/tidegate/entity"
	"github.com/tidegate-io/tidegate/fault"
	"github.com/tidegate-io/tidegate/problem"
)

// pagerDutyEvent is the payload of PagerDuty's Events API v2
// (POST /v2/enqueue).
type pagerDutyEvent struct {
	RoutingKey  string `json:"routing_key"`
	EventAction string `json:"event_action"`
	DedupKey    string `json:"dedup_key"`
	Client      string `json:"client"`
	ClientURL   string `json:"client_url"`
	Payload     struct {
		Summary       string          `json:"summary"`
		Source        string          `json:"source"`
		Severity      string          `json:"severity"`
		Timestamp     text            `json:"timestamp"`
		Component     string          `json:"component"`
		Group         string          `json:"group"`
		Class         string          `json:"class"`
		CustomDetails json.RawMessage `json:"custom_details"`
	} `json:"payload"`
	Links []struct {
		Href string `json:"href"`
	} `json:"links"`
}

const maxDedupKey = 255

// pagerDutyEvents takes an event; its routing key is the API token.
func (h *Handlers) pagerDutyEvents(w http.ResponseWriter, r *http.Request) {
	var in pagerDutyEvent
	if err := readJSON(w, r, maxBody, &in); err != nil {
		h.pagerDutyProblem(w, r, err)
		return
	}
	if in.RoutingKey == "" {
		h.pagerDutyProblem(w, r, fault.Invalid("'routing_key' is missing or blank"))
		return
	}
	who, err := h.verify(r.Context(), in.RoutingKey)
	if err != nil {
		h.pagerDutyProblem(w, r, fault.Invalid("'routing_key' is invalid"))
		return
	}
	if err := in.check(); err != nil {
		h.pagerDutyProblem(w, r, err)
		return
	}
	if in.DedupKey == "" {
		in.DedupKey = strings.ReplaceAll(change.NewID(h.now()), "-", "")
	}
	if err := h.pagerDutyAct(r, &in, firstOf(who, in.Client, "PagerDuty")); err != nil {
		h.pagerDutyProblem(w, r, err)
		return
	}
	writeJSON(w, http.StatusAccepted, map[string]string{"status": "success", "message": "Event processed", "dedup_key": in.DedupKey})
}

func (h *Handlers) pagerDutyAct(r *http.Request, in *pagerDutyEvent, who string) error {
	id := change.DeriveID("pagerduty", in.DedupKey)
	switch in.EventAction {
	case "resolve":
		_, err := h.problems.Resolve(r.Context(), []string{id}, time.Time{})
		return err
	case "acknowledge":
		return h.problems.AcknowledgeEvent(r.Context(), id, cut(who, 200))
	}
	e, err := in.event(id)
	if err != nil {
		return err
	}
	_, err = h.problems.Observe(r.Context(), []problem.Event{e})
	return err
}

// check names the first required field that is missing or wrong.
func (in *pagerDutyEvent) check() error {
	if len(in.DedupKey) > maxDedupKey {
		return fault.Invalid("'dedup_key' is longer than %d characters", maxDedupKey)
	}
	switch in.EventAction {
	case "":
		return fault.Invalid("'event_action' is missing or blank")
	case "acknowledge", "resolve":
		if in.DedupKey == "" {
			return fault.Invalid("'dedup_key' is missing or blank")
		}
		return nil
	case "trigger":
	default:
		return fault.Invalid("'event_action' must be one of trigger, acknowledge, resolve")
	}
	p := &in.Payload
	switch {
	case p.Summary == "":
		return fault.Invalid("'payload.summary' is missing or blank")
	case len(p.Summary) > maxPagerDutySummary:
		return fault.Invalid("'payload.summary' is longer than %d characters", maxPagerDutySummary)
	case p.Source == "":
		return fault.Invalid("'payload.source' is missing or blank")
	case p.Severity == "":
		return fault.Invalid("'payload.severity' is missing or blank")
	}
	switch p.Severity {
	case "critical", "error", "warning", "info":
		return nil
	}
	return fault.Invalid("'payload.severity' must be one of critical, error, warning, info")
}

func (in *pagerDutyEvent) event(id string) (problem.Event, error) {
	details := properties{}
	details.gather("", in.Payload.CustomDetails)
	tags := problemTags(details)
	for k, v := range map[string]string{"source": in.Payload.Source, "group": in.Payload.Group, "class": in.Payload.Class, "component": in.Payload.Component} {
		if v != "" && len(tags) < maxProblemTags {
			tags[k] = cut(v, maxProblemName)
		}
	}
	urls := []string{in.ClientURL}
	for _, l := range in.Links {
		urls = append(urls, l.Href)
	}
	e := problem.Event{
		ID: id, Source: "pagerduty", Signal: problem.SignalExternal, Severity: severityWord(in.Payload.Severity),
		Ref: entity.Ref{
			Service:     cut(firstOf(details.first("service", "service.name"), in.Payload.Component), maxProblemName),
			Environment: cut(details.first("environment", "env"), maxProblemName), Version: cut(details["version"], maxProblemName),
		},
		Operation: cut(details["operation"], maxProblemName),
		Title:     cut(in.Payload.Summary, maxProblemTitle), Tags: tags,
		External: &problem.External{System: "pagerduty", ID: in.DedupKey, URL: problemURL(urls...)},
	}
	if t := string(in.Payload.Timestamp); t != "" {
		start, err := parseTimestamp(t)
		if err != nil {
			return e, fault.Invalid("'payload.timestamp' is not an ISO 8601 time")
		}
		e.Start = start
	}
	return e, nil
}
