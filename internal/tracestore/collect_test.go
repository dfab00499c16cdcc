package tracestore

import (
	"math/rand/v2"
	"testing"
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.opentelemetry.io/collector/pdata/ptrace/ptraceotlp"

	"github.com/tidegate-io/tidegate/telemetry"
)

// longTrace stores n spans of one trace, a millisecond apart, in requests of
// 50, in any order.
func longTrace(t *testing.T, s *Store, n int) telemetry.TraceID {
	t.Helper()
	id := telemetry.TraceID{1, 2, 3}
	order := rand.Perm(n)
	for from := 0; from < n; from += 50 {
		td := ptrace.NewTraces()
		rs := td.ResourceSpans().AppendEmpty()
		rs.Resource().Attributes().PutStr("service.name", "batch")
		spans := rs.ScopeSpans().AppendEmpty().Spans()
		for _, k := range order[from:min(from+50, n)] {
			sp := spans.AppendEmpty()
			sp.SetTraceID(pcommon.TraceID(id))
			sp.SetSpanID(pcommon.SpanID{1, byte(k >> 16), byte(k >> 8), byte(k)})
			sp.SetName("step")
			start := epoch.Add(time.Duration(k) * time.Millisecond)
			sp.SetStartTimestamp(pcommon.NewTimestampFromTime(start))
			sp.SetEndTimestamp(pcommon.NewTimestampFromTime(start.Add(time.Millisecond)))
		}
		req, err := ptraceotlp.NewExportRequestFromTraces(td).MarshalProto()
		if err != nil {
			t.Fatal(err)
		}
		add(t, s, epoch, req)
		if from%500 == 0 {
			add(t, s, epoch, req) // sent again
		}
	}
	return id
}

// Of a trace with too many spans those that started first are read, whatever
// the order they came in.
func TestLongTraceIsCutByStart(t *testing.T) {
	s := open(t, Config{Dir: t.TempDir()})
	id := longTrace(t, s, 2000)
	for limit, cut := range map[int]bool{1: true, 7: true, 300: true, 1999: true, 2000: false, 3000: false} {
		v := s.log.View()
		found, err := collect(t.Context(), v, []telemetry.TraceID{id}, limit)
		v.Close()
		if err != nil {
			t.Fatal(err)
		}
		tr := found[0]
		if len(tr.Spans) != min(limit, 2000) || tr.Truncated != cut {
			t.Fatalf("limit %d: %d spans, truncated %v", limit, len(tr.Spans), tr.Truncated)
		}
		for i, sp := range tr.Spans {
			if want := epoch.Add(time.Duration(i) * time.Millisecond); !sp.Start.Equal(want) {
				t.Fatalf("limit %d: span %d starts at %s, want %s", limit, i, sp.Start, want)
			}
		}
	}
}

// A trace that is opened by its id is whole up to 50,000 spans.
func TestLongTraceIsReadWhole(t *testing.T) {
	s := open(t, Config{Dir: t.TempDir()})
	id := longTrace(t, s, 12_000)
	tr, err := s.Trace(t.Context(), id)
	if err != nil || len(tr.Spans) != 12_000 || tr.Truncated {
		t.Fatalf("%d spans, truncated %v, %v", len(tr.Spans), tr.Truncated, err)
	}
	for tr, err := range s.Traces(t.Context(), telemetry.TraceQuery{Limit: 1}) {
		if err != nil || len(tr.Spans) != maxSpansFound || !tr.Truncated {
			t.Errorf("found: %d spans, truncated %v, %v", len(tr.Spans), tr.Truncated, err)
		}
	}
}
