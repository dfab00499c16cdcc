package otlp

import (
	"container/list"
	"math"
	"sync"
)

// arrivals gives requests their arrival times and knows which requests are
// still being worked on. Arrival times never decrease, whatever the clock
// does, and a time span is over once its horizon has passed: no request that
// is counted later has an earlier arrival.
type arrivals struct {
	mu   sync.Mutex
	last int64     // unix ns
	open list.List // of int64, in order
}

// begin returns the arrival time of a request that starts now.
func (a *arrivals) begin(now int64) (int64, *list.Element) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.last = max(a.last, now)
	return a.last, a.open.PushBack(a.last)
}

// end says that the request has been counted, or refused.
func (a *arrivals) end(e *list.Element) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.open.Remove(e)
}

// horizon returns a time before which no further arrival will be counted.
func (a *arrivals) horizon(now int64) int64 {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.last = max(a.last, now)
	oldest := int64(math.MaxInt64)
	if e := a.open.Front(); e != nil {
		oldest = e.Value.(int64)
	}
	return min(a.last, oldest)
}
