package e2e

import (
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"net/http"
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/plog/plogotlp"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.opentelemetry.io/collector/pdata/ptrace/ptraceotlp"
)

// request is one request to checkout, with a call to payment inside.
type request struct {
	service string
	failed  bool
	took    time.Duration
	end     time.Time
}

// traces returns an OTLP request with a trace for each request, and their ids.
func traces(requests ...request) ([]byte, []string) {
	td := ptrace.NewTraces()
	var ids []string
	for _, r := range requests {
		id := newTraceID()
		ids = append(ids, hex.EncodeToString(id[:]))
		root := addSpan(td, r.service, "POST /checkout", ptrace.SpanKindServer, id, pcommon.SpanID{}, r.end.Add(-r.took), r.end)
		client := addSpan(td, r.service, "PaymentService/Charge", ptrace.SpanKindClient, id, root.SpanID(), r.end.Add(-r.took/2), r.end)
		server := addSpan(td, "payment", "PaymentService/Charge", ptrace.SpanKindServer, id, client.SpanID(), r.end.Add(-r.took/2), r.end)
		if !r.failed {
			continue
		}
		for _, s := range []ptrace.Span{root, client, server} {
			s.Status().SetCode(ptrace.StatusCodeError)
		}
		e := server.Events().AppendEmpty()
		e.SetName("exception")
		e.SetTimestamp(pcommon.NewTimestampFromTime(r.end))
		e.Attributes().PutStr("exception.type", "CardDeclined")
		e.Attributes().PutStr("exception.message", fmt.Sprintf("card %x declined", id[:4]))
		e.Attributes().PutStr("exception.stacktrace", "goroutine 1 [running]:\nexample.com/shop/payment.(*Service).Charge(0x1)\n\t/app/payment/charge.go:42 +0x1\n")
	}
	raw, err := ptraceotlp.NewExportRequestFromTraces(td).MarshalProto()
	if err != nil {
		panic(err)
	}
	return raw, ids
}

func addSpan(td ptrace.Traces, service, name string, kind ptrace.SpanKind, trace pcommon.TraceID, parent pcommon.SpanID, from, to time.Time) ptrace.Span {
	rs := td.ResourceSpans().AppendEmpty()
	rs.Resource().Attributes().PutStr("service.name", service)
	rs.Resource().Attributes().PutStr("deployment.environment.name", "dev")
	s := rs.ScopeSpans().AppendEmpty().Spans().AppendEmpty()
	s.SetName(name)
	s.SetKind(kind)
	s.SetTraceID(trace)
	s.SetParentSpanID(parent)
	var id pcommon.SpanID
	_, _ = rand.Read(id[:])
	s.SetSpanID(id)
	s.SetStartTimestamp(pcommon.NewTimestampFromTime(from))
	s.SetEndTimestamp(pcommon.NewTimestampFromTime(to))
	return s
}

func newTraceID() (id pcommon.TraceID) {
	_, _ = rand.Read(id[:])
	return id
}

// logs returns an OTLP request with one record.
func logs(body string) []byte {
	ld := plog.NewLogs()
	rl := ld.ResourceLogs().AppendEmpty()
	rl.Resource().Attributes().PutStr("service.name", "checkout")
	r := rl.ScopeLogs().AppendEmpty().LogRecords().AppendEmpty()
	r.SetTimestamp(pcommon.NewTimestampFromTime(time.Now()))
	r.Body().SetStr(body)
	raw, err := plogotlp.NewExportRequestFromLogs(ld).MarshalProto()
	if err != nil {
		panic(err)
	}
	return raw
}

const protobuf = "application/x-protobuf"

// export posts an OTLP request; true when it was acknowledged.
func (s *server) export(signal string, raw []byte) bool {
	status, _, err := send(http.MethodPost, "http://"+s.OTLPHTTP+"/v1/"+signal, protobuf, raw, nil)
	return err == nil && status == http.StatusOK
}

// traffic sends n requests to checkout that ended evenly over the last span,
// every failEvery-th of them failed.
func (s *server) traffic(n int, over time.Duration, failEvery int) {
	s.t.Helper()
	now := time.Now()
	var batch []request
	for i := range n {
		batch = append(batch, request{service: "checkout", failed: failEvery > 0 && i%failEvery == 0,
			took: time.Duration(20+i%30) * time.Millisecond, end: now.Add(-over * time.Duration(n-1-i) / time.Duration(n))})
	}
	raw, _ := traces(batch...)
	if !s.export("traces", raw) {
		s.t.Fatal("spans were not accepted")
	}
}
