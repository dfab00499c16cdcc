package delivery

import (
	"context"
	"fmt"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/tidegate-io/tidegate/delivery/pipeline"
	"github.com/tidegate-io/tidegate/demo/delivery/manifests"
	"github.com/tidegate-io/tidegate/demo/stage"
	"github.com/tidegate-io/tidegate/fault"
)

// Pipeline is what the story is called.
const Pipeline = "pipeline"

// PipelineResult is what the story writes as JSON.
type PipelineResult struct {
	Scenario   string        `json:"scenario"`
	OK         bool          `json:"ok"`
	Builds     []BuildReport `json:"builds"`
	Production struct {
		Current string `json:"current"`
	} `json:"production"`
	Seconds float64       `json:"seconds"`
	Claims  []stage.Claim `json:"claims"`
}

// BuildReport is one build's way.
type BuildReport struct {
	Build      string       `json:"build"`
	Staging    StageReport  `json:"staging"`
	Production *StageReport `json:"production"`
	Outcome    string       `json:"outcome"`
	DecidedBy  []string     `json:"decidedBy"`
}

// StageReport is what a stage came to.
type StageReport struct {
	Validation string `json:"validation"`
	Approval   string `json:"approval"`
}

// builds of the story: what their run script says.
var scripts = map[string]string{
	"1": "", // fine
	"2": `export FAILURES=0.5`,
	"3": "", // fine
	"4": `if [ "$TIDEGATE_ENVIRONMENT" = production ]; then export FAILURES=0.1 LATENCY=20ms; fi`,
}

type delivered struct {
	*scene
	artifacts           string
	staging, production string // ports
	releases            map[string]pipeline.Release
	current             string
	told                PipelineResult
}

// RunPipeline plays the story and ends what it started. The result is as
// complete as it could be made, whatever the error.
func RunPipeline(ctx context.Context, cfg stage.Config) (PipelineResult, error) {
	s, err := newScene(cfg, Pipeline)
	if err != nil {
		return PipelineResult{Scenario: Pipeline}, err
	}
	d := &delivered{scene: s, releases: map[string]pipeline.Release{}}
	err = s.Tell(ctx, d)
	return d.told, err
}

// Steps implements stage.Story.
func (d *delivered) Steps() []stage.Step {
	return []stage.Step{
		stage.Do("start the server, apply the pipeline", 4*time.Second, d.openStep),
		stage.Do("build 1 is fine, and the first ever", 50*time.Second, d.buildStep("1")),
		stage.Do("build 2 fails every second order", 30*time.Second, d.buildStep("2")),
		stage.Do("build 3 is fine", 55*time.Second, d.buildStep("3")),
		stage.Do("build 4 is fine in staging, but not in production", 55*time.Second, d.buildStep("4")),
		stage.Do("what runs in production now?", 2*time.Second, d.afterStep),
	}
}

func (d *delivered) openStep(ctx context.Context) (string, error) {
	d.artifacts = filepath.Join(d.Dir, "artifacts")
	if err := os.MkdirAll(d.artifacts, 0o700); err != nil {
		return "", err
	}
	for _, port := range []*string{&d.staging, &d.production} {
		l, address, err := socket()
		if err != nil {
			return "", err
		}
		*port = address[strings.LastIndexByte(address, ':')+1:]
		l.Close()
	}
	if err := d.StartServer(ctx); err != nil {
		return "", err
	}
	raw, err := fs.ReadFile(manifests.Files, "pipeline/pipeline.yaml")
	if err != nil {
		return "", err
	}
	text := strings.NewReplacer("ARTIFACTS", d.artifacts, "OTLP_ADDRESS", d.At.OTLPHTTP, "TIDEGATE_PROGRAM", d.Binary,
		"STAGING_PORT", d.staging, "PRODUCTION_PORT", d.production).Replace(string(raw))
	written := filepath.Join(d.Dir, "pipeline")
	if err := os.MkdirAll(written, 0o700); err != nil {
		return "", err
	}
	if err := os.WriteFile(filepath.Join(written, "pipeline.yaml"), []byte(text), 0o600); err != nil {
		return "", err
	}
	if err := d.Apply(ctx, os.DirFS(written)); err != nil {
		return "", err
	}
	d.url = "http://127.0.0.1:" + d.production + "/order"
	d.customers = stage.SendCustomers(ctx, d.url, 20, nil)
	return "20 orders a second at " + d.url + ", where nothing answers yet", nil
}

// buildStep puts a build where the pipeline finds it, and waits for its end.
func (d *delivered) buildStep(build string) func(context.Context) (string, error) {
	return func(ctx context.Context) (string, error) {
		if err := d.publish(build); err != nil {
			return "", err
		}
		var r pipeline.Release
		err := d.Until(ctx, rolloutTimeout, 200*time.Millisecond, "the release of build "+build+" has ended", func() (ok bool, err error) {
			r, ok, err = d.release(ctx, build)
			if ok && err == nil {
				now := r.Current()
				d.Display.Detail("%s: %s", now.Name, r.Waiting)
			}
			return ok && !r.Finished.IsZero(), err
		})
		d.releases[build] = r
		return fmt.Sprintf("%s. %s", r.State, r.Error), err
	}
}

