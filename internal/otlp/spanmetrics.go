package otlp

import (
	"log/slog"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/tidegate-io/tidegate/entity"
	"github.com/tidegate-io/tidegate/internal/otlp/wire"
	"github.com/tidegate-io/tidegate/telemetry"
)

// overflow is the operation (or service) under which everything beyond the
// limits of cardinality is counted.
const overflow = "other"

// unknownService is what OpenTelemetry calls a service without a name.
const unknownService = "unknown_service"

// spanMetrics counts spans into slots of time and joins the two ends of calls.
//
// Slot k covers ((k-1)·slot, k·slot]. A span belongs to the slot in which it
// ended when it arrives at most grace after the end of that slot, and to the
// slot in which it arrived otherwise. Both times are stored with the request,
// so counting it again after a crash gives the same slot. A slot that is
// settled (all its arrivals are in) is never counted into again.
type spanMetrics struct {
	slot, grace int64 // ns
	limits      Limits
	seen        func(entity.Entity)
	logger      *slog.Logger

	mu      sync.Mutex
	byRaw   map[string]*resource // by the encoded resource
	told    int64                // when byRaw was emptied, unix ns
	byRef   map[entity.Ref]*resource
	edges   map[edgeKey]*series
	all     map[*series]struct{}
	calls   pairing
	open    map[int64][]*series // slot → series with something pending
	settled int64               // the last slot that was settled
	pool    deltas
	warned  map[string]bool
	fresh   []entity.Entity // to be told of, outside the lock
}

func newSpanMetrics(c *Config) *spanMetrics {
	return &spanMetrics{
		slot: c.Slot.Nanoseconds(), grace: c.Grace.Nanoseconds(),
		limits: c.Limits, seen: c.Seen, logger: c.Logger,
		byRaw: map[string]*resource{}, byRef: map[entity.Ref]*resource{},
		edges: map[edgeKey]*series{}, all: map[*series]struct{}{},
		calls:  newPairing(c.Limits.Pairs, c.PairWithin.Nanoseconds()),
		open:   map[int64][]*series{},
		warned: map[string]bool{},
	}
}

// resource is a service in an environment and a version.
type resource struct {
	ref   entity.Ref
	spans map[string]*series // by kind, status and name
	over  bool               // stands for all services beyond the limit
}

// slotOf returns the slot of a span; both times in unix ns.
func (m *spanMetrics) slotOf(end uint64, arrival int64) int64 {
	e := arrival
	if end < uint64(arrival) {
		e = int64(end)
	}
	k := ceilDiv(e, m.slot)
	if arrival > k*m.slot+m.grace {
		k = ceilDiv(arrival, m.slot)
	}
	return k
}

func ceilDiv(a, b int64) int64 { return (a + b - 1) / b }

// slotEnd returns when slot k ends.
func (m *spanMetrics) slotEnd(k int64) time.Time { return time.Unix(0, k*m.slot) }

// count adds all spans of a request that arrived at the given time.
func (m *spanMetrics) count(arrival int64, t *wire.Traces) {
	for _, e := range m.countLocked(arrival, t) {
		m.seen(e)
	}
}

func (m *spanMetrics) countLocked(arrival int64, t *wire.Traces) (fresh []entity.Entity) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.calls.at(arrival)
	if arrival-m.told >= int64(tellAgain) {
		clear(m.byRaw) // who is still there is told of again
		m.told = arrival
	}
	var key [2 + maxName]byte
	for i := range t.Groups {
		g := &t.Groups[i]
		r := m.resource(g.Resource)
		for j := range g.Spans {
			span := &g.Spans[j]
			k := m.slotOf(span.End, arrival)
			if k > m.settled {
				m.add(m.operation(r, span, key[:]), k, span.Duration(), 0)
			}
			m.join(r, span, k)
		}
	}
	fresh, m.fresh = m.fresh, nil
	return fresh
}

func (m *spanMetrics) add(s *series, k int64, ns, failed uint64) {
	d, fresh := s.pendingAt(k, &m.pool)
	if fresh {
		m.open[k] = append(m.open[k], s)
	}
	d.observe(ns)
	d.failed += failed
}

