// Package tracestore is the embedded trace store: every span that arrives is
// kept whole, durable when [Store.Append] returns, and found by trace id or by
// [telemetry.TraceQuery] at once.
//
// It is a schema over package segment: requests are stored as received, in
// compressed frames. Of each frame it remembers a summary (services with
// environment and version, operations, statuses, durations, start times,
// exception types) that tells searches which frames to skip, and the hashes of
// the trace ids in it. Spans are decoded only when a trace is opened.
//
//	store, err := tracestore.Open(tracestore.Config{Dir: dir, MaxAge: 72 * time.Hour})
//	go store.Run(ctx)
//	err = store.Append(ctx, time.Now(), request)
//	for trace, err := range store.Traces(ctx, telemetry.TraceQuery{Status: telemetry.StatusError}) { … }
//
// Invariants:
//   - The spans of one trace may arrive in any number of requests, late and
//     twice; reading a trace joins them and drops repetitions.
//   - A summary never says no to a frame that holds a match: where it would
//     grow too large (hostile names) it says maybe.
//   - Spans with a wire.Defect are not stored as far as readers can tell.
//
// Searches cost in proportion to the frames that may match, newest first, and
// end when the limit is reached. Attribute conditions are not summarised: a rare
// attribute value without a time range or service reads everything, though it
// walks only the requests that contain the text.
package tracestore
