package compat

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/tidegate-io/tidegate/change"
	"github.com/tidegate-io/tidegate/entity"
	"github.com/tidegate-io/tidegate/fault"
)

// githubPayload holds what is used of GitHub's webhook payloads
// (docs.github.com/webhooks/webhook-events-and-payloads).
type githubPayload struct {
	Action     string `json:"action"`
	Repository struct {
		Name     string `json:"name"`
		FullName string `json:"full_name"`
		HTMLURL  string `json:"html_url"`
	} `json:"repository"`
	Sender struct {
		Login string `json:"login"`
	} `json:"sender"`

	Deployment       *githubDeployment       `json:"deployment"`
	DeploymentStatus *githubDeploymentStatus `json:"deployment_status"`
	WorkflowRun      *githubWorkflowRun      `json:"workflow_run"`

	// push
	Ref     string `json:"ref"`
	Before  string `json:"before"`
	After   string `json:"after"`
	Compare string `json:"compare"`
	Commits []struct {
		Message string `json:"message"`
	} `json:"commits"`
	HeadCommit *struct {
		Message   string    `json:"message"`
		Timestamp time.Time `json:"timestamp"`
	} `json:"head_commit"`
}

type githubDeployment struct {
	ID          int64     `json:"id"`
	Ref         string    `json:"ref"`
	SHA         string    `json:"sha"`
	Task        string    `json:"task"`
	Environment string    `json:"environment"`
	Description string    `json:"description"`
	CreatedAt   time.Time `json:"created_at"`
}

type githubDeploymentStatus struct {
	State          string    `json:"state"`
	Description    string    `json:"description"`
	LogURL         string    `json:"log_url"`
	TargetURL      string    `json:"target_url"`
	EnvironmentURL string    `json:"environment_url"`
	CreatedAt      time.Time `json:"created_at"`
}

type githubWorkflowRun struct {
	ID         int64     `json:"id"`
	Name       string    `json:"name"`
	Event      string    `json:"event"`
	Status     string    `json:"status"`
	Conclusion string    `json:"conclusion"`
	HTMLURL    string    `json:"html_url"`
	HeadBranch string    `json:"head_branch"`
	HeadSHA    string    `json:"head_sha"`
	StartedAt  time.Time `json:"run_started_at"`
	UpdatedAt  time.Time `json:"updated_at"`
}

// github accepts a webhook delivery that is signed with the secret.
func (h *Handlers) github(w http.ResponseWriter, r *http.Request) {
	body, err := readBody(w, r, maxGitHubBody)
	if err != nil {
		h.problem(w, r, err)
		return
	}
	if !h.signed(r.Header.Get("X-Hub-Signature-256"), body) {
		writeJSON(w, http.StatusUnauthorized, map[string]string{"error": "X-Hub-Signature-256 does not fit the secret"})
		return
	}
	name, delivery := r.Header.Get("X-GitHub-Event"), r.Header.Get("X-GitHub-Delivery")
	if name == "" || delivery == "" {
		h.problem(w, r, fault.Invalid("the headers X-GitHub-Event and X-GitHub-Delivery are required"))
		return
	}
	var in githubPayload
	if err := decode(body, &in); err != nil {
		h.problem(w, r, err)
		return
	}
	e, ok, err := in.event(name)
	if err != nil {
		h.problem(w, r, err)
		return
	}
	if !ok { // ping, and what nobody asked for
		writeJSON(w, http.StatusOK, map[string]string{"message": "nothing to record for the event " + name})
		return
	}
	e.ID = change.DeriveID("github", delivery)
	stored, err := h.record(r.Context(), []change.Event{e})
	if err != nil {
		h.problem(w, r, err)
		return
	}
	writeJSON(w, http.StatusAccepted, map[string]string{"id": stored[0].ID})
}

// signed checks "sha256=<hex HMAC of the body>" in constant time.
func (h *Handlers) signed(signature string, body []byte) bool {
	digest, ok := strings.CutPrefix(signature, "sha256=")
	got, err := hex.DecodeString(digest)
	if !ok || err != nil {
		return false
	}
	mac := hmac.New(sha256.New, h.githubSecret)
	mac.Write(body)
	return hmac.Equal(got, mac.Sum(nil))
}

