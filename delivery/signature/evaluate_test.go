package signature

import (
	"math"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/tidegate-io/tidegate/entity"
	"github.com/tidegate-io/tidegate/judge"
)

var from = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// reading is one of the last minute with one sample for each entity.
func reading(samples ...judge.Sample) Reading {
	return Reading{Samples: samples, Entities: make([]entity.Ref, len(samples)), Queries: []string{"q"}, From: from, To: from.Add(time.Minute)}
}

// values is a series with a point in each slice.
func values(v ...float64) judge.Sample {
	s := judge.Sample{Kind: judge.Value}
	for _, x := range v {
		s.Slices = append(s.Slices, judge.Slice{Seconds: 2, Value: judge.Number(x)})
	}
	return s
}

// requests counts total and bad ones in each of 30 slices.
func requests(kind judge.Kind, total, bad float64) judge.Sample {
	s := judge.Sample{Kind: kind, Unit: map[judge.Kind]string{judge.Ratio: "ratio", judge.Rate: "/s"}[kind]}
	for range 30 {
		s.Slices = append(s.Slices, judge.Slice{Seconds: 2, Total: total, Bad: bad})
	}
	return s
}

// durations puts n requests of about the given length into each of 30 slices.
func durations(n, seconds float64) judge.Sample {
	s := judge.Sample{Kind: judge.Distribution, Unit: "s"}
	const schema = 3
	i := int(math.Ceil(math.Log2(seconds) * 8))
	for range 30 {
		s.Slices = append(s.Slices, judge.Slice{Seconds: 2, Histogram: &judge.Histogram{Schema: schema, Count: n, Sum: n * seconds,
			Buckets: []judge.Bucket{{Index: i, Count: n}}}})
	}
	return s
}

func one(m Metric, c Comparison, source Reading, compare *Reading) Result {
	s := Signature{Name: "s", Metrics: []Metric{m}}
	return s.Evaluate(c, []Pair{{source, compare}})[0]
}

func ptr[T any](v T) *T { return &v }

