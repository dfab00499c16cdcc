package detect

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"math"
	"time"

	"github.com/tidegate-io/tidegate/problem"
)

// ongoing is an event that lasts.
type ongoing struct {
	Event  problem.Event
	Raised time.Time // last
	Recent float64   // average of what was seen in the last slots
	// Back is the evidence that all is as usual again (logarithm, a CUSUM),
	// and BackSince when it began to grow.
	Back      float64
	BackSince time.Time
	Seen      time.Time // the last slot with a request
	Bad       share     // of the last hours: the norm to be
	Latency   latencies // since it was raised
}

const (
	recentSlots  = 8
	backEvidence = 7   // log(1000), nearly
	backSlots    = 2.9 // no slot gives more than such a part of it
	// expiry is after how long an event is over that nobody raises again, as
	// when what was learned is lost in a restart.
	expiry     = 30 * time.Minute
	mostEValue = 1e15
)

var signals = [tests]problem.Signal{
	problem.SignalErrors, problem.SignalLatency, problem.SignalSlowest, problem.SignalTrafficDrop, problem.SignalTrafficSurge,
}

// raise begins an event: the test is certain enough, by the given alternative.
func (s *slot) raise(o *operation, id int, best *run, r *reading) {
	start := time.UnixMilli(best.since).UTC()
	e := problem.Event{
		Source: "detector", Signal: signals[id], Ref: o.ref(), Operation: o.Operation,
		Start: start, Detected: s.end.UTC(),
	}
	// Nothing at all since the onset is not fewer requests but none.
	if id == testDrop && best.total == 0 {
		e.Signal = problem.SignalNoData
	}
	e.ID = eventID(o.Service, o.Environment, o.Operation, string(signals[id]), start)
	e.Affected, e.Requests = best.bad, best.total
	t := &o.Tests[id]
	t.Open = &ongoing{Event: e, Seen: s.end, Recent: r.seen(id)}
	t.Open.Bad = share{best.bad, best.total}
	if t.Open.isLatency() {
		t.Open.add(o)
	}
	s.say(o, id, r)
}

// eventID is the same for the same symptom with the same onset.
func eventID(parts ...any) string {
	h := sha256.Sum256(fmt.Appendf(nil, "%q", parts))
	return "detector-" + hex.EncodeToString(h[:8])
}

// follow keeps an event up to date, and ends it.
func (s *slot) follow(o *operation, id int, r *reading) {
	t := &o.Tests[id]
	g := t.Open
	if s.gap {
		g.Back = 0
	}
	share := id != testDrop && id != testSurge
	if r.total > 0 {
		g.Seen = s.end
	}
	if r.total > 0 || !share {
		g.Event.Affected += r.bad
		g.Event.Requests += r.total
		g.Bad.learn(r.bad, r.total, s.step())
		if g.isLatency() {
			g.add(o)
		}
		s.weighBack(g, id, r)
	}
	switch {
	case g.Back >= backEvidence && s.end.Sub(g.BackSince) >= s.opts.Quiet:
		s.finish(o, id, r, g.BackSince, "It is as usual again.")
	case share && s.end.Sub(g.Seen) >= silence:
		s.finish(o, id, r, g.Seen, "There are no more requests.")
	case s.end.Sub(g.Event.Detected) >= s.opts.Accept:
		o.accept(id, g)
		s.finish(o, id, r, s.end, fmt.Sprintf("It has been so for %s: this is the norm now.", inDays(s.opts.Accept)))
	case s.end.Sub(g.Raised) >= s.opts.Refresh:
		s.say(o, id, r)
	}
}

// weighBack adds one slot to the evidence that it is over.
func (s *slot) weighBack(g *ongoing, id int, r *reading) {
	llr := min(r.back(g.Recent), backEvidence/backSlots)
	g.Recent += (r.seen(id) - g.Recent) / recentSlots
	if g.Back == 0 {
		g.BackSince = s.start
	}
	g.Back = min(max(0, g.Back+llr), 2*backEvidence)
}

func (s *slot) finish(o *operation, id int, r *reading, at time.Time, why string) {
	t := &o.Tests[id]
	t.Open.Event.End = at.UTC()
	s.say(o, id, r)
	last := &s.events[len(s.events)-1]
	last.Why += " " + why
	t.Open = nil
	t.evidence.reset()
}

// accept makes the norm of what was an event.
func (o *operation) accept(id int, g *ongoing) {
	switch id {
	case testErrors:
		o.Errors = g.Bad
	case testLatency, testSlowest:
		o.Latency, o.Median = latencies{}, season{}
	default:
		o.Traffic = traffic{Season: o.Traffic.Season}
	}
	o.Tests[id].Dispersion = dispersion{}
}

func (g *ongoing) isLatency() bool {
	return g.Event.Signal == problem.SignalLatency || g.Event.Signal == problem.SignalSlowest
}

func (g *ongoing) add(o *operation) {
	for _, h := range o.slotLatency {
		g.Latency.add(h, 0)
	}
}

// say returns the event with its figures of now.
func (s *slot) say(o *operation, id int, r *reading) {
	g := o.Tests[id].Open
	g.Raised = s.end
	e := &g.Event
	e.EValue = min(o.Tests[id].evidence.value(), mostEValue)
	lasted := max(s.seconds, s.end.Sub(e.Start).Seconds())
	switch id {
	case testErrors:
		e.Observed, e.Expected, e.Unit = e.Affected/max(1, e.Requests), r.usual, "ratio"
	case testLatency:
		e.Observed, e.Expected, e.Unit = secondsAt(g.Latency.quantile(0.5)), r.usual, "s"
	case testSlowest:
		e.Observed, e.Expected, e.Unit = secondsAt(g.Latency.quantile(0.9)), r.usual, "s"
	default:
		e.Observed, e.Expected, e.Unit = e.Requests/lasted, r.usual, "req/s"
	}
	e.Expires = s.end.Add(expiry).UTC()
	e.Affected, e.Requests = math.Round(e.Affected*100)/100, math.Round(e.Requests*100)/100
	describe(e)
	s.events = append(s.events, *e)
}