// event translates a delivery; ok is false for those that say nothing about
// a change. The service is the repository's name.
func (in *githubPayload) event(name string) (e change.Event, ok bool, err error) {
	e = change.Event{
		Who: in.Sender.Login, Source: "github", Key: in.Repository.FullName, Ref: entity.Ref{Service: in.Repository.Name},
		Properties: properties{}.with("repository", in.Repository.FullName),
	}
	if name != "ping" && in.Repository.FullName == "" {
		return e, false, fault.InvalidField("repository.full_name", "is required")
	}
	switch name {
	case "deployment":
		return e, true, in.deployment(&e)
	case "deployment_status":
		return e, true, in.deploymentStatus(&e)
	case "push":
		return e, true, in.push(&e)
	case "workflow_run":
		return e, true, in.workflowRun(&e)
	}
	return e, false, nil
}

// deployment: one was asked for; it has not happened yet.
func (in *githubPayload) deployment(e *change.Event) error {
	d := in.Deployment
	if d == nil {
		return fault.InvalidField("deployment", "is required")
	}
	e.Type, e.Kind = "deployment.requested", change.KindAnnotation
	e.Title = cut(fmt.Sprintf("Deployment of %s@%s to %s requested", in.Repository.Name, d.Ref, d.Environment), 500)
	in.where(e, d)
	e.Start = d.CreatedAt
	return nil
}

// where reads what a deployment says about place and version.
func (in *githubPayload) where(e *change.Event, d *githubDeployment) {
	e.Environment, e.Version, e.To = cut(d.Environment, 300), cut(d.Ref, 300), cut(d.Ref, 300)
	e.Reason = cut(d.Description, 2000)
	e.Correlation = "github-deployment-" + strconv.FormatInt(d.ID, 10)
	e.Properties = properties(e.Properties).with("sha", d.SHA).with("task", d.Task)
}

func (in *githubPayload) deploymentStatus(e *change.Event) error {
	d, s := in.Deployment, in.DeploymentStatus
	if d == nil || s == nil {
		return fault.InvalidField("deployment_status", "is required, and deployment with it")
	}
	in.where(e, d)
	switch s.State {
	case "success":
		e.Type, e.Kind = change.TypeDeploymentFinished, change.KindDeployment
	case "failure", "error":
		e.Type, e.Kind = "deployment.failed", change.KindAnnotation
	case "":
		return fault.InvalidField("deployment_status.state", "is required")
	default:
		e.Type, e.Kind = "deployment."+s.State, change.KindAnnotation
	}
	e.Title = cut(fmt.Sprintf("Deployment of %s@%s to %s: %s", in.Repository.Name, d.Ref, d.Environment, s.State), 500)
	e.Reason = cut(firstOf(s.Description, d.Description), 2000)
	e.Links = append(link("Log", firstOf(s.LogURL, s.TargetURL)), link("Environment", s.EnvironmentURL)...)
	e.Start = s.CreatedAt
	e.Properties = properties(e.Properties).with("state", s.State)
	return nil
}

func (in *githubPayload) push(e *change.Event) error {
	if in.Ref == "" {
		return fault.InvalidField("ref", "is required")
	}
	e.Type, e.Kind = "code.pushed", change.KindAnnotation
	e.Title = cut(fmt.Sprintf("%d commits pushed to %s %s", len(in.Commits), in.Repository.FullName, strings.TrimPrefix(in.Ref, "refs/heads/")), 500)
	e.From, e.To = in.Before, in.After
	e.Links = link("Compare", in.Compare)
	e.Properties = properties(e.Properties).with("ref", cut(in.Ref, maxValue))
	if in.HeadCommit != nil {
		e.Reason = cut(in.HeadCommit.Message, 2000)
		e.Properties = properties(e.Properties).with("commit.timestamp", in.HeadCommit.Timestamp.Format(time.RFC3339))
	}
	return nil
}

func (in *githubPayload) workflowRun(e *change.Event) error {
	run := in.WorkflowRun
	if run == nil {
		return fault.InvalidField("workflow_run", "is required")
	}
	e.Type, e.Kind = "pipeline.started", change.KindAnnotation
	e.Start = run.StartedAt
	switch in.Action {
	case "completed":
		e.Type, e.Start = "pipeline.finished", run.UpdatedAt
	case "requested":
		e.Type = "pipeline.queued"
	}
	e.Title = cut(strings.TrimSpace(fmt.Sprintf("%s %s %s", run.Name, in.Action, run.Conclusion)), 500)
	e.Key = cut(run.Name, 300)
	e.Links = link("Run", run.HTMLURL)
	e.Correlation = "github-run-" + strconv.FormatInt(run.ID, 10)
	e.Properties = properties(e.Properties).with("branch", run.HeadBranch).with("sha", run.HeadSHA).
		with("conclusion", run.Conclusion).with("event", run.Event)
	return nil
}
