package main

import (
	"math"
	"testing"
	"time"

	"github.com/tidegate-io/tidegate/judge"
)

func TestQuantity(t *testing.T) {
	for _, c := range []struct {
		v    float64
		unit string
		want string
	}{
		{0.0000123, "s", "12 µs"}, {0.3124, "s", "312 ms"}, {2.5, "s", "2.5 s"},
		{0.012, "ratio", "1.2 %"}, {4.78e-57, "ratio", "0 %"}, {1, "ratio", "100 %"},
		{20.125, "1/s", "20.1/s"}, {20.125, "/s", "20.1/s"}, {3, "", "3"}, {12.5, "EUR", "12.5 EUR"},
		{math.NaN(), "s", "-"}, {math.Inf(1), "s", "∞"}, {math.Inf(-1), "", "-∞"},
	} {
		if got := quantity(judge.Number(c.v), c.unit); got != c.want {
			t.Errorf("%v %s: %q, want %q", c.v, c.unit, got, c.want)
		}
	}
}

func TestDuration(t *testing.T) {
	for d, want := range map[time.Duration]string{
		0: "0s", 1234567 * time.Nanosecond: "1.23ms", 1234567890 * time.Nanosecond: "1.23s", time.Minute: "1m", 90 * time.Second: "1m30s",
		10 * time.Second: "10s", 20 * time.Minute: "20m", time.Hour: "1h", 36 * time.Hour: "36h", time.Hour + time.Second: "1h0m1s", 744 * time.Hour: "744h",
	} {
		if got := duration(d); got != want {
			t.Errorf("%d: %q, want %q", d, got, want)
		}
	}
}

// TestSizes: what is printed can be typed.
func TestSizes(t *testing.T) {
	for text, want := range map[string]struct {
		n       bytesize
		printed string
	}{
		"0": {0, "0 B"}, "512": {512, "512 B"}, "1KiB": {1024, "1 KiB"}, "1.5 MiB": {3 << 19, "1.5 MiB"}, "20GiB": {20 << 30, "20 GiB"}, "3TiB": {3 << 40, "3 TiB"},
	} {
		var b bytesize
		if err := b.Set(text); err != nil || b != want.n || b.String() != want.printed {
			t.Errorf("%q: %d %s, %v", text, int64(b), b, err)
		}
		var again bytesize
		if err := again.Set(want.printed); err != nil || again != want.n {
			t.Errorf("%q: %d, %v", want.printed, int64(again), err)
		}
	}
	for _, text := range []string{"", "B", "iB", "-1", "much", "20GB", "1XiB", "NaN", "1e30", "9e9TiB"} {
		var b bytesize
		if b.Set(text) == nil {
			t.Errorf("%q is accepted as %d", text, int64(b))
		}
	}
}
