// Package jaegerapi serves the query HTTP API of Jaeger over the traces that
// are stored here, so that Jaeger's own UI and Grafana's Jaeger data source can
// point at this server.
//
// It reads through [telemetry.TraceReader] and translates: spans to Jaeger's
// JSON model as the OpenTelemetry specification maps them (status and kind
// become tags, events become logs), query parameters to a
// [telemetry.TraceQuery]. It writes nothing.
//
//	jaegerapi.New(jaegerapi.Config{Traces: store, Names: store}).Register(mux)
//
// Formats: https://www.jaegertracing.io/docs/latest/apis/ (HTTP JSON, as the UI
// uses it; not versioned by Jaeger, checked against its UI's types).
package jaegerapi

import (
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
	"strconv"
	"time"

	"github.com/tidegate-io/tidegate/fault"
	"github.com/tidegate-io/tidegate/telemetry"
)

// Names lists what there is to search for.
type Names interface {
	Services(ctx context.Context) ([]string, error)
	Operations(ctx context.Context, service string) ([]string, error)
}

// Dependency is one edge of the service graph.
type Dependency struct {
	Parent    string `json:"parent"`
	Child     string `json:"child"`
	CallCount uint64 `json:"callCount"`
}

// Config of the API.
type Config struct {
	// Traces and Names are required.
	Traces telemetry.TraceReader
	Names  Names
	// Graph returns the calls between services in a time span; without it
	// there are no dependencies. Optional.
	Graph func(ctx context.Context, from, to time.Time) ([]Dependency, error)
	// Logger and Clock are optional.
	Logger *slog.Logger
	Clock  func() time.Time
}

// API answers Jaeger's queries. It is safe for concurrent use.
type API struct{ cfg Config }

// New returns the API over cfg.Traces; it panics without its required parts,
// which only a mistake in the wiring leaves out.
func New(cfg Config) *API {
	if cfg.Traces == nil || cfg.Names == nil {
		panic("jaegerapi: Traces and Names are required")
	}
	if cfg.Graph == nil {
		cfg.Graph = func(context.Context, time.Time, time.Time) ([]Dependency, error) { return nil, nil }
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	if cfg.Clock == nil {
		cfg.Clock = time.Now
	}
	return &API{cfg}
}

// Register adds the API's paths to mux, all below /api/.
func (a *API) Register(mux *http.ServeMux) {
	for path, f := range map[string]func(*http.Request) (any, error){
		"/api/services":                      a.services,
		"/api/services/{service}/operations": a.serviceOperations,
		"/api/operations":                    a.operations,
		"/api/traces":                        a.search,
		"/api/traces/{id}":                   a.trace,
		"/api/dependencies":                  a.dependencies,
	} {
		mux.HandleFunc("GET "+path, a.answer(f))
	}
}

// response is the envelope of every answer.
type response struct {
	Data   any        `json:"data"`
	Total  int        `json:"total"`
	Limit  int        `json:"limit"`
	Offset int        `json:"offset"`
	Errors []apiError `json:"errors"`
}

type apiError struct {
	Code int    `json:"code"`
	Msg  string `json:"msg"`
}

var statusOf = map[fault.Kind]int{
	fault.KindInvalid:     http.StatusBadRequest,
	fault.KindNotFound:    http.StatusNotFound,
	fault.KindUnavailable: http.StatusServiceUnavailable,
}

func (a *API) answer(f func(*http.Request) (any, error)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		data, err := f(r)
		out, status := response{Data: data}, http.StatusOK
		if err != nil {
			status = http.StatusInternalServerError
			if s, ok := statusOf[fault.KindOf(err)]; ok {
				status = s
			} else if r.Context().Err() == nil {
				a.cfg.Logger.ErrorContext(r.Context(), "Jaeger query failed", "path", r.URL.Path, "error", err)
			}
			out = response{Errors: []apiError{{status, err.Error()}}}
		}
		switch list := data.(type) {
		case []string:
			out.Total = len(list)
		case []operation:
			out.Total = len(list)
		}
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status)
		_ = json.NewEncoder(w).Encode(out) // a client that left is not our trouble
	}
}

func (a *API) services(r *http.Request) (any, error) {
	names, err := a.cfg.Names.Services(r.Context())
	return orEmpty(names), err
}

func (a *API) serviceOperations(r *http.Request) (any, error) {
	names, err := a.cfg.Names.Operations(r.Context(), r.PathValue("service"))
	return orEmpty(names), err
}

// operation is an operation with its kind; the kind is left open, because
// names are indexed without it.
type operation struct {
	Name     string `json:"name"`
	SpanKind string `json:"spanKind"`
}

func (a *API) operations(r *http.Request) (any, error) {
	service := r.FormValue("service")
	if service == "" {
		return nil, fault.Invalid("parameter 'service' is required")
	}
	names, err := a.cfg.Names.Operations(r.Context(), service)
	out := make([]operation, 0, len(names))
	for _, n := range names {
		out = append(out, operation{Name: n})
	}
	return out, err
}

func (a *API) trace(r *http.Request) (any, error) {
	id, err := telemetry.ParseTraceID(r.PathValue("id"))
	if err != nil {
		return nil, err
	}
	t, err := a.cfg.Traces.Trace(r.Context(), id)
	if err != nil {
		return nil, err
	}
	return []traceJSON{encode(t)}, nil
}

func (a *API) search(r *http.Request) (any, error) {
	if ids := r.URL.Query()["traceID"]; len(ids) > 0 {
		return a.byID(r.Context(), ids)
	}
	q, err := a.parse(r.URL.Query())
	if err != nil {
		return nil, err
	}
	out := []traceJSON{}
	for t, err := range a.cfg.Traces.Traces(r.Context(), q) {
		if err != nil {
			return nil, err
		}
		out = append(out, encode(t))
	}
	return out, nil
}

// byID returns the traces that exist of those asked for.
func (a *API) byID(ctx context.Context, ids []string) (any, error) {
	if len(ids) > maxTraces {
		return nil, fault.Invalid("at most %d trace ids", maxTraces)
	}
	out := []traceJSON{}
	for _, s := range ids {
		id, err := telemetry.ParseTraceID(s)
		if err != nil {
			return nil, err
		}
		t, err := a.cfg.Traces.Trace(ctx, id)
		if fault.Is(err, fault.KindNotFound) {
			continue
		}
		if err != nil {
			return nil, err
		}
		out = append(out, encode(t))
	}
	return out, nil
}

func (a *API) dependencies(r *http.Request) (any, error) {
	to := a.cfg.Clock()
	if s := r.FormValue("endTs"); s != "" {
		ms, err := strconv.ParseInt(s, 10, 64)
		if err != nil {
			return nil, fault.Invalid("parameter 'endTs' is not a number of milliseconds: %q", s)
		}
		to = time.UnixMilli(ms)
	}
	lookback := 24 * time.Hour
	if s := r.FormValue("lookback"); s != "" {
		ms, err := strconv.ParseInt(s, 10, 64)
		if err != nil || ms <= 0 || ms > maxLookback.Milliseconds() {
			return nil, fault.Invalid("parameter 'lookback' is not a number of milliseconds up to %d: %q", maxLookback.Milliseconds(), s)
		}
		lookback = time.Duration(ms) * time.Millisecond
	}
	deps, err := a.cfg.Graph(r.Context(), to.Add(-lookback), to)
	if deps == nil {
		deps = []Dependency{}
	}
	return deps, err
}

func orEmpty(names []string) []string {
	if names == nil {
		return []string{}
	}
	return names
}
