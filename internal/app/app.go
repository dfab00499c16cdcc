// Package app wires the product together: one straight line from the data
// directory to the open ports. What one domain's event means to another is in
// reactions.go, all of it.
package app

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/tidegate-io/tidegate/change"
	"github.com/tidegate-io/tidegate/delivery/pipeline"
	"github.com/tidegate-io/tidegate/delivery/rollout"
	"github.com/tidegate-io/tidegate/delivery/validation"
	"github.com/tidegate-io/tidegate/fault"
	"github.com/tidegate-io/tidegate/flag"
	"github.com/tidegate-io/tidegate/guardian"
	"github.com/tidegate-io/tidegate/healing"
	"github.com/tidegate-io/tidegate/internal/artifact"
	"github.com/tidegate-io/tidegate/internal/compat"
	"github.com/tidegate-io/tidegate/internal/deployer/process"
	"github.com/tidegate-io/tidegate/internal/flagd"
	"github.com/tidegate-io/tidegate/internal/httpapi"
	"github.com/tidegate-io/tidegate/internal/integration/webhook"
	"github.com/tidegate-io/tidegate/internal/jaegerapi"
	"github.com/tidegate-io/tidegate/internal/loadrun"
	"github.com/tidegate-io/tidegate/internal/logstore"
	"github.com/tidegate-io/tidegate/internal/otlp"
	"github.com/tidegate-io/tidegate/internal/proxy"
	"github.com/tidegate-io/tidegate/internal/source"
	"github.com/tidegate-io/tidegate/internal/state"
	"github.com/tidegate-io/tidegate/internal/tracestore"
	"github.com/tidegate-io/tidegate/internal/tsdb"
	"github.com/tidegate-io/tidegate/internal/web"
	"github.com/tidegate-io/tidegate/loadtest"
	"github.com/tidegate-io/tidegate/problem"
	"github.com/tidegate-io/tidegate/ui"
	"github.com/tidegate-io/tidegate/workflow"
)

// App is a server, wired and recovered but not yet serving.
type App struct {
	cfg     Config
	log     *slog.Logger
	started time.Time

	db          *state.DB
	metrics     *tsdb.DB
	traces      *tracestore.Store
	logs        *logstore.Store
	receiver    *otlp.Receiver
	entities    *entities
	catalog     *catalog
	changes     *change.Log
	flags       *flag.Manager
	flagd       *flagd.Server
	guardians   *guardian.Service
	loadTests   *loadtest.Runner
	workflows   *workflow.Engine
	comparisons *validation.Service
	deployers   deployers
	proxy       *proxy.Server
	rollouts    *rollout.Engine
	notifier    *webhook.Sender
	explainer   problem.Explainer // the stores\', unless a test has its own
	detection   *detection
	problems    *problem.Service
	logRules    *problem.LogWatch
	alerts      *problem.AlertWatch
	deployer    deployer // nil: deployments say how they are undone
	pipelines   *pipeline.Service
	processes   *process.Deployer
	artifacts   *artifact.Store
	sources     *source.Watcher
	healing     *healing.Engine
	undo        *undoer
	reports     *reporter
	stream      *httpapi.Stream
	handler     http.Handler

	ports *listeners
	close []func() error // in reverse order
}

// New opens the stores, recovers what the last process left, and opens the
// ports. Close, or Run, releases everything.
func New(ctx context.Context, cfg Config) (_ *App, err error) {
	if err := cfg.defaults(); err != nil {
		return nil, err
	}
	a := &App{cfg: cfg, log: cfg.Logger, started: time.Now(), entities: newEntities(), stream: httpapi.NewStream(cfg.Version)}
	defer func() {
		if err != nil {
			err = errors.Join(err, a.Close())
		}
	}()
	release, err := lock(cfg.Dir)
	if err != nil {
		return nil, err
	}
	a.onClose(func() error { release(); return nil })
	if a.ports, err = cfg.Listen.open(); err != nil {
		return nil, err
	}
	a.onClose(func() error { a.ports.close(); return nil })
	for _, step := range []struct {
		what string
		do   func(context.Context) error
	}{
		{"", a.openState}, // says where it is itself
		{"telemetry", a.openTelemetry},
		{"changes and flags", a.openChanges},
		{"guardians", a.openGuardians},
		{"load tests", a.openLoadTests},
		{"comparisons", a.openComparisons},
		{"routes", a.openTraffic},
		{"pipelines", a.openPipelines},
		{"workflows", a.openWorkflows},
		{"problems", a.openProblems},
		{"detection", a.openDetection},
		{"healing", a.openHealing},
		{"API", a.openAPI},
		{"entities", a.recoverEntities},
	} {
		switch err := step.do(ctx); {
		case err != nil && step.what == "":
			return nil, err
		case err != nil:
			return nil, fmt.Errorf("%s: %w", step.what, err)
		}
	}
	a.react()
	return a, nil
}

