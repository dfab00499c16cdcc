package compat

import (
	"encoding/json"
	"net/http"
	"time"

	"github.com/tidegate-io/tidegate/change"
	"github.com/tidegate-io/tidegate/entity"
	"github.com/tidegate-io/tidegate/fault"
)

// pagerDutyChange is the payload of PagerDuty's change events
// (POST /v2/change/enqueue).
type pagerDutyChange struct {
	RoutingKey string `json:"routing_key"`
	Payload    struct {
		Summary       string          `json:"summary"`
		Source        string          `json:"source"`
		Timestamp     text            `json:"timestamp"`
		CustomDetails json.RawMessage `json:"custom_details"`
	} `json:"payload"`
	Links []struct {
		Href string `json:"href"`
		Text string `json:"text"`
	} `json:"links"`
}

const maxPagerDutySummary = 1024

// pagerDuty accepts a change event; its routing key is the API token.
func (h *Handlers) pagerDuty(w http.ResponseWriter, r *http.Request) {
	var in pagerDutyChange
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
	e, err := in.event(who)
	if err != nil {
		h.pagerDutyProblem(w, r, err)
		return
	}
	if _, err := h.record(r.Context(), []change.Event{e}); err != nil {
		h.pagerDutyProblem(w, r, err)
		return
	}
	writeJSON(w, http.StatusAccepted, map[string]string{"message": "Change event processed", "status": "success"})
}

func (h *Handlers) pagerDutyProblem(w http.ResponseWriter, r *http.Request, err error) {
	status, message := h.explain(r.Context(), w, err)
	writeJSON(w, status, struct {
		Status  string   `json:"status"`
		Message string   `json:"message"`
		Errors  []string `json:"errors"`
	}{"invalid event", "Event object is invalid", []string{message}})
}

// event translates the payload. Custom details named service, environment
// and version say where; one that names a version or a deployment makes it a
// deployment, all others are configuration changes.
func (in *pagerDutyChange) event(who string) (change.Event, error) {
	if in.Payload.Summary == "" {
		return change.Event{}, fault.Invalid("'payload.summary' is missing or blank")
	}
	if len(in.Payload.Summary) > maxPagerDutySummary {
		return change.Event{}, fault.Invalid("'payload.summary' is longer than %d characters", maxPagerDutySummary)
	}
	p := properties{}
	p.gather("", in.Payload.CustomDetails)
	e := change.Event{
		Type: change.TypeConfigurationChanged, Kind: change.KindConfiguration, Title: in.Payload.Summary,
		Who: firstOf(p.first(whoKeys...), who), Source: cut(firstOf(in.Payload.Source, "PagerDuty"), 300),
		Ref: entity.Ref{Service: cut(p.first("service", "service.name", "component"), 300), Environment: cut(p["environment"], 300), Version: cut(p["version"], 300)},
	}
	if e.Version != "" || p["deployment"] != "" || p["deploy_id"] != "" {
		e.Type, e.Kind, e.To = change.TypeDeploymentFinished, change.KindDeployment, e.Version
	}
	if t := string(in.Payload.Timestamp); t != "" {
		start, err := parseTimestamp(t)
		if err != nil {
			return change.Event{}, fault.Invalid("'payload.timestamp' is not an ISO 8601 time")
		}
		e.Start = start
	}
	for _, l := range in.Links {
		if len(e.Links) < 20 {
			e.Links = append(e.Links, link(cut(firstOf(l.Text, l.Href), 300), l.Href)...)
		}
	}
	e.Properties = p
	return e, nil
}

// parseTimestamp accepts the forms of ISO 8601 that PagerDuty's documentation
// and libraries use.
func parseTimestamp(s string) (time.Time, error) {
	var err error
	for _, layout := range []string{time.RFC3339Nano, "2006-01-02T15:04:05.999999999-0700", "2006-01-02T15:04:05.999999999", "2006-01-02 15:04:05Z07:00"} {
		var t time.Time
		if t, err = time.Parse(layout, s); err == nil {
			return t, nil
		}
	}
	return time.Time{}, err
}
