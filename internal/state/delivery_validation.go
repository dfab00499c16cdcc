package state

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"github.com/uptrace/bun"

	"github.com/tidegate-io/tidegate/delivery/signature"
	"github.com/tidegate-io/tidegate/delivery/validation"
	"github.com/tidegate-io/tidegate/fault"
)

// Comparisons implements validation.Store.
type Comparisons struct{ db *DB }

// Comparisons returns the store of registered comparisons.
func (db *DB) Comparisons() *Comparisons { return &Comparisons{db} }

var _ validation.Store = (*Comparisons)(nil)

type comparisonRow struct {
	bun.BaseModel `bun:"table:comparison_validations"`

	ID           string `bun:",pk"`
	Pipeline     string
	Comparison   string
	Status       string
	CreatedNs    int64
	DueNs        int64
	LeaseOwner   string
	LeaseUntilNs int64
	Doc          string
	Definition   string
}

func newComparisonRow(v validation.Validation) (*comparisonRow, error) {
	definition, err := encode("performance signatures", v.Signatures, maxDocument)
	if err != nil {
		return nil, err
	}
	v.Signatures = nil
	doc, err := encode("validation", v, maxDocument)
	if err != nil {
		return nil, err
	}
	return &comparisonRow{ID: v.ID, Pipeline: column(v.Pipeline), Comparison: column(v.Comparison), Status: string(v.Status),
		CreatedNs: nanos(v.Created), DueNs: nanos(v.Due), LeaseUntilNs: nanos(time.Time{}), Doc: doc, Definition: definition}, nil
}

func (r *comparisonRow) validation() (validation.Validation, error) {
	v, err := decode[validation.Validation](r.Doc)
	if err != nil {
		return v, err
	}
	v.Signatures, err = decode[[]signature.Signature](r.Definition)
	return v, err
}

// Create implements validation.Store.
func (s *Comparisons) Create(ctx context.Context, v validation.Validation) (validation.Validation, bool, error) {
	if err := checkID("validation", v.ID); err != nil {
		return v, false, err
	}
	row, err := newComparisonRow(v)
	if err != nil {
		return v, false, err
	}
	created, err := changed(s.db.write.NewInsert().Model(row).On("CONFLICT DO NOTHING").Exec(ctx))
	if err != nil {
		return v, false, wrap("create validation", err)
	}
	if !created {
		old, err := s.Validation(ctx, v.ID)
		return old, false, err
	}
	return v, true, nil
}

// Claim implements validation.Store. One statement decides, so that of several
// processes one gets the validation.
func (s *Comparisons) Claim(ctx context.Context, l validation.Lease, now time.Time) (validation.Validation, bool, error) {
	due := s.db.write.NewSelect().Table("comparison_validations").Column("id").
		Where("status IN (?)", bun.List(unfinishedComparisons)).Where("due_ns <= ?", nanos(now)).
		Where("lease_until_ns <= ?", nanos(now)).OrderExpr("due_ns, id").Limit(1)
	if s.db.postgres {
		due.For("UPDATE SKIP LOCKED")
	}
	var row comparisonRow
	err := s.db.write.NewUpdate().Table("comparison_validations").
		Set("lease_owner = ?", column(l.Owner)).Set("lease_until_ns = ?", nanos(l.Until)).
		Where("id IN (?)", due).Returning("*").Scan(ctx, &row)
	if errors.Is(err, sql.ErrNoRows) {
		return validation.Validation{}, false, nil
	}
	if err != nil {
		return validation.Validation{}, false, wrap("claim validation", err)
	}
	v, err := row.validation()
	return v, err == nil, err
}

// Save implements validation.Store.
func (s *Comparisons) Save(ctx context.Context, v validation.Validation, l validation.Lease) error {
	row, err := newComparisonRow(v)
	if err != nil {
		return err
	}
	held, err := changed(s.db.write.NewUpdate().Table("comparison_validations").
		Set("status = ?", row.Status).Set("due_ns = ?", row.DueNs).Set("doc = ?", row.Doc).
		Set("lease_until_ns = ?", nanos(l.Until)).
		Where("id = ?", column(v.ID)).Where("lease_owner = ?", column(l.Owner)).
		Where("status IN (?)", bun.List(unfinishedComparisons)).Exec(ctx))
	if err == nil && !held {
		return fault.Conflict("validation %q is not held by %q", v.ID, l.Owner)
	}
	return wrap("save validation", err)
}

// Release implements validation.Store.
func (s *Comparisons) Release(ctx context.Context, owner string) error {
	_, err := s.db.write.NewUpdate().Table("comparison_validations").Set("lease_until_ns = ?", nanos(time.Time{})).
		Where("status IN (?)", bun.List(unfinishedComparisons)).Where("lease_owner = ?", column(owner)).Exec(ctx)
	return wrap("release validations", err)
}

// Validation implements validation.Store.
func (s *Comparisons) Validation(ctx context.Context, id string) (validation.Validation, error) {
	var row comparisonRow
	err := s.db.read.NewSelect().Model(&row).Column("doc", "definition").Where("id = ?", column(id)).Scan(ctx)
	if errors.Is(err, sql.ErrNoRows) {
		return validation.Validation{}, fault.NotFound("no registered validation %q", id)
	}
	if err != nil {
		return validation.Validation{}, wrap("read validation", err)
	}
	return row.validation()
}

// Validations implements validation.Store.
func (s *Comparisons) Validations(ctx context.Context, q validation.Query) ([]validation.Validation, error) {
	sel := s.db.read.NewSelect().Table("comparison_validations").Column("doc").
		OrderExpr("created_ns DESC, id DESC").Limit(limited(q.Limit))
	for col, v := range map[string]string{"pipeline": q.Pipeline, "comparison": q.Comparison, "status": string(q.Status)} {
		if v != "" {
			sel.Where("? = ?", bun.Ident(col), column(v))
		}
	}
	if q.Before != "" {
		before, err := s.Validation(ctx, q.Before)
		if err != nil {
			return nil, fault.Invalid("before: no registered validation %q", q.Before)
		}
		sel.Where("(created_ns, id) < (?, ?)", nanos(before.Created), q.Before)
	}
	return list[validation.Validation](ctx, sel, "validations")
}

var unfinishedComparisons = []validation.Status{validation.StatusWaiting, validation.StatusRunning}
