package tsdb

import (
	"math"
	"testing"
	"time"

	"github.com/tidegate-io/tidegate/guardian"
	"github.com/tidegate-io/tidegate/judge"
	"pgregory.net/rapid"
)

// TestGridLastsAsLongAsTheWindow: however a window lies to the slots, its
// slices cover it and last, together, as long as it does.
func TestGridLastsAsLongAsTheWindow(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		from := time.UnixMilli(rapid.Int64Range(1e12, 1e12+10_000).Draw(t, "from"))
		length := time.Duration(rapid.Int64Range(1, 120_000).Draw(t, "length")) * time.Millisecond
		slice := time.Duration(rapid.Int64Range(0, 12_000).Draw(t, "slice")) * time.Millisecond
		g, err := newGrid(guardian.Window{From: from, To: from.Add(length)}, slice, 2*time.Second)
		if err != nil {
			t.Fatal(err)
		}
		s := judge.Sample{Slices: g.empty()}
		if math.Abs(s.Seconds()-length.Seconds()) > 1e-9 {
			t.Errorf("%v s, want %v", s.Seconds(), length.Seconds())
		}
		for i, sl := range s.Slices {
			if sl.Seconds <= 0 {
				t.Errorf("slice %d of %d lasts %v s", i, len(s.Slices), sl.Seconds)
			}
		}
		if g.from().After(from) || g.to().Before(from.Add(length)) {
			t.Errorf("%v … %v does not cover the window", g.from(), g.to())
		}
	})
}
