package segment

import (
	"container/list"
	"sync"
)

// cache keeps recently read frames, bounded in bytes, least recently used out
// first. What is parsed of them counts as a quarter of them.
type cache struct {
	size  int
	mu    sync.Mutex
	room  int
	items map[cacheKey]*list.Element
	order list.List // of *cached, newest in front
}

type cacheKey struct {
	segment uint64 // serial of the in-memory segment, not its file number
	frame   int
}

type cached struct {
	key     cacheKey
	entries []Entry
	size    int
}

func newCache(bytes int) *cache {
	return &cache{size: bytes, room: bytes, items: map[cacheKey]*list.Element{}}
}

func (c *cache) get(k cacheKey) ([]Entry, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	e, ok := c.items[k]
	if !ok {
		return nil, false
	}
	c.order.MoveToFront(e)
	return e.Value.(*cached).entries, true
}

func (c *cache) put(k cacheKey, entries []Entry, size int) {
	size += size / 4
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, ok := c.items[k]; ok || size > c.size {
		return
	}
	c.room -= size
	c.items[k] = c.order.PushFront(&cached{k, entries, size})
	for c.room < 0 {
		last := c.order.Remove(c.order.Back()).(*cached)
		delete(c.items, last.key)
		c.room += last.size
	}
}
