// Package segment keeps requests, as they were received, in append-only files
// and finds them again through small derived indexes. The trace store and the
// log store are two schemas over it.
//
// A [Log] is a directory of numbered segments. A segment is a sequence of
// frames; a frame is a compressed group of entries; an entry is one request
// with its time of arrival:
//
//	00000007.seg   header, frame, frame, frame …     the truth
//	00000007.idx   frame table, summaries, keys      derived, rebuilt when missing or damaged
//
// Requests that arrive together are committed together: one frame, one write.
// [Log.Append] returns when the bytes are with the operating system, so they
// survive the death of the process; they are synced to the disk every
// SyncEvery (or with every commit), so a power cut costs at most that much.
//
// Data that has aged is rewritten in larger frames that are compressed harder:
// by columns where the schema gives a [Layout] of its messages, which restores
// each request to the byte. This takes a share of a core and yields to ingest.
//
// What a frame holds is known to its [Schema] only: a summary S, by which
// queries skip frames, and 32-bit keys (hashes of trace ids), by which
// [Log.Lookup] finds the few frames that can hold an id.
//
// Lifecycle: Open recovers, Run seals, indexes, re-encodes, syncs and retires
// in the background, Close syncs and ends. The last segment is the active one;
// it is sealed by size, number of frames, or age. Only Run makes goroutines.
//
//	log, err := segment.Open(segment.Config{Dir: dir, Kind: "traces"}, schema)
//	err = log.Append(ctx, time.Now(), request)
//	for _, f := range log.Lookup(key) {
//		entries, err := f.Entries()
//	}
//
// Invariants:
//   - A frame is whole or it is not there: a checksum covers every byte, and
//     what follows the last whole frame of the active segment (a torn tail)
//     is cut at Open.
//   - Damage elsewhere costs only the frames it touches. It is reported with
//     file name and offset in [Log.Stats]; a file that holds no readable frame
//     is set aside as NAME.damaged.
//   - A write that fails (a full disk) leaves the log as it was; callers get
//     fault.Unavailable and may retry; the next write starts at the same place.
//   - Indexes are never trusted over the segment: an index whose checksum or
//     segment size does not fit is built again.
//   - Whole segments are deleted, never parts; oldest first.
//   - Waiting data is bounded: beyond MaxPending, Append refuses.
package segment
