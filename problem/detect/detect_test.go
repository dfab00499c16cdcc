package detect

import (
	"fmt"
	"math"
	"testing"
	"time"

	"github.com/tidegate-io/tidegate/entity"
	"github.com/tidegate-io/tidegate/problem"
)

// TestHealthy runs a day of a healthy shop, with all that makes it look less
// than healthy: nothing is raised.
func TestHealthy(t *testing.T) {
	d := newDetector(t, Options{})
	var shops []*shop
	for i, rate := range []float64{5, 12, 25} {
		s := newShop(uint64(i+1), rate)
		s.daily = 0.5
		shops = append(shops, s)
	}
	for at := begin; at.Sub(begin) < 26*time.Hour; at = at.Add(slotLength) {
		var batch []Observation
		for i, s := range shops {
			batch = append(batch, s.slot(at, "shop", fmt.Sprint("GET /", i)))
		}
		none(t, d.Observe(at.Add(slotLength), slotLength, batch))
	}
}

// TestFirstHalfHour starts many shops: nothing is raised while they are new.
func TestFirstHalfHour(t *testing.T) {
	for seed := range uint64(16) {
		d := newDetector(t, Options{})
		events, _ := feed(d, newShop(100+seed, 20+float64(seed%4)*10), begin, 30*time.Minute)
		none(t, events)
	}
}

// TestErrorsWithinSeconds breaks half of the requests at 20 a second, at any
// moment of a slot: it takes no more than 8 seconds of data, and the onset is
// known to a slot or two.
func TestErrorsWithinSeconds(t *testing.T) {
	for _, after := range []time.Duration{2 * time.Minute, 20 * time.Minute} {
		worst := time.Duration(0)
		for seed := range uint64(30) {
			d := newDetector(t, Options{})
			s := newShop(200+seed, 20)
			healthy, at := feed(d, s, begin, after)
			none(t, healthy)
			// The slot in which it begins is bad for its later part only.
			part := float64(seed%10) / 10
			onset := at.Add(time.Duration(part * float64(slotLength)))
			s.errors = 0
			mixed := s.slot(at, "checkout", "POST /pay")
			mixed.Failed = math.Round(mixed.Requests * (1 - part) / 2)
			events := d.Observe(at.Add(slotLength), slotLength, []Observation{mixed})
			for len(events) == 0 && at.Sub(onset) < time.Minute {
				at = at.Add(slotLength)
				ob := s.slot(at, "checkout", "POST /pay")
				ob.Failed = float64(poisson(s.rng, ob.Requests/2))
				ob.Failed = min(ob.Failed, ob.Requests)
				events = d.Observe(at.Add(slotLength), slotLength, []Observation{ob})
			}
			e := first(t, events, problem.SignalErrors)
			worst = max(worst, e.Detected.Sub(onset))
			if off := e.Start.Sub(onset).Abs(); off > 2*slotLength {
				t.Errorf("seed %d: the onset %s is off by %s", seed, onset, off)
			}
			if e.Observed < 0.25 || e.Observed > 0.7 || e.Expected > 0.01 || e.EValue < 1e6 || e.Affected < minBad {
				t.Errorf("seed %d: observed %v, expected %v, evidence %v, affected %v", seed, e.Observed, e.Expected, e.EValue, e.Affected)
			}
		}
		t.Logf("after %s: found within %s at worst", after, worst)
		if worst > 8*time.Second {
			t.Errorf("after %s: found only after %s", after, worst)
		}
	}
}

// TestColdErrors: a service that fails half of its requests from the first
// moment on is found, though nothing is known of it.
func TestColdErrors(t *testing.T) {
	d := newDetector(t, Options{})
	s := newShop(3, 20)
	for at := begin; len(d.Open()) == 0; at = at.Add(slotLength) {
		ob := s.slot(at, "checkout", "POST /pay")
		ob.Failed = math.Round(ob.Requests / 2)
		for _, e := range d.Observe(at.Add(slotLength), slotLength, []Observation{ob}) {
			if e.Signal != problem.SignalErrors {
				t.Errorf("event %s", e.Signal)
			}
		}
		if at.Sub(begin) > 8*time.Second {
			t.Fatal("not found within 8 seconds")
		}
	}
}

