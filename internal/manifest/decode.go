package manifest

import (
	"errors"
	"fmt"
	"reflect"
	"sort"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/tidegate-io/tidegate/fault"
)

// decoder fills Go values from YAML nodes by their json tags. It differs from
// a library decoder in what it says when something is wrong: every mistake
// with line, column, path and the nearest known name, all in one pass.
type decoder struct {
	source string
	env    func(string) (string, bool)
	nodes  map[string]*yaml.Node // by path, for later semantic checks
	errs   Errors
}

// scalar is implemented by the quantities of this package.
type scalar interface {
	parse(text string) error
}

// noder is implemented by types that take the node as it is.
type noder interface {
	fromNode(d *decoder, n *yaml.Node, path string)
}

// rawNode keeps a part for later.
type rawNode struct{ node *yaml.Node }

func (r *rawNode) fromNode(_ *decoder, n *yaml.Node, _ string) { r.node = n }

func valueOf(p any) reflect.Value { return reflect.ValueOf(p).Elem() }

func (d *decoder) fail(n *yaml.Node, path, format string, args ...any) {
	d.errs = append(d.errs, Error{Source: d.source, Line: n.Line, Column: n.Column, Path: path, Message: fmt.Sprintf(format, args...)})
}

// errorAt reports at the node decoded for path, or at its nearest parent.
func (d *decoder) errorAt(path, format string, args ...any) {
	for p := path; ; {
		if n := d.nodes[p]; n != nil {
			d.fail(n, path, format, args...)
			return
		}
		if p == "" {
			d.fail(&yaml.Node{Line: 1, Column: 1}, path, format, args...)
			return
		}
		i := max(strings.LastIndexByte(p, '.'), strings.LastIndexByte(p, '['))
		p = p[:max(i, 0)]
	}
}

func (d *decoder) decode(n *yaml.Node, v reflect.Value, path string) {
	if n.Kind == yaml.AliasNode {
		n = n.Alias
	}
	d.nodes[path] = n
	if v.CanAddr() {
		switch t := v.Addr().Interface().(type) {
		case noder:
			t.fromNode(d, n, path)
			return
		case scalar:
			if n.Kind != yaml.ScalarNode {
				d.fail(n, path, "expected a single value, found %s", describe(n))
				return
			}
			text, ok := d.interpolate(n, path)
			if !ok {
				return
			}
			if err := t.parse(text); err != nil {
				d.fail(n, path, "%v", err)
			}
			return
		}
	}
	switch v.Kind() {
	case reflect.Pointer:
		if n.Tag == "!!null" {
			// "errors:" with nothing after it means "with its defaults" where a
			// struct is expected.
			if v.Type().Elem().Kind() == reflect.Struct {
				v.Set(reflect.New(v.Type().Elem()))
			}
			return
		}
		p := reflect.New(v.Type().Elem())
		d.decode(n, p.Elem(), path)
		v.Set(p)
	case reflect.Struct:
		d.decodeStruct(n, v, path)
	case reflect.Map:
		d.decodeMap(n, v, path)
	case reflect.Slice:
		if n.Kind != yaml.SequenceNode {
			d.fail(n, path, "expected a list, found %s", describe(n))
			return
		}
		v.Set(reflect.MakeSlice(v.Type(), len(n.Content), len(n.Content)))
		for i, c := range n.Content {
			d.decode(c, v.Index(i), fmt.Sprintf("%s[%d]", path, i))
		}
	default:
		d.decodeScalar(n, v, path)
	}
}

func (d *decoder) decodeStruct(n *yaml.Node, v reflect.Value, path string) {
	if n.Kind != yaml.MappingNode {
		d.fail(n, path, "expected fields (%s), found %s", strings.Join(fieldNames(v.Type()), ", "), describe(n))
		return
	}
	fields := fieldsOf(v.Type())
	seen := map[string]bool{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, val := n.Content[i], n.Content[i+1]
		index, ok := fields[key.Value]
		switch {
		case !ok:
			d.fail(key, path, "unknown field %q%s; expected one of %s", key.Value,
				didYouMean(key.Value, fieldNames(v.Type())), strings.Join(fieldNames(v.Type()), ", "))
		case seen[key.Value]:
			d.fail(key, path, "field %q is given twice", key.Value)
		default:
			seen[key.Value] = true
			d.decode(val, v.Field(index), join(path, key.Value))
		}
	}
}

func (d *decoder) decodeMap(n *yaml.Node, v reflect.Value, path string) {
	if n.Kind != yaml.MappingNode {
		d.fail(n, path, "expected name: value pairs, found %s", describe(n))
		return
	}
	m := reflect.MakeMap(v.Type())
	for i := 0; i+1 < len(n.Content); i += 2 {
		e := reflect.New(v.Type().Elem()).Elem()
		d.decode(n.Content[i+1], e, join(path, n.Content[i].Value))
		m.SetMapIndex(reflect.ValueOf(n.Content[i].Value), e)
	}
	v.Set(m)
}

