package state

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"github.com/uptrace/bun"

	"github.com/tidegate-io/tidegate/fault"
	"github.com/tidegate-io/tidegate/workflow"
)

// Workflows implements workflow.Store.
type Workflows struct{ db *DB }

// Workflows returns the store of workflow runs.
func (db *DB) Workflows() *Workflows { return &Workflows{db} }

var _ workflow.Store = (*Workflows)(nil)

type workflowRunRow struct {
	bun.BaseModel `bun:"table:workflow_runs"`

	ID           string `bun:",pk"`
	Workflow     string
	State        string
	StartedNs    int64
	LeaseOwner   string
	LeaseUntilNs int64
	Doc          string
}

// Create implements workflow.Store.
func (s *Workflows) Create(ctx context.Context, r workflow.Run) (bool, error) {
	if err := checkID("workflow run", r.ID); err != nil {
		return false, err
	}
	doc, err := encode("workflow run", r, maxDocument)
	if err != nil {
		return false, err
	}
	row := workflowRunRow{ID: r.ID, Workflow: column(r.Workflow), State: column(string(r.State)),
		StartedNs: nanos(r.Started), Doc: doc}
	created, err := changed(s.db.write.NewInsert().Model(&row).On("CONFLICT DO NOTHING").Exec(ctx))
	return created, wrap("create workflow run", err)
}

// Claim implements workflow.Store. One statement decides, so that of several
// replicas one gets the run.
func (s *Workflows) Claim(ctx context.Context, id string, l workflow.Lease, now time.Time) (workflow.Run, bool, error) {
	var doc string
	err := s.db.write.NewUpdate().Table("workflow_runs").
		Set("lease_owner = ?", column(l.Owner)).Set("lease_until_ns = ?", nanos(l.Until)).
		Where("id = ?", column(id)).Where("state IN (?)", bun.List(unfinished)).
		Where("(lease_owner = ? OR lease_until_ns <= ?)", column(l.Owner), nanos(now)).
		Returning("doc").Scan(ctx, &doc)
	if errors.Is(err, sql.ErrNoRows) {
		return workflow.Run{}, false, nil
	}
	if err != nil {
		return workflow.Run{}, false, wrap("claim workflow run", err)
	}
	r, err := decode[workflow.Run](doc)
	return r, err == nil, err
}

// Save implements workflow.Store.
func (s *Workflows) Save(ctx context.Context, r workflow.Run, l workflow.Lease) error {
	doc, err := encode("workflow run", r, maxDocument)
	if err != nil {
		return err
	}
	held, err := changed(s.db.write.NewUpdate().Table("workflow_runs").
		Set("state = ?", r.State).Set("doc = ?", doc).Set("lease_until_ns = ?", nanos(l.Until)).
		Where("id = ?", column(r.ID)).Where("lease_owner = ?", column(l.Owner)).Exec(ctx))
	if err == nil && !held {
		return fault.Conflict("workflow run %q is not held by %q", r.ID, l.Owner)
	}
	return wrap("save workflow run", err)
}

// Run implements workflow.Store.
func (s *Workflows) Run(ctx context.Context, id string) (workflow.Run, error) {
	q := s.db.read.NewSelect().Table("workflow_runs").Column("doc").Where("id = ?", column(id))
	return one[workflow.Run](ctx, q, "workflow run", id)
}

// Runs implements workflow.Store.
func (s *Workflows) Runs(ctx context.Context, name string, limit int) ([]workflow.Run, error) {
	q := s.db.read.NewSelect().Table("workflow_runs").Column("doc").
		OrderExpr("started_ns DESC, id DESC").Limit(limited(limit))
	if name != "" {
		q.Where("workflow = ?", column(name))
	}
	return list[workflow.Run](ctx, q, "workflow runs")
}

// Claimable implements workflow.Store.
func (s *Workflows) Claimable(ctx context.Context, owner string, now time.Time, limit int) ([]string, error) {
	ids := []string{}
	err := s.db.read.NewSelect().Table("workflow_runs").Column("id").
		Where("state IN (?)", bun.List(unfinished)).Where("(lease_owner = ? OR lease_until_ns <= ?)", column(owner), nanos(now)).
		OrderExpr("started_ns, id").Limit(limited(limit)).Scan(ctx, &ids)
	return ids, wrap("list unfinished workflow runs", err)
}

var unfinished = []workflow.State{workflow.StatePending, workflow.StateRunning}
