package pipeline

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/tidegate-io/tidegate/fault"
)

// Wake has a release looked at now, due or not.
func (s *Service) Wake(id string) {
	s.mu.Lock()
	s.woken[id] = true
	s.mu.Unlock()
	s.signal()
}

func (s *Service) signal() {
	select {
	case s.wake <- struct{}{}:
	default: // a signal is waiting already
	}
}

// Run works on releases until ctx ends, and returns when all its goroutines
// have ended. What was interrupted is resumed by the next Run.
func (s *Service) Run(ctx context.Context) error {
	var running sync.WaitGroup
	defer running.Wait()
	slots := make(chan struct{}, s.cfg.Concurrency)
	poll := time.NewTicker(s.cfg.Poll)
	defer poll.Stop()
	for {
		if err := s.claim(ctx, slots, &running); err != nil && ctx.Err() == nil {
			s.log.ErrorContext(ctx, "cannot look for releases", "error", err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-s.wake:
		case <-poll.C:
		}
	}
}

// claim starts what can be started while there are slots.
func (s *Service) claim(ctx context.Context, slots chan struct{}, running *sync.WaitGroup) error {
	now := s.cfg.Clock()
	due, err := s.store.Claimable(ctx, s.cfg.Owner, now, claimBatch)
	if err != nil {
		return err
	}
	for _, id := range append(s.takeWoken(), due...) {
		select {
		case slots <- struct{}{}:
		default:
			return nil // the end of one wakes us
		}
		if !s.activate(id) {
			<-slots
			continue
		}
		r, ok, err := s.store.Claim(ctx, id, s.lease(now), now)
		if err != nil || !ok {
			s.deactivate(id)
			<-slots
			if err != nil {
				return err
			}
			continue
		}
		running.Go(func() {
			s.execute(ctx, r)
			s.deactivate(id)
			<-slots
			s.signal()
		})
	}
	return nil
}

// takeWoken returns the woken releases that are not being worked on; the
// others stay woken, for what they look at may have been older than the wake.
func (s *Service) takeWoken() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []string
	for _, id := range slices.Sorted(maps.Keys(s.woken)) {
		if !s.active[id] {
			out = append(out, id)
			delete(s.woken, id)
		}
	}
	return out
}

func (s *Service) activate(id string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.active[id] {
		return false
	}
	s.active[id] = true
	return true
}

func (s *Service) deactivate(id string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.active, id)
}

func (s *Service) lease(now time.Time) Lease {
	return Lease{Owner: s.cfg.Owner, Until: now.Add(s.cfg.Lease)}
}

// execution is one release while this service holds it.
type execution struct {
	*Service

	mu sync.Mutex // r is saved by the heartbeat and by actions of one group
	r  Release
}

const releaseTimeout = 5 * time.Second

// execute works on a release until it is finished or has to wait, the lease
// is lost or ctx ends.
func (s *Service) execute(ctx context.Context, r Release) {
	ctx, cancel := context.WithCancelCause(ctx)
	x := &execution{Service: s, r: r}
	beats := make(chan struct{})
	go func() {
		defer close(beats)
		x.heartbeat(ctx, cancel)
	}()
	var err error
	for more := true; more && err == nil && ctx.Err() == nil; {
		more, err = x.step(ctx)
	}
	if err != nil && ctx.Err() == nil {
		// The store or the log of changes fails. The release is resumed by
		// whoever claims it next.
		s.log.ErrorContext(ctx, "release is interrupted", "release", r.ID, "pipeline", r.Pipeline, "error", err)
		x.r.Due = s.cfg.Clock().Add(s.cfg.Backoff)
	}
	cancel(nil)
	<-beats
	x.letGo(ctx)
}

// letGo gives up the lease.
func (x *execution) letGo(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), releaseTimeout)
	defer cancel()
	err := x.store.Save(ctx, x.r, Lease{Owner: x.cfg.Owner})
	if err != nil && !fault.Is(err, fault.KindConflict) {
		x.log.ErrorContext(ctx, "cannot store release", "release", x.r.ID, "error", err)
	}
}

// heartbeat extends the lease. When that fails for good, another process may
// have taken the release: nothing more must be done here.
func (x *execution) heartbeat(ctx context.Context, cancel context.CancelCauseFunc) {
	tick := time.NewTicker(x.cfg.Lease / 3)
	defer tick.Stop()
	for last := x.cfg.Clock(); ; {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		err := x.save(ctx)
		now := x.cfg.Clock()
		switch {
		case err == nil:
			last = now
		case fault.Is(err, fault.KindConflict) || now.Sub(last) >= 2*x.cfg.Lease/3:
			cancel(fmt.Errorf("lease lost: %w", err))
			return
		}
	}
}

// save stores the release as it is and extends the lease.
func (x *execution) save(ctx context.Context) error {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.store.Save(ctx, x.r, x.lease(x.cfg.Clock()))
}

// record changes the release and stores it.
func (x *execution) record(ctx context.Context, change func(r *Release)) error {
	x.mu.Lock()
	change(&x.r)
	err := x.store.Save(ctx, x.r, x.lease(x.cfg.Clock()))
	snapshot := x.r.clone()
	x.mu.Unlock()
	if err != nil {
		return err
	}
	x.cfg.Changed(snapshot)
	return nil
}
