package evidence

import (
	"context"
	"sort"
	"time"

	"github.com/tidegate-io/tidegate/entity"
	"github.com/tidegate-io/tidegate/telemetry"
)

const (
	maxSlow = 10
	// An operation is shown when it takes this much longer per request, and
	// this much of what all requests became slower by.
	slowAtLeast = 500 * time.Microsecond
	slowShare   = 0.05
)

// profile is where the time of many requests went.
type profile struct {
	requests int
	total    time.Duration
	longest  time.Duration
	self     map[call]time.Duration
	slowest  map[call][]slowExample
	refs     map[call]entity.Ref
}

type slowExample struct {
	self time.Duration
	Exemplar
}

func (p *profile) mean(d time.Duration) time.Duration {
	if p.requests == 0 {
		return 0
	}
	return d / time.Duration(p.requests)
}

// slow compares where the time of requests goes with where it went in the
// baseline. Requests that failed are left out on both sides: failing is often
// quick.
func (g *gathering) slow(ctx context.Context) {
	if g.Traces == nil {
		return // said already
	}
	now, err := g.profile(ctx, g.Target, g.Window)
	if err != nil {
		g.gap("slow requests could not be read", err)
		return
	}
	was, err := g.profile(ctx, g.BaselineTarget, g.Baseline)
	switch {
	case err != nil:
		g.gap("requests of the baseline could not be read", err)
		return
	case now.requests == 0:
		g.gap("no traces of successful requests to find slow calls in", nil)
		return
	case was.requests == 0:
		g.gap("no traces in the baseline to compare slow calls with", nil)
		return
	}
	g.out.Slow = slowPaths(now, was)
	g.slowOnset(ctx, now, was)
}

func (g *gathering) profile(ctx context.Context, target entity.Ref, in Interval) (*profile, error) {
	p := &profile{self: map[call]time.Duration{}, slowest: map[call][]slowExample{}, refs: map[call]entity.Ref{}}
	q := telemetry.TraceQuery{Ref: target, Operation: g.Operation, From: in.From, To: in.To, Limit: g.Limits.Passing}
	n := 0
	for t, err := range g.Traces.Traces(ctx, q) {
		if err != nil {
			return p, err
		}
		p.add(t, target, g.Operation)
		if n++; n == q.Limit {
			break
		}
	}
	return p, nil
}

func (p *profile) add(t *telemetry.Trace, target entity.Ref, operation string) {
	entry := requestEntry(t, target, operation)
	if entry == nil || entry.Failed() {
		return
	}
	p.requests++
	p.total += entry.Duration
	p.longest = max(p.longest, entry.Duration)
	spans := map[call]*telemetry.Span{}
	for i := range t.Spans {
		s := &t.Spans[i]
		spans[call{s.Service, s.Name}] = s
	}
	for c, d := range selfTimes(t, entry) {
		p.self[c] += d
		s := spans[c]
		p.refs[c] = s.Ref
		p.slowest[c] = keepSlowest(p.slowest[c], slowExample{self: d, Exemplar: Exemplar{
			TraceID: t.ID, SpanID: s.ID, Time: entry.Start, Duration: entry.Duration,
		}})
	}
}

func keepSlowest(list []slowExample, x slowExample) []slowExample {
	i := sort.Search(len(list), func(i int) bool { return list[i].self < x.self })
	if i == maxExemplars {
		return list
	}
	list = append(list, slowExample{})
	copy(list[i+1:], list[i:])
	list[i] = x
	return list[:min(len(list), maxExemplars)]
}

// slowPaths returns the operations that take longer than in the baseline.
func slowPaths(now, was *profile) []SlowPath {
	grown := now.mean(now.total) - was.mean(was.total)
	least := max(slowAtLeast, time.Duration(slowShare*float64(grown)))
	var out []SlowPath
	for c, d := range now.self {
		p := SlowPath{Service: c.service, Operation: c.operation, Candidate: now.mean(d), Baseline: was.mean(was.self[c])}
		if p.Candidate-p.Baseline < least {
			continue
		}
		for _, x := range now.slowest[c] {
			p.Exemplars = append(p.Exemplars, x.Exemplar)
		}
		out = append(out, p)
	}
	sort.Slice(out, func(i, j int) bool {
		a, b := out[i], out[j]
		if da, db := a.Candidate-a.Baseline, b.Candidate-b.Baseline; da != db {
			return da > db
		}
		return a.Service+a.Operation < b.Service+b.Operation
	})
	return out[:min(len(out), maxSlow)]
}

// slowOnset makes the slow calls a place for changes to be found at: since
// the first request that took longer than any of the baseline.
func (g *gathering) slowOnset(ctx context.Context, now, was *profile) {
	if len(g.out.Slow) == 0 || now.longest <= was.longest {
		return
	}
	q := telemetry.TraceQuery{
		Ref: g.Target, Operation: g.Operation, MinDuration: was.longest + 1,
		From: g.Window.From, To: g.Window.To,
	}
	start, err := earliest(ctx, g.Traces, q, g.Window.To)
	if err != nil {
		g.gap("the first slow request could not be found", err)
		return
	}
	if !start.Before(g.Window.To) {
		return
	}
	top := call{g.out.Slow[0].Service, g.out.Slow[0].Operation}
	gr := &group{
		origin: now.refs[top], started: start, slow: true,
		places: map[entity.Ref]bool{}, peers: map[string]bool{}, flags: map[string]entity.Ref{},
	}
	gr.Service, gr.Operation, gr.Share = top.service, top.operation, 1
	for _, s := range g.out.Slow {
		gr.places[now.refs[call{s.Service, s.Operation}]] = true
	}
	g.slowGroup = gr
}
