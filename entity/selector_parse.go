package entity

import (
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/tidegate-io/tidegate/fault"
)

// Limits on selectors, which come from outside.
const (
	maxSelectorLength   = 2000 // what Dynatrace allows as well
	maxSelectorCriteria = 50
	maxSelectorDepth    = 4
)

// ParseSelector parses either form of selector; an empty text gives the
// selector that matches everything. Errors are faults of KindInvalid that
// name the position (counted in characters from 1) and what was expected.
func ParseSelector(text string) (Selector, error) {
	if len(text) > maxSelectorLength {
		return Selector{}, fault.Invalid("selector: %d characters, at most %d are allowed", len(text), maxSelectorLength)
	}
	if !utf8.ValidString(text) {
		return Selector{}, fault.Invalid("selector: not valid UTF-8")
	}
	p := selectorParser{text: text}
	p.space()
	if p.done() {
		return Selector{}, nil
	}
	var s Selector
	for {
		c, err := p.criterion(0)
		if err != nil {
			return Selector{}, err
		}
		s.criteria = append(s.criteria, c)
		if len(s.criteria) > maxSelectorCriteria {
			return Selector{}, fault.Invalid("selector: more than %d criteria", maxSelectorCriteria)
		}
		p.space()
		if p.done() {
			return s, nil
		}
		if !p.take(',') {
			return Selector{}, p.expected("',' or the end")
		}
	}
}

// selectorParser is a recursive-descent parser over text.
type selectorParser struct {
	text string
	pos  int
}

func (p *selectorParser) done() bool { return p.pos >= len(p.text) }

func (p *selectorParser) space() {
	for !p.done() && (p.text[p.pos] == ' ' || p.text[p.pos] == '\t' || p.text[p.pos] == '\n' || p.text[p.pos] == '\r') {
		p.pos++
	}
}

// take consumes c if it comes next, after spaces.
func (p *selectorParser) take(c byte) bool {
	p.space()
	if p.done() || p.text[p.pos] != c {
		return false
	}
	p.pos++
	return true
}

// fail reports a problem at a byte offset.
func (p *selectorParser) fail(at int, format string, args ...any) error {
	column := utf8.RuneCountInString(p.text[:at]) + 1
	return fault.Invalid("selector: position %d: %w", column, fault.Invalid(format, args...))
}

// expected reports that something else than what was found should come next.
func (p *selectorParser) expected(what string) error {
	if p.done() {
		return p.fail(p.pos, "expected %s, found the end", what)
	}
	r, _ := utf8.DecodeRuneInString(p.text[p.pos:])
	return p.fail(p.pos, "expected %s, found %q", what, r)
}

// word consumes a run of characters that need no quoting.
func (p *selectorParser) word() string {
	p.space()
	start := p.pos
	for !p.done() && !strings.ContainsRune("\",()=~ \t\r\n", rune(p.text[p.pos])) {
		p.pos++
	}
	return p.text[start:p.pos]
}

func (p *selectorParser) criterion(depth int) (criterion, error) {
	p.space()
	start := p.pos
	name := p.word()
	if name == "" {
		return criterion{}, p.expected("a criterion such as service=checkout or entityName(\"checkout\")")
	}
	p.space()
	switch {
	case p.take('='):
		return p.ownCriterion(name)
	case p.take('('):
		return p.foreignCriterion(name, start, depth)
	}
	return criterion{}, p.expected("'=' or '(' after " + strconv.Quote(name))
}

// ownCriterion parses what follows "key=".
func (p *selectorParser) ownCriterion(key string) (criterion, error) {
	p.space()
	if p.done() || p.text[p.pos] == ',' {
		return criterion{}, p.expected("a value for " + strconv.Quote(key))
	}
	v, err := p.value()
	if err != nil {
		return criterion{}, err
	}
	c := criterion{values: []string{v}, hasValue: true}
	switch key {
	case "service":
		c.field = fieldService
	case "environment":
		c.field = fieldEnvironment
	case "version":
		c.field = fieldVersion
	case "type":
		c.field = fieldType
		c.values[0] = string(typeNamed(v))
	case "id":
		c.field = fieldID
	default:
		c.field, c.tag = fieldTag, key
	}
	return c, nil
}

