package httpapi

import (
	"context"
	"net/http"
	"strings"

	"github.com/danielgtaylor/huma/v2"
)

// Manifests is the configuration in force.
type Manifests interface {
	List(ctx context.Context) ([]ManifestItem, error)
	// Apply puts all objects of the file into force, or none of them.
	Apply(ctx context.Context, source string, yaml []byte, dryRun bool) ([]Applied, error)
	Delete(ctx context.Context, kind, name string) error
	Schema(kind string) ([]byte, error)
}

// ManifestItem is one object in force.
type ManifestItem struct {
	Kind   string `json:"kind"`
	Name   string `json:"name"`
	Source string `json:"source" doc:"the file or client it came from"`
	YAML   string `json:"yaml"`
}

// Applied says what was done to one object.
type Applied struct {
	Kind   string `json:"kind"`
	Name   string `json:"name"`
	Action string `json:"action" enum:"created,changed,unchanged"`
}

// Places is an error that knows where in the file it happened.
type Places interface {
	error
	// Places returns location and message of every mistake.
	Places() [][2]string
}

const maxManifest = 4 << 20

// ManifestList is the configuration in force.
type ManifestList struct {
	Manifests []ManifestItem `json:"manifests"`
}

// AppliedList is what was done to each object.
type AppliedList struct {
	Applied []Applied `json:"applied"`
}

func (a *server) registerManifests(api huma.API, mux *http.ServeMux) {
	huma.Get(api, "/v1/manifests", call(a, func(ctx context.Context, _ *struct{}) (ManifestList, error) {
		all, err := a.Manifests.List(ctx)
		return ManifestList{nonNil(all)}, err
	}))
	huma.Register(api, huma.Operation{
		OperationID: "apply-manifests", Method: http.MethodPost, Path: "/v1/manifests",
		Summary: "Apply manifests", MaxBodyBytes: maxManifest,
		RequestBody: &huma.RequestBody{Required: true, Content: map[string]*huma.MediaType{"application/yaml": {}}},
	}, func(ctx context.Context, in *struct {
		DryRun  bool   `query:"dryRun"`
		Source  string `query:"source" default:"api"`
		RawBody []byte `contentType:"application/yaml"`
	}) (*body[AppliedList], error) {
		out, err := a.Manifests.Apply(ctx, in.Source, in.RawBody, in.DryRun)
		if err != nil {
			return nil, a.manifestProblem(ctx, err)
		}
		return reply(AppliedList{nonNil(out)}), nil
	})
	huma.Delete(api, "/v1/manifests/{kind}/{name}", func(ctx context.Context, in *struct {
		Kind string `path:"kind"`
		Name string `path:"name"`
	}) (*struct{}, error) {
		if err := a.Manifests.Delete(ctx, in.Kind, in.Name); err != nil {
			return nil, a.problem(ctx, err)
		}
		return nil, nil
	})
	mux.HandleFunc("GET /schemas/{file}", a.schema)
}

// manifestProblem lists every mistake with its place.
func (a *server) manifestProblem(ctx context.Context, err error) error {
	p, ok := err.(Places)
	if !ok {
		return a.problem(ctx, err)
	}
	var details []error
	for _, at := range p.Places() {
		details = append(details, &huma.ErrorDetail{Location: at[0], Message: at[1]})
	}
	return huma.NewError(http.StatusBadRequest, "the file has mistakes; nothing of it was applied", details...)
}

func (a *server) schema(w http.ResponseWriter, r *http.Request) {
	kind, ok := strings.CutSuffix(r.PathValue("file"), ".json")
	doc, err := a.Manifests.Schema(kind)
	if !ok || err != nil {
		http.Error(w, "no such schema: expected /schemas/KIND.json", http.StatusNotFound)
		return
	}
	w.Header().Set("Content-Type", "application/schema+json")
	_, _ = w.Write(doc)
}
