package tsdb

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	jsoniter "github.com/json-iterator/go"
	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/util/jsonutil"
	"pgregory.net/rapid"

	"github.com/tidegate-io/tidegate/fault"
	"github.com/tidegate-io/tidegate/guardian"
	"github.com/tidegate-io/tidegate/judge"
)

// remoteOf is a source over a handler.
func remoteOf(t testing.TB, h http.Handler, change func(*RemoteConfig)) *Remote {
	t.Helper()
	srv := httptest.NewServer(h)
	t.Cleanup(srv.Close)
	cfg := RemoteConfig{URL: srv.URL, Backoff: time.Millisecond}
	if change != nil {
		change(&cfg)
	}
	r, err := NewRemote(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

const oneSample = `{"status":"success","data":{"resultType":"matrix","result":[{"metric":{"a":"b"},"values":[[1772600762,"7"]]}]}}`

// TestRemoteAnswers says what each kind of answer becomes, and after how many
// requests.
func TestRemoteAnswers(t *testing.T) {
	const none = fault.KindInternal // is the fault of no answer
	tests := []struct {
		name   string
		status int
		body   string
		kind   fault.Kind // of the error
		says   string
		asked  int32
	}{
		{"samples", 200, oneSample, none, "", 1},
		{"nothing", 200, `{"status":"success","data":{"resultType":"matrix","result":[]}}`, none, "", 1},
		{"remarks of PromQL", 200, `{"warnings":["PromQL warning: mixed"],` + oneSample[1:], none, "", 1},
		{"partial", 200, `{"warnings":["store gateway unavailable"],` + oneSample[1:], fault.KindUnavailable, "may not be complete: store gateway unavailable", 1},
		{"too many requests", 429, ``, fault.KindUnavailable, "429", 4},
		{"not available", 503, `{"status":"error","errorType":"timeout","error":"query timed out"}`, fault.KindUnavailable, "query timed out", 4},
		{"a mistake", 400, `{"status":"error","errorType":"bad_data","error":"parse error"}`, fault.KindInvalid, "parse error", 1},
		{"not allowed", 401, ``, fault.KindDenied, "token", 1},
		{"another page", 404, `<html>`, fault.KindInvalid, "without /api/v1", 1},
		{"moved", 302, ``, fault.KindInvalid, "302", 1},
		{"no Prometheus", 200, `<html>`, fault.KindUnavailable, "not that of a Prometheus API", 1},
		{"cut off", 200, oneSample[:90], fault.KindUnavailable, "not that of a Prometheus API", 1},
		{"a text", 200, `{"status":"success","data":{"resultType":"string","result":[1,"7"]}}`, fault.KindInvalid, "string", 1},
		{"a failure", 200, `{"status":"error","error":"no luck"}`, fault.KindInvalid, "no luck", 1},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var asked atomic.Int32
			r := remoteOf(t, http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
				asked.Add(1)
				if req.FormValue("query") != "x[10s]" || req.FormValue("time") == "" || req.Header.Get("Authorization") != "Bearer s3cret" {
					t.Errorf("asked %v with %v", req.Form, req.Header)
				}
				w.WriteHeader(tt.status)
				_, _ = w.Write([]byte(tt.body))
			}), func(c *RemoteConfig) { c.Secret = func() (string, error) { return "s3cret", nil } })
			m, err := r.Select(t.Context(), "x", at(0), at(10))
			if (err == nil) != (tt.kind == none) || err != nil && (!fault.Is(err, tt.kind) || !strings.Contains(err.Error(), tt.says)) {
				t.Errorf("%v %v, want %v with %q", m, err, tt.kind, tt.says)
			}
			if err != nil && strings.Contains(err.Error(), "s3cret") {
				t.Error("the secret shows")
			}
			if asked.Load() != tt.asked {
				t.Errorf("asked %d times, want %d", asked.Load(), tt.asked)
			}
		})
	}
}

func TestRemoteTriesAgain(t *testing.T) {
	var asked atomic.Int32
	r := remoteOf(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		switch asked.Add(1) {
		case 1:
			w.WriteHeader(http.StatusBadGateway)
		case 2:
			w.Header().Set("Content-Length", "1000") // and less comes
			_, _ = w.Write([]byte(oneSample))
		default:
			_, _ = w.Write([]byte(oneSample))
		}
	}), nil)
	m, err := r.Select(t.Context(), "x", time.Unix(1772600760, 0), time.Unix(1772600770, 0))
	if err != nil || len(m) != 1 || len(m[0].Floats) != 1 || m[0].Floats[0] != (promql.FPoint{T: 1772600762000, F: 7}) {
		t.Errorf("%v %v", m, err)
	}
	if m, err = r.Select(t.Context(), "x", time.Unix(1772600762, 0), time.Unix(1772600770, 0)); err != nil || len(m[0].Floats) != 0 {
		t.Errorf("a sample at the beginning is not after it: %v %v", m, err)
	}
}

func TestRemoteEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	r := remoteOf(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		cancel()
		w.Header().Set("Retry-After", "10")
		w.WriteHeader(http.StatusServiceUnavailable)
	}), nil)
	if _, err := r.Select(ctx, "x", at(0), at(10)); err == nil {
		t.Error("no error")
	}
}

// TestRemoteReadsInPieces: what is too large for either side is read in halves,
// and is the same then.
func TestRemoteReadsInPieces(t *testing.T) {
	start := t0
	db := open(t)
	told, calls := story(start)
	for _, moment := range told {
		moment.store(t, db)
	}
	var refusals atomic.Int32
	api := db.HTTPHandler("test")
	tests := map[string]*Remote{
		"too large for us": remoteOf(t, api, func(c *RemoteConfig) { c.MaxBytes = 4000 }),
		"too large for them": remoteOf(t, http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
			if strings.Contains(req.FormValue("query"), "[915s]") {
				refusals.Add(1)
				w.WriteHeader(http.StatusUnprocessableEntity)
				return
			}
			api.ServeHTTP(w, req)
		}), nil),
	}
	for name, remote := range tests {
		t.Run(name, func(t *testing.T) {
			s := sampleOf(t, remote, true, guardian.Reading{Indicator: indicators["throughput"],
				Window: guardian.Window{From: start, To: start.Add(10 * time.Minute)}})
			if _, n := sums(s); n != calls || s.Err != "" {
				t.Errorf("counted %v of %v: %s", n, calls, s.Err)
			}
		})
	}
	if refusals.Load() != 1 {
		t.Errorf("refused %d times", refusals.Load())
	}
	small := remoteOf(t, api, func(c *RemoteConfig) { c.MaxBytes = 100 })
	if _, err := small.Select(t.Context(), "traces_span_metrics_calls_total", start, start.Add(10*time.Minute)); !errors.Is(err, errTooMuch) {
		t.Errorf("what never fits: %v", err)
	}
}

func TestRemoteConfigMistakes(t *testing.T) {
	secret := func() (string, error) { return "", nil }
	for _, cfg := range []RemoteConfig{
		{}, {URL: "prometheus:9090"}, {URL: "ftp://x"}, {URL: "http://user:s3cret@x"}, {URL: "http://x?token=s3cret"},
		{URL: "http://x/api/v1/"}, {URL: "http://s3cret\x7f"}, {URL: "http://x", User: "me"}, {URL: "http://x", Timeout: -1, Secret: secret},
	} {
		if _, err := NewRemote(cfg); !fault.Is(err, fault.KindInvalid) || strings.Contains(err.Error(), "s3cret") {
			t.Errorf("%+v: %v", cfg.URL, err)
		}
	}
	r := remoteOf(t, http.NotFoundHandler(), func(c *RemoteConfig) { c.Secret = secret })
	if _, err := r.Select(t.Context(), "x", at(0), at(1)); !fault.Is(err, fault.KindInvalid) {
		t.Errorf("an empty secret: %v", err)
	}
}

func TestRemoteBasicAuth(t *testing.T) {
	r := remoteOf(t, http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		if user, password, _ := req.BasicAuth(); user != "me" || password != "s3cret" {
			t.Errorf("%q %q", user, password)
		}
		_, _ = w.Write([]byte(oneSample))
	}), func(c *RemoteConfig) {
		c.User, c.Secret = "me", func() (string, error) { return "s3cret", nil }
	})
	if _, err := r.QueryRange(t.Context(), "x", at(0), at(1), time.Second); err != nil {
		t.Error(err)
	}
}

func TestRemoteSettles(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, err := NewRemote(RemoteConfig{URL: "http://localhost"})
		if err != nil {
			t.Fatal(err)
		}
		begin := time.Now()
		if err := r.Settled(t.Context(), begin.Add(10*time.Second)); err != nil || time.Since(begin) != 15*time.Second {
			t.Errorf("waited %v: %v", time.Since(begin), err)
		}
		if err := r.Settled(t.Context(), begin); err != nil || time.Since(begin) != 15*time.Second {
			t.Errorf("waited again: %v", err)
		}
	})
}

