package app

import (
	"context"
	"fmt"
	"io"
	"path/filepath"
	"strings"
	"time"

	"github.com/tidegate-io/tidegate/change"
	"github.com/tidegate-io/tidegate/delivery/deploy"
	"github.com/tidegate-io/tidegate/delivery/pipeline"
	"github.com/tidegate-io/tidegate/delivery/validation"
	"github.com/tidegate-io/tidegate/fault"
	"github.com/tidegate-io/tidegate/guardian"
	"github.com/tidegate-io/tidegate/internal/artifact"
	"github.com/tidegate-io/tidegate/internal/deployer/command"
	"github.com/tidegate-io/tidegate/internal/deployer/process"
	"github.com/tidegate-io/tidegate/internal/httpapi"
	"github.com/tidegate-io/tidegate/internal/manifest"
	"github.com/tidegate-io/tidegate/internal/source"
	"github.com/tidegate-io/tidegate/judge"
	"github.com/tidegate-io/tidegate/loadtest"
)

// openPipelines wires what takes revisions through stages. What judges and
// tests them is wired before, and healing after: it rolls back by pipelines.
func (a *App) openPipelines(context.Context) (err error) {
	dir := filepath.Join(a.cfg.Dir, "delivery")
	if a.artifacts, err = artifact.Open(filepath.Join(dir, "artifacts")); err != nil {
		return err
	}
	a.processes, err = process.New(process.Config{
		Dir: filepath.Join(dir, "processes"), Artifacts: a.artifacts, StopAtExit: a.cfg.StopApps,
		Env: map[string]string{
			"OTEL_EXPORTER_OTLP_ENDPOINT": "http://" + reachable(a.ports.otlpHTTP.Addr()),
			"OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf",
		},
		Logger: a.log.With("part", "processes"),
	})
	if err != nil {
		return err
	}
	a.deployers = deployers{
		byName: map[string]deploy.Deployer{"process": a.processes, "command": &command.Deployer{Artifacts: a.artifacts, Script: a.scriptOf}},
		rolled: func(with string, inner deploy.Deployer, name string) (deploy.Deployer, bool) {
			api := rolloutAPI{a.rollouts, a.db.Rollouts(), a.catalog}
			def, ok := api.definition(name)
			return &rolled{with: with, inner: inner, name: name, rollouts: api, proxy: a.proxy}, ok && def.Route != ""
		},
	}
	a.pipelines, err = pipeline.New(pipeline.Config{
		Store: a.db.Pipelines(), Deployers: a.deployers,
		Validator: &releaseJudge{a.comparisons, a.guardians, a.db.Guardians()}, LoadTester: &releaseTester{a.loadTests, a.catalog},
		Recorder: a.changes, Caller: &command.Caller{URL: "http://" + reachable(a.ports.api.Addr())}, Artifacts: a.artifacts,
		Owner: a.owner(), Logger: a.log.With("part", "pipelines"),
		Changed: func(r pipeline.Release) {
			a.stream.Publish("release", map[string]any{"id": r.ID, "pipeline": r.Pipeline, "number": r.Number, "state": r.State, "stage": r.Current().Name})
		},
	})
	if err != nil {
		return err
	}
	a.deployer, a.undo.deployer = a.pipelines, a.pipelines
	a.sources, err = source.New(source.Config{Pipelines: a.pipelines, Artifacts: a.artifacts, Dir: filepath.Join(dir, "sources"),
		Logger: a.log.With("part", "sources")})
	if err != nil {
		return err
	}
	return a.definePipelines()
}

// runPipelines runs what openPipelines wired.
func (a *App) runPipelines(run func(what string, f func(context.Context) error)) {
	run("processes", a.processes.Run)
	run("pipelines", a.pipelines.Run)
	run("sources", a.sources.Run)
}

// definePipelines puts pipelines into force.
func (a *App) definePipelines() error {
	if a.pipelines == nil { // not wired yet: openPipelines does it
		return nil
	}
	return a.pipelines.Define(a.catalog.Pipelines())
}

// Pipelines returns the definitions.
func (c *catalog) Pipelines() []pipeline.Pipeline {
	var out []pipeline.Pipeline
	for _, e := range c.entries("Pipeline") {
		out = append(out, *e.Spec.(*manifest.Pipeline).Definition(e.Name(), e.Metadata.Labels))
	}
	return out
}

