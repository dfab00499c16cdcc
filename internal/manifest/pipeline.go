package manifest

import (
	"fmt"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/tidegate-io/tidegate/delivery/deploy"
	"github.com/tidegate-io/tidegate/delivery/pipeline"
)

// Pipeline is the spec of kind Pipeline.
type Pipeline struct {
	Description string                 `json:"description,omitempty"`
	Source      *PipelineSource        `json:"source,omitempty" doc:"where revisions come from; without one they are pushed"`
	Apps        map[string]PipelineApp `json:"apps,omitempty" doc:"how each app is run, by name"`
	Stages      []PipelineStage        `json:"stages"`
	Newer       string                 `json:"newer,omitempty" enum:"supersede,queue" doc:"what becomes of releases that wait for a stage when a newer one waits as well; default supersede"`
	Groups      map[string][]string    `json:"groups,omitempty" doc:"people who may approve, by group"`
	Freeze      []PipelineFreeze       `json:"freeze,omitempty" doc:"times in which no stage is entered"`
}

// PipelineSource is exactly one of directory, file and git.
type PipelineSource struct {
	Directory string       `json:"directory,omitempty" doc:"every file or directory put into it is a revision, named like its version"`
	File      string       `json:"file,omitempty" doc:"a file or directory that is a revision whenever its content changes"`
	Git       *PipelineGit `json:"git,omitempty" doc:"every new head of a branch is a revision"`
	Every     Duration     `json:"every,omitempty" doc:"pause between two looks; default 2s, for git 30s"`
}

// PipelineGit is a branch of a repository.
type PipelineGit struct {
	Repository string `json:"repository" doc:"path or URL, as the git program understands it"`
	Branch     string `json:"branch,omitempty" doc:"default main"`
	Path       string `json:"path,omitempty" doc:"the part that is deployed; default all"`
}

// PipelineApp says how an app is run.
type PipelineApp struct {
	Service string            `json:"service,omitempty" doc:"name in its telemetry; default the app's"`
	Run     []string          `json:"run,omitempty" doc:"program and arguments, inside the artifact; ${PORT}, ${VERSION} and ${ENVIRONMENT} are replaced"`
	Env     map[string]string `json:"env,omitempty"`
	Port    int               `json:"port,omitempty" doc:"fixed port; default a free one for each revision"`
	Health  *PipelineHealth   `json:"health,omitempty"`
	Grace   Duration          `json:"grace,omitempty" doc:"time to end by itself; default 10s"`
	Script  []string          `json:"script,omitempty" doc:"the script of the command deployer"`
}

// PipelineHealth says when a program serves.
type PipelineHealth struct {
	Path   string   `json:"path,omitempty" doc:"asked for by GET; default: a connection to the port is enough"`
	None   bool     `json:"none,omitempty" doc:"for programs that listen on no port"`
	Within Duration `json:"within,omitempty" doc:"default 30s"`
	Every  Duration `json:"every,omitempty" doc:"default 250ms"`
}

// PipelineStage is a part of the way.
type PipelineStage struct {
	Name        string           `json:"name"`
	Environment string           `json:"environment,omitempty" doc:"default the stage's name"`
	Actions     []PipelineAction `json:"actions"`
	OnFail      string           `json:"onFail,omitempty" enum:"rollback" doc:"take back what the stage deployed when it ends badly"`
}

// PipelineAction is exactly one thing to do, or several at the same time.
type PipelineAction struct {
	Name    string   `json:"name,omitempty" doc:"default the kind"`
	Retries int      `json:"retries,omitempty" doc:"how often it is tried again after a failure"`
	Timeout Duration `json:"timeout,omitempty" doc:"of one attempt"`
	OnFail  string   `json:"onFail,omitempty" enum:"rollback"`

	Deploy   *PipelineDeploy   `json:"deploy,omitempty"`
	LoadTest string            `json:"loadTest,omitempty" doc:"name of a load test that is run to its end"`
	Event    *PipelineEvent    `json:"event,omitempty"`
	Validate *PipelineValidate `json:"validate,omitempty"`
	Approve  *PipelineApprove  `json:"approve,omitempty"`
	Command  *Command          `json:"command,omitempty"`
	Webhook  *PipelineWebhook  `json:"webhook,omitempty"`
	Parallel []PipelineStep    `json:"parallel,omitempty" doc:"actions that run at the same time"`
}

