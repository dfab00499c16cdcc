package wire_test

import (
	"encoding/binary"
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/plog/plogotlp"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.opentelemetry.io/collector/pdata/ptrace/ptraceotlp"

	"github.com/tidegate-io/tidegate/entity"
	"github.com/tidegate-io/tidegate/fault"
	"github.com/tidegate-io/tidegate/internal/otlp/wire"
	"github.com/tidegate-io/tidegate/internal/otlp/wire/wiretest"
	"github.com/tidegate-io/tidegate/telemetry"
)

var epoch = time.Unix(1_800_000_000, 0).UTC()

func encode(t testing.TB, td ptrace.Traces) []byte {
	t.Helper()
	b, err := ptraceotlp.NewExportRequestFromTraces(td).MarshalProto()
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// TestWalkAgreesWithPdata compares every field with the reference decoder.
func TestWalkAgreesWithPdata(t *testing.T) {
	gen := wiretest.New(1, epoch)
	for range 5 {
		req := gen.Request(300)
		ref := ptraceotlp.NewExportRequest()
		if err := ref.UnmarshalProto(req); err != nil {
			t.Fatal(err)
		}
		type line struct {
			service, version, env, scope, name string
			trace                              pcommon.TraceID
			span, parent                       pcommon.SpanID
			start, end                         uint64
			kind, status                       int
			exception                          string
		}
		var want, got []line
		for _, rs := range ref.Traces().ResourceSpans().All() {
			a := rs.Resource().Attributes()
			str := func(m pcommon.Map, k string) string { v, _ := m.Get(k); return v.AsString() }
			for _, ss := range rs.ScopeSpans().All() {
				for _, s := range ss.Spans().All() {
					exc := ""
					for _, e := range s.Events().All() {
						exc += str(e.Attributes(), "exception.type")
					}
					want = append(want, line{str(a, "service.name"), str(a, "service.version"), str(a, "deployment.environment.name"),
						ss.Scope().Name(), s.Name(), s.TraceID(), s.SpanID(), s.ParentSpanID(), uint64(s.StartTimestamp()), uint64(s.EndTimestamp()),
						int(s.Kind()), int(s.Status().Code()), exc})
				}
			}
		}
		err := wire.Walk(req, func(res *wire.Resource, scope []byte, s *wire.Span) error {
			if s.Defect != wire.Sound {
				t.Errorf("defect: %v", s.Defect)
			}
			exc := ""
			s.Exceptions(func(typ []byte) { exc += string(typ) })
			got = append(got, line{string(res.Service), string(res.Version), string(res.Environment), string(scope), string(s.Name),
				pcommon.TraceID(s.TraceID), pcommon.SpanID(s.ID), pcommon.SpanID(s.ParentID), s.Start, s.End, int(s.Kind), int(s.Status), exc})
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got, cmp.AllowUnexported(line{})); diff != "" {
			t.Fatal(diff)
		}
	}
}

func TestDecodeSpan(t *testing.T) {
	td := ptrace.NewTraces()
	rs := td.ResourceSpans().AppendEmpty()
	rs.Resource().Attributes().PutStr("service.name", "payment")
	rs.Resource().Attributes().PutStr("deployment.environment", "staging")
	ss := rs.ScopeSpans().AppendEmpty()
	ss.Scope().SetName("lib")
	s := ss.Spans().AppendEmpty()
	s.SetTraceID(pcommon.TraceID{1})
	s.SetSpanID(pcommon.SpanID{2})
	s.SetParentSpanID(pcommon.SpanID{3})
	s.SetName("PaymentService/Charge")
	s.SetKind(ptrace.SpanKindServer)
	s.SetStartTimestamp(pcommon.NewTimestampFromTime(epoch))
	s.SetEndTimestamp(pcommon.NewTimestampFromTime(epoch.Add(3 * time.Millisecond)))
	s.Status().SetCode(ptrace.StatusCodeError)
	s.Status().SetMessage("declined")
	s.Attributes().PutInt("n", -5)
	s.Attributes().PutDouble("f", 1.5)
	s.Attributes().PutBool("b", true)
	s.Attributes().PutEmptyBytes("raw").FromRaw([]byte("hi"))
	s.Attributes().PutEmptySlice("list").AppendEmpty().SetStr("x")
	s.Attributes().PutEmptyMap("map").PutInt("k", 1)
	e := s.Events().AppendEmpty()
	e.SetName("exception")
	e.SetTimestamp(pcommon.NewTimestampFromTime(epoch))
	e.Attributes().PutStr("exception.type", "Declined")
	l := s.Links().AppendEmpty()
	l.SetTraceID(pcommon.TraceID{9})
	l.SetSpanID(pcommon.SpanID{8})
	l.Attributes().PutStr("why", "batch")

	want := telemetry.Span{
		TraceID: telemetry.TraceID{1}, ID: telemetry.SpanID{2}, ParentID: telemetry.SpanID{3},
		Ref:  entity.Ref{Service: "payment", Environment: "staging"},
		Name: "PaymentService/Charge", Kind: telemetry.KindServer, Scope: "lib",
		Start: epoch, Duration: 3 * time.Millisecond,
		Status: telemetry.StatusError, StatusMessage: "declined",
		Attributes: telemetry.Attributes{"n": int64(-5), "f": 1.5, "b": true, "raw": "aGk=", "list": []any{"x"}, "map": map[string]any{"k": int64(1)}},
		Resource:   telemetry.Attributes{"service.name": "payment", "deployment.environment": "staging"},
		Events:     []telemetry.Event{{Name: "exception", Time: epoch, Attributes: telemetry.Attributes{"exception.type": "Declined"}}},
		Links:      []telemetry.Link{{TraceID: telemetry.TraceID{9}, SpanID: telemetry.SpanID{8}, Attributes: telemetry.Attributes{"why": "batch"}}},
	}
	spans := decodeAll(t, encode(t, td))
	if diff := cmp.Diff([]telemetry.Span{want}, spans); diff != "" {
		t.Fatal(diff)
	}
}

func decodeAll(t testing.TB, req []byte) []telemetry.Span {
	t.Helper()
	var out []telemetry.Span
	err := wire.Walk(req, func(res *wire.Resource, scope []byte, s *wire.Span) error {
		d, err := wire.DecodeSpan(res, scope, s)
		out = append(out, d)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// field encodes one length-delimited protobuf field.
func field(num int, body ...[]byte) []byte {
	var all []byte
	for _, b := range body {
		all = append(all, b...)
	}
	out := binary.AppendUvarint(nil, uint64(num<<3|2))
	out = binary.AppendUvarint(out, uint64(len(all)))
	return append(out, all...)
}

func TestDefects(t *testing.T) {
	trace, id := field(1, make([]byte, 15), []byte{1}), field(2, []byte("12345678"))
	for name, c := range map[string]struct {
		span []byte
		want wire.Defect
	}{
		"sound":          {append(trace, id...), wire.Sound},
		"no ids":         {field(5, []byte("x")), wire.BadTraceID},
		"short trace id": {append(field(1, []byte("short")), id...), wire.BadTraceID},
		"zero trace id":  {append(field(1, make([]byte, 16)), id...), wire.BadTraceID},
		"long trace id":  {append(field(1, make([]byte, 16), []byte{1}), id...), wire.BadTraceID},
		"zero span id":   {append(trace, field(2, make([]byte, 8))...), wire.BadSpanID},
		"bad parent":     {append(append(trace, id...), field(4, []byte("x"))...), wire.BadParentID},
		"name not UTF-8": {append(append(trace, id...), field(5, []byte{0xff})...), wire.BadName},
	} {
		// The resource comes after its spans: order is free in protobuf.
		req := field(1, field(2, field(2, c.span)), field(1, field(1, field(1, []byte("service.name")), field(2, field(1, []byte("late"))))))
		visited := false
		err := wire.Walk(req, func(res *wire.Resource, _ []byte, s *wire.Span) error {
			visited = true
			if s.Defect != c.want || string(res.Service) != "late" {
				t.Errorf("%s: defect %v, service %q", name, s.Defect, res.Service)
			}
			return nil
		})
		if err != nil || !visited {
			t.Errorf("%s: visited %v, err %v", name, visited, err)
		}
	}
}

func TestMalformedNamesTheOffset(t *testing.T) {
	req := wiretest.New(1, epoch).Request(20)
	for name, c := range map[string]struct{ req []byte }{
		"truncated":        {req[:len(req)-3]},
		"not protobuf":     {[]byte("hello, this is not OTLP")},
		"group":            {[]byte{0x0b, 0x0c}},
		"wrong wire type":  {field(1, field(2, field(2, []byte{0x08, 0x01})))},
		"endless varint":   {[]byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff}},
		"length too large": {[]byte{0x0a, 0x7f, 0x00}},
	} {
		err := wire.Walk(c.req, func(*wire.Resource, []byte, *wire.Span) error { return nil })
		if !fault.Is(err, fault.KindInvalid) {
			t.Errorf("%s: %v", name, err)
		} else {
			t.Logf("%s: %v", name, err)
		}
	}
}

func TestWalkStopsAtVisitorsError(t *testing.T) {
	stop := errors.New("stop")
	n := 0
	err := wire.Walk(wiretest.New(1, epoch).Request(20), func(*wire.Resource, []byte, *wire.Span) error {
		n++
		return stop
	})
	if err != stop || n != 1 {
		t.Fatalf("err %v after %d spans", err, n)
	}
}

func TestWalkDoesNotAllocatePerSpan(t *testing.T) {
	req := wiretest.New(1, epoch).Request(500)
	n := 0
	visit := func(*wire.Resource, []byte, *wire.Span) error { n++; return nil }
	if got := testing.AllocsPerRun(10, func() { _ = wire.Walk(req, visit) }); got > 10 {
		t.Errorf("%v allocations for 500 spans", got)
	}
	if n == 0 {
		t.Error("nothing visited")
	}
}

func TestDeeplyNestedValueIsRefused(t *testing.T) {
	value := field(1, []byte("x"))
	for range 100 {
		value = field(5, field(1, value))
	}
	span := append(field(1, []byte("0123456789abcdef")), field(2, []byte("12345678"))...)
	span = append(span, field(9, field(1, []byte("deep")), field(2, value))...)
	err := wire.Walk(field(1, field(2, field(2, span))), func(res *wire.Resource, scope []byte, s *wire.Span) error {
		d, err := wire.DecodeSpan(res, scope, s)
		if d.ID.IsZero() {
			t.Error("the rest of the span is lost")
		}
		return err
	})
	if !fault.Is(err, fault.KindInvalid) {
		t.Fatal(err)
	}
}

func TestWalkLogs(t *testing.T) {
	ld := plog.NewLogs()
	rl := ld.ResourceLogs().AppendEmpty()
	rl.Resource().Attributes().PutStr("service.name", "payment")
	sl := rl.ScopeLogs().AppendEmpty()
	a := sl.LogRecords().AppendEmpty()
	a.SetTimestamp(pcommon.NewTimestampFromTime(epoch))
	a.SetSeverityNumber(plog.SeverityNumberError2)
	a.Body().SetStr("declined")
	a.SetTraceID(pcommon.TraceID{1})
	a.SetSpanID(pcommon.SpanID{2})
	a.Attributes().PutStr("k", "v")
	b := sl.LogRecords().AppendEmpty()
	b.SetObservedTimestamp(pcommon.NewTimestampFromTime(epoch))
	b.SetSeverityText("notice")
	b.Body().SetEmptyMap().PutStr("msg", "structured")
	req, err := plogotlp.NewExportRequestFromLogs(ld).MarshalProto()
	if err != nil {
		t.Fatal(err)
	}
	resource := telemetry.Attributes{"service.name": "payment"}
	want := []telemetry.LogRecord{
		{Time: epoch, Ref: entity.Ref{Service: "payment"}, Severity: "ERROR", SeverityNumber: 18, Body: "declined",
			TraceID: telemetry.TraceID{1}, SpanID: telemetry.SpanID{2}, Attributes: telemetry.Attributes{"k": "v"}, Resource: resource},
		{Time: epoch, Observed: epoch, Ref: entity.Ref{Service: "payment"}, Severity: "notice", Body: `{"msg":"structured"}`, Resource: resource},
	}
	var got []telemetry.LogRecord
	err = wire.WalkLogs(req, func(res *wire.Resource, _ []byte, l *wire.Log) error {
		r, err := wire.DecodeLog(res, l)
		got = append(got, r)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Fatal(diff)
	}
}

// FuzzWalk: whatever the bytes, no panic, errors are Invalid, and what the
// reference decoder accepts is walked with the same number of spans.
func FuzzWalk(f *testing.F) {
	f.Add(wiretest.New(1, epoch).Request(3))
	f.Add(wiretest.New(1, epoch).Logs("a", 2))
	f.Add([]byte{0x0a, 0x00})
	f.Fuzz(func(t *testing.T, req []byte) {
		n := 0
		err := wire.Walk(req, func(res *wire.Resource, scope []byte, s *wire.Span) error {
			n++
			s.Exceptions(func([]byte) {})
			_, _ = wire.DecodeSpan(res, scope, s)
			return nil
		})
		if err != nil && !fault.Is(err, fault.KindInvalid) {
			t.Fatal(err)
		}
		ref := ptraceotlp.NewExportRequest()
		if refErr := ref.UnmarshalProto(req); refErr == nil && err == nil && ref.Traces().SpanCount() != n {
			t.Fatalf("%d spans, the reference decoder sees %d", n, ref.Traces().SpanCount())
		}
		err = wire.WalkLogs(req, func(res *wire.Resource, _ []byte, l *wire.Log) error {
			_, _ = wire.DecodeLog(res, l)
			return nil
		})
		if err != nil && !fault.Is(err, fault.KindInvalid) {
			t.Fatal(err)
		}
	})
}

func BenchmarkWalk(b *testing.B) {
	req := wiretest.New(1, epoch).Request(512)
	n := 0
	b.ReportAllocs()
	for b.Loop() {
		if err := wire.Walk(req, func(*wire.Resource, []byte, *wire.Span) error { n++; return nil }); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(n), "ns/span")
	b.ReportMetric(float64(len(req))/512, "B/span")
}

// BenchmarkPdata is the yardstick: full decoding by the Collector's library.
func BenchmarkPdata(b *testing.B) {
	req := wiretest.New(1, epoch).Request(512)
	n := 0
	b.ReportAllocs()
	for b.Loop() {
		ref := ptraceotlp.NewExportRequest()
		if err := ref.UnmarshalProto(req); err != nil {
			b.Fatal(err)
		}
		n += ref.Traces().SpanCount()
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(n), "ns/span")
}
