package segment

import (
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"
)

// View is a set of segments that stays readable until it is closed, whatever
// retention does meanwhile. Its active segment goes on growing.
type View[S any] struct {
	log   *Log[S]
	parts []*part[S] // newest first
	once  sync.Once
}

// View opens a view of all segments.
func (l *Log[S]) View() *View[S] {
	l.mu.Lock()
	defer l.mu.Unlock()
	v := &View[S]{log: l, parts: make([]*part[S], 0, len(l.parts))}
	for i := len(l.parts) - 1; i >= 0; i-- {
		l.parts[i].refs.Add(1)
		v.parts = append(v.parts, l.parts[i])
	}
	return v
}

// Close lets go of the segments.
func (v *View[S]) Close() {
	v.once.Do(func() {
		for _, p := range v.parts {
			if err := p.release(); err != nil {
				v.log.cfg.Logger.Warn("close segment", "file", p.name, "error", err)
			}
		}
	})
}

// Segments returns the segments, newest first.
func (v *View[S]) Segments() []Segment[S] {
	out := make([]Segment[S], len(v.parts))
	for i, p := range v.parts {
		out[i] = Segment[S]{v.log, p}
	}
	return out
}

// Lookup returns every frame that may hold entries with the key, newest first.
func (v *View[S]) Lookup(key uint32) []Frame[S] {
	var out []Frame[S]
	var found []int
	for _, seg := range v.Segments() {
		found = seg.lookup(key, found[:0])
		for i := len(found) - 1; i >= 0; i-- {
			out = append(out, seg.Frame(found[i]))
		}
	}
	return out
}

// Segment is one segment of a view.
type Segment[S any] struct {
	log  *Log[S]
	part *part[S]
}

// Len returns the number of frames.
func (s Segment[S]) Len() int {
	s.part.mu.RLock()
	defer s.part.mu.RUnlock()
	return len(s.part.frames)
}

// Frame returns frame n.
func (s Segment[S]) Frame(n int) Frame[S] { return Frame[S]{s.log, s.part, n} }

// Digest returns the merged summary of a sealed segment; false for one that
// still grows or has not been indexed yet.
func (s Segment[S]) Digest() (digest S, ok bool) {
	s.part.mu.RLock()
	defer s.part.mu.RUnlock()
	if s.part.disk == nil {
		return digest, false
	}
	return s.part.disk.digest, true
}

// Summaries returns the summaries of the frames, in order. They must not be
// changed. A damaged index is replaced by reading the segment itself.
func (s Segment[S]) Summaries() ([]S, error) {
	s.part.mu.RLock()
	disk, summaries := s.part.disk, s.part.summaries
	s.part.mu.RUnlock()
	if disk == nil || summaries != nil {
		return summaries, nil
	}
	summaries, err := s.log.readSummaries(disk)
	if err == nil {
		return summaries, nil
	}
	s.log.cfg.Logger.Warn("summaries are damaged; reading the segment instead", "file", s.part.indexName(), "error", err)
	again := s.log.newPart(s.part.num, s.part.name, s.part.file)
	_, end := s.part.info(s.Len() - 1)
	if err := s.log.scan(again, end); err != nil {
		return nil, err
	}
	s.part.mu.Lock()
	defer s.part.mu.Unlock()
	if len(again.frames) == len(s.part.frames) {
		s.part.summaries = again.summaries
	}
	return again.summaries, nil
}

// lookup appends the numbers of the frames that may hold key.
func (s Segment[S]) lookup(key uint32, out []int) []int {
	s.part.mu.RLock()
	disk, keys := s.part.disk, s.part.keys
	s.part.mu.RUnlock()
	if disk == nil {
		for n, ks := range keys {
			if contains(ks, key) {
				out = append(out, n)
			}
		}
		return out
	}
	found, ok := disk.lookup(key, out)
	if ok {
		return found
	}
	s.log.cfg.Logger.Warn("keys are damaged; every frame of the segment is looked at", "file", s.part.indexName())
	for n := range s.Len() {
		out = append(out, n)
	}
	return out
}

// contains looks key up in sorted keys. Keys are hashes, spread evenly, so the
// place where a key should be is nearly where it is; that halves the time of a
// binary search, of which the active segment takes one per frame.
func contains(keys []uint32, key uint32) bool {
	i := int(uint64(key) * uint64(len(keys)) >> 32)
	for i < len(keys) && keys[i] < key {
		i++
	}
	for i > 0 && keys[i-1] >= key {
		i--
	}
	return i < len(keys) && keys[i] == key
}

// Frame is one frame of a view.
type Frame[S any] struct {
	log  *Log[S]
	part *part[S]
	n    int
}

// Entries visits the requests in the frame. A damaged frame has none; the
// damage is reported in the log's Stats. An error of visit is returned.
func (f Frame[S]) Entries(visit func(Entry) error) error {
	entries, err := f.entries()
	if err != nil {
		return err
	}
	for _, e := range entries {
		if err := visit(e); err != nil {
			return err
		}
	}
	return nil
}

// Containing is Entries, but may leave out requests that do not contain every
// one of the texts. Data in columns is looked through before requests are put
// together from it, which costs a fraction. A text must be what a protobuf
// message holds in one string or bytes field, or part of that.
func (f Frame[S]) Containing(texts [][]byte, visit func(Entry) error) error {
	if _, ok := f.log.cache.get(cacheKey{f.part.serial, f.n}); !ok && len(texts) > 0 {
		info, end := f.part.info(f.n)
		s, err := readStored(f.part.file, info.off, end-info.off)
		if err == nil && s.codec == codecColumns && !columnsContain(s.bytes, s.raw, texts) {
			return nil
		}
		// What is wrong with a frame is found, and reported, by reading it.
	}
	return f.Entries(visit)
}

// entries returns the entries from the cache, or reads them.
func (f Frame[S]) entries() ([]Entry, error) {
	key := cacheKey{f.part.serial, f.n}
	if entries, ok := f.log.cache.get(key); ok {
		return entries, nil
	}
	entries, size, err := f.read()
	if err == nil && len(entries) > 0 {
		f.log.cache.put(key, entries, size)
	}
	return entries, err
}

// read reads the frame, past the cache. It also returns the size of the
// requests.
func (f Frame[S]) read() (entries []Entry, size int, err error) {
	info, end := f.part.info(f.n)
	fr, err := readFrame(f.part.file, info.off, end-info.off)
	if err == nil {
		err = eachEntry(fr.body, func(arrival int64, request []byte) error {
			entries = append(entries, Entry{Arrival: time.Unix(0, arrival).UTC(), Request: request, parsed: new(atomic.Value)})
			return nil
		})
	}
	if err != nil && !isDamage(err) {
		return nil, 0, err
	}
	if err != nil {
		d := Damage{File: filepath.Base(f.part.name), Offset: info.off, Bytes: end - info.off, Reason: err.Error()}
		if f.part.note(d) {
			f.log.cfg.Logger.Warn("frame is damaged; the rest of the segment stays readable", "file", d.File, "offset", d.Offset, "reason", d.Reason)
		}
		return nil, 0, nil
	}
	return entries, len(fr.body), nil
}
