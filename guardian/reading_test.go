package guardian

import (
	"math"
	"testing"
	"time"

	"github.com/tidegate-io/tidegate/judge"
)

func TestSliceOf(t *testing.T) {
	for window, want := range map[time.Duration]time.Duration{
		5 * time.Second:  2 * time.Second,
		12 * time.Second: 2 * time.Second,
		time.Minute:      2 * time.Second,
		2 * time.Minute:  4 * time.Second,
		5 * time.Minute:  10 * time.Second,
		time.Hour:        10 * time.Second,
		5 * time.Hour:    12 * time.Second,
		24 * time.Hour:   50 * time.Second,
	} {
		got := sliceOf(window)
		if got != want {
			t.Errorf("%s: %s, want %s", window, got, want)
		}
		if n := window / got; n > maxSlices || window >= 12*time.Second && n < 6 {
			t.Errorf("%s: %d slices", window, n)
		}
	}
}

func TestQuantileOfOneBucket(t *testing.T) {
	h := &judge.Histogram{Schema: 3, Count: 100, ZeroCount: 10, Buckets: []judge.Bucket{{Index: -8, Count: 40}, {Index: 0, Count: 50}}}
	if q := quantile(h, 0.05); q != 0 {
		t.Errorf("in the zero bucket: %v", q)
	}
	if q := quantile(h, 0.3); q <= math.Exp2(-9.0/8) || q > math.Exp2(-1) {
		t.Errorf("in the bucket that ends at 0.5: %v", q)
	}
	if q := quantile(h, 1); q != 1 {
		t.Errorf("the highest: %v, want the upper bound 1", q)
	}
}

func TestFormat(t *testing.T) {
	for _, tc := range []struct {
		v    float64
		kind judge.Kind
		unit string
		want string
	}{
		{0.5, judge.Ratio, "", "50 %"},
		{0.00123, judge.Ratio, "ratio", "0.123 %"},
		{0.3124, judge.Distribution, "s", "312 ms"},
		{0.000042, judge.Distribution, "", "42 µs"},
		{1.25, judge.Distribution, "s", "1.25 s"},
		{19.3, judge.Rate, "", "19.3/s"},
		{1234567.8, judge.Value, "EUR", "1,234,568 EUR"},
		{-5, judge.Value, "", "−5"},
		{-0.25, judge.Value, "", "−0.25"},
		{math.NaN(), judge.Value, "EUR", "no data"},
		{math.Inf(1), judge.Value, "", "∞"},
	} {
		if got := Format(judge.Number(tc.v), tc.kind, tc.unit); got != tc.want {
			t.Errorf("%v %s %s: %q, want %q", tc.v, tc.kind, tc.unit, got, tc.want)
		}
	}
}

func TestAgo(t *testing.T) {
	for s, want := range map[float64]string{-1: "0.0 s", 0.114: "0.1 s", 41.2: "41 s", 119: "119 s", 200: "3 min", 7500: "2 h 5 min", 200000: "2 days"} {
		if got := ago(s); got != want {
			t.Errorf("%v: %q, want %q", s, got, want)
		}
	}
}