func (a *App) onClose(f func() error) { a.close = append(a.close, f) }

// Close releases everything. Run does it by itself.
func (a *App) Close() error {
	var errs []error
	for i := len(a.close) - 1; i >= 0; i-- {
		errs = append(errs, a.close[i]())
	}
	a.close = nil
	return errors.Join(errs...)
}

func (a *App) openState(ctx context.Context) (err error) {
	if a.db, err = state.Open(ctx, state.Config{URL: a.cfg.State, Logger: a.log}); err != nil {
		return err
	}
	a.onClose(a.db.Close)
	a.catalog = newCatalog(a.db.Manifests(), time.Now)
	problems, err := a.catalog.load(ctx)
	for _, p := range problems {
		a.log.Error("manifest", "error", p)
	}
	return err
}

func (a *App) openTelemetry(ctx context.Context) (err error) {
	r := a.cfg.Retention
	a.metrics, err = tsdb.Open(tsdb.Config{Dir: filepath.Join(a.cfg.Dir, "metrics"), MaxAge: r.MetricsAge, MaxBytes: r.MetricsBytes, Logger: a.log.With("part", "metrics")})
	if err != nil {
		return err
	}
	a.onClose(a.metrics.Close)
	a.traces, err = tracestore.Open(tracestore.Config{Dir: filepath.Join(a.cfg.Dir, "traces"), MaxAge: r.TracesAge, MaxBytes: r.TracesBytes, Logger: a.log.With("part", "traces")})
	if err != nil {
		return err
	}
	a.onClose(a.traces.Close)
	a.logs, err = logstore.Open(logstore.Config{Dir: filepath.Join(a.cfg.Dir, "logs"), MaxAge: r.LogsAge, MaxBytes: r.LogsBytes, Logger: a.log.With("part", "logs")})
	if err != nil {
		return err
	}
	a.onClose(a.logs.Close)
	a.receiver, err = otlp.New(ctx, otlp.Config{Tokens: a.cfg.IngestTokens, Traces: a.traces, Logs: a.logs, Metrics: a.metrics, Seen: a.entities.saw, Logger: a.log.With("part", "otlp")})
	return err
}

func (a *App) openChanges(ctx context.Context) (err error) {
	a.changes, err = change.New(change.Config{Store: a.db.Changes(), Entities: a.entities, Placed: a.eventPlaced, Logger: a.log})
	if err != nil {
		return err
	}
	sources, err := a.catalog.FlagSources()
	if err != nil {
		return err
	}
	a.flags, err = flag.New(flag.Config{Store: a.db.Flags(), Recorder: a.changes, Sources: sources, Logger: a.log})
	if err != nil {
		return err
	}
	if err := a.flags.Load(ctx); err != nil {
		return err
	}
	a.flagd, err = flagd.New(flagd.Config{Flags: a.flags, Evaluation: a.ports.flagEvaluation, Sync: a.ports.flagSync, OFREP: a.ports.ofrep, Logger: a.log})
	a.undo = newUndoer(a.changes, a.flags)
	return err
}

func (a *App) openGuardians(context.Context) error {
	sampler, err := a.openSampler()
	if err != nil {
		return err
	}
	if a.guardians, err = guardian.New(guardian.Config{
		Definitions: a.catalog, Store: a.db.Guardians(), Sampler: sampler,
		Traces: a.traces, Logs: a.logs, Changes: a.changes, Recorder: a.changes,
		Notify: a.validationChanged, Logger: a.log,
	}); err != nil {
		return err
	}
	a.reports = &reporter{
		guardians: guardianAPI{Service: a.guardians, Store: a.db.Guardians(), catalog: a.catalog},
		changes:   a.changes, workflows: a.db.Workflows(), baseURL: a.cfg.URL,
	}
	return nil
}

