package condition

import (
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"time"
)

// Fields returns a Check for variables that are the JSON of Go values: a field
// that the type of a variable does not have is unknown. extra names fields that
// are there besides, by the path of their object ("cause.change"). What is
// below a map, a list or a value that writes its JSON itself is not checked.
func Fields(variables map[string]reflect.Type, extra map[string][]string) Check {
	return func(path []string) string {
		t, known := variables[path[0]]
		if !known {
			return ""
		}
		for i, name := range path[1:] {
			t = object(t)
			if t == nil {
				return ""
			}
			at := strings.Join(path[:i+1], ".")
			next, found := field(t, name)
			if !found && !slices.Contains(extra[at], name) {
				return fmt.Sprintf("%s has no field %q%s", at, name, Nearest(name, append(fieldNames(t), extra[at]...)))
			}
			if t = next; t == nil {
				return ""
			}
		}
		return ""
	}
}

// maxFill bounds how deep RecordFrom fills in what is not there.
const maxFill = 6

// RecordFrom is the JSON of a Go value as a record. What the JSON leaves out
// because it is empty is there all the same, as its type has it: 0, false, an
// empty list, or an object whose fields are empty. Of a text nothing is there,
// which is the empty text, so that has() tells.
func RecordFrom(v any) (Record, error) {
	b, err := json.Marshal(v)
	if err != nil {
		return nil, err
	}
	r, err := RecordOf(b)
	if err != nil {
		return nil, err
	}
	fill(r, reflect.TypeOf(v), maxFill)
	return r, nil
}

func fill(r map[string]any, t reflect.Type, depth int) {
	if t = object(t); t == nil || depth == 0 {
		return
	}
	for _, f := range reflect.VisibleFields(t) {
		name := jsonName(f)
		if name == "" {
			continue
		}
		if r[name] == nil {
			if r[name] = empty(f.Type); r[name] == nil {
				delete(r, name)
				continue
			}
		}
		if inner, ok := r[name].(map[string]any); ok {
			fill(inner, f.Type, depth-1)
		}
	}
}

// empty is how a value of a type reads that is not there; nil for texts and for
// what writes its JSON itself.
func empty(t reflect.Type) any {
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	switch {
	case object(t) != nil, t.Kind() == reflect.Map:
		return map[string]any{}
	case t.Kind() == reflect.Struct, t.Implements(writesItself), reflect.PointerTo(t).Implements(writesItself):
		return nil
	}
	switch t.Kind() {
	case reflect.Slice:
		return []any{}
	case reflect.Bool:
		return false
	case reflect.Float32, reflect.Float64:
		return 0.0
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64, reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		return int64(0)
	}
	return nil
}

var writesItself = reflect.TypeFor[json.Marshaler]()

// object is the struct that a value's JSON object is made from; nil where its
// fields are not known.
func object(t reflect.Type) reflect.Type {
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	if t.Kind() != reflect.Struct || t == reflect.TypeFor[time.Time]() || t.Implements(writesItself) || reflect.PointerTo(t).Implements(writesItself) {
		return nil
	}
	return t
}

func field(t reflect.Type, name string) (reflect.Type, bool) {
	for _, f := range reflect.VisibleFields(t) {
		if jsonName(f) == name {
			return f.Type, true
		}
	}
	return nil, false
}

func fieldNames(t reflect.Type) []string {
	var out []string
	for _, f := range reflect.VisibleFields(t) {
		if n := jsonName(f); n != "" {
			out = append(out, n)
		}
	}
	return out
}

func jsonName(f reflect.StructField) string {
	name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
	if name == "-" {
		return ""
	}
	return name
}
