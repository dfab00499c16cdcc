package state

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"github.com/uptrace/bun"

	"github.com/tidegate-io/tidegate/fault"
	"github.com/tidegate-io/tidegate/healing"
)

// Healing implements healing.Store.
type Healing struct{ db *DB }

// Healing returns the store of actions on problems.
func (db *DB) Healing() *Healing { return &Healing{db} }

var _ healing.Store = (*Healing)(nil)

// maxSaid bounds a line of the audit.
const maxSaid = 64 << 10

type healingRow struct {
	bun.BaseModel `bun:"table:healing_actions"`

	ID           string `bun:",pk"`
	Problem      string
	Subject      string
	State        string
	CreatedNs    int64
	DueNs        int64
	ActedNs      int64
	LeaseOwner   string
	LeaseUntilNs int64
	Doc          string
}

type healingAuditRow struct {
	bun.BaseModel `bun:"table:healing_audit"`

	Seq     int64 `bun:",pk,autoincrement"`
	AtNs    int64
	Action  string
	Problem string
	Doc     string
}

func healingRowOf(a *healing.Action) (*healingRow, error) {
	doc, err := encode("healing action", a, maxEvent)
	return &healingRow{ID: a.ID, Problem: column(a.Problem), Subject: column(a.Subject), State: string(a.State),
		CreatedNs: nanos(a.Created), DueNs: nanos(a.Due), ActedNs: nanos(a.Acted), LeaseUntilNs: nanos(time.Time{}), Doc: doc}, err
}

// Create implements healing.Store.
func (s *Healing) Create(ctx context.Context, a healing.Action, entries ...healing.Entry) (created bool, err error) {
	if err := checkID("healing action", a.ID); err != nil {
		return false, err
	}
	row, err := healingRowOf(&a)
	if err != nil {
		return false, err
	}
	err = s.db.inTx(ctx, func(tx bun.Tx) error {
		if created, err = changed(tx.NewInsert().Model(row).On("CONFLICT DO NOTHING").Exec(ctx)); err != nil || !created {
			return err
		}
		return appendAudit(ctx, tx, entries)
	})
	return created && err == nil, wrap("create healing action", err)
}

func appendAudit(ctx context.Context, tx bun.Tx, entries []healing.Entry) error {
	for _, e := range entries {
		doc, err := encode("healing audit", e, maxSaid)
		if err != nil {
			return err
		}
		row := healingAuditRow{AtNs: nanos(e.Time), Action: column(e.Action), Problem: column(e.Problem), Doc: doc}
		if _, err := tx.NewInsert().Model(&row).Exec(ctx); err != nil {
			return err
		}
	}
	return nil
}

// Claimable implements healing.Store.
func (s *Healing) Claimable(ctx context.Context, owner string, now time.Time, limit int) ([]string, error) {
	ids := []string{}
	err := s.db.read.NewSelect().Table("healing_actions").Column("id").
		Where("state <> ?", healing.StateEnded).Where("due_ns <= ?", nanos(now)).
		Where("(lease_owner = ? OR lease_until_ns <= ?)", column(owner), nanos(now)).
		OrderExpr("created_ns, id").Limit(limited(limit)).Scan(ctx, &ids)
	return ids, wrap("list unfinished healing actions", err)
}

// Claim implements healing.Store. One statement decides, so that of several
// replicas one gets the action.
func (s *Healing) Claim(ctx context.Context, id string, l healing.Lease, now time.Time) (healing.Action, bool, error) {
	var doc string
	err := s.db.write.NewUpdate().Table("healing_actions").
		Set("lease_owner = ?", column(l.Owner)).Set("lease_until_ns = ?", nanos(l.Until)).
		Where("id = ?", column(id)).Where("state <> ?", healing.StateEnded).
		Where("(lease_owner = ? OR lease_until_ns <= ?)", column(l.Owner), nanos(now)).
		Returning("doc").Scan(ctx, &doc)
	if errors.Is(err, sql.ErrNoRows) {
		return healing.Action{}, false, nil
	}
	if err != nil {
		return healing.Action{}, false, wrap("claim healing action", err)
	}
	a, err := decode[healing.Action](doc)
	return a, err == nil, err
}

// Save implements healing.Store.
func (s *Healing) Save(ctx context.Context, a healing.Action, l healing.Lease, entries ...healing.Entry) error {
	return wrap("save healing action", s.db.inTx(ctx, func(tx bun.Tx) error { return saveAction(ctx, tx, a, l, entries) }))
}

