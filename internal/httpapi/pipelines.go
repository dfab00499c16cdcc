package httpapi

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"github.com/tidegate-io/tidegate/delivery/deploy"
	"github.com/tidegate-io/tidegate/delivery/pipeline"
	"github.com/tidegate-io/tidegate/fault"
)

// Pipelines take revisions through stages.
type Pipelines interface {
	Pipelines(ctx context.Context) ([]pipeline.Pipeline, error)
	Pipeline(ctx context.Context, name string) (pipeline.Pipeline, error)
	Release(ctx context.Context, id string) (pipeline.Release, error)
	Releases(ctx context.Context, q pipeline.ReleaseQuery) ([]pipeline.Release, error)
	Push(ctx context.Context, p pipeline.Push) (pipeline.Release, error)
	// PushArtifact takes the content into the artifact store first.
	PushArtifact(ctx context.Context, p pipeline.Push, name string, content io.Reader) (pipeline.Release, error)
	Decide(ctx context.Context, d pipeline.PersonsDecision) (pipeline.Release, error)
	Retry(ctx context.Context, id, stage, who, reason string) (pipeline.Release, error)
	Rerun(ctx context.Context, id, who, reason string) (pipeline.Release, error)
	Deployments(ctx context.Context, q pipeline.DeploymentQuery) ([]pipeline.Deployment, error)
	Rollback(ctx context.Context, q pipeline.RollbackRequest) (pipeline.Deployment, error)
	Health(ctx context.Context, t deploy.Target) (deploy.Health, error)
}

// maxArtifact bounds an uploaded artifact.
const maxArtifact = 1 << 30

// PipelineItem is a pipeline in a list, with its newest releases.
type PipelineItem struct {
	Pipeline pipeline.Pipeline  `json:"pipeline"`
	Releases []pipeline.Release `json:"releases" doc:"the newest five"`
}

// PipelineList is ordered by name.
type PipelineList struct {
	Pipelines []PipelineItem `json:"pipelines"`
}

// ReleaseList is newest first.
type ReleaseList struct {
	Releases []pipeline.Release `json:"releases"`
}

// DeploymentList is newest first.
type DeploymentList struct {
	Deployments []pipeline.Deployment `json:"deployments"`
}

// PushInput is a revision that is to be released. The content is elsewhere:
// what the deployer needs to know of it is in its version and properties.
type PushInput struct {
	Version    string            `json:"version" minLength:"1" maxLength:"200"`
	Commit     string            `json:"commit,omitempty" maxLength:"200"`
	Commits    []string          `json:"commits,omitempty" maxItems:"100" doc:"that it consists of, newest first"`
	Properties map[string]string `json:"properties,omitempty"`
	Who        string            `json:"who" minLength:"1" maxLength:"200"`
	Reason     string            `json:"reason,omitempty" maxLength:"2000"`
}

// DecisionInput is who decides and why.
type DecisionInput struct {
	Who    string `json:"who" minLength:"1" maxLength:"200"`
	Reason string `json:"reason,omitempty" maxLength:"2000"`
	Action string `json:"action,omitempty" doc:"the approval, where a stage has several that wait"`
}

// RollbackInput asks for an earlier version to run again.
type RollbackInput struct {
	Who    string `json:"who" minLength:"1" maxLength:"200"`
	Reason string `json:"reason" minLength:"1" maxLength:"2000"`
	To     string `json:"to,omitempty" doc:"version; default the last that was judged good"`
}

// IdempotencyKey makes a repeated request harmless.
type IdempotencyKey struct {
	Key string `header:"Idempotency-Key" maxLength:"200" doc:"the same one again answers what the first did"`
}

// ReleaseStage names a stage of a release.
type ReleaseStage struct {
	ID    string `path:"id"`
	Stage string `path:"stage"`
}

// PlaceParam names where something runs.
type PlaceParam struct {
	App         string `path:"app"`
	Environment string `path:"environment"`
	Slot        string `query:"slot"`
}

