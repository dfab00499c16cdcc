package healing

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/tidegate-io/tidegate/change"
	"github.com/tidegate-io/tidegate/entity"
	"github.com/tidegate-io/tidegate/evidence"
	"github.com/tidegate-io/tidegate/fault"
	"github.com/tidegate-io/tidegate/problem"
)

// memory is a Store in memory; actions are kept as JSON, as in a database.
type memory struct {
	mu     sync.Mutex
	docs   map[string][]byte
	leases map[string]Lease
	audit  []Entry
	stop   Stop
}

func newMemory() *memory { return &memory{docs: map[string][]byte{}, leases: map[string]Lease{}} }

func (m *memory) get(id string) (a Action) {
	if err := json.Unmarshal(m.docs[id], &a); err != nil {
		panic(err)
	}
	return a
}

func (m *memory) put(a Action, entries []Entry) {
	b, err := json.Marshal(a)
	if err != nil {
		panic(err)
	}
	m.docs[a.ID] = b
	for _, e := range entries {
		e.Seq = int64(len(m.audit) + 1)
		m.audit = append(m.audit, e)
	}
}

func (m *memory) Create(_ context.Context, a Action, e ...Entry) (bool, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.docs[a.ID] != nil {
		return false, nil
	}
	m.put(a, e)
	return true, nil
}

func (m *memory) free(id, owner string, now time.Time) bool {
	l := m.leases[id]
	return m.get(id).State != StateEnded && (l.Owner == owner || !l.Until.After(now))
}

func (m *memory) Claimable(_ context.Context, owner string, now time.Time, limit int) ([]string, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	var ids []string
	for id := range m.docs {
		if m.free(id, owner, now) && !m.get(id).Due.After(now) {
			ids = append(ids, id)
		}
	}
	slices.SortFunc(ids, func(a, b string) int { return cmp.Or(m.get(a).Created.Compare(m.get(b).Created), cmp.Compare(a, b)) })
	return ids[:min(limit, len(ids))], nil
}

func (m *memory) Claim(_ context.Context, id string, l Lease, now time.Time) (Action, bool, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.docs[id] == nil || !m.free(id, l.Owner, now) {
		return Action{}, false, nil
	}
	m.leases[id] = l
	return m.get(id), true, nil
}

func (m *memory) Save(_ context.Context, a Action, l Lease, e ...Entry) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.save(a, l, e)
}

func (m *memory) save(a Action, l Lease, e []Entry) error {
	if m.leases[a.ID].Owner != l.Owner {
		return fault.Conflict("action %s is not held by %s", a.ID, l.Owner)
	}
	m.leases[a.ID] = l
	m.put(a, e)
	return nil
}

func (m *memory) Reserve(_ context.Context, a Action, l Lease, since time.Time, decide func(Reservation) (Action, []Entry, error)) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	r := Reservation{Stop: m.stop}
	for id := range m.docs {
		if o := m.get(id); o.Subject == a.Subject || !o.Acted.Before(since) {
			r.Recent = append(r.Recent, o)
		}
	}
	a, entries, err := decide(r)
	if err != nil {
		return err
	}
	return m.save(a, l, entries)
}

func (m *memory) Action(_ context.Context, id string) (Action, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.docs[id] == nil {
		return Action{}, fault.NotFound("no action %s", id)
	}
	return m.get(id), nil
}

func (m *memory) Actions(_ context.Context, q Query) ([]Action, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	var out []Action
	for id := range m.docs {
		a := m.get(id)
		if (q.Problem == "" || a.Problem == q.Problem) && (q.Subject == "" || a.Subject == q.Subject) &&
			(q.ActedSince.IsZero() || !a.Acted.Before(q.ActedSince)) && (!q.Unfinished || a.State != StateEnded) {
			out = append(out, a)
		}
	}
	slices.SortFunc(out, func(a, b Action) int { return cmp.Or(b.Created.Compare(a.Created), cmp.Compare(b.ID, a.ID)) })
	return out, nil
}

func (m *memory) Audit(_ context.Context, action, problem string, _ int) ([]Entry, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	var out []Entry
	for _, e := range slices.Backward(m.audit) {
		if (action == "" || e.Action == action) && (problem == "" || e.Problem == problem) {
			out = append(out, e)
		}
	}
	return out, nil
}

