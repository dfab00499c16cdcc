package httpapi

import (
	"context"

	"github.com/danielgtaylor/huma/v2"

	"github.com/tidegate-io/tidegate/workflow"
)

// Workflows lists definitions and their runs.
type Workflows interface {
	Workflows(ctx context.Context) ([]workflow.Workflow, error)
	WorkflowRun(ctx context.Context, id string) (workflow.Run, error)
	WorkflowRuns(ctx context.Context, name string, limit int) ([]workflow.Run, error)
}

// WorkflowItem is a workflow in a list.
type WorkflowItem struct {
	Workflow workflow.Workflow `json:"workflow"`
	Last     *workflow.Run     `json:"last,omitempty"`
}

// WorkflowList is all workflows.
type WorkflowList struct {
	Workflows []WorkflowItem `json:"workflows"`
}

// WorkflowRuns is newest first.
type WorkflowRuns struct {
	Runs []workflow.Run `json:"runs"`
}

func (a *server) registerWorkflows(api huma.API) {
	huma.Get(api, "/v1/workflows", call(a, func(ctx context.Context, _ *struct{}) (WorkflowList, error) {
		all, err := a.Workflows.Workflows(ctx)
		if err != nil {
			return WorkflowList{}, err
		}
		out := WorkflowList{Workflows: []WorkflowItem{}}
		for _, w := range all {
			item := WorkflowItem{Workflow: w}
			runs, err := a.Workflows.WorkflowRuns(ctx, w.Name, 1)
			if err != nil {
				return WorkflowList{}, err
			}
			if len(runs) > 0 {
				item.Last = &runs[0]
			}
			out.Workflows = append(out.Workflows, item)
		}
		return out, nil
	}))
	huma.Get(api, "/v1/workflow-runs", call(a, func(ctx context.Context, in *struct {
		Workflow string `query:"workflow"`
		Limit    int    `query:"limit" default:"50" minimum:"1" maximum:"500"`
	}) (WorkflowRuns, error) {
		list, err := a.Workflows.WorkflowRuns(ctx, in.Workflow, in.Limit)
		return WorkflowRuns{nonNil(list)}, err
	}), named("list-workflow-runs"))
	huma.Get(api, "/v1/workflow-runs/{id}", call(a, func(ctx context.Context, in *IDParam) (workflow.Run, error) {
		return a.Workflows.WorkflowRun(ctx, in.ID)
	}), named("get-workflow-run"))
}
