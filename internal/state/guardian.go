package state

import (
	"context"
	"database/sql"
	"errors"

	"github.com/uptrace/bun"

	"github.com/tidegate-io/tidegate/evidence"
	"github.com/tidegate-io/tidegate/fault"
	"github.com/tidegate-io/tidegate/guardian"
)

// Guardians implements guardian.Store.
type Guardians struct{ db *DB }

// Guardians returns the store of validations.
func (db *DB) Guardians() *Guardians { return &Guardians{db} }

var _ guardian.Store = (*Guardians)(nil)

type validationRow struct {
	bun.BaseModel `bun:"table:validations"`

	ID        string `bun:",pk"`
	Guardian  string
	Number    int
	Variant   string
	State     string
	CreatedNs int64
	Pinned    bool
	Doc       string
	Detail    string
}

// detail is the part of a validation that is large and not listed.
type detail struct {
	Evidence *evidence.Evidence `json:"evidence,omitempty"`
	Sources  []guardian.Source  `json:"sources,omitempty"`
	Watch    *guardian.Watch    `json:"watch,omitempty"`
}

func newValidationRow(v guardian.Validation) (*validationRow, error) {
	more, err := encode("evidence", detail{v.Evidence, v.Sources, v.Watch}, maxDocument)
	if err != nil {
		return nil, err
	}
	v.Evidence, v.Sources, v.Watch = nil, nil, nil
	doc, err := encode("validation", v, maxDocument)
	if err != nil {
		return nil, err
	}
	return &validationRow{ID: v.ID, Guardian: v.Guardian, Number: v.Number, Variant: column(v.Variant),
		State: column(string(v.State)), CreatedNs: nanos(v.Created), Pinned: v.Pinned, Doc: doc, Detail: more}, nil
}

// Create implements guardian.Store. Numbers of a guardian have no gaps.
func (s *Guardians) Create(ctx context.Context, v guardian.Validation) (guardian.Validation, bool, error) {
	if err := errors.Join(checkID("validation", v.ID), checkID("guardian", v.Guardian)); err != nil {
		return v, false, err
	}
	switch old, err := s.Validation(ctx, v.ID); {
	case err == nil:
		return old, false, nil
	case !fault.Is(err, fault.KindNotFound):
		return v, false, err
	}
	err := s.db.inTx(ctx, func(tx bun.Tx) error {
		if err := tx.NewRaw(`INSERT INTO guardian_numbers (guardian, last) VALUES (?, 1)
			ON CONFLICT (guardian) DO UPDATE SET last = guardian_numbers.last + 1 RETURNING last`, v.Guardian).
			Scan(ctx, &v.Number); err != nil {
			return err
		}
		row, err := newValidationRow(v)
		if err != nil {
			return err
		}
		added, err := changed(tx.NewInsert().Model(row).On("CONFLICT (id) DO NOTHING").Exec(ctx))
		if err == nil && !added {
			return errExists // rolls the number back
		}
		return err
	})
	if errors.Is(err, errExists) {
		old, err := s.Validation(ctx, v.ID)
		return old, false, err
	}
	return v, err == nil, wrap("create validation", err)
}

var errExists = errors.New("exists already")

// Update implements guardian.Store. Guardian and Number of a validation never
// change; a fault of KindNotFound when no validation has all three.
func (s *Guardians) Update(ctx context.Context, v guardian.Validation) error {
	row, err := newValidationRow(v)
	if err != nil {
		return err
	}
	found, err := changed(s.db.write.NewUpdate().Model(row).Column("variant", "state", "pinned", "doc", "detail").
		Where("id = ? AND guardian = ? AND number = ?", column(v.ID), column(v.Guardian), v.Number).Exec(ctx))
	if err == nil && !found {
		return fault.NotFound("no validation %q with number %d of guardian %q", v.ID, v.Number, v.Guardian)
	}
	return wrap("update validation", err)
}

// Validation implements guardian.Store.
func (s *Guardians) Validation(ctx context.Context, id string) (guardian.Validation, error) {
	var row validationRow
	err := s.db.read.NewSelect().Model(&row).Column("doc", "detail").Where("id = ?", column(id)).Scan(ctx)
	if errors.Is(err, sql.ErrNoRows) {
		return guardian.Validation{}, fault.NotFound("no validation %q", id)
	}
	if err != nil {
		return guardian.Validation{}, wrap("read validation", err)
	}
	v, err := decode[guardian.Validation](row.Doc)
	if err != nil {
		return v, err
	}
	more, err := decode[detail](row.Detail)
	v.Evidence, v.Sources, v.Watch = more.Evidence, more.Sources, more.Watch
	return v, err
}

// Validations implements guardian.Store: without Evidence, Sources and Watch,
// which only Validation returns. Without a guardian, validations of all guardians
// are listed by creation.
func (s *Guardians) Validations(ctx context.Context, q guardian.HistoryQuery) ([]guardian.Validation, error) {
	sel := s.db.read.NewSelect().Table("validations").Column("doc").Limit(limited(q.Limit))
	if q.Guardian != "" {
		sel.Where("guardian = ?", column(q.Guardian)).OrderExpr("number DESC")
	} else {
		sel.OrderExpr("created_ns DESC, id DESC")
	}
	if q.Variant != nil {
		sel.Where("variant = ?", column(*q.Variant))
	}
	if q.State != "" {
		sel.Where("state = ?", column(string(q.State)))
	}
	if q.Pinned {
		sel.Where("pinned")
	}
	if q.Before > 0 {
		sel.Where("number < ?", q.Before)
	}
	return list[guardian.Validation](ctx, sel, "validations")
}
