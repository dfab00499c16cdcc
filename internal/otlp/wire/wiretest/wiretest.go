// Package wiretest makes realistic OTLP requests for tests and benchmarks:
// traces of twelve spans over six services, about twelve attributes a span,
// one trace in twenty failing with a recorded exception.
//
//	gen := wiretest.New(1, time.Now())
//	req := gen.Request(512) // an encoded ExportTraceServiceRequest
package wiretest

import (
	"fmt"
	"math/rand/v2"
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/plog/plogotlp"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.opentelemetry.io/collector/pdata/ptrace/ptraceotlp"
)

// Services are the names of the generated services, entry first.
var Services = []string{"frontend", "checkout", "cart", "productcatalog", "payment", "shipping"}

// SpansPerTrace is the size of every generated trace.
const SpansPerTrace = 12

// Generator makes requests. The same seed and start make the same requests.
// Not safe for concurrent use.
type Generator struct {
	rnd     *rand.Rand
	now     time.Time
	step    time.Duration
	pending []span // spans of started traces that were not sent yet
}

type span struct {
	service int
	s       ptrace.Span
}

// New returns a generator whose first trace starts at start; each further
// trace starts a millisecond later.
func New(seed uint64, start time.Time) *Generator {
	return &Generator{rnd: rand.New(rand.NewPCG(seed, 7)), now: start, step: time.Millisecond}
}

// Request returns an encoded trace request of n spans. Spans of neighbouring
// traces are shuffled, so that a trace may span several requests.
func (g *Generator) Request(n int) []byte {
	req := ptraceotlp.NewExportRequestFromTraces(g.Traces(n))
	b, err := req.MarshalProto()
	if err != nil {
		panic(err) // a message built here always encodes
	}
	return b
}

// Traces is Request before encoding.
func (g *Generator) Traces(n int) ptrace.Traces {
	for len(g.pending) < 2*n {
		g.trace()
	}
	g.rnd.Shuffle(min(len(g.pending), n+n/2), func(i, j int) {
		g.pending[i], g.pending[j] = g.pending[j], g.pending[i]
	})
	td := ptrace.NewTraces()
	var scopes [6]ptrace.ScopeSpans
	var have [6]bool
	for _, p := range g.pending[:n] {
		if !have[p.service] {
			have[p.service] = true
			rs := td.ResourceSpans().AppendEmpty()
			resource(rs.Resource(), p.service)
			scopes[p.service] = rs.ScopeSpans().AppendEmpty()
			scopes[p.service].Scope().SetName("go.opentelemetry.io/contrib/instrumentation/net/http/otelhttp")
		}
		p.s.MoveTo(scopes[p.service].Spans().AppendEmpty())
	}
	g.pending = append(g.pending[:0], g.pending[n:]...)
	return td
}

func resource(r pcommon.Resource, service int) {
	a := r.Attributes()
	a.PutStr("service.name", Services[service])
	a.PutStr("service.version", fmt.Sprintf("1.%d.0", service))
	a.PutStr("deployment.environment.name", "production")
	a.PutStr("service.instance.id", fmt.Sprintf("%s-7d9f%04d", Services[service], service))
	a.PutStr("telemetry.sdk.language", "go")
	a.PutStr("telemetry.sdk.name", "opentelemetry")
	a.PutStr("telemetry.sdk.version", "1.46.0")
	a.PutStr("host.name", "node-17")
}

// trace adds the spans of one new trace to the pending ones.
func (g *Generator) trace() {
	var id pcommon.TraceID
	g.fill(id[:])
	failing := g.rnd.IntN(20) == 0
	start := g.now
	g.now = g.now.Add(g.step)
	var parent pcommon.SpanID
	total := time.Duration(20+g.rnd.IntN(200)) * time.Millisecond
	for i := range SpansPerTrace {
		s := ptrace.NewSpan()
		s.SetTraceID(id)
		var sid pcommon.SpanID
		g.fill(sid[:])
		s.SetSpanID(sid)
		if i > 0 {
			s.SetParentSpanID(parent)
		}
		parent = sid // a server's span, its client's, the next server's, …
		service := i / 2
		kind := ptrace.SpanKindServer
		if i%2 == 1 {
			kind = ptrace.SpanKindClient
		}
		s.SetKind(kind)
		s.SetName(fmt.Sprintf("%s/Operation%d", Services[service], g.rnd.IntN(4)))
		from := start.Add(time.Duration(i) * total / 40)
		s.SetStartTimestamp(pcommon.NewTimestampFromTime(from))
		s.SetEndTimestamp(pcommon.NewTimestampFromTime(from.Add(total - time.Duration(i)*total/20 + time.Duration(g.rnd.IntN(100_000)))))
		g.attributes(s.Attributes(), failing)
		if failing && i >= 8 {
			fail(s)
		}
		g.pending = append(g.pending, span{service, s})
	}
}

