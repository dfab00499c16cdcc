package httpapi

import (
	"context"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/tidegate-io/tidegate/entity"
	"github.com/tidegate-io/tidegate/fault"
	"github.com/tidegate-io/tidegate/telemetry"
)

type tracesQuery struct {
	TimeRange
	Service       string   `query:"service"`
	Operation     string   `query:"operation"`
	Environment   string   `query:"environment"`
	Version       string   `query:"version"`
	Status        string   `query:"status" enum:"unset,ok,error"`
	MinDuration   string   `query:"minDuration" doc:"for example 200ms"`
	MaxDuration   string   `query:"maxDuration"`
	ExceptionType string   `query:"exceptionType"`
	Attr          []string `query:"attr,explode" doc:"key=value, on span or resource; may be repeated"`
	Limit         int      `query:"limit" default:"20" minimum:"1" maximum:"500"`
}

func (q *tracesQuery) query() (telemetry.TraceQuery, error) {
	from, to, err := q.optional()
	if err != nil {
		return telemetry.TraceQuery{}, err
	}
	out := telemetry.TraceQuery{
		Ref:       entity.Ref{Service: q.Service, Environment: q.Environment, Version: q.Version},
		Operation: q.Operation, Status: telemetry.Status(q.Status), ExceptionType: q.ExceptionType,
		From: from, To: to, Limit: q.Limit,
	}
	for _, d := range []struct {
		field, text string
		into        *time.Duration
	}{{"minDuration", q.MinDuration, &out.MinDuration}, {"maxDuration", q.MaxDuration, &out.MaxDuration}} {
		if d.text == "" {
			continue
		}
		if *d.into, err = time.ParseDuration(d.text); err != nil {
			return out, fault.InvalidField(d.field, "%q is not a duration: expected for example 200ms", d.text)
		}
	}
	for _, kv := range q.Attr {
		k, v, ok := strings.Cut(kv, "=")
		if !ok || k == "" {
			return out, fault.InvalidField("attr", "%q: expected key=value", kv)
		}
		if out.Attributes == nil {
			out.Attributes = map[string]string{}
		}
		out.Attributes[k] = v
	}
	return out, nil
}

// TraceList is newest first.
type TraceList struct {
	Traces []telemetry.TraceSummary `json:"traces"`
}

// LogList is newest first.
type LogList struct {
	Logs []telemetry.LogRecord `json:"logs"`
}

var severities = map[string]int{"": 0, "trace": 1, "debug": 5, "info": 9, "warn": 13, "error": 17, "fatal": 21}

// SeriesList is the answer of a query.
type SeriesList struct {
	Series []Series `json:"series"`
}

func (a *server) registerTelemetry(api huma.API) {
	huma.Get(api, "/v1/traces", call(a, func(ctx context.Context, in *tracesQuery) (TraceList, error) {
		q, err := in.query()
		if err != nil {
			return TraceList{}, err
		}
		out := TraceList{Traces: []telemetry.TraceSummary{}}
		for t, err := range a.Traces.Traces(ctx, q) {
			if err != nil {
				return out, err
			}
			out.Traces = append(out.Traces, t.Summary())
		}
		return out, nil
	}), named("search-traces"))
	huma.Get(api, "/v1/traces/{id}", call(a, func(ctx context.Context, in *IDParam) (*telemetry.Trace, error) {
		id, err := telemetry.ParseTraceID(in.ID)
		if err != nil {
			return nil, err
		}
		return a.Traces.Trace(ctx, id)
	}), named("get-trace"))
	huma.Get(api, "/v1/traces/{id}/logs", call(a, func(ctx context.Context, in *IDParam) (LogList, error) {
		id, err := telemetry.ParseTraceID(in.ID)
		if err != nil {
			return LogList{}, err
		}
		logs, err := a.Logs.Logs(ctx, telemetry.LogQuery{TraceID: id, Limit: 500})
		return LogList{nonNil(logs)}, err
	}), named("get-trace-logs"))
	huma.Get(api, "/v1/logs", call(a, func(ctx context.Context, in *struct {
		TimeRange
		Service  string `query:"service"`
		Severity string `query:"severity" enum:"trace,debug,info,warn,error,fatal" doc:"at least"`
		Q        string `query:"q" doc:"text contained in the body, in any case"`
		TraceID  string `query:"traceId"`
		Limit    int    `query:"limit" default:"100" minimum:"1" maximum:"1000"`
	}) (LogList, error) {
		from, to, err := in.optional()
		if err != nil {
			return LogList{}, err
		}
		q := telemetry.LogQuery{Ref: entity.Ref{Service: in.Service}, MinSeverity: severities[in.Severity],
			Contains: in.Q, From: from, To: to, Limit: in.Limit}
		if in.TraceID != "" {
			if q.TraceID, err = telemetry.ParseTraceID(in.TraceID); err != nil {
				return LogList{}, err
			}
		}
		logs, err := a.Logs.Logs(ctx, q)
		return LogList{nonNil(logs)}, err
	}))
	huma.Get(api, "/v1/query", call(a, func(ctx context.Context, in *struct {
		TimeRange
		Query string `query:"query" required:"true" doc:"PromQL"`
		Step  string `query:"step" doc:"for example 2s; default: 240 points"`
	}) (SeriesList, error) {
		from, to, err := in.window(a.Clock())
		if err != nil {
			return SeriesList{}, err
		}
		step := niceStep(to.Sub(from), 240)
		if in.Step != "" {
			if step, err = time.ParseDuration(in.Step); err != nil || step < time.Millisecond {
				return SeriesList{}, fault.InvalidField("step", "%q: expected a duration of at least 1ms, for example 2s", in.Step)
			}
		}
		if to.Sub(from)/step > 11_000 {
			return SeriesList{}, fault.InvalidField("step", "more than 11,000 points: use a longer step")
		}
		series, err := a.Metrics.QueryRange(ctx, in.Query, from, to, step)
		return SeriesList{nonNil(series)}, err
	}))
}

// niceStep divides a span into at most n steps of whole seconds, 2 s at least
// (the pace at which span metrics are written).
func niceStep(span time.Duration, n int) time.Duration {
	step := (span / time.Duration(n)).Truncate(time.Second) + time.Second
	return max(step, 2*time.Second)
}