func (a *server) registerPipelines(api huma.API, mux *http.ServeMux) {
	huma.Get(api, "/v1/pipelines", call(a, a.pipelines))
	huma.Get(api, "/v1/pipelines/{name}", call(a, func(ctx context.Context, in *NameParam) (PipelineItem, error) {
		p, err := a.Pipelines.Pipeline(ctx, in.Name)
		if err != nil {
			return PipelineItem{}, err
		}
		return a.pipelineItem(ctx, p)
	}), named("get-pipeline"))
	huma.Get(api, "/v1/pipelines/{name}/releases", call(a, func(ctx context.Context, in *struct {
		NameParam
		Limit  int `query:"limit" default:"50" minimum:"1" maximum:"500"`
		Before int `query:"before" doc:"number of the last release of the previous page"`
	}) (ReleaseList, error) {
		list, err := a.Pipelines.Releases(ctx, pipeline.ReleaseQuery{Pipeline: in.Name, Limit: in.Limit, Before: in.Before})
		return ReleaseList{shown(list)}, err
	}), named("list-pipeline-releases"))
	huma.Post(api, "/v1/pipelines/{name}/releases", release(a, func(ctx context.Context, in *struct {
		NameParam
		IdempotencyKey
		Body PushInput
	}) (pipeline.Release, error) {
		b := in.Body
		return a.Pipelines.Push(ctx, pipeline.Push{Pipeline: in.Name, Who: b.Who, Reason: b.Reason, Key: in.Key, Commits: b.Commits,
			Revision: deploy.Revision{Version: b.Version, Commit: b.Commit, Properties: b.Properties, Source: "push"}})
	}), status(http.StatusCreated), named("push-release"))
	mux.HandleFunc("PUT /v1/pipelines/{name}/artifacts/{file}", a.pushArtifact)

	huma.Get(api, "/v1/releases", call(a, func(ctx context.Context, in *struct {
		Limit int `query:"limit" default:"50" minimum:"1" maximum:"500"`
	}) (ReleaseList, error) {
		list, err := a.Pipelines.Releases(ctx, pipeline.ReleaseQuery{Limit: in.Limit})
		return ReleaseList{shown(list)}, err
	}), named("list-releases"))
	huma.Get(api, "/v1/releases/{id}", release(a, func(ctx context.Context, in *IDParam) (pipeline.Release, error) {
		return a.Pipelines.Release(ctx, in.ID)
	}), named("get-release"))
	for _, verb := range []string{"approve", "reject"} {
		huma.Post(api, "/v1/releases/{id}/stages/{stage}/"+verb, release(a, func(ctx context.Context, in *struct {
			ReleaseStage
			Body DecisionInput
		}) (pipeline.Release, error) {
			return a.Pipelines.Decide(ctx, pipeline.PersonsDecision{Release: in.ID, Stage: in.Stage, Action: in.Body.Action,
				Approve: verb == "approve", Who: in.Body.Who, Reason: in.Body.Reason})
		}), named(verb+"-stage"))
	}
	huma.Post(api, "/v1/releases/{id}/stages/{stage}/retry", release(a, func(ctx context.Context, in *struct {
		ReleaseStage
		Body DecisionInput
	}) (pipeline.Release, error) {
		return a.Pipelines.Retry(ctx, in.ID, in.Stage, in.Body.Who, in.Body.Reason)
	}), named("retry-stage"))
	huma.Post(api, "/v1/releases/{id}/rerun", release(a, func(ctx context.Context, in *struct {
		IDParam
		Body DecisionInput
	}) (pipeline.Release, error) {
		return a.Pipelines.Rerun(ctx, in.ID, in.Body.Who, in.Body.Reason)
	}), status(http.StatusCreated), named("rerun-release"))
	a.registerDeployments(api)
}