// The numbers are those of the formulas of monspec.
func TestPoint(t *testing.T) {
	metric := Metric{Key: "k", Measure: PromQL, PromQL: "x", Aggregate: Avg, Validate: BoundUpper}
	lower := metric
	lower.Validate = BoundLower
	static := metric
	static.Upper = ptr(100.0)
	band := metric
	band.Upper, band.Lower = ptr(100.0), ptr(50.0)
	other := metric
	other.Key = "other"
	to := Comparison{Name: "c", Source: "Staging", Compare: "Production", Mode: ModePoint, Tolerance: 0.15, Tolerances: map[string]float64{"other": 0.9}}
	better := to
	better.Tolerance = -0.1
	alone := to
	alone.Compare = ""
	for _, tt := range []struct {
		name    string
		metric  Metric
		c       Comparison
		source  Reading
		compare *Reading
		want    Status
		limit   float64
		why     string
		warning string
	}{
		{"below the upper limit", metric, to, reading(values(114)), ptr(reading(values(100))), StatusOK, 115, "p was 114, within the allowed 115 (100 in the comparison, 15 % tolerated)", ""},
		{"on the upper limit", metric, to, reading(values(115)), ptr(reading(values(100))), StatusOK, 115, "", ""},
		{"on a limit that rounding makes", metric, Comparison{Mode: ModePoint, Compare: "p", Tolerance: 0.1}, reading(values(0.33)), ptr(reading(values(0.3))), StatusOK, 0.33, "", ""},
		{"above the upper limit", metric, to, reading(values(116)), ptr(reading(values(100))), StatusViolation, 115, "was 116, above the allowed 115", ""},
		{"zero against zero", metric, to, reading(values(0)), ptr(reading(values(0))), StatusOK, 0, "", ""},
		{"something against zero", metric, to, reading(values(0.1)), ptr(reading(values(0))), StatusViolation, 0, "", ""},
		{"above the lower limit", lower, to, reading(values(86)), ptr(reading(values(100))), StatusOK, 85, "", ""},
		{"on the lower limit", lower, to, reading(values(85)), ptr(reading(values(100))), StatusOK, 85, "", ""},
		{"below the lower limit", lower, to, reading(values(84)), ptr(reading(values(100))), StatusViolation, 85, "was 84, below the allowed 85", ""},
		{"a tolerance of its own", other, to, reading(values(189)), ptr(reading(values(100))), StatusOK, 190, "90 % tolerated", ""},
		{"must be better", metric, better, reading(values(91)), ptr(reading(values(100))), StatusViolation, 90, "", ""},
		{"static, whatever was before", static, to, reading(values(101)), ptr(reading(values(200))), StatusViolation, 100, "above the allowed 100 (a static limit)", ""},
		{"static without anything before", static, to, reading(values(99)), ptr(reading()), StatusOK, 100, "", ""},
		{"below a band", band, to, reading(values(49)), nil, StatusViolation, 100, "below the allowed 50", ""},
		{"within a band", band, to, reading(values(60)), nil, StatusOK, 100, "within the allowed 50 to 100", ""},
		{"nobody to compare with", metric, to, reading(values(1e9)), ptr(reading()), StatusOK, math.NaN(), "so it passes unseen", "there is nothing to compare with: no entity is in Production"},
		{"no data to compare with", metric, to, reading(values(1e9)), ptr(reading(values())), StatusOK, math.NaN(), "", "no data of it in Production from 2026-03-01T12:00:00Z to 2026-03-01T12:01:00Z"},
		{"nothing named to compare with", metric, alone, reading(values(1e9)), nil, StatusOK, math.NaN(), "", "comparison c names no environment, and the metric has no static limit"},
		{"no data in the source", metric, to, reading(values(math.NaN())), ptr(reading(values(1))), StatusInconclusive, math.NaN(), "There are no data of p in the source", ""},
		{"no data in the source of a static limit", static, to, reading(values()), nil, StatusInconclusive, math.NaN(), "", ""},
		{"a query that fails", metric, to, reading(judge.Sample{Err: "boom"}), ptr(reading(values(1))), StatusError, math.NaN(), "could not be read: boom", ""},
		{"a query that fails on the other side", metric, to, reading(values(1)), ptr(reading(judge.Sample{Err: "boom"})), StatusError, math.NaN(), "", ""},
		{"the mean over entities that have data", metric, to, reading(values(100), values(), values(140)), ptr(reading(values(100))), StatusViolation, 115, "was 120", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			m := tt.metric
			if m.Key == "k" {
				m.Key = "p"
			}
			got := one(m, tt.c, tt.source, tt.compare)
			got.Why = strings.Replace(got.Why, " avg", "", 1)
			limit := got.Upper
			if m.Validate == BoundLower {
				limit = got.Lower
			}
			if got.Status != tt.want || !near(float64(limit), tt.limit) || !strings.Contains(got.Why, tt.why) {
				t.Errorf("%s, limit %v: %s\nwant %s, %v: %s", got.Status, limit, got.Why, tt.want, tt.limit, tt.why)
			}
			if tt.warning == "" && got.Warning != "" || !strings.Contains(got.Warning, tt.warning) {
				t.Errorf("warning %q, want %q", got.Warning, tt.warning)
			}
		})
	}
}

func near(a, b float64) bool {
	return math.IsNaN(a) && math.IsNaN(b) || math.Abs(a-b) <= 1e-9*math.Max(1, math.Abs(b))
}

