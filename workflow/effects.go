package workflow

import (
	"context"
	"strings"
	"time"

	"github.com/tidegate-io/tidegate/change"
)

// The effects of steps. Every request carries a Key, derived from run and
// step: an implementation that sees a key again must not do the thing again
// but return what it returned then. That is what makes a crash between doing
// and recording harmless.
//
// A fault of KindUnavailable is tried again with backoff; any other error
// fails the step.

// Validator runs validations.
type Validator interface {
	// Validate returns when the validation is finished; Key is its id.
	Validate(ctx context.Context, r ValidateRequest) (Validated, error)
}

// ValidateRequest asks for one validation.
type ValidateRequest struct {
	Key      string            `json:"key"`
	Guardian string            `json:"guardian"`
	From     time.Time         `json:"from"`
	To       time.Time         `json:"to"`
	Tags     map[string]string `json:"tags,omitempty"`
	EventID  string            `json:"eventId"`
	Origin
}

// Undoer takes changes back.
type Undoer interface {
	// Undo returns the event that records it.
	Undo(ctx context.Context, r UndoRequest) (change.Event, error)
}

// UndoRequest asks to take back the change with this event id.
type UndoRequest struct {
	Key    string `json:"key"`
	Change string `json:"change"`
	Reason string `json:"reason"`
	Origin
}

// Flagger sets flags.
type Flagger interface {
	// SetFlag returns the event that records it.
	SetFlag(ctx context.Context, r FlagRequest) (change.Event, error)
}

// FlagRequest asks for a runtime change of a flag.
type FlagRequest struct {
	Key     string `json:"key"`
	Set     string `json:"set,omitempty"`
	Flag    string `json:"flag"`
	Variant string `json:"variant"`
	Reason  string `json:"reason"`
	Origin
}

// Notifier tells people.
type Notifier interface {
	// Notify returns when the message is stored for delivery.
	Notify(ctx context.Context, n Notification) error
}

// Notification is a message to a channel.
type Notification struct {
	Key     string `json:"key"`
	Channel string `json:"channel"`
	Message string `json:"message"`
	// Report is the id of a validation whose report to attach; empty for none.
	Report string `json:"report,omitempty"`
	Origin
}

// Origin says on whose behalf something is done. Events that record it must
// carry Who: that is how the engine knows what a workflow led to (see Engine).
type Origin struct {
	Who string `json:"who" doc:"workflow/NAME, or workflow/FIRST > … > NAME where workflows started each other"`
	Run string `json:"run"`
}

// How chains of workflows are written in Who.
const (
	whoPrefix    = "workflow/"
	whoSeparator = " > "
)

// chainOf reads the workflows that led to an event from its Who.
func chainOf(who string) []string {
	names, ok := strings.CutPrefix(who, whoPrefix)
	if !ok {
		return nil
	}
	return strings.Split(names, whoSeparator)
}

func originOf(r *Run) Origin {
	chain := append(chainOf(r.Event.Who), r.Workflow)
	return Origin{Who: whoPrefix + strings.Join(chain, whoSeparator), Run: r.ID}
}
