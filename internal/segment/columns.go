package segment

import (
	"bytes"
	"encoding/binary"
	"errors"
	"sync"
)

// Data that stays is stored by columns: requests are protobuf messages of much
// the same shape, and values of one field are more like each other than like
// what stands beside them in a message. What compresses 539-byte spans to 76
// bytes as they came, compresses them to 50 by columns.
//
// A body in columns is
//
//	head: number of columns | definitions | lengths of the streams
//	streams: tokens | identifiers of each group | values of each column
//
// Long streams are compressed each on its own, as their statistics differ; the
// short ones together with the head:
//
//	length | zstd of (length of head | head | short streams) | { length | zstd of a long stream }…
//
// A definition is kind, tag (as on the wire) and, for constants, the value. The
// tokens are the fields of all messages in order, each the number of its column;
// 0 ends a message. Values are written as the kind says. The definitions are all
// that a reader needs: a Layout is known to the writer only.

// Kind says how the values of a field are written in columns.
type Kind uint8

// The kinds of fields. The zero Kind keeps values as they are.
const (
	// AsIs keeps the value.
	AsIs Kind = iota
	// Into looks into a message field.
	Into
	// Name is a short text that decides which columns the other fields of its
	// message belong to: the key of an attribute.
	Name
	// Time is a 64-bit time in nanoseconds: the difference to the time before
	// it, whatever field that was, is kept.
	Time
	// ID is an identifier that comes again, in this field or in others of its
	// Group: the number of the first time is kept.
	ID
)

// Layout says what is in a message, by field number; fields that are not
// listed are kept as they are.
type Layout map[uint32]Field

// Field is one field of a Layout.
type Field struct {
	Kind   Kind
	Layout Layout // of the message, for Into
	Name   uint32 // the field of that message whose Kind is Name; 0 for none
	Group  uint8  // for ID: below idGroups
}

const (
	idGroups   = 4
	maxColumns = 4096
	maxNameLen = 255
	maxNesting = 32
)

// Kinds of columns.
const (
	colMessage  = 1
	colConstant = 2
	colVarint   = 3
	colFixed64  = 4
	colFixed32  = 5
	colBytes    = 6
	colTime     = 7
	colID       = 8 // and the group
)

// Wire types of protobuf.
const (
	wireVarint  = 0
	wireFixed64 = 1
	wireBytes   = 2
	wireFixed32 = 5
)

// errNotColumns says that a body cannot be written by columns: it is not
// protobuf in the usual form, or too colourful.
var errNotColumns = errors.New("not to be written by columns")

// shredder writes bodies by columns.
type shredder struct {
	columns []column
	tokens  []byte
	time    uint64
	ids     [idGroups]idGroup
}

type column struct {
	kind     uint8
	tag      uint64
	constant []byte
	values   []byte
}

// idGroup is the identifiers of one group, in the order of their first times.
type idGroup struct {
	numbers map[string]uint64
	values  []byte
}

// scope is a place in messages of one shape: what it knows of the fields there.
// Tags of one byte, which are nearly all, are found by index.
type scope struct {
	layout Layout
	common [128]*place
	rare   map[uint64]*place
	named  map[string]*scope // by the value of the Name field
}

// place is a field in a scope.
type place struct {
	Field
	column int
	below  *scope
}

// shred writes a body, a sequence of entries, by columns. It refuses bodies
// that columnsBody would not restore to the byte. The caller calls done.
func shred(body []byte, layout Layout) (*shredder, error) {
	s := shredders.Get().(*shredder)
	s.reset()
	root := &scope{layout: layout}
	arrivals := s.define(colTime, 0)
	err := eachEntry(body, func(arrival int64, request []byte) error {
		s.token(arrivals)
		s.addTime(arrivals, uint64(arrival))
		if err := s.message(request, root, 0); err != nil {
			return err
		}
		s.tokens = append(s.tokens, 0)
		return nil
	})
	if err == nil && len(s.columns) > maxColumns {
		err = errNotColumns
	}
	if err != nil {
		s.done()
		return nil, err
	}
	return s, nil
}

// shredders recycles the memory of columns.
var shredders = sync.Pool{New: func() any { return new(shredder) }}

// done gives the memory back; nothing of s may be used any more.
func (s *shredder) done() {
	if len(s.columns) <= maxColumns {
		shredders.Put(s)
	}
}

