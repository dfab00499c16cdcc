package flag

import (
	"fmt"

	"github.com/tidegate-io/tidegate/change"
	"github.com/tidegate-io/tidegate/entity"
)

// runtimeEvent is the change event of a runtime change. It is a function of
// the audit line, so that it can be made again after a crash.
func runtimeEvent(f Flag, a Audit) change.Event {
	back := a.OnFailure
	if back == "" {
		back = a.From
	}
	e := flagEvent(f, a)
	e.Source = "tidegate"
	if back != "" {
		e.Undo = &change.Undo{Kind: "flag", FlagSet: a.Set, FlagKey: a.Key, Variant: back}
	}
	return e
}

// sourceEvent is the change event of an edit of a flag's source. It can be
// taken back by a runtime change only when it changed nothing but the default
// variant. A flag that the source did not have before is defined, not changed.
func sourceEvent(f Flag, a Audit, undoable bool) change.Event {
	e := flagEvent(f, a)
	e.Source = f.Source
	if a.From == "" && a.To != "" {
		e.Type, e.Title = change.TypeFlagDefined, fmt.Sprintf("Flag %s defined: %s", a.Key, a.To)
	}
	if undoable {
		e.Undo = &change.Undo{Kind: "flag", FlagSet: a.Set, FlagKey: a.Key, Variant: a.From}
	}
	return e
}

func flagEvent(f Flag, a Audit) change.Event {
	title := fmt.Sprintf("Flag %s: %s → %s", a.Key, named(a.From), named(a.To))
	if a.Percent != 0 {
		title += fmt.Sprintf(" for %g %% of the callers", a.Percent)
	} else if a.From == a.To && a.Note != "" {
		title = fmt.Sprintf("Flag %s: %s", a.Key, a.Note)
	}
	return change.Event{
		ID: a.EventID, Type: change.TypeFlagChanged, Kind: change.KindFlag, Title: title,
		Who: a.Who, Reason: a.Reason, Start: a.At,
		Ref: entity.Ref{Service: f.Service, Environment: f.Environment},
		Key: a.Key, From: a.From, To: a.To, UndoOf: a.UndoOf,
		// Names from OpenTelemetry's semantic conventions for feature flags.
		Properties: map[string]string{"feature_flag.key": a.Key, "feature_flag.set.id": a.Set},
	}
}

// named stands in for the variant of a flag that has none, because it is new
// or gone, or because the code decides.
func named(variant string) string {
	if variant == "" {
		return "(none)"
	}
	return variant
}