// checkPipeline reports names that has does not know, and deployers that there
// are none of.
func checkPipeline(id string, p *manifest.Pipeline, has func(id string) bool) error {
	def := p.Definition("check", nil)
	for i := range def.Stages {
		for _, a := range def.Stages[i].Actions {
			at := fmt.Sprintf("spec.stages[%d]", i)
			switch {
			case a.LoadTest != nil && !has("LoadTest/"+a.LoadTest.Test):
				return fault.InvalidField(at, "%s: there is no load test %q: apply it before, or in the same file", id, a.LoadTest.Test)
			case a.Validate != nil && a.Validate.Guardian != "" && !has("Guardian/"+a.Validate.Guardian):
				return fault.InvalidField(at, "%s: there is no guardian %q: apply it before, or in the same file", id, a.Validate.Guardian)
			case a.Deploy != nil:
				known := deployers{byName: map[string]deploy.Deployer{"process": nil, "command": nil}, rolled: func(_ string, _ deploy.Deployer, name string) (deploy.Deployer, bool) {
					return nil, has("Rollout/" + name)
				}}
				if _, err := known.Deployer(a.Deploy.With, a.Deploy.Strategy); err != nil {
					return fault.InvalidField(at, "%s: %v", id, err)
				}
			}
		}
	}
	return nil
}

// deployers are those there are, by name, and how revisions replace each other:
// at once, or by a rollout.
type deployers struct {
	byName map[string]deploy.Deployer
	// rolled makes a deployer whose revisions get their users by a rollout;
	// false when there is none of the name.
	rolled func(with string, inner deploy.Deployer, rollout string) (deploy.Deployer, bool)
}

func (d deployers) plain(with string) (deploy.Deployer, error) {
	found, ok := d.byName[with]
	if !ok {
		return nil, fault.Invalid("unknown deployer %q: expected process or command", with)
	}
	return found, nil
}

// Deployer implements pipeline.Deployers.
func (d deployers) Deployer(with, strategy string) (deploy.Deployer, error) {
	found, err := d.plain(with)
	if err != nil || strategy == "" || strategy == "replace" {
		return found, err
	}
	if r, ok := d.rolled(with, found, strategy); ok {
		return r, nil
	}
	return nil, fault.Invalid("unknown strategy %q: expected replace, or the name of a rollout of a route", strategy)
}

// scriptOf finds the script that deployed to a target before this process
// began.
func (a *App) scriptOf(ctx context.Context, t deploy.Target) (deploy.App, error) {
	list, err := a.db.Pipelines().Deployments(ctx, pipeline.DeploymentQuery{App: t.App, Environment: t.Environment})
	if err != nil {
		return deploy.App{}, err
	}
	for _, d := range list {
		if d.Target == t && d.With == "command" && d.State == pipeline.DeploymentDone {
			return d.Settings, nil
		}
	}
	return deploy.App{}, fault.NotFound("nothing was deployed to %s", t)
}

// releaseTester implements pipeline.LoadTester.
type releaseTester struct {
	runner  *loadtest.Runner
	catalog *catalog
}

func (t *releaseTester) Start(ctx context.Context, test, who, key string) (pipeline.LoadRun, error) {
	e, ok := t.catalog.entry("LoadTest", test)
	if !ok {
		return pipeline.LoadRun{}, fault.Invalid("there is no load test %q", test)
	}
	run, err := t.runner.StartOnce(ctx, change.DeriveID("load test", key), *e.loadTest, who)
	if fault.Is(err, fault.KindConflict) { // it runs for somebody else: later
		return pipeline.LoadRun{}, fault.Unavailable("%w", err)
	}
	return loadRun(run), err
}

func (t *releaseTester) LoadRun(ctx context.Context, id string) (pipeline.LoadRun, error) {
	run, err := t.runner.Get(ctx, id)
	return loadRun(run), err
}

func loadRun(r loadtest.Run) pipeline.LoadRun {
	out := pipeline.LoadRun{Run: r.ID, State: "failed", Headline: r.Error}
	switch r.State {
	case loadtest.StateRunning:
		out.State = "running"
	case loadtest.StateLost:
		out.State = "lost"
	case loadtest.StateFinished:
		out.State = "finished"
	}
	if res := r.Result; res != nil && r.Error == "" {
		out.Headline = fmt.Sprintf("%d requests at %.1f/s, %d failed, p90 %s", res.Requests, res.Rate, res.Failures, res.P90.Round(time.Millisecond/10))
	}
	return out
}

// releaseJudge implements pipeline.Validator.
type releaseJudge struct {
	comparisons *validation.Service
	guardians   *guardian.Service
	history     guardian.Store
}

const (
	ofComparison = "comparison"
	ofGuardian   = "guardian"
)

