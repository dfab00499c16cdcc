package otlp

import (
	"context"
	"testing"
	"time"

	"github.com/tidegate-io/tidegate/entity"
	"github.com/tidegate-io/tidegate/internal/otlp/wire"
	"github.com/tidegate-io/tidegate/internal/otlp/wire/wiretest"
)

func benchMetrics(tb testing.TB) (m *spanMetrics, req *wire.Traces, arrival int64) {
	tb.Helper()
	now := time.Now()
	req = new(wire.Traces)
	if err := req.Parse(wiretest.New(1, now).Request(1000)); err != nil {
		tb.Fatal(err)
	}
	cfg := Config{Traces: nowhere{}, Logs: nowhere{}, Metrics: noMetrics{}}
	if err := cfg.defaults(); err != nil {
		tb.Fatal(err)
	}
	cfg.Seen = func(entity.Entity) {}
	return newSpanMetrics(&cfg), req, now.Add(time.Minute).UnixNano()
}

type nowhere struct{}

func (nowhere) Append(context.Context, time.Time, []byte) error             { return nil }
func (nowhere) AppendTraces(context.Context, time.Time, *wire.Traces) error { return nil }
func (nowhere) Replay(context.Context, time.Time, func(time.Time, []byte) error) error {
	return nil
}

type noMetrics struct{ Metrics }

// TestCountingDoesNotAllocatePerSpan guards the hot path.
func TestCountingDoesNotAllocatePerSpan(t *testing.T) {
	m, req, arrival := benchMetrics(t)
	count := func() { m.count(arrival, req) }
	count() // makes the series
	if allocs := testing.AllocsPerRun(20, count); allocs > float64(req.Sound)/50 {
		t.Errorf("%v allocations for %d spans", allocs, req.Sound)
	}
}

// BenchmarkCount counts a request; see ns/span.
func BenchmarkCount(b *testing.B) {
	m, req, arrival := benchMetrics(b)
	b.SetBytes(int64(len(req.Raw)))
	b.ReportAllocs()
	for b.Loop() {
		m.count(arrival, req)
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*req.Sound), "ns/span")
}

// BenchmarkFlush settles a slot of one request.
func BenchmarkFlush(b *testing.B) {
	m, req, arrival := benchMetrics(b)
	b.ReportAllocs()
	for b.Loop() {
		arrival += m.slot
		m.count(arrival, req)
		if _, ok := m.due(arrival + m.slot + m.grace + 1); !ok {
			b.Fatal("nothing is due")
		}
	}
}
