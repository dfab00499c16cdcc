package loadtest

import (
	"math"
	"time"
)

// Schedule says when requests are due. The rate is linear within a stage and
// begins at zero; after the last stage it holds until the end. The number of
// arrivals by time t is the integral of the rate, and the n-th request is due
// when the integral reaches n: evenly spaced at a constant rate.
//
// A Schedule is a value that is never changed: safe for concurrent use.
type Schedule struct {
	segments []segment
	length   time.Duration
}

// segment is a stage with what came before it. Times in seconds.
type segment struct {
	start, length float64
	from, to      float64 // requests per second
	before        float64 // arrivals before start
}

// NewSchedule returns the schedule of the stages, cut off at length or held
// until it. A length of zero means the sum of the stages.
func NewSchedule(stages []Stage, length time.Duration) Schedule {
	s := Schedule{length: length}
	var at, rate, before float64
	for _, st := range stages {
		g := segment{start: at, length: st.Over.Seconds(), from: rate, to: st.To, before: before}
		if g.length > 0 {
			s.segments = append(s.segments, g)
		}
		at, rate, before = at+g.length, g.to, before+g.arrivals(g.length)
		if length <= 0 {
			s.length += st.Over
		}
	}
	if rest := s.length.Seconds() - at; rest > 0 {
		s.segments = append(s.segments, segment{start: at, length: rest, from: rate, to: rate, before: before})
	}
	return s
}

// Length is how long requests are sent.
func (s Schedule) Length() time.Duration { return s.length }

// Rate is the rate at t, in requests per second; zero outside the schedule.
func (s Schedule) Rate(t time.Duration) float64 {
	x := t.Seconds()
	for _, g := range s.segments {
		if x >= g.start && x < g.start+g.length {
			return g.from + (g.to-g.from)*(x-g.start)/g.length
		}
	}
	return 0
}

// Total is the number of requests of the whole schedule.
func (s Schedule) Total() int64 {
	end, total := s.length.Seconds(), 0.0
	for _, g := range s.segments {
		if g.start < end {
			total = g.before + g.arrivals(math.Min(g.length, end-g.start))
		}
	}
	return int64(math.Floor(total + tiny))
}

// Due returns when request n is due, counting from 0; ok is false when the
// schedule ends before it.
func (s Schedule) Due(n int64) (due time.Duration, ok bool) {
	want := float64(n) + 1
	for _, g := range s.segments {
		if want > g.before+g.arrivals(g.length)+tiny {
			continue
		}
		due = time.Duration((g.start + g.reach(want-g.before)) * float64(time.Second))
		// A rounding error must not lose the last request of a whole number.
		return min(due, s.length), due <= s.length+time.Microsecond
	}
	return 0, false
}

// tiny absorbs the rounding of sums of floats.
const tiny = 1e-9

// arrivals is the number of requests in the first x seconds of the segment.
func (g segment) arrivals(x float64) float64 {
	if g.length == 0 {
		return 0
	}
	return g.from*x + (g.to-g.from)*x*x/(2*g.length)
}

// reach is the inverse of arrivals: the positive root of a quadratic, in the
// form that does not cancel.
func (g segment) reach(n float64) float64 {
	a := (g.to - g.from) / (2 * g.length)
	root := math.Sqrt(math.Max(0, g.from*g.from+4*a*n))
	if g.from+root == 0 {
		return g.length
	}
	return math.Min(2*n/(g.from+root), g.length)
}
