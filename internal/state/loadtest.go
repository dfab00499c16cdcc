package state

import (
	"context"

	"github.com/uptrace/bun"

	"github.com/tidegate-io/tidegate/loadtest"
)

// LoadTests implements loadtest.Store.
type LoadTests struct{ db *DB }

// LoadTests returns the store of load-test runs.
func (db *DB) LoadTests() *LoadTests { return &LoadTests{db} }

var _ loadtest.Store = (*LoadTests)(nil)

type loadRunRow struct {
	bun.BaseModel `bun:"table:load_runs"`

	ID        string `bun:",pk"`
	Test      string
	State     string
	StartedNs int64
	Doc       string
}

// PutRun implements loadtest.Store.
func (s *LoadTests) PutRun(ctx context.Context, r loadtest.Run) error {
	if err := checkID("load-test run", r.ID); err != nil {
		return err
	}
	doc, err := encode("load-test run", r, maxDocument)
	if err != nil {
		return err
	}
	row := loadRunRow{ID: r.ID, Test: column(r.Test), State: column(string(r.State)), StartedNs: nanos(r.Started), Doc: doc}
	_, err = s.db.write.NewInsert().Model(&row).On("CONFLICT (id) DO UPDATE").
		Set("test = EXCLUDED.test, state = EXCLUDED.state, started_ns = EXCLUDED.started_ns, doc = EXCLUDED.doc").Exec(ctx)
	return wrap("put load-test run", err)
}

// Run implements loadtest.Store.
func (s *LoadTests) Run(ctx context.Context, id string) (loadtest.Run, error) {
	q := s.db.read.NewSelect().Table("load_runs").Column("doc").Where("id = ?", column(id))
	return one[loadtest.Run](ctx, q, "load-test run", id)
}

// Runs implements loadtest.Store; an empty test does not restrict.
func (s *LoadTests) Runs(ctx context.Context, test string, limit int) ([]loadtest.Run, error) {
	q := s.db.read.NewSelect().Table("load_runs").Column("doc").
		OrderExpr("started_ns DESC, id DESC").Limit(limited(limit))
	if test != "" {
		q.Where("test = ?", column(test))
	}
	return list[loadtest.Run](ctx, q, "load-test runs")
}
