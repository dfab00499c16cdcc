package loadtest

import (
	"math"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func constant(rate float64, d time.Duration) []Stage { return []Stage{{To: rate}, {To: rate, Over: d}} }

func TestScheduleConstant(t *testing.T) {
	s := NewSchedule(constant(20, 3*time.Second), 0)
	if s.Total() != 60 {
		t.Errorf("total %d, want 60", s.Total())
	}
	for n := range int64(60) {
		due, ok := s.Due(n)
		want := time.Duration(n+1) * 50 * time.Millisecond
		if !ok || (due-want).Abs() > time.Microsecond {
			t.Fatalf("request %d due at %s (%v), want %s", n, due, ok, want)
		}
	}
	if due, ok := s.Due(60); ok {
		t.Errorf("request 60 is due at %s, after the end", due)
	}
}

func TestScheduleStages(t *testing.T) {
	// Ramp to 20/s over 4 s (40 requests), hold 2 s (40), down to 0 over 2 s (20).
	s := NewSchedule([]Stage{{20, 4 * time.Second}, {20, 2 * time.Second}, {0, 2 * time.Second}}, 0)
	if s.Length() != 8*time.Second || s.Total() != 100 {
		t.Errorf("length %s total %d, want 8s and 100", s.Length(), s.Total())
	}
	for at, want := range map[time.Duration]float64{0: 0, 2 * time.Second: 10, 5 * time.Second: 20, 7 * time.Second: 10, 9 * time.Second: 0} {
		if got := s.Rate(at); math.Abs(got-want) > 1e-9 {
			t.Errorf("rate at %s is %g, want %g", at, got, want)
		}
	}
	if due, _ := s.Due(9); (due - 2*time.Second).Abs() > time.Microsecond {
		t.Errorf("the tenth request is due at %s, want 2s: ten is the area below the ramp", due)
	}
}

func TestScheduleCutAndHeld(t *testing.T) {
	if n := NewSchedule(constant(10, 10*time.Second), 3*time.Second).Total(); n != 30 {
		t.Errorf("cut off after 3 s: %d requests, want 30", n)
	}
	if n := NewSchedule([]Stage{{To: 10}}, 3*time.Second).Total(); n != 30 {
		t.Errorf("held for 3 s: %d requests, want 30", n)
	}
}

func TestScheduleInvariants(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(1, 6).Draw(t, "stages")
		stages := make([]Stage, n)
		for i := range stages {
			stages[i] = Stage{
				To:   rapid.Float64Range(0, 200).Draw(t, "to"),
				Over: time.Duration(rapid.IntRange(0, 3000).Draw(t, "ms")) * time.Millisecond,
			}
		}
		s := NewSchedule(stages, time.Duration(rapid.IntRange(0, 8000).Draw(t, "length"))*time.Millisecond)
		var last time.Duration
		var count int64
		for ; ; count++ {
			due, ok := s.Due(count)
			if !ok {
				break
			}
			if due < last || due > s.Length() {
				t.Fatalf("request %d due at %s, the one before at %s, length %s", count, due, last, s.Length())
			}
			last = due
		}
		if diff := count - s.Total(); diff < -1 || diff > 1 {
			t.Fatalf("%d requests are due, Total says %d", count, s.Total())
		}
	})
}

func BenchmarkScheduleDue(b *testing.B) {
	s := NewSchedule([]Stage{{1000, time.Minute}, {1000, time.Hour}}, 0)
	for i := 0; b.Loop(); i++ {
		s.Due(int64(i % 1_000_000))
	}
}
