package compat

import (
	"errors"
	"maps"
	"net/http"
	"time"

	"github.com/tidegate-io/tidegate/change"
	"github.com/tidegate-io/tidegate/fault"
)

// dynatraceEvent is the payload of the Dynatrace Events API v2
// (POST /api/v2/events/ingest, schema EventIngest).
type dynatraceEvent struct {
	EventType  string          `json:"eventType"`
	Title      string          `json:"title"`
	Selector   string          `json:"entitySelector"`
	StartTime  *int64          `json:"startTime"` // Unix milliseconds
	EndTime    *int64          `json:"endTime"`
	Timeout    *int            `json:"timeout"` // minutes
	Properties map[string]text `json:"properties"`
}

// typeProblemReported is the type of events of another monitor that open a
// problem here; the problem's own events tell how it goes on.
const typeProblemReported = "problem.reported"

// Limits of the Dynatrace Events API v2.
const (
	dynatraceTimeout    = 15  // minutes, when none is given
	maxDynatraceTimeout = 360 // minutes
	maxDynatraceTitle   = 500
)

func (h *Handlers) dynatraceV2(w http.ResponseWriter, r *http.Request) {
	who, err := h.authorize(r)
	if err != nil {
		dynatraceError(w, http.StatusUnauthorized, "Token Authentication failed", "", "")
		return
	}
	var in dynatraceEvent
	if err := readJSON(w, r, maxBody, &in); err != nil {
		h.dynatraceProblem(w, r, err)
		return
	}
	e, err := in.event(who)
	if err != nil {
		h.dynatraceProblem(w, r, err)
		return
	}
	if e.Type == typeProblemReported && e.End.IsZero() { // over, unless it is sent again
		e.End = h.startOf(&e).Add(in.timeout())
	}
	stored, err := h.record(r.Context(), []change.Event{e})
	if err != nil {
		h.dynatraceProblem(w, r, err)
		return
	}
	type result struct {
		CorrelationID string `json:"correlationId"`
		Status        string `json:"status"`
	}
	writeJSON(w, http.StatusCreated, struct {
		ReportCount        int      `json:"reportCount"`
		EventIngestResults []result `json:"eventIngestResults"`
	}{1, []result{{stored[0].ID, "OK"}}})
}

// dynatraceProblem answers in the error format of the Dynatrace API.
func (h *Handlers) dynatraceProblem(w http.ResponseWriter, r *http.Request, err error) {
	status, message := h.explain(r.Context(), w, err)
	var f *fault.Error
	if errors.As(err, &f) && f.Field != "" {
		dynatraceError(w, status, "Constraints violated.", dynatracePath(f.Field), f.Err.Error())
		return
	}
	dynatraceError(w, status, message, "", "")
}

// dynatracePath translates our field names back.
func dynatracePath(field string) string {
	switch field {
	case "selector":
		return "entitySelector"
	case "start":
		return "startTime"
	case "end":
		return "endTime"
	}
	return field
}

func dynatraceError(w http.ResponseWriter, status int, message, path, violation string) {
	type constraint struct {
		Path     string `json:"path"`
		Message  string `json:"message"`
		Location string `json:"parameterLocation"`
	}
	type body struct {
		Code       int          `json:"code"`
		Message    string       `json:"message"`
		Violations []constraint `json:"constraintViolations,omitempty"`
	}
	b := body{Code: status, Message: message}
	if path != "" {
		b.Violations = []constraint{{path, violation, "PAYLOAD_BODY"}}
	}
	writeJSON(w, status, map[string]body{"error": b})
}

func (h *Handlers) startOf(e *change.Event) time.Time {
	if e.Start.IsZero() {
		return h.now()
	}
	return e.Start
}

func (in *dynatraceEvent) timeout() time.Duration {
	minutes := dynatraceTimeout
	if in.Timeout != nil {
		minutes = *in.Timeout
	}
	return time.Duration(minutes) * time.Minute
}

