package compat

import (
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/tidegate-io/tidegate/change"
	"github.com/tidegate-io/tidegate/entity"
	"github.com/tidegate-io/tidegate/fault"
	"github.com/tidegate-io/tidegate/problem"
)

// alertmanagerMessage is what Alertmanager's webhook receiver posts, version 4
// (https://prometheus.io/docs/alerting/latest/configuration/#webhook_config).
type alertmanagerMessage struct {
	Version     string              `json:"version"`
	GroupKey    string              `json:"groupKey"`
	Receiver    string              `json:"receiver"`
	ExternalURL string              `json:"externalURL"`
	Alerts      []alertmanagerAlert `json:"alerts"`
}

type alertmanagerAlert struct {
	Status       string            `json:"status"`
	Labels       map[string]string `json:"labels"`
	Annotations  map[string]string `json:"annotations"`
	StartsAt     time.Time         `json:"startsAt"`
	EndsAt       time.Time         `json:"endsAt"`
	GeneratorURL string            `json:"generatorURL"`
	Fingerprint  string            `json:"fingerprint"`
}

// maxAlertmanagerBody admits large groups.
const maxAlertmanagerBody = 8 << 20

func (h *Handlers) alertmanager(w http.ResponseWriter, r *http.Request) {
	if _, err := h.authorize(r); err != nil {
		unauthorized(w)
		return
	}
	var in alertmanagerMessage
	if err := readJSON(w, r, maxAlertmanagerBody, &in); err != nil {
		h.problem(w, r, err)
		return
	}
	if err := in.check(); err != nil {
		h.problem(w, r, err)
		return
	}
	var firing []problem.Event
	for i := range in.Alerts {
		if a := &in.Alerts[i]; a.Status == "firing" {
			firing = append(firing, a.event(&in))
		}
	}
	problems, err := h.observe(r.Context(), firing)
	if err != nil {
		h.problem(w, r, err)
		return
	}
	for i := range in.Alerts {
		a := &in.Alerts[i]
		if a.Status == "firing" {
			continue
		}
		over, err := h.problems.Resolve(r.Context(), []string{a.id()}, a.EndsAt)
		if err != nil {
			h.problem(w, r, err)
			return
		}
		problems = append(problems, over...)
	}
	slices.Sort(problems)
	writeJSON(w, http.StatusOK, map[string][]string{"problems": slices.Compact(append([]string{}, problems...))})
}

// check names the first required field that is missing.
func (m *alertmanagerMessage) check() error {
	if m.Version == "" {
		return fault.InvalidField("version", `is required: "4"`)
	}
	if m.Version != "4" {
		return fault.InvalidField("version", `%q is not supported: expected "4"`, m.Version)
	}
	if m.Alerts == nil {
		return fault.InvalidField("alerts", "is required")
	}
	for i := range m.Alerts {
		a, at := &m.Alerts[i], fmt.Sprintf("alerts[%d].", i)
		switch {
		case a.Status != "firing" && a.Status != "resolved":
			return fault.InvalidField(at+"status", "%q: expected firing or resolved", a.Status)
		case len(a.Labels) == 0:
			return fault.InvalidField(at+"labels", "is required")
		case a.StartsAt.IsZero():
			return fault.InvalidField(at+"startsAt", "is required")
		}
	}
	return nil
}

// id is the same for every notification of one firing of an alert, whichever of
// several Alertmanagers sends it.
func (a *alertmanagerAlert) id() string {
	return change.DeriveID("alertmanager", a.identity(), a.StartsAt.UTC().Format(time.RFC3339Nano))
}

// identity is the fingerprint, or what it is made of.
func (a *alertmanagerAlert) identity() string {
	if a.Fingerprint != "" {
		return a.Fingerprint
	}
	parts := []string{"labels"}
	for k, v := range a.Labels {
		parts = append(parts, k+"\x00"+v)
	}
	slices.Sort(parts)
	return change.DeriveID(parts...)
}

func (a *alertmanagerAlert) event(m *alertmanagerMessage) problem.Event {
	l := properties(a.Labels)
	e := problem.Event{
		ID: a.id(), Source: "alertmanager", Signal: problem.SignalExternal, Severity: severityWord(l["severity"]),
		Ref: entity.Ref{
			Service:     cut(l.first("service_name", "service", "app_kubernetes_io_name", "app", "job"), maxProblemName),
			Environment: cut(l.first("deployment_environment_name", "environment", "env"), maxProblemName),
			Version:     cut(l.first("service_version", "version"), maxProblemName),
		},
		Operation: cut(l.first("span_name", "operation"), maxProblemName),
		Title:     cut(firstOf(a.Annotations["summary"], a.Annotations["title"], l["alertname"], "Alert"), maxProblemTitle),
		Why:       cut(firstOf(a.Annotations["description"], a.Annotations["message"]), maxProblemText),
		Start:     a.StartsAt, Tags: problemTags(a.Labels),
		External: &problem.External{System: "alertmanager", ID: cut(a.identity(), maxProblemName), URL: problemURL(a.GeneratorURL, m.ExternalURL)},
	}
	if e.Service == "" { // only the group says what belongs together
		e.Group = cut(m.GroupKey, maxProblemText)
	}
	return e
}
