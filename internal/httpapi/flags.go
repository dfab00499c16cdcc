package httpapi

import (
	"context"

	"github.com/danielgtaylor/huma/v2"

	"github.com/tidegate-io/tidegate/change"
	"github.com/tidegate-io/tidegate/flag"
)

// Flags is the state of the feature flags; *flag.Manager is one.
type Flags interface {
	State() *flag.State
	// Set and Clear return a zero event when there was nothing to change.
	Set(ctx context.Context, c flag.Change) (flag.Flag, change.Event, error)
	Clear(ctx context.Context, set, key, who, reason string) (flag.Flag, change.Event, error)
	Audits(ctx context.Context, set, key string, limit int) ([]flag.Audit, error)
}

// FlagChanged is the flag as it is now and the event that tells of the
// change; no event when the flag had the variant already.
type FlagChanged struct {
	Flag  flag.Flag     `json:"flag"`
	Event *change.Event `json:"event,omitempty"`
}

func flagChanged(f flag.Flag, e change.Event, err error) (FlagChanged, error) {
	out := FlagChanged{Flag: f}
	if e.ID != "" {
		out.Event = &e
	}
	return out, err
}

// FlagInput asks for a runtime change.
type FlagInput struct {
	Variant string `json:"variant" minLength:"1"`
	WhoWhy
	Percent        float64 `json:"percent,omitempty" minimum:"0" maximum:"100" doc:"share of the callers, by targeting key, that gets the variant; 0 and 100 mean all"`
	OnFailure      string  `json:"onFailure,omitempty" doc:"variant to go back to when a validation fails; default: the one in force before"`
	IdempotencyKey string  `json:"idempotencyKey,omitempty" maxLength:"200"`
}

// FlagParam is a flag in a path.
type FlagParam struct {
	Set string `path:"set"`
	Key string `path:"key"`
}

// FlagList is all flags.
type FlagList struct {
	Flags []flag.Flag `json:"flags"`
	// Problems are sources that were refused; their old state is in force.
	Problems []string `json:"problems"`
}

// FlagHistory is newest first.
type FlagHistory struct {
	Audit []flag.Audit `json:"audit"`
}

func (a *server) registerFlags(api huma.API) {
	huma.Get(api, "/v1/flags", call(a, func(context.Context, *struct{}) (FlagList, error) {
		state := a.Flags.State()
		out := FlagList{Flags: nonNil(state.Flags()), Problems: []string{}}
		for _, p := range state.Problems() {
			out.Problems = append(out.Problems, p.Error())
		}
		return out, nil
	}), named("list-flags"))
	huma.Get(api, "/v1/flags/{set}/{key}", call(a, func(_ context.Context, in *FlagParam) (flag.Flag, error) {
		return a.Flags.State().Flag(in.Set, in.Key)
	}))
	huma.Post(api, "/v1/flags/{set}/{key}", call(a, func(ctx context.Context, in *struct {
		FlagParam
		Body FlagInput
	}) (FlagChanged, error) {
		return flagChanged(a.Flags.Set(ctx, flag.Change{Set: in.Set, Key: in.Key, Variant: in.Body.Variant, Percent: in.Body.Percent,
			Who: in.Body.Who, Reason: in.Body.Reason, OnFailure: in.Body.OnFailure, IdempotencyKey: in.Body.IdempotencyKey}))
	}))
	huma.Delete(api, "/v1/flags/{set}/{key}/override", call(a, func(ctx context.Context, in *struct {
		FlagParam
		Who    string `query:"who" required:"true"`
		Reason string `query:"reason" required:"true"`
	}) (FlagChanged, error) {
		return flagChanged(a.Flags.Clear(ctx, in.Set, in.Key, in.Who, in.Reason))
	}), status(200))
	huma.Get(api, "/v1/flag-audit", call(a, func(ctx context.Context, in *struct {
		Set   string `query:"set"`
		Key   string `query:"key"`
		Limit int    `query:"limit" default:"100" minimum:"1" maximum:"1000"`
	}) (FlagHistory, error) {
		list, err := a.Flags.Audits(ctx, in.Set, in.Key, in.Limit)
		return FlagHistory{nonNil(list)}, err
	}))
}

// named sets the operation's id where the derived one would not be unique.
func named(id string) func(*huma.Operation) {
	return func(o *huma.Operation) { o.OperationID = id }
}
