// Package httpapi is the native REST API: everything the UI and the command
// line can do, under /v1, described by OpenAPI at /openapi.json. Foreign
// dialects (Prometheus, Jaeger, Dynatrace, CDEvents) and the UI itself are
// handlers of their own that are mounted beside it.
//
// The package translates: HTTP to the domains' calls, faults to problem
// details (RFC 9457). It decides nothing.
package httpapi

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"reflect"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"github.com/tidegate-io/tidegate/fault"
	"github.com/tidegate-io/tidegate/judge"
	"github.com/tidegate-io/tidegate/telemetry"
)

// Config is what the API serves. All domain fields are required.
type Config struct {
	Version   string
	Started   time.Time
	UIBuilt   bool
	Stats     func() any // the storage and ingest part of /v1/status
	Metrics   Metrics
	Traces    telemetry.TraceReader
	Logs      telemetry.LogReader
	Failures  FailureGrouper
	Templates LogGrouper
	Changes   Changes
	Undo      Undoer
	Flags     Flags
	Guardians Guardians
	LoadTests LoadTests
	Workflows Workflows
	Healing   Healing
	Problems  Problems
	// ProblemEvents takes events of other monitors; usually Problems' service.
	ProblemEvents ProblemEvents
	Manifests     Manifests
	Report        Reporter
	Traffic       Traffic
	Rollouts      Rollouts
	Comparisons   Comparisons
	Pipelines     Pipelines
	Stream        *Stream

	Clock  func() time.Time // default time.Now
	Logger *slog.Logger     // default slog.Default()
}

// Series is one time series of a query's answer.
type Series struct {
	Labels map[string]string `json:"labels"`
	// Points are [unix seconds, value]; the value is null where there is none.
	Points [][2]judge.Number `json:"points"`
}

// Metrics answers PromQL.
type Metrics interface {
	// Query evaluates at one time; every series has one point.
	Query(ctx context.Context, promql string, at time.Time) ([]Series, error)
	QueryRange(ctx context.Context, promql string, from, to time.Time, step time.Duration) ([]Series, error)
}

// Register adds the API to mux and returns its OpenAPI document's holder.
func Register(mux *http.ServeMux, cfg Config) huma.API {
	if cfg.Clock == nil {
		cfg.Clock = time.Now
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.Default()
	}
	hc := huma.DefaultConfig("Tidegate", cfg.Version)
	hc.Info.Description = "Judges changes: objectives, verdicts, evidence, undo. Durations are integer nanoseconds unless a field says otherwise; times are RFC 3339."
	hc.DocsPath = ""    // the UI links to the document; no page that loads scripts from elsewhere
	hc.SchemasPath = "" // /schemas is for manifests
	hc.CreateHooks = nil
	hc.Components.Schemas = newRegistry()
	hc.Transformers = append(hc.Transformers, wordProblem)
	api := humago.New(mux, hc)

	a := &server{Config: cfg}
	a.registerStatus(api)
	a.registerServices(api)
	a.registerChanges(api)
	a.registerFlags(api)
	a.registerGuardians(api)
	a.registerTelemetry(api)
	a.registerGroups(api)
	a.registerLoadTests(api)
	a.registerWorkflows(api)
	a.registerHealing(api)
	a.registerRollouts(api)
	a.registerComparisons(api)
	a.registerProblems(api)
	a.registerPipelines(api, mux)
	a.registerManifests(api, mux)
	mux.Handle("GET /v1/stream", cfg.Stream)
	return api
}

// server carries the configuration to the handlers.
type server struct{ Config }

// newRegistry names schemas by package and type (GuardianObjective), because
// the domains reuse short names, and says how special types read as JSON.
func newRegistry() huma.Registry {
	r := huma.NewMapRegistry("#/components/schemas/", func(t reflect.Type, hint string) string {
		for t.Kind() == reflect.Pointer || t.Kind() == reflect.Slice {
			t = t.Elem()
		}
		name := huma.DefaultSchemaNamer(t, hint)
		pkg := t.PkgPath()
		if !strings.Contains(pkg, "tidegate") {
			return name
		}
		pkg = pkg[strings.LastIndexByte(pkg, '/')+1:]
		if pkg == "httpapi" || strings.EqualFold(pkg, name) {
			return strings.ToUpper(name[:1]) + name[1:]
		}
		return strings.ToUpper(pkg[:1]) + pkg[1:] + name
	})
	r.RegisterTypeAlias(reflect.TypeFor[judge.Number](), reflect.TypeFor[number]())
	r.RegisterTypeAlias(reflect.TypeFor[json.RawMessage](), reflect.TypeFor[any]())
	return r
}

