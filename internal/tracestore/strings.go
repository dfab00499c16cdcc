package tracestore

import "encoding/binary"

// stringTable numbers strings in order of appearance.
type stringTable struct {
	numbers map[string]uint64
	list    []string
}

func newStringTable() *stringTable { return &stringTable{numbers: map[string]uint64{}} }

func (t *stringTable) number(s string) uint64 {
	n, ok := t.numbers[s]
	if !ok {
		n = uint64(len(t.list))
		t.numbers[s] = n
		t.list = append(t.list, s)
	}
	return n
}

func (t *stringTable) encode(out []byte) []byte {
	out = binary.AppendUvarint(out, uint64(len(t.list)))
	for _, s := range t.list {
		out = binary.AppendUvarint(out, uint64(len(s)))
		out = append(out, s...)
	}
	return out
}

// reader reads what stringTable and schema.Encode write; after the first
// mistake it reads zeros.
type reader struct {
	b   []byte
	bad bool
}

func (r *reader) uvarint() uint64 {
	v, n := binary.Uvarint(r.b)
	if n <= 0 {
		r.b, r.bad = nil, true
		return 0
	}
	r.b = r.b[n:]
	return v
}

// count reads a number of things, each of which takes at least one byte.
func (r *reader) count() uint64 {
	n := r.uvarint()
	if n > uint64(len(r.b)) {
		r.b, r.bad = nil, true
		return 0
	}
	return n
}

func (r *reader) table() []string {
	var out []string
	for range r.count() {
		n := r.count()
		out = append(out, string(r.b[:n]))
		r.b = r.b[n:]
	}
	return out
}

func (r *reader) pick(table []string) string {
	n := r.uvarint()
	if n >= uint64(len(table)) {
		r.b, r.bad = nil, true
		return ""
	}
	return table[n]
}