// TestSignals: each kind of change is found by its own test and by no other
// that would open a problem, has one ID, and ends once when it is over.
func TestSignals(t *testing.T) {
	warm := Options{TrafficWarmup: 10 * time.Minute}
	for _, c := range []struct {
		name   string
		change func(s *shop)
		want   []problem.Signal
		within time.Duration
		seen   func(e problem.Event) bool
	}{
		{"slow", func(s *shop) { s.median *= 3 }, []problem.Signal{problem.SignalLatency, problem.SignalSlowest}, 20 * time.Second,
			func(e problem.Event) bool { return e.Observed > 0.08 && e.Expected < 0.12 }},
		{"drop", func(s *shop) { s.rate *= 0.1 }, []problem.Signal{problem.SignalTrafficDrop}, time.Minute,
			func(e problem.Event) bool { return e.Observed < 15 && e.Expected > 25 }},
		{"none", func(s *shop) { s.rate = 0 }, []problem.Signal{problem.SignalNoData}, time.Minute,
			func(e problem.Event) bool { return e.Observed == 0 && e.Affected > 500 }},
		{"surge", func(s *shop) { s.rate *= 6 }, []problem.Signal{problem.SignalTrafficSurge}, time.Minute,
			func(e problem.Event) bool { return e.Informational && e.Observed > 120 }},
		{"few errors", func(s *shop) { s.errors = 0.06 }, []problem.Signal{problem.SignalErrors}, 2 * time.Minute,
			func(e problem.Event) bool { return e.Observed > 0.02 && e.Observed < 0.15 }},
	} {
		t.Run(c.name, func(t *testing.T) {
			d := newDetector(t, warm)
			s := newShop(17, 30)
			healthy, at := feed(d, s, begin, 30*time.Minute)
			none(t, healthy)
			before := *s
			c.change(s)
			events, end := feed(d, s, at, 4*time.Minute)
			ids := map[problem.Signal]string{}
			for _, e := range events {
				if ids[e.Signal] == "" {
					ids[e.Signal] = e.ID
					if e.Detected.Sub(at) > c.within {
						t.Errorf("%s: found after %s", e.Signal, e.Detected.Sub(at))
					}
				}
				if ids[e.Signal] != e.ID || !e.Open() || e.Title == "" || e.Why == "" || e.Query == "" || e.Severity == "" {
					t.Errorf("event %+v", e)
				}
			}
			for _, signal := range c.want {
				if ids[signal] == "" {
					t.Errorf("no event %s", signal)
				}
			}
			if len(ids) != len(c.want) {
				t.Errorf("signals %v, want %v", ids, c.want)
			}
			if len(events) == 0 || !c.seen(events[len(events)-1]) {
				t.Fatalf("last %+v", events)
			}
			open := d.Open()
			if len(open) != len(c.want) {
				t.Errorf("open %+v", open)
			}
			s.rate, s.median, s.errors = before.rate, before.median, before.errors
			events, _ = feed(d, s, end, 30*time.Minute)
			over := 0
			for _, e := range events {
				if ids[e.Signal] != e.ID {
					t.Errorf("another event after the end: %+v", e)
				}
				if !e.Open() {
					over++
					if late := e.End.Sub(end).Abs(); late > 10*time.Second {
						t.Errorf("%s: ended at %s, it was over at %s", e.Signal, e.End, end)
					}
				}
			}
			if over != len(c.want) || len(d.Open()) != 0 {
				t.Errorf("%d events ended, want %d", over, len(c.want))
			}
		})
	}
}

// TestNewNorm: what lasts for longer than Accept is how it is; the old level is
// then no event either.
func TestNewNorm(t *testing.T) {
	d := newDetector(t, Options{Accept: 20 * time.Minute})
	s := newShop(5, 30)
	_, at := feed(d, s, begin, 15*time.Minute)
	s.errors = 0.3
	events, at := feed(d, s, at, 21*time.Minute)
	last := events[len(events)-1]
	if last.Open() || len(d.Open()) != 0 {
		t.Fatalf("still open after Accept: %+v", last)
	}
	events, _ = feed(d, s, at, 30*time.Minute)
	none(t, events)
}

