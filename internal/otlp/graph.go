package otlp

import (
	"encoding/binary"
	"math/bits"

	"github.com/tidegate-io/tidegate/internal/otlp/wire"
	"github.com/tidegate-io/tidegate/telemetry"
)

// edgeKey is one edge of the service graph.
type edgeKey struct {
	client, server, environment, connection string
}

// Values of the label connection_type, as the Collector's connector has them.
const (
	connectionCall      = ""
	connectionMessaging = "messaging_system"
)

const labelConnection = "connection_type"

// callKey is what the two ends of a call have in common: the id of the
// client's span, which the server's span has as its parent.
type callKey struct {
	trace telemetry.TraceID
	span  telemetry.SpanID
}

// half is one end of a call that waits for the other.
type half struct {
	key     callKey
	by      *resource
	server  bool
	failed  bool
	ns      uint64 // duration that the server saw
	arrival int64
}

// pairing keeps unmatched halves for a while. The two ends come in requests of
// different services, in any order.
//
// It is a hash table of buckets of eight, as processor caches are: a half that
// finds its bucket full takes the place of one that has long been there. Nothing
// is searched for and nothing grows, whatever is sent, and a call touches two
// lines of memory, which is what it costs.
type pairing struct {
	limit   int
	within  int64 // ns
	now     int64
	buckets []bucket // made with the first half; a power of two
}

// bucket holds eight halves with their tags; the tag 0 is an empty place.
type bucket struct {
	tags   [ways]uint64
	halves [ways]half
	next   uint8 // place that is taken next when all are
}

const ways = 8

func newPairing(limit int, within int64) pairing {
	return pairing{limit: limit, within: within}
}

// at sets the time, from which on what has waited too long does not count.
func (p *pairing) at(now int64) { p.now = now }

// tag mixes a key. Trace ids are random by the specification, and span ids
// are; where they are not, only the table is used badly.
func (k *callKey) tag() uint64 {
	h := binary.LittleEndian.Uint64(k.trace[8:])*0x9E3779B97F4A7C15 ^ binary.LittleEndian.Uint64(k.span[:])
	h ^= h >> 32
	h *= 0xFF51AFD7ED558CCD
	return h ^ h>>29 | 1
}

// meet returns the other end of h when it is waiting; else h waits.
func (p *pairing) meet(h *half) (half, bool) {
	if p.buckets == nil {
		p.buckets = make([]bucket, 1<<bits.Len(uint(max(p.limit-1, 0)/ways)))
	}
	tag := h.key.tag()
	b := &p.buckets[tag>>1&uint64(len(p.buckets)-1)]
	empty := -1
	for i := range b.tags {
		if b.tags[i] == tag && b.halves[i].key == h.key {
			other := &b.halves[i]
			switch {
			case other.arrival+p.within < p.now: // too late; its place is free
				b.tags[i] = 0
			case other.server == h.server:
				return half{}, false // the same end again: a retry
			default:
				b.tags[i] = 0
				return *other, true
			}
		}
		if b.tags[i] == 0 {
			empty = i
		}
	}
	if empty < 0 {
		empty = int(b.next % ways)
		b.next++
	}
	h.arrival = p.now
	b.tags[empty], b.halves[empty] = tag, *h
	return half{}, false
}

// join counts an edge of the service graph when span is the second end of a
// call to come in; k is its slot.
func (m *spanMetrics) join(r *resource, span *wire.Span, k int64) {
	h := half{by: r, failed: span.Status == wire.StatusError}
	connection := connectionCall
	switch span.Kind {
	case kindProducer, kindConsumer:
		connection = connectionMessaging
	case kindClient, kindServer:
	default:
		return
	}
	switch span.Kind {
	case kindClient, kindProducer:
		h.key = callKey{span.TraceID, span.ID}
	default:
		if span.ParentID.IsZero() {
			return
		}
		h.key, h.server, h.ns = callKey{span.TraceID, span.ParentID}, true, span.Duration()
	}
	other, ok := m.calls.meet(&h)
	if !ok || k <= m.settled {
		return
	}
	client, server := h, other
	if h.server {
		client, server = other, h
	}
	failed := uint64(0)
	if client.failed || server.failed {
		failed = 1
	}
	m.add(m.edge(client.by, server.by, connection), k, server.ns, failed)
}

// edge finds or makes the series of a call between two services. Beyond the
// limit, callers are counted together.
func (m *spanMetrics) edge(client, server *resource, connection string) *series {
	key := edgeKey{client.ref.Service, server.ref.Service, server.ref.Environment, connection}
	if s, ok := m.edges[key]; ok {
		return s
	}
	if len(m.all) >= m.limits.Series {
		m.warn("edges", "too many edges in the service graph: the rest is counted as one", "limit", m.limits.Series)
		key.client, key.server, key.environment = overflow, overflow, ""
		if s, ok := m.edges[key]; ok {
			return s
		}
	}
	return m.newEdge(key)
}

func (m *spanMetrics) newEdge(key edgeKey) *series {
	pairs := []string{
		telemetry.LabelClient, key.client,
		telemetry.LabelServer, key.server,
		telemetry.LabelEnvironment, key.environment,
		labelConnection, key.connection,
	}
	s := &series{
		calls:    newColumn(telemetry.MetricGraphRequests, pairs...),
		failed:   newColumn(telemetry.MetricGraphFailed, pairs...),
		duration: newColumn(telemetry.MetricGraphDuration, pairs...),
		drop:     func() { delete(m.edges, key) },
	}
	m.edges[key] = s
	m.all[s] = struct{}{}
	return s
}
