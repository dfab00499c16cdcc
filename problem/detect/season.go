package detect

import (
	"math"
	"time"
)

// season is the level of every hour of the day and of the week. Hours are UTC.
//
// An hour of the week is known once it was seen twice; until then the hour of
// the day tells, once that was seen twice.
type season struct {
	Day  [24]phase
	Week [24 * 7]phase
	// Log is that the logarithm of the hour's mean is learned.
	Log bool

	sum, n float64
	hour   int64 // that sum is of
}

type phase struct{ Level, Seen float32 }

const (
	minPhases     = 2
	dayMemory     = 7 // occurrences of an hour of the day
	weekMemory    = 4 // occurrences of an hour of the week
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
		s.Day[s.hour%24].learn(v, dayMemory)
		s.Week[weekHour(s.hour)].learn(v, weekMemory)
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

// at returns the level at t; known says whether there is one. Between the
// middles of two hours it is interpolated. Of a slot it is asked at its middle.
func (s *season) at(t time.Time) (level float64, known bool) {
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

// shape is at, as the difference from the mean of the day.
func (s *season) shape(t time.Time) (d float64, known bool) {
	level, known := s.at(t)
	if !known {
		return 0, false
	}
	var mean float64
	for i := range s.Day {
		mean += float64(s.Day[i].Level) / float64(len(s.Day))
	}
	return level - mean, true
}
