package problem_test

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tidegate-io/tidegate/change"
	"github.com/tidegate-io/tidegate/entity"
	"github.com/tidegate-io/tidegate/evidence"
	"github.com/tidegate-io/tidegate/fault"
	"github.com/tidegate-io/tidegate/problem"
)

// memory is a problem.Store that keeps what it is given as JSON, so that
// nothing is shared with the service. It dies (every call fails) after a number
// of writes that were stored.
type memory struct {
	mu       sync.Mutex
	records  map[string][]byte
	evidence map[string]*evidence.Evidence
	due      map[string]time.Time
	writes   int
	dieAfter int // 0: never
	dead     bool
}

var errDead = errors.New("the process is dead")

func newMemory() *memory {
	return &memory{records: map[string][]byte{}, evidence: map[string]*evidence.Evidence{}, due: map[string]time.Time{}}
}

func (m *memory) isDead() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.dead
}

func (m *memory) revive() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.dead = false
}

type memoryTx struct {
	*memory
	staged map[string]problem.Record
}

func (m *memory) Update(ctx context.Context, f func(context.Context, problem.Tx) error) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.dead {
		return errDead
	}
	tx := memoryTx{m, map[string]problem.Record{}}
	if err := f(ctx, tx); err != nil {
		return err
	}
	for id, r := range tx.staged {
		if r.Evidence != nil {
			m.evidence[id], r.Evidence = r.Evidence, nil
		}
		b, err := json.Marshal(r)
		if err != nil {
			return err
		}
		m.records[id], m.due[id] = b, r.Due()
	}
	if len(tx.staged) > 0 {
		if m.writes++; m.writes == m.dieAfter {
			m.dead = true
		}
	}
	return nil
}

func (m memoryTx) all() []problem.Record {
	out := []problem.Record{}
	for id, b := range m.records {
		r, staged := m.staged[id]
		if !staged && json.Unmarshal(b, &r) != nil {
			panic("a record that cannot be read")
		}
		out = append(out, r)
	}
	for id, r := range m.staged {
		if m.records[id] == nil {
			out = append(out, r)
		}
	}
	slices.SortFunc(out, func(a, b problem.Record) int { return cmp.Compare(a.Number, b.Number) })
	return out
}

func (m memoryTx) Active(_ context.Context, closedSince time.Time) (out []problem.Record, _ error) {
	for _, r := range m.all() {
		if r.MergedInto == "" && (r.State == problem.StateOpen || !r.Closed.Before(closedSince)) {
			out = append(out, r)
		}
	}
	return out, nil
}

func (m memoryTx) Record(_ context.Context, id string) (problem.Record, error) {
	for _, r := range m.all() {
		if r.ID == id {
			return r, nil
		}
	}
	return problem.Record{}, fault.NotFound("no problem %q", id)
}

func (m memoryTx) Owners(_ context.Context, ids []string) (map[string]string, error) {
	out := map[string]string{}
	for _, r := range m.all() {
		for _, e := range r.Events {
			if r.MergedInto == "" && slices.Contains(ids, e.ID) {
				out[e.ID] = r.ID
			}
		}
	}
	return out, nil
}

func (m memoryTx) Recent(_ context.Context, symptom string, opened time.Time) (out []problem.Problem, _ error) {
	for _, r := range m.all() {
		if r.MergedInto == "" && r.Symptom == symptom && !r.Opened.Before(opened) {
			out = append(out, r.Problem)
		}
	}
	return out, nil
}

func (m memoryTx) NextNumber(context.Context) (int, error) { return len(m.all()) + 1, nil }

func (m memoryTx) Save(_ context.Context, r problem.Record) error {
	if r.ID == "" || r.Number < 1 {
		return fault.Invalid("problem %q has number %d", r.ID, r.Number)
	}
	m.staged[r.ID] = r
	return nil
}

// read runs f over everything stored.
func (m *memory) read(f func(problem.Record)) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.dead {
		return errDead
	}
	for _, r := range (memoryTx{m, nil}).all() {
		f(r)
	}
	return nil
}

func (m *memory) Problem(_ context.Context, id string) (p problem.Problem, _ error) {
	err := m.read(func(r problem.Record) {
		if r.ID == id {
			p = r.Problem
			p.Evidence = m.evidence[id]
		}
	})
	if err == nil && p.ID == "" {
		err = fault.NotFound("no problem %q", id)
	}
	return p, err
}

func (m *memory) Problems(_ context.Context, q problem.Query) (out []problem.Problem, _ error) {
	err := m.read(func(r problem.Record) {
		if (q.State == "" || q.State == r.State) && (q.Before == 0 || r.Number < q.Before) {
			out = append(out, r.Problem)
		}
	})
	slices.Reverse(out)
	if q.Limit > 0 && len(out) > q.Limit {
		out = out[:q.Limit]
	}
	return out, err
}

func (m *memory) Due(_ context.Context, now time.Time, _ int) (out []string, _ error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.dead {
		return nil, errDead
	}
	for id, due := range m.due {
		if !due.IsZero() && !due.After(now) {
			out = append(out, id)
		}
	}
	return out, nil
}

