package manifest

import (
	"fmt"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/tidegate-io/tidegate/problem"
)

// LogRule is the spec of kind LogRule: log records that come too often are an
// event of a problem.
type LogRule struct {
	Match    LogMatch `json:"match"`
	MoreThan int      `json:"moreThan,omitempty" doc:"so many records are usual; default 0, every record counts"`
	Within   Duration `json:"within" doc:"length of the window they are counted in"`
	Raise    Raise    `json:"raise,omitempty"`
}

// LogMatch says which records count; every condition that is set.
type LogMatch struct {
	Pattern     string `json:"pattern,omitempty" doc:"RE2 expression found in the message"`
	Severity    string `json:"severity,omitempty" enum:"TRACE,DEBUG,INFO,WARN,ERROR,FATAL" doc:"at least"`
	Service     string `json:"service,omitempty"`
	Environment string `json:"environment,omitempty"`
}

// Raise says what event is raised.
type Raise struct {
	Title    string `json:"title,omitempty"`
	Severity string `json:"severity,omitempty" enum:"availability,error,slowdown,resource,custom,info"`
	// Informational events open no problem.
	Informational bool `json:"informational,omitempty" doc:"shown on the timeline, opens no problem"`
}

func (r *Raise) check(c *checker) { oneOf(c.at("severity"), r.Severity, severities...) }

var logSeverities = map[string]int{"TRACE": 1, "DEBUG": 5, "INFO": 9, "WARN": 13, "ERROR": 17, "FATAL": problem.SeverityFatal}

func (r *LogRule) check(c *checker) {
	oneOf(c.at("match.severity"), r.Match.Severity, "TRACE", "DEBUG", "INFO", "WARN", "ERROR", "FATAL")
	r.Raise.check(c.at("raise"))
	if len(c.d.errs) > 0 {
		return
	}
	rule := r.Definition("check", nil)
	if err := rule.Validate(); err != nil {
		c.fault(err)
	}
}

// Definition returns the rule as the domain knows it.
func (r *LogRule) Definition(name string, labels map[string]string) problem.LogRule {
	return problem.LogRule{Name: name, Labels: labels, Service: r.Match.Service, Environment: r.Match.Environment,
		MinSeverity: logSeverities[r.Match.Severity], Pattern: r.Match.Pattern, MoreThan: r.MoreThan, Within: time.Duration(r.Within),
		Title: r.Raise.Title, Severity: problem.Severity(r.Raise.Severity), Informational: r.Raise.Informational}
}

// Alert is the spec of kind Alert: a query and a limit.
type Alert struct {
	Query   string    `json:"query" doc:"PromQL; every series of the answer is an alert of its own"`
	Limit   *Limit    `json:"limit,omitempty" doc:"what a value must not be; without, every series that is returned"`
	For     *Duration `json:"for,omitempty" doc:"how long the limit is crossed before it counts"`
	KeepFor *Duration `json:"keepFor,omitempty" doc:"how long it is not crossed before it is over"`
	Every   *Duration `json:"every,omitempty" doc:"how often it is looked at; default 15s"`
	Unit    string    `json:"unit,omitempty"`
	Target  *AlertOf  `json:"target,omitempty" doc:"the place, when the labels of the series name none"`
	Raise   Raise     `json:"raise,omitempty"`
}

// AlertOf is the place of an alert.
type AlertOf struct {
	Service     string `json:"service,omitempty"`
	Environment string `json:"environment,omitempty"`
}

func (a *Alert) check(c *checker) {
	a.Raise.check(c.at("raise"))
	if a.Raise.Informational {
		c.at("raise.informational").errorf("alerts are not informational: leave the alert out of the profiles instead")
	}
	checkPromQL(c.at("query"), a.Query)
	if len(c.d.errs) > 0 {
		return
	}
	rule := a.Definition("check", nil)
	if err := rule.Validate(); err != nil {
		c.fault(err)
	}
}

// Definition returns the alert as the domain knows it.
func (a *Alert) Definition(name string, labels map[string]string) problem.AlertRule {
	out := problem.AlertRule{Name: name, Labels: labels, Query: a.Query, For: span(a.For), KeepFor: span(a.KeepFor), Every: span(a.Every),
		Unit: a.Unit, Title: a.Raise.Title, Severity: problem.Severity(a.Raise.Severity)}
	if a.Limit != nil {
		out.Op, out.Value = a.Limit.Op, a.Limit.Value
	}
	if a.Target != nil {
		out.Service, out.Environment = a.Target.Service, a.Target.Environment
	}
	return out
}

// AlertingProfile is the spec of kind AlertingProfile: which problems are told
// to whom, and when.
type AlertingProfile struct {
	For      ProfileFor `json:"for,omitempty"`
	Delay    *Duration  `json:"delay,omitempty" doc:"how long a problem lasts before it is told of"`
	Channels []string   `json:"channels,omitempty" doc:"notification channels; without any only workflows are told (event problem.alerted)"`
}