func (g *Generator) attributes(a pcommon.Map, failing bool) {
	status := int64(200)
	if failing {
		status = 500
	}
	a.PutStr("http.request.method", "POST")
	a.PutStr("http.route", "/api/v1/checkout/{id}")
	a.PutStr("url.path", fmt.Sprintf("/api/v1/checkout/%d", g.rnd.IntN(100_000)))
	a.PutInt("http.response.status_code", status)
	a.PutStr("server.address", "checkout.shop.svc.cluster.local")
	a.PutInt("server.port", 8080)
	a.PutStr("network.protocol.version", "1.1")
	a.PutStr("user_agent.original", "Mozilla/5.0 (X11; Linux x86_64) k6/0.50")
	a.PutStr("client.address", fmt.Sprintf("10.0.%d.%d", g.rnd.IntN(8), g.rnd.IntN(256)))
	a.PutStr("app.user.id", fmt.Sprintf("user-%06d", g.rnd.IntN(1_000_000)))
	a.PutStr("app.session", fmt.Sprintf("%016x", g.rnd.Uint64()))
	a.PutDouble("app.amount", float64(g.rnd.IntN(100_000))/100)
}

func fail(s ptrace.Span) {
	s.Status().SetCode(ptrace.StatusCodeError)
	s.Status().SetMessage("payment declined")
	e := s.Events().AppendEmpty()
	e.SetName("exception")
	e.SetTimestamp(s.EndTimestamp())
	e.Attributes().PutStr("exception.type", "PaymentDeclined")
	e.Attributes().PutStr("exception.message", "card was declined by the issuer")
	e.Attributes().PutStr("exception.stacktrace", "PaymentDeclined: card was declined\n\tat charge (/app/payment.js:42:11)\n\tat handle (/app/server.js:17:3)")
}

func (g *Generator) fill(b []byte) {
	for i := range b {
		b[i] = byte(g.rnd.Uint32())
	}
}

// Logs returns an encoded log request of n records of one service, a
// millisecond apart; one in ten is an error that carries a trace id.
func (g *Generator) Logs(service string, n int) []byte {
	ld := plog.NewLogs()
	rl := ld.ResourceLogs().AppendEmpty()
	rl.Resource().Attributes().PutStr("service.name", service)
	rl.Resource().Attributes().PutStr("deployment.environment.name", "production")
	sl := rl.ScopeLogs().AppendEmpty()
	for i := range n {
		r := sl.LogRecords().AppendEmpty()
		r.SetTimestamp(pcommon.NewTimestampFromTime(g.now))
		r.SetObservedTimestamp(pcommon.NewTimestampFromTime(g.now))
		g.now = g.now.Add(g.step)
		r.SetSeverityNumber(plog.SeverityNumberInfo)
		r.SetSeverityText("INFO")
		r.Body().SetStr(fmt.Sprintf("handled request %d for user-%06d in %d ms", g.rnd.Uint32(), g.rnd.IntN(1_000_000), g.rnd.IntN(300)))
		r.Attributes().PutStr("logger.name", "http.server")
		if i%10 == 9 {
			var id pcommon.TraceID
			g.fill(id[:])
			r.SetTraceID(id)
			r.SetSeverityNumber(plog.SeverityNumberError)
			r.SetSeverityText("ERROR")
			r.Body().SetStr("payment failed: card was declined by the issuer")
		}
	}
	b, err := plogotlp.NewExportRequestFromLogs(ld).MarshalProto()
	if err != nil {
		panic(err) // a message built here always encodes
	}
	return b
}
