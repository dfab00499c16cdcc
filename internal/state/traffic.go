package state

import (
	"context"

	"github.com/uptrace/bun"

	"github.com/tidegate-io/tidegate/delivery/rollout"
	"github.com/tidegate-io/tidegate/delivery/traffic"
	"github.com/tidegate-io/tidegate/fault"
)

// Traffic implements traffic.Store.
type Traffic struct{ db *DB }

var _ traffic.Store = (*Traffic)(nil)

// Traffic returns the store of splits.
func (db *DB) Traffic() *Traffic { return &Traffic{db} }

type splitRow struct {
	bun.BaseModel `bun:"table:traffic_splits"`

	Route      string `bun:",pk"`
	Generation int64
	Doc        string
}

// PutSplit implements traffic.Store.
func (s *Traffic) PutSplit(ctx context.Context, split traffic.Split) error {
	if err := checkID("route", split.Route); err != nil {
		return err
	}
	doc, err := encode("split", split, maxEvent)
	if err != nil {
		return err
	}
	row := splitRow{Route: split.Route, Generation: split.Generation, Doc: doc}
	put, err := changed(s.db.write.NewInsert().Model(&row).On("CONFLICT (route) DO UPDATE").
		Set("generation = EXCLUDED.generation, doc = EXCLUDED.doc").
		Where("?TableAlias.generation < EXCLUDED.generation").Exec(ctx))
	if err == nil && !put {
		return fault.Conflict("route %q has generation %d or a later one already", split.Route, split.Generation)
	}
	return wrap("put split", err)
}

// Splits implements traffic.Store.
func (s *Traffic) Splits(ctx context.Context) ([]traffic.Split, error) {
	return list[traffic.Split](ctx, s.db.read.NewSelect().Table("traffic_splits").Column("doc").OrderExpr("route"), "splits")
}

// Rollouts implements rollout.Store.
type Rollouts struct{ db *DB }

// Rollouts returns the store of rollouts.
func (db *DB) Rollouts() *Rollouts { return &Rollouts{db} }

var _ rollout.Store = (*Rollouts)(nil)

type rolloutRow struct {
	bun.BaseModel `bun:"table:rollout_runs"`

	ID        string `bun:",pk"`
	Rollout   string
	State     string
	Phase     string
	StartedNs int64
	Doc       string
}

// PutRun implements rollout.Store.
func (s *Rollouts) PutRun(ctx context.Context, r rollout.Run) error {
	if err := checkID("rollout run", r.ID); err != nil {
		return err
	}
	doc, err := encode("rollout run", r, maxDocument)
	if err != nil {
		return err
	}
	row := rolloutRow{ID: r.ID, Rollout: column(r.Rollout.Name), State: column(string(r.State)), Phase: column(string(r.Phase)), StartedNs: nanos(r.Started), Doc: doc}
	_, err = s.db.write.NewInsert().Model(&row).On("CONFLICT (id) DO UPDATE").
		Set("rollout = EXCLUDED.rollout, state = EXCLUDED.state, phase = EXCLUDED.phase, started_ns = EXCLUDED.started_ns, doc = EXCLUDED.doc").Exec(ctx)
	return wrap("put rollout run", err)
}

// Run implements rollout.Store.
func (s *Rollouts) Run(ctx context.Context, id string) (rollout.Run, error) {
	return one[rollout.Run](ctx, s.db.read.NewSelect().Table("rollout_runs").Column("doc").Where("id = ?", column(id)), "rollout run", id)
}

// Runs implements rollout.Store.
func (s *Rollouts) Runs(ctx context.Context, q rollout.Query) ([]rollout.Run, error) {
	sel := s.db.read.NewSelect().Table("rollout_runs").Column("doc").OrderExpr("started_ns DESC, id DESC").Limit(limited(q.Limit))
	for name, v := range map[string]string{"rollout": q.Rollout, "state": string(q.State), "phase": string(q.Phase)} {
		if v != "" {
			sel.Where("? = ?", bun.Ident(name), column(v))
		}
	}
	return list[rollout.Run](ctx, sel, "rollout runs")
}
