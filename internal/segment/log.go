package segment

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/tidegate-io/tidegate/fault"
)

// Log is an open directory of segments. Safe for concurrent use.
type Log[S any] struct {
	cfg    Config
	schema Schema[S]
	cache  *cache
	serial atomic.Uint64
	wake   chan struct{} // tells Run that a segment was sealed
	unlock func() error
	retry  time.Time // used by Run only: no indexing before
	synced time.Time // used by Run only

	writing sync.Mutex // held while a batch is committed; guards the active tail and
	frames  []byte     // scratch space for frames
	body    []byte     // and for one uncompressed body

	mu      sync.Mutex // guards the fields below
	parts   []*part[S] // oldest first, the last one is active
	next    *batch[S]
	pending int // bytes of requests waiting or being written
	closed  bool
	aside   []Damage // files that were set aside
	refused uint64
}

// Open opens the log in cfg.Dir, making the directory if it is missing, and
// recovers what a crash left behind.
func Open[S any](cfg Config, schema Schema[S]) (_ *Log[S], err error) {
	cfg, err = cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(cfg.Dir, 0o750); err != nil {
		return nil, fault.Unavailable("open %s store: %w", cfg.Kind, err)
	}
	unlock, err := lockDir(cfg.Dir)
	if err != nil {
		return nil, err
	}
	l := &Log[S]{cfg: cfg, schema: schema, cache: newCache(cfg.CacheBytes), wake: make(chan struct{}, 1), unlock: unlock, next: newBatch[S]()}
	if err := l.recover(); err != nil {
		for _, p := range l.parts {
			err = errors.Join(err, p.release())
		}
		return nil, errors.Join(fmt.Errorf("open %s store in %s: %w", cfg.Kind, cfg.Dir, err), unlock())
	}
	return l, nil
}

// recover loads the segments that are there and makes sure of an active one.
func (l *Log[S]) recover() error {
	nums, err := segmentNumbers(l.cfg.Dir)
	if err != nil {
		return err
	}
	var last uint64
	for i, num := range nums {
		last = num
		p, err := l.load(num, i == len(nums)-1)
		if err != nil {
			return err
		}
		if p != nil {
			l.parts = append(l.parts, p)
		}
	}
	if n := len(l.parts); n > 0 && l.parts[n-1].num == last && l.appendable(l.parts[n-1]) {
		return nil
	}
	p, err := l.create(last + 1)
	if err != nil {
		return err
	}
	l.parts = append(l.parts, p)
	return nil
}

// appendable reports whether p can be the active segment.
func (l *Log[S]) appendable(p *part[S]) bool {
	return p.disk == nil && len(p.damage) == 0 && p.codec == codecS2 && !l.full(p)
}

func (l *Log[S]) full(p *part[S]) bool {
	return p.size >= l.cfg.SegmentBytes || len(p.frames) >= maxFrames
}

// segmentNumbers lists the segments in dir, ascending, and removes files that
// an interrupted rewrite left behind.
func segmentNumbers(dir string) ([]uint64, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	var nums []uint64
	for _, e := range entries {
		if strings.HasSuffix(e.Name(), ".tmp") {
			if err := os.Remove(filepath.Join(dir, e.Name())); err != nil {
				return nil, err
			}
		}
		base, ok := strings.CutSuffix(e.Name(), ".seg")
		if !ok {
			continue
		}
		if n, err := strconv.ParseUint(base, 10, 64); err == nil {
			nums = append(nums, n)
		}
	}
	slices.Sort(nums)
	return nums, nil
}

// load opens one segment file. It returns nil if nothing in it can be read,
// in which case the file has been set aside (or removed, if it was empty).
func (l *Log[S]) load(num uint64, last bool) (*part[S], error) {
	name := segmentName(l.cfg.Dir, num)
	st, err := os.Stat(name)
	if err != nil {
		return nil, err
	}
	f, err := l.cfg.OpenFile(name, os.O_RDWR, 0)
	if err != nil {
		return nil, err
	}
	p := l.newPart(num, name, f)
	if st.Size() < fileHeaderSize { // a crash while the file was being made
		return nil, errors.Join(f.Close(), os.Remove(name))
	}
	h := make([]byte, fileHeaderSize)
	if _, err := f.ReadAt(h, 0); err != nil {
		return nil, errors.Join(readError(err), f.Close())
	}
	if want := header(l.cfg.Kind); string(h) != string(want) {
		if string(h[:8]) == fileHeader {
			return nil, errors.Join(fault.Conflict("%s holds %q, not %q", name, strings.TrimRight(string(h[8:]), "\x00"), l.cfg.Kind), f.Close())
		}
		return nil, errors.Join(l.setAside(name, st.Size(), "file header is damaged"), f.Close())
	}
	if err := l.loadIndex(p, st.Size()); err == nil {
		return p, nil
	} else if !errors.Is(err, os.ErrNotExist) {
		l.cfg.Logger.Warn("index is built again", "file", p.indexName(), "reason", err)
	}
	if err := l.scan(p, st.Size()); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return l.judgeTail(p, st.Size(), last)
}

