// Package logstore is the embedded log store: every record that arrives is
// kept whole, durable when [Store.Append] returns, and found by service,
// severity, trace id, text and time at once.
//
// Like the trace store it is a schema over package segment: requests are
// stored as received, in compressed frames. Of each frame it remembers which
// services it holds up to which severity, the span of times, the templates of
// its lines with their counts, and the hashes of trace ids; text is searched in
// what these leave.
//
//	store, err := logstore.Open(logstore.Config{Dir: dir, MaxAge: 72 * time.Hour})
//	go store.Run(ctx)
//	err = store.Append(ctx, time.Now(), request)
//	records, err := store.Logs(ctx, telemetry.LogQuery{MinSeverity: 17, Contains: "declined"})
//
// Invariants:
//   - A summary never says no to a frame that holds a match.
//   - A record without any time of its own has the time of its arrival.
//   - A record that a client sends twice is stored twice: log records have
//     no identity.
package logstore
