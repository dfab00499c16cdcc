package detect

import (
	"math"
	"time"

	"github.com/tidegate-io/tidegate/problem"
)

// How much of the threshold one slot may give, at most: of failures it takes
// three slots, of latencies five, since pauses of some seconds are part of
// life, of traffic fifteen.
const (
	errorSlots   = 2.9
	latencySlots = 4.9
	trafficSlots = 14.5
)

// minBad is the least number of requests that must be bad, or missing.
const minBad = 5

// silence is after how long without a request nobody is hurt any more.
const silence = 5 * time.Minute

// slot is one slot while it is judged.
type slot struct {
	start, end time.Time
	seconds    float64
	gap        bool // slots before it are missing
	threshold  float64
	opts       *Options

	events  []problem.Event
	scratch latencies
}

func (s *slot) step() time.Duration { return s.end.Sub(s.start) }

// perSlot is what one slot may give, so that with no evidence but for one
// alternative it takes more than so many.
func (s *slot) perSlot(slots float64) float64 { return (s.threshold + math.Log(alternatives)) / slots }

// judge runs all tests of an operation and learns. Where shown, another event
// tells the same: none is raised.
func (s *slot) judge(o *operation, shown [tests]bool) {
	if s.gap {
		for t := range o.Tests {
			o.Tests[t].evidence.reset()
		}
	}
	if o.slotRequests > 0 {
		o.Busy += s.step()
	}
	s.judgeErrors(o, shown[testErrors])
	s.judgeLatency(o, shown)
	s.judgeTraffic(o, shown)
	o.slotRequests, o.slotFailed = 0, 0
	clear(o.slotLatency)
	o.slotLatency = o.slotLatency[:0]
}

func (s *slot) judgeErrors(o *operation, shown bool) {
	t := &o.Tests[testErrors]
	usual, limit := o.usualErrors()
	bad, total := o.slotFailed, o.slotRequests
	phi := t.Dispersion.phi()
	s.weigh(o, testErrors, shown, reading{
		bad: bad, total: total, usual: usual, limit: limit,
		llr:  shareRatios(bad, total, limit, phi),
		back: func(recent float64) float64 { return shareBack(bad, total, limit, recent, phi) },
		cap:  s.perSlot(errorSlots),
	})
	if s.learns(t, shown) {
		t.Dispersion.observe(bad-usual*total, total*usual*(1-usual))
		o.Errors.learn(bad, total, s.step())
	}
}

func (s *slot) judgeLatency(o *operation, shown [tests]bool) {
	move := o.seasonalMove(s.end)
	if o.Latency.N < warmRequests || o.Busy < s.opts.LatencyWarmup {
		s.learnLatency(o, move)
		return
	}
	learn := true
	for _, id := range [...]int{testLatency, testSlowest} {
		t := &o.Tests[id]
		phi := t.Dispersion.phi()
		slow := o.slow(id, move, phi)
		var bad, total float64
		for _, h := range o.slotLatency {
			b, n := countAbove(h, slow.position)
			bad, total = bad+b, total+n
		}
		s.weigh(o, id, shown[id], reading{
			bad: bad, total: total, usual: slow.expected, limit: slow.limit,
			llr:  shareRatios(bad, total, slow.limit, phi),
			back: func(recent float64) float64 { return shareBack(bad, total, slow.limit, recent, phi) },
			cap:  s.perSlot(latencySlots),
		})
		if !s.learns(t, shown[id]) {
			learn = false
			continue
		}
		t.Dispersion.observe(bad-slow.usual*total, total*slow.usual*(1-slow.usual))
	}
	if learn {
		s.learnLatency(o, move)
	}
}

func (s *slot) learnLatency(o *operation, move int) {
	if len(o.slotLatency) == 0 {
		return
	}
	now := &s.scratch
	now.clear()
	for _, h := range o.slotLatency {
		now.add(h, -move)
	}
	if now.N == 0 {
		return
	}
	o.Latency.learn(now, forgetting(s.step(), shareMemory))
	o.Median.observe(s.end, s.seconds, math.Log(secondsAt(now.quantile(0.5)+float64(move))))
}

func (s *slot) judgeTraffic(o *operation, shown [tests]bool) {
	drop, surge := &o.Tests[testDrop], &o.Tests[testSurge]
	usual, least, most := o.Traffic.expected(s.end)
	expected, got := usual*s.seconds, o.slotRequests
	if o.Traffic.Learned >= s.opts.TrafficWarmup && expected > 0 {
		phi := drop.Dispersion.phi()
		least, most = least*s.seconds, most*s.seconds
		s.weigh(o, testDrop, shown[testDrop], reading{
			bad: max(0, expected-got), total: got, usual: usual, limit: least,
			llr:  rateRatios(got, least, phi, &dropSteps),
			back: func(recent float64) float64 { return rateBack(got, least, (min(recent, 0.7*least)+least)/2, phi) },
			cap:  s.perSlot(trafficSlots),
		})
		s.weigh(o, testSurge, shown[testSurge], reading{
			bad: max(0, got-expected), total: got, usual: usual, limit: most,
			llr:  rateRatios(got, most, phi, &surgeSteps),
			back: func(recent float64) float64 { return rateBack(got, most, (max(recent, 1.5*most)+most)/2, phi) },
			cap:  s.perSlot(trafficSlots),
		})
	}
	if s.learns(drop, shown[testDrop]) && s.learns(surge, shown[testSurge]) {
		drop.Dispersion.observe(got-expected, expected)
		o.Traffic.learn(s.end, got, s.step())
	}
}

// learns reports whether the slot may be taken as usual: nothing is wrong, nor
// as suspicious as a single bad slot makes it.
func (s *slot) learns(t *test, shown bool) bool {
	return t.Open == nil && !shown && t.evidence.value() < math.Exp(s.threshold/4)
}

// reading is one slot as a test sees it.
type reading struct {
	bad, total   float64
	usual, limit float64
	llr          [alternatives]float64
	// back is the logarithm of the likelihood ratio of being at the limit
	// against halfway between the limit and what was seen recently.
	back func(recent float64) float64
	cap  float64
}

// seen is what recent averages: the share, or for traffic the count.
func (r *reading) seen(id int) float64 {
	if id == testDrop || id == testSurge {
		return r.total
	}
	return r.bad / r.total
}

// shareBack is for shares: bad of total, at the limit or at halfway.
func shareBack(bad, total, limit, recent, phi float64) float64 {
	half := min((max(recent, 1.5*limit)+limit)/2, (1+limit)/2)
	return (bad*math.Log(limit/half) + (total-bad)*math.Log((1-limit)/(1-half))) / phi
}

// rateBack is for counts.
func rateBack(count, limit, half, phi float64) float64 {
	return (count*math.Log(limit/half) - (limit - half)) / phi
}

// weigh adds the slot to the evidence of a test and raises, renews or ends its
// event.
func (s *slot) weigh(o *operation, id int, shown bool, r reading) {
	t := &o.Tests[id]
	if shown && t.Open == nil {
		t.evidence.reset()
		return
	}
	share := id != testDrop && id != testSurge
	if r.total > 0 || !share {
		t.evidence.step(s.start.UnixMilli(), &r.llr, r.cap, r.bad, r.total)
	}
	if t.Open != nil {
		s.follow(o, id, &r)
		return
	}
	if math.Log(t.evidence.value()) < s.threshold {
		return
	}
	if best := t.evidence.likeliest(); best.bad >= minBad {
		s.raise(o, id, best, &r)
	}
}
