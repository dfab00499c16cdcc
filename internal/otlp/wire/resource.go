package wire

import (
	"bytes"
	"unicode/utf8"

	"github.com/tidegate-io/tidegate/entity"
	"github.com/tidegate-io/tidegate/telemetry"
)

// Resource is what produced the spans: the attributes that name it, and the
// encoded Resource message for everything else.
type Resource struct {
	Service     []byte // service.name
	Environment []byte // deployment.environment.name, else deployment.environment
	Version     []byte // service.version
	Raw         []byte

	attributes telemetry.Attributes // decoded from Raw, once asked for
}

// Ref returns the service as a value that outlives the request.
func (r *Resource) Ref() entity.Ref {
	return entity.Ref{Service: string(r.Service), Environment: string(r.Environment), Version: string(r.Version)}
}

// Attributes decodes all attributes of the resource. The map is shared by all
// who ask; it must not be changed.
func (r *Resource) Attributes() (telemetry.Attributes, error) {
	if r.attributes != nil {
		return r.attributes, nil
	}
	d := decoder{}
	c := cursor{buf: r.Raw, end: len(r.Raw)}
	var out telemetry.Attributes
	for c.next() {
		if c.num == 1 && c.is(typeBytes) {
			d.attribute(c.sub(), &out)
		}
	}
	d.note(&c)
	err := d.err("resource")
	if err == nil {
		r.attributes = out
	}
	return out, err
}

// read fills r from the Resource message under c.
func (r *Resource) read(c cursor) error {
	*r = Resource{Raw: c.buf[c.pos:c.end:c.end]}
	var legacy []byte
	for c.next() {
		if c.num != 1 || !c.is(typeBytes) {
			continue
		}
		key, value, err := stringAttribute(c.sub())
		if err != nil {
			return err
		}
		switch string(key) {
		case "service.name":
			r.Service = valid(value)
		case "service.version":
			r.Version = valid(value)
		case "deployment.environment.name":
			r.Environment = valid(value)
		case "deployment.environment":
			legacy = valid(value)
		}
	}
	if r.Environment == nil {
		r.Environment = legacy
	}
	return c.err("resource")
}

// stringAttribute reads a KeyValue; value is nil unless it is a string.
func stringAttribute(c cursor) (key, value []byte, err error) {
	for c.next() {
		switch c.num {
		case 1:
			if c.is(typeBytes) {
				key = c.bytes()
			}
		case 2:
			if !c.is(typeBytes) {
				break
			}
			v := c.sub()
			for v.next() {
				if v.num == 1 && v.is(typeBytes) {
					value = v.bytes()
				}
			}
			if v.bad != "" {
				return nil, nil, v.err("attribute value")
			}
		}
	}
	return key, value, c.err("attribute")
}

// valid replaces what is not UTF-8; it returns b itself in the normal case.
func valid(b []byte) []byte {
	if utf8.Valid(b) {
		return b
	}
	return bytes.ToValidUTF8(b, []byte("\uFFFD"))
}