func (s *shredder) reset() {
	s.columns, s.tokens, s.time = s.columns[:0], s.tokens[:0], 0
	for i := range s.ids {
		g := &s.ids[i]
		if g.numbers == nil {
			g.numbers = map[string]uint64{}
		}
		clear(g.numbers)
		g.values = g.values[:0]
	}
}

func (s *shredder) define(kind uint8, tag uint64) int {
	n := len(s.columns)
	if n == cap(s.columns) {
		s.columns = append(s.columns, column{})
	} else {
		s.columns = s.columns[:n+1]
	}
	s.columns[n] = column{kind: kind, tag: tag, values: s.columns[n].values[:0]}
	return n
}

func (s *shredder) token(column int) {
	if column < 0x7f {
		s.tokens = append(s.tokens, byte(column+1))
	} else {
		s.tokens = binary.AppendUvarint(s.tokens, uint64(column)+1)
	}
}

// head returns the definitions and the lengths of the streams.
func (s *shredder) head(streams [][]byte) []byte {
	out := binary.AppendUvarint(nil, uint64(len(s.columns)))
	for i := range s.columns {
		c := &s.columns[i]
		out = append(out, c.kind)
		out = binary.AppendUvarint(out, c.tag)
		if c.kind == colConstant {
			out = binary.AppendUvarint(out, uint64(len(c.constant)))
			out = append(out, c.constant...)
		}
	}
	for _, v := range streams {
		out = binary.AppendUvarint(out, uint64(len(v)))
	}
	return out
}

// streams returns what follows the definitions, in order.
func (s *shredder) streams() [][]byte {
	out := [][]byte{s.tokens}
	for i := range s.ids {
		out = append(out, s.ids[i].values)
	}
	for i := range s.columns {
		out = append(out, s.columns[i].values)
	}
	return out
}

