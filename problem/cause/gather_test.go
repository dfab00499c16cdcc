package cause

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"strings"
	"testing"
	"time"

	"github.com/tidegate-io/tidegate/change"
	"github.com/tidegate-io/tidegate/entity"
	"github.com/tidegate-io/tidegate/fault"
	"github.com/tidegate-io/tidegate/problem"
	"github.com/tidegate-io/tidegate/telemetry"
)

// store is a system whose payment service fails from the onset on.
type store struct {
	*little
	traces []*telemetry.Trace
	err    error
}

func newStore() *store {
	s := &store{little: newLittle().failing(0.5, "frontend", "checkout", "payment")}
	s.change(change.KindDeployment, "payment", "payment 2.0", 30*time.Second)
	for i := range 120 {
		at := onset.Add(time.Duration(i-60) * 4 * time.Second)
		s.traces = append(s.traces, s.request(byte(i+1), at, !at.Before(onset) && i%2 == 0))
	}
	return s
}

// request is a trace of frontend, checkout and payment.
func (s *store) request(n byte, at time.Time, fails bool) *telemetry.Trace {
	t := &telemetry.Trace{ID: telemetry.TraceID{1, 15: n}}
	for i, service := range []string{"frontend", "checkout", "payment"} {
		span := telemetry.Span{TraceID: t.ID, ID: telemetry.SpanID{byte(i + 1), 7: n}, Ref: prod(service), Name: "POST /" + service, Kind: telemetry.KindServer,
			Start: at.Add(time.Duration(i) * time.Millisecond), Duration: time.Duration(40-10*i) * time.Millisecond, Status: telemetry.StatusOK}
		if i > 0 {
			span.ParentID = telemetry.SpanID{byte(i), 7: n}
		}
		if fails {
			span.Status = telemetry.StatusError
			if service == "payment" {
				span.Events = []telemetry.Event{{Name: "exception", Time: at, Attributes: telemetry.Attributes{"exception.type": "NilPointer", "exception.message": fmt.Sprintf("order %d", n)}}}
			}
		}
		t.Spans = append(t.Spans, span)
	}
	return t
}

func (s *store) Trace(context.Context, telemetry.TraceID) (*telemetry.Trace, error) {
	return nil, fault.NotFound("trace")
}

func (s *store) Traces(_ context.Context, q telemetry.TraceQuery) iter.Seq2[*telemetry.Trace, error] {
	return func(yield func(*telemetry.Trace, error) bool) {
		if s.err != nil {
			yield(nil, s.err)
			return
		}
		for i := len(s.traces) - 1; i >= 0; i-- {
			for _, sp := range s.traces[i].Spans {
				if q.Ref.Covers(sp.Ref) && (q.Status == "" || q.Status == sp.Status) && !sp.Start.Before(q.From) && sp.Start.Before(q.To) {
					if !yield(s.traces[i], nil) {
						return
					}
					break
				}
			}
		}
	}
}

func (s *store) Logs(_ context.Context, q telemetry.LogQuery) ([]telemetry.LogRecord, error) {
	if s.err != nil || q.Service != "payment" || !q.To.After(onset) {
		return nil, s.err
	}
	var out []telemetry.LogRecord
	for i := range 30 {
		out = append(out, telemetry.LogRecord{Time: onset.Add(time.Duration(30-i) * time.Second), Ref: prod("payment"), Severity: "ERROR", SeverityNumber: 17, Body: "charge failed"})
	}
	return out, nil
}

func (s *store) Events(_ context.Context, q change.Query) ([]change.Event, error) {
	return s.Changes, s.err
}

func (s *store) series(ctx context.Context, q SeriesQuery) ([]Series, error) {
	return s.little.Series, s.err
}

type seriesFunc func(context.Context, SeriesQuery) ([]Series, error)

func (f seriesFunc) Series(ctx context.Context, q SeriesQuery) ([]Series, error) { return f(ctx, q) }

type callsFunc func() ([]Call, error)

func (f callsFunc) Calls(context.Context, string, time.Time, time.Time) ([]Call, error) { return f() }

func (s *store) readers() Readers {
	return Readers{Traces: s, Logs: s, Changes: s, Series: seriesFunc(s.series), Graph: callsFunc(func() ([]Call, error) { return s.Calls, s.err })}
}

