package main

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"time"

	"google.golang.org/protobuf/encoding/protowire"

	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/collector/pdata/pmetric/pmetricotlp"

	"github.com/tidegate-io/tidegate/internal/otlp/wire/wiretest"
)

// A pool is a set of encoded requests that are sent over and over. Making
// requests costs more than receiving them; so they are made once, and between
// two passes only what must differ is changed in place: trace ids and times.
// Equal content comes again only after a whole pass, far beyond the window of
// any compression.
type pool struct {
	path     string // of the signal, in OTLP/HTTP; also names the gRPC service
	requests []*request
	items    int // spans, data points or records in one pass
}

// request is one encoded request, and where its variable parts are.
type request struct {
	body  []byte
	items int

	traceIDs []int // offsets of 16 bytes
	times    []int // offsets of little-endian nanoseconds
	newest   uint64
	salt     uint64 // what the trace ids are mixed with now
}

// pass makes the request one of pass n, whose newest time is now.
func (r *request) pass(n int, now time.Time) {
	salt := uint64(n) * 0x9E3779B97F4A7C15
	for _, at := range r.traceIDs {
		v := binary.LittleEndian.Uint64(r.body[at:])
		binary.LittleEndian.PutUint64(r.body[at:], v^r.salt^salt)
	}
	r.salt = salt
	shift := uint64(now.UnixNano()) - r.newest
	for _, at := range r.times {
		binary.LittleEndian.PutUint64(r.body[at:], binary.LittleEndian.Uint64(r.body[at:])+shift)
	}
	r.newest += shift
}

// tracePool returns n requests of perRequest spans, and the trace ids of
// the traces that are whole within a pass.
func tracePool(seed uint64, n, perRequest int) (*pool, [][16]byte) {
	gen := wiretest.New(seed, time.Now().Add(-time.Minute))
	p := &pool{path: "traces"}
	spans := map[[16]byte]int{}
	for range n {
		r := &request{body: gen.Request(perRequest), items: perRequest}
		r.index(spanLayout)
		for _, at := range r.traceIDs {
			spans[[16]byte(r.body[at:at+16])]++
		}
		p.add(r)
	}
	var whole [][16]byte
	for id, have := range spans {
		if have == wiretest.SpansPerTrace {
			whole = append(whole, id)
		}
	}
	return p, whole
}

// inPass returns the trace id as it is in pass n.
func inPass(id [16]byte, n int) [16]byte {
	v := binary.LittleEndian.Uint64(id[:]) ^ uint64(n)*0x9E3779B97F4A7C15
	binary.LittleEndian.PutUint64(id[:], v)
	return id
}

func logPool(seed uint64, n, perRequest int) *pool {
	gen := wiretest.New(seed, time.Now().Add(-time.Minute))
	p := &pool{path: "logs"}
	for i := range n {
		r := &request{body: gen.Logs(wiretest.Services[i%len(wiretest.Services)], perRequest), items: perRequest}
		r.index(logLayout)
		p.add(r)
	}
	return p
}

// metricPool returns requests of data points of n×perRequest series in all:
// counters and gauges of a few processes, five attributes a point.
func metricPool(seed uint64, n, perRequest int) *pool {
	rnd := rand.New(rand.NewPCG(seed, 11))
	p := &pool{path: "metrics"}
	now := time.Now().Add(-time.Minute)
	for i := range n {
		r := &request{body: metricRequest(rnd, i, perRequest, now), items: perRequest}
		r.index(metricLayout)
		p.add(r)
	}
	return p
}