// message writes the fields of one message.
func (s *shredder) message(m []byte, at *scope, depth int) error {
	if depth > maxNesting || len(s.columns) > maxColumns {
		return errNotColumns
	}
	for len(m) > 0 {
		tag, n := uint64(m[0]), 1
		if tag >= 0x80 {
			tag, n = binary.Uvarint(m)
		}
		if n <= 0 || overlong(m[:n]) || tag>>3 == 0 || tag>>3 > 1<<29-1 {
			return errNotColumns
		}
		p := s.place(at, tag)
		if p == nil {
			return errNotColumns
		}
		var err error
		if tag&7 == wireBytes {
			m, err = s.bytesField(m[n:], p, at, depth)
		} else {
			m, err = s.number(m[n:], tag, p)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// place finds or makes the place of a field; nil for what protobuf does not
// have any more.
func (s *shredder) place(at *scope, tag uint64) *place {
	if tag < uint64(len(at.common)) {
		if p := at.common[tag]; p != nil {
			return p
		}
	} else if p := at.rare[tag]; p != nil {
		return p
	}
	p := &place{Field: at.layout[uint32(tag>>3)]}
	kind := uint8(0)
	switch tag & 7 {
	case wireVarint:
		kind = colVarint
	case wireFixed64:
		kind = colFixed64
		if p.Kind == Time {
			kind = colTime
		}
	case wireFixed32:
		kind = colFixed32
	case wireBytes:
		kind = colBytes
		switch p.Kind {
		case Into:
			kind = colMessage
			p.below = &scope{layout: p.Layout}
		case ID:
			kind = colID + p.Group
		case Name:
			kind = colConstant
		}
	default:
		return nil
	}
	p.column = s.define(kind, tag)
	if tag < uint64(len(at.common)) {
		at.common[tag] = p
	} else {
		if at.rare == nil {
			at.rare = map[uint64]*place{}
		}
		at.rare[tag] = p
	}
	return p
}

// number writes a field that is a number and returns what follows it.
func (s *shredder) number(m []byte, tag uint64, p *place) ([]byte, error) {
	size := 8
	switch tag & 7 {
	case wireVarint:
		if _, size = binary.Uvarint(m); size <= 0 || overlong(m[:size]) {
			return nil, errNotColumns
		}
	case wireFixed32:
		size = 4
	}
	if size > len(m) {
		return nil, errNotColumns
	}
	s.token(p.column)
	c := &s.columns[p.column]
	if c.kind == colTime {
		s.addTime(p.column, binary.LittleEndian.Uint64(m))
	} else {
		c.values = append(c.values, m[:size]...)
	}
	return m[size:], nil
}

func (s *shredder) addTime(column int, v uint64) {
	c := &s.columns[column]
	c.values = binary.AppendVarint(c.values, int64(v-s.time))
	s.time = v
}

// bytesField writes a field of bytes and returns what follows it.
func (s *shredder) bytesField(m []byte, p *place, at *scope, depth int) ([]byte, error) {
	v, rest, ok := lengthDelimited(m)
	if !ok {
		return nil, errNotColumns
	}
	s.token(p.column)
	c := &s.columns[p.column]
	switch c.kind {
	case colMessage:
		below := p.below
		if p.Name != 0 {
			below = below.of(nameOf(v, p.Name))
		}
		if err := s.message(v, below, depth+1); err != nil {
			return nil, err
		}
		s.tokens = append(s.tokens, 0)
	case colConstant:
		// The scope is the name's, so the value is the same each time, unless a
		// message has two names.
		if len(v) > maxNameLen || c.constant != nil && string(c.constant) != string(v) {
			return nil, errNotColumns
		}
		c.constant = v[:len(v):len(v)]
	case colBytes:
		c.values = append(binary.AppendUvarint(c.values, uint64(len(v))), v...)
	default:
		s.addID(c, v)
	}
	return rest, nil
}

// overlong reports whether a varint has more bytes than it needs.
func overlong(varint []byte) bool { return len(varint) > 1 && varint[len(varint)-1] == 0 }

func lengthDelimited(m []byte) (v, rest []byte, ok bool) {
	size, n := binary.Uvarint(m)
	if n <= 0 || overlong(m[:n]) || size > uint64(len(m)-n) {
		return nil, nil, false
	}
	return m[n : n+int(size)], m[n+int(size):], true
}

// of returns the scope of the messages with a name.
func (at *scope) of(name []byte) *scope {
	if below := at.named[string(name)]; below != nil {
		return below
	}
	if at.named == nil {
		at.named = map[string]*scope{}
	}
	below := &scope{layout: at.layout}
	at.named[string(name)] = below
	return below
}

// nameOf returns the bytes field num of m; it may come anywhere.
func nameOf(m []byte, num uint32) []byte {
	want := uint64(num)<<3 | wireBytes
	for len(m) > 0 {
		tag, n := binary.Uvarint(m)
		if n <= 0 || tag&7 != wireBytes {
			return nil
		}
		v, rest, ok := lengthDelimited(m[n:])
		if !ok || tag == want {
			return v
		}
		m = rest
	}
	return nil
}

// addID writes the number of an identifier, or 0 and its length when it is new.
func (s *shredder) addID(c *column, v []byte) {
	g := &s.ids[c.kind-colID]
	if n, ok := g.numbers[string(v)]; ok {
		c.values = binary.AppendUvarint(c.values, n)
		return
	}
	g.numbers[string(v)] = uint64(len(g.numbers) + 1)
	c.values = append(c.values, 0)
	c.values = binary.AppendUvarint(c.values, uint64(len(v)))
	g.values = append(g.values, v...)
}

// longStream is the length from which on a stream is compressed on its own.
const longStream = 1 << 10

// appendColumns appends the body, written by columns and compressed.
func appendColumns(dst, body []byte, layout Layout) ([]byte, error) {
	s, err := shred(body, layout)
	if err != nil {
		return nil, err
	}
	defer s.done()
	streams := s.streams()
	head := s.head(streams)
	first := append(binary.AppendUvarint(nil, uint64(len(head))), head...)
	for _, v := range streams {
		if len(v) < longStream {
			first = append(first, v...)
		}
	}
	at := len(dst)
	dst = appendBlob(dst, first)
	for _, v := range streams {
		if len(v) >= longStream {
			dst = appendBlob(dst, v)
		}
	}
	// What is there now will be gone: believe it when it is read.
	if back, err := columnsBody(dst[at:], len(body)); err != nil || !bytes.Equal(back, body) {
		return nil, errNotColumns
	}
	return dst, nil
}

func appendBlob(dst, v []byte) []byte {
	blob := columnEncoder.EncodeAll(v, nil)
	return append(binary.AppendUvarint(dst, uint64(len(blob))), blob...)
}
