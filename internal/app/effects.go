package app

import (
	"context"

	"github.com/tidegate-io/tidegate/change"
	"github.com/tidegate-io/tidegate/flag"
	"github.com/tidegate-io/tidegate/guardian"
	"github.com/tidegate-io/tidegate/workflow"
)

// effects does what the steps of workflows ask for.
type effects struct {
	guardians *guardian.Service
	undo      *undoer
	flags     *flag.Manager
}

// Validate implements workflow.Validator: the key is the validation's id, so
// asking again finds the one that was started before.
func (e *effects) Validate(ctx context.Context, r workflow.ValidateRequest) (workflow.Validated, error) {
	v, err := e.guardians.Start(ctx, guardian.Request{
		ID: r.Key, Guardian: r.Guardian, Window: guardian.Window{From: r.From, To: r.To},
		Tags: r.Tags, Trigger: "workflow", Who: r.Who, EventID: r.EventID,
	})
	if err != nil {
		return workflow.Validated{}, err
	}
	if v, err = e.guardians.Wait(ctx, v.ID); err != nil {
		return workflow.Validated{}, err
	}
	out := workflow.Validated{Status: string(v.Status), Validation: v.ID, Report: v.ID, Number: v.Number, Headline: v.Headline}
	if c, ok := v.Evidence.Cause(); ok {
		out.Cause = &workflow.Cause{Change: c.Event.ID, Kind: string(c.Event.Kind), Key: c.Event.Key, Who: c.Event.Who,
			Title: c.Event.Title, Service: c.Event.Service, Environment: c.Event.Environment}
	}
	return out, nil
}

// Undo implements workflow.Undoer. A change is undone at most once whatever
// the key.
func (e *effects) Undo(ctx context.Context, r workflow.UndoRequest) (change.Event, error) {
	return e.undo.Undo(ctx, r.Change, r.Who, r.Reason)
}

// SetFlag implements workflow.Flagger.
func (e *effects) SetFlag(ctx context.Context, r workflow.FlagRequest) (change.Event, error) {
	_, event, err := e.flags.Set(ctx, flag.Change{Set: r.Set, Key: r.Flag, Variant: r.Variant, Who: r.Who, Reason: r.Reason, IdempotencyKey: r.Key})
	return event, err
}
