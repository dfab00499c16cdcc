package httpapi

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/tidegate-io/tidegate/delivery/signature"
	"github.com/tidegate-io/tidegate/delivery/validation"
	"github.com/tidegate-io/tidegate/entity"
	"github.com/tidegate-io/tidegate/fault"
)

// Comparisons holds environments against each other, and knows the entities
// that are in them.
type Comparisons interface {
	Signatures() []signature.Signature
	Register(ctx context.Context, r validation.Request) (validation.Validation, error)
	Wait(ctx context.Context, id string) (validation.Validation, error)
	Validation(ctx context.Context, id string) (validation.Validation, error)
	Validations(ctx context.Context, q validation.Query) ([]validation.Validation, error)
	Report(ctx context.Context, q validation.ReportQuery) (validation.BuildReport, error)
	// BuildReport renders a report as html, csv or json.
	BuildReport(ctx context.Context, q validation.ReportQuery, format string) (data []byte, contentType string, err error)
	Entities(ctx context.Context) ([]entity.Entity, error)
	// Preview shows what the rules of a file do, or without one those in force.
	Preview(ctx context.Context, yaml []byte) ([]RulePreview, error) // yaml may be nil
}

// RulePreview is what one rule does to one entity.
type RulePreview struct {
	Set    string        `json:"set" doc:"name of the EntityRules"`
	Effect entity.Effect `json:"effect"`
	Entity entity.Entity `json:"entity" doc:"as the rules make it"`
}

// SignatureList is the performance signatures in force.
type SignatureList struct {
	Signatures []signature.Signature `json:"signatures"`
}

// ComparisonInput registers a comparison.
type ComparisonInput struct {
	Key         string `json:"key,omitempty" maxLength:"300" doc:"makes a repeated request harmless"`
	Pipeline    string `json:"pipeline,omitempty" maxLength:"300"`
	Build       string `json:"build,omitempty" maxLength:"300"`
	Release     string `json:"release,omitempty" maxLength:"300"`
	Stage       string `json:"stage,omitempty" maxLength:"300"`
	Comparison  string `json:"comparison" minLength:"1" maxLength:"300" doc:"its name in the performance signatures"`
	Signature   string `json:"signature,omitempty" maxLength:"300" doc:"only this signature; default all that have the comparison"`
	Monspec     string `json:"monspec,omitempty" maxLength:"1048576" doc:"a monspec.json, used instead of the signatures in force"`
	Mode        string `json:"mode,omitempty" enum:"point,confidence" doc:"instead of the comparison's"`
	Service     string `json:"service,omitempty" maxLength:"300" doc:"only this service, on both sides"`
	Version     string `json:"version,omitempty" maxLength:"300" doc:"only this version of the source"`
	Environment string `json:"environment,omitempty" maxLength:"300" doc:"where the build was deployed"`
	In          string `json:"in,omitempty" doc:"judge the time from now on, for example 5m"`
	Last        string `json:"last,omitempty" doc:"judge the time just passed, for example 5m"`
	Who         string `json:"who" minLength:"1" maxLength:"300"`
}

// ComparisonList is newest first.
type ComparisonList struct {
	Validations []validation.Validation `json:"validations"`
}

// EntityList is ordered by id.
type EntityList struct {
	Entities []entity.Entity `json:"entities"`
}

// RulePreviewList is by rule set and entity.
type RulePreviewList struct {
	Matches []RulePreview `json:"matches"`
}

// longestComparisonWait bounds a request that waits.
const longestComparisonWait = 10 * time.Minute

func (in *ComparisonInput) request() (validation.Request, error) {
	r := validation.Request{
		Key: in.Key, Pipeline: in.Pipeline, Build: in.Build, Release: in.Release, Stage: in.Stage,
		Comparison: in.Comparison, Signature: in.Signature, Monspec: []byte(in.Monspec), Mode: signature.Mode(in.Mode),
		Service: in.Service, Version: in.Version, Environment: in.Environment, Who: in.Who,
	}
	for field, of := range map[string]struct {
		text string
		into *time.Duration
	}{"in": {in.In, &r.In}, "last": {in.Last, &r.Last}} {
		if of.text == "" {
			continue
		}
		d, err := time.ParseDuration(of.text)
		if err != nil {
			return r, fault.InvalidField(field, "%q is not a duration: expected for example 90s or 5m", of.text)
		}
		*of.into = d
	}
	return r, nil
}