// TestServiceOnce: many operations too rare to be judged alone make an event of
// their service; one that is found by itself makes no second one.
func TestServiceOnce(t *testing.T) {
	d := newDetector(t, Options{})
	var shops []*shop
	for i := range 20 {
		shops = append(shops, newShop(uint64(i+50), 0.3))
	}
	slot := func(at time.Time) []problem.Event {
		var batch []Observation
		for i, s := range shops {
			batch = append(batch, s.slot(at, "search", fmt.Sprint("GET /", i)))
		}
		return d.Observe(at.Add(slotLength), slotLength, batch)
	}
	at := begin
	for ; at.Sub(begin) < 10*time.Minute; at = at.Add(slotLength) {
		none(t, slot(at))
	}
	for _, s := range shops {
		s.errors = 0.5
	}
	var events []problem.Event
	for ; len(events) == 0 && at.Sub(begin) < 12*time.Minute; at = at.Add(slotLength) {
		events = slot(at)
	}
	e := first(t, events, problem.SignalErrors)
	if e.Operation != "" || e.Service != "search" || e.Detected.Sub(begin) > 10*time.Minute+20*time.Second {
		t.Errorf("event %+v", e)
	}
}

// TestGap: after slots that are missing, suspicion begins anew, and what is
// usual is still known.
func TestGap(t *testing.T) {
	d := newDetector(t, Options{TrafficWarmup: time.Minute})
	s := newShop(9, 30)
	_, at := feed(d, s, begin, 10*time.Minute)
	at = at.Add(6 * time.Hour)
	events, at := feed(d, s, at, 10*time.Minute)
	none(t, events)
	s.errors = 0.5
	events, _ = feed(d, s, at, 20*time.Second)
	first(t, events, problem.SignalErrors)
}

// TestBadInput: what makes no sense is left out.
func TestBadInput(t *testing.T) {
	d := newDetector(t, Options{MaxOperations: 4})
	ref := entity.Ref{Service: "a"}
	batch := []Observation{
		{Ref: ref, Operation: "x", Requests: math.NaN()},
		{Ref: ref, Operation: "x", Requests: 1, Failed: math.Inf(1)},
		{Ref: ref, Operation: "x", Requests: -1},
		{Operation: "x", Requests: 5},
		{Ref: ref, Requests: 5},
	}
	d.Observe(begin, slotLength, batch)
	if n := len(d.operations); n != 0 {
		t.Errorf("%d operations", n)
	}
	for i := range 10 {
		d.Observe(begin.Add(time.Duration(i+1)*slotLength), slotLength, []Observation{{Ref: ref, Operation: fmt.Sprint(i), Requests: 1}})
	}
	if n := len(d.operations); n > 4 {
		t.Errorf("%d operations are watched, the limit is 4", n)
	}
	last := d.Last()
	if d.Observe(begin, slotLength, batch); d.Last() != last {
		t.Error("an old slot was taken again")
	}
	if d.Observe(begin.Add(-2*time.Hour), slotLength, batch); d.Last() == last {
		t.Error("after the clock was set back nothing is observed any more")
	}
	if _, err := New(Options{Quiet: -1}); err == nil {
		t.Error("a negative duration was accepted")
	}
}

// TestForgets: what has not been seen for long takes no room.
func TestForgets(t *testing.T) {
	d := newDetector(t, Options{Forget: time.Hour})
	_, at := feed(d, newShop(1, 10), begin, time.Minute)
	d.Observe(at.Add(2*time.Hour), slotLength, nil)
	if len(d.operations)+len(d.services) != 0 {
		t.Errorf("%d operations, %d services", len(d.operations), len(d.services))
	}
}

