package otlp

import (
	"context"
	"testing"
	"time"

	"github.com/tidegate-io/tidegate/entity"
	"github.com/tidegate-io/tidegate/internal/otlp/wire"
	"github.com/tidegate-io/tidegate/internal/otlp/wire/wiretest"
)

func benchMetrics(tb testing.TB) (m *spanMetrics, req []byte, spans int, arrival int64) {
	tb.Helper()
	now := time.Now()
	req = wiretest.New(1, now).Request(1000)
	if err := wire.Walk(req, func(*wire.Resource, []byte, *wire.Span) error { spans++; return nil }); err != nil {
		tb.Fatal(err)
	}
	cfg := Config{Traces: nowhere{}, Logs: nowhere{}, Metrics: noMetrics{}}
	if err := cfg.defaults(); err != nil {
		tb.Fatal(err)
	}
	cfg.Seen = func(entity.Entity) {}
	return newSpanMetrics(&cfg), req, spans, now.Add(time.Minute).UnixNano()
}

type nowhere struct{}

func (nowhere) Append(context.Context, time.Time, []byte) error { return nil }
func (nowhere) Replay(context.Context, time.Time, func(time.Time, []byte) error) error {
	return nil
}

type noMetrics struct{ Metrics }

// TestCountingDoesNotAllocatePerSpan guards the hot path.
func TestCountingDoesNotAllocatePerSpan(t *testing.T) {
	m, req, spans, arrival := benchMetrics(t)
	count := func() {
		if err := m.count(arrival, req); err != nil {
			t.Fatal(err)
		}
	}
	count() // makes the series
	if allocs := testing.AllocsPerRun(20, count); allocs > float64(spans)/50 {
		t.Errorf("%v allocations for %d spans", allocs, spans)
	}
}

// BenchmarkCount counts a request; see ns/span.
func BenchmarkCount(b *testing.B) {
	m, req, spans, arrival := benchMetrics(b)
	b.SetBytes(int64(len(req)))
	b.ReportAllocs()
	for b.Loop() {
		if err := m.count(arrival, req); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*spans), "ns/span")
}

// BenchmarkFlush settles a slot of one request.
func BenchmarkFlush(b *testing.B) {
	m, req, _, arrival := benchMetrics(b)
	b.ReportAllocs()
	for b.Loop() {
		arrival += m.slot
		if err := m.count(arrival, req); err != nil {
			b.Fatal(err)
		}
		if _, ok := m.due(arrival + m.slot + m.grace + 1); !ok {
			b.Fatal("nothing is due")
		}
	}
}
