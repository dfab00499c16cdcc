package pipeline

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/tidegate-io/tidegate/fault"
)

// memory is a Store in memory; what it keeps is JSON, as in a database.
type memory struct {
	mu        sync.Mutex
	releases  map[string][]byte
	leases    map[string]Lease
	decisions map[string]Decision
	deployed  map[string][]byte
	numbers   map[string]int
}

func newMemory() *memory {
	return &memory{releases: map[string][]byte{}, leases: map[string]Lease{}, decisions: map[string]Decision{},
		deployed: map[string][]byte{}, numbers: map[string]int{}}
}

func decode[T any](b []byte) (v T) {
	if err := json.Unmarshal(b, &v); err != nil {
		panic(err)
	}
	return v
}

func encode(v any) []byte {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return b
}

func (m *memory) Create(_ context.Context, r Release) (Release, bool, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if b := m.releases[r.ID]; b != nil {
		return decode[Release](b), false, nil
	}
	m.numbers[r.Pipeline]++
	r.Number = m.numbers[r.Pipeline]
	m.releases[r.ID] = encode(r)
	return r, true, nil
}

func (m *memory) free(id, owner string, now time.Time) bool {
	l := m.leases[id]
	return m.releases[id] != nil && !decode[Release](m.releases[id]).State.Finished() && (l.Owner == owner || !l.Until.After(now))
}

func (m *memory) Claimable(_ context.Context, owner string, now time.Time, limit int) ([]string, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	var ids []string
	for id, b := range m.releases {
		if m.free(id, owner, now) && !decode[Release](b).Due.After(now) {
			ids = append(ids, id)
		}
	}
	slices.Sort(ids)
	return ids[:min(limit, len(ids))], nil
}

func (m *memory) Claim(_ context.Context, id string, l Lease, now time.Time) (Release, bool, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if !m.free(id, l.Owner, now) {
		return Release{}, false, nil
	}
	m.leases[id] = l
	return decode[Release](m.releases[id]), true, nil
}

func (m *memory) save(r Release, l Lease) error {
	if m.leases[r.ID].Owner != l.Owner {
		return fault.Conflict("release %s is not held by %s", r.ID, l.Owner)
	}
	m.leases[r.ID], m.releases[r.ID] = l, encode(r)
	return nil
}

func (m *memory) Save(_ context.Context, r Release, l Lease) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.save(r, l)
}

func (m *memory) Enter(_ context.Context, r Release, l Lease) (bool, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for id, b := range m.releases {
		o := decode[Release](b)
		if id != r.ID && o.Pipeline == r.Pipeline && o.Occupies() == r.Occupies() {
			return false, nil
		}
	}
	return true, m.save(r, l)
}

func (m *memory) Reopen(_ context.Context, r Release) (bool, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if !decode[Release](m.releases[r.ID]).State.Finished() {
		return false, nil
	}
	m.releases[r.ID], m.leases[r.ID] = encode(r), Lease{}
	return true, nil
}

func (m *memory) Release(_ context.Context, id string) (Release, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.releases[id] == nil {
		return Release{}, fault.NotFound("no release %q", id)
	}
	return decode[Release](m.releases[id]), nil
}

func (m *memory) Releases(_ context.Context, q ReleaseQuery) ([]Release, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	var out []Release
	for _, b := range m.releases {
		r := decode[Release](b)
		if (q.Pipeline == "" || q.Pipeline == r.Pipeline) && !(q.Unfinished && r.State.Finished()) {
			out = append(out, r)
		}
	}
	slices.SortFunc(out, func(a, b Release) int { return cmp.Compare(b.Number, a.Number) })
	if q.Limit > 0 {
		out = out[:min(q.Limit, len(out))]
	}
	return out, nil
}

func decisionKey(release, stage, action string, attempt int) string {
	return fmt.Sprint(release, "/", stage, "/", action, "/", attempt)
}

func (m *memory) Decide(_ context.Context, d Decision) (Decision, bool, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	k := decisionKey(d.Release, d.Stage, d.Action, d.Attempt)
	if old, ok := m.decisions[k]; ok {
		return old, false, nil
	}
	m.decisions[k] = d
	return d, true, nil
}

func (m *memory) Decision(_ context.Context, release, stage, action string, attempt int) (Decision, bool, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	d, ok := m.decisions[decisionKey(release, stage, action, attempt)]
	return d, ok, nil
}

func (m *memory) PutDeployment(_ context.Context, d Deployment) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.deployed[d.ID] = encode(d)
	return nil
}

func (m *memory) Deployment(_ context.Context, id string) (Deployment, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.deployed[id] == nil {
		return Deployment{}, fault.NotFound("no deployment %q", id)
	}
	return decode[Deployment](m.deployed[id]), nil
}

func (m *memory) Deployments(_ context.Context, q DeploymentQuery) ([]Deployment, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	var out []Deployment
	for _, b := range m.deployed {
		d := decode[Deployment](b)
		if (q.App == "" || q.App == d.Target.App) && (q.Environment == "" || q.Environment == d.Target.Environment) {
			out = append(out, d)
		}
	}
	slices.SortFunc(out, func(a, b Deployment) int {
		return cmp.Or(b.Started.Compare(a.Started), cmp.Compare(b.ID, a.ID))
	})
	return out, nil
}
