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
