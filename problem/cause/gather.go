package cause

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/tidegate-io/tidegate/change"
	"github.com/tidegate-io/tidegate/entity"
	"github.com/tidegate-io/tidegate/evidence"
	"github.com/tidegate-io/tidegate/fault"
	"github.com/tidegate-io/tidegate/problem"
	"github.com/tidegate-io/tidegate/telemetry"
)

// SeriesQuery selects series.
type SeriesQuery struct {
	// Places are the services that are asked for. Series of other places,
	// machines for instance, are welcome when they may have to do with these.
	Places   []entity.Ref
	From, To time.Time
	Step     time.Duration
}

// SeriesReader reads measurements: of every service its requests, failures and
// mean latency a step, and whatever else is known of it (CPU, memory, pools).
type SeriesReader interface {
	Series(ctx context.Context, q SeriesQuery) ([]Series, error)
}

// GraphReader reads who called whom.
type GraphReader interface {
	Calls(ctx context.Context, environment string, from, to time.Time) ([]Call, error)
}

// Readers are where the input of a live problem comes from. Each may be nil:
// what it would have told is then missing.
type Readers struct {
	Traces  telemetry.TraceReader
	Logs    telemetry.LogReader
	Changes evidence.ChangeFinder
	Series  SeriesReader
	Graph   GraphReader
}

// How far Gather looks.
const (
	lookBack      = 2 * time.Hour    // series before the onset
	lookAfter     = 30 * time.Minute // and after it
	changesBefore = 24 * time.Hour
	seriesSlots   = 240 // before the onset
	slotsSoFar    = 4   // a problem that has just begun is looked at closely
	leastStep     = 5 * time.Second
	baselineFor   = 30 * time.Minute
	hops          = 4  // of calls from the symptoms
	maxPlaces     = 40 // whose series and logs are read
	small         = 15 // places of a system that is looked at as a whole
	maxTargets    = 3  // symptoms whose requests are looked at
)

// Gather reads what is known about the events of a problem: series, the
// service graph, failing and slow requests, log templates, and changes. The
// evidence is that of the symptom that hurts most, for people to look at. What
// cannot be read is left out and named in its gaps; when ctx ends before all is
// read, Gather returns what there is, with ctx's error.
func Gather(ctx context.Context, r Readers, events []problem.Event, now time.Time) (Input, *evidence.Evidence, error) {
	if len(events) == 0 {
		return Input{}, nil, fault.InvalidField("events", "expected at least one")
	}
	g := &gathering{Readers: r, in: Input{Now: now, Symptoms: events}, found: &evidence.Evidence{}}
	g.onset = slices.MinFunc(events, func(a, b problem.Event) int { return a.Start.Compare(b.Start) }).Start
	g.graph(ctx)
	g.places = g.near()
	g.series(ctx)
	g.began()
	g.changes(ctx)
	g.requests(ctx)
	if err := ctx.Err(); err != nil {
		g.gap("not everything could be looked at in time", nil)
		return g.in, g.found, err
	}
	return g.in, g.found, nil
}

type gathering struct {
	Readers
	in     Input
	found  *evidence.Evidence
	onset  time.Time
	places []entity.Ref
}

func (g *gathering) gap(what string, err error) {
	if err != nil {
		what += ": " + err.Error()
	}
	g.found.Gaps = append(g.found.Gaps, what)
}

func (g *gathering) graph(ctx context.Context) {
	if g.Graph == nil {
		g.gap("no service graph", nil)
		return
	}
	calls, err := g.Graph.Calls(ctx, g.in.Symptoms[0].Environment, g.onset.Add(-lookBack), g.in.Now)
	if err != nil {
		g.gap("the service graph could not be read", err)
	}
	g.in.Calls = calls[:min(len(calls), maxCalls)]
}

// near are the services with symptoms, what they call over a few hops, and
// what calls them.
func (g *gathering) near() []entity.Ref {
	var out []entity.Ref
	seen := map[entity.Ref]bool{}
	add := func(r entity.Ref) bool {
		r = place(r)
		if r.Service == "" || seen[r] || len(out) == maxPlaces {
			return false
		}
		seen[r] = true
		out = append(out, r)
		return true
	}
	for _, e := range g.in.Symptoms {
		add(e.Ref)
	}
	from := 0
	for range hops {
		to := len(out)
		for _, r := range out[from:to] {
			for _, c := range g.in.Calls {
				if place(c.Caller) == r {
					add(c.Callee)
				}
			}
		}
		from = to
	}
	for _, r := range slices.Clone(out) {
		for _, c := range g.in.Calls {
			if place(c.Callee) == r {
				add(c.Caller)
			}
		}
	}
	return g.all(out, add)
}

// all adds every other place of a system that is small enough to be looked at
// as a whole: not every call is traced.
func (g *gathering) all(near []entity.Ref, add func(entity.Ref) bool) []entity.Ref {
	every := map[entity.Ref]bool{}
	for _, c := range g.in.Calls {
		every[place(c.Caller)], every[place(c.Callee)] = true, true
	}
	if len(every) <= small {
		for _, r := range slices.SortedFunc(keys(every), byName) {
			if add(r) {
				near = append(near, r)
			}
		}
	}
	return near
}

