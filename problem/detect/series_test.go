package detect

import (
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/tidegate-io/tidegate/problem"
)

// tide is a series with a day, a weekend and noise.
type tide struct {
	rng *rand.Rand
	at  time.Time
}

const tideStep = 5 * time.Minute

func (d *tide) next() (time.Time, float64) {
	d.at = d.at.Add(tideStep)
	day := 1 - 0.6*math.Cos(2*math.Pi*float64(d.at.Unix()%86400)/86400)
	if wd := d.at.Weekday(); wd == time.Saturday || wd == time.Sunday {
		day *= 0.9
	}
	return d.at, 100*day + 4*d.rng.NormFloat64()
}

// watch feeds the tide for so long, changed by f.
func (d *tide) watch(det *Detector, lasts time.Duration, f func(v float64) float64) (events []problem.Event) {
	for n := lasts / tideStep; n > 0; n-- {
		at, v := d.next()
		events = append(events, det.ObserveSeries(Series{Name: "orders", Unit: "/min"}, at, tideStep, f(v))...)
	}
	return events
}

func same(v float64) float64 { return v }

const day = 24 * time.Hour

func newTide(seed uint64) *tide { return &tide{rand.New(rand.NewPCG(seed, 7)), begin} }

// TestSeriesCalm: three weeks of tides raise nothing, from the first day on.
func TestSeriesCalm(t *testing.T) {
	for seed := range uint64(5) {
		d := newDetector(t, Options{})
		none(t, newTide(seed).watch(d, 21*day, same))
	}
}

// TestSeriesSpike: a spike is one event, from its first value to its last.
func TestSeriesSpike(t *testing.T) {
	d, s := newDetector(t, Options{}), newTide(1)
	none(t, s.watch(d, 3*day, same))
	before := s.at
	events := s.watch(d, 30*time.Minute, func(v float64) float64 { return v + 500 })
	e := first(t, events, problem.SignalSeries)
	if !e.Start.Equal(before) || e.Detected.Sub(before) != tideStep || e.Observed < 200 || e.Expected > 200 || e.Title == "" {
		t.Errorf("start %s, detected %s, observed %v, expected %v", e.Start, e.Detected, e.Observed, e.Expected)
	}
	after := s.at
	events = s.watch(d, 3*time.Hour, same)
	if len(events) != 1 || events[0].ID != e.ID || !events[0].End.Equal(after) {
		t.Errorf("the end: %v", events)
	}
}

// TestSeriesSeason: the level of the night at noon is nothing special by
// itself, but it is at noon.
func TestSeriesSeason(t *testing.T) {
	d, s := newDetector(t, Options{}), newTide(2)
	none(t, s.watch(d, 21*day+12*time.Hour, same))
	events := s.watch(d, 30*time.Minute, func(float64) float64 { return 45 })
	if e := first(t, events, problem.SignalSeries); e.Expected < 120 {
		t.Errorf("expected %v at noon", e.Expected)
	}
}

// TestSeriesSide: only the side that is worse counts.
func TestSeriesSide(t *testing.T) {
	for _, c := range []struct {
		worse Worse
		by    float64
		want  bool
	}{{WorseUp, 300, true}, {WorseUp, -300, false}, {WorseDown, -300, true}, {WorseDown, 300, false}} {
		d, s := newDetector(t, Options{}), newTide(3)
		for n := 3 * day / tideStep; n > 0; n-- {
			at, v := s.next()
			d.ObserveSeries(Series{Name: "x", Worse: c.worse}, at, tideStep, v)
		}
		at, v := s.next()
		if got := len(d.ObserveSeries(Series{Name: "x", Worse: c.worse}, at, tideStep, v+c.by)) > 0; got != c.want {
			t.Errorf("worse %s, by %v: raised %v", c.worse, c.by, got)
		}
	}
}

// TestSeriesNewLevel: a level that stays is the norm after Accept.
func TestSeriesNewLevel(t *testing.T) {
	d, s := newDetector(t, Options{}), newTide(4)
	none(t, s.watch(d, 4*day, same))
	up := func(v float64) float64 { return v + 400 }
	events := s.watch(d, 25*time.Hour, up)
	if first(t, events, problem.SignalSeries); events[len(events)-1].Open() || len(d.Open()) != 0 {
		t.Fatal("still open after Accept")
	}
	none(t, s.watch(d, 2*day, up))
}