func (j *releaseJudge) Register(ctx context.Context, r pipeline.ValidationRequest) (pipeline.Verdict, error) {
	if r.Validate.Comparison != "" {
		v, err := j.comparisons.Register(ctx, validation.Request{Key: r.Key, Pipeline: r.Pipeline, Build: r.Version, Release: r.Release, Stage: r.Stage,
			Comparison: r.Validate.Comparison, Service: r.Service, Version: r.Version, Environment: r.Environment, In: r.Validate.In, Who: r.Who})
		return verdictOfComparison(v), err
	}
	v, err := j.guardians.Start(ctx, guardian.Request{ID: change.DeriveID("validation", r.Key), Guardian: r.Validate.Guardian,
		Last: r.Validate.Last, Next: r.Validate.Next, Variables: r.Validate.Variables, Trigger: "pipeline", Who: r.Who,
		Tags: map[string]string{"pipeline": r.Pipeline, "release": r.Release, "stage": r.Stage, "environment": r.Environment, "version": r.Version}})
	return verdictOfGuardian(v), err
}

func (j *releaseJudge) Verdict(ctx context.Context, v pipeline.Verdict) (pipeline.Verdict, error) {
	if v.Of == ofComparison {
		now, err := j.comparisons.Validation(ctx, v.ID)
		return verdictOfComparison(now), err
	}
	now, err := j.history.Validation(ctx, v.ID)
	return verdictOfGuardian(now), err
}

func verdictOfComparison(v validation.Validation) pipeline.Verdict {
	out := pipeline.Verdict{Of: ofComparison, Name: v.Comparison, ID: v.ID, Status: pipeline.Status(v.Status), Headline: v.Summary, Due: v.Due}
	for _, r := range v.Results {
		if string(r.Status) == string(validation.StatusViolation) {
			out.DecidedBy = append(out.DecidedBy, r.Metric)
		}
	}
	return out
}

func verdictOfGuardian(v guardian.Validation) pipeline.Verdict {
	out := pipeline.Verdict{Of: ofGuardian, Name: v.Guardian, ID: v.ID, Headline: v.Headline, Status: pipeline.StatusWaiting}
	if v.State != guardian.StateFinished {
		out.Due = v.Window.To
		out.Headline = v.Guardian + " is judged"
		if v.State == guardian.StateRunning {
			out.Status = pipeline.StatusRunning
		}
		return out
	}
	switch v.Status {
	case judge.StatusPass, judge.StatusWarn, judge.StatusInfo:
		out.Status = pipeline.StatusOK
	case judge.StatusFail:
		out.Status = pipeline.StatusViolation
	case judge.StatusError:
		out.Status = pipeline.StatusError
	default: // learning and inconclusive
		out.Status = pipeline.StatusInconclusive
	}
	if v.Verdict != nil {
		for _, r := range v.Verdict.Results {
			if r.Status == v.Status && v.Status == judge.StatusFail {
				out.DecidedBy = append(out.DecidedBy, r.Name)
			}
		}
	}
	return out
}

// pipelineAPI implements httpapi.Pipelines.
type pipelineAPI struct {
	*pipeline.Service
	artifacts *artifact.Store
}

// PushArtifact implements httpapi.Pipelines.
func (p pipelineAPI) PushArtifact(ctx context.Context, push pipeline.Push, name string, content io.Reader) (pipeline.Release, error) {
	if _, err := p.Pipeline(ctx, push.Pipeline); err != nil { // before anything is stored
		return pipeline.Release{}, err
	}
	name = filepath.Base(filepath.Clean("/" + name))
	a, err := p.artifacts.AddReader(ctx, name, true, content)
	if err != nil {
		return pipeline.Release{}, err
	}
	push.Revision.Artifact, push.Revision.Name, push.Revision.Source = a.Digest, name, "push"
	if push.Revision.Version == "" {
		push.Revision.Version = strings.TrimPrefix(a.Digest, "sha256:")[:12]
	}
	return p.Push(ctx, push)
}

var _ httpapi.Pipelines = pipelineAPI{}

// undoDeployment takes a deployment back: what ran before it and was good runs
// again.
func (u *undoer) undoDeployment(ctx context.Context, e change.Event, who, reason string) (change.Event, error) {
	if u.deployer == nil {
		return change.Event{}, fault.Invalid("change event %s: there are no pipelines", e.ID)
	}
	d, err := u.deployer.Rollback(ctx, pipeline.RollbackRequest{Of: e.Undo.Deployment, Who: who, Reason: reason, Key: undoEventID(e.ID)})
	if err != nil {
		return change.Event{}, fmt.Errorf("undo %q: %w", e.Title, err)
	}
	if d.RollbackOf != e.Undo.Deployment {
		reason = strings.TrimPrefix(reason+"; version "+d.Revision.Version+" ran already", "; ")
	}
	return u.record(ctx, e, who, reason)
}
