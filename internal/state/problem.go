package state

import (
	"context"
	"database/sql"
	"errors"
	"math"
	"time"

	"github.com/uptrace/bun"

	"github.com/tidegate-io/tidegate/evidence"
	"github.com/tidegate-io/tidegate/fault"
	"github.com/tidegate-io/tidegate/problem"
)

// maxOpen bounds the problems that one step looks at.
const maxOpen = 2000

// problemsLock is the key of the lock that serializes steps on PostgreSQL;
// SQLite has one writer anyway.
const problemsLock = 0x7469646570726f62 // "tideprob"

// Problems implements problem.Store.
type Problems struct{ db *DB }

// Problems returns the store of problems.
func (db *DB) Problems() *Problems { return &Problems{db} }

var _ problem.Store = (*Problems)(nil)

type problemRow struct {
	bun.BaseModel `bun:"table:problems"`

	ID       string `bun:",pk"`
	Number   int
	State    string
	Severity string
	Symptom  string
	Merged   bool
	StartNs  int64
	OpenedNs int64
	ClosedNs int64
	DueNs    int64
	Doc      string
	Work     string
	Detail   string
}

type problemEventRow struct {
	bun.BaseModel `bun:"table:problem_events"`

	EventID   string `bun:",pk"`
	ProblemID string
	Number    int
}

type problemPlaceRow struct {
	bun.BaseModel `bun:"table:problem_places"`

	ProblemID   string
	Service     string
	Environment string
}

// problemWork is the part of a record that is not shown.
type problemWork struct {
	Symptom       string                 `json:"symptom"`
	Announcements []problem.Announcement `json:"announcements,omitempty"`
	AnalyseAt     time.Time              `json:"analyseAt,omitzero"`
	AnalysedAt    time.Time              `json:"analysedAt,omitzero"`
}

func newProblemRow(r problem.Record) (*problemRow, error) {
	row := &problemRow{ID: r.ID, Number: r.Number, State: column(string(r.State)), Severity: column(string(r.Severity)),
		Symptom: column(r.Symptom), Merged: r.MergedInto != "", StartNs: nanos(r.Start), OpenedNs: nanos(r.Opened),
		ClosedNs: math.MaxInt64, DueNs: math.MaxInt64}
	if !r.Closed.IsZero() {
		row.ClosedNs = nanos(r.Closed)
	}
	if due := r.Due(); !due.IsZero() {
		row.DueNs = nanos(due)
	}
	var err error
	if r.Evidence != nil {
		if row.Detail, err = encode("evidence of a problem", r.Evidence, maxDocument); err != nil {
			return nil, err
		}
		r.Evidence = nil
	}
	if row.Doc, err = encode("problem", r.Problem, maxDocument); err != nil {
		return nil, err
	}
	row.Work, err = encode("work on a problem", problemWork{r.Symptom, r.Announcements, r.AnalyseAt, r.AnalysedAt}, maxDocument)
	return row, err
}

func (row *problemRow) record() (problem.Record, error) {
	p, err := decode[problem.Problem](row.Doc)
	if err != nil {
		return problem.Record{}, err
	}
	w, err := decode[problemWork](row.Work)
	return problem.Record{Problem: p, Symptom: w.Symptom, Announcements: w.Announcements, AnalyseAt: w.AnalyseAt, AnalysedAt: w.AnalysedAt}, err
}

// Update implements problem.Store.
func (s *Problems) Update(ctx context.Context, f func(context.Context, problem.Tx) error) error {
	err := s.db.inTx(ctx, func(tx bun.Tx) error {
		if s.db.postgres {
			if _, err := tx.NewRaw("SELECT pg_advisory_xact_lock(?)", problemsLock).Exec(ctx); err != nil {
				return err
			}
		}
		return f(ctx, problemTx{tx})
	})
	return wrap("update problems", err)
}

