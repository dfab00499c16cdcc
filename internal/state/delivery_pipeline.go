package state

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/uptrace/bun"
	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"github.com/tidegate-io/tidegate/delivery/pipeline"
	"github.com/tidegate-io/tidegate/fault"
)

// Pipelines implements pipeline.Store.
type Pipelines struct{ db *DB }

// Pipelines returns the store of releases and deployments.
func (db *DB) Pipelines() *Pipelines { return &Pipelines{db} }

var _ pipeline.Store = (*Pipelines)(nil)

type releaseRow struct {
	bun.BaseModel `bun:"table:releases"`

	ID           string `bun:",pk"`
	Pipeline     string
	Number       int
	Finished     bool
	Stage        string
	CreatedNs    int64
	DueNs        int64
	LeaseOwner   string
	LeaseUntilNs int64
	Doc          string
}

func newReleaseRow(r pipeline.Release, l pipeline.Lease) (*releaseRow, error) {
	doc, err := encode("release", r, maxDocument)
	if err != nil {
		return nil, err
	}
	return &releaseRow{ID: r.ID, Pipeline: column(r.Pipeline), Number: r.Number, Finished: r.State.Finished(),
		Stage: column(r.Occupies()), CreatedNs: nanos(r.Created), DueNs: nanos(r.Due),
		LeaseOwner: column(l.Owner), LeaseUntilNs: nanos(l.Until), Doc: doc}, nil
}

