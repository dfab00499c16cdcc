package segment

import (
	"context"
	"errors"
	"time"

	"github.com/tidegate-io/tidegate/fault"
)

// batch is a group of requests that are committed together. done and err are
// guarded by Log.writing.
type batch[S any] struct {
	entries []pendingEntry[S]
	done    bool
	err     error
}

type pendingEntry[S any] struct {
	arrival int64
	request []byte
	sum     S
	keys    []uint32
}

func newBatch[S any]() *batch[S] { return &batch[S]{} }

// Append stores one request. When it returns nil the request is durable and
// visible to readers. Faults: Invalid for a request that the schema cannot
// read or that is too large, Unavailable when there is no room now (too much
// waiting, disk full, closed). The request is not kept.
func (l *Log[S]) Append(ctx context.Context, arrival time.Time, request []byte) error {
	if err := l.tooLarge(request); err != nil {
		return err
	}
	sum, keys, err := l.schema.Summarise(request)
	if errors.Is(err, ErrEmpty) {
		return nil
	}
	if err != nil {
		return err
	}
	return l.AppendSummarised(ctx, arrival, request, sum, keys)
}

func (l *Log[S]) tooLarge(request []byte) error {
	if len(request) > l.cfg.MaxPending {
		return fault.Invalid("request of %d bytes is larger than %d", len(request), l.cfg.MaxPending)
	}
	return nil
}

// AppendSummarised is [Log.Append] of a request that the caller has looked
// into already: sum and keys are what the schema's Summarise returns for it.
// The log keeps both.
func (l *Log[S]) AppendSummarised(ctx context.Context, arrival time.Time, request []byte, sum S, keys []uint32) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := l.tooLarge(request); err != nil {
		return err
	}
	b, err := l.enqueue(pendingEntry[S]{arrival.UnixNano(), request, sum, keys})
	if err != nil {
		return err
	}
	// Whoever gets the lock first commits for everybody who is waiting.
	l.writing.Lock()
	defer l.writing.Unlock()
	if !b.done {
		l.commitNext()
	}
	return b.err
}

// enqueue adds e to the batch that will be committed next.
func (l *Log[S]) enqueue(e pendingEntry[S]) (*batch[S], error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return nil, fault.Unavailable("%s store is closed", l.cfg.Kind)
	}
	if l.pending > 0 && l.pending+len(e.request) > l.cfg.MaxPending {
		l.refused++
		return nil, fault.Unavailable("%s store is busy: %d bytes are waiting to be written", l.cfg.Kind, l.pending)
	}
	l.pending += len(e.request)
	l.next.entries = append(l.next.entries, e)
	return l.next, nil
}

// commitNext takes the waiting batch and commits it; l.writing is held.
func (l *Log[S]) commitNext() {
	l.mu.Lock()
	b := l.next
	l.next = newBatch[S]()
	closed := l.closed
	var active *part[S]
	if !closed {
		active = l.parts[len(l.parts)-1]
	}
	l.mu.Unlock()

	b.done = true
	if closed {
		b.err = fault.Unavailable("%s store is closed", l.cfg.Kind)
	} else {
		b.err = l.commit(active, b.entries)
	}

	l.mu.Lock()
	for _, e := range b.entries {
		l.pending -= len(e.request)
	}
	if b.err != nil {
		l.refused += uint64(len(b.entries))
	}
	l.mu.Unlock()
	if b.err == nil && l.full(active) {
		l.roll()
	}
}

// commit writes entries to the active segment as one or more frames and
// publishes them. On failure the segment is as before: the next write begins
// at the same offset, and what lies beyond it is not a frame.
func (l *Log[S]) commit(p *part[S], entries []pendingEntry[S]) error {
	var (
		buf, body = l.frames[:0], l.body[:0]
		frames    []frameInfo
		summaries []S
		keys      [][]uint32
	)
	for len(entries) > 0 {
		n := groupSize(entries, l.cfg.FrameBytes)
		f := frameInfo{off: p.size + int64(len(buf)), first: entries[0].arrival, last: entries[0].arrival}
		sums, ks := make([]S, 0, n), entries[0].keys[:0:0]
		body = body[:0]
		for _, e := range entries[:n] {
			body = appendEntry(body, e.arrival, e.request)
			sums, ks = append(sums, e.sum), append(ks, e.keys...)
			f.first, f.last = min(f.first, e.arrival), max(f.last, e.arrival)
		}
		entries = entries[n:]
		f.raw = int64(len(body))
		buf = appendFrame(buf, body, codecS2)
		frames, summaries, keys = append(frames, f), append(summaries, l.merge(sums)), append(keys, sortKeys(ks))
	}
	if cap(buf) <= keepScratch && cap(body) <= keepScratch {
		l.frames, l.body = buf, body
	}
	if err := l.write(p, buf); err != nil {
		return err
	}
	p.add(p.size+int64(len(buf)), codecS2, frames, summaries, keys)
	return nil
}

// keepScratch is the largest buffer that is kept for the next commit.
const keepScratch = 2 << 20

// groupSize returns how many of the entries fit into one frame, at least one.
func groupSize[S any](entries []pendingEntry[S], limit int) int {
	size := 0
	for i, e := range entries {
		size += entryHeader + len(e.request)
		if i > 0 && size > limit {
			return i
		}
	}
	return len(entries)
}

func (l *Log[S]) write(p *part[S], buf []byte) error {
	_, err := p.file.WriteAt(buf, p.size)
	if err == nil && l.cfg.SyncEachCommit {
		err = p.file.Sync()
	}
	if err == nil {
		return nil
	}
	if cutErr := p.file.Truncate(p.size); cutErr != nil {
		l.cfg.Logger.Warn("a failed write could not be cut off; the next one overwrites it", "file", p.name, "error", cutErr)
	}
	return fault.Unavailable("%s store cannot write: %w", l.cfg.Kind, err)
}

// roll seals the active segment by starting another; l.writing is held. If
// that fails, the old one goes on.
func (l *Log[S]) roll() {
	l.mu.Lock()
	active := l.parts[len(l.parts)-1]
	l.mu.Unlock()
	p, err := l.create(active.num + 1)
	if err != nil {
		l.cfg.Logger.Warn("segment cannot be sealed yet", "file", active.name, "error", err)
		return
	}
	l.mu.Lock()
	l.parts = append(l.parts, p)
	l.mu.Unlock()
	l.nudge()
}
