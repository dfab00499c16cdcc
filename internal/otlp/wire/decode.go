package wire

import (
	"encoding/base64"
	"math"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/tidegate-io/tidegate/fault"
	"github.com/tidegate-io/tidegate/telemetry"
)

// maxDepth bounds arrays and maps nested in attribute values.
const maxDepth = 16

var (
	kinds    = [...]telemetry.Kind{telemetry.KindUnspecified, telemetry.KindInternal, telemetry.KindServer, telemetry.KindClient, telemetry.KindProducer, telemetry.KindConsumer}
	statuses = [...]telemetry.Status{telemetry.StatusUnset, telemetry.StatusOK, telemetry.StatusError}
)

// DecodeSpan decodes a visited span fully. The result shares nothing with the
// request; spans of one resource share its attributes. Where attributes, events or links are malformed it returns the rest
// of the span together with a fault.Invalid.
func DecodeSpan(res *Resource, scope []byte, span *Span) (telemetry.Span, error) {
	d := decoder{}
	resource, err := res.Attributes()
	out := telemetry.Span{
		TraceID: span.TraceID, ID: span.ID, ParentID: span.ParentID,
		Ref:      res.Ref(),
		Name:     text(span.Name),
		Kind:     kinds[span.Kind],
		Scope:    text(scope),
		Start:    unixNano(span.Start),
		Duration: time.Duration(min(span.Duration(), math.MaxInt64)),
		Status:   statuses[span.Status],
		Resource: resource,
	}
	if n := countFields(span.Raw, 9); n > 0 {
		out.Attributes = make(telemetry.Attributes, min(n, 64)) // they may all be the same one
	}
	c := cursor{buf: span.Raw, end: len(span.Raw)}
	for c.next() {
		if c.typ != typeBytes {
			continue
		}
		switch c.num {
		case 9:
			d.attribute(c.sub(), &out.Attributes)
		case 11:
			out.Events = append(out.Events, d.event(c.sub()))
		case 13:
			out.Links = append(out.Links, d.link(c.sub()))
		case 15:
			for s := c.sub(); s.next(); {
				if s.num == 2 && s.typ == typeBytes {
					out.StatusMessage = text(s.bytes())
				}
			}
		}
	}
	d.note(&c)
	if err == nil {
		err = d.err("span " + span.ID.String())
	}
	return out, err
}

// countFields returns how many fields num a message has: growing a map costs
// more than counting.
func countFields(message []byte, num uint32) (n int) {
	for c := (cursor{buf: message, end: len(message)}); c.next(); {
		if c.num == num && c.typ == typeBytes {
			n++
		}
	}
	return n
}

// unixNano converts an OTLP time; 0 means unset.
func unixNano(ns uint64) time.Time {
	if ns == 0 {
		return time.Time{}
	}
	return time.Unix(0, int64(min(ns, math.MaxInt64))).UTC()
}

func text(b []byte) string {
	if utf8.Valid(b) { // much the faster way to know
		return string(b)
	}
	return strings.ToValidUTF8(string(b), "\uFFFD")
}

// decoder collects the first thing that was wrong.
type decoder struct{ first error }

func (d *decoder) note(c *cursor) {
	if c.bad != "" && d.first == nil {
		d.first = c.err("message")
	}
}

func (d *decoder) err(what string) error {
	if d.first == nil {
		return nil
	}
	return fault.Invalid("%s: %w", what, d.first)
}

func (d *decoder) event(c cursor) telemetry.Event {
	var e telemetry.Event
	for c.next() {
		switch {
		case c.num == 1 && c.typ == typeI64:
			e.Time = unixNano(c.val)
		case c.num == 2 && c.typ == typeBytes:
			e.Name = text(c.bytes())
		case c.num == 3 && c.typ == typeBytes:
			d.attribute(c.sub(), &e.Attributes)
		}
	}
	d.note(&c)
	return e
}

func (d *decoder) link(c cursor) telemetry.Link {
	var l telemetry.Link
	for c.next() {
		switch {
		case c.num == 1 && c.typ == typeBytes:
			copy(l.TraceID[:], c.bytes())
		case c.num == 2 && c.typ == typeBytes:
			copy(l.SpanID[:], c.bytes())
		case c.num == 4 && c.typ == typeBytes:
			d.attribute(c.sub(), &l.Attributes)
		}
	}
	d.note(&c)
	return l
}

// attribute adds one KeyValue to attrs, which it makes when needed.
func (d *decoder) attribute(c cursor, attrs *telemetry.Attributes) {
	if *attrs == nil {
		*attrs = telemetry.Attributes{}
	}
	key, value := d.keyValue(c, 0)
	(*attrs)[key] = value
}

func (d *decoder) keyValue(c cursor, depth int) (key string, value any) {
	for c.next() {
		switch {
		case c.num == 1 && c.typ == typeBytes:
			key = text(c.bytes())
		case c.num == 2 && c.typ == typeBytes:
			value = d.value(c.sub(), depth)
		}
	}
	d.note(&c)
	return key, value
}

// value decodes an AnyValue; bytes become base64 text, as in OTLP/JSON.
func (d *decoder) value(c cursor, depth int) (out any) {
	if depth >= maxDepth {
		c.fail(c.pos, "attribute value is nested too deeply")
	}
	for c.next() {
		switch {
		case c.num == 1 && c.typ == typeBytes:
			out = text(c.bytes())
		case c.num == 2 && c.typ == typeVarint:
			out = c.val != 0
		case c.num == 3 && c.typ == typeVarint:
			out = int64(c.val)
		case c.num == 4 && c.typ == typeI64:
			out = math.Float64frombits(c.val)
		case c.num == 5 && c.typ == typeBytes:
			list := []any{}
			a := c.sub()
			for a.next() {
				if a.num == 1 && a.typ == typeBytes {
					list = append(list, d.value(a.sub(), depth+1))
				}
			}
			d.note(&a)
			out = list
		case c.num == 6 && c.typ == typeBytes:
			m := map[string]any{}
			l := c.sub()
			for l.next() {
				if l.num == 1 && l.typ == typeBytes {
					k, v := d.keyValue(l.sub(), depth+1)
					m[k] = v
				}
			}
			d.note(&l)
			out = m
		case c.num == 7 && c.typ == typeBytes:
			out = base64.StdEncoding.EncodeToString(c.bytes())
		}
	}
	d.note(&c)
	return out
}
