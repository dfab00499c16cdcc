package tsdb

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/value"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/storage"

	"github.com/tidegate-io/tidegate/entity"
	"github.com/tidegate-io/tidegate/fault"
	"github.com/tidegate-io/tidegate/guardian"
	"github.com/tidegate-io/tidegate/judge"
	"github.com/tidegate-io/tidegate/telemetry"
)

// t0 is a multiple of two seconds.
var t0 = time.Date(2026, 3, 4, 5, 6, 0, 0, time.UTC)

func at(seconds float64) time.Time { return t0.Add(time.Duration(seconds * float64(time.Second))) }

func open(t testing.TB) *DB {
	t.Helper()
	db, err := Open(Config{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	return db
}

// put writes samples of one series; a value is a float64 or a *histogram.Histogram.
func put(t testing.TB, db *DB, series map[string]string, samples ...any) {
	t.Helper()
	app := db.Appender(context.Background())
	ls := labels.FromMap(series)
	for i := 0; i < len(samples); i += 2 {
		ms := at(toFloat(samples[i])).UnixMilli()
		var err error
		switch v := samples[i+1].(type) {
		case *histogram.Histogram:
			_, err = app.Append(0, ls, 0, ms, 0, v, nil, storage.AOptions{})
		default:
			_, err = app.Append(0, ls, 0, ms, toFloat(v), nil, nil, storage.AOptions{})
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := app.Commit(); err != nil {
		t.Fatal(err)
	}
}

func toFloat(v any) float64 {
	if i, ok := v.(int); ok {
		return float64(i)
	}
	return v.(float64)
}

func calls(status, operation string) map[string]string {
	return map[string]string{
		model.MetricNameLabel:    telemetry.MetricCalls,
		telemetry.LabelService:   "checkout",
		telemetry.LabelOperation: operation,
		telemetry.LabelKind:      telemetry.LabelKindServer,
		telemetry.LabelStatus:    status,
	}
}

func sampler(t testing.TB, db *DB) *Sampler {
	t.Helper()
	s, err := NewSampler(SamplerConfig{Source: db})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func read(t testing.TB, s *Sampler, in guardian.Indicator, from, to float64, slice time.Duration) judge.Sample {
	t.Helper()
	got, _, err := s.Sample(context.Background(), guardian.Reading{
		Indicator: in, Target: entity.Ref{Service: "checkout"},
		Window: guardian.Window{From: at(from), To: at(to)}, Slice: slice,
	})
	if err != nil {
		t.Fatal(err)
	}
	return got
}

func sums(s judge.Sample) (bad, total float64) {
	for _, sl := range s.Slices {
		bad, total = bad+sl.Bad, total+sl.Total
	}
	return bad, total
}

var errorRate = guardian.Indicator{ErrorRate: &guardian.SpanIndicator{}}

// TestCountsExactly is the reason why increase() is not used: what it would
// extrapolate is counted here, over resets, gaps and series that come and go.
func TestCountsExactly(t *testing.T) {
	stale := math.Float64frombits(value.StaleNaN)
	tests := []struct {
		name       string
		put        func(*DB)
		from, to   float64
		bad, total float64
	}{
		{"steady", func(db *DB) { put(t, db, calls("STATUS_CODE_UNSET", "a"), 0, 100, 2, 110, 4, 125, 6, 130) }, 0, 6, 0, 30},
		{"only what is in the window", func(db *DB) { put(t, db, calls("STATUS_CODE_UNSET", "a"), 0, 100, 2, 110, 4, 125, 6, 130) }, 2, 4, 0, 15},
		{"edges are widened to the slots", func(db *DB) { put(t, db, calls("STATUS_CODE_UNSET", "a"), 0, 100, 2, 110, 4, 125, 6, 130) }, 2.5, 3.5, 0, 15},
		{"a series that appears counts from zero", func(db *DB) { put(t, db, calls("STATUS_CODE_ERROR", "a"), 4, 7, 6, 9) }, 0, 6, 9, 9},
		{"a zero before the first changes nothing", func(db *DB) { put(t, db, calls("STATUS_CODE_ERROR", "a"), 2.001, 0, 4, 7) }, 0, 6, 7, 7},
		{"reset", func(db *DB) { put(t, db, calls("STATUS_CODE_UNSET", "a"), 0, 100, 2, 110, 4, 3, 6, 8) }, 0, 6, 0, 18},
		{"reset that shows only by the zero", func(db *DB) { put(t, db, calls("STATUS_CODE_UNSET", "a"), 0, 100, 2.001, 0, 4, 150) }, 0, 6, 0, 150},
		{"a gap longer than the window before it", func(db *DB) { put(t, db, calls("STATUS_CODE_UNSET", "a"), 0, 100, 120, 130) }, 100, 130, 0, 30},
		{"a series that ends", func(db *DB) { put(t, db, calls("STATUS_CODE_UNSET", "a"), 0, 100, 2, 110, 4, stale) }, 0, 10, 0, 10},
		{"a series that was stale and goes on", func(db *DB) {
			put(t, db, calls("STATUS_CODE_UNSET", "a"), 0, 100, 2, 110, 4, stale, 8, 115)
		}, 0, 10, 0, 15},
		{"statuses and operations together", func(db *DB) {
			put(t, db, calls("STATUS_CODE_UNSET", "a"), 0, 0, 2, 50)
			put(t, db, calls("STATUS_CODE_ERROR", "a"), 0, 0, 2, 5)
			put(t, db, calls("STATUS_CODE_ERROR", "b"), 0, 10, 2, 12)
		}, 0, 4, 7, 57},
		{"nothing", func(*DB) {}, 0, 4, 0, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			db := open(t)
			tt.put(db)
			s := read(t, sampler(t, db), errorRate, tt.from, tt.to, 2*time.Second)
			if s.Err != "" || s.Kind != judge.Ratio {
				t.Fatalf("%+v", s)
			}
			if bad, total := sums(s); bad != tt.bad || total != tt.total {
				t.Errorf("counted %v of %v, want %v of %v", bad, total, tt.bad, tt.total)
			}
		})
	}
}

func TestSlices(t *testing.T) {
	db := open(t)
	put(t, db, calls("STATUS_CODE_UNSET", "a"), 0, 0, 2, 1, 4, 3, 6, 7, 8, 15, 10, 31)
	s := read(t, sampler(t, db), guardian.Indicator{Throughput: &guardian.SpanIndicator{}}, 0, 10, 4*time.Second)
	want := []judge.Slice{{Seconds: 4, Total: 3}, {Seconds: 4, Total: 12}, {Seconds: 2, Total: 16}}
	if fmt.Sprint(s.Slices) != fmt.Sprint(want) {
		t.Errorf("got %v, want %v", s.Slices, want)
	}
}

// TestLongWindow reads a window in several pieces; what stands between two of
// them is counted once.
func TestLongWindow(t *testing.T) {
	db := open(t)
	var seen []float64
	for i := range 200 {
		seen = append(seen, 0.1)
		put(t, db, calls("STATUS_CODE_UNSET", "a"), 20*i, 3*i)
		put(t, db, durations("a"), 20*i, native(3, seen...))
	}
	s := sampler(t, db)
	if _, total := sums(read(t, s, errorRate, 0, 3980, time.Minute)); total != 3*199 {
		t.Errorf("counted %v, want %v", total, 3*199)
	}
	observed := 0.0
	for _, sl := range read(t, s, guardian.Indicator{Latency: &guardian.SpanIndicator{}}, 0, 3980, time.Minute).Slices {
		observed += sl.Histogram.Count
	}
	if observed != 199 {
		t.Errorf("observed %v, want 199", observed)
	}
}

func TestOnlyServingSpansOfTheTarget(t *testing.T) {
	db := open(t)
	for _, kind := range []string{"SERVER", "CONSUMER", "CLIENT", "INTERNAL", "PRODUCER"} {
		series := calls("STATUS_CODE_UNSET", "a")
		series[telemetry.LabelKind] = "SPAN_KIND_" + kind
		put(t, db, series, 0, 0, 2, 1)
	}
	other := calls("STATUS_CODE_UNSET", "a")
	other[telemetry.LabelService] = "cart"
	put(t, db, other, 0, 0, 2, 100)
	if _, total := sums(read(t, sampler(t, db), errorRate, 0, 2, 0)); total != 2 {
		t.Errorf("counted %v, want server and consumer", total)
	}
	in := guardian.Indicator{ErrorRate: &guardian.SpanIndicator{Target: &entity.Ref{Service: "cart"}, Operation: "a"}}
	if _, total := sums(read(t, sampler(t, db), in, 0, 2, 0)); total != 100 {
		t.Errorf("counted %v of the indicator's own target, want 100", total)
	}
}

// native makes a histogram of values in seconds.
func native(schema int32, values ...float64) *histogram.Histogram {
	counts := map[int32]int64{}
	h := &histogram.Histogram{Schema: schema, ZeroThreshold: 1e-128}
	low, high := int32(math.MaxInt32), int32(math.MinInt32)
	for _, v := range values {
		i := int32(math.Ceil(math.Log2(v) * math.Exp2(float64(schema))))
		counts[i]++
		low, high = min(low, i), max(high, i)
		h.Count++
		h.Sum += v
	}
	if len(values) == 0 {
		return h
	}
	h.PositiveSpans = []histogram.Span{{Offset: low, Length: uint32(high - low + 1)}}
	last := int64(0)
	for i := low; i <= high; i++ {
		h.PositiveBuckets = append(h.PositiveBuckets, counts[i]-last)
		last = counts[i]
	}
	return h
}

func durations(operation string) map[string]string {
	series := calls("STATUS_CODE_UNSET", operation)
	series[model.MetricNameLabel] = telemetry.MetricDuration
	return series
}

func TestDistribution(t *testing.T) {
	latency := guardian.Indicator{Latency: &guardian.SpanIndicator{}}
	db := open(t)
	put(t, db, durations("a"),
		0.001, native(3),
		2, native(3, 0.1, 0.1),
		4, native(3, 0.1, 0.1, 0.1, 0.4),
		6, native(3, 0.2), // restarted
		8, native(2, 0.2, 0.2), // coarser now
		10, native(3, 0.2, 0.2, 0.8)) // finer again
	put(t, db, durations("b"), 4, native(3, 1.6))
	s := read(t, sampler(t, db), latency, 0, 10, 2*time.Second)
	if s.Err != "" {
		t.Fatal(s.Err)
	}
	var counts []float64
	for _, sl := range s.Slices {
		n := 0.0
		if sl.Histogram != nil {
			n = sl.Histogram.Count
			in := 0.0
			for _, b := range sl.Histogram.Buckets {
				in += b.Count
			}
			if in != n {
				t.Errorf("the buckets hold %v of %v", in, n)
			}
		}
		counts = append(counts, n)
	}
	if want := []float64{2, 3, 1, 1, 1}; fmt.Sprint(counts) != fmt.Sprint(want) {
		t.Errorf("observations %v, want %v", counts, want)
	}
	h := s.Slices[1].Histogram // 0.1, 0.4 and 1.6
	if math.Abs(h.Sum-2.1) > 1e-9 {
		t.Errorf("sum %v", h.Sum)
	}
	for i, v := range []float64{0.1, 0.4, 1.6} {
		base := math.Exp2(math.Exp2(-float64(h.Schema)))
		up := math.Pow(base, float64(h.Buckets[i].Index))
		if v > up || v <= up/base {
			t.Errorf("%v is not in the bucket (%v, %v]", v, up/base, up)
		}
	}
}

func TestValues(t *testing.T) {
	db := open(t)
	gauge := map[string]string{model.MetricNameLabel: "cpu", "pod": "a"}
	put(t, db, gauge, 1, 10, 5, 20)
	promql := func(expr string) judge.Sample {
		return read(t, sampler(t, db), guardian.Indicator{PromQL: expr, Unit: "%"}, 0, 10, 4*time.Second)
	}
	values := func(s judge.Sample) (out []float64) {
		for _, sl := range s.Slices {
			out = append(out, float64(sl.Value))
		}
		return out
	}
	if s := promql("cpu"); fmt.Sprint(values(s)) != "[10 20 20]" || s.Unit != "%" || s.Kind != judge.Value {
		t.Errorf("%+v", s)
	}
	if s := promql("vector(3)"); fmt.Sprint(values(s)) != "[3 3 3]" {
		t.Errorf("%+v", s)
	}
	if s := promql("1 + 1"); fmt.Sprint(values(s)) != "[2 2 2]" {
		t.Errorf("scalar: %+v", s)
	}
	if s := promql("missing"); fmt.Sprint(values(s)) != "[NaN NaN NaN]" || s.Err != "" {
		t.Errorf("no data is no error: %+v", s)
	}
	put(t, db, map[string]string{model.MetricNameLabel: "cpu", "pod": "b"}, 5, 1)
	for expr, want := range map[string]string{"cpu": "several series", "cpu[5m]": "range vector", "cpu{": "query", `"text"`: "string"} {
		if s := promql(expr); !strings.Contains(s.Err, want) || len(s.Slices) > 0 {
			t.Errorf("%s: %+v, want an error with %q", expr, s, want)
		}
	}
}

func TestSamplerRefuses(t *testing.T) {
	s := sampler(t, open(t))
	for _, r := range []guardian.Reading{
		{Indicator: errorRate, Window: guardian.Window{From: at(1), To: at(1)}},
		{Indicator: errorRate, Window: guardian.Window{From: at(1), To: at(2)}, Slice: -1},
		{Indicator: errorRate, Window: guardian.Window{From: at(0), To: at(1e9)}},
		{Indicator: errorRate, Window: guardian.Window{From: at(0), To: at(1e6)}, Slice: time.Second},
		{Window: guardian.Window{From: at(0), To: at(1)}},
	} {
		if _, _, err := s.Sample(context.Background(), r); !fault.Is(err, fault.KindInvalid) {
			t.Errorf("%+v: %v", r, err)
		}
	}
}

func TestSamplerWaitsUntilSettled(t *testing.T) {
	db := open(t)
	var asked time.Time
	fail := errors.New("not yet")
	s, err := NewSampler(SamplerConfig{Source: db, Settled: func(_ context.Context, t time.Time) error { asked = t; return fail }})
	if err != nil {
		t.Fatal(err)
	}
	_, _, err = s.Sample(context.Background(), guardian.Reading{Indicator: errorRate, Window: guardian.Window{From: at(0), To: at(3.5)}})
	if !errors.Is(err, fail) || !asked.Equal(at(4)) {
		t.Errorf("asked for %v: %v", asked, err)
	}
}

// TestQueriesShowTheSameNumber evaluates the PromQL that a sample says it can be
// checked by.
func TestQueriesShowTheSameNumber(t *testing.T) {
	db := open(t)
	for i := range 31 {
		put(t, db, calls("STATUS_CODE_UNSET", "a"), 2*i, 9*i)
		put(t, db, calls("STATUS_CODE_ERROR", "a"), 2*i, i)
	}
	_, queries, err := sampler(t, db).Sample(context.Background(), guardian.Reading{
		Indicator: errorRate, Target: entity.Ref{Service: "checkout"},
		Window: guardian.Window{From: at(10), To: at(50)}})
	if err != nil {
		t.Fatal(err)
	}
	m, err := db.Query(context.Background(), queries[0], at(1000))
	if err != nil || len(m) != 1 || math.Abs(m[0].Floats[0].F-0.1) > 1e-9 {
		t.Errorf("%s = %v %v, want 0.1", queries[0], m, err)
	}
}

func FuzzEachIncrease(f *testing.F) {
	f.Add([]byte{0, 5, 3, 9})
	f.Add([]byte{255, 0, 0, 255})
	f.Fuzz(func(t *testing.T, values []byte) {
		points := make([]promql.FPoint, len(values))
		for i, v := range values {
			points[i] = promql.FPoint{T: int64(i), F: float64(v)}
		}
		// The reference: count up and down by hand.
		want, prev := 0.0, 0.0
		for _, v := range values {
			if float64(v) >= prev {
				want += float64(v) - prev
			} else {
				want += float64(v)
			}
			prev = float64(v)
		}
		got := 0.0
		eachIncrease(0, points, func(_ int64, inc float64) {
			if inc <= 0 {
				t.Errorf("an increase of %v", inc)
			}
			got += inc
		})
		if got != want {
			t.Errorf("%v: counted %v, want %v", values, got, want)
		}
	})
}

// BenchmarkSample reads one minute of a service with forty operations.
func BenchmarkSample(b *testing.B) {
	db := open(b)
	for op := range 40 {
		name := fmt.Sprint("op", op)
		h := []any{}
		var seen []float64
		for i := range 36 {
			seen = append(seen, 0.01*float64(1+(i*7+op)%30))
			h = append(h, 2*i, native(3, seen...))
		}
		put(b, db, durations(name), h...)
	}
	s := sampler(b, db)
	r := guardian.Reading{Indicator: guardian.Indicator{Latency: &guardian.SpanIndicator{}},
		Target: entity.Ref{Service: "checkout"}, Window: guardian.Window{From: at(10), To: at(70)}, Slice: 2 * time.Second}
	b.ReportAllocs()
	for b.Loop() {
		if got, _, err := s.Sample(context.Background(), r); err != nil || got.Err != "" {
			b.Fatal(err, got.Err)
		}
	}
}