// tellAgain is how often those that send are told of: who was not heard of for
// longer than that is gone.
const tellAgain = 20 * time.Second

// maxRaw bounds the encoded resources remembered; processes come and go.
const maxRaw = 4096

// resource finds or makes the service of a resource, and tells who it is when
// it is seen for the first time.
func (m *spanMetrics) resource(res *wire.Resource) *resource {
	if r, ok := m.byRaw[string(res.Raw)]; ok {
		return r
	}
	m.fresh = append(m.fresh, entities(res)...)
	if len(m.byRaw) >= maxRaw {
		clear(m.byRaw) // each comes back once, at the price of decoding it again
	}
	r := m.service(refOf(res))
	m.byRaw[string(res.Raw)] = r
	return r
}

func refOf(res *wire.Resource) entity.Ref {
	ref := entity.Ref{
		Service:     limited(res.Service),
		Environment: limited(res.Environment),
		Version:     limited(res.Version),
	}
	if ref.Service == "" {
		ref.Service = unknownService
	}
	return ref
}

func (m *spanMetrics) service(ref entity.Ref) *resource {
	if r, ok := m.byRef[ref]; ok {
		return r
	}
	over := len(m.byRef) >= m.limits.Services
	if over {
		m.warn("services", "too many services, environments and versions: the rest is counted as one", "limit", m.limits.Services)
		ref = entity.Ref{Service: overflow}
		if r, ok := m.byRef[ref]; ok {
			r.over = true
			return r
		}
	}
	r := &resource{ref: ref, spans: map[string]*series{}, over: over}
	m.byRef[ref] = r
	return r
}

// maxName is the longest label value taken from a span, in bytes.
const maxName = 200

// limited returns at most maxName bytes of b, whole runes.
func limited(b []byte) string { return string(cut(b)) }

func cut(b []byte) []byte {
	if len(b) <= maxName {
		return b
	}
	n := maxName
	for n > 0 && !utf8.RuneStart(b[n]) {
		n--
	}
	return b[:n]
}

// operation finds or makes the series of a span.
func (m *spanMetrics) operation(r *resource, span *wire.Span, buf []byte) *series {
	name := cut(span.Name)
	if r.over {
		name = []byte(overflow)
	}
	key := append(append(buf[:0], span.Kind, span.Status), name...)
	if s, ok := r.spans[string(key)]; ok {
		return s
	}
	if len(r.spans) >= m.limits.SeriesPerService || len(m.all) >= m.limits.Series {
		m.warn("operations of "+r.ref.Service, "too many operations: the rest is counted as one",
			"service", r.ref.Service, "operation", overflow, "limit", m.limits.SeriesPerService)
		key = append(append(buf[:0], span.Kind, span.Status), overflow...)
		if s, ok := r.spans[string(key)]; ok {
			return s
		}
		name = []byte(overflow)
	}
	return m.newOperation(r, string(key), string(name))
}

func (m *spanMetrics) newOperation(r *resource, key, name string) *series {
	pairs := []string{
		telemetry.LabelService, r.ref.Service,
		telemetry.LabelOperation, name,
		telemetry.LabelKind, kindLabels[key[0]],
		telemetry.LabelStatus, statusLabels[key[1]],
		telemetry.LabelEnvironment, r.ref.Environment,
		telemetry.LabelVersion, r.ref.Version,
	}
	s := &series{
		calls:    newColumn(telemetry.MetricCalls, pairs...),
		duration: newColumn(telemetry.MetricDuration, pairs...),
		drop: func() {
			delete(r.spans, key)
			if len(r.spans) == 0 {
				delete(m.byRef, r.ref)
				clear(m.byRaw)
			}
		},
	}
	r.spans[key] = s
	m.all[s] = struct{}{}
	return s
}

// warn says something once.
func (m *spanMetrics) warn(key, msg string, args ...any) {
	if !m.warned[key] && len(m.warned) < maxRaw {
		m.warned[key] = true
		m.logger.Warn(msg, args...)
	}
}