func saveAction(ctx context.Context, tx bun.Tx, a healing.Action, l healing.Lease, entries []healing.Entry) error {
	row, err := healingRowOf(&a)
	if err != nil {
		return err
	}
	held, err := changed(tx.NewUpdate().Table("healing_actions").
		Set("state = ?", row.State).Set("due_ns = ?", row.DueNs).Set("acted_ns = ?", row.ActedNs).
		Set("doc = ?", row.Doc).Set("lease_until_ns = ?", nanos(l.Until)).
		Where("id = ?", column(a.ID)).Where("lease_owner = ?", column(l.Owner)).Exec(ctx))
	if err == nil && !held {
		return fault.Conflict("healing action %q is not held by %q", a.ID, l.Owner)
	}
	if err != nil {
		return err
	}
	return appendAudit(ctx, tx, entries)
}

// Reserve implements healing.Store. On PostgreSQL the row of the switch is the
// lock; SQLite has one writer at a time.
func (s *Healing) Reserve(ctx context.Context, a healing.Action, l healing.Lease, since time.Time,
	decide func(healing.Reservation) (healing.Action, []healing.Entry, error)) error {
	return wrap("reserve healing action", s.db.inTx(ctx, func(tx bun.Tx) error {
		var r healing.Reservation
		var err error
		sel := tx.NewSelect().Table("healing_stop").Column("doc").Where("id = 1")
		if s.db.postgres {
			sel.For("UPDATE")
		}
		if r.Stop, err = one[healing.Stop](ctx, sel, "switch of healing", "1"); err != nil {
			return err
		}
		recent := tx.NewSelect().Table("healing_actions").Column("doc").
			Where("(acted_ns >= ? OR subject = ?)", nanos(since), column(a.Subject)).OrderExpr("created_ns DESC, id DESC").Limit(maxList)
		if r.Recent, err = list[healing.Action](ctx, recent, "healing actions"); err != nil {
			return err
		}
		a, entries, err := decide(r)
		if err != nil {
			return err
		}
		return saveAction(ctx, tx, a, l, entries)
	}))
}

// Action implements healing.Store.
func (s *Healing) Action(ctx context.Context, id string) (healing.Action, error) {
	q := s.db.read.NewSelect().Table("healing_actions").Column("doc").Where("id = ?", column(id))
	return one[healing.Action](ctx, q, "healing action", id)
}

// Actions implements healing.Store.
func (s *Healing) Actions(ctx context.Context, q healing.Query) ([]healing.Action, error) {
	sel := s.db.read.NewSelect().Table("healing_actions").Column("doc").
		OrderExpr("created_ns DESC, id DESC").Limit(limited(q.Limit))
	if q.Problem != "" {
		sel.Where("problem = ?", column(q.Problem))
	}
	if q.Subject != "" {
		sel.Where("subject = ?", column(q.Subject))
	}
	if !q.ActedSince.IsZero() {
		sel.Where("acted_ns >= ?", nanos(q.ActedSince))
	}
	if q.Unfinished {
		sel.Where("state <> ?", healing.StateEnded)
	}
	return list[healing.Action](ctx, sel, "healing actions")
}

// Audit implements healing.Store.
func (s *Healing) Audit(ctx context.Context, action, problem string, limit int) ([]healing.Entry, error) {
	var rows []healingAuditRow
	q := s.db.read.NewSelect().Model(&rows).OrderExpr("seq DESC").Limit(limited(limit))
	if action != "" {
		q.Where("action = ?", column(action))
	}
	if problem != "" {
		q.Where("problem = ?", column(problem))
	}
	if err := q.Scan(ctx); err != nil {
		return nil, wrap("list healing audit", err)
	}
	out := make([]healing.Entry, len(rows))
	for i, r := range rows {
		e, err := decode[healing.Entry](r.Doc)
		if err != nil {
			return nil, err
		}
		e.Seq = r.Seq
		out[i] = e
	}
	return out, nil
}

// Stop implements healing.Store.
func (s *Healing) Stop(ctx context.Context) (healing.Stop, error) {
	q := s.db.read.NewSelect().Table("healing_stop").Column("doc").Where("id = 1")
	return one[healing.Stop](ctx, q, "switch of healing", "1")
}

// SetStop implements healing.Store.
func (s *Healing) SetStop(ctx context.Context, stop healing.Stop, e healing.Entry) error {
	doc, err := encode("switch of healing", stop, maxSaid)
	if err != nil {
		return err
	}
	return wrap("set the switch of healing", s.db.inTx(ctx, func(tx bun.Tx) error {
		if _, err := tx.NewUpdate().Table("healing_stop").Set("doc = ?", doc).Where("id = 1").Exec(ctx); err != nil {
			return err
		}
		return appendAudit(ctx, tx, []healing.Entry{e})
	}))
}
