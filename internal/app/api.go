package app

import (
	"bytes"
	"context"
	"encoding/json"
	"slices"
	"time"

	"github.com/prometheus/prometheus/promql"

	"github.com/tidegate-io/tidegate/change"
	"github.com/tidegate-io/tidegate/fault"
	"github.com/tidegate-io/tidegate/guardian"
	"github.com/tidegate-io/tidegate/internal/httpapi"
	"github.com/tidegate-io/tidegate/internal/report"
	"github.com/tidegate-io/tidegate/internal/tsdb"
	"github.com/tidegate-io/tidegate/judge"
	"github.com/tidegate-io/tidegate/loadtest"
	"github.com/tidegate-io/tidegate/workflow"
)

// The types of this file show the domains to the API in the shape it asks for.

// guardianAPI joins definitions, service and history.
type guardianAPI struct {
	*guardian.Service
	guardian.Store
	catalog *catalog
}

func (g guardianAPI) Guardians(context.Context) ([]guardian.Guardian, error) {
	return g.catalog.Guardians(), nil
}

func (g guardianAPI) Guardian(_ context.Context, name string) (guardian.Guardian, error) {
	d, ok := g.catalog.Guardian(name)
	if !ok {
		return d, fault.NotFound("no guardian %q", name)
	}
	return d, nil
}

// loadTestAPI joins definitions and runner.
type loadTestAPI struct {
	*loadtest.Runner
	catalog *catalog
}

func (l loadTestAPI) Tests(context.Context) ([]loadtest.Test, error) {
	return l.catalog.LoadTests(), nil
}

func (l loadTestAPI) Start(ctx context.Context, name, who string) (loadtest.Run, error) {
	e, ok := l.catalog.entry("LoadTest", name)
	if !ok {
		return loadtest.Run{}, fault.NotFound("no load test %q", name)
	}
	return l.Runner.Start(ctx, *e.loadTest, who)
}

func (l loadTestAPI) Cancel(ctx context.Context, id, who, reason string) (loadtest.Run, error) {
	if err := l.Runner.Cancel(id, who, reason); err != nil {
		return loadtest.Run{}, err
	}
	return l.Runner.Get(ctx, id)
}

func (l loadTestAPI) Run(ctx context.Context, id string) (loadtest.Run, error) {
	return l.Runner.Get(ctx, id)
}

func (l loadTestAPI) Runs(ctx context.Context, test string, limit int) ([]loadtest.Run, error) {
	return l.Runner.List(ctx, test, limit)
}

// metricsAPI answers PromQL from the embedded store.
type metricsAPI struct{ db *tsdb.DB }

func (m metricsAPI) Query(ctx context.Context, expr string, at time.Time) ([]httpapi.Series, error) {
	matrix, err := m.db.Query(ctx, expr, at)
	return seriesOf(matrix), err
}

func (m metricsAPI) QueryRange(ctx context.Context, expr string, from, to time.Time, step time.Duration) ([]httpapi.Series, error) {
	matrix, err := m.db.QueryRange(ctx, expr, from, to, step)
	return seriesOf(matrix), err
}

func seriesOf(matrix promql.Matrix) []httpapi.Series {
	out := make([]httpapi.Series, 0, len(matrix))
	for _, s := range matrix {
		points := make([][2]judge.Number, len(s.Floats))
		for i, p := range s.Floats {
			points[i] = [2]judge.Number{judge.Number(float64(p.T) / 1000), judge.Number(p.F)}
		}
		out = append(out, httpapi.Series{Labels: s.Metric.Map(), Points: points})
	}
	return out
}

// reporter gathers what belongs to a validation and renders it.
type reporter struct {
	guardians guardianAPI
	changes   *change.Log
	workflows workflow.Store
	baseURL   string
}

// Report implements httpapi.Reporter.
func (r *reporter) Report(ctx context.Context, id, format string) ([]byte, string, error) {
	f, err := report.ParseFormat(format)
	if err != nil {
		return nil, "", err
	}
	in, err := r.gather(ctx, id)
	if err != nil {
		return nil, "", err
	}
	var buf bytes.Buffer
	if err := report.Render(&buf, f, in); err != nil {
		return nil, "", err
	}
	return buf.Bytes(), f.ContentType(), nil
}

// gather collects the validation, what was done because of it and how that was
// verified.
func (r *reporter) gather(ctx context.Context, id string) (report.Input, error) {
	v, err := r.guardians.Validation(ctx, id)
	if err != nil {
		return report.Input{}, err
	}
	in := report.Input{Validation: v, BaseURL: r.baseURL, Generated: time.Now()}
	if g, ok := r.guardians.catalog.Guardian(v.Guardian); ok {
		in.Guardian = &g
	}
	if cause, ok := v.Evidence.Cause(); ok {
		if in.Actions, err = r.undosOf(ctx, cause.Event); err != nil {
			return in, err
		}
	}
	return in, r.addRun(ctx, &in)
}

// undosOf returns the events that took the change back, in their order.
func (r *reporter) undosOf(ctx context.Context, e change.Event) ([]change.Event, error) {
	events, err := r.changes.Events(ctx, change.Query{Key: e.Key, From: e.Start, Limit: 200})
	var out []change.Event
	for _, u := range slices.Backward(events) {
		if u.UndoOf == e.ID {
			out = append(out, u)
		}
	}
	if err != nil || len(out) > 0 {
		return out, err
	}
	// It may have been long ago, among many events.
	u, err := r.changes.Event(ctx, undoEventID(e.ID))
	if fault.Is(err, fault.KindNotFound) {
		return nil, nil
	}
	return []change.Event{u}, err
}

// addRun finds the workflow run that asked for the validation, and the last
// validation of the same run, which verified what the run did.
func (r *reporter) addRun(ctx context.Context, in *report.Input) error {
	if in.Validation.EventID == "" {
		return nil
	}
	runs, err := r.workflows.Runs(ctx, "", 200)
	if err != nil {
		return err
	}
	for _, run := range runs {
		ids := validationsIn(run)
		if !slices.Contains(ids, in.Validation.ID) {
			continue
		}
		in.WorkflowRun = &run
		if last := ids[len(ids)-1]; last != in.Validation.ID {
			v, err := r.guardians.Validation(ctx, last)
			if err != nil {
				return err
			}
			in.Verification = &v
		}
		return nil
	}
	return nil
}

// validationsIn returns the ids of a run's validations, in order of its steps.
func validationsIn(run workflow.Run) []string {
	var ids []string
	for _, s := range run.Steps {
		var out workflow.Validated
		if s.Kind == "validate" && json.Unmarshal(s.Output, &out) == nil && out.Validation != "" {
			ids = append(ids, out.Validation)
		}
	}
	return ids
}