// TestSeriesNoData: values that stop coming are an event; a hole is none.
func TestSeriesNoData(t *testing.T) {
	d, s := newDetector(t, Options{}), newTide(5)
	none(t, s.watch(d, 2*day, same))
	missingValue := func(float64) float64 { return math.NaN() }
	none(t, s.watch(d, 5*tideStep, missingValue))
	none(t, s.watch(d, time.Hour, same))
	events := s.watch(d, 2*time.Hour, missingValue)
	if e := first(t, events, problem.SignalNoData); e.Detected.Sub(e.Start) != missing*tideStep {
		t.Errorf("%d events", len(events))
	}
	if events = s.watch(d, time.Hour, same); len(events) != 1 || events[0].Open() {
		t.Errorf("the end: %v", events)
	}
}

// TestSeriesFine: at fine steps one value is not enough.
func TestSeriesFine(t *testing.T) {
	d := newDetector(t, Options{TrafficWarmup: 10 * time.Minute})
	rng := rand.New(rand.NewPCG(1, 1))
	at := begin
	next := func(v float64) []problem.Event {
		at = at.Add(5 * time.Second)
		return d.ObserveSeries(Series{Name: "cpu"}, at, 5*time.Second, v+rng.NormFloat64())
	}
	for range 1000 {
		none(t, next(50))
	}
	for range 5 {
		none(t, next(500))
	}
	none(t, next(50))
	for range 5 {
		none(t, next(500))
	}
	if first(t, next(500), problem.SignalSeries).Detected != at.UTC() {
		t.Error("detected at another time")
	}
}

// TestSeriesLimits: names and numbers are bounded; a constant that changes is
// noticed.
func TestSeriesLimits(t *testing.T) {
	d := newDetector(t, Options{MaxSeries: 1})
	for i := range 60 {
		at := begin.Add(time.Duration(i) * time.Hour)
		none(t, d.ObserveSeries(Series{Name: "a"}, at, time.Hour, 3))
		none(t, d.ObserveSeries(Series{Name: "b"}, at, time.Hour, math.Inf(1)))
		none(t, d.ObserveSeries(Series{}, at, time.Hour, 1))
	}
	if len(d.series) != 1 {
		t.Errorf("%d series, the limit is 1", len(d.series))
	}
	if e := d.ObserveSeries(Series{Name: "a"}, begin.Add(61*time.Hour), time.Hour, 4); len(e) != 1 {
		t.Errorf("a constant changed: %v", e)
	}
	if e := d.ForgetSeries("a"); len(e) != 1 || e[0].Open() {
		t.Errorf("forgotten: %v", e)
	}
}

// TestTails: the rarity of a value of an exponential tail is right within the
// error of the estimate, and a few wild values do not change it.
func TestTails(t *testing.T) {
	rng := rand.New(rand.NewPCG(2, 2))
	var clean, dirty tails
	for i := range 1000 {
		v := rng.ExpFloat64()
		clean.add(v, 1000)
		if i%33 == 0 {
			v += 1000
		}
		dirty.add(v, 1000)
	}
	clean.learn(1e-6)
	dirty.learn(1e-6)
	// P(X > 9) = exp(−9).
	if up, down := clean.rarity(9); math.Abs(up-9) > 1.2 || down != 0 {
		t.Errorf("rarity %v, %v of a value with 9", up, down)
	}
	if up, _ := dirty.rarity(20); up < 12 {
		t.Errorf("with three wild values in a hundred the rarity of 20 is %v", up)
	}
	if _, down := clean.rarity(-1); down < 3 {
		t.Errorf("rarity of a negative value is %v", down)
	}
	small := tails{}
	for range 5 {
		small.add(1, 3)
	}
	if small.learn(0); len(small.Values) != 3 || small.middle() != 1 {
		t.Errorf("%v", small.Values)
	}
}

// TestSeriesRecurring: what comes again and again is how it is, and events that
// come again soon are one.
func TestSeriesRecurring(t *testing.T) {
	d, s := newDetector(t, Options{}), newTide(6)
	none(t, s.watch(d, 3*day, same))
	n := 0
	often := func(v float64) float64 {
		if n++; n%6 == 0 {
			return v + 600
		}
		return v
	}
	ids := map[string]bool{}
	for _, e := range s.watch(d, 7*day, often) {
		ids[e.ID] = true
	}
	if len(ids) == 0 || len(ids) > 40 {
		t.Errorf("%d events of a spike that comes twice an hour for a week", len(ids))
	}
	none(t, s.watch(d, 7*day, often))
}