func (a *server) registerComparisons(api huma.API) {
	huma.Get(api, "/v1/signatures", call(a, func(context.Context, *struct{}) (SignatureList, error) {
		return SignatureList{nonNil(a.Comparisons.Signatures())}, nil
	}))
	huma.Register(api, huma.Operation{
		OperationID: "register-comparison", Method: http.MethodPost, Path: "/v1/comparison-validations",
		Summary: "Register a comparison", DefaultStatus: http.StatusCreated, MaxBodyBytes: 2 << 20,
	}, call(a, func(ctx context.Context, in *struct{ Body ComparisonInput }) (validation.Validation, error) {
		r, err := in.Body.request()
		if err != nil {
			return validation.Validation{}, err
		}
		return a.Comparisons.Register(ctx, r)
	}))
	huma.Get(api, "/v1/comparison-validations", call(a, func(ctx context.Context, in *struct {
		Pipeline   string `query:"pipeline"`
		Comparison string `query:"comparison"`
		Status     string `query:"status" enum:"waiting,running,ok,violation,inconclusive,error"`
		Limit      int    `query:"limit" default:"50" minimum:"1" maximum:"500"`
		Before     string `query:"before" doc:"id of the last one of the previous page"`
	}) (ComparisonList, error) {
		list, err := a.Comparisons.Validations(ctx, validation.Query{Pipeline: in.Pipeline, Comparison: in.Comparison,
			Status: validation.Status(in.Status), Limit: in.Limit, Before: in.Before})
		return ComparisonList{nonNil(list)}, err
	}), named("list-comparison-validations"))
	huma.Get(api, "/v1/comparison-validations/{id}", call(a, func(ctx context.Context, in *struct {
		IDParam
		Wait bool `query:"wait" doc:"answer when it is judged, after ten minutes at the latest"`
	}) (validation.Validation, error) {
		if !in.Wait {
			return a.Comparisons.Validation(ctx, in.ID)
		}
		within, cancel := context.WithTimeout(ctx, longestComparisonWait)
		defer cancel()
		v, err := a.Comparisons.Wait(within, in.ID)
		if errors.Is(err, context.DeadlineExceeded) && ctx.Err() == nil {
			return v, nil // as it is
		}
		return v, err
	}), named("get-comparison-validation"))
	a.registerBuildReport(api)
	a.registerEntities(api)
}

func (a *server) registerBuildReport(api huma.API) {
	type reportParams struct {
		Pipeline   string `query:"pipeline"`
		Comparison string `query:"comparison" required:"true"`
		Builds     int    `query:"builds" default:"50" minimum:"1" maximum:"200" doc:"how many of the latest"`
	}
	huma.Get(api, "/v1/build-report", call(a, func(ctx context.Context, in *reportParams) (validation.BuildReport, error) {
		return a.Comparisons.Report(ctx, validation.ReportQuery{Pipeline: in.Pipeline, Comparison: in.Comparison, Builds: in.Builds})
	}), named("get-build-report"))
	huma.Get(api, "/v1/build-report/{format}", func(ctx context.Context, in *struct {
		Format     string `path:"format" enum:"html,csv,json"`
		Pipeline   string `query:"pipeline"`
		Comparison string `query:"comparison" required:"true"`
		Builds     int    `query:"builds" default:"50" minimum:"1" maximum:"200" doc:"how many of the latest"`
	}) (*buildReportFile, error) {
		data, contentType, err := a.Comparisons.BuildReport(ctx, validation.ReportQuery{Pipeline: in.Pipeline, Comparison: in.Comparison, Builds: in.Builds}, in.Format)
		if err != nil {
			return nil, a.problem(ctx, err)
		}
		return &buildReportFile{ContentType: contentType, Policy: "default-src 'none'; style-src 'unsafe-inline'", Body: data}, nil
	}, named("download-build-report"))
}

// buildReportFile is a report as it is downloaded.
type buildReportFile struct {
	ContentType string `header:"Content-Type"`
	Policy      string `header:"Content-Security-Policy"`
	Body        []byte
}

func (a *server) registerEntities(api huma.API) {
	huma.Get(api, "/v1/entities", call(a, func(ctx context.Context, in *struct {
		Selector string `query:"selector" doc:"entity selector, for example environment=staging or tag(\"team:shop\")"`
	}) (EntityList, error) {
		s, err := entity.ParseSelector(in.Selector)
		if err != nil {
			return EntityList{}, err
		}
		all, err := a.Comparisons.Entities(ctx)
		if err != nil {
			return EntityList{}, err
		}
		return EntityList{nonNil(slices.DeleteFunc(all, func(e entity.Entity) bool { return !s.Matches(e) }))}, nil
	}))
	preview := func(ctx context.Context, yaml []byte) (*body[RulePreviewList], error) {
		list, err := a.Comparisons.Preview(ctx, yaml)
		if err != nil {
			return nil, a.manifestProblem(ctx, err)
		}
		return reply(RulePreviewList{nonNil(list)}), nil
	}
	huma.Get(api, "/v1/entity-rules/preview", func(ctx context.Context, _ *struct{}) (*body[RulePreviewList], error) {
		return preview(ctx, nil)
	}, named("preview-entity-rules-in-force"))
	huma.Register(api, huma.Operation{
		OperationID: "preview-entity-rules", Method: http.MethodPost, Path: "/v1/entity-rules/preview",
		Summary: "Preview entity rules", MaxBodyBytes: maxManifest,
		Description: "What the EntityRules of the file do to the entities seen; nothing is applied.",
		RequestBody: &huma.RequestBody{Required: true, Content: map[string]*huma.MediaType{"application/yaml": {}}},
	}, func(ctx context.Context, in *struct {
		RawBody []byte `contentType:"application/yaml"`
	}) (*body[RulePreviewList], error) {
		return preview(ctx, in.RawBody)
	})
}
