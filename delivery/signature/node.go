package signature

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/tidegate-io/tidegate/fault"
)

// Limits of a file.
const (
	maxMonspec = 1 << 20
	maxDepth   = 20
)

// Error is one mistake in a monspec with its place.
type Error struct {
	Source  string `json:"source"`
	Line    int    `json:"line"`
	Column  int    `json:"column"`
	Path    string `json:"path,omitempty"`
	Message string `json:"message"`
}

// Error returns "file:line:column: path: message".
func (e Error) Error() string {
	text := fmt.Sprintf("%s:%d:%d: ", e.Source, e.Line, e.Column)
	if e.Path != "" {
		text += e.Path + ": "
	}
	return text + e.Message
}

// Errors is every mistake of a file. It is a fault of KindInvalid.
type Errors []Error

// Error joins the messages, one a line.
func (e Errors) Error() string {
	lines := make([]string, len(e))
	for i := range e {
		lines[i] = e[i].Error()
	}
	return strings.Join(lines, "\n")
}

// As lets errors.As find a *fault.Error of KindInvalid.
func (e Errors) As(target any) bool {
	f, ok := target.(**fault.Error)
	if ok {
		*f = &fault.Error{Kind: fault.KindInvalid, Err: errors.New(e.Error())}
	}
	return ok
}

// node is a JSON value that knows where it stands.
type node struct {
	at      int // byte offset
	value   any // string, json.Number, bool or nil of a scalar
	members []member
	items   []node
	kind    byte // '{', '[' or 0
}

type member struct {
	key string
	at  int
	node
}

// describe says what a node is, for messages.
func (n *node) describe() string {
	switch {
	case n.kind == '{':
		return "an object"
	case n.kind == '[':
		return "a list"
	case n.value == nil:
		return "null"
	}
	if s, ok := n.value.(string); ok {
		return strconv.Quote(s)
	}
	return fmt.Sprint(n.value)
}

// jsonReader builds nodes from tokens.
type jsonReader struct {
	data []byte
	dec  *json.Decoder
}

// parseJSON reads one JSON value; the error is at a byte offset.
func parseJSON(data []byte) (n node, at int, err error) {
	r := jsonReader{data: data, dec: json.NewDecoder(bytes.NewReader(data))}
	r.dec.UseNumber()
	if n, err = r.value(0); err == nil {
		if at := r.next(); at < len(data) {
			return n, at, errors.New("expected the end of the file")
		}
		return n, 0, nil
	}
	var syntax *json.SyntaxError
	switch {
	case errors.As(err, &syntax):
		return n, max(int(syntax.Offset)-1, 0), err
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return n, len(data), errors.New("the file ends here: expected more")
	}
	return n, int(r.dec.InputOffset()), err
}

// next is where the next token starts.
func (r *jsonReader) next() int {
	at := int(r.dec.InputOffset())
	for at < len(r.data) && strings.IndexByte(" \t\r\n,:", r.data[at]) >= 0 {
		at++
	}
	return at
}

func (r *jsonReader) value(depth int) (node, error) {
	n := node{at: r.next()}
	if depth > maxDepth {
		return n, fmt.Errorf("nested more than %d deep", maxDepth)
	}
	t, err := r.dec.Token()
	if err != nil {
		return n, err
	}
	open, ok := t.(json.Delim)
	if !ok {
		n.value = t
		return n, nil
	}
	n.kind = byte(open)
	for r.dec.More() {
		if n.kind == '[' {
			item, err := r.value(depth + 1)
			if err != nil {
				return n, err
			}
			n.items = append(n.items, item)
			continue
		}
		m := member{at: r.next()}
		key, err := r.dec.Token()
		if err != nil {
			return n, err
		}
		m.key, _ = key.(string) // the decoder has checked it
		if m.node, err = r.value(depth + 1); err != nil {
			return n, err
		}
		n.members = append(n.members, m)
	}
	_, err = r.dec.Token()
	return n, err
}

// position is the line and column, in characters from 1, of a byte offset.
func position(data []byte, at int) (line, column int) {
	before := data[:min(at, len(data))]
	start := bytes.LastIndexByte(before, '\n') + 1
	return bytes.Count(before, []byte{'\n'}) + 1, utf8.RuneCount(before[start:]) + 1
}
