package otlp

import (
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
	met     bool
	ns      uint64 // duration that the server saw
	arrival int64
}

// pairing keeps unmatched halves for a while. The two ends come in requests of
// different services, in any order. When it is full the oldest half goes.
type pairing struct {
	max     int
	within  int64 // ns
	now     int64
	waiting map[callKey]uint64 // number of the half in the queue
	queue   []half             // by arrival; queue[i] has the number base+i
	base    uint64
	head    int // the first one that still counts
}

func newPairing(limit int, within int64) pairing {
	return pairing{max: limit, within: within, waiting: make(map[callKey]uint64)}
}

// expire forgets what has waited too long, and what has met.
func (p *pairing) expire(now int64) {
	p.now = now
	for p.head < len(p.queue) && (p.queue[p.head].met || p.queue[p.head].arrival+p.within < now) {
		p.forgetOldest()
	}
	if p.head > len(p.queue)/2 {
		n := copy(p.queue, p.queue[p.head:])
		clear(p.queue[n:])
		p.queue, p.base, p.head = p.queue[:n], p.base+uint64(p.head), 0
	}
}

func (p *pairing) forgetOldest() {
	if h := &p.queue[p.head]; !h.met {
		delete(p.waiting, h.key)
	}
	p.head++
}

// meet returns the other end of h when it is waiting; else h waits.
func (p *pairing) meet(h *half) (half, bool) {
	if n, ok := p.waiting[h.key]; ok {
		other := &p.queue[n-p.base]
		if other.server == h.server {
			return half{}, false // the same end again: a retry
		}
		other.met = true
		delete(p.waiting, h.key)
		return *other, true
	}
	for len(p.queue)-p.head >= p.max {
		p.forgetOldest()
	}
	h.arrival = p.now
	p.waiting[h.key] = p.base + uint64(len(p.queue))
	p.queue = append(p.queue, *h)
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
