package state

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/uptrace/bun"

	"github.com/tidegate-io/tidegate/fault"
	"github.com/tidegate-io/tidegate/notify"
)

// maxErrorText bounds what is kept of an error message.
const maxErrorText = 2000

// Outbox implements notify.Outbox.
type Outbox struct{ db *DB }

// Outbox returns the store of outgoing messages.
func (db *DB) Outbox() *Outbox { return &Outbox{db} }

var _ notify.Outbox = (*Outbox)(nil)

type outboxRow struct {
	bun.BaseModel `bun:"table:outbox"`

	ID        string `bun:",pk"`
	Channel   string
	State     string
	Attempts  int
	NextNs    int64
	CreatedNs int64
	UpdatedNs int64
	LastError string
	Doc       string
}

func (r *outboxRow) delivery() (notify.Delivery, error) {
	m, err := decode[notify.Message](r.Doc)
	return notify.Delivery{Message: m, State: notify.State(r.State), Attempts: r.Attempts,
		Next: fromNanos(r.NextNs), Updated: fromNanos(r.UpdatedNs), Error: r.LastError}, err
}

func deliveries(rows []outboxRow) ([]notify.Delivery, error) {
	out := make([]notify.Delivery, len(rows))
	for i := range rows {
		d, err := rows[i].delivery()
		if err != nil {
			return nil, err
		}
		out[i] = d
	}
	return out, nil
}

// Put implements notify.Outbox.
func (s *Outbox) Put(ctx context.Context, m notify.Message) (bool, error) {
	if err := checkID("message", m.ID); err != nil {
		return false, err
	}
	doc, err := encode("message", m, maxEvent)
	if err != nil {
		return false, err
	}
	at := nanos(m.Created)
	row := outboxRow{ID: m.ID, Channel: column(m.Channel), State: string(notify.StatePending),
		NextNs: at, CreatedNs: at, UpdatedNs: at, Doc: doc}
	created, err := changed(s.db.write.NewInsert().Model(&row).On("CONFLICT DO NOTHING").Exec(ctx))
	return created, wrap("put message", err)
}

// Claim implements notify.Outbox.
func (s *Outbox) Claim(ctx context.Context, now time.Time, lease time.Duration, limit int) ([]notify.Delivery, error) {
	due := s.db.write.NewSelect().Table("outbox").Column("id").
		Where("state = ?", notify.StatePending).Where("next_ns <= ?", nanos(now)).
		OrderExpr("next_ns, id").Limit(limited(limit))
	if s.db.postgres {
		due.For("UPDATE SKIP LOCKED")
	}
	var rows []outboxRow
	err := s.db.write.NewUpdate().Table("outbox").
		Set("attempts = attempts + 1").Set("next_ns = ?", nanos(now.Add(lease))).Set("updated_ns = ?", nanos(now)).
		Where("id IN (?)", due).Returning("*").Scan(ctx, &rows)
	if err != nil {
		return nil, wrap("claim messages", err)
	}
	slices.SortFunc(rows, func(a, b outboxRow) int { // RETURNING has no order
		return cmp.Or(cmp.Compare(a.CreatedNs, b.CreatedNs), cmp.Compare(a.ID, b.ID))
	})
	return deliveries(rows)
}

// Resolve implements notify.Outbox. A message that is no longer pending stays
// as it is: a late answer must not revive it.
func (s *Outbox) Resolve(ctx context.Context, d notify.Delivery) error {
	text := column(d.Error)
	if len(text) > maxErrorText {
		text = column(text[:maxErrorText])
	}
	res, err := s.db.write.NewUpdate().Table("outbox").
		Set("state = ?", d.State).Set("next_ns = ?", nanos(d.Next)).
		Set("updated_ns = ?", nanos(d.Updated)).Set("last_error = ?", text).
		Where("id = ?", column(d.ID)).Where("state = ?", notify.StatePending).Exec(ctx)
	found, err := changed(res, err)
	if err == nil && !found {
		return fault.NotFound("no pending message %q", d.ID)
	}
	return wrap("resolve message", err)
}

// Deliveries implements notify.Outbox.
func (s *Outbox) Deliveries(ctx context.Context, state notify.State, limit int) ([]notify.Delivery, error) {
	var rows []outboxRow
	q := s.db.read.NewSelect().Model(&rows).OrderExpr("created_ns DESC, id DESC").Limit(limited(limit))
	if state != "" {
		q.Where("state = ?", state)
	}
	if err := q.Scan(ctx); err != nil {
		return nil, wrap("list messages", err)
	}
	return deliveries(rows)
}
