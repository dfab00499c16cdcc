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

// dynatraceNotification is a Dynatrace problem notification: a template that
// the user writes, so the case of its keys and the types of its values vary.
type dynatraceNotification struct {
	State            text            `json:"State"`
	PID              text            `json:"PID"`
	ProblemID        text            `json:"ProblemID"`
	ProblemTitle     text            `json:"ProblemTitle"`
	ProblemURL       text            `json:"ProblemURL"`
	ProblemSeverity  text            `json:"ProblemSeverity"`
	ProblemImpact    text            `json:"ProblemImpact"`
	Tags             text            `json:"Tags"`
	ImpactedEntities json.RawMessage `json:"ImpactedEntities"`
	ProblemDetails   json.RawMessage `json:"ProblemDetailsJSON"`
}

type dynatraceEntity struct {
	Type   text `json:"type"`
	Name   text `json:"name"`
	Entity text `json:"entity"`
}

// dynatraceTest marks what Dynatrace sends to test the connection.
const dynatraceTest = "XXXXXXXXXXXXX"

// dynatraceNotifications takes problem notifications.
func (h *Handlers) dynatraceNotifications(w http.ResponseWriter, r *http.Request) {
	if _, err := h.authorize(r); err != nil {
		unauthorized(w)
		return
	}
	var in dynatraceNotification
	if err := readJSON(w, r, maxBody, &in); err != nil {
		h.problem(w, r, err)
		return
	}
	if strings.Contains(string(in.PID), dynatraceTest) || strings.Contains(string(in.ImpactedEntities), dynatraceTest) {
		writeJSON(w, http.StatusOK, map[string]string{"message": "test notification received"})
		return
	}
	entities, err := in.check()
	if err != nil {
		h.problem(w, r, err)
		return
	}
	var problems []string
	if in.open() {
		problems, err = h.observe(r.Context(), in.events(entities))
	} else {
		problems, err = h.problems.ResolveGroup(r.Context(), "dynatrace", in.group(), time.Time{})
	}
	if err != nil {
		h.problem(w, r, err)
		return
	}
	answer := map[string]string{}
	if len(problems) > 0 {
		answer["problem"] = problems[0]
	}
	writeJSON(w, http.StatusOK, answer)
}

// check names the first required field that is missing, and reads the entities.
func (in *dynatraceNotification) check() ([]dynatraceEntity, error) {
	if in.PID == "" {
		return nil, fault.InvalidField("PID", "is required")
	}
	switch strings.ToUpper(string(in.State)) {
	case "OPEN", "RESOLVED", "MERGED", "CLOSED":
	case "":
		return nil, fault.InvalidField("State", "is required")
	default:
		return nil, fault.InvalidField("State", "%q: expected OPEN, RESOLVED or MERGED", cut(string(in.State), 40))
	}
	raw := in.ImpactedEntities
	var quoted string
	if json.Unmarshal(raw, &quoted) == nil { // the template has it between quotes
		raw = json.RawMessage(quoted)
	}
	if len(raw) == 0 || string(raw) == "null" {
		return nil, fault.InvalidField("ImpactedEntities", "is required")
	}
	var entities []dynatraceEntity
	if err := json.Unmarshal(raw, &entities); err != nil {
		return nil, fault.InvalidField("ImpactedEntities", "expected a list of entities with type, name and entity")
	}
	return entities[:min(len(entities), maxPlaces)], nil
}

func (in *dynatraceNotification) open() bool { return strings.EqualFold(string(in.State), "OPEN") }

// group ties the events of one problem of Dynatrace's together.
func (in *dynatraceNotification) group() string { return cut(string(in.PID), maxProblemText) }

func (in *dynatraceNotification) events(entities []dynatraceEntity) []problem.Event {
	tags := dynatraceTags(string(in.Tags))
	e := problem.Event{
		Source: "dynatrace", Signal: problem.SignalExternal, Severity: dynatraceSeverity(string(in.ProblemSeverity)),
		Title: cut(firstOf(string(in.ProblemTitle), "Dynatrace problem "+firstOf(string(in.ProblemID), string(in.PID))), maxProblemTitle),
		Start: in.start(), Group: in.group(), Tags: problemTags(tags),
		External: &problem.External{System: "dynatrace", ID: cut(string(in.PID), maxProblemName), URL: problemURL(string(in.ProblemURL))},
	}
	if e.Severity == "" {
		e.Severity = problem.SeverityCustom
	}
	if in.ProblemImpact != "" {
		e.Why = "Dynatrace " + cut(firstOf(string(in.ProblemID), string(in.PID)), 200) + ", impact " + cut(string(in.ProblemImpact), 200)
	}
	if len(entities) == 0 {
		entities = []dynatraceEntity{{}}
	}
	var out []problem.Event
	for _, x := range entities {
		one := e
		one.Ref = entity.Ref{Environment: cut(tags.first("environment", "Environment", "env"), maxProblemName)}
		if strings.EqualFold(string(x.Type), "SERVICE") {
			one.Service = cut(string(x.Name), maxProblemName)
		}
		one.ID = change.DeriveID("dynatrace", string(in.PID), firstOf(string(x.Entity), string(x.Name)))
		out = append(out, one)
	}
	return out
}

// start is the problem's own onset, where its details are sent along.
func (in *dynatraceNotification) start() time.Time {
	var details struct {
		StartTime int64 `json:"startTime"` // Unix milliseconds
	}
	raw := in.ProblemDetails
	var quoted string
	if json.Unmarshal(raw, &quoted) == nil {
		raw = json.RawMessage(quoted)
	}
	if json.Unmarshal(raw, &details) != nil || details.StartTime <= 0 {
		return time.Time{}
	}
	return milliseconds(&details.StartTime)
}

// dynatraceTags reads "a, b:c".
func dynatraceTags(list string) properties {
	out := properties{}
	for tag := range strings.SplitSeq(list, ",") {
		key, value, _ := strings.Cut(strings.TrimSpace(tag), ":")
		if key = strings.TrimSpace(key); key != "" {
			out[key] = strings.TrimSpace(value)
		}
	}
	return out
}

// dynatraceSeverity is the severity of a problem of Dynatrace's, or of an event
// type that opens one; empty for others.
func dynatraceSeverity(word string) problem.Severity {
	switch strings.TrimSuffix(word, "_EVENT") {
	case "AVAILABILITY", "MONITORING_UNAVAILABLE":
		return problem.SeverityAvailability
	case "ERROR":
		return problem.SeverityError
	case "PERFORMANCE":
		return problem.SeveritySlowdown
	case "RESOURCE_CONTENTION":
		return problem.SeverityResource
	case "CUSTOM_ALERT":
		return problem.SeverityCustom
	}
	return ""
}
