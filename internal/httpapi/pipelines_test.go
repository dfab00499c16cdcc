package httpapi

import (
	"context"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/tidegate-io/tidegate/delivery/deploy"
	"github.com/tidegate-io/tidegate/delivery/pipeline"
	"github.com/tidegate-io/tidegate/fault"
)

type pipelinesAPI = Pipelines

// fakePipelines answers what it was told to and notes what it was asked.
type fakePipelines struct {
	pipelinesAPI
	err      error
	pushed   pipeline.Push
	content  string
	decision pipeline.PersonsDecision
	rollback pipeline.RollbackRequest
}

func (f *fakePipelines) release() pipeline.Release {
	return pipeline.Release{ID: "r1", Pipeline: "shop", Stages: []pipeline.StageRun{{Name: "staging", Actions: []pipeline.ActionRun{}}},
		Definition: pipeline.Pipeline{Name: "shop", Apps: map[string]deploy.App{"shop": {Env: map[string]string{"API_TOKEN": "hunter2"}}}}}
}

func (f *fakePipelines) Pipelines(context.Context) ([]pipeline.Pipeline, error) {
	return []pipeline.Pipeline{f.release().Definition}, f.err
}

func (f *fakePipelines) Releases(context.Context, pipeline.ReleaseQuery) ([]pipeline.Release, error) {
	return []pipeline.Release{f.release()}, f.err
}

func (f *fakePipelines) Push(_ context.Context, p pipeline.Push) (pipeline.Release, error) {
	f.pushed = p
	return f.release(), f.err
}

func (f *fakePipelines) PushArtifact(_ context.Context, p pipeline.Push, name string, content io.Reader) (pipeline.Release, error) {
	raw, err := io.ReadAll(content)
	f.pushed, f.content = p, name+": "+string(raw)
	if err == nil {
		err = f.err
	}
	return f.release(), err
}

func (f *fakePipelines) Decide(_ context.Context, d pipeline.PersonsDecision) (pipeline.Release, error) {
	f.decision = d
	return f.release(), f.err
}

func (f *fakePipelines) Rollback(_ context.Context, q pipeline.RollbackRequest) (pipeline.Deployment, error) {
	f.rollback = q
	return pipeline.Deployment{ID: q.Key}, f.err
}

func TestReleasesByAPI(t *testing.T) {
	f := &fakePipelines{}
	cfg := Config{Pipelines: f}
	code, r := request[pipeline.Release](t, cfg, "POST", "/v1/pipelines/shop/releases", `{"version":"1.4","who":"ci","commit":"abc"}`)
	if code != http.StatusCreated || r.ID != "r1" || f.pushed.Pipeline != "shop" || f.pushed.Revision.Version != "1.4" || f.pushed.Revision.Commit != "abc" {
		t.Errorf("push: %d %+v", code, f.pushed)
	}
	if r.Definition.Apps["shop"].Env["API_TOKEN"] == "hunter2" {
		t.Error("the answer shows a secret")
	}
	code, _ = request[pipeline.Release](t, cfg, "PUT", "/v1/pipelines/shop/artifacts/shop.tar.gz?version=1.5&who=ci", "content")
	if code != http.StatusCreated || f.content != "shop.tar.gz: content" || f.pushed.Revision.Version != "1.5" || f.pushed.Who != "ci" {
		t.Errorf("artifact: %d %q %+v", code, f.content, f.pushed)
	}
	for _, verb := range []string{"approve", "reject"} {
		code, _ = request[pipeline.Release](t, cfg, "POST", "/v1/releases/r1/stages/staging/"+verb, `{"who":"ann","reason":"ok"}`)
		if code != http.StatusOK || f.decision != (pipeline.PersonsDecision{Release: "r1", Stage: "staging", Approve: verb == "approve", Who: "ann", Reason: "ok"}) {
			t.Errorf("%s: %d %+v", verb, code, f.decision)
		}
	}
	code, list := request[PipelineList](t, cfg, "GET", "/v1/pipelines", "")
	if code != http.StatusOK || len(list.Pipelines) != 1 || list.Pipelines[0].Pipeline.Apps["shop"].Env["API_TOKEN"] == "hunter2" {
		t.Errorf("list: %d %+v", code, list)
	}
	code, p := request[problemDetails](t, cfg, "POST", "/v1/deployments/shop/production/rollback", `{"who":"ann","reason":"bad"}`)
	if code != http.StatusBadRequest || !strings.Contains(p.Detail, "Idempotency-Key") {
		t.Errorf("a rollback without a key: %d %s", code, p.Detail)
	}
	for method, path := range map[string]string{"POST": "/v1/releases/r1/stages/staging/approve", "PUT": "/v1/pipelines/shop/artifacts/x"} {
		f.err = fault.Conflict("approved already by kim")
		code, p = request[problemDetails](t, cfg, method, path, `{"who":"ann"}`)
		if code != http.StatusConflict || p.Detail != "approved already by kim" {
			t.Errorf("%s %s: %d %+v", method, path, code, p)
		}
	}
}