// recorder keeps events by id, as change.Log does.
type recorder struct {
	mu     sync.Mutex
	events []change.Event
	before func(change.Event) error // fails instead of storing
	after  func(change.Event) error // fails although it is stored
}

func (r *recorder) Record(_ context.Context, e change.Event) (change.Event, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.before != nil {
		if err := r.before(e); err != nil {
			return e, err
		}
	}
	for _, old := range r.events {
		if old.ID == e.ID {
			if old.Title != e.Title || old.Type != e.Type {
				return e, fault.Conflict("event %s says something else", e.ID)
			}
			return old, nil
		}
	}
	if err := e.Validate(); err != nil {
		return e, err
	}
	r.events = append(r.events, e)
	if r.after != nil {
		return e, r.after(e)
	}
	return e, nil
}

func (r *recorder) all() []change.Event {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.events)
}

func (r *recorder) types() (out []string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, e := range r.events {
		out = append(out, e.Type)
	}
	return out
}

// room is the channels; it keeps every message by event and channel, once.
type room struct {
	mu   sync.Mutex
	sent []string
}

func (p *room) PublishTo(_ context.Context, e change.Event, channels []string) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, c := range channels {
		if c == "gone" {
			return fault.NotFound("no channel %q", c)
		}
		if m := c + ": " + e.Title; !slices.Contains(p.sent, m) {
			p.sent = append(p.sent, m)
		}
	}
	return nil
}

// explainer answers with a function of the problem.
type explainer func(p problem.Problem) (problem.Cause, error)

func (f explainer) Explain(_ context.Context, p problem.Problem) (problem.Cause, *evidence.Evidence, error) {
	c, err := f(p)
	return c, &evidence.Evidence{FailedTraces: len(p.Events)}, err
}

// shop calls: frontend → checkout → payment → bank; frontend → ads; cart and
// checkout → redis.
var shop = problem.GraphFunc(func(context.Context, time.Time, time.Time) ([]problem.Call, error) {
	return []problem.Call{
		{Client: "frontend", Server: "checkout"}, {Client: "checkout", Server: "payment"}, {Client: "payment", Server: "bank"},
		{Client: "frontend", Server: "ads"}, {Client: "frontend", Server: "cart"}, {Client: "cart", Server: "redis"}, {Client: "checkout", Server: "redis"},
	}, nil
})

// world is a service over memory; what is created in a synctest bubble uses
// its clock.
type world struct {
	t      *testing.T
	store  *memory
	events *recorder
	room   *room
	*problem.Service
}

func newWorld(t *testing.T, change func(*problem.Config)) *world {
	t.Helper()
	w := &world{t: t, store: newMemory(), events: &recorder{}, room: &room{}}
	w.start(change)
	return w
}

// start makes the service of a process.
func (w *world) start(change func(*problem.Config)) {
	w.t.Helper()
	cfg := problem.Config{Store: w.store, Recorder: w.events, Publisher: w.room, Graph: shop, URL: "https://tidegate.example/"}
	if change != nil {
		change(&cfg)
	}
	s, err := problem.New(cfg)
	if err != nil {
		w.t.Fatal(err)
	}
	w.Service = s
}

// run runs the service in the background until the test ends. Only in a bubble.
func (w *world) run() (stop func()) {
	ctx, cancel := context.WithCancel(w.t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = w.Service.Run(ctx) // ends with ctx
	}()
	return func() { cancel(); <-done }
}

// event is a symptom that begins now.
func event(id, service string) problem.Event {
	return problem.Event{ID: id, Source: "detector", Signal: problem.SignalErrors, Ref: entity.Ref{Service: service, Environment: "production"},
		Severity: problem.SeverityError, Title: "Errors in " + service, Start: time.Now()}
}

func ended(e problem.Event) problem.Event { e.End = time.Now(); return e }

// observe must succeed; it returns the numbers of the problems.
func (w *world) observe(events ...problem.Event) []int {
	w.t.Helper()
	ids, err := w.Observe(w.t.Context(), events)
	if err != nil {
		w.t.Fatal(err)
	}
	out := make([]int, len(ids))
	for i, id := range ids {
		if id != "" {
			out[i] = w.problem(id).Number
		}
	}
	return out
}

func (w *world) problem(id string) problem.Problem {
	w.t.Helper()
	p, err := w.Problem(w.t.Context(), id)
	if err != nil {
		w.t.Fatal(err)
	}
	return p
}

func (w *world) open() (out []int) {
	w.t.Helper()
	list, err := w.Problems(w.t.Context(), problem.Query{State: problem.StateOpen})
	if err != nil {
		w.t.Fatal(err)
	}
	for _, p := range slices.Backward(list) {
		out = append(out, p.Number)
	}
	return out
}

// in runs a test on a clock of its own.
func in(t *testing.T, f func(t *testing.T)) { t.Helper(); synctest.Test(t, f) }