func TestAggregates(t *testing.T) {
	spread := judge.Sample{Kind: judge.Distribution, Unit: "s", Slices: []judge.Slice{
		{Seconds: 2, Histogram: &judge.Histogram{Schema: 0, Count: 3, Sum: 9, Buckets: []judge.Bucket{{Index: 1, Count: 2}, {Index: 3, Count: 1}}}},
		{Seconds: 2},
		{Seconds: 2, Histogram: &judge.Histogram{Schema: 0, Count: 1, Sum: 0.6, Buckets: []judge.Bucket{{Index: 0, Count: 1}}}},
	}}
	failures := judge.Sample{Kind: judge.Ratio, Unit: "ratio", Slices: []judge.Slice{
		{Seconds: 2, Total: 10, Bad: 5}, {Seconds: 2}, {Seconds: 2, Total: 90, Bad: 0}, {Seconds: 2, Total: 100, Bad: 10}}}
	rate := judge.Sample{Kind: judge.Rate, Unit: "/s", Slices: []judge.Slice{{Seconds: 2, Total: 10}, {Seconds: 2, Total: 0}, {Seconds: 4, Total: 50}}}
	for _, tt := range []struct {
		sample judge.Sample
		want   map[Aggregate]float64
	}{
		{spread, map[Aggregate]float64{Min: 0.5, Max: 8, Avg: 2.4, Sum: 9.6, Count: 4}},
		{failures, map[Aggregate]float64{Min: 0, Max: 0.5, Avg: 0.075, Sum: 15, Count: 15, Median: 0.1, "p75": 0.3}},
		{rate, map[Aggregate]float64{Min: 0, Max: 750, Avg: 450, Sum: 60, Count: 60, Median: 300}},
		{values(4, math.NaN(), 1, 3), map[Aggregate]float64{Min: 1, Max: 4, Avg: 8.0 / 3, Sum: 8, Count: 3, Median: 3, "p90": 3.8}},
	} {
		for a, want := range tt.want {
			got, n, ok := a.of(tt.sample)
			if !ok || n <= 0 || !near(got, want) {
				t.Errorf("%s of %s: %v (n %v, %v), want %v", a, tt.sample.Kind, got, n, ok, want)
			}
		}
	}
	if got, _, ok := Aggregate("p90").of(durations(100, 0.2)); !ok || math.Abs(got-0.2) > 0.02 {
		t.Errorf("p90 of 200 ms: %v, %v", got, ok)
	}
	for _, empty := range []judge.Sample{{Kind: judge.Distribution}, {Kind: judge.Ratio, Slices: []judge.Slice{{Seconds: 2}}}, {Kind: judge.Rate}, values(math.NaN())} {
		if _, _, ok := Avg.of(empty); ok {
			t.Errorf("%s without an observation has an average", empty.Kind)
		}
	}
}

func TestAggregateNames(t *testing.T) {
	for text, want := range map[string]Aggregate{"avg": Avg, "MAX": Max, "P95": "p95", "p99.9": "p99.9", "median": Median} {
		if got, err := ParseAggregate(text); err != nil || got != want {
			t.Errorf("%q: %q, %v", text, got, err)
		}
	}
	for _, text := range []string{"", "p", "p0", "p100", "p-1", "p1e1", "p1_0", "p0x10", "pinf", "average", "percentile"} {
		if got, err := ParseAggregate(text); err == nil {
			t.Errorf("%q is read as %q", text, got)
		}
	}
}

// A rate of zero can violate, and never passes.
func TestNoTraffic(t *testing.T) {
	m := Metric{Key: "r", Measure: Requests, Aggregate: Count, Validate: BoundLower}
	c := Comparison{Name: "c", Compare: "p", Mode: ModePoint, Tolerance: 0.9}
	quiet, busy := reading(requests(judge.Rate, 0, 0)), reading(requests(judge.Rate, 10, 0))
	if got := one(m, c, quiet, &busy); got.Status != StatusViolation {
		t.Errorf("no traffic where there was some: %s, %s", got.Status, got.Why)
	}
	m.Validate = BoundUpper
	if got := one(m, c, quiet, &busy); got.Status != StatusInconclusive {
		t.Errorf("no traffic below an upper limit: %s, %s", got.Status, got.Why)
	}
	if got := one(m, c, busy, &quiet); got.Status != StatusOK || got.Warning == "" || !got.Compare.IsNaN() {
		t.Errorf("compared with no traffic: %s, warning %q", got.Status, got.Warning)
	}
}

