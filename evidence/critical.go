package evidence

import (
	"sort"
	"time"

	"github.com/tidegate-io/tidegate/entity"
	"github.com/tidegate-io/tidegate/telemetry"
)

// call is one operation of one service.
type call struct {
	service, operation string
}

// selfTimes returns how the duration of a request is divided among the
// operations on its critical path: the chain of spans that nothing else was
// waited for meanwhile. The times sum to the entry span's duration. (The
// definition is that of "CRISP: Critical Path Analysis of Large-Scale
// Microservice Architectures", USENIX ATC 2022.)
func selfTimes(t *telemetry.Trace, entry *telemetry.Span) map[call]time.Duration {
	c := critical{trace: t, children: t.Children(), seen: map[*telemetry.Span]bool{}, times: map[call]time.Duration{}}
	c.walk(entry, entry.Start, entry.End())
	return c.times
}

type critical struct {
	trace    *telemetry.Trace
	children map[telemetry.SpanID][]int
	seen     map[*telemetry.Span]bool
	times    map[call]time.Duration
}

// walk goes back in time through the part of a span between from and to. The
// child that ended last was waited for, until it started; then the one that
// ended last before that.
func (c *critical) walk(s *telemetry.Span, from, to time.Time) {
	c.seen[s] = true
	var self time.Duration
	for _, child := range c.lastFirst(s) {
		start, end := child.Start, child.End()
		if start.Before(from) {
			start = from
		}
		if end.After(to) {
			end = to
		}
		if c.seen[child] || !end.After(start) {
			continue
		}
		self += to.Sub(end)
		c.walk(child, start, end)
		to = start
	}
	self += to.Sub(from)
	c.times[call{s.Service, s.Name}] += self
}

func (c *critical) lastFirst(s *telemetry.Span) []*telemetry.Span {
	var out []*telemetry.Span
	for _, i := range c.children[s.ID] {
		out = append(out, &c.trace.Spans[i])
	}
	sort.SliceStable(out, func(i, j int) bool { return out[i].End().After(out[j].End()) })
	return out
}

// requestEntry is the earliest span by which the target served a request of
// the operation.
func requestEntry(t *telemetry.Trace, target entity.Ref, operation string) *telemetry.Span {
	var entry *telemetry.Span
	for i := range t.Spans {
		s := &t.Spans[i]
		if s.Kind != telemetry.KindServer && s.Kind != telemetry.KindConsumer || !target.Covers(s.Ref) || operation != "" && s.Name != operation {
			continue
		}
		if entry == nil || s.Start.Before(entry.Start) {
			entry = s
		}
	}
	return entry
}
