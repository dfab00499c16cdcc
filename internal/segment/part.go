package segment

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"
)

// fileHeader is what every segment file begins with, followed by the kind of
// its log, padded with zeros to eight bytes.
const (
	fileHeader     = "TGSEG001"
	fileHeaderSize = 16
)

// part is one segment in memory. It is open for reading as long as somebody
// holds a reference; the log holds one while the segment is listed.
type part[S any] struct {
	num    uint64 // number of the file
	serial uint64 // unique in this process: a rewritten segment gets a new one
	name   string
	file   File
	refs   atomic.Int32

	mu     sync.RWMutex
	size   int64
	frames []frameInfo
	since  time.Time // when the segment was made or opened, for sealing by age
	dirty  bool      // written but not synced
	damage []Damage
	codec  uint32 // of the last frame

	// The index is in memory until the segment is sealed and indexed, and on
	// disk afterwards.
	summaries []S
	keys      [][]uint32
	disk      *diskIndex[S]
}

// frameInfo places one frame. Arrivals are nanoseconds since the epoch.
type frameInfo struct {
	off         int64
	first, last int64 // arrival of the first and the last entry
	raw         int64 // bytes before compression
}

// Damage is a place where stored data was lost.
type Damage struct {
	File   string `json:"file"`
	Offset int64  `json:"offset"`
	Bytes  int64  `json:"bytes"`
	Reason string `json:"reason"`
}

func (p *part[S]) indexName() string { return p.name[:len(p.name)-len(".seg")] + ".idx" }

// release gives up one reference; the last one closes the files.
func (p *part[S]) release() error {
	if p.refs.Add(-1) > 0 {
		return nil
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	err := p.file.Close()
	if p.disk != nil {
		err = errors.Join(err, p.disk.file.Close())
	}
	return err
}

// info returns the place of frame n and the offset where the next begins.
func (p *part[S]) info(n int) (f frameInfo, end int64) {
	p.mu.RLock()
	defer p.mu.RUnlock()
	if n+1 < len(p.frames) {
		return p.frames[n], p.frames[n+1].off
	}
	return p.frames[n], p.size
}

// add publishes frames that are on file up to size.
func (p *part[S]) add(size int64, codec uint32, frames []frameInfo, summaries []S, keys [][]uint32) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.size, p.codec, p.dirty = size, codec, true
	p.frames = append(p.frames, frames...)
	p.summaries = append(p.summaries, summaries...)
	p.keys = append(p.keys, keys...)
}

// note records damage once per place; it reports whether it is new.
func (p *part[S]) note(d Damage) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, have := range p.damage {
		if have.Offset == d.Offset {
			return false
		}
	}
	p.damage = append(p.damage, d)
	return true
}

// sync flushes what was written to the disk.
func (p *part[S]) sync() error {
	p.mu.Lock()
	dirty := p.dirty
	p.dirty = false
	p.mu.Unlock()
	if !dirty {
		return nil
	}
	if err := p.file.Sync(); err != nil {
		p.mu.Lock()
		p.dirty = true
		p.mu.Unlock()
		return fmt.Errorf("sync %s: %w", p.name, err)
	}
	return nil
}

// header returns the bytes that a file of this kind begins with.
func header(kind string) []byte {
	h := make([]byte, fileHeaderSize)
	copy(h, fileHeader)
	copy(h[8:], kind)
	return h
}

func segmentName(dir string, num uint64) string {
	return filepath.Join(dir, fmt.Sprintf("%08d.seg", num))
}

// create makes the file of a new, empty segment.
func (l *Log[S]) create(num uint64) (*part[S], error) {
	name := segmentName(l.cfg.Dir, num)
	f, err := l.cfg.OpenFile(name, os.O_RDWR|os.O_CREATE, 0o640)
	if err != nil {
		return nil, fmt.Errorf("new segment: %w", err)
	}
	if _, err := f.WriteAt(header(l.cfg.Kind), 0); err != nil {
		return nil, errors.Join(fmt.Errorf("new segment: %w", err), f.Close(), os.Remove(name))
	}
	if err := syncDir(l.cfg.Dir); err != nil {
		return nil, errors.Join(fmt.Errorf("new segment: %w", err), f.Close(), os.Remove(name))
	}
	return l.newPart(num, name, f), nil
}

