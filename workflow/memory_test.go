package workflow

import (
	"cmp"
	"context"
	"encoding/json"
	"slices"
	"sync"
	"time"

	"github.com/tidegate-io/tidegate/fault"
)

// memory is a Store in memory; runs are kept as JSON, as in a database.
type memory struct {
	mu     sync.Mutex
	docs   map[string][]byte
	leases map[string]Lease
}

func newMemory() *memory { return &memory{docs: map[string][]byte{}, leases: map[string]Lease{}} }

func (m *memory) get(id string) (r Run) {
	if err := json.Unmarshal(m.docs[id], &r); err != nil {
		panic(err)
	}
	return r
}

func (m *memory) put(r Run) {
	b, err := json.Marshal(r)
	if err != nil {
		panic(err)
	}
	m.docs[r.ID] = b
}

func (m *memory) Create(_ context.Context, r Run) (bool, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.docs[r.ID] != nil {
		return false, nil
	}
	m.put(r)
	return true, nil
}

func (m *memory) free(id, owner string, now time.Time) bool {
	l := m.leases[id]
	s := m.get(id).State
	return (s == StatePending || s == StateRunning) && (l.Owner == owner || !l.Until.After(now))
}

func (m *memory) Claimable(_ context.Context, owner string, now time.Time, limit int) ([]string, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	var ids []string
	for id := range m.docs {
		if m.free(id, owner, now) {
			ids = append(ids, id)
		}
	}
	slices.SortFunc(ids, func(a, b string) int {
		return cmp.Or(m.get(a).Started.Compare(m.get(b).Started), cmp.Compare(a, b))
	})
	return ids[:min(limit, len(ids))], nil
}

func (m *memory) Claim(_ context.Context, id string, l Lease, now time.Time) (Run, bool, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.docs[id] == nil || !m.free(id, l.Owner, now) {
		return Run{}, false, nil
	}
	m.leases[id] = l
	return m.get(id), true, nil
}

func (m *memory) Save(_ context.Context, r Run, l Lease) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.leases[r.ID].Owner != l.Owner {
		return fault.Conflict("run %s is not held by %s", r.ID, l.Owner)
	}
	m.leases[r.ID] = l
	m.put(r)
	return nil
}

func (m *memory) Run(_ context.Context, id string) (Run, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.docs[id] == nil {
		return Run{}, fault.NotFound("no run %s", id)
	}
	return m.get(id), nil
}

func (m *memory) Runs(_ context.Context, workflow string, limit int) ([]Run, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	var out []Run
	for id := range m.docs {
		if r := m.get(id); workflow == "" || r.Workflow == workflow {
			out = append(out, r)
		}
	}
	slices.SortFunc(out, func(a, b Run) int { return cmp.Or(b.Started.Compare(a.Started), cmp.Compare(b.ID, a.ID)) })
	return out, nil
}
