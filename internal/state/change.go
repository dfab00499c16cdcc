package state

import (
	"context"
	"database/sql"
	"errors"

	"github.com/uptrace/bun"

	"github.com/tidegate-io/tidegate/change"
	"github.com/tidegate-io/tidegate/entity"
	"github.com/tidegate-io/tidegate/fault"
)

// maxPlaces bounds how many places of one event are searchable.
const maxPlaces = 1000

// Changes implements change.Store.
type Changes struct{ db *DB }

// Changes returns the store of change events.
func (db *DB) Changes() *Changes { return &Changes{db} }

var (
	_ change.Store  = (*Changes)(nil)
	_ change.Placer = (*Changes)(nil)
)

type eventRow struct {
	bun.BaseModel `bun:"table:events"`

	ID          string `bun:",pk"`
	Type        string
	Kind        string
	Who         string
	Subject     string // change.Event.Key
	Correlation string
	StartNs     int64
	// WaitingUntilNs is 0 unless the event waits for its entities.
	WaitingUntilNs int64
	Doc            string
}

type placeRow struct {
	bun.BaseModel `bun:"table:event_places"`

	EventID     string
	Service     string
	Environment string
}

// Add implements change.Store.
func (s *Changes) Add(ctx context.Context, e change.Event) error {
	if err := checkID("event", e.ID); err != nil {
		return err
	}
	doc, err := encode("event", e, maxEvent)
	if err != nil {
		return err
	}
	places := placesOf(&e)
	if len(places) > maxPlaces {
		return fault.Invalid("event %q is about %d services, the limit is %d", e.ID, len(places), maxPlaces)
	}
	row := eventRow{ID: e.ID, Type: column(e.Type), Kind: column(string(e.Kind)), Who: column(e.Who),
		Subject: column(e.Key), Correlation: column(e.Correlation), StartNs: nanos(e.Start), WaitingUntilNs: waitingUntil(&e), Doc: doc}
	return wrap("add event", s.db.inTx(ctx, func(tx bun.Tx) error {
		added, err := changed(tx.NewInsert().Model(&row).On("CONFLICT DO NOTHING").Exec(ctx))
		if err != nil {
			return err
		}
		if !added {
			return fault.Conflict("event %q exists already", e.ID)
		}
		if len(places) > 0 {
			_, err = tx.NewInsert().Model(&places).Exec(ctx)
		}
		return err
	}))
}

func placesOf(e *change.Event) []placeRow {
	seen := map[entity.Ref]bool{}
	var rows []placeRow
	for _, p := range e.Places() {
		p.Version = ""
		if !seen[p] {
			seen[p] = true
			rows = append(rows, placeRow{EventID: e.ID, Service: column(p.Service), Environment: column(p.Environment)})
		}
	}
	return rows
}

// Event implements change.Store.
func (s *Changes) Event(ctx context.Context, id string) (change.Event, error) {
	q := s.db.read.NewSelect().Table("events").Column("doc").Where("id = ?", column(id))
	return one[change.Event](ctx, q, "event", id)
}

// Events implements change.Store. A service or an environment selects events
// as change.Event.Touches does: an event that names no environment is about
// its service in all of them.
func (s *Changes) Events(ctx context.Context, q change.Query) ([]change.Event, error) {
	sel := s.db.read.NewSelect().Table("events").Column("doc").
		OrderExpr("start_ns DESC, id DESC").Limit(limited(q.Limit))
	if len(q.Kinds) > 0 {
		sel.Where("kind IN (?)", bun.List(q.Kinds))
	}
	if len(q.Types) > 0 {
		sel.Where("type IN (?)", bun.List(q.Types))
	}
	for col, v := range map[string]string{"who": q.Who, "subject": q.Key, "correlation": q.Correlation} {
		if v != "" {
			sel.Where("? = ?", bun.Ident(col), column(v))
		}
	}
	if !q.From.IsZero() {
		sel.Where("start_ns >= ?", nanos(q.From))
	}
	if !q.To.IsZero() {
		sel.Where("start_ns < ?", nanos(q.To))
	}
	s.place(sel, q)
	if q.Before != "" {
		start, err := s.startOf(ctx, q.Before)
		if err != nil {
			return nil, err
		}
		sel.Where("(start_ns, id) < (?, ?)", start, q.Before)
	}
	return list[change.Event](ctx, sel, "events")
}

func (s *Changes) place(sel *bun.SelectQuery, q change.Query) {
	if q.Service == "" && q.Environment == "" {
		return
	}
	at := s.db.read.NewSelect().Table("event_places").ColumnExpr("1").Where("event_id = events.id")
	if q.Service != "" {
		at.Where("service = ?", column(q.Service))
	}
	if q.Environment != "" {
		at.Where("environment IN ('', ?)", column(q.Environment))
	}
	sel.Where("EXISTS (?)", at)
}

// startOf finds where a page begins.
func (s *Changes) startOf(ctx context.Context, id string) (int64, error) {
	var start int64
	err := s.db.read.NewSelect().Table("events").Column("start_ns").Where("id = ?", column(id)).Scan(ctx, &start)
	if errors.Is(err, sql.ErrNoRows) {
		return 0, fault.Invalid("before: no event %q", id)
	}
	return start, wrap("read event", err)
}

// waitingUntil is what the column holds.
func waitingUntil(e *change.Event) int64 {
	if e.Placement == nil || e.Placement.State != change.PlacementWaiting {
		return 0
	}
	return nanos(e.Placement.Until)
}

// Waiting implements change.Placer.
func (s *Changes) Waiting(ctx context.Context, limit int) ([]change.Event, error) {
	sel := s.db.read.NewSelect().Table("events").Column("doc").Where("waiting_until_ns <> 0").
		OrderExpr("waiting_until_ns, id").Limit(limited(limit))
	return list[change.Event](ctx, sel, "waiting events")
}

// Place implements change.Placer.
func (s *Changes) Place(ctx context.Context, e change.Event) (placed bool, err error) {
	places := placesOf(&e)
	if len(places) > maxPlaces {
		return false, fault.Invalid("event %q is about %d services, the limit is %d", e.ID, len(places), maxPlaces)
	}
	doc, err := encode("event", e, maxEvent)
	if err != nil {
		return false, err
	}
	err = s.db.inTx(ctx, func(tx bun.Tx) error {
		placed, err = changed(tx.NewUpdate().Table("events").Set("doc = ?", doc).Set("waiting_until_ns = ?", waitingUntil(&e)).
			Where("id = ?", column(e.ID)).Where("waiting_until_ns <> 0").Exec(ctx))
		if err != nil || !placed {
			return err
		}
		if _, err := tx.NewDelete().Table("event_places").Where("event_id = ?", column(e.ID)).Exec(ctx); err != nil {
			return err
		}
		if len(places) > 0 {
			_, err = tx.NewInsert().Model(&places).Exec(ctx)
		}
		return err
	})
	return placed, wrap("place event", err)
}