func (g *gathering) series(ctx context.Context) {
	if g.Series == nil {
		g.gap("no metrics", nil)
		return
	}
	q := SeriesQuery{Places: g.places, To: g.in.Now}
	if late := g.onset.Add(lookAfter); q.To.After(late) {
		q.To = late
	}
	q.Step = min(max(q.To.Sub(g.onset)/slotsSoFar, leastStep), lookBack/seriesSlots).Round(time.Second)
	q.From = g.onset.Add(-min(lookBack, seriesSlots*q.Step))
	series, err := g.Series.Series(ctx, q)
	if err != nil {
		g.gap("metrics could not be read", err)
	}
	g.in.Series = series[:min(len(series), maxSeries)]
}

// began settles when it began: at the earliest clear shift of a series near the
// symptoms that lasts until they are seen. What comes after is compared with
// what was before that.
func (g *gathering) began() {
	w := newWorld(g.in)
	w.settleOnset()
	g.onset = w.onset
	for _, n := range w.nodes {
		if !n.involved() {
			continue
		}
		for _, m := range n.series {
			for _, s := range m.shifts {
				if w.realness(m, s) >= realWeak && s.z >= farOutside && w.lasts(m, s) && s.start.Before(g.onset) {
					g.onset = s.start
				}
			}
		}
	}
}

func (g *gathering) changes(ctx context.Context) {
	if g.Changes == nil {
		g.gap("no record of changes", nil)
		return
	}
	events, err := g.Changes.Events(ctx, change.Query{
		Kinds: []change.Kind{change.KindDeployment, change.KindFlag, change.KindConfiguration, change.KindAnnotation},
		From:  g.onset.Add(-changesBefore), To: g.in.Now, Limit: maxChanges,
	})
	if err != nil {
		g.gap("changes could not be read", err)
	}
	if len(events) == maxChanges {
		g.gap(fmt.Sprintf("only the latest %d changes were looked at", maxChanges), nil)
	}
	g.in.Changes = events
}

// requests looks at failing and slow requests and the logs, symptom by
// symptom, those that hurt most first.
func (g *gathering) requests(ctx context.Context) {
	if g.Traces == nil && g.Logs == nil {
		g.gap("no traces and no logs", nil)
		return
	}
	gaps := g.found.Gaps
	seen := map[string]bool{}
	for i, e := range g.targets() {
		req := evidence.Request{
			Target: place(e.Ref), Operation: e.Operation,
			Window:   evidence.Interval{From: g.onset.Add(-soon), To: g.in.Now},
			Baseline: evidence.Interval{From: g.onset.Add(-soon - baselineFor), To: g.onset.Add(-soon)},
			Slow:     e.Signal == problem.SignalLatency || e.Signal == problem.SignalSlowest,
			Traces:   g.Traces, Logs: g.Logs, Changes: g.Changes,
		}
		if i == 0 {
			req.Also = g.withSeries()
		}
		if !req.Window.To.After(req.Window.From) {
			req.Window.To = req.Window.From.Add(time.Second)
		}
		found, err := evidence.Gather(ctx, req)
		if found == nil {
			g.gap("requests could not be looked at", err)
			continue
		}
		if i == 0 {
			found.Gaps = append(gaps, found.Gaps...)
			g.found = found
		}
		g.keep(found, seen)
	}
}

// withSeries are the places near, and others that have series of their own.
func (g *gathering) withSeries() []entity.Ref {
	out := slices.Clone(g.places)
	for _, s := range g.in.Series {
		if r := place(s.Ref); len(out) < maxPlaces && !slices.Contains(out, r) {
			out = append(out, r)
		}
	}
	return out
}

// targets are the symptoms whose requests are looked at: one a place and
// operation, those with the most affected requests first.
func (g *gathering) targets() []problem.Event {
	var out []problem.Event
	list := slices.Clone(g.in.Symptoms)
	slices.SortStableFunc(list, func(a, b problem.Event) int {
		return cmp.Or(cmp.Compare(b.Affected, a.Affected), a.Start.Compare(b.Start), byName(a.Ref, b.Ref), cmp.Compare(a.Operation, b.Operation))
	})
	for _, e := range list {
		same := func(o problem.Event) bool { return place(o.Ref) == place(e.Ref) && o.Operation == e.Operation }
		if e.Service != "" && !slices.ContainsFunc(out, same) && len(out) < maxTargets {
			out = append(out, e)
		}
	}
	return out
}

// keep adds what was found that is not there already.
func (g *gathering) keep(found *evidence.Evidence, seen map[string]bool) {
	for _, f := range found.Failures {
		if !seen["f"+f.Signature] {
			seen["f"+f.Signature] = true
			g.in.Failures = append(g.in.Failures, f)
		}
	}
	for _, s := range found.Slow {
		if key := "s" + s.Service + "\x00" + s.Operation; !seen[key] {
			seen[key] = true
			g.in.Slow = append(g.in.Slow, s)
		}
	}
	for _, l := range found.Logs {
		if key := "l" + l.Service + "\x00" + l.Template; !seen[key] {
			seen[key] = true
			g.in.Logs = append(g.in.Logs, l)
		}
	}
}