// ProfileFor selects problems; every condition that is set.
type ProfileFor struct {
	Severity    Words         `json:"severity,omitempty" doc:"one of these"`
	Service     Words         `json:"service,omitempty" doc:"one of these is impacted"`
	Environment Words         `json:"environment,omitempty" doc:"in one of these"`
	Tags        ProfileTags   `json:"tags,omitempty"`
	Events      []EventFilter `json:"events,omitempty" doc:"at least one of its events matches one of these"`
	Except      []EventFilter `json:"except,omitempty" doc:"not when every event matches one of these"`
}

// ProfileTags are tags, "key" or "key:value", of the impacted services.
type ProfileTags struct {
	Any Words `json:"any,omitempty"`
	All Words `json:"all,omitempty"`
}

// EventFilter selects events of a problem.
type EventFilter struct {
	Source string `json:"source,omitempty" doc:"detector, log-rule, alert, alertmanager, pagerduty, dynatrace, cdevents, api"`
	Signal string `json:"signal,omitempty" enum:"errors,latency,slowest,traffic.drop,traffic.surge,no-data,series,alert,log,external"`
	Title  string `json:"title,omitempty" doc:"RE2 expression found in the title"`
}

func (p *AlertingProfile) check(c *checker) {
	for i, s := range p.For.Severity {
		at := c.at("for.severity")
		if len(p.For.Severity) > 1 {
			at = at.at("[%d]", i)
		}
		oneOf(at, s, severities...)
	}
	for what, filters := range map[string][]EventFilter{"events": p.For.Events, "except": p.For.Except} {
		for i, f := range filters {
			oneOf(c.at("for.%s[%d].signal", what, i), f.Signal, "errors", "latency", "slowest", "traffic.drop", "traffic.surge", "no-data", "series", "alert", "log", "external")
		}
	}
	if len(c.d.errs) > 0 {
		return
	}
	def := p.Definition("check", nil)
	if err := def.Validate(); err != nil {
		c.fault(err)
	}
}

// Definition returns the profile as the domain knows it.
func (p *AlertingProfile) Definition(name string, labels map[string]string) problem.Profile {
	out := problem.Profile{Name: name, Labels: labels, Services: p.For.Service, Environments: p.For.Environment,
		TagsAny: p.For.Tags.Any, TagsAll: p.For.Tags.All, Events: eventFilters(p.For.Events), Except: eventFilters(p.For.Except),
		Delay: span(p.Delay), Channels: p.Channels}
	for _, s := range p.For.Severity {
		out.Severities = append(out.Severities, problem.Severity(s))
	}
	return out
}

func eventFilters(in []EventFilter) (out []problem.EventFilter) {
	for _, f := range in {
		out = append(out, problem.EventFilter{Source: f.Source, Signal: problem.Signal(f.Signal), Title: f.Title})
	}
	return out
}

// MaintenanceWindow is the spec of kind MaintenanceWindow: a time in which
// nobody is alerted.
type MaintenanceWindow struct {
	For    WindowFor `json:"for,omitempty" doc:"everything when empty"`
	From   Moment    `json:"from"`
	To     Moment    `json:"to"`
	Every  *Duration `json:"every,omitempty" doc:"repeats the window, for example 1d or 7d"`
	Reason string    `json:"reason,omitempty"`
}

// WindowFor selects problems by their places.
type WindowFor struct {
	Service     Words `json:"service,omitempty"`
	Environment Words `json:"environment,omitempty"`
}

func (w *MaintenanceWindow) check(c *checker) {
	def := w.Definition("check", nil)
	if err := def.Validate(); err != nil {
		c.fault(err)
	}
}

// Definition returns the window as the domain knows it.
func (w *MaintenanceWindow) Definition(name string, labels map[string]string) problem.Window {
	return problem.Window{Name: name, Labels: labels, Services: w.For.Service, Environments: w.For.Environment,
		From: time.Time(w.From), To: time.Time(w.To), Every: span(w.Every), Reason: w.Reason}
}

// Moment is a time in RFC 3339; without an offset it is UTC.
type Moment time.Time

func (m *Moment) parse(text string) error {
	for _, layout := range []string{time.RFC3339, "2006-01-02T15:04:05", "2006-01-02T15:04", "2006-01-02 15:04"} {
		if t, err := time.Parse(layout, strings.TrimSpace(text)); err == nil {
			*m = Moment(t)
			return nil
		}
	}
	return fmt.Errorf("%q is not a time: expected for example 2026-05-01T22:00:00Z", text)
}

// Schema implements huma.SchemaProvider.
func (Moment) Schema(huma.Registry) *huma.Schema {
	return stringSchema("a time, UTC when it has no offset", "", "2026-05-01T22:00:00Z")
}
