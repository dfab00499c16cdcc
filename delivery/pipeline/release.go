package pipeline

import (
	"slices"
	"time"

	"github.com/tidegate-io/tidegate/delivery/deploy"
)

// State of a release, a stage or an action.
type State string

// The states. A stage is never queued or superseded, an action neither of
// these nor rolled back.
const (
	StateQueued     State = "queued"
	StateRunning    State = "running"
	StateWaiting    State = "waiting"
	StateSucceeded  State = "succeeded"
	StateFailed     State = "failed"
	StateRejected   State = "rejected"
	StateRolledBack State = "rolledBack"
	StateSuperseded State = "superseded"
	StateSkipped    State = "skipped"
	StatePending    State = "pending" // its turn has not come
)

// Finished reports whether nothing more happens by itself.
func (s State) Finished() bool {
	switch s {
	case StateQueued, StateRunning, StateWaiting, StatePending:
		return false
	}
	return true
}

// Release is one revision on its way through a pipeline.
type Release struct {
	ID       string `json:"id"`
	Pipeline string `json:"pipeline"`
	// Number counts the pipeline's releases from 1.
	Number     int             `json:"number"`
	Revision   deploy.Revision `json:"revision"`
	Definition Pipeline        `json:"definition" doc:"as it was when the release began"`
	// Changes says what differs from the pipeline's release before.
	Changes *Diff `json:"changes,omitempty"`

	State State `json:"state" enum:"queued,running,waiting,succeeded,failed,rejected,rolledBack,superseded"`
	// Waiting says what it waits for, in one sentence.
	Waiting string `json:"waiting,omitempty"`
	Error   string `json:"error,omitempty"`
	// Stage is the index of the current, or last, stage.
	Stage  int        `json:"stage"`
	Stages []StageRun `json:"stages"`

	Who    string `json:"who"`
	Reason string `json:"reason,omitempty"`
	// RerunOf is the release whose revision this one takes again.
	RerunOf string `json:"rerunOf,omitempty"`
	// SupersededBy is the newer release that overtook it.
	SupersededBy string    `json:"supersededBy,omitempty"`
	Created      time.Time `json:"created"`
	Finished     time.Time `json:"finished,omitzero"`
	// Due is when it is looked at next; zero for at once.
	Due time.Time `json:"due,omitzero"`
}

// StageRun is a stage of a release.
type StageRun struct {
	Name        string `json:"name"`
	Environment string `json:"environment"`
	State       State  `json:"state" enum:"pending,running,waiting,succeeded,failed,rejected,rolledBack,skipped"`
	// Attempt counts from 1; a retry of the stage is the next.
	Attempt int `json:"attempt"`
	// Entered is set while the stage is, or was, this release's.
	Entered  time.Time `json:"entered,omitzero"`
	Finished time.Time `json:"finished,omitzero"`
	// Announced: its beginning was told.
	Announced bool `json:"announced,omitempty"`
	// Outcome is how it ends; rollbacks may still be under way.
	Outcome State       `json:"outcome,omitempty"`
	Error   string      `json:"error,omitempty"`
	Actions []ActionRun `json:"actions"`
	// Rollbacks are what was taken back after the stage ended badly.
	Rollbacks []Undone `json:"rollbacks,omitempty"`
	// Earlier are the attempts before this one.
	Earlier []Attempt `json:"earlier,omitempty"`
}

// Attempt is how an earlier attempt of a stage ended.
type Attempt struct {
	Attempt  int       `json:"attempt"`
	State    State     `json:"state"`
	Error    string    `json:"error,omitempty"`
	Finished time.Time `json:"finished"`
	// RetriedBy asked for the next, and said why.
	RetriedBy string `json:"retriedBy"`
	Reason    string `json:"reason,omitempty"`
}

// Undone is a deployment that was taken back.
type Undone struct {
	Action string `json:"action" doc:"that had deployed it"`
	App    string `json:"app"`
	// From is the version that was taken back, To the one that runs again;
	// empty when there was none to go back to.
	From       string    `json:"from"`
	To         string    `json:"to,omitempty"`
	Deployment string    `json:"deployment,omitempty" doc:"id"`
	Done       bool      `json:"done"`
	Error      string    `json:"error,omitempty"`
	Finished   time.Time `json:"finished,omitzero"`
}

// ActionRun is an action of a stage of a release.
type ActionRun struct {
	Name  string `json:"name"`
	Kind  Kind   `json:"kind" enum:"deploy,loadTest,event,validate,approve,command,webhook"`
	Group int    `json:"group,omitempty"`
	State State  `json:"state" enum:"pending,running,waiting,succeeded,failed,rejected,skipped"`
	// Tries counts the attempts, Key is that of the current one.
	Tries int `json:"tries"`
	// Passing counts how often the current attempt met something unavailable.
	Passing  int       `json:"passing,omitempty"`
	Key      string    `json:"key,omitempty"`
	Started  time.Time `json:"started,omitzero"`
	Finished time.Time `json:"finished,omitzero"`
	// NotBefore is when it is tried again after a failure.
	NotBefore time.Time `json:"notBefore,omitzero"`
	Message   string    `json:"message,omitempty" doc:"what came of it, or what it waits for"`
	Error     string    `json:"error,omitempty"`

	Deployment *Deployment `json:"deployment,omitempty"`
	Verdict    *Verdict    `json:"verdict,omitempty"`
	Approval   *Approval   `json:"approval,omitempty"`
	LoadTest   *LoadRun    `json:"loadTest,omitempty"`
	Output     string      `json:"output,omitempty" doc:"the end of what a command wrote or a webhook answered"`
	EventID    string      `json:"eventId,omitempty"`
}