// publish makes a build appear whole: a directory with the program to run.
func (d *delivered) publish(build string) error {
	dir := filepath.Join(d.Dir, "build-"+build)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	script := fmt.Sprintf("#!/bin/sh\n# build %s\n%s\nexec \"$PROGRAM\" demo app -listen \"127.0.0.1:$PORT\" -otlp \"$OTLP\" -service shop -release \"$TIDEGATE_VERSION\" -environment \"$TIDEGATE_ENVIRONMENT\"\n", build, scripts[build])
	if err := os.WriteFile(filepath.Join(dir, "run"), []byte(script), 0o700); err != nil {
		return err
	}
	return os.Rename(dir, filepath.Join(d.artifacts, build))
}

func (d *delivered) release(ctx context.Context, build string) (pipeline.Release, bool, error) {
	var list struct {
		Releases []pipeline.Release `json:"releases"`
	}
	if err := d.API.Call(ctx, http.MethodGet, "/v1/pipelines/shop/releases?limit=20", nil, &list); err != nil {
		return pipeline.Release{}, false, err
	}
	for _, r := range list.Releases {
		if r.Revision.Version == build {
			err := d.API.Call(ctx, http.MethodGet, "/v1/releases/"+url.PathEscape(r.ID), nil, &r)
			return r, err == nil, err
		}
	}
	return pipeline.Release{}, false, nil
}

// afterStep asks a customer: the version that answers says so itself.
func (d *delivered) afterStep(ctx context.Context) (string, error) {
	now := time.Now()
	if err := d.settle(ctx, 2*time.Second); err != nil {
		return "", err
	}
	for _, a := range d.customers.Answers(now, time.Now()) {
		if a.Release != "" {
			d.current = a.Release
		}
	}
	if d.Exit {
		d.customers.Stop()
	}
	if d.current == "" {
		return "", fault.Internal("nothing answers in production")
	}
	return "build " + d.current, nil
}

func report(r pipeline.Release, name string) *StageReport {
	for _, s := range r.Stages {
		if s.Name != name || s.Entered.IsZero() {
			continue
		}
		out := &StageReport{Validation: "none", Approval: "none"}
		for _, a := range s.Actions {
			if a.Verdict != nil {
				out.Validation = string(a.Verdict.Status)
			}
			if a.Approval != nil {
				out.Approval = map[bool]string{true: "approved", false: "rejected"}[a.Approval.Approved] + " by " + a.Approval.By
			}
		}
		return out
	}
	return nil
}

// Conclude implements stage.Story.
func (d *delivered) Conclude() []stage.Claim {
	d.told = PipelineResult{Scenario: Pipeline, Builds: []BuildReport{}, Seconds: time.Since(d.began).Seconds()}
	r := &d.told
	r.Production.Current = d.current
	claim := func(holds bool, found, sentence string) {
		r.Claims = append(r.Claims, stage.Claim{Claim: sentence, Found: found, Holds: holds})
	}
	for _, want := range []struct{ build, outcome, sentence string }{
		{"1", "released", "build 1 reaches production"},
		{"2", "rejected-in-staging", "build 2 is rejected at the staging approval"},
		{"3", "released", "build 3 reaches production"},
		{"4", "rolled-back", "build 4 passes staging, and is rolled back in production"},
	} {
		rel, ok := d.releases[want.build]
		if !ok {
			claim(false, "it never came there", want.sentence)
			continue
		}
		b := BuildReport{Build: want.build, Staging: StageReport{Validation: "none", Approval: "none"}, Production: report(rel, "production"), Outcome: string(rel.State), DecidedBy: decidedBy(rel)}
		if s := report(rel, "staging"); s != nil {
			b.Staging = *s
		}
		switch {
		case rel.State == pipeline.StateSucceeded:
			b.Outcome = "released"
		case b.Production == nil:
			b.Outcome = "rejected-in-staging"
		case rel.State == pipeline.StateRolledBack:
			b.Outcome = "rolled-back"
		}
		r.Builds = append(r.Builds, b)
		claim(b.Outcome == want.outcome, fmt.Sprintf("%s (%s) %s", b.Outcome, rel.State, rel.Error), want.sentence)
	}
	claim(d.current == "3", "build "+d.current, "build 3 runs in production in the end")
	r.OK = len(stage.Failed(r.Claims)) == 0
	return r.Claims
}

// decidedBy are the metrics beyond their limits in the last verdict that was
// not good.
func decidedBy(r pipeline.Release) []string {
	out := []string{}
	for _, s := range r.Stages {
		for _, a := range s.Actions {
			if a.Verdict != nil && a.Verdict.Status == pipeline.StatusViolation {
				out = append(out, a.Verdict.DecidedBy...)
			}
		}
	}
	return out
}