func (d *decoder) decodeScalar(n *yaml.Node, v reflect.Value, path string) {
	if n.Kind != yaml.ScalarNode {
		d.fail(n, path, "expected a single value, found %s", describe(n))
		return
	}
	text, ok := d.interpolate(n, path)
	if !ok {
		return
	}
	var err error
	switch v.Kind() {
	case reflect.String:
		v.SetString(text)
	case reflect.Bool:
		var b bool
		if b, err = strconv.ParseBool(text); err == nil {
			v.SetBool(b)
		}
	case reflect.Int, reflect.Int64:
		var i int64
		if i, err = strconv.ParseInt(text, 10, 64); err == nil {
			v.SetInt(i)
		}
	case reflect.Float64:
		var f float64
		if f, err = strconv.ParseFloat(text, 64); err == nil {
			v.SetFloat(f)
		}
	default:
		panic("manifest: no decoding for " + v.Type().String())
	}
	if err != nil {
		d.fail(n, path, "expected %s, found %q", typeWord(v.Kind()), text)
	}
}

func typeWord(k reflect.Kind) string {
	switch k {
	case reflect.Bool:
		return "true or false"
	case reflect.Float64:
		return "a number"
	}
	return "a whole number"
}

// interpolate replaces ${env.NAME}; other ${…} are left to the domains.
func (d *decoder) interpolate(n *yaml.Node, path string) (string, bool) {
	text, ok := n.Value, true
	for from := 0; ; {
		i := strings.Index(text[from:], "${env.")
		if i < 0 {
			return text, ok
		}
		i += from
		j := strings.IndexByte(text[i:], '}')
		if j < 0 {
			d.fail(n, path, "%q: missing } after ${env.", n.Value)
			return "", false
		}
		name := text[i+len("${env.") : i+j]
		var value string
		found := false
		if d.env != nil {
			value, found = d.env(name)
		}
		if !found {
			d.fail(n, path, "environment variable %s is not set", name)
			return "", false
		}
		text = text[:i] + value + text[i+j+1:]
		from = i + len(value)
	}
}

// fieldsOf maps the json names of a struct's fields to their indexes.
func fieldsOf(t reflect.Type) map[string]int {
	out := make(map[string]int, t.NumField())
	for i := range t.NumField() {
		if name, _, _ := strings.Cut(t.Field(i).Tag.Get("json"), ","); name != "" && name != "-" {
			out[name] = i
		}
	}
	return out
}

func fieldNames(t reflect.Type) []string {
	var out []string
	for name := range fieldsOf(t) {
		out = append(out, name)
	}
	sort.Strings(out)
	return out
}

func describe(n *yaml.Node) string {
	switch n.Kind {
	case yaml.MappingNode:
		return "fields"
	case yaml.SequenceNode:
		return "a list"
	}
	if n.Tag == "!!null" {
		return "nothing"
	}
	return strconv.Quote(n.Value)
}

func join(path, name string) string {
	if path == "" {
		return name
	}
	return path + "." + name
}

// checker reports semantic mistakes at the place of a field.
type checker struct {
	d    *decoder
	path string
}

// at returns a checker for a part.
func (c *checker) at(format string, args ...any) *checker {
	p := fmt.Sprintf(format, args...)
	if !strings.HasPrefix(p, "[") {
		p = join(c.path, p)
	} else {
		p = c.path + p
	}
	return &checker{d: c.d, path: p}
}

func (c *checker) errorf(format string, args ...any) { c.d.errorAt(c.path, format, args...) }

// didYouMean returns ", did you mean X?" for the nearest name, or nothing.
func didYouMean(word string, known []string) string {
	best, bestDistance := "", len(word)/2+2
	for _, k := range known {
		if dist := editDistance(strings.ToLower(word), strings.ToLower(k)); dist < bestDistance {
			best, bestDistance = k, dist
		}
	}
	if best == "" {
		return ""
	}
	return fmt.Sprintf(" (did you mean %q?)", best)
}

// editDistance is Levenshtein's, over bytes.
func editDistance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := 1; i <= len(a); i++ {
		diag := row[0]
		row[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			diag, row[j] = row[j], min(row[j]+1, row[j-1]+1, diag+cost)
		}
	}
	return row[len(b)]
}

// fault reports a domain's error, at the field it names where it names one.
func (c *checker) fault(err error) {
	var f *fault.Error
	if errors.As(err, &f) && f.Field != "" {
		c.d.errorAt(f.Field, "%v", f.Err)
		return
	}
	c.errorf("%v", err)
}