// foreignCriterion parses what follows "name(", up to and including ")".
func (p *selectorParser) foreignCriterion(name string, start, depth int) (criterion, error) {
	switch name {
	case "not", "caseSensitive":
		return p.wrapped(name, start, depth)
	}
	c := criterion{foreign: true, foldCase: true}
	one := false
	switch name {
	case "type":
		c.field, one = fieldType, true
	case "entityId":
		c.field = fieldID
	case "entityName":
		c.field, c.op = fieldService, opContains
	case "entityName.contains":
		c.field, c.op = fieldService, opContains
	case "entityName.equals", "entityName.in":
		c.field = fieldService
	case "entityName.startsWith":
		c.field, c.op = fieldService, opStartsWith
	case "tag":
		c.field, one, c.foldCase = fieldTag, true, false
	default:
		return criterion{}, p.fail(start, "unknown criterion %q, expected type, entityId, entityName, entityName.equals, "+
			"entityName.startsWith, entityName.contains, entityName.in, tag, not or caseSensitive", name)
	}
	values, err := p.values()
	if err != nil {
		return criterion{}, err
	}
	if one && len(values) > 1 {
		return criterion{}, p.fail(start, "%s takes one value, found %d", name, len(values))
	}
	switch c.field {
	case fieldTag:
		return c.withTag(values[0]), nil
	case fieldType:
		values[0] = string(typeNamed(values[0]))
	}
	c.values = values
	return c, nil
}

// wrapped parses the inside of not(…) and caseSensitive(…).
func (p *selectorParser) wrapped(name string, start, depth int) (criterion, error) {
	if depth >= maxSelectorDepth {
		return criterion{}, p.fail(start, "nested more than %d deep", maxSelectorDepth)
	}
	c, err := p.criterion(depth + 1)
	if err != nil {
		return criterion{}, err
	}
	if !c.foreign {
		return criterion{}, p.fail(start, "%s takes a criterion such as entityName(\"checkout\"), not key=value", name)
	}
	if !p.take(')') {
		return criterion{}, p.expected("')'")
	}
	if name == "not" {
		c.negated = !c.negated
		return c, nil
	}
	if c.field != fieldService {
		return criterion{}, p.fail(start, "caseSensitive takes a criterion on entityName")
	}
	c.foldCase = false
	return c, nil
}

// values parses a comma-separated list up to and including ")".
func (p *selectorParser) values() ([]string, error) {
	var out []string
	for {
		v, err := p.value()
		if err != nil {
			return nil, err
		}
		if v == "" {
			return nil, p.fail(p.pos, "expected a value that is not empty")
		}
		out = append(out, v)
		if p.take(')') {
			return out, nil
		}
		if !p.take(',') {
			return nil, p.expected("',' or ')'")
		}
	}
}

// value parses a quoted value or a bare word.
func (p *selectorParser) value() (string, error) {
	p.space()
	if !p.take('"') {
		w := p.bare()
		if w == "" {
			return "", p.expected("a value")
		}
		return w, nil
	}
	start := p.pos - 1
	var b strings.Builder
	for !p.done() {
		c := p.text[p.pos]
		p.pos++
		switch {
		case c == '"':
			return b.String(), nil
		case c == '~' && !p.done() && (p.text[p.pos] == '"' || p.text[p.pos] == '~'):
			b.WriteByte(p.text[p.pos])
			p.pos++
		default:
			b.WriteByte(c)
		}
	}
	return "", p.fail(start, "the quote that opens here is never closed")
}

// bare consumes an unquoted value, in which spaces may stand inside.
func (p *selectorParser) bare() string {
	start := p.pos
	for !p.done() && !strings.ContainsRune("\",()=~", rune(p.text[p.pos])) {
		p.pos++
	}
	return strings.TrimSpace(p.text[start:p.pos])
}

// withTag splits "[context]key:value"; the context is not kept, because
// attributes have none.
func (c criterion) withTag(text string) criterion {
	if strings.HasPrefix(text, "[") {
		if _, rest, ok := strings.Cut(text, "]"); ok && rest != "" {
			text = rest
		}
	}
	at := -1
	for i := range len(text) {
		if text[i] == ':' && (i == 0 || text[i-1] != '~') {
			at = i
			break
		}
	}
	key := text
	if at >= 0 {
		key, c.hasValue = text[:at], true
		c.values = []string{text[at+1:]}
	}
	c.tag = strings.ReplaceAll(key, `~:`, ":")
	return c
}

// typeNamed translates the spellings of entity types.
func typeNamed(name string) Type {
	switch strings.ToUpper(name) {
	case "SERVICE":
		return TypeService
	case "PROCESS", "PROCESS_GROUP", "PROCESS_GROUP_INSTANCE":
		return TypeProcess
	case "HOST":
		return TypeHost
	}
	return Type(strings.ToLower(name))
}