// Problem implements problem.Store.
func (s *Problems) Problem(ctx context.Context, id string) (problem.Problem, error) {
	var row problemRow
	err := s.db.read.NewSelect().Model(&row).Column("doc", "detail").Where("id = ?", column(id)).Scan(ctx)
	if errors.Is(err, sql.ErrNoRows) {
		return problem.Problem{}, fault.NotFound("no problem %q", id)
	}
	if err != nil {
		return problem.Problem{}, wrap("read problem", err)
	}
	p, err := decode[problem.Problem](row.Doc)
	if err != nil || row.Detail == "" {
		return p, err
	}
	p.Evidence, err = decode[*evidence.Evidence](row.Detail)
	return p, err
}

// Problems implements problem.Store.
func (s *Problems) Problems(ctx context.Context, q problem.Query) ([]problem.Problem, error) {
	sel := s.db.read.NewSelect().Table("problems").Column("doc").OrderExpr("number DESC").Limit(limited(q.Limit))
	if q.State != "" {
		sel.Where("state = ?", column(string(q.State)))
	}
	if q.Severity != "" {
		sel.Where("severity = ?", column(string(q.Severity)))
	}
	if !q.From.IsZero() {
		sel.Where("closed_ns >= ?", nanos(q.From))
	}
	if !q.To.IsZero() {
		sel.Where("start_ns < ?", nanos(q.To))
	}
	if q.Before > 0 {
		sel.Where("number < ?", q.Before)
	}
	if q.Service != "" || q.Environment != "" {
		at := s.db.read.NewSelect().Table("problem_places").ColumnExpr("1").Where("problem_id = problems.id")
		if q.Service != "" {
			at.Where("service = ?", column(q.Service))
		}
		if q.Environment != "" {
			at.Where("environment = ?", column(q.Environment))
		}
		sel.Where("EXISTS (?)", at)
	}
	return list[problem.Problem](ctx, sel, "problems")
}

// Due implements problem.Store.
func (s *Problems) Due(ctx context.Context, now time.Time, limit int) ([]string, error) {
	ids := []string{}
	err := s.db.read.NewSelect().Table("problems").Column("id").Where("due_ns <= ?", nanos(now)).
		OrderExpr("due_ns, id").Limit(limited(limit)).Scan(ctx, &ids)
	return ids, wrap("list due problems", err)
}

// problemTx implements problem.Tx.
type problemTx struct{ tx bun.Tx }

