// Package wire reads OTLP requests in their protobuf encoding without
// decoding them.
//
// A span costs most of its decoding time in attributes that nobody will look
// at. [Walk] therefore visits the spans of a raw ExportTraceServiceRequest and
// reads only what golden signals and indexes need: ids, times, name, kind and
// status; [Traces] holds what it read of a request for several readers.
// Everything else stays where it is, as bytes; [DecodeSpan] decodes
// one span fully when a person, or the evidence code, opens it. [WalkLogs] and
// [DecodeLog] do the same for ExportLogsServiceRequest.
//
//	err := wire.Walk(req, func(res *wire.Resource, scope []byte, span *wire.Span) error {
//		if span.Defect != wire.Sound {
//			rejected++ // report it as OTLP partial success
//			return nil
//		}
//		calls[key(res.Service, span.Name, span.Status)]++
//		return nil
//	})
//
// Invariants:
//   - All byte slices handed out point into the request (or are shared
//     between the spans of one resource): read them before the callback
//     returns, copy what must outlive the request. The *Resource and *Span
//     values are reused for the next span.
//   - Walking allocates nothing per span.
//   - Structurally broken bytes are a fault.Invalid that names the offset, and
//     the part before the damage has been visited by then. A span that is
//     well-formed but breaks the specification is visited with its Defect set.
//   - Requests are prefix-closed under concatenation, as all protobuf messages
//     with only repeated fields are: a || b walks as a followed by b.
//   - Fields that are unknown are skipped; deprecated groups are refused.
//
// Field numbers follow opentelemetry-proto v1 (trace, logs, common, resource).
package wire
