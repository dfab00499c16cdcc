package httpapi

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"github.com/tidegate-io/tidegate/loadtest"
)

// LoadTests starts load tests and keeps their runs.
type LoadTests interface {
	Tests(ctx context.Context) ([]loadtest.Test, error)
	Start(ctx context.Context, test, who string) (loadtest.Run, error)
	Cancel(ctx context.Context, runID, who, reason string) (loadtest.Run, error)
	Run(ctx context.Context, id string) (loadtest.Run, error)
	Runs(ctx context.Context, test string, limit int) ([]loadtest.Run, error)
}

// LoadTestItem is a load test in a list.
type LoadTestItem struct {
	Test loadtest.Test `json:"test"`
	Last *loadtest.Run `json:"last,omitempty"`
}

// LoadTestList is all load tests.
type LoadTestList struct {
	Tests []LoadTestItem `json:"tests"`
}

// LoadTestRuns is newest first.
type LoadTestRuns struct {
	Runs []loadtest.Run `json:"runs"`
}

// CancelInput says who ends a run early and why. It may be left out: a run that
// does harm can be stopped without a word.
type CancelInput struct {
	Who    string `json:"who,omitempty" maxLength:"200"`
	Reason string `json:"reason,omitempty" maxLength:"2000"`
}

func (a *server) registerLoadTests(api huma.API) {
	huma.Get(api, "/v1/loadtests", call(a, func(ctx context.Context, _ *struct{}) (LoadTestList, error) {
		tests, err := a.LoadTests.Tests(ctx)
		if err != nil {
			return LoadTestList{}, err
		}
		out := LoadTestList{Tests: []LoadTestItem{}}
		for _, t := range tests {
			item := LoadTestItem{Test: t.Redacted()}
			runs, err := a.LoadTests.Runs(ctx, t.Name, 1)
			if err != nil {
				return LoadTestList{}, err
			}
			if len(runs) > 0 {
				item.Last = &runs[0]
			}
			out.Tests = append(out.Tests, item)
		}
		return out, nil
	}))
	huma.Post(api, "/v1/loadtests/{name}/runs", call(a, func(ctx context.Context, in *struct {
		NameParam
		Body struct {
			Who string `json:"who" minLength:"1" maxLength:"200"`
		}
	}) (loadtest.Run, error) {
		return a.LoadTests.Start(ctx, in.Name, in.Body.Who)
	}), status(http.StatusCreated))
	huma.Get(api, "/v1/loadtest-runs", call(a, func(ctx context.Context, in *struct {
		Test  string `query:"test"`
		Limit int    `query:"limit" default:"50" minimum:"1" maximum:"500"`
	}) (LoadTestRuns, error) {
		list, err := a.LoadTests.Runs(ctx, in.Test, in.Limit)
		return LoadTestRuns{nonNil(list)}, err
	}), named("list-loadtest-runs"))
	huma.Get(api, "/v1/loadtest-runs/{id}", call(a, func(ctx context.Context, in *IDParam) (loadtest.Run, error) {
		return a.LoadTests.Run(ctx, in.ID)
	}), named("get-loadtest-run"))
	huma.Post(api, "/v1/loadtest-runs/{id}/cancel", call(a, func(ctx context.Context, in *struct {
		IDParam
		Body *CancelInput
	}) (loadtest.Run, error) {
		if in.Body == nil {
			in.Body = &CancelInput{}
		}
		return a.LoadTests.Cancel(ctx, in.ID, in.Body.Who, in.Body.Reason)
	}), named("cancel-loadtest-run"))
}