func (t problemTx) records(ctx context.Context, q *bun.SelectQuery) ([]problem.Record, error) {
	var rows []problemRow
	if err := q.Scan(ctx, &rows); err != nil {
		return nil, wrap("read problems", err)
	}
	out := make([]problem.Record, len(rows))
	for i := range rows {
		var err error
		if out[i], err = rows[i].record(); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// Active implements problem.Tx.
func (t problemTx) Active(ctx context.Context, closedSince time.Time) ([]problem.Record, error) {
	return t.records(ctx, t.tx.NewSelect().Table("problems").Column("doc", "work").
		Where("closed_ns >= ?", nanos(closedSince)).Where("NOT merged").OrderExpr("opened_ns, number").Limit(maxOpen))
}

// Record implements problem.Tx.
func (t problemTx) Record(ctx context.Context, id string) (problem.Record, error) {
	list, err := t.records(ctx, t.tx.NewSelect().Table("problems").Column("doc", "work").Where("id = ?", column(id)))
	if err == nil && len(list) == 0 {
		return problem.Record{}, fault.NotFound("no problem %q", id)
	}
	if err != nil {
		return problem.Record{}, err
	}
	return list[0], nil
}

// Owners implements problem.Tx.
func (t problemTx) Owners(ctx context.Context, eventIDs []string) (map[string]string, error) {
	out := make(map[string]string, len(eventIDs))
	if len(eventIDs) == 0 {
		return out, nil
	}
	ids := make([]string, len(eventIDs))
	for i, id := range eventIDs {
		ids[i] = column(id)
	}
	var rows []problemEventRow
	if err := t.tx.NewSelect().Model(&rows).Where("event_id IN (?)", bun.List(ids)).Scan(ctx); err != nil {
		return nil, wrap("read events of problems", err)
	}
	for _, r := range rows {
		out[r.EventID] = r.ProblemID
	}
	return out, nil
}

// Recent implements problem.Tx.
func (t problemTx) Recent(ctx context.Context, symptom string, opened time.Time) ([]problem.Problem, error) {
	return list[problem.Problem](ctx, t.tx.NewSelect().Table("problems").Column("doc").
		Where("symptom = ?", column(symptom)).Where("opened_ns >= ?", nanos(opened)).Where("NOT merged").
		OrderExpr("number DESC").Limit(maxList), "problems")
}

// NextNumber implements problem.Tx.
func (t problemTx) NextNumber(ctx context.Context) (int, error) {
	var n int
	err := t.tx.NewSelect().Table("problems").ColumnExpr("COALESCE(MAX(number), 0) + 1").Scan(ctx, &n)
	return n, wrap("number a problem", err)
}

// Save implements problem.Tx.
func (t problemTx) Save(ctx context.Context, r problem.Record) error {
	if err := checkID("problem", r.ID); err != nil {
		return err
	}
	if r.Number < 1 {
		return fault.Invalid("problem %q has no number", r.ID)
	}
	row, err := newProblemRow(r)
	if err != nil {
		return err
	}
	set := `number = EXCLUDED.number, state = EXCLUDED.state, severity = EXCLUDED.severity, symptom = EXCLUDED.symptom,
		merged = EXCLUDED.merged, start_ns = EXCLUDED.start_ns, opened_ns = EXCLUDED.opened_ns, closed_ns = EXCLUDED.closed_ns,
		due_ns = EXCLUDED.due_ns, doc = EXCLUDED.doc, work = EXCLUDED.work`
	if row.Detail != "" {
		set += ", detail = EXCLUDED.detail"
	}
	if _, err := t.tx.NewInsert().Model(row).On("CONFLICT (id) DO UPDATE").Set(set).Exec(ctx); err != nil {
		return wrap("save problem", err)
	}
	if err := t.saveEvents(ctx, &r); err != nil {
		return wrap("save events of a problem", err)
	}
	return wrap("save places of a problem", t.savePlaces(ctx, &r))
}

// saveEvents notes whose the events are: those of the latest problem that had
// them, but never of one that was merged into another.
func (t problemTx) saveEvents(ctx context.Context, r *problem.Record) error {
	if r.MergedInto != "" || len(r.Events) == 0 {
		return nil
	}
	rows := make([]problemEventRow, 0, len(r.Events))
	for i := range r.Events {
		id := r.Events[i].ID
		if err := checkID("event", id); err != nil {
			return err
		}
		rows = append(rows, problemEventRow{EventID: id, ProblemID: r.ID, Number: r.Number})
	}
	_, err := t.tx.NewInsert().Model(&rows).On("CONFLICT (event_id) DO UPDATE").
		Set("problem_id = EXCLUDED.problem_id, number = EXCLUDED.number").
		Where("problem_event_row.number < EXCLUDED.number OR problem_event_row.problem_id IN (SELECT id FROM problems WHERE merged)").Exec(ctx)
	return err
}

func (t problemTx) savePlaces(ctx context.Context, r *problem.Record) error {
	if _, err := t.tx.NewDelete().Table("problem_places").Where("problem_id = ?", r.ID).Exec(ctx); err != nil {
		return err
	}
	seen := map[problemPlaceRow]bool{}
	var rows []problemPlaceRow
	add := func(service, environment string) {
		row := problemPlaceRow{ProblemID: r.ID, Service: column(service), Environment: column(environment)}
		if service != "" && !seen[row] {
			seen[row] = true
			rows = append(rows, row)
		}
	}
	for _, p := range r.Impact.Services {
		add(p.Service, p.Environment)
	}
	if r.Cause != nil {
		add(r.Cause.Service, r.Cause.Environment)
	}
	if len(rows) == 0 {
		return nil
	}
	_, err := t.tx.NewInsert().Model(&rows).Exec(ctx)
	return err
}