// PipelineStep is an action of a parallel group.
type PipelineStep struct {
	Name    string   `json:"name,omitempty"`
	Retries int      `json:"retries,omitempty"`
	Timeout Duration `json:"timeout,omitempty"`
	OnFail  string   `json:"onFail,omitempty" enum:"rollback"`

	Deploy   *PipelineDeploy   `json:"deploy,omitempty"`
	LoadTest string            `json:"loadTest,omitempty"`
	Event    *PipelineEvent    `json:"event,omitempty"`
	Validate *PipelineValidate `json:"validate,omitempty"`
	Approve  *PipelineApprove  `json:"approve,omitempty"`
	Command  *Command          `json:"command,omitempty"`
	Webhook  *PipelineWebhook  `json:"webhook,omitempty"`
}

// PipelineDeploy deploys the revision; what it says of the app counts here.
type PipelineDeploy struct {
	App      string            `json:"app"`
	With     string            `json:"with" doc:"process or command"`
	Strategy string            `json:"strategy,omitempty" doc:"how it replaces what runs: replace, the default, or the name of a Rollout by which it gets its users"`
	Slot     string            `json:"slot,omitempty" doc:"a place beside others"`
	Run      []string          `json:"run,omitempty"`
	Env      map[string]string `json:"env,omitempty"`
	Port     int               `json:"port,omitempty"`
	Health   *PipelineHealth   `json:"health,omitempty"`
	Grace    Duration          `json:"grace,omitempty"`
	Script   []string          `json:"script,omitempty"`
}

// PipelineEvent records a change event.
type PipelineEvent struct {
	Type       string            `json:"type"`
	Title      string            `json:"title,omitempty"`
	Service    string            `json:"service,omitempty"`
	Properties map[string]string `json:"properties,omitempty"`
}

// PipelineValidate asks for a verdict, of a comparison or of a guardian.
type PipelineValidate struct {
	Comparison string            `json:"comparison,omitempty"`
	In         Duration          `json:"in,omitempty" doc:"when the comparison is judged"`
	Service    string            `json:"service,omitempty"`
	Guardian   string            `json:"guardian,omitempty"`
	Last       Duration          `json:"last,omitempty" doc:"the guardian's window before now"`
	Next       Duration          `json:"next,omitempty" doc:"the guardian's window from now"`
	Variables  map[string]string `json:"variables,omitempty"`
	OnFail     string            `json:"onFail,omitempty" enum:"rollback"`
}

// PipelineApprove waits for a decision.
type PipelineApprove struct {
	By      []string `json:"by" doc:"validation, validation:NAME, user:NAME, group:NAME, anyone; whoever comes first"`
	Timeout Duration `json:"timeout,omitempty" doc:"then it is rejected; default 24h"`
}

// PipelineWebhook posts the release as JSON.
type PipelineWebhook struct {
	URL     string            `json:"url"`
	Headers map[string]string `json:"headers,omitempty"`
}

// PipelineFreeze is a time, or a time of every week.
type PipelineFreeze struct {
	Stages []string `json:"stages,omitempty" doc:"default all"`
	From   *Instant `json:"from,omitempty"`
	To     *Instant `json:"to,omitempty"`
	Weekly string   `json:"weekly,omitempty" doc:"for example Fri 16:00 - Mon 08:00"`
	Zone   string   `json:"zone,omitempty" doc:"IANA name; default UTC"`
	Reason string   `json:"reason,omitempty"`
}

// Instant is written as RFC 3339, 2026-12-20T18:00:00+01:00.
type Instant time.Time

func (i *Instant) parse(text string) error {
	t, err := time.Parse(time.RFC3339, text)
	if err != nil {
		return fmt.Errorf("%q is not a time: expected RFC 3339, for example 2026-12-20T18:00:00Z", text)
	}
	*i = Instant(t)
	return nil
}

// Schema implements huma.SchemaProvider.
func (Instant) Schema(huma.Registry) *huma.Schema {
	return &huma.Schema{Type: huma.TypeString, Format: "date-time"}
}

func (p *Pipeline) check(c *checker) {
	for i := range p.Stages {
		for j := range p.Stages[i].Actions {
			a := &p.Stages[i].Actions[j]
			if own := a.step().definition(); len(a.Parallel) > 0 && own.Kind() != "" {
				c.at("stages[%d].actions[%d]", i, j).errorf("expected parallel, or one action")
			}
		}
	}
	if len(c.d.errs) > 0 {
		return
	}
	if err := p.Definition("check", nil).Validate(); err != nil {
		c.fault(err)
	}
}

