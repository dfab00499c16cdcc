package wire

import (
	"encoding/json"
	"fmt"

	"github.com/tidegate-io/tidegate/telemetry"
)

// Log is the part of a log record that an index needs.
type Log struct {
	Time     uint64 // nanoseconds; the observed time where the record has none
	Severity uint8  // OTLP severity number, 0…24
	TraceID  telemetry.TraceID
	SpanID   telemetry.SpanID
	// Raw is the encoded LogRecord message.
	Raw []byte
}

// WalkLogs visits every record of a raw ExportLogsServiceRequest, in order;
// as [Walk] in every other respect. Ids of the wrong length count as absent.
func WalkLogs(req []byte, visit func(res *Resource, scope []byte, log *Log) error) error {
	var (
		res Resource
		log Log
	)
	item := func(res *Resource, scope []byte, c cursor) error {
		if err := log.read(c); err != nil {
			return err
		}
		return visit(res, scope, &log)
	}
	return walk(req, &res, "log request", item)
}

func (l *Log) read(c cursor) error {
	*l = Log{Raw: c.buf[c.pos:c.end:c.end]}
	var observed uint64
	for c.next() {
		switch c.num {
		case 1:
			if c.is(typeI64) {
				l.Time = c.val
			}
		case 2:
			if c.is(typeVarint) && c.val <= 24 {
				l.Severity = uint8(c.val)
			}
		case 5, 6:
			c.is(typeBytes)
		case 9:
			if c.is(typeBytes) && c.hi-c.lo == len(l.TraceID) {
				copy(l.TraceID[:], c.bytes())
			}
		case 10:
			if c.is(typeBytes) && c.hi-c.lo == len(l.SpanID) {
				copy(l.SpanID[:], c.bytes())
			}
		case 11:
			if c.is(typeI64) {
				observed = c.val
			}
		}
	}
	if l.Time == 0 {
		l.Time = observed
	}
	return c.err("log record")
}

// severities are the short names by (number−1)/4.
var severities = [...]string{"TRACE", "DEBUG", "INFO", "WARN", "ERROR", "FATAL"}

// DecodeLog decodes a visited record fully; errors as in [DecodeSpan]. A body
// that is not a string is rendered as JSON. Where the record has a severity
// number and no text, the text is the number's name.
func DecodeLog(res *Resource, log *Log) (telemetry.LogRecord, error) {
	d := decoder{}
	resource, err := res.Attributes()
	out := telemetry.LogRecord{
		Time: unixNano(log.Time), Ref: res.Ref(), SeverityNumber: int(log.Severity),
		TraceID: log.TraceID, SpanID: log.SpanID, Resource: resource,
	}
	c := cursor{buf: log.Raw, end: len(log.Raw)}
	for c.next() {
		switch {
		case c.num == 3 && c.typ == typeBytes:
			out.Severity = text(c.bytes())
		case c.num == 5 && c.typ == typeBytes:
			out.Body = body(d.value(c.sub(), 0))
		case c.num == 6 && c.typ == typeBytes:
			d.attribute(c.sub(), &out.Attributes)
		case c.num == 11 && c.typ == typeI64:
			out.Observed = unixNano(c.val)
		}
	}
	d.note(&c)
	if out.Severity == "" && log.Severity > 0 {
		out.Severity = severities[(log.Severity-1)/4]
	}
	if err == nil {
		err = d.err("log record")
	}
	return out, err
}

func body(v any) string {
	switch v := v.(type) {
	case nil:
		return ""
	case string:
		return v
	}
	b, err := json.Marshal(v)
	if err != nil { // NaN and infinities have no JSON form
		return fmt.Sprint(v)
	}
	return string(b)
}

// Body returns the text of the record's body, as DecodeLog would. It may
// point into the request.
func (l *Log) Body() []byte {
	c := cursor{buf: l.Raw, end: len(l.Raw)}
	for c.next() {
		if c.num != 5 || c.typ != typeBytes {
			continue
		}
		v := c.sub()
		if v.next() && v.num == 1 && v.typ == typeBytes && v.pos == v.end {
			return valid(v.bytes())
		}
		d := decoder{}
		return []byte(body(d.value(c.sub(), 0)))
	}
	return nil
}
