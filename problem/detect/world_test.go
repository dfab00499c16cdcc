package detect

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/tidegate-io/tidegate/entity"
	"github.com/tidegate-io/tidegate/judge"
	"github.com/tidegate-io/tidegate/problem"
)

const slotLength = 2 * time.Second

// begin is a Monday, midnight.
var begin = time.Date(2026, 3, 2, 0, 0, 0, 0, time.UTC)

// shop is a simulated service: Poisson arrivals whose rate wanders and has a
// day, failures that come in bursts, latencies whose level wanders (AR(1) from
// slot to slot) and that have slow seconds.
type shop struct {
	rng    *rand.Rand
	rate   float64 // requests per second
	errors float64
	median float64 // seconds
	daily  float64 // amplitude of the day, as a part of the rate

	wander, slow float64 // AR(1) states
}

func newShop(seed uint64, rate float64) *shop {
	return &shop{rng: rand.New(rand.NewPCG(seed, 1)), rate: rate, errors: 0.002, median: 0.04}
}

func (s *shop) slot(t time.Time, service, op string) Observation {
	const phi = 0.7
	s.wander = phi*s.wander + math.Sqrt(1-phi*phi)*s.rng.NormFloat64()
	s.slow = phi*s.slow + math.Sqrt(1-phi*phi)*s.rng.NormFloat64()
	day := 1 - s.daily*math.Cos(2*math.Pi*float64(t.Unix()%86400)/86400)
	n := poisson(s.rng, s.rate*day*slotLength.Seconds()*math.Exp(0.08*s.wander))
	ob := Observation{Ref: entity.Ref{Service: service, Environment: "production"}, Operation: op, Requests: float64(n)}
	bad := s.errors * s.rng.ExpFloat64() // bursts: geometric rather than Poisson
	var seconds []float64
	level := s.median * math.Exp(0.1*s.slow)
	if s.rng.Float64() < 0.001 {
		level *= 3 // a pause that slows the whole slot
	}
	for range n {
		if s.rng.Float64() < bad {
			ob.Failed++
		}
		seconds = append(seconds, level*math.Exp(0.5*s.rng.NormFloat64()))
	}
	ob.Latency = histogramOf(seconds)
	return ob
}

func poisson(rng *rand.Rand, mean float64) int {
	n, sum := 0, rng.ExpFloat64()
	for sum < mean {
		n++
		sum += rng.ExpFloat64()
	}
	return n
}

func histogramOf(seconds []float64) *judge.Histogram {
	h := &judge.Histogram{Schema: layout}
	var counts [indexes]float64
	for _, x := range seconds {
		i := int(math.Ceil(math.Log2(x)*(1<<layout))) - lowestIndex
		counts[min(max(i, 0), indexes-1)]++
		h.Sum += x
		h.Count++
	}
	for i, c := range counts {
		if c > 0 {
			h.Buckets = append(h.Buckets, judge.Bucket{Index: i + lowestIndex, Count: c})
		}
	}
	return h
}

func newDetector(t testing.TB, o Options) *Detector {
	t.Helper()
	d, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// feed feeds one operation for so long from a time on and returns the events.
func feed(d *Detector, s *shop, from time.Time, lasts time.Duration) (events []problem.Event, until time.Time) {
	t := from
	for ; t.Sub(from) < lasts; t = t.Add(slotLength) {
		events = append(events, d.Observe(t.Add(slotLength), slotLength, []Observation{s.slot(t, "checkout", "POST /pay")})...)
	}
	return events, t
}

// first returns the first event with the signal.
func first(t *testing.T, events []problem.Event, signal problem.Signal) problem.Event {
	t.Helper()
	i := slices.IndexFunc(events, func(e problem.Event) bool { return e.Signal == signal })
	if i < 0 {
		t.Fatalf("no event %s among %d events", signal, len(events))
	}
	return events[i]
}

// none fails when anything was raised that opens a problem.
func none(t *testing.T, events []problem.Event) {
	t.Helper()
	for _, e := range events {
		t.Errorf("raised %s of %s %s: %s %s (start %s)", e.Signal, e.Service, e.Operation, e.Title, e.Why, e.Start)
	}
}
