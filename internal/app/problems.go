package app

import (
	"context"
	"fmt"
	"time"

	"github.com/tidegate-io/tidegate/internal/manifest"
	"github.com/tidegate-io/tidegate/internal/tsdb"
	"github.com/tidegate-io/tidegate/problem"
	"github.com/tidegate-io/tidegate/problem/cause"
	"github.com/tidegate-io/tidegate/telemetry"
)

// openProblems wires what turns events into problems, and the rules that raise
// events.
func (a *App) openProblems(context.Context) (err error) {
	if a.explainer == nil {
		m := measured{a.metrics}
		a.explainer = &explain{now: time.Now, readers: cause.Readers{Traces: a.traces, Logs: a.logs, Changes: a.changes, Series: m, Graph: m}}
	}
	a.problems, err = problem.New(problem.Config{
		Store: a.db.Problems(), Recorder: a.changes, Graph: problem.GraphFunc(a.calls), Explainer: a.explainer,
		Publisher: a.notifier, Entities: a.entities, URL: a.cfg.URL, Logger: a.log.With("part", "problems"),
	})
	if err != nil {
		return err
	}
	unsubscribe := a.problems.Subscribe(a.problemChanged)
	a.onClose(func() error { unsubscribe(); return nil })
	a.logRules, err = problem.NewLogWatch(problem.LogConfig{Logs: a.logs, Observer: a.problems, Logger: a.log.With("part", "log rules")})
	if err != nil {
		return err
	}
	a.alerts, err = problem.NewAlertWatch(problem.AlertConfig{Querier: instant{a.metrics}, Observer: a.problems, Logger: a.log.With("part", "alerts")})
	if err != nil {
		return err
	}
	return a.defineProblems()
}

func (a *App) problemChanged(p problem.Problem) {
	a.stream.Publish("problem", map[string]any{"id": p.ID, "number": p.Number, "state": p.State, "severity": p.Severity})
}

// defineProblems puts rules, alerting profiles and maintenance windows into
// force.
func (a *App) defineProblems() error {
	if a.problems == nil { // not wired yet: openProblems does it
		return nil
	}
	if err := a.logRules.Define(a.catalog.LogRules()); err != nil {
		return err
	}
	if err := a.alerts.Define(a.catalog.Alerts()); err != nil {
		return err
	}
	return a.problems.Define(a.catalog.AlertingProfiles(), a.catalog.MaintenanceWindows())
}

// calls returns who calls whom, for problem.Graph.
func (a *App) calls(ctx context.Context, from, to time.Time) ([]problem.Call, error) {
	increases, err := a.metrics.Increases(ctx, telemetry.MetricGraphRequests, from, to)
	if err != nil {
		return nil, fmt.Errorf("service graph: %w", err)
	}
	seen := map[problem.Call]bool{}
	var out []problem.Call
	for _, i := range increases {
		c := problem.Call{Client: i.Labels[telemetry.LabelClient], Server: i.Labels[telemetry.LabelServer], Environment: i.Labels[telemetry.LabelEnvironment]}
		if !seen[c] {
			seen[c] = true
			out = append(out, c)
		}
	}
	return out, nil
}

// instant answers the queries of alerts from the embedded store.
type instant struct{ db *tsdb.DB }

// Query implements problem.Querier.
func (q instant) Query(ctx context.Context, promql string, at time.Time) ([]problem.Sample, error) {
	matrix, err := q.db.Query(ctx, promql, at)
	if err != nil {
		return nil, err
	}
	out := make([]problem.Sample, 0, len(matrix))
	for _, s := range matrix {
		if n := len(s.Floats); n > 0 {
			out = append(out, problem.Sample{Labels: s.Metric.Map(), Value: s.Floats[n-1].F})
		}
	}
	return out, nil
}

// LogRules returns the definitions, and the rule that is in force without being
// written unless one of its name is.
func (c *catalog) LogRules() []problem.LogRule {
	out := []problem.LogRule{}
	builtIn := problem.FatalLogs()
	for _, e := range c.entries("LogRule") {
		out = append(out, e.Spec.(*manifest.LogRule).Definition(e.Name(), e.Metadata.Labels))
	}
	if _, replaced := c.entry("LogRule", builtIn.Name); !replaced {
		out = append(out, builtIn)
	}
	return out
}

// Alerts returns the definitions.
func (c *catalog) Alerts() (out []problem.AlertRule) {
	for _, e := range c.entries("Alert") {
		out = append(out, e.Spec.(*manifest.Alert).Definition(e.Name(), e.Metadata.Labels))
	}
	return out
}

// AlertingProfiles returns the definitions.
func (c *catalog) AlertingProfiles() (out []problem.Profile) {
	for _, e := range c.entries("AlertingProfile") {
		out = append(out, e.Spec.(*manifest.AlertingProfile).Definition(e.Name(), e.Metadata.Labels))
	}
	return out
}

// MaintenanceWindows returns the definitions.
func (c *catalog) MaintenanceWindows() (out []problem.Window) {
	for _, e := range c.entries("MaintenanceWindow") {
		out = append(out, e.Spec.(*manifest.MaintenanceWindow).Definition(e.Name(), e.Metadata.Labels))
	}
	return out
}
