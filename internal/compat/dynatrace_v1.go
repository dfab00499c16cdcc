package compat

import (
	"net/http"
	"time"

	"github.com/tidegate-io/tidegate/change"
	"github.com/tidegate-io/tidegate/entity"
	"github.com/tidegate-io/tidegate/fault"
)

// dynatraceEventV1 is the payload of the Dynatrace Events API v1
// (POST /api/v1/events, schema EventCreation).
type dynatraceEventV1 struct {
	EventType   string         `json:"eventType"`
	Source      string         `json:"source"`
	Start       *int64         `json:"start"` // Unix milliseconds
	End         *int64         `json:"end"`
	Timeout     int            `json:"timeoutMinutes"`
	AttachRules *attachRulesV1 `json:"attachRules"`

	DeploymentName    string `json:"deploymentName"`
	DeploymentVersion string `json:"deploymentVersion"`
	DeploymentProject string `json:"deploymentProject"`
	CIBackLink        string `json:"ciBackLink"`
	RemediationAction string `json:"remediationAction"`

	Title                 string `json:"title"`
	Description           string `json:"description"`
	Configuration         string `json:"configuration"`
	Original              string `json:"original"`
	Changed               string `json:"changed"`
	AnnotationType        string `json:"annotationType"`
	AnnotationDescription string `json:"annotationDescription"`

	CustomProperties map[string]text `json:"customProperties"`
}

type attachRulesV1 struct {
	EntityIDs []string    `json:"entityIds"`
	TagRule   []tagRuleV1 `json:"tagRule"`
}

type tagRuleV1 struct {
	MeTypes []string `json:"meTypes"`
	Tags    []tagV1  `json:"tags"`
}

type tagV1 struct {
	Context string `json:"context"`
	Key     string `json:"key"`
	Value   string `json:"value"`
}

// maxRules bounds the events that one request becomes.
const maxRules = 50

// dynatraceV1 records one event for each rule that says where, as Dynatrace
// makes one for each entity; they share their correlation.
func (h *Handlers) dynatraceV1(w http.ResponseWriter, r *http.Request) {
	who, err := h.authorize(r)
	if err != nil {
		dynatraceError(w, http.StatusUnauthorized, "Token Authentication failed", "", "")
		return
	}
	var in dynatraceEventV1
	if err := readJSON(w, r, maxBody, &in); err != nil {
		h.dynatraceProblem(w, r, err)
		return
	}
	events, err := in.events(who, change.NewID(h.now()))
	if err != nil {
		h.dynatraceProblem(w, r, err)
		return
	}
	for i := range events {
		if e := &events[i]; e.Type == typeProblemReported && e.End.IsZero() {
			e.End = h.startOf(e).Add(in.timeout())
		}
	}
	stored, err := h.record(r.Context(), events)
	if err != nil {
		h.dynatraceProblem(w, r, err)
		return
	}
	ids := make([]string, len(stored))
	for i, e := range stored {
		ids[i] = e.ID
	}
	writeJSON(w, http.StatusOK, map[string][]string{"storedIds": ids, "storedCorrelationIds": ids})
}

func (in *dynatraceEventV1) timeout() time.Duration {
	minutes := dynatraceTimeout
	if in.Timeout > 0 {
		minutes = min(in.Timeout, maxDynatraceTimeout)
	}
	return time.Duration(minutes) * time.Minute
}

// events translates the payload. The identity of the request makes the ids of
// its events.
func (in *dynatraceEventV1) events(who, request string) ([]change.Event, error) {
	if err := in.check(); err != nil {
		return nil, err
	}
	p := make(properties, len(in.CustomProperties))
	for k, v := range in.CustomProperties {
		p[k] = string(v)
	}
	e := change.Event{
		Title: firstOf(in.Title, in.Description, in.AnnotationDescription, in.AnnotationType), Reason: in.Description,
		Start: milliseconds(in.Start), End: milliseconds(in.End),
		Who: firstOf(p.first(whoKeys...), who), Correlation: request,
	}
	if e.Title == e.Reason {
		e.Reason = ""
	}
	if in.EventType == "CUSTOM_DEPLOYMENT" {
		const prefix = "dt.event.deployment."
		p = p.with(prefix+"name", in.DeploymentName).with(prefix+"version", in.DeploymentVersion).
			with(prefix+"project", in.DeploymentProject).with(prefix+"ci_back_link", in.CIBackLink).
			with(prefix+"remediation_action_link", in.RemediationAction)
		e.Title = firstOf(in.Title, in.DeploymentName+" "+in.DeploymentVersion)
	}
	p = p.with("configuration", in.Configuration).with("remediationAction", in.RemediationAction).with("annotationType", in.AnnotationType)
	if err := classify(&e, in.EventType, p); err != nil {
		return nil, err
	}
	e.Properties = p
	e.Source = firstOf(p["tool"], in.Source)
	e.From, e.To = firstOf(e.From, in.Original), firstOf(e.To, in.Changed)
	return in.AttachRules.attach(e, request), nil
}

// check names the first required field that is missing.
func (in *dynatraceEventV1) check() error {
	type field struct{ name, value string }
	required := []field{{"eventType", in.EventType}, {"source", in.Source}}
	switch in.EventType {
	case "CUSTOM_DEPLOYMENT":
		required = append(required, field{"deploymentName", in.DeploymentName}, field{"deploymentVersion", in.DeploymentVersion})
	case "CUSTOM_CONFIGURATION":
		required = append(required, field{"description", in.Description}, field{"configuration", in.Configuration})
	case "CUSTOM_ANNOTATION":
		required = append(required, field{"annotationType", in.AnnotationType}, field{"annotationDescription", in.AnnotationDescription})
	case "CUSTOM_INFO":
		required = append(required, field{"description", in.Description})
	}
	for _, f := range required {
		if f.value == "" {
			return fault.InvalidField(f.name, "must not be null")
		}
	}
	if in.AttachRules == nil || len(in.AttachRules.EntityIDs)+len(in.AttachRules.TagRule) == 0 {
		return fault.InvalidField("attachRules", "must name entityIds or a tagRule")
	}
	if n := in.AttachRules.count(); n > maxRules {
		return fault.InvalidField("attachRules", "%d rules, at most %d are allowed", n, maxRules)
	}
	return nil
}

func (a *attachRulesV1) count() int {
	n := min(len(a.EntityIDs), 1)
	for _, rule := range a.TagRule {
		n += max(len(rule.MeTypes), 1)
	}
	return n
}

// attach copies the event for each place it is about.
func (a *attachRulesV1) attach(e change.Event, request string) []change.Event {
	var selectors []string
	if len(a.EntityIDs) > 0 {
		selectors = append(selectors, entity.IDCriterion(a.EntityIDs...))
	}
	for _, rule := range a.TagRule {
		tags := ""
		for _, t := range rule.Tags {
			tags += "," + entity.TagCriterion(t.Key, t.Value)
		}
		for _, meType := range rule.MeTypes {
			selectors = append(selectors, entity.TypeCriterion(meType)+tags)
		}
		if len(rule.MeTypes) == 0 && tags != "" {
			selectors = append(selectors, tags[1:])
		}
	}
	events := make([]change.Event, len(selectors))
	for i, s := range selectors {
		events[i] = e
		events[i].Selector = s
		events[i].ID = change.DeriveID("dynatrace-v1", request, s)
	}
	return events
}