func (l *Log[S]) newPart(num uint64, name string, f File) *part[S] {
	p := &part[S]{num: num, serial: l.serial.Add(1), name: name, file: f, size: fileHeaderSize, since: l.cfg.Clock(), codec: codecS2}
	p.refs.Store(1)
	return p
}

// scan rebuilds the in-memory index of p from the file, which has fileSize
// bytes. Unreadable stretches between frames become damage; what follows the
// last good frame is left beyond p.size for the caller to judge.
func (l *Log[S]) scan(p *part[S], fileSize int64) error {
	p.size, p.frames, p.summaries, p.keys, p.damage = fileHeaderSize, nil, nil, nil, nil
	for off := int64(fileHeaderSize); off < fileSize; {
		f, err := readFrame(p.file, off, fileSize-off)
		if err == nil {
			err = l.summarise(p, frameInfo{off: off, raw: int64(len(f.body))}, f.body)
		}
		if err == nil {
			off += f.size
			p.size, p.codec = off, f.codec
			continue
		}
		if !isDamage(err) {
			return err
		}
		next, findErr := nextFrame(p.file, off+1, fileSize)
		if findErr != nil {
			return findErr
		}
		if next < 0 {
			return nil // a tail, torn or damaged: nothing readable follows
		}
		p.damage = append(p.damage, Damage{File: filepath.Base(p.name), Offset: off, Bytes: next - off, Reason: err.Error()})
		off = next
	}
	return nil
}

// summarise adds the index of one frame to p. A body that its schema does not
// understand is damage.
func (l *Log[S]) summarise(p *part[S], f frameInfo, body []byte) error {
	var (
		sums []S
		keys []uint32
	)
	err := eachEntry(body, func(arrival int64, request []byte) error {
		s, k, err := l.schema.Summarise(request)
		if err != nil {
			return fmt.Errorf("%w: %w", errBody, err)
		}
		if len(sums) == 0 {
			f.first, f.last = arrival, arrival
		}
		f.first, f.last = min(f.first, arrival), max(f.last, arrival)
		sums, keys = append(sums, s), append(keys, k...)
		return nil
	})
	if err != nil {
		return err
	}
	if len(sums) == 0 {
		return errBody
	}
	p.frames = append(p.frames, f)
	p.summaries = append(p.summaries, l.merge(sums))
	p.keys = append(p.keys, sortKeys(keys))
	return nil
}

// merge merges the summaries of a group, most often of one.
func (l *Log[S]) merge(sums []S) S {
	if len(sums) == 1 {
		return sums[0]
	}
	return l.schema.Merge(sums)
}

// nextFrame returns the offset of the first whole frame at or after off, or
// -1 if there is none.
func nextFrame(r io.ReaderAt, off, end int64) (int64, error) {
	buf := make([]byte, 256<<10)
	for off+frameHeader <= end {
		n, err := r.ReadAt(buf[:min(int64(len(buf)), end-off)], off)
		if err != nil && !errors.Is(err, io.EOF) {
			return 0, readError(err)
		}
		for i := 0; i+4 <= n; i++ {
			if binary.LittleEndian.Uint32(buf[i:]) != frameMagic {
				continue
			}
			_, err := readFrame(r, off+int64(i), end-off-int64(i))
			if err == nil {
				return off + int64(i), nil
			}
			if !isDamage(err) {
				return 0, err
			}
		}
		if n < 4 {
			break
		}
		off += int64(n) - 3 // a magic number may lie across the boundary
		if n < len(buf) {
			break
		}
	}
	return -1, nil
}
