package httpapi

import (
	"context"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/tidegate-io/tidegate/entity"
	"github.com/tidegate-io/tidegate/telemetry"
)

// FailureGrouper counts failed spans by where and of what they died.
type FailureGrouper interface {
	Failures(ctx context.Context, ref entity.Ref, from, to time.Time) ([]telemetry.FailureGroup, error)
}

// LogGrouper counts log records by template.
type LogGrouper interface {
	Templates(ctx context.Context, q telemetry.LogQuery) ([]telemetry.LogTemplate, error)
}

// FailureList is most frequent first.
type FailureList struct {
	Failures []telemetry.FailureGroup `json:"failures"`
}

// TemplateList is most frequent first.
type TemplateList struct {
	Templates []telemetry.LogTemplate `json:"templates"`
}

// GroupRange is what is grouped.
type GroupRange struct {
	TimeRange
	Service     string `query:"service"`
	Environment string `query:"environment"`
	Version     string `query:"version"`
	Limit       int    `query:"limit" default:"50" minimum:"1" maximum:"1000"`
}

func (g *GroupRange) ref() entity.Ref {
	return entity.Ref{Service: g.Service, Environment: g.Environment, Version: g.Version}
}

func (a *server) registerGroups(api huma.API) {
	huma.Get(api, "/v1/failures", call(a, func(ctx context.Context, in *GroupRange) (FailureList, error) {
		from, to, err := in.window(a.Clock())
		if err != nil {
			return FailureList{}, err
		}
		list, err := a.Failures.Failures(ctx, in.ref(), from, to)
		return FailureList{nonNil(list[:min(len(list), in.Limit)])}, err
	}), named("group-failures"))
	huma.Get(api, "/v1/log-templates", call(a, func(ctx context.Context, in *struct {
		GroupRange
		Severity string `query:"severity" enum:"trace,debug,info,warn,error,fatal" doc:"at least"`
	}) (TemplateList, error) {
		from, to, err := in.window(a.Clock())
		if err != nil {
			return TemplateList{}, err
		}
		list, err := a.Templates.Templates(ctx, telemetry.LogQuery{Ref: in.ref(), MinSeverity: severities[in.Severity], From: from, To: to})
		return TemplateList{nonNil(list[:min(len(list), in.Limit)])}, err
	}), named("group-logs"))
}
