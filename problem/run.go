package problem

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/tidegate-io/tidegate/evidence"
	"github.com/tidegate-io/tidegate/fault"
)

// Run does what follows from the steps until ctx ends, and returns when all its
// goroutines have ended. What was interrupted is resumed by the next Run.
func (s *Service) Run(ctx context.Context) error {
	if err := s.resume(ctx); err != nil && ctx.Err() == nil {
		s.logger.ErrorContext(ctx, "open problems were not looked at", "error", err)
	}
	var analyses sync.WaitGroup
	defer analyses.Wait()
	slots := make(chan struct{}, analyseAtOnce)
	tick := time.NewTicker(poll)
	defer tick.Stop()
	for {
		s.work(ctx, slots, &analyses)
		select {
		case <-ctx.Done():
			return nil
		case <-s.wake:
		case <-tick.C:
		}
	}
}

// resume gives the sources of events time to raise them again after a start.
func (s *Service) resume(ctx context.Context) error {
	return s.step(ctx, scope{}, func(b *board) error {
		for _, r := range b.records {
			for i := range r.Events {
				e := &r.Events[i]
				if grace := b.now.Add(s.rules.Stale); r.State == StateOpen && e.Open() && own(e.Source) && e.Expires.Before(grace) {
					e.Expires = grace
					b.touch(r)
				}
			}
		}
		return nil
	})
}

// work does what is due.
func (s *Service) work(ctx context.Context, slots chan struct{}, analyses *sync.WaitGroup) {
	now := s.now()
	ids, err := s.store.Due(ctx, now, dueBatch)
	if err != nil {
		if ctx.Err() == nil {
			s.logger.ErrorContext(ctx, "cannot look for problems with something to do", "error", err)
		}
		return
	}
	for _, id := range ids {
		if s.waits(id, now) {
			continue
		}
		p, analyse, err := s.advance(ctx, id, len(slots) < cap(slots)) // only this goroutine takes slots
		if analyse {
			slots <- struct{}{}
			analyses.Go(func() {
				s.analyse(ctx, p)
				s.mu.Lock()
				delete(s.analysing, id)
				s.mu.Unlock()
				<-slots
				s.signal()
			})
		}
		if err != nil && ctx.Err() == nil {
			s.logger.ErrorContext(ctx, "a problem is not advanced; trying again", "problem", id, "error", err)
			s.later(id, now)
		}
	}
}

// waits reports whether a failure of the problem's is not to be repeated yet.
func (s *Service) waits(id string, now time.Time) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	at, failed := s.retry[id]
	if failed && !now.Before(at) {
		delete(s.retry, id)
		return false
	}
	return failed
}

func (s *Service) later(id string, now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.retry[id] = now.Add(retryAfter)
}

// advance does what is due with one problem: what has expired ends, alerts are
// sent, what is stored to be said is said. It reports whether the cause is to be
// looked for now, when that is possible.
func (s *Service) advance(ctx context.Context, id string, possible bool) (p Problem, analyse bool, err error) {
	var r *Record
	err = s.step(ctx, scope{problems: []string{id}}, func(b *board) error {
		r = b.record(id)
		if r.State == StateOpen {
			r.expire(b)
			analyse = possible && s.claim(r, b)
		}
		return nil
	})
	if err != nil {
		return Problem{}, false, err
	}
	if analyse = analyse && r.State == StateOpen; analyse {
		s.mu.Lock()
		s.analysing[id] = true
		s.mu.Unlock()
	}
	return r.Problem, analyse, s.announce(ctx, id, r.Announcements)
}

// expire ends the events that nobody raised for too long, and has due alerts
// looked at.
func (r *Record) expire(b *board) {
	for i := range r.Events {
		if e := &r.Events[i]; e.Open() && !e.Expires.IsZero() && !e.Expires.After(b.now) {
			e.End = e.Expires
			b.touch(r)
		}
	}
	for i := range r.Alerts {
		if a := &r.Alerts[i]; a.State == AlertWaiting && !a.Due.After(b.now) {
			b.touch(r)
		}
	}
}