var failing = []problem.Event{{ID: "e", Signal: problem.SignalErrors, Ref: prod("frontend"), Start: onset, Observed: 0.2, Expected: 0.002, EValue: 1e4}}

func TestGather(t *testing.T) {
	s := newStore()
	in, found, err := Gather(t.Context(), s.readers(), failing, s.Now)
	if err != nil {
		t.Fatal(err)
	}
	if len(found.Gaps) > 0 {
		t.Errorf("gaps: %v", found.Gaps)
	}
	got := Find(in)
	if want := (want{problem.CauseChange, "payment", "payment 2.0", problem.RemedyRollback}); answer(got) != want {
		t.Errorf("%+v: %s", answer(got), got.Sentence)
	}
	if got.Operation != "POST /payment" || !strings.HasPrefix(got.Exception, "NilPointer") || len(got.Path) != 3 {
		t.Errorf("operation %q, exception %q, path %v", got.Operation, got.Exception, got.Path)
	}
	if len(in.Logs) != 1 || in.Logs[0].Baseline != 0 {
		t.Errorf("logs: %+v", in.Logs)
	}
}

// TestGatherAsksNear: series are asked for where the symptom may come from,
// and for those who call it.
func TestGatherAsksNear(t *testing.T) {
	s := newStore()
	for i := range 100 { // a large system
		s.Calls = append(s.Calls, Call{prod(fmt.Sprintf("far-%d", i)), prod(fmt.Sprintf("far-%d", i+1))})
	}
	r := s.readers()
	var asked SeriesQuery
	r.Series = seriesFunc(func(_ context.Context, q SeriesQuery) ([]Series, error) { asked = q; return nil, nil })
	if _, _, err := Gather(t.Context(), r, []problem.Event{{ID: "e", Ref: prod("checkout"), Start: onset}}, s.Now); err != nil {
		t.Fatal(err)
	}
	have := map[entity.Ref]bool{}
	for _, p := range asked.Places {
		have[p] = true
	}
	if len(have) != 4 || !have[prod("checkout")] || !have[prod("payment")] || !have[prod("shipping")] || !have[prod("frontend")] {
		t.Errorf("asked for %v", asked.Places)
	}
	if asked.Step != 30*time.Second || onset.Sub(asked.From) != 2*time.Hour || !asked.To.Equal(s.Now) {
		t.Errorf("from %s to %s, step %s", asked.From, asked.To, asked.Step)
	}
}

// TestGatherLooksCloselyAtFirst: seconds after the onset there is something to
// be seen already.
func TestGatherLooksCloselyAtFirst(t *testing.T) {
	s := newStore()
	r := s.readers()
	var asked SeriesQuery
	r.Series = seriesFunc(func(_ context.Context, q SeriesQuery) ([]Series, error) { asked = q; return nil, nil })
	if _, _, err := Gather(t.Context(), r, failing, onset.Add(12*time.Second)); err != nil {
		t.Fatal(err)
	}
	if slots := asked.To.Sub(onset) / asked.Step; slots < 2 || onset.Sub(asked.From) < 15*time.Minute {
		t.Errorf("%d slots of %s from %s on", slots, asked.Step, asked.From)
	}
}

// TestGatherGoesWithout: what is missing or fails is a gap, not an error.
func TestGatherGoesWithout(t *testing.T) {
	s := newStore()
	in, found, err := Gather(t.Context(), Readers{}, failing, s.Now)
	if err != nil || len(found.Gaps) < 4 || len(in.Symptoms) != 1 {
		t.Errorf("%v %v", err, found)
	}
	if got := Find(in); len(got.Ranking) != 1 || got.Ranking[0].Service != "frontend" {
		t.Errorf("with the symptom alone: %+v", got)
	}
	s.err = errors.New("the disk is on fire")
	_, found, err = Gather(t.Context(), s.readers(), failing, s.Now)
	if err != nil || !strings.Contains(strings.Join(found.Gaps, "\n"), "on fire") {
		t.Errorf("%v %v", err, found.Gaps)
	}
	if _, _, err := Gather(t.Context(), Readers{}, nil, s.Now); fault.KindOf(err) != fault.KindInvalid {
		t.Errorf("no events: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, found, err := Gather(ctx, Readers{}, failing, s.Now); !errors.Is(err, context.Canceled) || found == nil {
		t.Errorf("cancelled: %v", err)
	}
}
