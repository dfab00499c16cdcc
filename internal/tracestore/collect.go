package tracestore

import (
	"bytes"
	"cmp"
	"context"
	"slices"

	"github.com/tidegate-io/tidegate/fault"
	"github.com/tidegate-io/tidegate/internal/otlp/wire"
	"github.com/tidegate-io/tidegate/internal/segment"
	"github.com/tidegate-io/tidegate/telemetry"
)

// The number of spans up to which a trace is read: ids that a client uses for
// everything it does must not exhaust memory. A search holds several traces at
// a time, so there it is less. Of a longer trace the spans that started first
// are kept, whatever the order in which they are stored.
const (
	maxSpans      = 50_000
	maxSpansFound = 10_000
)

// collect reads whole traces, in the order of ids, each frame once; nil for
// those that are not there. Of each at most limit spans.
func collect(ctx context.Context, v *segment.View[*summary], ids []telemetry.TraceID, limit int) ([]*telemetry.Trace, error) {
	c := collector{places: make(map[telemetry.TraceID]*gathered, len(ids)), limit: limit}
	frames := map[segment.Frame[*summary]]bool{}
	for _, id := range ids {
		c.places[id] = &gathered{seen: map[spanKey]bool{}}
		for _, f := range v.Lookup(segment.Key(id)) {
			frames[f] = true
		}
	}
	for f := range frames {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		if err := f.Entries(c.entry); err != nil {
			return nil, err
		}
	}
	traces := make([]*telemetry.Trace, len(ids))
	for i, id := range ids {
		traces[i] = c.places[id].trace(id, limit)
	}
	return traces, nil
}

type collector struct {
	places map[telemetry.TraceID]*gathered
	limit  int
}

// gathered is what was read of one trace.
type gathered struct {
	spans []keyed
	seen  map[spanKey]bool
	// last is the latest span of those kept when the trace was cut; what comes
	// after it is left out.
	last spanKey
	cut  bool
	// The resource of the last span, as it is shared and as it was decoded.
	from     *wire.Resource
	resource wire.Resource
}

type keyed struct {
	key  spanKey
	span telemetry.Span
}

// spanKey identifies a span: clients send again what was acknowledged too late.
// Some tracers give both sides of a call one id, hence the kind and service.
type spanKey struct {
	start   uint64
	span    telemetry.SpanID
	kind    uint8
	service string
}

// compare orders spans by their start, and any two in some way.
func (k spanKey) compare(o spanKey) int {
	return cmp.Or(cmp.Compare(k.start, o.start), bytes.Compare(k.span[:], o.span[:]), cmp.Compare(k.kind, o.kind), cmp.Compare(k.service, o.service))
}

func (c *collector) entry(e segment.Entry) error {
	t := parsed(e)
	for i := range t.Groups {
		g := &t.Groups[i]
		for j := range g.Spans {
			if into := c.places[g.Spans[j].TraceID]; into != nil {
				if err := into.add(g, &g.Spans[j], c.limit); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// parsed returns the sound spans of a stored request.
func parsed(e segment.Entry) *wire.Traces {
	return segment.Parsed(e, func(request []byte) *wire.Traces {
		t := new(wire.Traces)
		// What cannot be parsed was not stored; if it is here all the same,
		// there is the part before the damage.
		_ = t.Parse(request)
		return t
	})
}

func (g *gathered) add(in *wire.Group, span *wire.Span, limit int) error {
	key := spanKey{span.Start, span.ID, span.Kind, string(in.Resource.Service)}
	if g.seen[key] || g.cut && key.compare(g.last) > 0 {
		return nil
	}
	// A malformed attribute costs only itself: what could be decoded is shown.
	if g.from != in.Resource {
		// A copy, as decoding writes the attributes to it and others read.
		g.from, g.resource = in.Resource, *in.Resource
	}
	decoded, err := wire.DecodeSpan(&g.resource, in.Scope, span)
	if err != nil && !fault.Is(err, fault.KindInvalid) {
		return err
	}
	g.seen[key] = true
	g.spans = append(g.spans, keyed{key, decoded})
	if len(g.spans) >= 2*limit {
		g.keep(limit)
	}
	return nil
}

// keep drops all but the n spans that started first.
func (g *gathered) keep(n int) {
	slices.SortFunc(g.spans, func(a, b keyed) int { return a.key.compare(b.key) })
	for _, s := range g.spans[n:] {
		delete(g.seen, s.key)
	}
	clear(g.spans[n:]) // for the garbage collector
	g.spans = g.spans[:n]
	g.last, g.cut = g.spans[n-1].key, true
}

// trace returns what was gathered; nil when there is nothing.
func (g *gathered) trace(id telemetry.TraceID, limit int) *telemetry.Trace {
	if len(g.spans) == 0 {
		return nil
	}
	if len(g.spans) > limit {
		g.keep(limit)
	}
	t := &telemetry.Trace{ID: id, Spans: make([]telemetry.Span, len(g.spans)), Truncated: g.cut}
	for i := range g.spans {
		t.Spans[i] = g.spans[i].span
	}
	t.Sort()
	return t
}
