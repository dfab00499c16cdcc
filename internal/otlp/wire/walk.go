package wire

import (
	"unicode/utf8"

	"github.com/tidegate-io/tidegate/telemetry"
)

// Span is the part of a span that golden signals and indexes need.
type Span struct {
	TraceID    telemetry.TraceID
	ID         telemetry.SpanID
	ParentID   telemetry.SpanID
	Start, End uint64 // nanoseconds since the epoch
	Kind       uint8  // OTLP SpanKind, 0…5
	Status     uint8  // OTLP StatusCode: 0 unset, 1 ok, 2 error
	Name       []byte
	// Defect says why the specification forbids this span; Sound if it does not.
	Defect Defect
	// HasEvents tells whether decoding would find events.
	HasEvents bool
	// Raw is the encoded Span message.
	Raw []byte
}

// StatusError is the OTLP status code of a span that failed.
const StatusError = 2

// Duration returns End − Start in nanoseconds, and 0 where the end precedes
// the start (clocks that were set back).
func (s *Span) Duration() uint64 {
	if s.End < s.Start {
		return 0
	}
	return s.End - s.Start
}

// Defect is a reason to reject a single span or log record.
type Defect uint8

// The defects.
const (
	Sound Defect = iota
	BadTraceID
	BadSpanID
	BadParentID
	BadName
)

// String says it as an OTLP partial-success message would.
func (d Defect) String() string {
	switch d {
	case Sound:
		return "sound"
	case BadTraceID:
		return "trace id is not 16 bytes or is all zero"
	case BadSpanID:
		return "span id is not 8 bytes or is all zero"
	case BadParentID:
		return "parent span id is not 8 bytes"
	case BadName:
		return "name is not UTF-8"
	}
	return "unknown defect"
}

// Walk visits every span of a raw ExportTraceServiceRequest, in order. scope
// is the name of the instrumentation scope. An error of visit ends the walk
// and is returned as it is; malformed bytes are a fault.Invalid.
func Walk(req []byte, visit func(res *Resource, scope []byte, span *Span) error) error {
	var (
		res  Resource
		span Span
	)
	item := func(res *Resource, scope []byte, c cursor) error {
		if err := span.read(c); err != nil {
			return err
		}
		return visit(res, scope, &span)
	}
	return walk(req, &res, "trace request", item)
}

// walk is the shape that trace and log requests share: a request holds
// resource groups (field 1), each a resource (1) and scope groups (2), each a
// scope (1) and items (2). Fields may come in any order, so each level is
// passed twice, once for its head and once for its members.
func walk(req []byte, res *Resource, what string, item func(*Resource, []byte, cursor) error) error {
	top := cursor{buf: req, end: len(req)}
	for top.next() {
		if top.num != 1 || !top.is(typeBytes) {
			continue
		}
		head := top.sub()
		*res = Resource{}
		for head.next() {
			if head.num == 1 && head.is(typeBytes) {
				if err := res.read(head.sub()); err != nil {
					return err
				}
			}
		}
		if head.bad != "" {
			return head.err(what)
		}
		group := top.sub()
		for group.next() {
			if group.num != 2 || !group.is(typeBytes) {
				continue
			}
			if err := walkScope(group.sub(), res, what, item); err != nil {
				return err
			}
		}
		if group.bad != "" {
			return group.err(what)
		}
	}
	return top.err(what)
}

func walkScope(c cursor, res *Resource, what string, item func(*Resource, []byte, cursor) error) error {
	var scope []byte
	for head := c; ; {
		if !head.next() {
			if head.bad != "" {
				return head.err(what)
			}
			break
		}
		if head.num == 1 && head.is(typeBytes) {
			name, err := scopeName(head.sub())
			if err != nil {
				return err
			}
			scope = name
		}
	}
	for c.next() {
		if c.num == 2 && c.is(typeBytes) {
			if err := item(res, scope, c.sub()); err != nil {
				return err
			}
		}
	}
	return c.err(what)
}

func scopeName(c cursor) (name []byte, err error) {
	for c.next() {
		if c.num == 1 && c.is(typeBytes) {
			name = c.bytes()
		}
	}
	return name, c.err("instrumentation scope")
}

// read fills s from the Span message under c.
func (s *Span) read(c cursor) error {
	*s = Span{Raw: c.buf[c.pos:c.end:c.end], Defect: BadTraceID}
	traceOK, spanOK, parentOK := false, false, true
	for c.next() {
		switch c.num {
		case 1:
			if c.is(typeBytes) {
				traceOK = c.hi-c.lo == len(s.TraceID)
				copy(s.TraceID[:], c.bytes())
			}
		case 2:
			if c.is(typeBytes) {
				spanOK = c.hi-c.lo == len(s.ID)
				copy(s.ID[:], c.bytes())
			}
		case 4:
			if c.is(typeBytes) {
				parentOK = c.hi == c.lo || c.hi-c.lo == len(s.ParentID)
				copy(s.ParentID[:], c.bytes())
			}
		case 5:
			if c.is(typeBytes) {
				s.Name = c.bytes()
			}
		case 6:
			if c.is(typeVarint) && c.val <= 5 {
				s.Kind = uint8(c.val)
			}
		case 7:
			if c.is(typeI64) {
				s.Start = c.val
			}
		case 8:
			if c.is(typeI64) {
				s.End = c.val
			}
		case 9, 13:
			c.is(typeBytes)
		case 11:
			s.HasEvents = c.is(typeBytes)
		case 15:
			if c.is(typeBytes) {
				st := c.sub()
				for st.next() {
					if st.num == 3 && st.is(typeVarint) && st.val <= StatusError {
						s.Status = uint8(st.val)
					}
				}
				if st.bad != "" {
					return st.err("span status")
				}
			}
		}
	}
	switch {
	case !traceOK || s.TraceID.IsZero():
		s.Defect = BadTraceID
	case !spanOK || s.ID.IsZero():
		s.Defect = BadSpanID
	case !parentOK:
		s.Defect = BadParentID
	case !utf8.Valid(s.Name):
		s.Defect = BadName
	default:
		s.Defect = Sound
	}
	return c.err("span")
}

// Exceptions calls visit with the exception.type of every recorded exception
// of the span, in order; the type may be empty. It stops at malformed events.
func (s *Span) Exceptions(visit func(typ []byte)) {
	if !s.HasEvents {
		return
	}
	c := cursor{buf: s.Raw, end: len(s.Raw)}
	for c.next() {
		if c.num != 11 || c.typ != typeBytes {
			continue
		}
		var name, typ []byte
		for e := c.sub(); e.next(); {
			switch {
			case e.num == 2 && e.typ == typeBytes:
				name = e.bytes()
			case e.num == 3 && e.typ == typeBytes:
				k, v, err := stringAttribute(e.sub())
				if err == nil && string(k) == "exception.type" {
					typ = v
				}
			}
		}
		if string(name) == "exception" {
			visit(valid(typ))
		}
	}
}
