// Package pipeline takes revisions through stages: deployed, put under load,
// judged, approved, kept or taken back.
//
// A Pipeline is the definition: where revisions come from, and stages of
// actions. A Release is one revision on its way through it; it keeps the
// definition it started with, so that a change of the definition applies to
// the next release.
//
// # Life of a release
//
// [Service.Push] stores a release as queued: what it answered is not lost.
// [Service.Run] takes it from there:
//
//	queued ─→ running ⇄ waiting ─→ succeeded
//	   │          ├─→ failed        an action failed          (retry)
//	   │          ├─→ rejected      an approval was refused   (retry)
//	   │          └─→ rolledBack    … and the stage was taken back
//	   └─→ superseded               a newer one overtook it before a stage
//
// Stages follow each other. Inside a stage actions follow each other, except
// those of one group, which run at the same time. A release that has to wait
// (for a person, for a verdict, for a stage that is taken, for the end of a
// freeze) says for what, in one sentence, and holds no goroutine while it
// waits.
//
// # Invariants
//
//   - A stage of a pipeline holds one release at a time; the database enforces
//     it. Releases that wait for the same stage: the newest enters and the
//     older are superseded, or, with newer: queue, they enter in their order.
//     A release keeps its stage until the stage has ended, also while it waits
//     for an approval.
//   - Every action is decided, then its intent is stored, then it is attempted
//     with a key that is the same however often it is attempted, then its
//     outcome is stored. A crash between any two resumes there. Several
//     processes share the work by leases; a release has one holder.
//   - An approval is decided once: by the first person or verdict that the
//     database admits. Whoever comes second is told who was first.
//   - A rollback is never held up by a freeze and never asks for approval.
//   - Events have ids derived from release, stage and attempt, so that none is
//     recorded twice.
//
// # Example
//
//	svc, err := pipeline.New(pipeline.Config{Store: store, Deployers: deployers, Recorder: changes, …})
//	err = svc.Define([]pipeline.Pipeline{shop})
//	go svc.Run(ctx)
//	r, err := svc.Push(ctx, pipeline.Push{Pipeline: "shop", Revision: deploy.Revision{Version: "1.4"}, Who: "kim"})
//	r, err = svc.Approve(ctx, pipeline.Decision{Release: r.ID, Stage: "staging", Who: "ann", Reason: "looks good"})
package pipeline

import (
	"time"

	"github.com/tidegate-io/tidegate/delivery/deploy"
)

// Pipeline is the definition.
type Pipeline struct {
	Name        string            `json:"name"`
	Labels      map[string]string `json:"labels,omitempty"`
	Description string            `json:"description,omitempty"`
	Source      *Source           `json:"source,omitempty" doc:"where revisions come from; without one they are pushed"`
	// Apps says how each app is run, by name.
	Apps   map[string]deploy.App `json:"apps,omitempty"`
	Stages []Stage               `json:"stages"`
	// Newer says what becomes of releases that wait for a stage when a newer
	// one waits for it as well: "supersede" (default) or "queue".
	Newer string `json:"newer,omitempty" enum:"supersede,queue"`
	// Groups are the people who may approve, by the group's name.
	Groups map[string][]string `json:"groups,omitempty"`
	Freeze []Freeze            `json:"freeze,omitempty"`
}

// What becomes of older releases that wait.
const (
	Supersede = "supersede"
	Queue     = "queue"
)

// Source is where revisions come from; exactly one of the three.
type Source struct {
	// Directory: every file or directory put into it is a revision, named
	// like its version (shop-1.4.tar.gz is version shop-1.4).
	Directory string `json:"directory,omitempty"`
	// File, or directory, that is a revision as a whole, whenever its content
	// changes.
	File string     `json:"file,omitempty"`
	Git  *GitSource `json:"git,omitempty"`
	// Every is the pause between two looks; default 2 s, for git 30 s.
	Every time.Duration `json:"every,omitempty" doc:"nanoseconds"`
}

// GitSource is a branch of a repository: every new head is a revision.
type GitSource struct {
	Repository string `json:"repository" doc:"a path or URL that the git program understands"`
	Branch     string `json:"branch,omitempty" doc:"default main"`
	// Path inside the repository that the artifact consists of; default all.
	Path string `json:"path,omitempty"`
}

// Stage is a part of the way, usually an environment.
type Stage struct {
	Name        string   `json:"name"`
	Environment string   `json:"environment,omitempty" doc:"default: the stage's name"`
	Actions     []Action `json:"actions"`
	// OnFail "rollback" takes back what the stage deployed when it ends badly.
	OnFail string `json:"onFail,omitempty" enum:"rollback"`
}

// Rollback is the only value of OnFail.
const Rollback = "rollback"