// Relations are added up over the entities.
func TestRelations(t *testing.T) {
	m := Metric{Key: "runsOn", Measure: RunsOn, Aggregate: Count, Validate: BoundLower}
	c := Comparison{Name: "c", Compare: "p", Mode: ModeConfidence, Tolerance: 0.2}
	compare := reading(values(3), values(2))
	if got := one(m, c, reading(values(2), values(2)), &compare); got.Status != StatusOK || got.Source != 4 || got.Compare != 5 || got.Lower != 4 {
		t.Errorf("%+v", got)
	}
	if got := one(m, c, reading(values(3)), &compare); got.Status != StatusViolation {
		t.Errorf("%+v", got)
	}
}

func TestConfidence(t *testing.T) {
	c := Comparison{Name: "c", Compare: "p", Mode: ModeConfidence, Tolerance: 0.15}
	latency := Metric{Key: "l", Measure: ResponseTime, Aggregate: Avg, Validate: BoundUpper}
	p90 := latency
	p90.Aggregate = "p90"
	failures := Metric{Key: "f", Measure: FailureRate, Aggregate: Avg, Validate: BoundUpper}
	traffic := Metric{Key: "t", Measure: Requests, Aggregate: Avg, Validate: BoundLower}
	static := latency
	static.Upper = ptr(0.1)
	highest := latency
	highest.Aggregate = Max
	for _, tt := range []struct {
		name    string
		metric  Metric
		source  judge.Sample
		compare *judge.Sample
		want    Status
	}{
		{"as fast", latency, durations(100, 0.2), ptr(durations(100, 0.2)), StatusOK},
		{"twice as slow", latency, durations(100, 0.4), ptr(durations(100, 0.2)), StatusViolation},
		{"twice as slow at p90", p90, durations(100, 0.4), ptr(durations(100, 0.2)), StatusViolation},
		{"half of all fail", failures, requests(judge.Ratio, 20, 10), ptr(requests(judge.Ratio, 20, 0)), StatusViolation},
		{"as few failures", failures, requests(judge.Ratio, 2000, 2), ptr(requests(judge.Ratio, 2000, 2)), StatusOK},
		{"two requests", failures, judge.Sample{Kind: judge.Ratio, Unit: "ratio", Slices: []judge.Slice{{Seconds: 2, Total: 2}}}, ptr(requests(judge.Ratio, 20, 0)), StatusInconclusive},
		{"a tenth of the traffic", traffic, requests(judge.Rate, 10, 0), ptr(requests(judge.Rate, 100, 0)), StatusViolation},
		{"nobody to compare with", latency, durations(100, 0.2), nil, StatusInconclusive},
		{"static", static, durations(100, 0.2), nil, StatusViolation},
		{"the highest is one number", highest, durations(100, 0.2), ptr(durations(100, 0.2)), StatusOK},
	} {
		t.Run(tt.name, func(t *testing.T) {
			compare := reading()
			if tt.compare != nil {
				compare = reading(*tt.compare)
			}
			got := one(tt.metric, c, reading(tt.source), &compare)
			if got.Status != tt.want || got.Why == "" {
				t.Errorf("%s: %s; want %s", got.Status, got.Why, tt.want)
			}
		})
	}
	got := one(traffic, c, reading(requests(judge.Rate, 100, 0)), ptr(reading(requests(judge.Rate, 100, 0))))
	if got.Unit != "/min" || !near(float64(got.Source), 3000) || !near(float64(got.Lower), 2550) {
		t.Errorf("traffic in %q: %v against %v, want 3000 against 2550 a minute", got.Unit, got.Source, got.Lower)
	}
}

