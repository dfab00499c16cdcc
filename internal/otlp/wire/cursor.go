package wire

import (
	"encoding/binary"

	"github.com/tidegate-io/tidegate/fault"
)

// Protobuf wire types.
const (
	typeVarint = 0
	typeI64    = 1
	typeBytes  = 2
	typeI32    = 5
)

// cursor steps over the fields of one message inside buf. Positions are
// absolute, so errors can name them. A failed cursor stays failed.
type cursor struct {
	buf      []byte
	pos, end int

	// The field just read.
	num    uint32
	typ    uint8
	val    uint64 // varint, I32 and I64 fields
	lo, hi int    // bytes fields: buf[lo:hi]

	bad   string // what is wrong, empty while nothing is
	badAt int
}

// sub returns a cursor over the bytes field that c has just read.
func (c *cursor) sub() cursor { return cursor{buf: c.buf, pos: c.lo, end: c.hi} }

// bytes returns the content of the bytes field that c has just read.
func (c *cursor) bytes() []byte { return c.buf[c.lo:c.hi:c.hi] }

// next reads one field; false at the end of the message or when it is broken.
func (c *cursor) next() bool {
	if c.pos >= c.end || c.bad != "" {
		return false
	}
	start := c.pos
	tag := uint64(c.buf[start])
	if tag < 0x80 {
		c.pos++
	} else if !c.varint(&tag) {
		return false
	}
	c.num, c.typ = uint32(tag>>3), uint8(tag&7)
	if c.num == 0 || tag>>3 > 1<<29-1 {
		return c.fail(start, "field number out of range")
	}
	switch c.typ {
	case typeVarint:
		return c.varint(&c.val)
	case typeBytes:
		var n uint64
		if c.pos < c.end && c.buf[c.pos] < 0x80 {
			n = uint64(c.buf[c.pos])
			c.pos++
		} else if !c.varint(&n) {
			return false
		}
		if n > uint64(c.end-c.pos) {
			return c.fail(start, "field is longer than the message around it")
		}
		c.lo, c.hi = c.pos, c.pos+int(n)
		c.pos = c.hi
		return true
	case typeI64:
		if c.end-c.pos < 8 {
			return c.fail(start, "truncated 64-bit field")
		}
		c.val = binary.LittleEndian.Uint64(c.buf[c.pos:])
		c.pos += 8
		return true
	case typeI32:
		if c.end-c.pos < 4 {
			return c.fail(start, "truncated 32-bit field")
		}
		c.val = uint64(binary.LittleEndian.Uint32(c.buf[c.pos:]))
		c.pos += 4
		return true
	}
	return c.fail(start, "unsupported wire type")
}

// is reports whether the field just read has the expected type, and fails the
// cursor where it has not.
func (c *cursor) is(typ uint8) bool {
	if c.typ == typ {
		return true
	}
	return c.fail(c.pos, "field has the wrong wire type")
}

func (c *cursor) varint(v *uint64) bool {
	x, n := binary.Uvarint(c.buf[c.pos:c.end])
	if n <= 0 {
		return c.fail(c.pos, "broken varint")
	}
	*v = x
	c.pos += n
	return true
}

func (c *cursor) fail(at int, what string) bool {
	if c.bad == "" {
		c.bad, c.badAt = what, at
	}
	return false
}

// err returns what is wrong, in the words of a client's log.
func (c *cursor) err(message string) error {
	if c.bad == "" {
		return nil
	}
	return fault.Invalid("malformed OTLP %s at byte %d: %s", message, c.badAt, c.bad)
}
