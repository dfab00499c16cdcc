package segment

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"time"
)

// tinyFrame is the mean frame size, before compression, below which a sealed
// segment is regrouped at once.
const tinyFrame = 32 << 10

// Run seals, indexes, syncs, re-encodes and retires segments until ctx ends.
// What fails is logged and tried again.
func (l *Log[S]) Run(ctx context.Context) error {
	tick := time.NewTicker(l.cfg.SyncEvery)
	defer tick.Stop()
	for {
		l.maintain(ctx)
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		case <-l.wake:
		}
	}
}

// maintain does everything that is due now.
func (l *Log[S]) maintain(ctx context.Context) {
	l.sealByAge()
	if err := l.retire(); err != nil {
		l.cfg.Logger.Warn("retention", "error", err)
	}
	l.syncAll()
	v := l.View()
	defer v.Close()
	sealed := slices.Clone(v.parts[min(1, len(v.parts)):])
	slices.Reverse(sealed) // oldest first
	putOff := func() bool { return ctx.Err() != nil || l.cfg.Clock().Before(l.retry) }
	// Indexing comes first: it is cheap, and what waits for it takes memory.
	for _, p := range sealed {
		if putOff() {
			return
		}
		l.later(ctx, "index segment", p, l.index(p))
	}
	for _, p := range sealed {
		if putOff() {
			return
		}
		if l.worthReencoding(p) {
			l.later(ctx, "re-encode segment", p, l.reencode(ctx, p))
			l.nudge() // there may be more to do, once syncing and retention had their turn
			return
		}
	}
}

// syncAll flushes what was written since the last time.
func (l *Log[S]) syncAll() {
	v := l.View()
	defer v.Close()
	for _, p := range v.parts {
		if err := p.sync(); err != nil {
			l.cfg.Logger.Warn("sync", "error", err)
		}
	}
	l.synced = time.Now()
}

// rest gives way after some work, so that re-encoding takes its share of a
// core and no more, and syncing goes on meanwhile.
func (l *Log[S]) rest(ctx context.Context, worked time.Duration) error {
	if time.Since(l.synced) >= l.cfg.SyncEvery {
		l.syncAll()
	}
	pause := time.Duration(float64(worked) * (1/l.cfg.ReencodeShare - 1))
	if pause <= 0 {
		return ctx.Err()
	}
	t := time.NewTimer(pause)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-t.C:
	}
	return ctx.Err()
}

func (l *Log[S]) active() *part[S] {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.parts) == 0 {
		return nil
	}
	return l.parts[len(l.parts)-1]
}

// later logs what failed and puts off such work for a while: on a full disk it
// would only make things worse.
func (l *Log[S]) later(ctx context.Context, what string, p *part[S], err error) {
	if err == nil || ctx.Err() != nil {
		return
	}
	l.cfg.Logger.Warn(what, "file", p.name, "error", err)
	l.retry = l.cfg.Clock().Add(retryAfter)
}

// retryAfter is how long background work waits after a failure.
const retryAfter = 30 * time.Second

// Waiting returns how many segments are due to be sealed, indexed or
// re-encoded: what Run has before it.
func (l *Log[S]) Waiting() int {
	v := l.View()
	defer v.Close()
	n := 0
	for i, p := range v.parts {
		p.mu.RLock()
		active, indexed := i == 0, p.disk != nil
		due := active && l.dueToSeal(p)
		p.mu.RUnlock()
		if due || !active && (!indexed || l.worthReencoding(p)) {
			n++
		}
	}
	return n
}

// sealByAge seals an active segment that has lasted long enough.
func (l *Log[S]) sealByAge() {
	l.writing.Lock()
	defer l.writing.Unlock()
	if p := l.active(); p != nil && l.dueToSeal(p) {
		l.roll()
	}
}

// dueToSeal reports whether p, the active segment, has lasted long enough.
func (l *Log[S]) dueToSeal(p *part[S]) bool {
	return len(p.frames) > 0 && l.cfg.Clock().Sub(p.since) >= l.cfg.SegmentAge
}

// retire deletes the oldest sealed segments beyond MaxAge and MaxBytes.
func (l *Log[S]) retire() error {
	l.mu.Lock()
	var total int64
	for _, p := range l.parts {
		p.mu.RLock()
		total += p.bytes()
		p.mu.RUnlock()
	}
	var out []*part[S]
	for len(l.parts) > 1 {
		p := l.parts[0]
		p.mu.RLock()
		tooOld := l.cfg.MaxAge > 0 && time.Unix(0, newestArrival(p.frames)).Before(l.cfg.Clock().Add(-l.cfg.MaxAge))
		tooMuch := l.cfg.MaxBytes > 0 && total > l.cfg.MaxBytes
		total -= p.bytes()
		p.mu.RUnlock()
		if !tooOld && !tooMuch {
			break
		}
		out = append(out, p)
		l.parts = l.parts[1:]
	}
	l.mu.Unlock()
	var err error
	for _, p := range out {
		l.cfg.Logger.Info("segment retired", "file", p.name)
		err = errors.Join(err, remove(p.name), remove(p.indexName()), p.release())
	}
	return err
}

