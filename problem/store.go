package problem

import (
	"context"
	"time"

	"github.com/tidegate-io/tidegate/change"
)

// Store keeps problems. Safe for concurrent use, by several processes; what
// returned without an error survives a crash.
type Store interface {
	// Update runs f alone: no other Update of any process runs between what f
	// reads and what it writes, and all that it writes is stored, or nothing.
	// f has no other effects and does not call the store.
	Update(ctx context.Context, f func(ctx context.Context, tx Tx) error) error
	// Problem returns one problem with its evidence, or a fault of
	// KindNotFound.
	Problem(ctx context.Context, id string) (Problem, error)
	// Problems returns matching problems, newest first, without evidence.
	Problems(ctx context.Context, q Query) ([]Problem, error)
	// Due returns the ids of problems with something to do at now, longest
	// overdue first; see Record.Due.
	Due(ctx context.Context, now time.Time, limit int) ([]string, error)
}

// Tx is the view of one Update. Records come without evidence.
type Tx interface {
	// Active returns the records of open problems and of those closed at or
	// after closedSince, without those merged into others, oldest first.
	Active(ctx context.Context, closedSince time.Time) ([]Record, error)
	// Record returns one record, or a fault of KindNotFound.
	Record(ctx context.Context, id string) (Record, error)
	// Owners returns, for each of the events that is known, the id of the
	// problem that it belongs to. A problem that is merged owns no events.
	Owners(ctx context.Context, eventIDs []string) (map[string]string, error)
	// Recent returns the problems with a symptom that were opened at or after
	// a time, without those merged into others.
	Recent(ctx context.Context, symptom string, opened time.Time) ([]Problem, error)
	// NextNumber returns a number that no problem has, one above the last.
	NextNumber(ctx context.Context) (int, error)
	// Save stores the record. Evidence that is nil leaves what is stored.
	Save(ctx context.Context, r Record) error
}

// Query selects problems. Zero fields do not restrict.
type Query struct {
	State       State
	Service     string // an impacted service
	Environment string
	Severity    Severity
	// From and To select problems that lasted at some time in [From, To).
	From, To time.Time
	Limit    int // 0 means 100
	Before   int // number of the last problem of the previous page
}

// Record is a problem as it is stored: with what is still to be done about it.
type Record struct {
	Problem
	// Symptom is the same for problems that look the same to a person.
	Symptom string `json:"symptom"`
	// Announcements are not said yet.
	Announcements []Announcement `json:"announcements,omitempty"`
	// AnalyseAt is when the cause is looked for next; zero for never.
	AnalyseAt time.Time `json:"analyseAt,omitzero"`
	// AnalysedAt is when it was looked for last.
	AnalysedAt time.Time `json:"analysedAt,omitzero"`

	// notes are what happened in the step that is being taken.
	notes []note
}

// Announcement is an event to record and the channels to send it to.
type Announcement struct {
	Event    change.Event `json:"event"`
	Channels []string     `json:"channels,omitempty"`
}

// Due returns when something is to be done about the problem next; the zero
// time for never.
func (r *Record) Due() time.Time {
	var due time.Time
	sooner := func(t time.Time) {
		if !t.IsZero() && (due.IsZero() || t.Before(due)) {
			due = t
		}
	}
	if len(r.Announcements) > 0 {
		sooner(r.Updated)
	}
	if r.State != StateOpen {
		return due
	}
	sooner(r.AnalyseAt)
	for i := range r.Alerts {
		if r.Alerts[i].State == AlertWaiting {
			sooner(r.Alerts[i].Due)
		}
	}
	for i := range r.Events {
		if e := &r.Events[i]; e.Open() {
			sooner(e.Expires)
		}
	}
	return due
}
