package segment

import (
	"bytes"
	"encoding/binary"
	"slices"

	"github.com/klauspost/compress/zstd"
)

// columnsBody returns the body that appendColumns was given, which has size
// bytes. Whatever it is given, it takes no more memory than a small multiple of
// that.
func columnsBody(stored []byte, size int) ([]byte, error) {
	r := &assembler{limit: size, body: make([]byte, 0, size)}
	if !r.open(stored) {
		return nil, errBody
	}
	for r.tokens.left() > 0 {
		if !r.entry() {
			return nil, errBody
		}
	}
	if len(r.body) != size {
		return nil, errBody
	}
	return r.body, nil
}

// maxBlob bounds what a blob may decompress to.
func (r *assembler) maxBlob() uint64 { return 2*uint64(r.limit) + 64<<10 }

// blob takes one compressed stream off the front of data; want is its size, or
// 0 when that is not known.
func (r *assembler) blob(data *stream, want uint64) ([]byte, bool) {
	n, ok := data.uvarint()
	if !ok || want > r.maxBlob() {
		return nil, false
	}
	stored, ok := data.take(n)
	if !ok {
		return nil, false
	}
	var h zstd.Header
	if h.Decode(stored) != nil || !h.HasFCS || h.FrameContentSize > r.maxBlob() {
		return nil, false
	}
	v, err := zstdDecoder.DecodeAll(stored, make([]byte, 0, h.FrameContentSize))
	r.blobs = append(r.blobs, v)
	return v, err == nil && (want == 0 || uint64(len(v)) == want)
}

// columnsContain reports whether every text is in some stream; true as well
// where the streams cannot be read. A field's value is never divided, so a text
// that is in none is in no request.
func columnsContain(stored []byte, size int, texts [][]byte) bool {
	r := &assembler{limit: size}
	if !r.open(stored) {
		return true
	}
	for _, text := range texts {
		if !slices.ContainsFunc(r.blobs, func(b []byte) bool { return bytes.Contains(b, text) }) {
			return false
		}
	}
	return true
}

// assembler puts entries together from columns. After a mistake its methods
// return false.
type assembler struct {
	columns []source
	tokens  stream
	time    uint64
	ids     [idGroups]known
	body    []byte
	limit   int
	blobs   [][]byte // all streams, as they were compressed together
}

// source is a column to read from.
type source struct {
	kind   uint8
	values stream
	head   []byte // what each value begins with: the tag; all of it for constants
}

// known is the identifiers of a group so far, and those to come.
type known struct {
	seen [][]byte
	rest stream
}

// stream is bytes that are read from the front. It moves a position and no
// slice, as writing pointers is dear while the garbage collector works.
type stream struct {
	b  []byte
	at int
}

func (s *stream) left() int { return len(s.b) - s.at }

func (s *stream) uvarint() (uint64, bool) {
	if s.at < len(s.b) && s.b[s.at] < 0x80 {
		s.at++
		return uint64(s.b[s.at-1]), true
	}
	v, n := binary.Uvarint(s.b[s.at:])
	if n <= 0 {
		return 0, false
	}
	s.at += n
	return v, true
}

func (s *stream) take(n uint64) ([]byte, bool) {
	if n > uint64(s.left()) {
		return nil, false
	}
	from := s.at
	s.at += int(n)
	return s.b[from:s.at:s.at], true
}

// open reads the head and cuts the data into streams.
func (r *assembler) open(stored []byte) bool {
	data := stream{b: stored}
	blob, ok := r.blob(&data, 0)
	if !ok {
		return false
	}
	first := stream{b: blob}
	n, ok := first.uvarint()
	if !ok {
		return false
	}
	definitions, ok := first.take(n)
	head := stream{b: definitions}
	if !ok || !r.define(&head) {
		return false
	}
	streams := []*stream{&r.tokens}
	for i := range r.ids {
		streams = append(streams, &r.ids[i].rest)
	}
	for i := range r.columns {
		streams = append(streams, &r.columns[i].values)
	}
	for _, s := range streams {
		size, ok := head.uvarint()
		if !ok {
			return false
		}
		if size < longStream {
			s.b, ok = first.take(size)
		} else {
			s.b, ok = r.blob(&data, size)
		}
		if !ok {
			return false
		}
	}
	return data.left() == 0 && head.left() == 0 && first.left() == 0 && r.columns[0].kind == colTime
}

