package otlp

import (
	"bytes"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/tidegate-io/tidegate/internal/otlp/wire"
)

// soundSpans returns the request without the spans that the specification
// forbids. Of the scopes only the names are kept.
func soundSpans(t *wire.Traces) []byte {
	var b rebuilder
	for i := range t.Groups {
		g := &t.Groups[i]
		for j := range g.Spans {
			b.add(g.Resource.Raw, g.Scope, g.Spans[j].Raw)
		}
	}
	return b.bytes()
}

// rebuilder puts spans together to a request again: request.1 is a resource
// group, of which 1 is the resource and 2 a scope group, of which 1 is the
// scope (1 is its name) and 2 a span.
type rebuilder struct {
	out, items      []byte
	resource, scope []byte
}

func (b *rebuilder) add(resource, scope, item []byte) {
	if len(b.items) > 0 && (!bytes.Equal(resource, b.resource) || !bytes.Equal(scope, b.scope)) {
		b.close()
	}
	b.resource, b.scope = resource, scope
	b.items = appendField(b.items, 2, item)
}

func (b *rebuilder) close() {
	if len(b.items) == 0 {
		return
	}
	var scope, group []byte
	scope = appendField(scope, 1, appendField(nil, 1, b.scope))
	group = appendField(group, 1, b.resource)
	group = appendField(group, 2, append(scope, b.items...))
	b.out = appendField(b.out, 1, group)
	b.items = b.items[:0]
}

func (b *rebuilder) bytes() []byte {
	b.close()
	return b.out
}

// appendField appends a length-delimited protobuf field.
func appendField(dst []byte, num protowire.Number, v []byte) []byte {
	return protowire.AppendBytes(protowire.AppendTag(dst, num, protowire.BytesType), v)
}
