package guardian

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/tidegate-io/tidegate/fault"
)

const (
	// idle is how often schedules are looked at when nothing else happens:
	// definitions come and go without telling.
	idle = time.Second
	// attempts at a validation whose readers are unavailable, and the wait
	// before the next one, which doubles.
	maxAttempts = 4
	retryAfter  = 2 * time.Second
	// storeRetry is the wait after the store failed; what is stored as
	// pending is tried until it is done.
	storeRetry = 5 * time.Second
	// resumeLimit bounds how many unfinished validations are taken up after a
	// restart at a time.
	resumeLimit = 10_000
	// repeatEvents is how far back events are recorded again after a restart,
	// for validations that finished just before a crash.
	repeatEvents = time.Hour
)

// Run does the validations that are due, and starts those of schedules, until
// ctx ends. Validations that a crash left unfinished are done first. One Run
// at a time.
func (s *Service) Run(ctx context.Context) error {
	if err := s.resume(ctx); err != nil {
		return fmt.Errorf("resume validations: %w", err)
	}
	var running sync.WaitGroup
	defer running.Wait()
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-timer.C:
		case <-s.wake:
		}
		s.startScheduled(ctx)
		ids, next := s.takeDue()
		for _, id := range ids {
			running.Go(func() { s.attempt(ctx, id) })
		}
		timer.Reset(s.pause(next))
	}
}

func (s *Service) takeDue() ([]string, time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.queue.take(s.now(), s.concurrency-len(s.queue.active))
}

func (s *Service) pause(next time.Time) time.Duration {
	if next.IsZero() {
		return idle
	}
	return min(max(next.Sub(s.now()), 0), idle)
}

// resume takes up what an earlier process left.
func (s *Service) resume(ctx context.Context) error {
	for _, state := range []State{StateRunning, StatePending} {
		list, err := s.store.Validations(ctx, HistoryQuery{State: state, Limit: resumeLimit})
		if err != nil {
			return err
		}
		for _, v := range list {
			g, _ := s.defs.Guardian(v.Guardian)
			s.enqueue(v.ID, g.nextLook(v, s.now()))
		}
	}
	return s.repeatEvents(ctx)
}

// repeatEvents records the events of validations that finished lately: the
// process may have ended between the two. Those recorded before stay as they
// are.
func (s *Service) repeatEvents(ctx context.Context) error {
	if s.recorder == nil {
		return nil
	}
	list, err := s.store.Validations(ctx, HistoryQuery{State: StateFinished, Limit: historyPage})
	if err != nil {
		return err
	}
	since := s.now().Add(-repeatEvents)
	for _, v := range list {
		if v.Finished.Before(since) {
			continue
		}
		if v, err = s.store.Validation(ctx, v.ID); err != nil { // with its evidence
			return err
		}
		if err := s.record(ctx, v.finishedEvents()...); err != nil {
			return err
		}
	}
	return nil
}

// attempt does one validation and decides what follows when it could not.
func (s *Service) attempt(ctx context.Context, id string) {
	next, err := s.execute(ctx, id)
	s.mu.Lock()
	delete(s.queue.active, id)
	switch {
	case ctx.Err() != nil:
	case err != nil:
		s.log.Error("validation will be tried again", "validation", id, "error", err, "after", storeRetry)
		s.queue.add(id, s.now().Add(storeRetry))
	case !next.IsZero():
		s.queue.add(id, next)
	}
	s.mu.Unlock()
	s.rouse()
}

// startScheduled starts the validations whose time has come. Slots are whole
// multiples of the period since 1970 and name the validation, so none is
// started twice, also not after a restart. Slots that passed while the
// process was down are not made up for.
func (s *Service) startScheduled(ctx context.Context) {
	now := s.now()
	for _, g := range s.defs.Guardians() {
		if g.Schedule == nil || g.Schedule.Every < minEvery {
			continue
		}
		slot := now.UnixNano() / int64(g.Schedule.Every)
		if !s.newSlot(g.Name, slot) {
			continue
		}
		at := time.Unix(0, slot*int64(g.Schedule.Every)).UTC()
		_, err := s.Start(ctx, Request{
			ID:       scheduledID(g.Name, at),
			Guardian: g.Name, Window: Window{From: at.Add(-g.Schedule.Last), To: at},
			Trigger: "schedule",
		})
		if err != nil && !fault.Is(err, fault.KindNotFound) && ctx.Err() == nil {
			s.log.Error("scheduled validation not started", "guardian", g.Name, "error", err)
		}
	}
}

// newSlot reports whether a guardian's slot is another one than at the last
// look; the first look only remembers.
func (s *Service) newSlot(guardian string, slot int64) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	last, known := s.slots[guardian]
	s.slots[guardian] = slot
	return known && slot > last
}
