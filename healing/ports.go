package healing

import (
	"context"
	"log/slog"
	"time"

	"github.com/google/uuid"

	"github.com/tidegate-io/tidegate/change"
	"github.com/tidegate-io/tidegate/entity"
	"github.com/tidegate-io/tidegate/fault"
	"github.com/tidegate-io/tidegate/problem"
)

// Problems are what is healed.
type Problems interface {
	// Problem returns one problem with everything known of it, or a fault of
	// KindNotFound.
	Problem(ctx context.Context, id string) (problem.Problem, error)
	// OpenProblems returns those that are open.
	OpenProblems(ctx context.Context) ([]problem.Problem, error)
	// Comment adds to a problem's story.
	Comment(ctx context.Context, id string, c problem.Comment) error
}

// Changes is the log of changes; *change.Log is one.
type Changes interface {
	Events(ctx context.Context, q change.Query) ([]change.Event, error)
	// Record stores an event; one whose id is there already is answered as it
	// was stored.
	Record(ctx context.Context, e change.Event) (change.Event, error)
}

// Actor does what an action says.
type Actor interface {
	// Do is idempotent by the request's key: asked again, it does not do the
	// thing again but answers what came of it. What cannot promise that says so
	// in its definition (Command.Idempotent) and is not asked again. A fault of
	// KindUnavailable is tried again; any other error fails the action.
	Do(ctx context.Context, r Request) (Answer, error)
}

// ActorFunc is a function as an Actor.
type ActorFunc func(ctx context.Context, r Request) (Answer, error)

// Do implements Actor.
func (f ActorFunc) Do(ctx context.Context, r Request) (Answer, error) { return f(ctx, r) }

// Request asks to do something. Commands and webhooks get it as JSON.
type Request struct {
	Key  string `json:"key" doc:"idempotency key"`
	Kind Kind   `json:"kind"`
	// Repeated: it may have been asked for before, with the same key.
	Repeated bool `json:"repeated,omitempty"`
	entity.Ref
	// Change to take back; Revision is what to go back to.
	Change   *change.Event `json:"change,omitempty"`
	Revision string        `json:"revision,omitempty"`
	// Instances to have, or More (fewer below zero) than there are.
	Instances int `json:"instances,omitempty"`
	More      int `json:"more,omitempty"`

	Problem string         `json:"problem"`
	Number  int            `json:"number"`
	Title   string         `json:"title" doc:"the problem's"`
	Cause   *problem.Cause `json:"cause,omitempty"`
	Who     string         `json:"who"`
	Reason  string         `json:"reason"`

	Command *Command `json:"-"`
	Webhook *Webhook `json:"-"`
}

// Answer is what came of it. A command or webhook may leave every field out.
type Answer struct {
	Message string `json:"message,omitempty"`
	// Event is the id of the change event that records it, when whoever did it
	// recorded one.
	Event string `json:"event,omitempty"`
}

// Verifier asks a guardian.
type Verifier interface {
	// Verify returns when the validation is finished. Its key is the
	// validation's id: asked again it answers the same one.
	Verify(ctx context.Context, v Verification) (Verdict, error)
}

// Verification asks for one validation.
type Verification struct {
	Key       string
	Guardian  string
	Variables map[string]string
	From, To  time.Time
	Who       string
	Event     string
}

// Verdict is a validation's.
type Verdict struct {
	Status   string // pass, warn, fail, inconclusive, learning, error
	Headline string
}

// Pager tells people.
type Pager interface {
	// Page returns when the message is stored for delivery; its key makes it
	// one message however often it is asked for.
	Page(ctx context.Context, p Page) error
}

// Page is what a person is told.
type Page struct {
	Key     string
	To      PageTo
	Problem string
	Text    string
}

// Reporter tells the system that a problem came from what is done about it.
type Reporter interface {
	// Report returns when the comment is stored for delivery, or when nothing
	// is configured for that system. Its key makes it one comment.
	Report(ctx context.Context, key string, to problem.External, text string) error
}

// Judgements know which versions were judged bad by a guardian.
type Judgements interface {
	// Bad says why a version must not come back; empty when nothing is known
	// against it.
	Bad(ctx context.Context, version entity.Ref) (why string, err error)
}

// Inventory knows what runs.
type Inventory interface {
	// Instances returns how many instances run at the places, and how many in
	// their environments; zero where nobody knows.
	Instances(ctx context.Context, places []entity.Ref) (touched, all int, err error)
}

// Config of an Engine. Store, Problems and Changes are required. What else is
// nil is not there: an action that needs it fails, and says so.
type Config struct {
	Store    Store
	Problems Problems
	Changes  Changes
	// Actors by what they do. An action that says how (a command, a webhook)
	// is done by the actor of that kind.
	Actors     map[Kind]Actor
	Verifier   Verifier
	Pager      Pager
	Reporter   Reporter
	Judgements Judgements
	Inventory  Inventory
	Limits     Limits

	// Owner names this engine in leases; default a random name. See
	// workflow.Config.
	Owner string
	// Concurrency is how many actions are worked on at once; default 8.
	Concurrency int
	// Lease is how long an action is held without a sign of life; default 15 s.
	Lease time.Duration
	// Backoff is the first pause before something unavailable is tried again;
	// it doubles. Default 1 s.
	Backoff time.Duration
	// Sweep is how often open problems are looked at without being told;
	// default 5 s.
	Sweep time.Duration
	// Changed, when set, is called after an action was stored. It must not
	// block.
	Changed func(Action)

	Clock  func() time.Time // default time.Now
	Logger *slog.Logger     // nil discards
}

func (c *Config) defaults() error {
	switch {
	case c.Store == nil:
		return fault.Invalid("healing: Config.Store is missing")
	case c.Problems == nil:
		return fault.Invalid("healing: Config.Problems is missing")
	case c.Changes == nil:
		return fault.Invalid("healing: Config.Changes is missing")
	}
	setDefault(&c.Owner, uuid.NewString())
	setDefault(&c.Concurrency, 8)
	setDefault(&c.Lease, 15*time.Second)
	setDefault(&c.Backoff, time.Second)
	setDefault(&c.Sweep, 5*time.Second)
	setDefault(&c.Limits.PerHour, 10)
	if c.Changed == nil {
		c.Changed = func(Action) {}
	}
	if c.Clock == nil {
		c.Clock = time.Now
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	return nil
}
