package evidence

import (
	"context"
	"iter"
	"time"

	"github.com/tidegate-io/tidegate/entity"
	"github.com/tidegate-io/tidegate/telemetry"
)

const (
	// lookBack is how long before the window the beginning of a failure is
	// looked for.
	lookBack = time.Hour
	// searched is for how many groups that is done.
	searched = 3
	// precision of the search for the first failure.
	precision = time.Second
	// around is how many traces are read right after the first failure, when
	// there are more than can be looked at.
	around = 100
	// usualFactor: a group that was at least a third as frequent in the
	// baseline is not news.
	usualFactor = 3
)

// failures groups the failing traces of the window and compares the groups
// with the baseline's.
func (g *gathering) failures(ctx context.Context) {
	if g.Traces == nil {
		g.gap("no trace store to look for failed requests in", nil)
		return
	}
	now := newGrouping(g.Target, g.Operation)
	read, err := g.group(ctx, now, g.failing(g.Target, g.Window, g.Limits.Failing))
	if err != nil {
		g.gap("failed requests could not be read", err)
		return
	}
	if read == g.Limits.Failing {
		g.out.Truncated = true
		g.addFirst(ctx, now)
	}
	g.groups = now.sorted()
	g.out.FailedTraces, g.out.FirstFailure = now.requests, now.first
	if len(g.groups) == 0 {
		return
	}
	g.compareGroups(ctx)
	for i, gr := range g.groups {
		if i < searched && !gr.SeenBefore {
			g.searchStart(ctx, gr)
		}
	}
	for i, gr := range g.groups {
		if i == maxGroups {
			break
		}
		g.out.Failures = append(g.out.Failures, gr.shown())
	}
}

func (g *gathering) failing(target entity.Ref, in Interval, limit int) telemetry.TraceQuery {
	return telemetry.TraceQuery{
		Ref: target, Operation: g.Operation, Status: telemetry.StatusError,
		From: in.From, To: in.To, Limit: limit,
	}
}

// group reads traces into a grouping and returns how many there were.
func (g *gathering) group(ctx context.Context, into *grouping, q telemetry.TraceQuery) (int, error) {
	n := 0
	for t, err := range g.Traces.Traces(ctx, q) {
		if err != nil {
			return n, err
		}
		n++
		into.add(t)
		if n == q.Limit {
			break
		}
	}
	return n, nil
}

// addFirst adds the window's first failures, which the newest ones read so
// far do not reach back to.
func (g *gathering) addFirst(ctx context.Context, now *grouping) {
	first, err := earliest(ctx, g.Traces, g.failing(g.Target, g.Window, 0), now.first)
	if err == nil {
		rest := Interval{From: first, To: first.Add(max(g.Window.To.Sub(first)/100, precision))}
		_, err = g.group(ctx, now, g.failing(g.Target, rest, around))
	}
	if err != nil {
		g.gap("the first failures could not be read", err)
	}
}

// compareGroups finds out which groups the baseline had too.
func (g *gathering) compareGroups(ctx context.Context) {
	before := newGrouping(g.BaselineTarget, g.Operation)
	read, err := g.group(ctx, before, g.failing(g.BaselineTarget, g.Baseline, g.Limits.Failing))
	if err != nil {
		g.gap("failed requests of the baseline could not be read", err)
		return
	}
	for _, gr := range g.groups {
		was := before.groups[gr.Signature]
		if was == nil {
			continue
		}
		gr.SeenBefore = true
		perSecond := float64(gr.Count) / g.Window.Length().Seconds()
		wasPerSecond := float64(was.Count) / g.Baseline.Length().Seconds()
		gr.usual = wasPerSecond*usualFactor >= perSecond || read == g.Limits.Failing && g.out.Truncated
	}
}

// searchStart looks before the window for when a group began.
func (g *gathering) searchStart(ctx context.Context, gr *group) {
	q := telemetry.TraceQuery{
		Ref: gr.origin, Operation: gr.Operation, Status: telemetry.StatusError,
		From: g.Window.From.Add(-lookBack), To: g.Window.From,
	}
	if len(gr.Exemplars) > 0 && gr.Exemplars[0].Exception != nil {
		q.ExceptionType = gr.ExceptionType
	}
	if g.Baseline.To.After(q.From) && g.Baseline.To.Before(q.To) {
		q.From = g.Baseline.To // it was not there in the baseline
	}
	start, err := earliest(ctx, g.Traces, q, gr.FirstSeen)
	if err != nil {
		g.gap("failures before the window could not be read", err)
		return
	}
	gr.started = start
}

// earliest returns the start of the first span from q.From on that satisfies
// q, to within precision: by bisection with queries for a single trace,
// because stores answer the newest first. known is the start of one that
// does; it is the answer when there is none before it.
func earliest(ctx context.Context, traces telemetry.TraceReader, q telemetry.TraceQuery, known time.Time) (time.Time, error) {
	q.Limit = 1
	low, first := q.From, known // nothing starts before low
	for q.To = known; q.To.After(low); q.To = low.Add(first.Sub(low) / 2) {
		q.From = low
		at, found, err := matchStart(traces.Traces(ctx, q), q)
		switch {
		case err != nil:
			return first, err
		case found:
			first = at
		default:
			low = q.To
		}
		if first.Sub(low) < precision {
			break
		}
	}
	return first, nil
}

// matchStart returns the earliest start of a span that satisfies q in the
// first trace.
func matchStart(seq iter.Seq2[*telemetry.Trace, error], q telemetry.TraceQuery) (at time.Time, found bool, err error) {
	for t, err := range seq {
		if err != nil {
			return at, false, err
		}
		for i := range t.Spans {
			s := &t.Spans[i]
			if matches(s, q) && (!found || s.Start.Before(at)) {
				at, found = s.Start, true
			}
		}
		break
	}
	return at, found, nil
}

func matches(s *telemetry.Span, q telemetry.TraceQuery) bool {
	return q.Ref.Covers(s.Ref) &&
		(q.Operation == "" || q.Operation == s.Name) &&
		(q.Status == "" || q.Status == s.Status) &&
		s.Duration >= q.MinDuration &&
		!s.Start.Before(q.From) && s.Start.Before(q.To)
}
