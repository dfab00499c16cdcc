package app

import (
	"context"
	"fmt"
	"math"
	"regexp"
	"strings"
	"time"

	"github.com/tidegate-io/tidegate/entity"
	"github.com/tidegate-io/tidegate/evidence"
	"github.com/tidegate-io/tidegate/internal/tsdb"
	"github.com/tidegate-io/tidegate/problem"
	"github.com/tidegate-io/tidegate/problem/cause"
	"github.com/tidegate-io/tidegate/telemetry"
)

// explain finds the causes of problems in what the stores hold.
type explain struct {
	readers cause.Readers
	now     func() time.Time
}

// Explain implements problem.Explainer. What could not be read is a gap in the
// evidence; the cause is what the rest says.
func (e *explain) Explain(ctx context.Context, p problem.Problem) (problem.Cause, *evidence.Evidence, error) {
	in, found, err := cause.Gather(ctx, e.readers, p.Events, e.now())
	if err != nil && ctx.Err() == nil {
		return problem.Cause{}, nil, err
	}
	return cause.Find(in), found, nil
}

// measured reads what causes are found in from the embedded metrics.
type measured struct{ db *tsdb.DB }

// Calls implements cause.GraphReader.
func (m measured) Calls(ctx context.Context, environment string, from, to time.Time) ([]cause.Call, error) {
	increases, err := m.db.Increases(ctx, telemetry.MetricGraphRequests, from, to)
	if err != nil {
		return nil, fmt.Errorf("service graph: %w", err)
	}
	seen := map[cause.Call]bool{}
	var out []cause.Call
	for _, i := range increases {
		env := i.Labels[telemetry.LabelEnvironment]
		if environment != "" && env != "" && env != environment {
			continue
		}
		c := cause.Call{
			Caller: entity.Ref{Service: i.Labels[telemetry.LabelClient], Environment: env},
			Callee: entity.Ref{Service: i.Labels[telemetry.LabelServer], Environment: env},
		}
		if !seen[c] {
			seen[c] = true
			out = append(out, c)
		}
	}
	return out, nil
}

// maxOther bounds the series besides the golden signals.
const maxOther = 500

// Series implements cause.SeriesReader: requests, failures and mean latency of
// each place from its spans, and whatever else it reports as metrics.
func (m measured) Series(ctx context.Context, q cause.SeriesQuery) ([]cause.Series, error) {
	if len(q.Places) == 0 {
		return nil, nil
	}
	where := services(q.Places)
	golden, err := m.golden(ctx, q, where)
	if err != nil {
		return nil, err
	}
	other, err := m.other(ctx, q, where)
	return append(golden, other...), err
}

// services is the matcher of the places' services.
func services(places []entity.Ref) string {
	names := make([]string, 0, len(places))
	for _, p := range places {
		names = append(names, regexp.QuoteMeta(p.Service))
	}
	return fmt.Sprintf("%s=~%q", telemetry.LabelService, strings.Join(names, "|"))
}

func (m measured) golden(ctx context.Context, q cause.SeriesQuery, where string) ([]cause.Series, error) {
	kinds := fmt.Sprintf(`%s=~"%s|%s"`, telemetry.LabelKind, telemetry.LabelKindServer, telemetry.LabelKindConsumer)
	calls, err := m.db.Steps(ctx, telemetry.MetricCalls+"{"+where+","+kinds+"}", q.From, q.To, q.Step)
	if err != nil {
		return nil, err
	}
	durations, err := m.db.Steps(ctx, telemetry.MetricDuration+"{"+where+","+kinds+"}", q.From, q.To, q.Step)
	if err != nil {
		return nil, err
	}
	var b byPlace
	for _, s := range calls {
		p := b.of(s.Labels, q)
		add(p.requests, s.Increase)
		if s.Labels[telemetry.LabelStatus] == telemetry.LabelStatusError {
			add(p.failures, s.Increase)
		}
	}
	for _, s := range durations {
		p := b.of(s.Labels, q)
		add(p.count, s.Count)
		add(p.seconds, s.Sum)
	}
	var out []cause.Series
	for _, p := range b.places {
		for i := range p.failures {
			if math.IsNaN(p.failures[i]) && !math.IsNaN(p.requests[i]) {
				p.failures[i] = 0 // a status that never occurred has no series
			}
		}
		mean := make([]float64, len(p.count))
		for i := range mean {
			mean[i] = p.seconds[i] / p.count[i] // NaN where there was none
		}
		for _, s := range []struct {
			metric, statistic, unit string
			values                  []float64
		}{{"requests", "count", "1", p.requests}, {"failures", "count", "1", p.failures}, {"latency", "mean", "s", mean}} {
			out = append(out, cause.Series{Ref: p.ref, Metric: s.metric, Statistic: s.statistic, Unit: s.unit, Step: q.Step, Points: points(q, s.values)})
		}
	}
	return out, nil
}

// byPlace adds up series of one place.
type byPlace struct{ places []*golden }

type golden struct {
	ref                                entity.Ref
	requests, failures, count, seconds []float64
}

func (b *byPlace) of(labels map[string]string, q cause.SeriesQuery) *golden {
	ref := entity.Ref{Service: labels[telemetry.LabelService], Environment: labels[telemetry.LabelEnvironment]}
	for _, p := range b.places {
		if p.ref == ref {
			return p
		}
	}
	n := int(q.To.Sub(q.From) / q.Step)
	p := &golden{ref: ref, requests: blank(n), failures: blank(n), count: blank(n), seconds: blank(n)}
	b.places = append(b.places, p)
	return p
}

func blank(n int) []float64 {
	out := make([]float64, n)
	for i := range out {
		out[i] = math.NaN()
	}
	return out
}

// add adds what is known.
func add(into, values []float64) {
	for i, v := range values {
		switch {
		case math.IsNaN(v):
		case math.IsNaN(into[i]):
			into[i] = v
		default:
			into[i] += v
		}
	}
}

func (m measured) other(ctx context.Context, q cause.SeriesQuery, where string) ([]cause.Series, error) {
	steps, err := m.db.Steps(ctx, fmt.Sprintf(`{%s,__name__!~"traces_.*"}`, where), q.From, q.To, q.Step)
	if err != nil {
		return nil, err
	}
	var out []cause.Series
	for _, s := range steps[:min(len(steps), maxOther)] {
		c := cause.Series{Ref: entity.Ref{Service: s.Labels[telemetry.LabelService], Environment: s.Labels[telemetry.LabelEnvironment]},
			Metric: s.Labels["__name__"], Step: q.Step}
		switch {
		case s.Count != nil:
			mean := make([]float64, len(s.Count))
			for i := range mean {
				mean[i] = s.Sum[i] / s.Count[i]
			}
			c.Statistic, c.Points = "mean", points(q, mean)
		case s.Increase != nil:
			c.Statistic, c.Points = "count", points(q, s.Increase)
		default:
			c.Statistic, c.Points = "last", points(q, s.Last)
		}
		out = append(out, c)
	}
	return out, nil
}

// points leaves out the steps without a value.
func points(q cause.SeriesQuery, values []float64) []cause.Point {
	out := make([]cause.Point, 0, len(values))
	for i, v := range values {
		if !math.IsNaN(v) {
			out = append(out, cause.Point{Time: q.From.Add(time.Duration(i) * q.Step), Value: v})
		}
	}
	return out
}