// Several services of one environment are one population.
func TestPooled(t *testing.T) {
	fine, coarse := durations(10, 0.2), durations(30, 0.4)
	for i := range coarse.Slices {
		coarse.Slices[i].Histogram = &judge.Histogram{Schema: 0, Count: 30, Sum: 12, Buckets: []judge.Bucket{{Index: -1, Count: 30}}}
	}
	got := pooled([]judge.Sample{fine, coarse})
	h := got.Slices[0].Histogram
	if h.Schema != 0 || h.Count != 40 || !near(h.Sum, 14) || len(h.Buckets) != 2 || h.Buckets[0].Index != -2 || h.Buckets[1].Count != 30 {
		t.Errorf("%+v", h)
	}
	if fine.Slices[0].Histogram.Count != 10 {
		t.Error("pooling changed its input")
	}
	both := pooled([]judge.Sample{requests(judge.Ratio, 10, 1), requests(judge.Ratio, 5, 0)})
	if both.Slices[29].Total != 15 || both.Slices[29].Bad != 1 {
		t.Errorf("%+v", both.Slices[29])
	}
}

func TestMergedHistogramsKeepEveryCount(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		draw := func(name string) *judge.Histogram {
			h := &judge.Histogram{Schema: rapid.IntRange(0, 4).Draw(t, name+" schema")}
			at := rapid.IntRange(-20, 20).Draw(t, name+" first")
			for range rapid.IntRange(0, 6).Draw(t, name+" buckets") {
				n := float64(rapid.IntRange(1, 9).Draw(t, name))
				h.Buckets = append(h.Buckets, judge.Bucket{Index: at, Count: n})
				h.Count += n
				at += rapid.IntRange(1, 5).Draw(t, name+" step")
			}
			return h
		}
		a, b := draw("a"), draw("b")
		got := merged(a, b)
		sum := 0.0
		for i, x := range got.Buckets {
			sum += x.Count
			if i > 0 && x.Index <= got.Buckets[i-1].Index {
				t.Fatalf("buckets out of order: %+v", got.Buckets)
			}
		}
		if sum != a.Count+b.Count || got.Count != sum {
			t.Fatalf("%v observations of %v and %v", sum, a.Count, b.Count)
		}
	})
}

// More of what is bad never turns a violation into a pass.
func TestWorseIsNeverBetter(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := Metric{Key: "k", Measure: PromQL, PromQL: "x", Aggregate: Avg, Validate: BoundUpper}
		c := Comparison{Name: "c", Compare: "p", Mode: ModePoint, Tolerance: rapid.Float64Range(-1, 10).Draw(t, "tolerance")}
		base := reading(values(rapid.Float64Range(0, 1e6).Draw(t, "compare")))
		v := rapid.Float64Range(0, 1e6).Draw(t, "source")
		worse := v + rapid.Float64Range(0, 1e6).Draw(t, "more")
		if one(m, c, reading(values(v)), &base).Status == StatusViolation && one(m, c, reading(values(worse)), &base).Status != StatusViolation {
			t.Fatalf("%v violates, %v does not", v, worse)
		}
	})
}

func TestOverall(t *testing.T) {
	for _, tt := range []struct {
		in   []Status
		want Status
	}{
		{nil, StatusInconclusive}, {[]Status{StatusOK, StatusOK}, StatusOK}, {[]Status{StatusOK, StatusInconclusive}, StatusInconclusive},
		{[]Status{StatusInconclusive, StatusError, StatusOK}, StatusError}, {[]Status{StatusViolation, StatusError}, StatusViolation},
	} {
		var results []Result
		for _, s := range tt.in {
			results = append(results, Result{Status: s})
		}
		if got := Overall(results); got != tt.want {
			t.Errorf("%v: %s, want %s", tt.in, got, tt.want)
		}
	}
}

func TestExpressionNamesItsEntity(t *testing.T) {
	m := Metric{PromQL: `sum(x{service="${service}",env="${environment}"})`}
	got := m.Expression(entity.Ref{Service: `a"b`, Environment: "dev"})
	if want := `sum(x{service="a\"b",env="dev"})`; got != want || !m.Places() {
		t.Errorf("%s, want %s", got, want)
	}
}
