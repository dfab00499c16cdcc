package guardian

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"hash/fnv"
	"math"
	"runtime/debug"
	"time"

	"github.com/tidegate-io/tidegate/fault"
	"github.com/tidegate-io/tidegate/judge"
)

const (
	// examineWithin bounds a validation: a reader that hangs must not hold
	// the others up.
	examineWithin = 5 * time.Minute
	// explainWithin bounds the part of it that the verdict does not rest on.
	explainWithin = time.Minute
)

// scheduledID names the validation of one slot of a schedule. The name is
// hashed because an id has fewer letters than a name may have.
func scheduledID(guardian string, at time.Time) string {
	h := fnv.New64a()
	h.Write([]byte(guardian))
	return "schedule-" + hex.EncodeToString(h.Sum(nil)) + "-" + at.Format("20060102T150405Z")
}

// execute does one validation, or takes one look at it while its window is
// open and then returns when to come back. It returns an error only when the
// outcome could not be stored or ctx ended: then it is to be done again.
func (s *Service) execute(ctx context.Context, id string) (next time.Time, err error) {
	v, err := s.store.Validation(ctx, id)
	if err != nil || v.State == StateFinished {
		return next, err
	}
	if g, _ := s.defs.Guardian(v.Guardian); s.now().Before(g.due(v)) {
		if g, err := g.with(v.Variables); err == nil { // else the verdict at the end says so
			return s.watch(ctx, g, v)
		}
		return g.due(v), nil
	}
	if err := s.begin(ctx, &v); err != nil {
		return next, err
	}
	if err := s.examine(ctx, &v); err != nil {
		if ctx.Err() != nil {
			return next, ctx.Err() // done again after the restart
		}
		s.log.Warn("validation could not be done", "validation", id, "guardian", v.Guardian, "error", err)
		v.fail(err)
	}
	return next, s.finish(ctx, v)
}

// begin says that a validation is running; one that was watched is already.
func (s *Service) begin(ctx context.Context, v *Validation) error {
	v.State = StateRunning
	if v.Watch == nil || v.Started.IsZero() {
		v.Started = s.now()
	}
	if err := s.store.Update(ctx, *v); err != nil {
		return err
	}
	s.tell(*v)
	return s.record(ctx, v.startedEvent())
}

func (s *Service) finish(ctx context.Context, v Validation) error {
	v.State = StateFinished
	v.Finished = s.now()
	if err := s.store.Update(ctx, v); err != nil {
		return err
	}
	s.log.Info("validation finished", "validation", v.ID, "guardian", v.Guardian, "status", v.Status)
	s.tell(v)
	s.finished(v.ID)
	return s.record(ctx, v.finishedEvents()...)
}

// fail makes what kept the validation from being done its outcome.
func (v *Validation) fail(cause error) {
	v.Status = judge.StatusError
	v.Verdict = &judge.Verdict{Status: judge.StatusError, Summary: cause.Error()}
	v.Headline = "Error: the validation could not be done: " + cause.Error()
}

// examine reads, judges and explains. A reader that is unavailable is asked
// again a few times. A panic is the outcome of this one validation: it would
// otherwise end the process again after every restart.
func (s *Service) examine(ctx context.Context, v *Validation) (err error) {
	defer s.caught(v.ID, &err)
	ctx, cancel := context.WithTimeout(ctx, examineWithin)
	defer cancel()
	g, ok := s.defs.Guardian(v.Guardian)
	if !ok {
		return fault.NotFound("guardian %q was removed before its validation", v.Guardian)
	}
	if g, err = g.with(v.Variables); err != nil {
		return err
	}
	g = g.WithDefaults()
	if err := g.Validate(); err != nil {
		return err
	}
	measured, err := s.measureAll(ctx, g, v.Window, sliceOf(v.asked().Length()))
	if err != nil {
		return err
	}
	h, err := s.historyOf(ctx, *v)
	if err != nil {
		return fmt.Errorf("history: %w", err)
	}
	s.judge(v, g, measured, h)
	v.saw(g, *v.Verdict, v.Window.To)
	s.explain(ctx, v, g, measured, h)
	v.Headline = headline(*v, g, measured)
	return ctx.Err()
}

// caught makes a panic the error of a deferring function.
func (s *Service) caught(id string, err *error) {
	if p := recover(); p != nil {
		s.log.Error("panic in a validation", "validation", id, "panic", p, "stack", string(debug.Stack()))
		*err = fault.Internal("panic: %v", p)
	}
}

// judge holds the measurements against the objectives.
func (s *Service) judge(v *Validation, g Guardian, measured []measurement, h history) {
	inputs := make([]judge.Input, len(measured))
	v.Sources = make([]Source, len(measured))
	for i, m := range measured {
		inputs[i] = m.input
		if m.objective.Adaptive != nil {
			inputs[i].History, inputs[i].Reference = h.of(m.objective.Name, m.input.Sample.Kind)
		}
		v.Sources[i] = m.source
	}
	opts := g.Options
	opts.Seed = seed(v.ID)
	verdict := judge.Judge(opts, inputs)
	v.Verdict, v.Status = &verdict, verdict.Status
}

// seed makes resampling repeatable for each validation.
func seed(id string) uint64 {
	h := fnv.New64a()
	h.Write([]byte(id))
	return h.Sum64()
}

// measureAll reads every objective; optional ones without data are left out.
func (s *Service) measureAll(ctx context.Context, g Guardian, w Window, slice time.Duration) ([]measurement, error) {
	out := make([]measurement, 0, len(g.Objectives))
	for _, o := range g.Objectives {
		m, err := s.measureRetrying(ctx, o, Reading{Indicator: o.Indicator, Target: o.target(g), Window: w, Slice: slice})
		if err != nil {
			return nil, fmt.Errorf("read %q: %w", o.Name, err)
		}
		if o.leftOut(m) {
			continue
		}
		out = append(out, m)
	}
	if len(out) == 0 {
		return nil, errors.New("none of the objectives has data, and all are optional")
	}
	return out, nil
}

func (s *Service) measureRetrying(ctx context.Context, o Objective, r Reading) (measurement, error) {
	for n := 1; ; n++ {
		m, err := s.measure(ctx, o, r)
		if err == nil || n == maxAttempts || !fault.Is(err, fault.KindUnavailable) {
			return m, err
		}
		wait := time.NewTimer(retryAfter * time.Duration(math.Exp2(float64(n-1))))
		select {
		case <-wait.C:
		case <-ctx.Done():
			wait.Stop()
			return m, ctx.Err()
		}
	}
}
