package otlp_test

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog/plogotlp"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/collector/pdata/pmetric/pmetricotlp"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.opentelemetry.io/collector/pdata/ptrace/ptraceotlp"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	rpcstatus "google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"github.com/tidegate-io/tidegate/fault"
	"github.com/tidegate-io/tidegate/internal/otlp"
)

func one(t testing.TB) []byte {
	now := time.Now()
	return request(t, span{n: 1, service: "checkout", name: "op", kind: ptrace.SpanKindServer, start: now, end: now})
}

func TestAnswersInTheEncodingOfTheRequest(t *testing.T) {
	g := start(t, t.TempDir(), &memory{}, nil)
	if code, body := g.post(t, "/v1/traces", one(t)); code != 200 || len(body) != 0 {
		t.Errorf("protobuf: %d %q", code, body)
	}
	js := `{"resourceSpans":[{"resource":{"attributes":[{"key":"service.name","value":{"stringValue":"cart"}}]},
		"scopeSpans":[{"spans":[{"traceId":"5B8EFFF798038103D269B633813FC60C","spanId":"EEE19B7EC3C1B174","name":"x","kind":2,
		"startTimeUnixNano":"1544712660000000000","endTimeUnixNano":"1544712661000000000","newField":1}]}]}]}`
	code, body := g.post(t, "/v1/traces", []byte(js), "Content-Type", "application/json; charset=utf-8")
	if code != 200 || string(body) != "{}" {
		t.Errorf("JSON: %d %s", code, body)
	}
	logs := `{"resourceLogs":[{"scopeLogs":[{"logRecords":[{"body":{"stringValue":"hello"}}]}]}]}`
	if code, body = g.post(t, "/v1/logs", []byte(logs), "Content-Type", "application/json"); code != 200 || string(body) != "{}" {
		t.Errorf("logs: %d %s", code, body)
	}
	if s := g.Stats(); s.Spans != 2 || s.Logs != 1 || g.traces.len() != 2 || g.logs.len() != 1 {
		t.Errorf("stats %+v", s)
	}
	stored := ptraceotlp.NewExportRequest()
	if err := stored.UnmarshalProto(g.traces.frames[1].req); err != nil || stored.Traces().SpanCount() != 1 {
		t.Errorf("the JSON request is not stored as protobuf: %v", err)
	}
}

// badSpans encodes a request with one good span and others that the
// specification forbids.
func badSpans(t testing.TB) []byte {
	now := time.Now()
	good := request(t, span{n: 1, service: "checkout", name: "good", kind: ptrace.SpanKindServer, start: now, end: now})
	zero := request(t, span{n: 0, service: "checkout", name: "zero id", kind: ptrace.SpanKindServer, start: now, end: now})
	return append(append(append([]byte(nil), zero...), good...), zero...) // requests may be concatenated
}

func TestPartialSuccess(t *testing.T) {
	g := start(t, t.TempDir(), &memory{}, nil)
	code, body := g.post(t, "/v1/traces", badSpans(t))
	got := ptraceotlp.NewExportResponse()
	if err := got.UnmarshalProto(body); err != nil || code != 200 {
		t.Fatalf("%d %v", code, err)
	}
	if p := got.PartialSuccess(); p.RejectedSpans() != 2 || !strings.Contains(p.ErrorMessage(), `"zero id": span id`) {
		t.Errorf("%d rejected: %q", p.RejectedSpans(), p.ErrorMessage())
	}
	stored := ptraceotlp.NewExportRequest()
	if err := stored.UnmarshalProto(g.traces.frames[0].req); err != nil || stored.Traces().SpanCount() != 1 {
		t.Errorf("stored %d spans, %v: want the good one", stored.Traces().SpanCount(), err)
	}
	if s := g.Stats(); s.Spans != 1 || s.Rejected != 2 {
		t.Errorf("stats %+v", s)
	}
}