// Create implements pipeline.Store. Numbers of a pipeline have no gaps.
func (s *Pipelines) Create(ctx context.Context, r pipeline.Release) (pipeline.Release, bool, error) {
	if err := errors.Join(checkID("release", r.ID), checkID("pipeline", r.Pipeline)); err != nil {
		return r, false, err
	}
	err := s.db.inTx(ctx, func(tx bun.Tx) error {
		if err := tx.NewRaw(`INSERT INTO pipeline_numbers (pipeline, last) VALUES (?, 1)
			ON CONFLICT (pipeline) DO UPDATE SET last = pipeline_numbers.last + 1 RETURNING last`, r.Pipeline).
			Scan(ctx, &r.Number); err != nil {
			return err
		}
		row, err := newReleaseRow(r, pipeline.Lease{})
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
		old, err := s.Release(ctx, r.ID)
		return old, false, err
	}
	return r, err == nil, wrap("create release", err)
}

// Claimable implements pipeline.Store.
func (s *Pipelines) Claimable(ctx context.Context, owner string, now time.Time, limit int) ([]string, error) {
	ids := []string{}
	err := s.db.read.NewSelect().Table("releases").Column("id").Where("NOT finished").Where("due_ns <= ?", nanos(now)).
		Where("(lease_owner = ? OR lease_until_ns <= ?)", column(owner), nanos(now)).
		OrderExpr("created_ns, id").Limit(limited(limit)).Scan(ctx, &ids)
	return ids, wrap("list releases that are due", err)
}

// Claim implements pipeline.Store. One statement decides, so that of several
// processes one gets the release.
func (s *Pipelines) Claim(ctx context.Context, id string, l pipeline.Lease, now time.Time) (pipeline.Release, bool, error) {
	var doc string
	err := s.db.write.NewUpdate().Table("releases").
		Set("lease_owner = ?", column(l.Owner)).Set("lease_until_ns = ?", nanos(l.Until)).
		Where("id = ?", column(id)).Where("NOT finished").
		Where("(lease_owner = ? OR lease_until_ns <= ?)", column(l.Owner), nanos(now)).
		Returning("doc").Scan(ctx, &doc)
	if errors.Is(err, sql.ErrNoRows) {
		return pipeline.Release{}, false, nil
	}
	if err != nil {
		return pipeline.Release{}, false, wrap("claim release", err)
	}
	r, err := decode[pipeline.Release](doc)
	return r, err == nil, err
}

var releaseColumns = []string{"finished", "stage", "due_ns", "lease_until_ns", "doc"}

// Save implements pipeline.Store.
func (s *Pipelines) Save(ctx context.Context, r pipeline.Release, l pipeline.Lease) error {
	held, err := s.save(ctx, r, l)
	if err == nil && !held {
		return fault.Conflict("release %q is not held by %q", r.ID, l.Owner)
	}
	return wrap("save release", err)
}

// Enter implements pipeline.Store: the unique index on pipeline and stage says
// whether the stage is free.
func (s *Pipelines) Enter(ctx context.Context, r pipeline.Release, l pipeline.Lease) (bool, error) {
	held, err := s.save(ctx, r, l)
	switch {
	case unique(err):
		return false, nil
	case err == nil && !held:
		return false, fault.Conflict("release %q is not held by %q", r.ID, l.Owner)
	}
	return err == nil, wrap("enter stage", err)
}

func (s *Pipelines) save(ctx context.Context, r pipeline.Release, l pipeline.Lease) (bool, error) {
	row, err := newReleaseRow(r, l)
	if err != nil {
		return false, err
	}
	return changed(s.db.write.NewUpdate().Model(row).Column(releaseColumns...).
		Where("id = ?", row.ID).Where("lease_owner = ?", row.LeaseOwner).Exec(ctx))
}

// unique reports whether a unique index refused a row.
func unique(err error) bool {
	var lite *sqlite.Error
	if errors.As(err, &lite) {
		return lite.Code() == sqlite3.SQLITE_CONSTRAINT_UNIQUE
	}
	var pg *pgconn.PgError
	return errors.As(err, &pg) && pg.Code == "23505" // unique_violation
}

// Reopen implements pipeline.Store.
func (s *Pipelines) Reopen(ctx context.Context, r pipeline.Release) (bool, error) {
	row, err := newReleaseRow(r, pipeline.Lease{})
	if err != nil {
		return false, err
	}
	ok, err := changed(s.db.write.NewUpdate().Model(row).Column(append([]string{"lease_owner"}, releaseColumns...)...).
		Where("id = ?", row.ID).Where("finished").Exec(ctx))
	return ok, wrap("reopen release", err)
}

// Release implements pipeline.Store.
func (s *Pipelines) Release(ctx context.Context, id string) (pipeline.Release, error) {
	return one[pipeline.Release](ctx, s.db.read.NewSelect().Table("releases").Column("doc").Where("id = ?", column(id)), "release", id)
}

// Releases implements pipeline.Store.
func (s *Pipelines) Releases(ctx context.Context, q pipeline.ReleaseQuery) ([]pipeline.Release, error) {
	sel := s.db.read.NewSelect().Table("releases").Column("doc").Limit(limited(q.Limit))
	if q.Pipeline != "" {
		sel.Where("pipeline = ?", column(q.Pipeline)).OrderExpr("number DESC")
	} else {
		sel.OrderExpr("created_ns DESC, id DESC")
	}
	if q.Unfinished {
		sel.Where("NOT finished")
	}
	if q.Before > 0 {
		sel.Where("number < ?", q.Before)
	}
	return list[pipeline.Release](ctx, sel, "releases")
}

type decisionRow struct {
	bun.BaseModel `bun:"table:release_decisions"`

	Release string `bun:",pk"`
	Stage   string `bun:",pk"`
	Action  string `bun:",pk"`
	Attempt int    `bun:",pk"`
	Doc     string
}

// Decide implements pipeline.Store.
func (s *Pipelines) Decide(ctx context.Context, d pipeline.Decision) (pipeline.Decision, bool, error) {
	if err := checkID("release", d.Release); err != nil {
		return d, false, err
	}
	doc, err := encode("decision", d, maxEvent)
	if err != nil {
		return d, false, err
	}
	row := decisionRow{Release: d.Release, Stage: column(d.Stage), Action: column(d.Action), Attempt: d.Attempt, Doc: doc}
	won, err := changed(s.db.write.NewInsert().Model(&row).On("CONFLICT DO NOTHING").Exec(ctx))
	if err != nil {
		return d, false, wrap("store decision", err)
	}
	if won {
		return d, true, nil
	}
	stands, ok, err := s.Decision(ctx, d.Release, d.Stage, d.Action, d.Attempt)
	if err == nil && !ok {
		err = fault.Internal("state: the decision that stands is gone")
	}
	return stands, false, err
}

// Decision implements pipeline.Store.
func (s *Pipelines) Decision(ctx context.Context, release, stage, action string, attempt int) (pipeline.Decision, bool, error) {
	// By the writer's connection: it must see what Decide has just found.
	q := s.db.write.NewSelect().Table("release_decisions").Column("doc").
		Where("release = ? AND stage = ? AND action = ? AND attempt = ?", column(release), column(stage), column(action), attempt)
	d, err := one[pipeline.Decision](ctx, q, "decision", release)
	if fault.Is(err, fault.KindNotFound) {
		return d, false, nil
	}
	return d, err == nil, err
}

type deploymentRow struct {
	bun.BaseModel `bun:"table:deployments"`

	ID          string `bun:",pk"`
	App         string
	Environment string
	Release     string
	StartedNs   int64
	Doc         string
}

// PutDeployment implements pipeline.Store.
func (s *Pipelines) PutDeployment(ctx context.Context, d pipeline.Deployment) error {
	if err := checkID("deployment", d.ID); err != nil {
		return err
	}
	doc, err := encode("deployment", d, maxEvent)
	if err != nil {
		return err
	}
	row := deploymentRow{ID: d.ID, App: column(d.Target.App), Environment: column(d.Target.Environment),
		Release: column(d.Release), StartedNs: nanos(d.Started), Doc: doc}
	_, err = s.db.write.NewInsert().Model(&row).On("CONFLICT (id) DO UPDATE").Set("doc = EXCLUDED.doc").Exec(ctx)
	return wrap("store deployment", err)
}

// Deployment implements pipeline.Store.
func (s *Pipelines) Deployment(ctx context.Context, id string) (pipeline.Deployment, error) {
	return one[pipeline.Deployment](ctx, s.db.read.NewSelect().Table("deployments").Column("doc").Where("id = ?", column(id)), "deployment", id)
}

// Deployments implements pipeline.Store.
func (s *Pipelines) Deployments(ctx context.Context, q pipeline.DeploymentQuery) ([]pipeline.Deployment, error) {
	sel := s.db.read.NewSelect().Table("deployments").Column("doc").OrderExpr("started_ns DESC, id DESC").Limit(limited(q.Limit))
	for col, v := range map[string]string{"app": q.App, "environment": q.Environment, "release": q.Release} {
		if v != "" {
			sel.Where("? = ?", bun.Ident(col), column(v))
		}
	}
	return list[pipeline.Deployment](ctx, sel, "deployments")
}
