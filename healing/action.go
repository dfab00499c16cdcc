package healing

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/tidegate-io/tidegate/change"
	"github.com/tidegate-io/tidegate/entity"
	"github.com/tidegate-io/tidegate/problem"
)

// State of an action.
type State string

// The states, in their order.
const (
	StatePending   State = "pending"   // decided; nothing was checked yet
	StateWaiting   State = "waiting"   // for a person's approval
	StateActing    State = "acting"    // the intent is recorded; whether it took place may be unknown
	StateVerifying State = "verifying" // done; does it help?
	StateEnded     State = "ended"
)

// Outcome is how an action ended.
type Outcome string

// The outcomes. After unhealed, refused and obsolete, and after failed where
// nothing was to be taken back, the next attempt is tried; see Action.ends.
const (
	OutcomeHealed   Outcome = "healed"   // done and verified
	OutcomeUnhealed Outcome = "unhealed" // done, and it did not help
	OutcomeFailed   Outcome = "failed"   // it could not be done
	OutcomeRefused  Outcome = "refused"  // a safety rule objects
	OutcomeFrozen   Outcome = "frozen"   // it must not be taken back: a person decides
	OutcomeRejected Outcome = "rejected" // by a person
	OutcomeExpired  Outcome = "expired"  // nobody approved in time
	OutcomeObsolete Outcome = "obsolete" // the problem was over, or had another cause, before anything was done
	OutcomeDryRun   Outcome = "dry-run"  // would have been done
	OutcomePaged    Outcome = "paged"    // a person was told
)

// Action is one attempt at a problem, by the engine or by a person. Its JSON is
// what is stored.
type Action struct {
	// ID is derived from what it is about, so that it is decided once; it is
	// also the idempotency key of the attempt.
	ID          string `json:"id"`
	Problem     string `json:"problem"`
	Number      int    `json:"number" doc:"the problem's, for people: P-17"`
	Reopened    int    `json:"reopened,omitempty" doc:"how often the problem had come back"`
	Remediation string `json:"remediation,omitempty"`
	// Subject is what the action is about: "change:ID", or the kind of cause
	// and the service.
	Subject string `json:"subject"`
	entity.Ref
	Kind Kind `json:"kind"`
	// Title says in a few words what is done: "roll checkout back to 2.0".
	Title string `json:"title"`

	// Attempt and Policy are what was in force when it was decided.
	Attempt Attempt `json:"attempt"`
	Policy  Policy  `json:"policy"`
	// Page is who is told: that it waits for approval, or all about it.
	Page *PageTo `json:"page,omitempty"`
	// Change is the change to blame; nil when there is none.
	Change *change.Event `json:"change,omitempty"`
	// Revision is the version or variant that is gone back to, where known.
	Revision string `json:"revision,omitempty"`

	State   State   `json:"state"`
	Outcome Outcome `json:"outcome,omitempty"`
	// Reason says in a sentence why it ended as it did, or what it waits for.
	Reason string `json:"reason,omitempty"`
	// Objections are those of the safety rules, when they were asked last.
	Objections []Objection `json:"objections,omitempty"`

	// By is who asked for it, ApprovedBy who let it happen; "policy" for the
	// remediation itself. Override is the reason of a person who acts against
	// objections.
	By         string `json:"by"`
	Why        string `json:"why,omitempty"`
	ApprovedBy string `json:"approvedBy,omitempty"`
	Override   string `json:"override,omitempty"`

	Created time.Time `json:"created"`
	// Due is when something must be done next: at once, or the end of the
	// time to approve.
	Due time.Time `json:"due,omitzero"`
	// Acted is when the intent was recorded; Done when the attempt had ended.
	Acted time.Time `json:"acted,omitzero"`
	Done  time.Time `json:"done,omitzero"`
	Ended time.Time `json:"ended,omitzero"`

	// Unknown: the process ended during the attempt and it must not be
	// repeated, so nobody knows whether it took place.
	Unknown bool `json:"unknown,omitempty"`
	// Event is the change event that records what was done.
	Event  string `json:"event,omitempty"`
	Answer string `json:"answer,omitempty" doc:"what whoever did it said"`
	// Looks are the validations that verified it, in order.
	Looks []Look `json:"looks,omitempty"`
}

// Look is one validation of what an action did.
type Look struct {
	Validation string    `json:"validation"`
	From       time.Time `json:"from"`
	To         time.Time `json:"to"`
	Status     string    `json:"status,omitempty" doc:"empty until it is finished"`
	Headline   string    `json:"headline,omitempty"`
}

