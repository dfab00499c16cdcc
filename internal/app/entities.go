package app

import (
	"container/list"
	"context"
	"maps"
	"sort"
	"sync"
	"time"

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
	recent list.List // of known, the one seen last in front
	rules  entity.Rules
}

// known is an entity as telemetry told of it, and as rules make it.
type known struct {
	raw, shown entity.Entity
	at         time.Time // seen last; zero for those recovered from metrics
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
	now := time.Now()
	if at, ok := e.seen[keyOf(en)]; ok {
		en.Tags = joined(at.Value.(known).raw.Tags, en.Tags)
		at.Value = e.known(en, now)
		e.recent.MoveToFront(at)
		return
	}
	if len(e.seen) >= maxEntities {
		oldest := e.recent.Back()
		delete(e.seen, keyOf(e.recent.Remove(oldest).(known).raw))
	}
	e.seen[keyOf(en)] = e.recent.PushFront(e.known(en, now))
}

func (e *entities) known(raw entity.Entity, at time.Time) known {
	shown, _ := e.rules.Apply(raw)
	return known{raw, shown, at}
}

// setRules puts tag and naming rules into force, for what was seen already as
// well.
func (e *entities) setRules(rules entity.Rules) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.rules = rules
	for at := e.recent.Front(); at != nil; at = at.Next() {
		k := at.Value.(known)
		at.Value = e.known(k.raw, k.at)
	}
}

// raw returns the entities as telemetry told of them.
func (e *entities) raw() []entity.Entity {
	return e.list(func(k known) (entity.Entity, bool) { return k.raw, true })
}

// seenSince returns the entities that telemetry came from since then.
func (e *entities) seenSince(t time.Time) []entity.Entity {
	return e.list(func(k known) (entity.Entity, bool) { return k.shown, k.at.After(t) })
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

// Entities implements change.Entities: with the tags and names of the rules.
func (e *entities) Entities(context.Context) ([]entity.Entity, error) {
	return e.list(func(k known) (entity.Entity, bool) { return k.shown, true }), nil
}

// list returns what pick chooses, by id.
func (e *entities) list(pick func(known) (entity.Entity, bool)) []entity.Entity {
	e.mu.RLock()
	defer e.mu.RUnlock()
	out := make([]entity.Entity, 0, len(e.seen))
	for at := e.recent.Front(); at != nil; at = at.Next() {
		if en, ok := pick(at.Value.(known)); ok {
			out = append(out, en)
		}
	}
	sort.Slice(out, func(i, j int) bool {
		return out[i].ID+"\x00"+out[i].Ref.String() < out[j].ID+"\x00"+out[j].Ref.String()
	})
	return out
}
