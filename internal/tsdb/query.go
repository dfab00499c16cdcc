package tsdb

import (
	"context"
	"errors"
	"time"

	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/promql/parser"

	"github.com/tidegate-io/tidegate/fault"
)

// MaxPoints is the largest number of points per series that a range query
// returns; it is Prometheus' own limit.
const MaxPoints = 11_000

// Query evaluates expr at one moment. A scalar comes as one sample without
// labels; a range selector comes as its raw samples.
func (d *DB) Query(ctx context.Context, expr string, at time.Time) (promql.Matrix, error) {
	q, err := d.engine.NewInstantQuery(ctx, d.db, nil, expr, at)
	if err != nil {
		return nil, fault.Invalid("query: %w", err)
	}
	return run(ctx, q)
}

// QueryRange evaluates expr at from, from+step, … up to and including to.
func (d *DB) QueryRange(ctx context.Context, expr string, from, to time.Time, step time.Duration) (promql.Matrix, error) {
	if step < time.Millisecond { // the engine counts in milliseconds
		return nil, fault.InvalidField("step", "must be at least 1ms, got %s", step)
	}
	if to.Before(from) {
		return nil, fault.InvalidField("to", "is before from")
	}
	if to.Sub(from)/step > MaxPoints {
		return nil, fault.InvalidField("step", "%s makes more than %d points of %s", step, MaxPoints, to.Sub(from))
	}
	q, err := d.engine.NewRangeQuery(ctx, d.db, nil, expr, from, to, step)
	if err != nil {
		return nil, fault.Invalid("query: %w", err)
	}
	return run(ctx, q)
}

// Select returns the raw samples, from < t ≤ to, of every series that the
// selector matches. Staleness markers are left out.
func (d *DB) Select(ctx context.Context, selector string, from, to time.Time) (promql.Matrix, error) {
	return selectRaw(ctx, d.Query, selector, from, to)
}

// Increase is how much a counter grew.
type Increase struct {
	Labels map[string]string
	Value  float64
}

// Increases returns how much each counter that the selector matches grew in
// from < t ≤ to, exactly, resets included. Counters that did not grow are left
// out.
func (d *DB) Increases(ctx context.Context, selector string, from, to time.Time) ([]Increase, error) {
	m, err := d.Select(ctx, selector, from.Add(-defaultLookback), to)
	if err != nil {
		return nil, err
	}
	out := make([]Increase, 0, len(m))
	for _, series := range m {
		sum := 0.0
		eachIncrease(0, series.Floats, func(t int64, inc float64) {
			if t > from.UnixMilli() {
				sum += inc
			}
		})
		if sum > 0 {
			out = append(out, Increase{series.Metric.Map(), sum})
		}
	}
	return out, nil
}

// selectRaw reads raw samples through an instant query of a range selector,
// which every Prometheus API answers.
func selectRaw(ctx context.Context, query func(context.Context, string, time.Time) (promql.Matrix, error), selector string, from, to time.Time) (promql.Matrix, error) {
	ms := to.UnixMilli() - from.UnixMilli()
	if ms <= 0 {
		return nil, nil
	}
	return query(ctx, selector+"["+promMillis(ms)+"]", to)
}

// run executes q and copies its result, which dies with the query.
func run(ctx context.Context, q promql.Query) (promql.Matrix, error) {
	defer q.Close()
	res := q.Exec(ctx)
	if res.Err != nil {
		return nil, queryFault(res.Err)
	}
	switch v := res.Value.(type) {
	case promql.Matrix:
		out := make(promql.Matrix, len(v))
		for i, s := range v {
			out[i] = promql.Series{Metric: s.Metric, Floats: append([]promql.FPoint(nil), s.Floats...)}
			for _, h := range s.Histograms {
				out[i].Histograms = append(out[i].Histograms, promql.HPoint{T: h.T, H: h.H.Copy()})
			}
		}
		return out, nil
	case promql.Vector:
		out := make(promql.Matrix, 0, len(v))
		for _, s := range v {
			series := promql.Series{Metric: s.Metric}
			if s.H != nil {
				series.Histograms = []promql.HPoint{{T: s.T, H: s.H.Copy()}}
			} else {
				series.Floats = []promql.FPoint{{T: s.T, F: s.F}}
			}
			out = append(out, series)
		}
		return out, nil
	case promql.Scalar:
		return promql.Matrix{{Floats: []promql.FPoint{{T: v.T, F: v.V}}}}, nil
	default:
		return nil, fault.Invalid("query: the result is a %s, expected numbers", parser.DocumentedType(res.Value.Type()))
	}
}

// queryFault tells the user's mistakes from ours and from passing conditions.
func queryFault(err error) error {
	var canceled promql.ErrQueryCanceled
	var timeout promql.ErrQueryTimeout
	var store promql.ErrStorage
	switch {
	case errors.As(err, &canceled), errors.As(err, &timeout),
		errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return fault.Unavailable("query: %w", err)
	case errors.As(err, &store):
		return fault.Internal("query: %w", err)
	}
	return fault.Invalid("query: %w", err)
}
