package jaegerapi

import (
	"context"
	"encoding/json"
	"iter"
	"math"
	"net/http"
	"net/http/httptest"
	"net/url"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tidegate-io/tidegate/entity"
	"github.com/tidegate-io/tidegate/fault"
	"github.com/tidegate-io/tidegate/telemetry"
)

var (
	now = time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC)
	tid = telemetry.TraceID{15: 0xab}
)

// store holds one trace and remembers what it was asked.
type store struct {
	trace *telemetry.Trace
	asked telemetry.TraceQuery
}

func (s *store) Trace(_ context.Context, id telemetry.TraceID) (*telemetry.Trace, error) {
	if id != s.trace.ID {
		return nil, fault.NotFound("no trace %s", id)
	}
	return s.trace, nil
}

func (s *store) Traces(_ context.Context, q telemetry.TraceQuery) iter.Seq2[*telemetry.Trace, error] {
	s.asked = q
	return func(yield func(*telemetry.Trace, error) bool) { yield(s.trace, nil) }
}

func (s *store) Services(context.Context) ([]string, error) { return []string{"cart", "checkout"}, nil }

func (s *store) Operations(_ context.Context, service string) ([]string, error) {
	if service != "checkout" {
		return nil, nil
	}
	return []string{"POST /checkout"}, nil
}

func fixture() (*store, *http.ServeMux) {
	s := &store{trace: &telemetry.Trace{ID: tid, Spans: []telemetry.Span{{
		TraceID: tid, ID: telemetry.SpanID{7: 2}, ParentID: telemetry.SpanID{7: 1},
		Ref: entity.Ref{Service: "checkout"}, Name: "POST /checkout", Kind: telemetry.KindServer,
		Start: now, Duration: 1500 * time.Microsecond,
		Status: telemetry.StatusError, StatusMessage: "declined",
		Attributes: telemetry.Attributes{"http.status_code": int64(500), "ratio": math.Inf(1), "list": []any{"a", int64(1)}},
		Resource:   telemetry.Attributes{"service.name": "checkout", "host.name": "box"},
		Events:     []telemetry.Event{{Name: "exception", Time: now, Attributes: telemetry.Attributes{"exception.type": "E"}}},
		Links:      []telemetry.Link{{TraceID: telemetry.TraceID{15: 9}, SpanID: telemetry.SpanID{7: 9}}},
	}}}}
	mux := http.NewServeMux()
	New(Config{Traces: s, Names: s, Clock: func() time.Time { return now },
		Graph: func(_ context.Context, from, to time.Time) ([]Dependency, error) {
			return []Dependency{{"frontend", "checkout", uint64(to.Sub(from).Seconds())}}, nil
		}}).Register(mux)
	return s, mux
}

func get(t *testing.T, h http.Handler, path string, status int) map[string]any {
	t.Helper()
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest("GET", path, nil))
	if w.Code != status {
		t.Fatalf("%s: %d, want %d: %s", path, w.Code, status, w.Body)
	}
	var out map[string]any
	if err := json.Unmarshal(w.Body.Bytes(), &out); err != nil {
		t.Fatalf("%s: %v in %s", path, err, w.Body)
	}
	return out
}

func TestTraceModel(t *testing.T) {
	_, mux := fixture()
	got := get(t, mux, "/api/traces/ab", 200)
	var want any
	if err := json.Unmarshal([]byte(`{"total":0,"limit":0,"offset":0,"errors":null,"data":[{
		"traceID":"000000000000000000000000000000ab","warnings":null,
		"processes":{"p1":{"serviceName":"checkout","tags":[{"key":"host.name","type":"string","value":"box"}]}},
		"spans":[{"traceID":"000000000000000000000000000000ab","spanID":"0000000000000002","operationName":"POST /checkout",
			"startTime":1772600767000000,"duration":1500,"processID":"p1","warnings":null,
			"references":[{"refType":"CHILD_OF","traceID":"000000000000000000000000000000ab","spanID":"0000000000000001"},
				{"refType":"FOLLOWS_FROM","traceID":"00000000000000000000000000000009","spanID":"0000000000000009"}],
			"tags":[{"key":"http.status_code","type":"int64","value":500},
				{"key":"list","type":"string","value":"[\"a\",1]"},
				{"key":"ratio","type":"string","value":"+Inf"},
				{"key":"span.kind","type":"string","value":"server"},
				{"key":"error","type":"bool","value":true},
				{"key":"otel.status_code","type":"string","value":"ERROR"},
				{"key":"otel.status_description","type":"string","value":"declined"}],
			"logs":[{"timestamp":1772600767000000,"fields":[{"key":"event","type":"string","value":"exception"},
				{"key":"exception.type","type":"string","value":"E"}]}]}]}]}`), &want); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, any(got)); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
}

