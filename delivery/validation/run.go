package validation

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"sync"
	"time"

	"github.com/tidegate-io/tidegate/change"
	"github.com/tidegate-io/tidegate/delivery/signature"
	"github.com/tidegate-io/tidegate/fault"
)

// A validation whose readers are unavailable is tried again.
const (
	maxAttempts = 5
	retryAfter  = 5 * time.Second
)

// Run judges what is due until ctx ends. What a process that ended had begun
// is taken up first.
func (s *Service) Run(ctx context.Context) error {
	if err := s.cfg.Store.Release(ctx, s.cfg.Owner); err != nil {
		return fmt.Errorf("resume validations: %w", err)
	}
	var working sync.WaitGroup
	defer working.Wait()
	slots := make(chan struct{}, s.cfg.Concurrency)
	tick := time.NewTicker(s.cfg.Poll)
	defer tick.Stop()
	for {
		for ctx.Err() == nil {
			select {
			case slots <- struct{}{}:
			case <-ctx.Done():
				return nil
			}
			v, ok := s.claim(ctx)
			if !ok {
				<-slots
				break
			}
			working.Go(func() {
				defer func() { <-slots; s.signal() }()
				s.work(ctx, v)
			})
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		case <-s.wake:
		}
	}
}

// claim takes the next validation that is due.
func (s *Service) claim(ctx context.Context) (Validation, bool) {
	now := s.cfg.Clock()
	v, ok, err := s.cfg.Store.Claim(ctx, s.lease(now), now)
	if err != nil && ctx.Err() == nil {
		s.log.ErrorContext(ctx, "looking for validations that are due", "error", err)
	}
	return v, ok && err == nil
}

func (s *Service) lease(now time.Time) Lease {
	return Lease{Owner: s.cfg.Owner, Until: now.Add(s.cfg.Lease)}
}

// work does one validation. What could not be stored, or was interrupted by
// the end of the process, is done again when its lease has run out.
func (s *Service) work(ctx context.Context, v Validation) {
	if err := s.begin(ctx, &v); err != nil {
		s.failed(ctx, v, err)
		return
	}
	again, err := s.examine(ctx, &v)
	switch {
	case ctx.Err() != nil:
		return
	case again:
		s.log.WarnContext(ctx, "validation will be tried again", "validation", v.ID, "attempt", v.Attempts, "error", err)
		v.Status, v.Due = StatusWaiting, s.cfg.Clock().Add(retryAfter*time.Duration(v.Attempts)).UTC()
		v.Summary = fmt.Sprintf("Waits until %s to be tried again: %v.", v.Due.Format(time.RFC3339), err)
	case err != nil:
		v.Status, v.Summary = StatusError, fmt.Sprintf("Could not be judged: %v.", err)
	}
	if v.Status.Final() {
		v.Finished = s.cfg.Clock().UTC()
		if err := s.record(ctx, v); err != nil {
			s.failed(ctx, v, err)
			return
		}
	}
	if err := s.cfg.Store.Save(ctx, v, Lease{Owner: s.cfg.Owner}); err != nil {
		s.failed(ctx, v, err)
		return
	}
	s.tell(v)
}

func (s *Service) failed(ctx context.Context, v Validation, err error) {
	if ctx.Err() == nil {
		s.log.ErrorContext(ctx, "validation was not stored and will be done again", "validation", v.ID, "error", err)
	}
}

func (s *Service) begin(ctx context.Context, v *Validation) error {
	now := s.cfg.Clock().UTC()
	v.Status, v.Started, v.Attempts = StatusRunning, now, v.Attempts+1
	v.Summary = "Is being judged."
	if err := s.cfg.Store.Save(ctx, *v, s.lease(now)); err != nil {
		return err
	}
	s.tell(*v)
	return nil
}

// examine reads and judges within the lease; again says that it is worth
// trying once more. A panic is the outcome of this one validation.
func (s *Service) examine(ctx context.Context, v *Validation) (again bool, err error) {
	defer s.caught(&err)
	within, cancel := context.WithTimeout(ctx, s.cfg.Lease*3/4)
	defer cancel()
	err = s.judge(within, v)
	if errors.Is(err, context.DeadlineExceeded) {
		err = fault.Unavailable("the metrics could not be read within %s", s.cfg.Lease*3/4)
	}
	return err != nil && fault.Is(err, fault.KindUnavailable) && v.Attempts < maxAttempts, err
}

// caught makes a panic the error of a deferring function.
func (s *Service) caught(err *error) {
	if p := recover(); p != nil {
		s.log.Error("panic in a validation", "panic", p, "stack", string(debug.Stack()))
		*err = fault.Internal("panic: %v", p)
	}
}

// record says what came out. The event's id is derived, so that it is there
// once however often it is recorded.
func (s *Service) record(ctx context.Context, v Validation) error {
	if s.cfg.Recorder == nil {
		return nil
	}
	e := change.Event{
		ID: "finished-" + v.ID, Type: change.TypeValidationFinished, Kind: change.KindValidation,
		Title: title(v), Who: v.Who, Source: "tidegate", Start: v.Started, End: v.Finished,
		Key: v.Comparison, To: string(v.Status), Correlation: v.Release,
		Properties: map[string]string{"validation": v.ID, "comparison": v.Comparison, "pipeline": v.Pipeline,
			"build": v.Build, "stage": v.Stage, "status": string(v.Status)},
	}
	e.Service, e.Environment, e.Version = v.Service, v.Environment, v.Version
	_, err := s.cfg.Recorder.Record(ctx, e)
	if fault.Is(err, fault.KindConflict) { // an earlier attempt came to another end
		return nil
	}
	return err
}

func title(v Validation) string {
	text := v.Comparison
	if v.Pipeline != "" {
		text = v.Pipeline + " " + v.Build + ": " + text
	}
	return fmt.Sprintf("%s: %s", text, v.Status)
}

// settle counts and words the outcome.
func (v *Validation) settle(results []signature.Result) {
	v.Results = results
	v.Violations, v.Warnings = 0, 0
	var first, doubt string
	for _, r := range results {
		switch r.Status {
		case signature.StatusViolation:
			if v.Violations++; first == "" {
				first = r.Why
			}
		case signature.StatusOK:
		default:
			if doubt == "" {
				doubt = r.Why
			}
		}
		if r.Warning != "" {
			v.Warnings++
		}
	}
	v.Status = Status(signature.Overall(results))
	switch v.Status {
	case StatusViolation:
		v.Summary = fmt.Sprintf("%d of %d metrics violate %s: %s", v.Violations, len(results), v.Comparison, first)
	case StatusOK:
		v.Summary = fmt.Sprintf("All %d metrics are within %s", len(results), v.Comparison)
		if v.Warnings > 0 {
			v.Summary += fmt.Sprintf(", %d with a warning", v.Warnings)
		}
		v.Summary += "."
	default:
		v.Summary = doubt
	}
}