func (a *App) openLoadTests(context.Context) (err error) {
	a.loadTests, err = loadtest.NewRunner(loadtest.Config{
		Store: a.db.LoadTests(), Recorder: a.changes,
		HTTP: &loadrun.HTTP{}, Command: &loadrun.Command{URL: "http://" + a.ports.api.Addr().String()},
		OnChange: a.loadTestChanged, Logger: a.log,
	})
	return err
}

func (a *App) openWorkflows(ctx context.Context) (err error) {
	a.notifier, err = webhook.New(webhook.Config{
		Outbox: a.db.Outbox(), Source: a.cfg.URL, Reports: a.reports, Logger: a.log.With("part", "notifications"),
	})
	if err != nil {
		return err
	}
	do := &effects{guardians: a.guardians, undo: a.undo, flags: a.flags}
	a.workflows, err = workflow.New(workflow.Config{
		Store: a.db.Workflows(), Events: a.changes, Owner: a.owner(),
		Validator: do, Undoer: do, Flagger: do, Notifier: a.notifier,
		Changed: a.workflowChanged, Logger: a.log.With("part", "workflows"),
	})
	if err != nil {
		return err
	}
	a.catalog.changed = a.configured
	return a.configured(ctx)
}

// owner names this process in leases. SQLite has one process at a time, which
// may take up at once what its predecessor held; on PostgreSQL the engine makes
// up a name.
func (a *App) owner() string {
	if strings.HasPrefix(a.cfg.State, "sqlite:") {
		return "local"
	}
	return ""
}

// Run serves until ctx ends, then stops in order. ready is called with the
// addresses once requests are answered.
func (a *App) Run(ctx context.Context, ready func(Listen) error) error {
	g, ctx := errgroup.WithContext(ctx)
	run := func(what string, f func(context.Context) error) {
		g.Go(func() error {
			if err := f(ctx); err != nil && ctx.Err() == nil {
				return fmt.Errorf("%s: %w", what, err)
			}
			return nil
		})
	}
	run("traces", a.traces.Run)
	run("logs", a.logs.Run)
	run("OTLP", a.receiver.Run)
	run("OTLP over gRPC", func(ctx context.Context) error { return a.receiver.ServeGRPC(ctx, a.ports.otlpGRPC) })
	run("OTLP over HTTP", func(ctx context.Context) error {
		return serveHTTP(ctx, a.ports.otlpHTTP, a.receiver.HTTPHandler(), a.log)
	})
	run("flags", a.flags.Run)
	run("flag serving", a.flagd.Run)
	run("guardians", a.guardians.Run)
	run("load tests", a.loadTests.Run)
	run("workflows", a.workflows.Run)
	run("changes", a.changes.Run)
	run("comparisons", a.comparisons.Run)
	run("instances", a.countInstances)
	run("routes", a.proxy.Run)
	run("rollouts", a.rollouts.Run)
	run("notifications", a.notifier.Run)
	run("problems", a.problems.Run)
	run("log rules", a.logRules.Run)
	run("alerts", a.alerts.Run)
	run("detection", a.detection.Run)
	run("healing", a.healing.Run)
	a.runPipelines(run)
	run("API", func(ctx context.Context) error { return serveHTTP(ctx, a.ports.api, a.handler, a.log) })
	run("manifests", a.watchManifests)
	g.Go(func() error { // browsers hold streams open: let them go first
		<-ctx.Done()
		a.stream.Close()
		return nil
	})
	err := a.recoverNotifications(ctx)
	if err == nil && ready != nil {
		err = ready(a.ports.addresses())
	}
	if err != nil {
		g.Go(func() error { return err })
	}
	return errors.Join(g.Wait(), a.Close())
}

// Addresses returns what the server listens on.
func (a *App) Addresses() Listen { return a.ports.addresses() }

// Limits on HTTP connections.
const (
	headerTimeout   = 10 * time.Second
	idleTimeout     = 2 * time.Minute
	shutdownTimeout = 5 * time.Second
)

