package flag

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"strings"

	"github.com/tidegate-io/tidegate/fault"
)

// DefinitionError says what is wrong with a definition, and where.
type DefinitionError struct {
	File string `json:"file"`
	// Line counts from 1; 0 when the problem is not at a line.
	Line   int    `json:"line,omitempty"`
	Reason string `json:"reason"`
}

// Error gives "file:line: reason".
func (e *DefinitionError) Error() string {
	if e.Line == 0 {
		return e.File + ": " + e.Reason
	}
	return fmt.Sprintf("%s:%d: %s", e.File, e.Line, e.Reason)
}

// Unwrap makes the error a fault of KindInvalid.
func (e *DefinitionError) Unwrap() error { return errDefinition }

var errDefinition = fault.Invalid("invalid flag definition")

// maxDepth bounds the nesting of a document.
const maxDepth = 64

// positions maps each place in a JSON document, written as its path joined by
// NUL, to the line it begins on.
type positions map[string]int

func place(path ...string) string { return strings.Join(path, "\x00") }

// line returns the line of the path, or of the nearest enclosing place.
func (p positions) line(path ...string) int {
	for n := len(path); n >= 0; n-- {
		if line, ok := p[place(path[:n]...)]; ok {
			return line
		}
	}
	return 1
}

// locate checks that the text is one JSON value without repeated keys and
// finds the line of every place in it.
func locate(text []byte) (positions, int, error) {
	s := scanner{text: text, dec: json.NewDecoder(bytes.NewReader(text)), at: positions{}}
	s.dec.UseNumber()
	if err := s.value(nil); err != nil {
		return nil, s.errorLine(err), err
	}
	if _, err := s.dec.Token(); err != io.EOF {
		return nil, s.lineAt(s.dec.InputOffset()), fmt.Errorf("expected the end of the document after its closing brace")
	}
	return s.at, 0, nil
}

// scanner walks a document once, counting lines as it goes.
type scanner struct {
	text   []byte
	dec    *json.Decoder
	at     positions
	offset int64 // up to where lines were counted
	lines  int
}

// lineAt returns the line of an offset; offsets never go backwards.
func (s *scanner) lineAt(offset int64) int {
	offset = min(offset, int64(len(s.text)))
	if offset > s.offset {
		s.lines += bytes.Count(s.text[s.offset:offset], []byte{'\n'})
		s.offset = offset
	}
	return s.lines + 1
}

func (s *scanner) errorLine(err error) int {
	if syntax, ok := err.(*json.SyntaxError); ok {
		return s.lineAt(max(syntax.Offset-1, 0))
	}
	return s.lineAt(s.dec.InputOffset())
}

func (s *scanner) value(path []string) error {
	t, err := s.dec.Token()
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	if err != nil {
		return err
	}
	if _, ok := s.at[place(path...)]; !ok {
		s.at[place(path...)] = s.lineAt(s.dec.InputOffset())
	}
	if len(path) > maxDepth {
		return fmt.Errorf("nested more than %d deep", maxDepth)
	}
	switch t {
	case json.Delim('{'):
		return s.object(path)
	case json.Delim('['):
		return s.array(path)
	}
	return nil
}

func (s *scanner) object(path []string) error {
	for s.dec.More() {
		t, err := s.dec.Token()
		if err != nil {
			return err
		}
		child := append(path[:len(path):len(path)], t.(string))
		if _, ok := s.at[place(child...)]; ok {
			return fmt.Errorf("%s is defined twice", strings.Join(child, "."))
		}
		s.at[place(child...)] = s.lineAt(s.dec.InputOffset())
		if err := s.value(child); err != nil {
			return err
		}
	}
	_, err := s.dec.Token()
	return err
}

func (s *scanner) array(path []string) error {
	for i := 0; s.dec.More(); i++ {
		if err := s.value(append(path[:len(path):len(path)], fmt.Sprint(i))); err != nil {
			return err
		}
	}
	_, err := s.dec.Token()
	return err
}