// LoadRun is a load test that an action started.
type LoadRun struct {
	Run      string `json:"run"`
	State    string `json:"state" enum:"running,finished,failed,lost" doc:"lost: the server stopped during the run"`
	Headline string `json:"headline,omitempty"`
}

// Verdict is what a validation says.
type Verdict struct {
	// Of is "comparison" or "guardian", ID the validation's.
	Of     string `json:"of" enum:"comparison,guardian"`
	Name   string `json:"name"`
	ID     string `json:"id"`
	Status Status `json:"status" enum:"waiting,running,ok,violation,inconclusive,error"`
	// Headline is the verdict in one sentence.
	Headline string `json:"headline,omitempty"`
	// DecidedBy are the metrics or objectives that decided it.
	DecidedBy []string  `json:"decidedBy,omitempty"`
	Due       time.Time `json:"due,omitzero"`
}

// Status of a validation, whatever gave it.
type Status string

// The statuses.
const (
	StatusWaiting      Status = "waiting"
	StatusRunning      Status = "running"
	StatusOK           Status = "ok"
	StatusViolation    Status = "violation"
	StatusInconclusive Status = "inconclusive"
	StatusError        Status = "error"
)

// Final reports whether the status does not change any more.
func (s Status) Final() bool { return s != StatusWaiting && s != StatusRunning }

// Approval is a decision.
type Approval struct {
	Approved bool `json:"approved"`
	// By is "validation" or the person's name.
	By     string    `json:"by"`
	Reason string    `json:"reason,omitempty"`
	At     time.Time `json:"at"`
}

// Diff says what differs from the release before.
type Diff struct {
	Release int    `json:"release" doc:"number of the release compared with"`
	From    string `json:"from" doc:"version"`
	To      string `json:"to"`
	// FromCommit and ToCommit, and the commits between, newest first, where
	// the revisions come from a repository.
	FromCommit string    `json:"fromCommit,omitempty"`
	ToCommit   string    `json:"toCommit,omitempty"`
	Commits    []string  `json:"commits,omitempty"`
	Files      *FileDiff `json:"files,omitempty"`
	// Definition is set when the pipeline's definition changed as well.
	Definition bool `json:"definition,omitempty"`
}

// FileDiff is how the content of two artifacts differs. Each list holds at
// most 100 names; the counts are whole.
type FileDiff struct {
	Added        []string `json:"added,omitempty"`
	Removed      []string `json:"removed,omitempty"`
	Changed      []string `json:"changed,omitempty"`
	AddedCount   int      `json:"addedCount"`
	RemovedCount int      `json:"removedCount"`
	ChangedCount int      `json:"changedCount"`
}

// Deployment is a revision at a target, as it was attempted.
type Deployment struct {
	ID     string        `json:"id" doc:"the key it was made with"`
	Target deploy.Target `json:"target"`
	With   string        `json:"with"`
	// Strategy is how it replaced what ran.
	Strategy string          `json:"strategy,omitempty"`
	Settings deploy.App      `json:"settings"`
	Revision deploy.Revision `json:"revision"`
	// From is the version that ran before.
	From    string          `json:"from,omitempty"`
	State   DeploymentState `json:"state" enum:"started,done,failed"`
	Verdict Goodness        `json:"verdict" enum:"open,good,bad" doc:"good once its stage succeeded, bad once it was rejected or taken back"`
	Address string          `json:"address,omitempty"`

	Pipeline string `json:"pipeline,omitempty"`
	Release  string `json:"release,omitempty"`
	Stage    string `json:"stage,omitempty"`
	Who      string `json:"who"`
	Reason   string `json:"reason,omitempty"`
	// RollbackOf is the deployment that this one took back.
	RollbackOf string    `json:"rollbackOf,omitempty"`
	EventID    string    `json:"eventId,omitempty"`
	Error      string    `json:"error,omitempty"`
	Started    time.Time `json:"started"`
	Finished   time.Time `json:"finished,omitzero"`
}

// DeploymentState is how far a deployment came.
type DeploymentState string

// The states of a deployment.
const (
	DeploymentStarted DeploymentState = "started"
	DeploymentDone    DeploymentState = "done"
	DeploymentFailed  DeploymentState = "failed"
)

// Goodness is what is known of a deployed revision.
type Goodness string

// What is known of it.
const (
	Open Goodness = "open"
	Good Goodness = "good"
	Bad  Goodness = "bad"
)

// Current returns the stage the release is in, or was in last.
func (r *Release) Current() *StageRun { return &r.Stages[r.Stage] }

// Occupies returns the name of the stage that no other release may enter, or
// nothing.
func (r *Release) Occupies() string {
	s := r.Current()
	if r.State.Finished() || s.Entered.IsZero() || s.State.Finished() {
		return ""
	}
	return s.Name
}

// clone copies what executing a release changes.
func (r *Release) clone() Release {
	c := *r
	c.Stages = slices.Clone(r.Stages)
	for i := range c.Stages {
		c.Stages[i].Actions = slices.Clone(r.Stages[i].Actions)
		c.Stages[i].Rollbacks = slices.Clone(r.Stages[i].Rollbacks)
	}
	return c
}

// newStages are the stages of a release before it began.
func newStages(p *Pipeline) []StageRun {
	out := make([]StageRun, len(p.Stages))
	for i := range p.Stages {
		s := &p.Stages[i]
		out[i] = StageRun{Name: s.Name, Environment: s.environment(), State: StatePending, Attempt: 1, Actions: newActions(s)}
	}
	return out
}

func newActions(s *Stage) []ActionRun {
	out := make([]ActionRun, len(s.Actions))
	for i := range s.Actions {
		a := &s.Actions[i]
		out[i] = ActionRun{Name: a.Name, Kind: a.Kind(), Group: a.Group, State: StatePending}
	}
	return out
}
