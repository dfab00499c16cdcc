package detect

import (
	"math"
	"time"

	"github.com/tidegate-io/tidegate/entity"
	"github.com/tidegate-io/tidegate/judge"
)

// The tests of every operation.
const (
	testErrors = iota
	testLatency
	testSlowest
	testDrop
	testSurge
	tests
)

// Margins: below them nobody is hurt, however sure the difference is.
const (
	errorMargin   = 0.01 // share of requests, above 1.5 times the usual share
	errorFactor   = 1.5
	coldErrors    = 0.10 // of a service that nothing is known of
	medianFactor  = 1.5
	medianMargin  = 0.020 // seconds
	slowestFactor = 2.0
	slowestMargin = 0.050
	dropTo        = 0.7 // of the expected traffic
	surgeTo       = 1.5
	// Of the traffic of the last hour or so, where nothing is known of the day:
	// in the evening it falls by half in that time.
	recentDropTo  = 0.35
	recentSurgeTo = 3
)

// What is usual is remembered for so long (time constants), and known after so
// many requests.
const (
	shareMemory    = 24 * time.Hour
	trafficMemory  = time.Hour
	seasonalMemory = 6 * time.Hour // of a level that is freed of its season
	warmRequests   = 500
	warmErrors     = 5 * time.Minute
)

// operation is what is known of an operation, or of a service as a whole.
// What is exported survives a restart.
type operation struct {
	Service, Environment, Operation string

	Seen    time.Time     // the last request
	Busy    time.Duration // slots with a request
	Errors  share
	Latency latencies
	Median  season // of the logarithm of the median
	Traffic traffic
	Tests   [tests]test

	slotRequests, slotFailed float64
	slotLatency              []*judge.Histogram
}

// share is how many of all requests were bad, forgetting slowly.
type share struct{ Bad, Total float64 }

// traffic is the usual number of requests per second.
type traffic struct {
	Recent  level // of the last hour or so
	Even    level // freed of the season, where that is known
	Learned time.Duration
	Season  season // of its logarithm
}

// test is the state of one test.
type test struct {
	Dispersion dispersion
	Open       *ongoing

	evidence evidence
}

func newOperation(p place) *operation {
	o := &operation{Service: p.name, Environment: p.environment, Operation: p.operation}
	o.Traffic.Season.Log = true
	return o
}

func (o *operation) place() place { return place{service{o.Service, o.Environment}, o.Operation} }

func (o *operation) ref() entity.Ref {
	return entity.Ref{Service: o.Service, Environment: o.Environment}
}

func (o *operation) take(ob *Observation, at time.Time) {
	o.Seen = at
	o.slotRequests += ob.Requests
	o.slotFailed += min(ob.Failed, ob.Requests)
	if ob.Latency != nil {
		o.slotLatency = append(o.slotLatency, ob.Latency)
	}
}

// hurt reports whether an event of the operation lasts.
func (o *operation) hurt() bool {
	for t := range o.Tests {
		if o.Tests[t].Open != nil {
			return true
		}
	}
	return false
}

// usualErrors returns the usual share of failed requests, and the largest that
// is still acceptable.
func (o *operation) usualErrors() (p, limit float64) {
	e, phi := &o.Errors, o.Tests[testErrors].Dispersion.phi()
	p = (e.Bad + 1) / (e.Total + 10)
	limit = errorFactor*p + errorMargin + 2*math.Sqrt(phi*p*(1-p)/(e.Total+10))
	if e.Total < warmRequests || o.Busy < warmErrors {
		limit = min(limit, coldErrors)
	}
	return p, min(limit, 0.95)
}

// learn takes the slot as usual.
func (e *share) learn(bad, total float64, step time.Duration) {
	if total > 0 {
		keep := forgetting(step, shareMemory)
		e.Bad, e.Total = e.Bad*keep+bad, e.Total*keep+total
	}
}

func forgetting(step, memory time.Duration) float64 {
	return math.Exp(-step.Seconds() / memory.Seconds())
}

// slowness is a position in the histogram that few requests exceed, and how
// many usually do.
type slowness struct {
	position float64
	usual    float64 // share of the requests beyond it
	limit    float64 // the largest acceptable share
	expected float64 // seconds: the usual quantile
}

// slow says which requests are slow for the test at a time of day.
func (o *operation) slow(t int, move int, phi float64) slowness {
	q, factor, margin, least := 0.5, medianFactor, medianMargin, 0.35
	if t == testSlowest {
		q, factor, margin, least = 0.9, slowestFactor, slowestMargin, 0.06
	}
	at := o.Latency.quantile(q)
	s := slowness{expected: secondsAt(at + float64(move))}
	s.position = positionOf(max(s.expected*factor, s.expected+margin))
	n := o.Latency.N + 10
	s.usual = (o.Latency.above(s.position-float64(move)) + 0.5) / n
	s.limit = max(least, 1.5*s.usual+2*math.Sqrt(phi*s.usual*(1-s.usual)/n))
	s.limit = min(s.limit, 0.95)
	return s
}

// seasonalMove is by how many buckets the latencies are usually higher at this
// time of the day than on average.
func (o *operation) seasonalMove(at time.Time) int {
	d, _ := o.Median.shape(at)
	return int(math.Round(d * bucketsPer))
}

// level is an average that forgets, as its sum and its weight.
type level struct{ Sum, Weight float64 }

func (l *level) learn(v float64, step, memory time.Duration) {
	keep := forgetting(step, memory)
	l.Sum = l.Sum*keep + (1-keep)*v
	l.Weight = l.Weight*keep + (1 - keep)
}

// expected returns how many requests per second are usual at a time, and the
// fewest and the most that are acceptable: by the season, once there is a level
// for it, or by what was recently.
func (tr *traffic) expected(at time.Time) (usual, least, most float64) {
	if d, known := tr.Season.shape(at); known && tr.Even.Weight > 0.5 {
		usual = tr.Even.Sum / tr.Even.Weight * math.Exp(d)
		return usual, dropTo * usual, surgeTo * usual
	}
	if tr.Recent.Weight > 0 {
		usual = tr.Recent.Sum / tr.Recent.Weight
	}
	return usual, recentDropTo * usual, recentSurgeTo * usual
}

// learn takes the slot as usual.
func (tr *traffic) learn(at time.Time, requests float64, step time.Duration) {
	tr.Learned += step
	rate := requests / step.Seconds()
	tr.Recent.learn(rate, step, trafficMemory)
	if d, known := tr.Season.shape(at); known {
		tr.Even.learn(rate*math.Exp(-d), step, seasonalMemory)
	}
	tr.Season.observe(at, step.Seconds(), rate)
}