// judgeTail decides about the bytes after the last good frame of p.
func (l *Log[S]) judgeTail(p *part[S], fileSize int64, last bool) (*part[S], error) {
	tail := fileSize - p.size
	switch {
	case last && len(p.damage) == 0:
		if tail > 0 {
			l.cfg.Logger.Warn("torn tail is cut", "file", p.name, "offset", p.size, "bytes", tail)
			if err := p.file.Truncate(p.size); err != nil {
				return nil, errors.Join(fmt.Errorf("cut torn tail of %s: %w", p.name, err), p.file.Close())
			}
		}
		return p, nil
	case len(p.frames) == 0 && tail == 0:
		return nil, errors.Join(p.file.Close(), os.Remove(p.name))
	case len(p.frames) == 0:
		return nil, errors.Join(l.setAside(p.name, fileSize, "no readable frame"), p.file.Close())
	case tail > 0:
		p.damage = append(p.damage, Damage{File: filepath.Base(p.name), Offset: p.size, Bytes: tail, Reason: "no readable frame up to the end"})
		p.size = fileSize
	}
	for _, d := range p.damage {
		l.cfg.Logger.Warn("segment is damaged; the rest of it stays readable", "file", d.File, "offset", d.Offset, "bytes", d.Bytes, "reason", d.Reason)
	}
	return p, nil
}

// setAside renames an unreadable file, so that it is neither read nor deleted
// nor in the way.
func (l *Log[S]) setAside(name string, size int64, reason string) error {
	if err := os.Rename(name, name+".damaged"); err != nil {
		return fmt.Errorf("set %s aside: %w", name, err)
	}
	d := Damage{File: filepath.Base(name) + ".damaged", Bytes: size, Reason: reason}
	l.aside = append(l.aside, d)
	l.cfg.Logger.Warn("segment is unreadable and set aside", "file", d.File, "bytes", size, "reason", reason)
	return nil
}

// Close syncs and closes the log. Views that are still open stay readable.
func (l *Log[S]) Close() error {
	l.writing.Lock()
	defer l.writing.Unlock()
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return nil
	}
	l.closed = true
	var err error
	for _, p := range l.parts {
		err = errors.Join(err, p.sync(), p.release())
	}
	l.parts = nil
	return errors.Join(err, l.unlock())
}

// Stats describes a log at one moment.
type Stats struct {
	Segments int       `json:"segments"`
	Frames   int       `json:"frames"`
	Bytes    int64     `json:"bytes" doc:"segments and indexes on disk"`
	RawBytes int64     `json:"rawBytes" doc:"before compression"`
	Oldest   time.Time `json:"oldest,omitzero" doc:"arrival of the oldest entry"`
	Newest   time.Time `json:"newest,omitzero"`
	Pending  int       `json:"pendingBytes" doc:"waiting to be written"`
	Refused  uint64    `json:"refused" doc:"requests refused since start, for lack of room or a failing disk"`
	Damaged  []Damage  `json:"damaged,omitempty"`
}

// Stats returns figures of the log as it is now.
func (l *Log[S]) Stats() Stats {
	l.mu.Lock()
	defer l.mu.Unlock()
	s := Stats{Segments: len(l.parts), Pending: l.pending, Refused: l.refused, Damaged: slices.Clone(l.aside)}
	for _, p := range l.parts {
		p.mu.RLock()
		s.Frames += len(p.frames)
		s.Bytes += p.bytes()
		for _, f := range p.frames {
			s.RawBytes += f.raw
			if t := time.Unix(0, f.first).UTC(); s.Oldest.IsZero() || t.Before(s.Oldest) {
				s.Oldest = t
			}
			if t := time.Unix(0, f.last).UTC(); t.After(s.Newest) {
				s.Newest = t
			}
		}
		s.Damaged = append(s.Damaged, p.damage...)
		p.mu.RUnlock()
	}
	return s
}

// bytes returns the size of p on disk; p.mu is held.
func (p *part[S]) bytes() int64 {
	if p.disk == nil {
		return p.size
	}
	return p.size + p.disk.keysAt + int64(p.disk.table.at[len(p.disk.table.first)])
}

// Replay visits, in the order of storing, every stored request that arrived
// at or after since. The request must not be kept. An error of visit ends it.
func (l *Log[S]) Replay(ctx context.Context, since time.Time, visit func(arrival time.Time, request []byte) error) error {
	v := l.View()
	defer v.Close()
	from := since.UnixNano()
	for i := len(v.parts) - 1; i >= 0; i-- { // views are newest first
		seg := v.Segments()[i]
		for n := range seg.Len() {
			if err := ctx.Err(); err != nil {
				return err
			}
			if info, _ := seg.part.info(n); info.last < from {
				continue
			}
			entries, _, err := seg.Frame(n).read() // once: not for the cache
			if err != nil {
				return err
			}
			for _, e := range entries {
				if e.Arrival.UnixNano() < from {
					continue
				}
				if err := visit(e.Arrival, e.Request); err != nil {
					return err
				}
			}
		}
	}
	return nil
}