// define reads the definitions.
func (r *assembler) define(head *stream) bool {
	n, ok := head.uvarint()
	if !ok || n == 0 || n > maxColumns || n > uint64(head.left()) {
		return false
	}
	r.columns = make([]source, n)
	for i := range r.columns {
		if !r.columns[i].define(head) {
			return false
		}
	}
	return true
}

func (c *source) define(data *stream) bool {
	kind, ok := data.take(1)
	if !ok {
		return false
	}
	c.kind = kind[0]
	tag, ok := data.uvarint()
	if !ok || c.kind < colMessage || c.kind >= colID+idGroups {
		return false
	}
	c.head = binary.AppendUvarint(nil, tag)
	if c.kind != colConstant {
		return true
	}
	n, ok := data.uvarint()
	if !ok || n > maxNameLen {
		return false
	}
	constant, ok := data.take(n)
	c.head = append(binary.AppendUvarint(c.head, n), constant...)
	return ok
}

// entry writes one entry.
func (r *assembler) entry() bool {
	if t, ok := r.tokens.uvarint(); !ok || t != 1 || !r.nextTime(&r.columns[0]) {
		return false
	}
	r.body = binary.LittleEndian.AppendUint64(r.body, r.time)
	at := len(r.body)
	r.body = append(r.body, 0, 0, 0, 0)
	if !r.message(0) {
		return false
	}
	binary.LittleEndian.PutUint32(r.body[at:], uint32(len(r.body)-at-4))
	return true
}

// message writes fields until the message ends.
func (r *assembler) message(depth int) bool {
	for {
		t, ok := r.tokens.uvarint()
		if !ok || t > uint64(len(r.columns)) || len(r.body) > r.limit {
			return false
		}
		if t == 0 {
			return true
		}
		c := &r.columns[t-1]
		r.body = append(r.body, c.head...)
		switch c.kind {
		case colConstant:
		case colMessage:
			ok = depth <= maxNesting && r.nested(depth)
		default:
			ok = r.value(c)
		}
		if !ok {
			return false
		}
	}
}

// nested writes a message with its length before it. Most lengths take one or
// two bytes, which is known only afterwards.
func (r *assembler) nested(depth int) bool {
	at := len(r.body)
	r.body = append(r.body, 0)
	if !r.message(depth + 1) {
		return false
	}
	size := uint64(len(r.body) - at - 1)
	if size < 0x80 {
		r.body[at] = byte(size)
		return true
	}
	var buf [binary.MaxVarintLen64]byte
	n := binary.PutUvarint(buf[:], size)
	r.body = slices.Insert(r.body, at+1, buf[1:n]...)
	r.body[at] = buf[0]
	return true
}

func (r *assembler) value(c *source) bool {
	switch c.kind {
	case colTime:
		ok := r.nextTime(c)
		r.body = binary.LittleEndian.AppendUint64(r.body, r.time)
		return ok
	case colVarint:
		v, ok := c.values.uvarint()
		r.body = binary.AppendUvarint(r.body, v)
		return ok
	case colFixed64:
		return r.copy(c, 8)
	case colFixed32:
		return r.copy(c, 4)
	case colBytes:
		n, ok := c.values.uvarint()
		r.body = binary.AppendUvarint(r.body, n)
		return ok && r.copy(c, n)
	}
	return r.id(c)
}

func (r *assembler) copy(c *source, n uint64) bool {
	v, ok := c.values.take(n)
	r.body = append(r.body, v...)
	return ok
}

func (r *assembler) nextTime(c *source) bool {
	u, ok := c.values.uvarint() // zigzag, as binary.AppendVarint writes it
	r.time += u>>1 ^ -(u & 1)
	return ok
}

func (r *assembler) id(c *source) bool {
	g := &r.ids[c.kind-colID]
	n, ok := c.values.uvarint()
	if !ok || n > uint64(len(g.seen)) {
		return false
	}
	if n == 0 {
		size, ok := c.values.uvarint()
		if !ok {
			return false
		}
		v, ok := g.rest.take(size)
		if !ok {
			return false
		}
		g.seen = append(g.seen, v)
		n = uint64(len(g.seen))
	}
	v := g.seen[n-1]
	r.body = binary.AppendUvarint(r.body, uint64(len(v)))
	r.body = append(r.body, v...)
	return true
}