func (m *memory) Stop(context.Context) (Stop, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.stop, nil
}

func (m *memory) SetStop(_ context.Context, s Stop, e Entry) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.stop = s
	m.audit = append(m.audit, e)
	return nil
}

// world is everything outside: problems, changes, what can be done and how it
// is verified. Effects are counted by their key, as a world that respects keys
// would have them.
type world struct {
	mu       sync.Mutex
	problems map[string]problem.Problem
	events   []change.Event
	// done are the effects by key, with what they did; asked how often each
	// was asked for.
	done  map[string]string
	asked map[string]int
	// verdicts of the validations, in their order; the last one repeats.
	verdicts []string
	// failing makes every action fail.
	failing error
	pages   map[string]Page
	reports map[string]string
}

func newWorld(problems ...problem.Problem) *world {
	w := &world{problems: map[string]problem.Problem{}, done: map[string]string{}, asked: map[string]int{},
		verdicts: []string{"pass"}, pages: map[string]Page{}, reports: map[string]string{}}
	for _, p := range problems {
		w.problems[p.ID] = p
		if p.Cause != nil && p.Cause.Change != nil {
			w.events = append(w.events, p.Cause.Change.Event)
		}
	}
	return w
}

func (w *world) Problem(_ context.Context, id string) (problem.Problem, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	p, ok := w.problems[id]
	for _, other := range w.problems {
		if !ok && fmt.Sprintf("P-%d", other.Number) == id {
			p, ok = other, true
		}
	}
	if !ok {
		return p, fault.NotFound("no problem %s", id)
	}
	p.Comments = slices.Clone(p.Comments)
	return p, nil
}

func (w *world) OpenProblems(context.Context) ([]problem.Problem, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	var out []problem.Problem
	for _, p := range w.problems {
		if p.State == problem.StateOpen {
			out = append(out, p)
		}
	}
	return out, nil
}

func (w *world) Comment(_ context.Context, id string, c problem.Comment) error {
	return w.change(id, func(p *problem.Problem) { p.Comments = append(slices.Clip(p.Comments), c) })
}

func (w *world) change(id string, f func(p *problem.Problem)) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	p, ok := w.problems[id]
	if !ok {
		return fault.NotFound("no problem %s", id)
	}
	f(&p)
	w.problems[id] = p
	return nil
}

func (w *world) Events(_ context.Context, q change.Query) ([]change.Event, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	var out []change.Event
	for _, e := range w.events {
		if (q.Service == "" || e.Service == q.Service) && (q.Key == "" || e.Key == q.Key) && !e.Start.Before(q.From) {
			out = append(out, e)
		}
	}
	return out, nil
}

func (w *world) Record(_ context.Context, e change.Event) (change.Event, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, old := range w.events {
		if old.ID == e.ID {
			return old, nil
		}
	}
	w.events = append(w.events, e)
	return e, nil
}

func (w *world) Do(_ context.Context, r Request) (Answer, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.asked[r.Key]++
	if w.failing != nil {
		return Answer{}, w.failing
	}
	changed := ""
	if r.Change != nil {
		changed = r.Change.ID
	}
	w.done[r.Key] = fmt.Sprintf("%s %s %s → %s", r.Kind, r.Service, changed, r.Revision)
	return Answer{Message: "ok"}, nil
}

func (w *world) Verify(ctx context.Context, v Verification) (Verdict, error) {
	select {
	case <-ctx.Done():
		return Verdict{}, ctx.Err()
	case <-time.After(time.Until(v.To)):
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if _, again := w.done[v.Key]; !again {
		w.done[v.Key] = "verify " + v.Guardian + " " + v.To.Sub(v.From).String() + " " + w.verdicts[0]
		if len(w.verdicts) > 1 {
			w.verdicts = w.verdicts[1:]
		}
	}
	var status, guardian, length string
	if _, err := fmt.Sscanf(w.done[v.Key], "verify %s %s %s", &guardian, &length, &status); err != nil {
		return Verdict{}, err
	}
	return Verdict{Status: status, Headline: guardian + " says " + status}, nil
}

func (w *world) Page(_ context.Context, p Page) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.pages[p.Key] = p
	return nil
}

func (w *world) Report(_ context.Context, key string, to problem.External, text string) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.reports[key] = to.System + " " + to.ID + ": " + text
	return nil
}