// number is how judge.Number reads as JSON: null where there is no value.
type number float64

// Schema implements huma.SchemaProvider.
func (number) Schema(huma.Registry) *huma.Schema {
	return &huma.Schema{Type: huma.TypeNumber, Nullable: true}
}

// statusOf maps fault kinds to HTTP status codes; the only such table.
var statusOf = map[fault.Kind]int{
	fault.KindInternal:    http.StatusInternalServerError,
	fault.KindInvalid:     http.StatusBadRequest,
	fault.KindNotFound:    http.StatusNotFound,
	fault.KindConflict:    http.StatusConflict,
	fault.KindDenied:      http.StatusForbidden,
	fault.KindUnavailable: http.StatusServiceUnavailable,
}

// problem translates an error; internal ones are logged, not shown.
func (a *server) problem(ctx context.Context, err error) error {
	if errors.Is(err, context.Canceled) {
		return huma.NewError(499, "the client went away")
	}
	var f *fault.Error
	kind := fault.KindOf(err)
	if kind == fault.KindInternal {
		a.Logger.ErrorContext(ctx, "request failed", "error", err)
		return huma.NewError(http.StatusInternalServerError, "internal error: "+err.Error())
	}
	if errors.As(err, &f) && f.Field != "" {
		return huma.NewError(statusOf[kind], err.Error(), &huma.ErrorDetail{Location: f.Field, Message: f.Err.Error()})
	}
	return huma.NewError(statusOf[kind], err.Error())
}

// wordProblem words huma's own complaint about a request: "validation failed"
// is a verdict here. A single mistake is named in the sentence itself.
func wordProblem(_ huma.Context, _ string, v any) (any, error) {
	p, ok := v.(*huma.ErrorModel)
	if !ok || p.Detail != "validation failed" {
		return v, nil
	}
	p.Detail = "the request has mistakes"
	if len(p.Errors) == 1 {
		p.Detail = strings.TrimPrefix(p.Errors[0].Location+": "+p.Errors[0].Message, ": ")
	}
	return p, nil
}

// body wraps a value as huma wants it.
type body[T any] struct{ Body T }

func reply[T any](v T) *body[T] { return &body[T]{Body: v} }

// call adapts a handler that returns a value and a domain error.
func call[I, O any](a *server, f func(context.Context, *I) (O, error)) func(context.Context, *I) (*body[O], error) {
	return func(ctx context.Context, in *I) (*body[O], error) {
		out, err := f(ctx, in)
		if err != nil {
			return nil, a.problem(ctx, err)
		}
		return reply(out), nil
	}
}

// TimeRange is the time range of a request.
type TimeRange struct {
	From string `query:"from" doc:"RFC 3339 or unix seconds; default: 15 minutes before to"`
	To   string `query:"to" doc:"RFC 3339 or unix seconds; default: now"`
}

func (s TimeRange) window(now time.Time) (from, to time.Time, err error) {
	to, from = now, time.Time{}
	if s.To != "" {
		if to, err = parseTime(s.To); err != nil {
			return from, to, fault.InvalidField("to", "%v", err)
		}
	}
	from = to.Add(-15 * time.Minute)
	if s.From != "" {
		if from, err = parseTime(s.From); err != nil {
			return from, to, fault.InvalidField("from", "%v", err)
		}
	}
	if !from.Before(to) {
		return from, to, fault.InvalidField("from", "must be before to")
	}
	return from, to, nil
}

// optional is window without the defaults: zero times do not restrict.
func (s TimeRange) optional() (from, to time.Time, err error) {
	if s.From != "" {
		if from, err = parseTime(s.From); err != nil {
			return from, to, fault.InvalidField("from", "%v", err)
		}
	}
	if s.To != "" {
		if to, err = parseTime(s.To); err != nil {
			return from, to, fault.InvalidField("to", "%v", err)
		}
	}
	if !from.IsZero() && !to.IsZero() && !from.Before(to) {
		return from, to, fault.InvalidField("from", "must be before to")
	}
	return from, to, nil
}
