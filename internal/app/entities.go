package app

import (
	"context"
	"maps"
	"sort"
	"sync"

	"github.com/tidegate-io/tidegate/entity"
)

// maxEntities bounds what selectors can match; beyond it new ones are not
// remembered (their telemetry is kept all the same).
const maxEntities = 10_000

// entities remembers what telemetry has come from, so that selectors of
// change events can be matched. Safe for concurrent use.
type entities struct {
	mu   sync.RWMutex
	seen map[entityKey]entity.Entity
}

type entityKey struct {
	id  string
	ref entity.Ref
}

func newEntities() *entities { return &entities{seen: map[entityKey]entity.Entity{}} }

// saw is told of an entity, again from time to time; tags add up.
func (e *entities) saw(en entity.Entity) {
	e.mu.Lock()
	defer e.mu.Unlock()
	key := entityKey{en.ID, en.Ref}
	old, known := e.seen[key]
	if !known && len(e.seen) >= maxEntities {
		return
	}
	if known && len(old.Tags) > 0 {
		tags := maps.Clone(old.Tags)
		maps.Copy(tags, en.Tags)
		en.Tags = tags
	}
	e.seen[key] = en
}

// Entities implements change.Entities.
func (e *entities) Entities(context.Context) ([]entity.Entity, error) {
	e.mu.RLock()
	defer e.mu.RUnlock()
	out := make([]entity.Entity, 0, len(e.seen))
	for _, en := range e.seen {
		out = append(out, en)
	}
	sort.Slice(out, func(i, j int) bool {
		return out[i].ID+"\x00"+out[i].Ref.String() < out[j].ID+"\x00"+out[j].Ref.String()
	})
	return out, nil
}