// effects are what was done, by key, and who was told.
func (w *world) effects() map[string]string {
	w.mu.Lock()
	defer w.mu.Unlock()
	out := map[string]string{}
	for k, v := range w.done {
		out[k] = v
	}
	for k, p := range w.pages {
		out[k] = "page " + p.To.Channel
	}
	for _, e := range w.events {
		if e.Kind == change.KindAction {
			out["event "+e.ID] = e.Type
		}
	}
	return out
}

// comments are the texts on a problem.
func (w *world) comments(id string) []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	var out []string
	for _, c := range w.problems[id].Comments {
		out = append(out, c.Text)
	}
	return out
}

// start is when synctest's clock starts.
var start = time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)

var production = entity.Ref{Service: "checkout", Environment: "production"}

// badFlag is a flag that was switched on before the failures began.
func badFlag() change.Event {
	return change.Event{ID: "c-flag", Type: change.TypeFlagChanged, Kind: change.KindFlag, Title: "new-pricing on", Key: "new-pricing",
		From: "off", To: "on", Start: start.Add(-time.Minute), Ref: production, Undo: &change.Undo{Kind: "flag", FlagKey: "new-pricing", Variant: "off"}}
}

func badDeployment() change.Event {
	return change.Event{ID: "c-deploy", Type: change.TypeDeploymentFinished, Kind: change.KindDeployment, Title: "checkout 2.1", Key: "checkout",
		From: "2.0", To: "2.1", Start: start.Add(-time.Minute), Ref: production, Undo: &change.Undo{Kind: "webhook", URL: "https://deploy.example/rollback"}}
}

// problemOf is an open problem that a change caused.
func problemOf(id string, blamed change.Event) problem.Problem {
	return problem.Problem{
		ID: id, Number: 17, State: problem.StateOpen, Title: "checkout fails", Severity: problem.SeverityError,
		Start: start.Add(-30 * time.Second), Opened: start,
		Events: []problem.Event{{ID: "e", Ref: production}},
		Impact: problem.Impact{Services: []entity.Ref{production}},
		Cause: &problem.Cause{
			Kind: problem.CauseChange, Ref: production, Operation: "PlaceOrder", Confidence: 0.9, Remedy: problem.RemedyFlagOff,
			Change:   &evidence.Candidate{Event: blamed, On: production, Likely: true, Why: "30 s before"},
			Path:     []evidence.Hop{{Service: "frontend"}, {Service: "checkout"}},
			Sentence: blamed.Title + " broke PlaceOrder",
		},
	}
}

// upstreamOutage is a problem that no change caused.
func upstreamOutage(id string) problem.Problem {
	p := problemOf(id, badFlag())
	p.Cause = &problem.Cause{Kind: problem.CauseDependency, Ref: entity.Ref{Service: "stripe"}, Confidence: 0.9, Remedy: problem.RemedyNone, Sentence: "stripe is down"}
	return p
}

// shop is the remediation of the documentation, approved by itself.
func shop() Remediation {
	return Remediation{
		Name:   "shop",
		For:    Match{Environment: []string{"production"}, Severity: []problem.Severity{problem.SeverityError}},
		Policy: Policy{Approval: ApprovalAutomatic},
		Attempts: []Attempt{
			{When: `cause.change.kind == "flag"`, Do: Do{Undo: &Undo{}}, Verify: Verify{Guardian: "checkout", Within: 2 * time.Minute}},
			{When: `cause.change.kind == "deployment" && !cause.change.irreversible`, Do: Do{Rollback: &Rollback{}}, Verify: Verify{Guardian: "checkout"}},
		},
		Otherwise: Otherwise{Page: &PageTo{Channel: "room"}},
	}
}

// engineOf returns an engine on the world.
func engineOf(t *testing.T, store Store, w *world, remediations ...Remediation) *Engine {
	t.Helper()
	e, err := New(configOf(store, w))
	if err != nil {
		t.Fatal(err)
	}
	if err := e.Define(remediations); err != nil {
		t.Fatal(err)
	}
	return e
}

func configOf(store Store, w *world) Config {
	return Config{Store: store, Problems: w, Changes: w, Verifier: w, Pager: w, Reporter: w,
		Actors: map[Kind]Actor{KindUndo: w, KindRollback: w, KindCommand: w, KindWebhook: w}}
}