// Action is one thing to do: exactly one of the pointers is set.
type Action struct {
	// Name is unique in the stage; default the kind, numbered from the second.
	Name string `json:"name"`
	// Group joins actions that run at the same time: neighbours with the same
	// number above zero.
	Group int `json:"group,omitempty"`
	// Retries is how often it is tried again after a failure; default 0.
	Retries int `json:"retries,omitempty"`
	// Timeout of one attempt; the default depends on the kind.
	Timeout time.Duration `json:"timeout,omitempty" doc:"nanoseconds"`
	// OnFail "rollback" is the stage's, asked for by this action.
	OnFail string `json:"onFail,omitempty" enum:"rollback"`

	Deploy   *Deploy   `json:"deploy,omitempty"`
	LoadTest *LoadTest `json:"loadTest,omitempty"`
	Event    *Event    `json:"event,omitempty"`
	Validate *Validate `json:"validate,omitempty"`
	Approve  *Approve  `json:"approve,omitempty"`
	Command  *Command  `json:"command,omitempty"`
	Webhook  *Webhook  `json:"webhook,omitempty"`
}

// Kind is what an action does.
type Kind string

// The kinds.
const (
	KindDeploy   Kind = "deploy"
	KindLoadTest Kind = "loadTest"
	KindEvent    Kind = "event"
	KindValidate Kind = "validate"
	KindApprove  Kind = "approve"
	KindCommand  Kind = "command"
	KindWebhook  Kind = "webhook"
)

// Kind returns which of the pointers is set; empty when none or several are.
func (a *Action) Kind() Kind {
	var kind Kind
	n := 0
	for _, k := range []struct {
		kind Kind
		set  bool
	}{
		{KindDeploy, a.Deploy != nil}, {KindLoadTest, a.LoadTest != nil}, {KindEvent, a.Event != nil},
		{KindValidate, a.Validate != nil}, {KindApprove, a.Approve != nil}, {KindCommand, a.Command != nil}, {KindWebhook, a.Webhook != nil},
	} {
		if k.set {
			kind = k.kind
			n++
		}
	}
	if n != 1 {
		return ""
	}
	return kind
}

// Deploy deploys the release's revision.
type Deploy struct {
	App  string `json:"app"`
	With string `json:"with" doc:"the deployer: process, command"`
	// Strategy is how it replaces what runs; default "replace".
	Strategy string `json:"strategy,omitempty"`
	// Slot to deploy into, for places side by side.
	Slot string `json:"slot,omitempty"`
	// Settings that differ from the app's in this stage.
	Settings deploy.App `json:"settings,omitzero"`
}

// LoadTest runs a load test to its end.
type LoadTest struct {
	Test string `json:"test"`
}

// Event records a change event about the stage's environment.
type Event struct {
	Type       string            `json:"type"`
	Title      string            `json:"title,omitempty"`
	Service    string            `json:"service,omitempty"`
	Properties map[string]string `json:"properties,omitempty"`
}

// Validate asks for a verdict: of a registered comparison, or of a guardian.
type Validate struct {
	Comparison string        `json:"comparison,omitempty"`
	In         time.Duration `json:"in,omitempty" doc:"nanoseconds; when a comparison is judged"`
	Service    string        `json:"service,omitempty" doc:"default: that of the app the stage deploys"`

	Guardian  string            `json:"guardian,omitempty"`
	Last      time.Duration     `json:"last,omitempty" doc:"nanoseconds; the guardian's window before now"`
	Next      time.Duration     `json:"next,omitempty" doc:"nanoseconds; the guardian's window from now"`
	Variables map[string]string `json:"variables,omitempty"`
}

// Approve waits for a decision.
type Approve struct {
	// By is who may decide, whoever comes first: "validation" (the validations
	// of the stage before it, all of them), "validation:NAME" (one of them),
	// "user:NAME", "group:NAME", "anyone".
	By []string `json:"by"`
}

// Command runs a program; its environment says what for.
type Command struct {
	Args []string          `json:"args"`
	Env  map[string]string `json:"env,omitempty"`
	Dir  string            `json:"dir,omitempty"`
}

// Webhook posts the release as JSON.
type Webhook struct {
	URL     string            `json:"url"`
	Headers map[string]string `json:"headers,omitempty"`
}

// Freeze keeps releases from entering stages for a time.
type Freeze struct {
	// Stages it holds for; all when empty.
	Stages []string `json:"stages,omitempty"`
	// From and To of a single freeze.
	From time.Time `json:"from,omitzero"`
	To   time.Time `json:"to,omitzero"`
	// Weekly is a repeated one: "Fri 16:00 - Mon 08:00" in Zone (default UTC).
	Weekly string `json:"weekly,omitempty"`
	Zone   string `json:"zone,omitempty" doc:"IANA name, for example Europe/Vienna"`
	Reason string `json:"reason,omitempty"`
}

// environment of a stage.
func (s *Stage) environment() string {
	if s.Environment != "" {
		return s.Environment
	}
	return s.Name
}

// app returns how an app is run in an action.
func (p *Pipeline) app(d *Deploy) deploy.App {
	return p.Apps[d.App].Merge(d.Settings).WithDefaults(d.App)
}

// stage returns the index of a stage, or -1.
func (p *Pipeline) stage(name string) int {
	for i := range p.Stages {
		if p.Stages[i].Name == name {
			return i
		}
	}
	return -1
}