// event translates the payload; the error is a fault with the field.
func (in *dynatraceEvent) event(who string) (change.Event, error) {
	if in.EventType == "" {
		return change.Event{}, fault.InvalidField("eventType", "must not be null")
	}
	if in.Title == "" {
		return change.Event{}, fault.InvalidField("title", "must not be null")
	}
	if len(in.Title) > maxDynatraceTitle {
		return change.Event{}, fault.InvalidField("title", "has more than %d characters", maxDynatraceTitle)
	}
	if in.Timeout != nil && (*in.Timeout < 1 || *in.Timeout > maxDynatraceTimeout) {
		return change.Event{}, fault.InvalidField("timeout", "must be between 1 and %d minutes", maxDynatraceTimeout)
	}
	p := make(properties, len(in.Properties))
	for k, v := range in.Properties {
		p[k] = string(v)
	}
	e := change.Event{Title: in.Title, Selector: in.Selector, Who: firstOf(p.first(whoKeys...), who), Properties: p}
	e.Start, e.End = milliseconds(in.StartTime), milliseconds(in.EndTime)
	if err := classify(&e, in.EventType, p); err != nil {
		return change.Event{}, err
	}
	return e, nil
}

func milliseconds(ms *int64) time.Time {
	if ms == nil || *ms == 0 {
		return time.Time{}
	}
	return time.UnixMilli(*ms)
}

// classify gives a Dynatrace event of either API version its meaning: by the
// event type, and for the free types by what the properties say.
func classify(e *change.Event, eventType string, p properties) error {
	e.Source = firstOf(p["tool"], p["source"], "Dynatrace Events API")
	switch eventType {
	case "CUSTOM_DEPLOYMENT":
		deployment(e, p)
	case "CUSTOM_CONFIGURATION", "CUSTOM_INFO", "CUSTOM_ANNOTATION":
		free(e, eventType, p)
	case "MARKED_FOR_TERMINATION":
		e.Type, e.Kind = "termination.marked", change.KindAnnotation
	case "AVAILABILITY_EVENT", "ERROR_EVENT", "PERFORMANCE_EVENT", "RESOURCE_CONTENTION_EVENT", "CUSTOM_ALERT":
		e.Type, e.Kind = typeProblemReported, change.KindProblem
		e.Key = eventType
	default:
		return fault.InvalidField("eventType", "%q is unknown, expected CUSTOM_DEPLOYMENT, CUSTOM_CONFIGURATION, CUSTOM_INFO, "+
			"CUSTOM_ANNOTATION, MARKED_FOR_TERMINATION, AVAILABILITY_EVENT, ERROR_EVENT, PERFORMANCE_EVENT, "+
			"RESOURCE_CONTENTION_EVENT or CUSTOM_ALERT", eventType)
	}
	return nil
}

// deployment reads the dt.event.deployment.* properties.
func deployment(e *change.Event, p properties) {
	const prefix = "dt.event.deployment."
	e.Type, e.Kind = change.TypeDeploymentFinished, change.KindDeployment
	e.Key = p[prefix+"name"]
	e.To = firstOf(p[prefix+"version"], p[prefix+"release_build_version"])
	e.Version = p[prefix+"version"]
	e.Environment = p[prefix+"release_stage"]
	e.Links = append(link("Pipeline", p[prefix+"ci_back_link"]), link("Remediation", p[prefix+"remediation_action_link"])...)
	e.Undo = webhookUndo(p[prefix+"remediation_action_link"])
}

// free reads what the properties of an event of a general type mean.
func free(e *change.Event, eventType string, p properties) {
	switch {
	case p["feature_flag.key"] != "":
		e.Type, e.Kind = change.TypeFlagChanged, change.KindFlag
		e.Key = p["feature_flag.key"]
		e.To = p.first("feature_flag.result.variant", "feature_flag.variant", "variant", "defaultValue", "value")
		e.From = p.first("previousVariant", "previousValue", "oldValue")
		e.Undo = webhookUndo(p.first("remediationAction", "dt.event.deployment.remediation_action_link"))
	case p["action"] == "test" && p["state"] == "finished":
		e.Type, e.Kind = change.TypeTestFinished, change.KindTest
		e.Key = p.first("test", "name")
	case p["action"] == "test" && p["state"] == "started":
		e.Type, e.Kind = change.TypeTestStarted, change.KindTest
		e.Key = p.first("test", "name")
	case eventType == "CUSTOM_CONFIGURATION" || p["type"] == "configuration_change":
		e.Type, e.Kind = change.TypeConfigurationChanged, change.KindConfiguration
		e.Key = p["configuration"]
		e.Undo = webhookUndo(p["remediationAction"])
	default:
		e.Type, e.Kind = change.TypeAnnotation, change.KindAnnotation
	}
}

// with returns p with one more, unless it is empty or there already.
func (p properties) with(key, value string) properties {
	if value == "" || p[key] != "" {
		return p
	}
	out := maps.Clone(p)
	if out == nil {
		out = properties{}
	}
	out[key] = value
	return out
}