func TestMetricsPartialSuccess(t *testing.T) {
	g := start(t, t.TempDir(), &memory{}, nil)
	md := pmetric.NewMetrics()
	ms := md.ResourceMetrics().AppendEmpty().ScopeMetrics().AppendEmpty().Metrics()
	gauge := func(name string, at time.Time) {
		m := ms.AppendEmpty()
		m.SetName(name)
		p := m.SetEmptyGauge().DataPoints().AppendEmpty()
		p.SetDoubleValue(4)
		p.SetTimestamp(pcommon.NewTimestampFromTime(at))
	}
	gauge("good", time.Now())
	gauge("tomorrow", time.Now().Add(24*time.Hour))
	delta := ms.AppendEmpty()
	delta.SetName("delta")
	delta.SetEmptySum().SetAggregationTemporality(pmetric.AggregationTemporalityDelta)
	delta.Sum().DataPoints().AppendEmpty()
	delta.Sum().DataPoints().AppendEmpty()
	gauge("also good", time.Now())
	raw, err := pmetricotlp.NewExportRequestFromMetrics(md).MarshalJSON()
	if err != nil {
		t.Fatal(err)
	}
	code, body := g.post(t, "/v1/metrics", raw, "Content-Type", "application/json")
	var got struct {
		PartialSuccess struct{ RejectedDataPoints, ErrorMessage string }
	}
	if err := json.Unmarshal(body, &got); err != nil || code != 200 {
		t.Fatalf("%d %s", code, body)
	}
	if p := got.PartialSuccess; p.RejectedDataPoints != "3" || !strings.Contains(p.ErrorMessage, `metric "delta"`) {
		t.Errorf("%+v", p)
	}
	for _, name := range []string{"good", "also_good"} {
		if m, err := g.db.Query(t.Context(), name, time.Now()); err != nil || len(m) != 1 {
			t.Errorf("%s: %v %v", name, m, err)
		}
	}
	if s := g.Stats(); s.Points != 2 || s.Rejected != 3 {
		t.Errorf("stats %+v", s)
	}
}

func zip(t testing.TB, b []byte) []byte {
	t.Helper()
	var buf bytes.Buffer
	z := gzip.NewWriter(&buf)
	if _, err := z.Write(b); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return buf.Bytes()
}

func TestMistakesAreNamed(t *testing.T) {
	g := start(t, t.TempDir(), &memory{}, func(c *otlp.Config) { c.Limits.Request = 100 << 10 })
	bomb := zip(t, make([]byte, 50<<20))
	tests := []struct {
		name   string
		body   []byte
		header []string
		code   int
		says   string
	}{
		{"no OTLP", []byte("hello"), nil, 400, "at byte"},
		{"cut", one(t)[:20], nil, 400, "at byte"},
		{"no gzip", one(t), []string{"Content-Encoding", "gzip"}, 400, "gzip"},
		{"gzip bomb", bomb, []string{"Content-Encoding", "gzip"}, 413, "102400 bytes"},
		{"too large", make([]byte, 101<<10), nil, 413, "102400 bytes"},
		{"zstd", one(t), []string{"Content-Encoding", "zstd"}, 415, "gzip"},
		{"text", one(t), []string{"Content-Type", "text/plain"}, 415, "application/x-protobuf"},
		{"broken JSON", []byte(`{"resourceSpans":[`), []string{"Content-Type", "application/json"}, 400, "JSON"},
		{"JSON of another shape", []byte(`{"resourceSpans":[{"scopeSpans":[{"spans":[{"traceId":"xyz"}]}]}]}`), []string{"Content-Type", "application/json"}, 400, "JSON"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			code, body := g.post(t, "/v1/traces", tt.body, tt.header...)
			if code != tt.code || !strings.Contains(string(body), tt.says) {
				t.Errorf("%d %q, want %d with %q", code, body, tt.code, tt.says)
			}
		})
	}
	if n := g.traces.len(); n != 0 {
		t.Errorf("%d requests were stored", n)
	}
	if code, body := g.post(t, "/v1/traces", zip(t, one(t)), "Content-Encoding", "gzip"); code != 200 {
		t.Errorf("gzip: %d %s", code, body)
	}
	for _, path := range []string{"/v1/logs", "/v1/metrics"} {
		if code, body := g.post(t, path, []byte("hello")); code != 400 {
			t.Errorf("%s: %d %s", path, code, body)
		}
	}
}

