package segment

import (
	"encoding/binary"
	"errors"
	"sync"
)

// SummaryWriter encodes summaries for a Schema: numbers as uvarints, strings
// as numbers into a table that is written once per segment.
type SummaryWriter struct {
	numbers map[string]uint64
	table   []byte
	body    []byte
}

// Uint writes a number.
func (w *SummaryWriter) Uint(v uint64) { w.body = binary.AppendUvarint(w.body, v) }

// Bool writes a truth value.
func (w *SummaryWriter) Bool(v bool) {
	if v {
		w.body = append(w.body, 1)
	} else {
		w.body = append(w.body, 0)
	}
}

// String writes a string.
func (w *SummaryWriter) String(s string) {
	n, ok := w.numbers[s]
	if !ok {
		if w.numbers == nil {
			w.numbers = map[string]uint64{}
		}
		n = uint64(len(w.numbers))
		w.numbers[s] = n
		w.table = binary.AppendUvarint(w.table, uint64(len(s)))
		w.table = append(w.table, s...)
	}
	w.Uint(n)
}

// Raw writes bytes whose number the reader knows.
func (w *SummaryWriter) Raw(b []byte) { w.body = append(w.body, b...) }

// Bytes returns all that was written.
func (w *SummaryWriter) Bytes() []byte {
	out := binary.AppendUvarint(nil, uint64(len(w.numbers)))
	out = append(out, w.table...)
	return append(out, w.body...)
}

// SummaryReader reads what a SummaryWriter wrote, in the same order. After
// the first mistake it reads zeros; Err tells at the end.
type SummaryReader struct {
	b     []byte
	table []string
	bad   bool
}

var errSummary = errors.New("summaries are malformed")

// NewSummaryReader returns a reader of data.
func NewSummaryReader(data []byte) *SummaryReader {
	r := &SummaryReader{b: data}
	for range r.Count() {
		n := r.Count()
		r.table = append(r.table, string(r.b[:n]))
		r.b = r.b[n:]
	}
	return r
}

// Err returns an error if anything did not fit.
func (r *SummaryReader) Err() error {
	if r.bad || len(r.b) > 0 {
		return errSummary
	}
	return nil
}

// Uint reads a number.
func (r *SummaryReader) Uint() uint64 {
	v, n := binary.Uvarint(r.b)
	if n <= 0 {
		return r.fail()
	}
	r.b = r.b[n:]
	return v
}

// Bool reads a truth value.
func (r *SummaryReader) Bool() bool { return r.Uint() != 0 }

// Count reads the number of things that follow, each of at least one byte.
func (r *SummaryReader) Count() uint64 {
	n := r.Uint()
	if n > uint64(len(r.b)) {
		return r.fail()
	}
	return n
}

// String reads a string.
func (r *SummaryReader) String() string {
	n := r.Uint()
	if n >= uint64(len(r.table)) {
		r.fail()
		return ""
	}
	return r.table[n]
}

// Raw reads len(into) bytes.
func (r *SummaryReader) Raw(into []byte) {
	if len(into) > len(r.b) {
		r.fail()
		return
	}
	r.b = r.b[copy(into, r.b):]
}

func (r *SummaryReader) fail() uint64 {
	r.b, r.bad = nil, true
	return 0
}

// Shared hands out one pointer per value, so that the same names in thousands
// of summaries take memory once. It forgets what it knows when it knows too
// much. Safe for concurrent use; the values must not be changed.
type Shared[T comparable] struct {
	mu   sync.Mutex
	have map[T]*T
}

const maxShared = 16 << 10

// Get returns the pointer for v.
func (s *Shared[T]) Get(v T) *T {
	s.mu.Lock()
	defer s.mu.Unlock()
	if p, ok := s.have[v]; ok {
		return p
	}
	if s.have == nil || len(s.have) >= maxShared {
		s.have = map[T]*T{}
	}
	s.have[v] = &v
	return &v
}