// Definition returns the pipeline as the domain knows it.
func (p *Pipeline) Definition(name string, labels map[string]string) *pipeline.Pipeline {
	out := &pipeline.Pipeline{Name: name, Labels: labels, Description: p.Description, Newer: p.Newer, Groups: p.Groups}
	if s := p.Source; s != nil {
		out.Source = &pipeline.Source{Directory: s.Directory, File: s.File, Every: time.Duration(s.Every)}
		if s.Git != nil {
			out.Source.Git = &pipeline.GitSource{Repository: s.Git.Repository, Branch: s.Git.Branch, Path: s.Git.Path}
		}
	}
	for name, a := range p.Apps {
		if out.Apps == nil {
			out.Apps = map[string]deploy.App{}
		}
		out.Apps[name] = deploy.App{Service: a.Service, Run: a.Run, Env: a.Env, Port: a.Port, Check: a.Health.definition(),
			Grace: time.Duration(a.Grace), Script: a.Script}
	}
	for _, s := range p.Stages {
		stage := pipeline.Stage{Name: s.Name, Environment: s.Environment, OnFail: s.OnFail}
		group := 0
		for i := range s.Actions {
			a := &s.Actions[i]
			if len(a.Parallel) == 0 {
				stage.Actions = append(stage.Actions, a.step().definition())
				continue
			}
			group++
			for j := range a.Parallel {
				d := a.Parallel[j].definition()
				d.Group = group
				stage.Actions = append(stage.Actions, d)
			}
		}
		out.Stages = append(out.Stages, stage)
	}
	for _, f := range p.Freeze {
		d := pipeline.Freeze{Stages: f.Stages, Weekly: f.Weekly, Zone: f.Zone, Reason: f.Reason}
		if f.From != nil {
			d.From = time.Time(*f.From)
		}
		if f.To != nil {
			d.To = time.Time(*f.To)
		}
		out.Freeze = append(out.Freeze, d)
	}
	return out
}

// step is the action without its parallel ones.
func (a *PipelineAction) step() *PipelineStep {
	return &PipelineStep{Name: a.Name, Retries: a.Retries, Timeout: a.Timeout, OnFail: a.OnFail, Deploy: a.Deploy, LoadTest: a.LoadTest,
		Event: a.Event, Validate: a.Validate, Approve: a.Approve, Command: a.Command, Webhook: a.Webhook}
}

func (a *PipelineStep) definition() pipeline.Action {
	out := pipeline.Action{Name: a.Name, Retries: a.Retries, Timeout: time.Duration(a.Timeout), OnFail: a.OnFail}
	if d := a.Deploy; d != nil {
		out.Deploy = &pipeline.Deploy{App: d.App, With: d.With, Strategy: d.Strategy, Slot: d.Slot,
			Settings: deploy.App{Run: d.Run, Env: d.Env, Port: d.Port, Check: d.Health.definition(), Grace: time.Duration(d.Grace), Script: d.Script}}
	}
	if a.LoadTest != "" {
		out.LoadTest = &pipeline.LoadTest{Test: a.LoadTest}
	}
	if e := a.Event; e != nil {
		out.Event = (*pipeline.Event)(e)
	}
	if v := a.Validate; v != nil {
		out.Validate = &pipeline.Validate{Comparison: v.Comparison, In: time.Duration(v.In), Service: v.Service,
			Guardian: v.Guardian, Last: time.Duration(v.Last), Next: time.Duration(v.Next), Variables: v.Variables}
		if v.OnFail != "" {
			out.OnFail = v.OnFail
		}
	}
	if p := a.Approve; p != nil {
		out.Approve = &pipeline.Approve{By: p.By}
		if p.Timeout > 0 {
			out.Timeout = time.Duration(p.Timeout)
		}
	}
	if a.Command != nil {
		out.Command = (*pipeline.Command)(a.Command)
	}
	if a.Webhook != nil {
		out.Webhook = (*pipeline.Webhook)(a.Webhook)
	}
	return out
}

func (h *PipelineHealth) definition() deploy.Check {
	if h == nil {
		return deploy.Check{}
	}
	return deploy.Check{Path: h.Path, None: h.None, Within: time.Duration(h.Within), Every: time.Duration(h.Every)}
}