func (a *server) registerDeployments(api huma.API) {
	huma.Get(api, "/v1/deployments", call(a, func(ctx context.Context, in *struct {
		App         string `query:"app"`
		Environment string `query:"environment"`
		Release     string `query:"release"`
		Limit       int    `query:"limit" default:"50" minimum:"1" maximum:"500"`
	}) (DeploymentList, error) {
		list, err := a.Pipelines.Deployments(ctx, pipeline.DeploymentQuery{App: in.App, Environment: in.Environment, Release: in.Release, Limit: in.Limit})
		return DeploymentList{shown(list)}, err
	}), named("list-deployments"))
	huma.Get(api, "/v1/deployments/{app}/{environment}/health", call(a, func(ctx context.Context, in *PlaceParam) (deploy.Health, error) {
		return a.Pipelines.Health(ctx, deploy.Target{App: in.App, Environment: in.Environment, Slot: in.Slot})
	}), named("get-deployment-health"))
	huma.Post(api, "/v1/deployments/{app}/{environment}/rollback", call(a, func(ctx context.Context, in *struct {
		PlaceParam
		IdempotencyKey
		Body RollbackInput
	}) (pipeline.Deployment, error) {
		if in.Key == "" {
			return pipeline.Deployment{}, fault.InvalidField("Idempotency-Key", "a rollback needs this header, so that a repeated request does not go back twice")
		}
		d, err := a.Pipelines.Rollback(ctx, pipeline.RollbackRequest{App: in.App, Environment: in.Environment, Slot: in.Slot,
			To: in.Body.To, Who: in.Body.Who, Reason: in.Body.Reason, Key: "api." + in.Key})
		return d.Redacted(), err
	}), named("roll-back-deployment"))
}

func (a *server) pipelines(ctx context.Context, _ *struct{}) (PipelineList, error) {
	all, err := a.Pipelines.Pipelines(ctx)
	if err != nil {
		return PipelineList{}, err
	}
	out := PipelineList{Pipelines: []PipelineItem{}}
	for _, p := range all {
		item, err := a.pipelineItem(ctx, p)
		if err != nil {
			return out, err
		}
		out.Pipelines = append(out.Pipelines, item)
	}
	return out, nil
}

func (a *server) pipelineItem(ctx context.Context, p pipeline.Pipeline) (PipelineItem, error) {
	list, err := a.Pipelines.Releases(ctx, pipeline.ReleaseQuery{Pipeline: p.Name, Limit: 5})
	return PipelineItem{Pipeline: p.Redacted(), Releases: shown(list)}, err
}

// shown are releases, or deployments, without the secrets of their definitions.
func shown[T interface{ Redacted() T }](list []T) []T {
	out := make([]T, len(list))
	for i := range list {
		out[i] = list[i].Redacted()
	}
	return out
}

// release adapts a handler that returns a release.
func release[I any](a *server, f func(context.Context, *I) (pipeline.Release, error)) func(context.Context, *I) (*body[pipeline.Release], error) {
	return call(a, func(ctx context.Context, in *I) (pipeline.Release, error) {
		r, err := f(ctx, in)
		if err != nil {
			return r, err
		}
		return r.Redacted(), nil
	})
}

// pushArtifact takes a file's content as it is, not as JSON, because it is
// large: PUT /v1/pipelines/shop/artifacts/shop-1.4.tar.gz?version=1.4&who=ci.
func (a *server) pushArtifact(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	pushed, err := a.Pipelines.PushArtifact(r.Context(), pipeline.Push{
		Pipeline: r.PathValue("name"), Who: q.Get("who"), Reason: q.Get("reason"), Key: r.Header.Get("Idempotency-Key"),
		Revision: deploy.Revision{Version: q.Get("version"), Commit: q.Get("commit")},
	}, r.PathValue("file"), http.MaxBytesReader(w, r.Body, maxArtifact))
	code, contentType, answer := http.StatusCreated, "application/json", any(pushed.Redacted())
	if err != nil {
		p := a.problem(r.Context(), err)
		code, contentType, answer = http.StatusInternalServerError, "application/problem+json", p
		var status huma.StatusError
		if errors.As(p, &status) {
			code = status.GetStatus()
		}
	}
	w.Header().Set("Content-Type", contentType)
	w.WriteHeader(code)
	_ = json.NewEncoder(w).Encode(answer) // the client may be gone
}
