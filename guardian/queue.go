package guardian

import "time"

// queue holds the validations that wait for their time, and those being done.
type queue struct {
	due    map[string]time.Time
	active map[string]bool
}

func newQueue() queue {
	return queue{due: map[string]time.Time{}, active: map[string]bool{}}
}

// take moves up to n validations that are due to the active ones, the longest
// due first, and returns when the next one will be; zero when none waits.
func (q *queue) take(now time.Time, n int) (ids []string, next time.Time) {
	for len(ids) < n {
		first, at := "", time.Time{}
		for id, t := range q.due {
			if first == "" || t.Before(at) || t.Equal(at) && id < first {
				first, at = id, t
			}
		}
		if first == "" || at.After(now) {
			return ids, at
		}
		delete(q.due, first)
		q.active[first] = true
		ids = append(ids, first)
	}
	return ids, time.Time{} // all places taken: woken when one is done
}

// add lets a validation wait, unless it does already or is being done.
func (q *queue) add(id string, due time.Time) {
	if _, waits := q.due[id]; !waits && !q.active[id] {
		q.due[id] = due
	}
}

func (s *Service) enqueue(id string, due time.Time) {
	s.mu.Lock()
	s.queue.add(id, due)
	s.mu.Unlock()
	s.rouse()
}

// rouse has the runner look at the queue again.
func (s *Service) rouse() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

func (s *Service) waitingCount() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.queue.due)
}
