package tracestore

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tidegate-io/tidegate/entity"
	"github.com/tidegate-io/tidegate/internal/otlp/wire/wiretest"
	"github.com/tidegate-io/tidegate/telemetry"
)

// failures counts by looking at every span.
func (w want) failures(ref entity.Ref, from, to time.Time) map[string]telemetry.FailureGroup {
	out := map[string]telemetry.FailureGroup{}
	for _, spans := range w {
		for _, s := range spans {
			q := telemetry.TraceQuery{Ref: ref}
			if !s.Failed() || !q.Covers(s.Ref) || s.Start.Before(from) || !to.IsZero() && !s.Start.Before(to) {
				continue
			}
			e, _ := s.Exception()
			key := fmt.Sprint(s.Ref, s.Name, e.Type)
			g, ok := out[key]
			if !ok {
				g = telemetry.FailureGroup{Ref: s.Ref, Operation: s.Name, ExceptionType: e.Type, First: s.Start}
			}
			g.Count++
			if s.Start.Before(g.First) {
				g.First = s.Start
			}
			if s.Start.After(g.Last) {
				g.Last, g.Example = s.Start, s.TraceID
			}
			out[key] = g
		}
	}
	return out
}

func checkFailures(t testing.TB, state string, s *Store, w want) {
	t.Helper()
	mid := epoch.Add(60 * time.Millisecond)
	for _, x := range []struct {
		ref      entity.Ref
		from, to time.Time
	}{
		{},
		{ref: entity.Ref{Service: "payment"}},
		{ref: entity.Ref{Environment: "nowhere"}},
		{from: mid},
		{to: mid},
		{from: mid, to: mid.Add(25 * time.Millisecond)},
		{from: mid.Add(time.Hour)},
	} {
		groups, err := s.Failures(context.Background(), x.ref, x.from, x.to)
		if err != nil {
			t.Fatal(err)
		}
		got, last := map[string]telemetry.FailureGroup{}, 1<<30
		for _, g := range groups {
			if g.Count > last {
				t.Errorf("%s: not by frequency", state)
			}
			last = g.Count
			got[fmt.Sprint(g.Ref, g.Operation, g.ExceptionType)] = g
		}
		if diff := cmp.Diff(w.failures(x.ref, x.from, x.to), got); diff != "" {
			t.Errorf("%s, %+v: %s", state, x, diff)
		}
	}
}

// TestFailuresOfManyNames: signatures beyond the limit are counted together,
// and none is lost.
func TestFailuresOfManyNames(t *testing.T) {
	var fs failures
	ref := &entity.Ref{Service: "s"}
	const n = 2 * maxFailures
	for i := range n {
		fs.add(failure{signature: signature{ref, fmt.Sprint(i), "E"}, count: 2})
	}
	var total uint64
	for _, f := range fs {
		total += f.count
	}
	if len(fs) != maxFailures+1 || total != 2*n {
		t.Errorf("%d groups, %d failures", len(fs), total)
	}
}

// BenchmarkFailures groups the failures of 200 000 spans, of which the first and
// the last requests lie at the edges of the window.
func BenchmarkFailures(b *testing.B) {
	s := open(b, Config{Dir: b.TempDir()})
	gen := wiretest.New(1, epoch)
	for range 400 {
		add(b, s, epoch, gen.Request(512))
	}
	for b.Loop() {
		groups, err := s.Failures(context.Background(), entity.Ref{}, epoch.Add(time.Second), epoch.Add(15*time.Second))
		if err != nil || len(groups) == 0 {
			b.Fatal(groups, err)
		}
	}
}