// claim takes the analysis that is due, so that no other process does it.
func (s *Service) claim(r *Record, b *board) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.explainer == nil || r.AnalyseAt.IsZero() || r.AnalyseAt.After(b.now) || s.analysing[r.ID] {
		return false
	}
	r.AnalysedAt, r.AnalyseAt = b.now, b.now.Add(s.interval(r, b.now))
	b.touch(r)
	return true
}

// interval is the time to the next analysis: longer when the problem is old.
func (s *Service) interval(r *Record, now time.Time) time.Duration {
	if now.Sub(r.resumed()) > analyseRarer {
		return analyseFactor * s.every
	}
	return s.every
}

// announce says what is stored to be said, and strikes it off.
func (s *Service) announce(ctx context.Context, id string, all []Announcement) error {
	var said []string
	var failure error
	for _, a := range all {
		if failure = s.announceOne(ctx, a); failure != nil {
			break // the order is part of what is said
		}
		said = append(said, a.Event.ID)
	}
	if len(said) == 0 {
		return failure
	}
	return errors.Join(failure, s.store.Update(ctx, func(ctx context.Context, tx Tx) error {
		r, err := tx.Record(ctx, id)
		if err != nil {
			return err
		}
		r.Announcements = slices.DeleteFunc(r.Announcements, func(a Announcement) bool { return slices.Contains(said, a.Event.ID) })
		return tx.Save(ctx, r)
	}))
}

// announceOne records and sends. What can never succeed is logged and counts as
// said.
func (s *Service) announceOne(ctx context.Context, a Announcement) error {
	e, err := s.recorder.Record(ctx, a.Event)
	if err == nil && len(a.Channels) > 0 && s.publisher != nil {
		err = s.publisher.PublishTo(ctx, e, a.Channels)
	}
	switch {
	case fault.Is(err, fault.KindInvalid), fault.Is(err, fault.KindConflict), fault.Is(err, fault.KindNotFound):
		s.logger.ErrorContext(ctx, "an event of a problem is not told", "event", a.Event.ID, "type", a.Event.Type, "channels", a.Channels, "error", err)
		return nil
	}
	return err
}

// analyse looks for the cause and stores it.
func (s *Service) analyse(ctx context.Context, p Problem) {
	limited, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	cause, found, err := s.explainer.Explain(limited, p)
	if err != nil {
		if ctx.Err() == nil {
			s.logger.WarnContext(ctx, "the cause of a problem is not found; trying again", "problem", p.Name(), "error", err)
		}
		return
	}
	if err := s.explained(ctx, p.ID, cause, found); err != nil && ctx.Err() == nil {
		s.logger.ErrorContext(ctx, "the cause of a problem is not stored", "problem", p.Name(), "error", err)
	}
}

// explained takes over the answer of an analysis. A problem that has the same
// cause as another is merged with it, or opens it again.
func (s *Service) explained(ctx context.Context, id string, cause Cause, found *evidence.Evidence) error {
	return s.step(ctx, scope{problems: []string{id}}, func(b *board) error {
		r := b.record(id)
		if r.MergedInto != "" {
			return nil
		}
		b.touch(r)
		if r.Cause.established() && !cause.established() {
			return nil // what was known is not forgotten: telemetry of the onset may be gone
		}
		another := r.Cause == nil || causeKey(r.Cause) != causeKey(&cause)
		r.Cause, r.Evidence = &cause, found
		if another {
			r.note(note{kind: noteCause})
		}
		if r.State == StateOpen {
			b.unite(r)
		}
		return nil
	})
}

// unite makes one problem of r and of another that has the same cause.
func (b *board) unite(r *Record) {
	for _, o := range b.records {
		if o == r || o.MergedInto != "" || !o.Cause.same(r.Cause) {
			continue
		}
		if o.State == StateClosed {
			if b.now.Sub(o.Closed) > b.rules.ReopenFor || o.Opened.After(r.Opened) {
				continue
			}
			b.reopen(o)
		}
		r = b.merge(o, r, "they have the same cause")
	}
}