// TestScrapedResolution: samples that are farther apart than was said would be
// cut into slices that tell nothing.
func TestScrapedResolution(t *testing.T) {
	db := open(t)
	put(t, db, calls("STATUS_CODE_UNSET", "a"), 0, 1, 60, 2, 120, 3)
	s, err := NewSampler(SamplerConfig{Source: db, Resolution: 15 * time.Second, Scraped: true})
	if err != nil {
		t.Fatal(err)
	}
	if got := read(t, s, errorRate, 0, 120, 0); !strings.Contains(got.Err, "1m0s apart") || got.Slices != nil {
		t.Errorf("%+v", got)
	}
}

// TestScrapedPause: what a counter showed before a pause of the scraping is not
// counted again after it.
func TestScrapedPause(t *testing.T) {
	db := open(t)
	put(t, db, calls("STATUS_CODE_UNSET", "a"), -1215, 900, -1200, 1000, 15, 1007, 30, 1008)
	put(t, db, durations("a"), -1200, native(3, 1, 1, 1), 15, native(3, 1, 1, 1, 1), 30, native(3, 1, 1, 1, 1))
	put(t, db, calls("STATUS_CODE_UNSET", "new"), 15, 3, 30, 5)
	for name, source := range map[string]Source{"embedded": db, "remote": remoteOf(t, db.HTTPHandler("test"), nil)} {
		s, err := NewSampler(SamplerConfig{Source: source, Resolution: 15 * time.Second, Scraped: true})
		if err != nil {
			t.Fatal(err)
		}
		if _, n := sums(read(t, s, errorRate, 0, 30, 0)); n != 13 {
			t.Errorf("%s: counted %v, want 13", name, n)
		}
		observed := 0.0
		for _, sl := range read(t, s, indicators["latency"], 0, 30, 0).Slices {
			if sl.Histogram != nil {
				observed += sl.Histogram.Count
			}
		}
		if observed != 1 {
			t.Errorf("%s: observed %v, want 1", name, observed)
		}
	}
}

// TestLooseGrid: the slices cover the window and the time in which the last of
// it shows, without gaps, and none is too short for a sample.
func TestLooseGrid(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		from := time.UnixMilli(rapid.Int64Range(1e12, 1e12+60_000).Draw(t, "from"))
		length := time.Duration(rapid.Int64Range(1, 600_000).Draw(t, "length")) * time.Millisecond
		slice := time.Duration(rapid.Int64Range(0, 60_000).Draw(t, "slice")) * time.Millisecond
		res := 15 * time.Second
		g, err := newLooseGrid(guardian.Window{From: from, To: from.Add(length)}, slice, res, res)
		if err != nil {
			t.Fatal(err)
		}
		s := judge.Sample{Slices: g.empty()}
		if math.Abs(s.Seconds()-(length+res).Seconds()) > 1e-9 || !g.from().Equal(from) {
			t.Errorf("%v s from %v", s.Seconds(), g.from())
		}
		end := from
		for i, sl := range s.Slices {
			if sl.Seconds < res.Seconds() {
				t.Errorf("slice %d lasts %v s", i, sl.Seconds)
			}
			end = end.Add(time.Duration(math.Round(sl.Seconds*1000)) * time.Millisecond)
			if !g.end(i).Equal(end) || g.index(end.UnixMilli()) != i || i+1 < g.n && g.index(end.UnixMilli()+1) != i+1 {
				t.Errorf("slice %d ends at %v, not at %v", i, g.end(i), end)
			}
		}
	})
}

// TestExponentialRoundTrip: a histogram comes back from its JSON as it was.
func TestExponentialRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		schema := rapid.Int32Range(histogram.ExponentialSchemaMin, histogram.ExponentialSchemaMax).Draw(t, "schema")
		// Within 2^-100 … 2^100, beyond the zero bucket.
		reach := max(1, int32(math.Floor(100*math.Exp2(float64(schema)))))
		side := func(name string) ([]histogram.Span, []float64) {
			indexes := rapid.SliceOfNDistinct(rapid.Int32Range(-reach+1, reach), 1, 20, rapid.ID[int32]).Draw(t, name)
			buckets := make([]shownBucket, len(indexes))
			for i, n := range indexes {
				up := math.Exp2(float64(n) * math.Exp2(-float64(schema)))
				buckets[i] = shownBucket{0, math.Exp2(float64(n-1) * math.Exp2(-float64(schema))), up, float64(i + 1)}
			}
			spans, counts, err := spansOf(buckets, &histogram.FloatHistogram{Schema: schema})
			if err != nil {
				t.Fatal(err)
			}
			return spans, counts
		}
		want := &histogram.FloatHistogram{Schema: schema, Count: 300, Sum: rapid.Float64Range(-1e9, 1e9).Draw(t, "sum")}
		want.PositiveSpans, want.PositiveBuckets = side("positive")
		if rapid.Bool().Draw(t, "signed") {
			want.NegativeSpans, want.NegativeBuckets = side("negative")
		}
		if rapid.Bool().Draw(t, "zeros") {
			want.ZeroThreshold, want.ZeroCount = math.Exp2(-128), 3
		}
		got, err := decodeAnswer(bytes.NewReader(shown(want)))
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(want, got[0].Histograms[0].H); d != "" {
			t.Error(d)
		}
	})
}

