package state

import (
	"context"
	"time"

	"github.com/uptrace/bun"

	"github.com/tidegate-io/tidegate/fault"
	"github.com/tidegate-io/tidegate/flag"
)

// keyRetention is how long an idempotency key is remembered.
const keyRetention = 30 * 24 * time.Hour

// Flags implements flag.Store.
type Flags struct{ db *DB }

// Flags returns the store of runtime flag changes.
func (db *DB) Flags() *Flags { return &Flags{db} }

var _ flag.Store = (*Flags)(nil)

type overrideRow struct {
	bun.BaseModel `bun:"table:flag_overrides"`

	FlagSet string
	FlagKey string
	Doc     string
}

type auditRow struct {
	bun.BaseModel `bun:"table:flag_audits"`

	ID      string
	FlagSet string
	FlagKey string
	AtNs    int64
	Doc     string
}

type flagRequestRow struct {
	bun.BaseModel `bun:"table:flag_requests"`

	IdempotencyKey string
	AtNs           int64
}

// SetOverride implements flag.Store.
func (s *Flags) SetOverride(ctx context.Context, o flag.Override, a flag.Audit, idempotencyKey string) (bool, error) {
	audit, err := newAuditRow(a)
	if err != nil {
		return false, err
	}
	doc, err := encode("flag override", o, maxEvent)
	if err != nil {
		return false, err
	}
	if idempotencyKey != "" {
		if err := checkID("idempotency", idempotencyKey); err != nil {
			return false, err
		}
	}
	applied := false
	err = s.db.inTx(ctx, func(tx bun.Tx) error {
		fresh, err := useKey(ctx, tx, idempotencyKey, a.At)
		if err != nil || !fresh {
			return err
		}
		row := overrideRow{FlagSet: column(o.Set), FlagKey: column(o.Key), Doc: doc}
		if _, err := tx.NewInsert().Model(&row).
			On("CONFLICT (flag_set, flag_key) DO UPDATE").Set("doc = EXCLUDED.doc").Exec(ctx); err != nil {
			return err
		}
		applied = true
		return addAudit(ctx, tx, audit)
	})
	if err != nil {
		return false, wrap("set flag", err)
	}
	return applied, nil
}

// useKey claims an idempotency key; false when it was used before. Keys far
// older than the retention make room.
func useKey(ctx context.Context, tx bun.Tx, key string, at time.Time) (bool, error) {
	if key == "" {
		return true, nil
	}
	if _, err := tx.NewDelete().Model((*flagRequestRow)(nil)).
		Where("at_ns < ?", nanos(at.Add(-keyRetention))).Exec(ctx); err != nil {
		return false, err
	}
	return changed(tx.NewInsert().Model(&flagRequestRow{IdempotencyKey: key, AtNs: nanos(at)}).
		On("CONFLICT DO NOTHING").Exec(ctx))
}

// ClearOverride implements flag.Store. A fault of KindNotFound when there is
// no override to clear.
func (s *Flags) ClearOverride(ctx context.Context, set, key string, a flag.Audit) error {
	audit, err := newAuditRow(a)
	if err != nil {
		return err
	}
	return wrap("clear flag", s.db.inTx(ctx, func(tx bun.Tx) error {
		cleared, err := changed(tx.NewDelete().Model((*overrideRow)(nil)).
			Where("flag_set = ? AND flag_key = ?", column(set), column(key)).Exec(ctx))
		if err != nil {
			return err
		}
		if !cleared {
			return fault.NotFound("flag %q of set %q has no runtime change", key, set)
		}
		return addAudit(ctx, tx, audit)
	}))
}

// Overrides implements flag.Store, ordered by set and key.
func (s *Flags) Overrides(ctx context.Context) ([]flag.Override, error) {
	q := s.db.read.NewSelect().Table("flag_overrides").Column("doc").OrderExpr("flag_set, flag_key")
	return list[flag.Override](ctx, q, "flag overrides")
}

// AddAudit implements flag.Store.
func (s *Flags) AddAudit(ctx context.Context, a flag.Audit) error {
	row, err := newAuditRow(a)
	if err != nil {
		return err
	}
	return wrap("add audit", addAudit(ctx, s.db.write, row))
}

// Audits implements flag.Store.
func (s *Flags) Audits(ctx context.Context, set, key string, limit int) ([]flag.Audit, error) {
	q := s.db.read.NewSelect().Table("flag_audits").Column("doc").
		OrderExpr("at_ns DESC, seq DESC").Limit(limited(limit))
	if set != "" {
		q.Where("flag_set = ?", column(set))
	}
	if key != "" {
		q.Where("flag_key = ?", column(key))
	}
	return list[flag.Audit](ctx, q, "audits")
}

func newAuditRow(a flag.Audit) (*auditRow, error) {
	if err := checkID("audit", a.ID); err != nil {
		return nil, err
	}
	doc, err := encode("audit", a, maxEvent)
	if err != nil {
		return nil, err
	}
	return &auditRow{ID: a.ID, FlagSet: column(a.Set), FlagKey: column(a.Key), AtNs: nanos(a.At), Doc: doc}, nil
}

func addAudit(ctx context.Context, db bun.IDB, row *auditRow) error {
	added, err := changed(db.NewInsert().Model(row).On("CONFLICT (id) DO NOTHING").Exec(ctx))
	if err == nil && !added {
		return fault.Conflict("audit %q exists already", row.ID)
	}
	return err
}