// nudge makes Run look for work now.
func (l *Log[S]) nudge() {
	select {
	case l.wake <- struct{}{}:
	default:
	}
}

func newestArrival(frames []frameInfo) int64 {
	var newest int64
	for _, f := range frames {
		newest = max(newest, f.last)
	}
	return newest
}

func remove(name string) error {
	if err := os.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// index moves the index of a sealed segment to disk.
func (l *Log[S]) index(p *part[S]) error {
	p.mu.RLock()
	done, size := p.disk != nil, p.size
	p.mu.RUnlock()
	if done {
		return nil
	}
	if err := l.writeIndex(p); err != nil {
		return err
	}
	fresh := &part[S]{num: p.num, name: p.name}
	if err := l.loadIndex(fresh, size); err != nil {
		return fmt.Errorf("index just written: %w", err)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.disk, p.summaries, p.keys = fresh.disk, nil, nil
	return nil
}

// worthReencoding reports whether a sealed segment should be rewritten: its
// frames are tiny, or it is old enough to be worth the harder compression.
// Damaged segments are left as they are.
func (l *Log[S]) worthReencoding(p *part[S]) bool {
	p.mu.RLock()
	defer p.mu.RUnlock()
	if len(p.frames) == 0 || len(p.damage) > 0 || p.codec != codecS2 {
		return false
	}
	var raw int64
	for _, f := range p.frames {
		raw += f.raw
	}
	tiny := len(p.frames) > 1 && raw/int64(len(p.frames)) < tinyFrame
	old := l.cfg.Clock().Sub(time.Unix(0, newestArrival(p.frames))) > l.cfg.ReencodeAfter
	return tiny || old
}

// reencode rewrites a sealed segment with full frames and harder compression,
// and puts the new one in its place. A crash at any point leaves either the
// old or the new segment; the old index is removed before the change.
func (l *Log[S]) reencode(ctx context.Context, p *part[S]) error {
	tmp := p.name + ".tmp"
	f, err := l.cfg.OpenFile(tmp, os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o640)
	if err != nil {
		return err
	}
	fresh := l.newPart(p.num, p.name, f)
	if err := l.rewrite(ctx, p, fresh); err != nil {
		return errors.Join(err, f.Close(), os.Remove(tmp))
	}
	if err := remove(p.indexName()); err != nil {
		return errors.Join(err, f.Close(), os.Remove(tmp))
	}
	if err := os.Rename(tmp, p.name); err != nil {
		return errors.Join(err, f.Close(), os.Remove(tmp))
	}
	if !l.replace(p, fresh) { // closed meanwhile
		return f.Close()
	}
	return errors.Join(p.release(), l.index(fresh))
}

// rewrite copies all entries of p to fresh and syncs it.
func (l *Log[S]) rewrite(ctx context.Context, p, fresh *part[S]) error {
	if _, err := fresh.file.WriteAt(header(l.cfg.Kind), 0); err != nil {
		return err
	}
	var body []byte
	flush := func() error {
		if len(body) == 0 {
			return nil
		}
		frame := appendStaying(nil, body, l.cfg.Layout)
		if _, err := fresh.file.WriteAt(frame, fresh.size); err != nil {
			return err
		}
		if err := l.summarise(fresh, frameInfo{off: fresh.size, raw: int64(len(body))}, body); err != nil {
			return err
		}
		fresh.size += int64(len(frame))
		body = body[:0]
		return nil
	}
	for n := range p.frames {
		begin := time.Now()
		old, err := readFrame(p.file, p.frames[n].off, p.size-p.frames[n].off)
		if err != nil {
			return err
		}
		err = eachEntry(old.body, func(arrival int64, request []byte) error {
			if len(body) > 0 && len(body)+entryHeader+len(request) > l.cfg.FrameBytes {
				if err := flush(); err != nil {
					return err
				}
			}
			body = appendEntry(body, arrival, request)
			return nil
		})
		if err != nil {
			return err
		}
		if err := l.rest(ctx, time.Since(begin)); err != nil {
			return err
		}
	}
	if err := flush(); err != nil {
		return err
	}
	fresh.codec = codecZstd
	return fresh.file.Sync()
}

// replace lists fresh in the place of p.
func (l *Log[S]) replace(p, fresh *part[S]) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	for i := range l.parts {
		if l.parts[i] == p {
			l.parts[i] = fresh
			return true
		}
	}
	return false
}