// shown is the answer that shows a histogram.
func shown(h *histogram.FloatHistogram) []byte {
	s := jsoniter.NewStream(jsoniter.ConfigDefault, nil, 4096)
	s.WriteRaw(`{"status":"success","data":{"resultType":"matrix","result":[{"metric":{},"histograms":[[1.5,`)
	jsonutil.MarshalHistogram(h, s)
	s.WriteRaw(`]]}]}}`)
	return s.Buffer()
}

func TestOtherLayouts(t *testing.T) {
	for name, buckets := range map[string][]shownBucket{
		"classic":       {{0, 0.1, 0.25, 3}, {0, 0.25, 0.5, 2}},
		"open above":    {{0, 1, 2, 3}, {0, 2, math.Inf(1), 1}},
		"open below":    {{3, math.Inf(-1), 1, 3}},
		"mixed":         {{0, 1, 2, 1}, {0, 4, 16, 1}},
		"twice":         {{0, 1, 2, 1}, {0, 1, 2, 1}},
		"turned around": {{0, 2, 1, 1}},
		"no count":      {{0, 1, 2, math.NaN()}},
		"no boundary":   {{0, math.NaN(), 2, 1}},
	} {
		if h, err := exponential(1, 1, buckets); err == nil {
			t.Errorf("%s: %v", name, h)
		}
	}
	h, err := exponential(3, 1, []shownBucket{{3, -0.3, 0.3, 1}, {0, 0.3, 0.5, 1}, {0, 0.5, 1, 1}})
	if err != nil || h.Schema != 0 || fmt.Sprint(h.PositiveSpans) != "[{-1 2}]" {
		t.Errorf("cut off by the zero bucket: %v %v", h, err)
	}
}

func FuzzDecodeAnswer(f *testing.F) {
	f.Add([]byte(oneSample))
	f.Add(shown(native(3, 0.1, 0.2, 7).ToFloat(nil)))
	f.Add([]byte(`{"data":{"result":[1,"2"],"resultType":"scalar"},"status":"success"}`))
	f.Add([]byte(`{"status":"success","data":{"result":[{"metric":{},"histogram":[1,{"count":"1","buckets":[[3,"-0","0","1"]]}]}]}}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := decodeAnswer(bytes.NewReader(b))
		if err != nil {
			return
		}
		for _, s := range m {
			for _, p := range s.Histograms {
				if p.H == nil || len(p.H.PositiveBuckets)+len(p.H.NegativeBuckets) > len(b) {
					t.Errorf("%q: %v", b, p.H)
				}
			}
		}
	})
}

// BenchmarkDecodeAnswer reads 75 minutes of 40 histograms, as a piece is.
func BenchmarkDecodeAnswer(b *testing.B) {
	var h []string
	var seen []float64
	for i := range 300 {
		seen = append(seen, 0.01*float64(1+(i*7)%30))
		one := string(shown(native(3, seen...).ToFloat(nil)))
		h = append(h, one[strings.Index(one, "[[")+1:len(one)-len("]}]}}")])
	}
	series := `{"metric":{"a":"b"},"histograms":[` + strings.Join(h, ",") + `]}`
	answer := []byte(`{"status":"success","data":{"resultType":"matrix","result":[` + strings.Repeat(series+",", 39) + series + `]}}`)
	b.SetBytes(int64(len(answer)))
	b.ReportAllocs()
	for b.Loop() {
		if m, err := decodeAnswer(bytes.NewReader(answer)); err != nil || len(m) != 40 || len(m[39].Histograms) != 300 {
			b.Fatal(len(m), err)
		}
	}
}
