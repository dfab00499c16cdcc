package segment

import (
	"container/list"
	"sync"
)

// cache keeps recently read frame bodies, bounded in bytes, least recently
// used out first.
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
	key  cacheKey
	body []byte
}

func newCache(bytes int) *cache {
	return &cache{size: bytes, room: bytes, items: map[cacheKey]*list.Element{}}
}

func (c *cache) get(k cacheKey) ([]byte, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	e, ok := c.items[k]
	if !ok {
		return nil, false
	}
	c.order.MoveToFront(e)
	return e.Value.(*cached).body, true
}

func (c *cache) put(k cacheKey, body []byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, ok := c.items[k]; ok || len(body) > c.size {
		return
	}
	c.room -= len(body)
	c.items[k] = c.order.PushFront(&cached{k, body})
	for c.room < 0 {
		last := c.order.Remove(c.order.Back()).(*cached)
		delete(c.items, last.key)
		c.room += len(last.body)
	}
}
