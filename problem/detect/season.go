package detect

import (
	"math"
	"time"
)

// season is how a level varies over the day and over the week, as differences
// from its long-term mean (logarithms, for what is positive). Hours are UTC.
//
// A day's shape is used once two days were seen, a week's once two weeks were:
// an hour that nothing is known of has no season.
type season struct {
	Day  [24]phase
	Week [24 * 7]phase
	Mean float64 // of all hours, forgetting slowly
	Seen float64 // hours
	// Log is that the logarithm of the hour's mean is learned.
	Log bool

	sum, n float64
	hour   int64 // that sum is of
}

type phase struct{ Level, Seen float32 }

const (
	minPhases     = 2
	dayMemory     = 7   // occurrences of an hour of the day
	weekMemory    = 4   // occurrences of an hour of the week
	meanMemory    = 168 // hours
	minHourShare  = 0.5
	secondsAnHour = 3600
)

// observe adds a value that was seen for so many seconds until t.
func (s *season) observe(t time.Time, seconds, v float64) {
	h := (t.Unix() - 1) / secondsAnHour
	if h != s.hour {
		s.close()
		s.hour = h
	}
	s.sum += v * seconds
	s.n += seconds
}

// close learns the hour, if enough of it was seen: the time of an incident is
// not observed, so what was abnormal is missing here.
func (s *season) close() {
	if s.n >= minHourShare*secondsAnHour {
		v := s.sum / s.n
		if s.Log {
			v = math.Log(max(v, 1.0/secondsAnHour))
		}
		s.Seen++
		s.Mean += (v - s.Mean) / min(s.Seen, meanMemory)
		// The first day is about the mean of less than a day: wait for it.
		if s.Seen > 12 {
			s.Day[s.hour%24].learn(v-s.Mean, dayMemory)
			s.Week[weekHour(s.hour)].learn(v-s.Mean, weekMemory)
		}
	}
	s.sum, s.n = 0, 0
}

func (p *phase) learn(v float64, memory float32) {
	p.Seen = min(p.Seen+1, memory)
	p.Level += (float32(v) - p.Level) / p.Seen
}

// weekHour numbers the hours of the week from Monday, 0:00 UTC, on: the unix
// epoch was a Thursday.
func weekHour(hour int64) int64 { return (hour + 3*24) % (24 * 7) }

// at returns the difference from the mean at t; known says whether there is
// one. Between the middles of two hours it is interpolated.
//
// Of a slot it is asked at its middle.
func (s *season) at(t time.Time) (d float64, known bool) {
	x := float64(t.UnixMilli())/1000/secondsAnHour - 0.5
	h := int64(math.Floor(x))
	a, okA := s.phase(h)
	b, okB := s.phase(h + 1)
	if !okA || !okB {
		return 0, false
	}
	part := x - math.Floor(x)
	return a*(1-part) + b*part, true
}

func (s *season) phase(hour int64) (float64, bool) {
	if w := s.Week[weekHour(hour)]; w.Seen >= minPhases {
		return float64(w.Level), true
	}
	d := s.Day[hour%24]
	return float64(d.Level), d.Seen >= minPhases
}
