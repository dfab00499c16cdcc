package httpapi

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"github.com/tidegate-io/tidegate/delivery/rollout"
	"github.com/tidegate-io/tidegate/delivery/traffic"
)

// Traffic is who answers the requests of users.
type Traffic interface {
	Routes() []traffic.Status
	Route(name string) (traffic.Status, error)
}

// Rollouts gives versions their users.
type Rollouts interface {
	Rollouts() []rollout.Rollout
	Start(ctx context.Context, name string, r rollout.Request) (rollout.Run, error)
	Promote(ctx context.Context, id, who, reason string) (rollout.Run, error)
	Abort(ctx context.Context, id, who, reason string) (rollout.Run, error)
	Run(ctx context.Context, id string) (rollout.Run, error)
	Runs(ctx context.Context, q rollout.Query) ([]rollout.Run, error)
}

// RouteList is all routes, by name.
type RouteList struct {
	Routes []traffic.Status `json:"routes"`
}

// RolloutItem is a rollout in a list.
type RolloutItem struct {
	Rollout rollout.Rollout `json:"rollout"`
	Last    *rollout.Run    `json:"last,omitempty"`
}

// RolloutList is all rollouts, by name.
type RolloutList struct {
	Rollouts []RolloutItem `json:"rollouts"`
}

// RolloutRuns is newest first.
type RolloutRuns struct {
	Runs []rollout.Run `json:"runs"`
}

// RolloutInput begins a rollout.
type RolloutInput struct {
	ID string `json:"id,omitempty" maxLength:"100" doc:"makes a repeated request harmless"`
	// Candidate is the version that is rolled out; a flag has none.
	Candidate *traffic.Side `json:"candidate,omitempty" doc:"the running version that gets users; not for flags"`
	WhoWhy
	Correlation string `json:"correlation,omitempty" maxLength:"200" doc:"groups it with a release"`
}

func (a *server) registerRollouts(api huma.API) {
	huma.Get(api, "/v1/routes", call(a, func(context.Context, *struct{}) (RouteList, error) {
		return RouteList{nonNil(a.Traffic.Routes())}, nil
	}))
	huma.Get(api, "/v1/routes/{name}", call(a, func(_ context.Context, in *NameParam) (traffic.Status, error) {
		return a.Traffic.Route(in.Name)
	}))
	huma.Get(api, "/v1/rollouts", call(a, func(ctx context.Context, _ *struct{}) (RolloutList, error) {
		out := RolloutList{Rollouts: []RolloutItem{}}
		for _, r := range a.Rollouts.Rollouts() {
			item := RolloutItem{Rollout: r}
			runs, err := a.Rollouts.Runs(ctx, rollout.Query{Rollout: r.Name, Limit: 1})
			if err != nil {
				return out, err
			}
			if len(runs) > 0 {
				item.Last = &runs[0]
			}
			out.Rollouts = append(out.Rollouts, item)
		}
		return out, nil
	}))
	huma.Post(api, "/v1/rollouts/{name}/runs", call(a, func(ctx context.Context, in *struct {
		NameParam
		Body RolloutInput
	}) (rollout.Run, error) {
		r := rollout.Request{ID: in.Body.ID, Who: in.Body.Who, Reason: in.Body.Reason, Correlation: in.Body.Correlation}
		if in.Body.Candidate != nil {
			r.Candidate = *in.Body.Candidate
		}
		return a.Rollouts.Start(ctx, in.Name, r)
	}), status(http.StatusCreated))
	huma.Get(api, "/v1/rollout-runs", call(a, func(ctx context.Context, in *struct {
		Rollout string `query:"rollout"`
		State   string `query:"state" enum:"running,promoted,aborted,failed"`
		Limit   int    `query:"limit" default:"50" minimum:"1" maximum:"500"`
	}) (RolloutRuns, error) {
		list, err := a.Rollouts.Runs(ctx, rollout.Query{Rollout: in.Rollout, State: rollout.State(in.State), Limit: in.Limit})
		return RolloutRuns{nonNil(list)}, err
	}), named("list-rollout-runs"))
	huma.Get(api, "/v1/rollout-runs/{id}", call(a, func(ctx context.Context, in *IDParam) (rollout.Run, error) {
		return a.Rollouts.Run(ctx, in.ID)
	}), named("get-rollout-run"))
	for name, decide := range map[string]func(ctx context.Context, id, who, reason string) (rollout.Run, error){
		"promote": func(ctx context.Context, id, who, reason string) (rollout.Run, error) {
			return a.Rollouts.Promote(ctx, id, who, reason)
		},
		"abort": func(ctx context.Context, id, who, reason string) (rollout.Run, error) {
			return a.Rollouts.Abort(ctx, id, who, reason)
		},
	} {
		huma.Post(api, "/v1/rollout-runs/{id}/"+name, call(a, func(ctx context.Context, in *struct {
			IDParam
			Body WhoWhy
		}) (rollout.Run, error) {
			return decide(ctx, in.ID, in.Body.Who, in.Body.Reason)
		}), named(name+"-rollout-run"))
	}
}