// TestOverCapacity: what cannot be taken is refused so that the sender retries,
// and it is not counted.
func TestOverCapacity(t *testing.T) {
	g := start(t, t.TempDir(), &memory{}, nil)
	g.traces.fail(fault.Unavailable("the disk is full"))
	code, body := g.post(t, "/v1/traces", one(t))
	var st rpcstatus.Status
	if err := proto.Unmarshal(body, &st); err != nil {
		t.Fatal(err)
	}
	if code != http.StatusServiceUnavailable || !strings.Contains(st.Message, "disk is full") {
		t.Errorf("%d %v", code, &st)
	}
	retry := false
	for _, d := range status.FromProto(&st).Details() {
		if info, ok := d.(*errdetails.RetryInfo); ok && info.RetryDelay.AsDuration() > 0 {
			retry = true
		}
	}
	if !retry || codes.Code(st.Code) != codes.Unavailable {
		t.Errorf("no retry info in %v", &st)
	}
	code, body = g.post(t, "/v1/traces", []byte(`{"resourceSpans":[]}`), "Content-Type", "application/json")
	if code != 200 {
		t.Errorf("an empty request needs no disk: %d %s", code, body)
	}
	if s := g.Stats(); s.Spans != 0 || s.Refused != 1 {
		t.Errorf("stats %+v", s)
	}
	g.traces.fail(nil)
	if code, _ = g.post(t, "/v1/traces", one(t)); code != 200 {
		t.Errorf("did not recover: %d", code)
	}
}

func TestTooMuchInFlight(t *testing.T) {
	g := start(t, t.TempDir(), &memory{}, func(c *otlp.Config) { c.Limits.InFlight = 100 })
	code, body := g.post(t, "/v1/logs", make([]byte, 200), "Content-Type", "application/json")
	if code != http.StatusServiceUnavailable || !strings.Contains(string(body), `"code":14`) {
		t.Errorf("%d %s", code, body)
	}
	if code, body := g.post(t, "/v1/traces", nil); code != 200 {
		t.Errorf("%d %s", code, body)
	}
}

func FuzzBodies(f *testing.F) {
	f.Add(0, []byte(`{"resourceSpans":[{"scopeSpans":[{"spans":[{"traceId":"01","kind":2}]}]}]}`), true)
	f.Add(1, []byte(`{"resourceMetrics":[{"scopeMetrics":[{"metrics":[{"name":"x","gauge":{"dataPoints":[{"asDouble":1}]}}]}]}]}`), true)
	f.Add(1, []byte(`{"resourceMetrics":[{"scopeMetrics":[{"metrics":[{"name":"x","exponentialHistogram":{"aggregationTemporality":2,"dataPoints":[{"count":"9","scale":99}]}}]}]}]}`), true)
	f.Add(2, []byte(`{"resourceLogs":[{"scopeLogs":[{"logRecords":[{}]}]}]}`), true)
	f.Add(0, one(f), false)
	f.Add(0, badSpans(f), false)
	logs, err := plogotlp.NewExportRequest().MarshalProto()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(2, logs, false)
	g := start(f, f.TempDir(), &memory{}, nil)
	f.Fuzz(func(t *testing.T, which int, body []byte, js bool) {
		path := []string{"/v1/traces", "/v1/metrics", "/v1/logs"}[uint(which)%3]
		typ := "application/x-protobuf"
		if js {
			typ = "application/json"
		}
		before := g.Stats()
		code, reply := g.post(t, path, body, "Content-Type", typ)
		after := g.Stats()
		if code != 200 && code != 400 {
			t.Errorf("%s: %d %s", path, code, reply)
		}
		if accepted := after.Spans + after.Logs + after.Points - before.Spans - before.Logs - before.Points; code != 200 && accepted > 0 {
			t.Errorf("%s: answered %d and took %d", path, code, accepted)
		}
	})
}
