package app

import (
	"container/list"
	"context"
	"maps"
	"sort"
	"sync"

	"github.com/tidegate-io/tidegate/entity"
)

// Limits on what selectors can match. Beyond them the entities that were not
// seen for longest are forgotten (their telemetry is kept all the same), and an
// entity has only the tags it was seen with last.
const (
	maxEntities   = 10_000
	maxEntityTags = 256
)

// entities remembers what telemetry has come from, so that selectors of
// change events can be matched. Safe for concurrent use.
type entities struct {
	mu     sync.RWMutex
	seen   map[entityKey]*list.Element
	recent list.List // of entity.Entity, the one seen last in front
}

type entityKey struct {
	id  string
	ref entity.Ref
}

func keyOf(en entity.Entity) entityKey { return entityKey{en.ID, en.Ref} }

func newEntities() *entities { return &entities{seen: map[entityKey]*list.Element{}} }

// saw is told of an entity, again from time to time; tags add up.
func (e *entities) saw(en entity.Entity) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if at, known := e.seen[keyOf(en)]; known {
		en.Tags = joined(at.Value.(entity.Entity).Tags, en.Tags)
		at.Value = en
		e.recent.MoveToFront(at)
		return
	}
	if len(e.seen) >= maxEntities {
		oldest := e.recent.Back()
		delete(e.seen, keyOf(e.recent.Remove(oldest).(entity.Entity)))
	}
	e.seen[keyOf(en)] = e.recent.PushFront(en)
}

// joined returns the tags of both, or the later ones alone when that would be
// too many. Neither map is changed: selectors may be reading them.
func joined(old, now map[string]string) map[string]string {
	tags := maps.Clone(old)
	if tags == nil {
		return now
	}
	maps.Copy(tags, now)
	if len(tags) > maxEntityTags {
		return now
	}
	return tags
}

// Entities implements change.Entities.
func (e *entities) Entities(context.Context) ([]entity.Entity, error) {
	e.mu.RLock()
	defer e.mu.RUnlock()
	out := make([]entity.Entity, 0, len(e.seen))
	for at := e.recent.Front(); at != nil; at = at.Next() {
		out = append(out, at.Value.(entity.Entity))
	}
	sort.Slice(out, func(i, j int) bool {
		return out[i].ID+"\x00"+out[i].Ref.String() < out[j].ID+"\x00"+out[j].Ref.String()
	})
	return out, nil
}
