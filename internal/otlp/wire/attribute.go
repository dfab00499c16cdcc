package wire

import (
	"bytes"
	"strconv"
)

// Attribute returns one attribute of the span, or else of its resource, as
// text: numbers in decimal, arrays and maps as JSON. It decodes nothing else.
func (s *Span) Attribute(res *Resource, key string) (value string, ok bool) {
	if value, ok = attributeText(s.Raw, 9, key); ok {
		return value, true
	}
	return attributeText(res.Raw, 1, key)
}

// attributeText finds key among the KeyValue fields num of message.
func attributeText(message []byte, num uint32, key string) (string, bool) {
	if !bytes.Contains(message, []byte(key)) {
		return "", false
	}
	c := cursor{buf: message, end: len(message)}
	for c.next() {
		if c.num != num || c.typ != typeBytes {
			continue
		}
		if kv := c.sub(); !keyIs(kv, key) {
			continue
		}
		d := decoder{}
		_, v := d.keyValue(c.sub(), 0)
		switch v := v.(type) {
		case int64:
			return strconv.FormatInt(v, 10), true
		case float64:
			return strconv.FormatFloat(v, 'g', -1, 64), true
		}
		return body(v), true
	}
	return "", false
}

func keyIs(kv cursor, key string) bool {
	for kv.next() {
		if kv.num == 1 && kv.typ == typeBytes {
			return string(kv.bytes()) == key
		}
	}
	return false
}
