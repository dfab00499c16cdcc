// Package otlp takes OpenTelemetry in: OTLP over gRPC and over HTTP (protobuf
// and JSON), traces, metrics and logs.
//
// A request is checked, made durable, counted and only then answered:
//
//	bytes → wire.Traces.Parse (is it sound?) → TraceStore.AppendTraces → span metrics → answer
//
// The bytes of a trace request are stored as they came and walked once; nothing
// decodes a span until somebody opens it. What the walk sees is counted exactly, every span,
// into calls and durations per service, operation, kind, status, environment
// and version, and into the service graph; every two seconds the counts go to
// the metrics store.
//
// Answers follow the OTLP specification: bytes that are no OTLP are refused
// with what is wrong and where; of a batch that is partly bad the good part is
// kept, and the answer's partial success tells of the rest; what cannot be
// taken right now is refused so that the sender tries again (UNAVAILABLE with
// RetryInfo, 503 with Retry-After). Nothing is dropped silently.
//
// Counting is exact across crashes. A span is counted in the slot of time in
// which it ended, or, when it came too late for that, in the one in which it
// arrived; its arrival is stored with it, so that [New] counts again what the
// metrics store had not been given yet, in the same slots as before.
//
//	r, err := otlp.New(ctx, otlp.Config{Traces: traces, Logs: logs, Metrics: db})
//	go r.Run(ctx)
//	go r.ServeGRPC(ctx, listener)
//	http.Serve(l, r.HTTPHandler())
package otlp