// TestSnapshot: a detector that is restored goes on where the other one was.
func TestSnapshot(t *testing.T) {
	one := newDetector(t, Options{})
	s := newShop(4, 30)
	_, at := feed(one, s, begin, 15*time.Minute)
	s.errors = 0.4
	events, at := feed(one, s, at, time.Minute)
	id := first(t, events, problem.SignalErrors).ID
	for k := range 80 {
		one.ObserveSeries(Series{Name: "queue"}, begin.Add(time.Duration(k)*time.Hour), time.Hour, float64(k%7))
	}
	data, err := one.Snapshot()
	if err != nil {
		t.Fatal(err)
	}
	two := newDetector(t, Options{})
	if err := two.Restore(data); err != nil {
		t.Fatal(err)
	}
	if open := two.Open(); len(open) != 1 || open[0].ID != id {
		t.Fatalf("open after the restart: %+v", open)
	}
	if !two.Last().Equal(at) {
		t.Errorf("last slot %s, want %s", two.Last(), at)
	}
	if e := two.ObserveSeries(Series{Name: "queue"}, begin.Add(81*time.Hour), time.Hour, 500); len(e) != 1 {
		t.Errorf("a restored series raised %+v", e)
	}
	// No warm-up again: latency is judged at once. The event goes on.
	s.errors, s.median = 0.002, 0.4
	events, _ = feed(two, s, at, time.Minute)
	first(t, events, problem.SignalLatency)
	if e := first(t, events, problem.SignalErrors); e.ID != id {
		t.Errorf("another id after the restart")
	}
	again, err := two.Snapshot()
	if err != nil || len(again) == 0 {
		t.Fatal(err)
	}
}

func FuzzRestore(f *testing.F) {
	d := newDetector(f, Options{})
	feed(d, newShop(1, 5), begin, 20*time.Second)
	data, err := d.Snapshot()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(data)
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, data []byte) {
		d := newDetector(t, Options{})
		if d.Restore(data) == nil {
			feed(d, newShop(2, 5), d.Last().Add(time.Second), 10*time.Second)
		}
	})
}

// BenchmarkTick is one slot of 5,000 operations of 100 services.
func BenchmarkTick(b *testing.B) {
	d := newDetector(b, Options{})
	s := newShop(1, 20)
	batches := make([][]Observation, 8)
	for k := range batches {
		for i := range 5000 {
			batches[k] = append(batches[k], s.slot(begin, fmt.Sprint("service-", i%100), fmt.Sprint("GET /", i)))
		}
	}
	at := begin
	tick := func() {
		at = at.Add(slotLength)
		d.Observe(at, slotLength, batches[at.Unix()/2%8])
	}
	for range 100 {
		tick()
	}
	for b.Loop() {
		tick()
	}
	b.StopTimer()
	data, err := d.Snapshot()
	if err != nil {
		b.Fatal(err)
	}
	b.ReportMetric(float64(len(data))/5000, "snapshot-B/operation")
}

// TestTrafficSeason: five days of tides in traffic raise nothing; as few
// requests at noon as at night are a drop, found within a minute or so.
func TestTrafficSeason(t *testing.T) {
	d := newDetector(t, Options{})
	s := newShop(12, 20)
	s.daily = 0.8
	slot := func(at time.Time, factor float64) []problem.Event {
		day := 1 - s.daily*math.Cos(2*math.Pi*float64(at.Unix()%86400)/86400)
		n := poisson(s.rng, factor*s.rate*day*slotLength.Seconds())
		var batch []Observation
		if n > 0 {
			batch = []Observation{{Ref: entity.Ref{Service: "web"}, Operation: "GET /", Requests: float64(n)}}
		}
		return d.Observe(at.Add(slotLength), slotLength, batch)
	}
	at := begin
	for ; at.Sub(begin) < 4*24*time.Hour+12*time.Hour; at = at.Add(slotLength) {
		none(t, slot(at, 1))
	}
	noon := at
	var events []problem.Event
	for ; len(events) == 0 && at.Sub(noon) < 5*time.Minute; at = at.Add(slotLength) {
		events = slot(at, 0.15)
	}
	e := first(t, events, problem.SignalTrafficDrop)
	if e.Detected.Sub(noon) > 90*time.Second || e.Expected < 30 || e.Expected > 42 {
		t.Errorf("found after %s, expected %v req/s", e.Detected.Sub(noon), e.Expected)
	}
}