func metricRequest(rnd *rand.Rand, instance, points int, now time.Time) []byte {
	md := pmetric.NewMetrics()
	rm := md.ResourceMetrics().AppendEmpty()
	service := wiretest.Services[instance%len(wiretest.Services)]
	a := rm.Resource().Attributes()
	a.PutStr("service.name", service)
	a.PutStr("service.version", "1.4.0")
	a.PutStr("deployment.environment.name", "production")
	a.PutStr("service.instance.id", fmt.Sprintf("%s-%04d", service, instance))
	a.PutStr("host.name", "node-17")
	sm := rm.ScopeMetrics().AppendEmpty()
	sm.Scope().SetName("bench")
	const perMetric = 20
	for m := 0; m*perMetric < points; m++ {
		metric := sm.Metrics().AppendEmpty()
		metric.SetName(fmt.Sprintf("app.component%d.requests", m))
		var dps pmetric.NumberDataPointSlice
		if m%5 < 3 {
			sum := metric.SetEmptySum()
			sum.SetIsMonotonic(true)
			sum.SetAggregationTemporality(pmetric.AggregationTemporalityCumulative)
			dps = sum.DataPoints()
		} else {
			dps = metric.SetEmptyGauge().DataPoints()
		}
		for d := range min(perMetric, points-m*perMetric) {
			dp := dps.AppendEmpty()
			dp.SetStartTimestamp(stamp(now.Add(-time.Hour)))
			dp.SetTimestamp(stamp(now))
			dp.SetDoubleValue(float64(rnd.IntN(1_000_000)))
			attrs := dp.Attributes()
			attrs.PutStr("http.request.method", "POST")
			attrs.PutStr("http.route", fmt.Sprintf("/api/v1/resource%d/{id}", d))
			attrs.PutInt("http.response.status_code", 200)
			attrs.PutStr("network.protocol.version", "1.1")
			attrs.PutStr("server.address", "checkout.shop.svc.cluster.local")
		}
	}
	b, err := pmetricotlp.NewExportRequestFromMetrics(md).MarshalProto()
	if err != nil {
		panic(err) // a message built here always encodes
	}
	return b
}

func (p *pool) add(r *request) {
	p.requests = append(p.requests, r)
	p.items += r.items
}

// layout says which fields of a message matter: which to go into, which hold
// times and which a trace id.
type layout struct {
	into    map[protowire.Number]*layout
	times   []protowire.Number
	traceID protowire.Number
}

// Layouts of the requests, by the field numbers of opentelemetry-proto.
var (
	spanLayout = nested(&layout{
		times: []protowire.Number{7, 8}, traceID: 1,
		into: map[protowire.Number]*layout{11: {times: []protowire.Number{1}}},
	}, 1, 2, 2)
	logLayout    = nested(&layout{times: []protowire.Number{1, 11}, traceID: 9}, 1, 2, 2)
	pointLayout  = &layout{times: []protowire.Number{3}}
	metricLayout = nested(&layout{into: map[protowire.Number]*layout{
		5: nested(pointLayout, 1), 7: nested(pointLayout, 1), // gauge, sum
	}}, 1, 2, 2)
)

func nested(l *layout, path ...protowire.Number) *layout {
	for i := len(path) - 1; i >= 0; i-- {
		l = &layout{into: map[protowire.Number]*layout{path[i]: l}}
	}
	return l
}

func (r *request) index(l *layout) { r.walk(l, 0, len(r.body)) }

func (r *request) walk(l *layout, at, end int) {
	for at < end {
		num, typ, n := protowire.ConsumeTag(r.body[at:end])
		at += n
		size := protowire.ConsumeFieldValue(num, typ, r.body[at:end])
		if n < 0 || size < 0 {
			panic("a request made here does not decode")
		}
		switch typ {
		case protowire.BytesType:
			content, _ := protowire.ConsumeBytes(r.body[at : at+size])
			if num == l.traceID && len(content) == 16 {
				r.traceIDs = append(r.traceIDs, at+size-16)
			}
			if sub := l.into[num]; sub != nil {
				r.walk(sub, at+size-len(content), at+size)
			}
		case protowire.Fixed64Type:
			for _, t := range l.times {
				if t == num {
					r.times = append(r.times, at)
					r.newest = max(r.newest, binary.LittleEndian.Uint64(r.body[at:]))
				}
			}
		}
		at += size
	}
}