// serveHTTP serves until ctx ends, then lets requests finish for a while.
func serveHTTP(ctx context.Context, l net.Listener, h http.Handler, log *slog.Logger) error {
	srv := &http.Server{
		Handler: h, ReadHeaderTimeout: headerTimeout, IdleTimeout: idleTimeout, MaxHeaderBytes: 64 << 10,
		BaseContext: func(net.Listener) context.Context { return ctx },
		ErrorLog:    slog.NewLogLogger(log.Handler(), slog.LevelDebug),
	}
	done := make(chan error, 1)
	go func() { done <- srv.Serve(l) }()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
	}
	stop, cancel := context.WithTimeout(context.WithoutCancel(ctx), shutdownTimeout)
	defer cancel()
	if srv.Shutdown(stop) != nil {
		_ = srv.Close()
	}
	<-done
	return nil
}

func (a *App) openAPI(context.Context) error {
	guard := &httpapi.Guard{Tokens: a.cfg.Tokens, Hosts: a.cfg.Hosts, Foreign: compat.Paths()}
	pages, err := web.New(ui.Files())
	if err != nil {
		return err
	}
	mux := http.NewServeMux()
	httpapi.Register(mux, httpapi.Config{
		Version: a.cfg.Version, Started: a.started, UIBuilt: pages.Built(), Stats: a.stats,
		Metrics: metricsAPI{a.metrics}, Traces: a.traces, Logs: a.logs, Failures: a.traces, Templates: a.logs,
		Changes: a.changes, Undo: a.undo, Flags: a.flags, Guardians: a.reports.guardians,
		LoadTests: loadTestAPI{a.loadTests, a.catalog}, Workflows: a.workflows,
		Problems: a.problems, ProblemEvents: a.problems, Healing: a.healing,
		Manifests: a.catalog, Report: a.reports,
		Comparisons: comparisonAPI{a.comparisons, a}, Pipelines: pipelineAPI{a.pipelines, a.artifacts},
		Traffic: a.proxy, Rollouts: rolloutAPI{a.rollouts, a.db.Rollouts(), a.catalog},
		Stream: a.stream, Logger: a.log,
	})
	foreign, err := compat.New(compat.Config{Recorder: a.changes, Problems: a.problems, Verify: verifier(guard), GitHubSecret: a.cfg.GitHubSecret, Logger: a.log})
	if err != nil {
		return err
	}
	foreign.Register(mux)
	prometheus := a.metrics.HTTPHandler(a.cfg.Version)
	for _, path := range []string{"query", "query_range", "query_exemplars", "series", "labels", "label/{name}/values", "metadata", "format_query", "status/buildinfo"} {
		mux.Handle("/api/v1/"+path, prometheus)
	}
	jaeger := jaegerapi.New(jaegerapi.Config{Traces: a.traces, Names: a.traces, Graph: a.dependencies, Logger: a.log})
	jaeger.Register(mux)
	ok := func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "ok") }
	mux.HandleFunc("GET /healthz", ok)
	mux.HandleFunc("GET /readyz", ok) // the ports are open only once everything is recovered
	mux.Handle("/", pages)
	a.handler = guard.Wrap(mux)
	return nil
}

// stats is the changing part of /v1/status. A store that cannot say how it is
// shows its error instead.
func (a *App) stats() any {
	return map[string]any{
		"ingest":  a.receiver.Stats(),
		"traces":  valueOrError(a.traces.Stats()),
		"logs":    valueOrError(a.logs.Stats()),
		"metrics": a.metrics.Stats(),
		"listen":  a.ports.addresses(),
		"data":    a.cfg.Dir,
		"process": os.Getpid(),
	}
}

func valueOrError(v any, err error) any {
	if err != nil {
		return map[string]string{"error": err.Error()}
	}
	return v
}

// verifier lets the foreign APIs admit whom the gate admits.
func verifier(g *httpapi.Guard) compat.Verifier {
	return func(_ context.Context, token string) (string, error) {
		if !g.Allowed("Bearer " + token) {
			return "", fault.Denied("the token is not one of this server's")
		}
		return "", nil
	}
}