// ends reports whether the remediation of the problem ends with this action,
// whatever attempts are left; and whether a person must be told.
func (a *Action) ends() (ends, pages bool) {
	switch a.Outcome {
	case OutcomeFrozen, OutcomeExpired:
		return true, true
	case OutcomeFailed:
		return a.Kind.Reverts(), true
	case OutcomeRejected, OutcomeDryRun:
		return true, false
	}
	return false, false
}

// effective reports whether it was done, or may have been.
func (a *Action) effective() bool { return !a.Acted.IsZero() && a.Kind != KindPage }

// actionID is derived from what makes an action the same one.
func actionID(parts ...string) string {
	sum := sha256.Sum256([]byte(strings.Join(parts, "\x00")))
	return "heal-" + hex.EncodeToString(sum[:12])
}

func decidedID(p *problem.Problem, remediation, subject string, attempt int) string {
	return actionID(p.ID, strconv.Itoa(p.Reopened), remediation, subject, strconv.Itoa(attempt))
}

// pageID has no subject: one opening of a problem pages once.
func pageID(p *problem.Problem, remediation string) string {
	return actionID(p.ID, strconv.Itoa(p.Reopened), remediation, "page")
}

// subjectOf is what an action is about.
func subjectOf(c *problem.Cause) string {
	if c == nil {
		return string(problem.CauseUnknown)
	}
	if c.Change != nil {
		return "change:" + c.Change.Event.ID
	}
	return fmt.Sprintf("%s:%s/%s", c.Kind, c.Service, c.Environment)
}

// Entry is one line of the audit.
type Entry struct {
	Seq     int64     `json:"seq" doc:"assigned by the store, ascending"`
	Time    time.Time `json:"time"`
	Action  string    `json:"action,omitempty"`
	Problem string    `json:"problem,omitempty"`
	Who     string    `json:"who"`
	// What happened: decided, refused, waiting, approved, rejected, expired,
	// acting, done, unknown, verified, ended outcomes, stopped, started.
	What string `json:"what"`
	Text string `json:"text"`
}

// Stop is the switch that stops all healing.
type Stop struct {
	Stopped bool      `json:"stopped"`
	Who     string    `json:"who,omitempty"`
	Reason  string    `json:"reason,omitempty"`
	Since   time.Time `json:"since,omitzero"`
}

// Lease is the right to work on an action until a time. Owner names a
// process's engine.
type Lease struct {
	Owner string
	Until time.Time
}

// Query selects actions, newest first. Empty fields do not restrict.
type Query struct {
	Problem string
	Subject string
	// ActedSince selects actions whose intent was recorded then or later.
	ActedSince time.Time
	Unfinished bool
	Limit      int // 0 means 100
}

// Reservation is what a store shows to whoever is about to act, while nobody
// else can record an intent.
type Reservation struct {
	Stop Stop
	// Recent are the actions whose intent was recorded in the time asked for,
	// and all with the same subject.
	Recent []Action
}

// Store keeps actions, their audit and the switch. Safe for concurrent use, by
// several processes; what returned without an error survives a crash. Entries
// are stored in one transaction with what they are about, never changed and
// never removed.
type Store interface {
	// Create stores a new action; false, and nothing is stored, when the id
	// exists already.
	Create(ctx context.Context, a Action, e ...Entry) (created bool, err error)
	// Claimable returns ids of actions that have not ended, are due at now and
	// that nobody but owner holds then, oldest first.
	Claimable(ctx context.Context, owner string, now time.Time, limit int) ([]string, error)
	// Claim takes the lease and returns the action as it is stored; false when
	// it has ended or another owner's lease has not ended at now.
	Claim(ctx context.Context, id string, l Lease, now time.Time) (a Action, ok bool, err error)
	// Save stores the action and extends the lease to l.Until (or ends it); a
	// fault of KindConflict when l.Owner does not hold it any more.
	Save(ctx context.Context, a Action, l Lease, e ...Entry) error
	// Reserve shows what is stored to decide, and stores what it returns (as
	// Save does) before any other Reserve, of any process, begins. An error of
	// decide is returned and nothing is stored.
	Reserve(ctx context.Context, a Action, l Lease, since time.Time, decide func(Reservation) (Action, []Entry, error)) error
	// Action returns one action, or a fault of KindNotFound.
	Action(ctx context.Context, id string) (Action, error)
	Actions(ctx context.Context, q Query) ([]Action, error)
	// Audit returns the newest first; empty texts do not restrict.
	Audit(ctx context.Context, action, problem string, limit int) ([]Entry, error)
	Stop(ctx context.Context) (Stop, error)
	SetStop(ctx context.Context, s Stop, e Entry) error
}