func TestLists(t *testing.T) {
	_, mux := fixture()
	for path, want := range map[string]string{
		"/api/services":                                  `["cart","checkout"]`,
		"/api/services/checkout/operations":              `["POST /checkout"]`,
		"/api/services/nobody/operations":                `[]`,
		"/api/operations?service=checkout":               `[{"name":"POST /checkout","spanKind":""}]`,
		"/api/dependencies?endTs=1000000&lookback=60000": `[{"parent":"frontend","child":"checkout","callCount":60}]`,
		"/api/dependencies":                              `[{"parent":"frontend","child":"checkout","callCount":86400}]`,
	} {
		got, err := json.Marshal(get(t, mux, path, 200)["data"])
		if err != nil {
			t.Fatal(err)
		}
		var a, b any
		_ = json.Unmarshal(got, &a)
		if err := json.Unmarshal([]byte(want), &b); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(b, a); diff != "" {
			t.Errorf("%s: %s", path, diff)
		}
	}
}

func TestSearchParameters(t *testing.T) {
	s, mux := fixture()
	q := url.Values{
		"service": {"checkout"}, "operation": {"POST /checkout"}, "limit": {"5"},
		"minDuration": {"1.2ms"}, "maxDuration": {"3s"},
		"start": {"1772600000000000"}, "end": {"1772600767000000"}, "lookback": {"1h"},
		"tags": {`{"error":"true","http.status_code":"500"}`}, "tag": {"k:v:w"},
	}
	get(t, mux, "/api/traces?"+q.Encode(), 200)
	want := telemetry.TraceQuery{
		Ref: entity.Ref{Service: "checkout"}, Operation: "POST /checkout", Limit: 5,
		MinDuration: 1200 * time.Microsecond, MaxDuration: 3 * time.Second,
		Status: telemetry.StatusError, Attributes: map[string]string{"http.status_code": "500", "k": "v:w"},
		From: time.UnixMicro(1772600000000000), To: now,
	}
	if diff := cmp.Diff(want, s.asked); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
	get(t, mux, "/api/traces?service=checkout&operation=all&lookback=2d", 200)
	if want := now.Add(-48 * time.Hour); !s.asked.From.Equal(want) || s.asked.Operation != "" || s.asked.Limit != 20 {
		t.Errorf("lookback of two days: %+v", s.asked)
	}
}

func TestMistakes(t *testing.T) {
	_, mux := fixture()
	for path, status := range map[string]int{
		"/api/traces":                                         400,
		"/api/traces?service=a&limit=0":                       400,
		"/api/traces?service=a&minDuration=x":                 400,
		"/api/traces?service=a&minDuration=2s&maxDuration=1s": 400,
		"/api/traces?service=a&start=yesterday":               400,
		"/api/traces?service=a&lookback=-1h":                  400,
		"/api/traces?service=a&tag=novalue":                   400,
		"/api/traces?service=a&tags=%7B":                      400,
		"/api/traces/xyz":                                     400,
		"/api/traces/ff":                                      404,
		"/api/operations":                                     400,
		"/api/dependencies?lookback=0":                        400,
	} {
		out := get(t, mux, path, status)
		if errs, _ := out["errors"].([]any); len(errs) != 1 || out["data"] != nil {
			t.Errorf("%s: %v", path, out)
		}
	}
	if got := get(t, mux, "/api/traces?traceID=ff&traceID=ab", 200)["data"].([]any); len(got) != 1 {
		t.Errorf("of two ids one exists, got %d", len(got))
	}
}
