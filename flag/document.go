package flag

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"sort"
	"strconv"
	"strings"

	"github.com/tidegate-io/tidegate/entity"
)

// Limits on definitions.
const (
	maxDocument  = 1 << 20 // bytes, what a ConfigMap can hold
	maxFlags     = 5000    // per document
	maxKeyLength = 255
)

// document is a parsed flagd document: a set of flags, or part of one.
type document struct {
	set    string
	source string // the file, and the key within a ConfigMap
	raw    map[string]json.RawMessage
	// fields of each flag as written, and the flag as people see it.
	fields map[string]map[string]json.RawMessage
	flags  map[string]Flag
}

// text is a document before parsing.
type text struct {
	set, source string
	data        []byte
	// line is the line of the file that the data begins on, counted from 0.
	line  int
	place entity.Ref
}

// definition is the part of a flagd flag that matters here.
type definition struct {
	Key            string                     `json:"key"`
	State          string                     `json:"state"`
	Variants       map[string]json.RawMessage `json:"variants"`
	DefaultVariant string                     `json:"defaultVariant"`
	Targeting      json.RawMessage            `json:"targeting"`
	Metadata       map[string]any             `json:"metadata"`
}

// parse reads a flagd document. The error is a *DefinitionError.
func parse(t text) (*document, error) {
	p := &parser{text: t}
	if len(t.data) > maxDocument {
		return nil, p.fail(nil, "%d bytes, at most %d are allowed", len(t.data), maxDocument)
	}
	at, line, err := locate(t.data)
	if err != nil {
		return nil, &DefinitionError{File: t.source, Line: t.line + line, Reason: "not valid JSON: " + err.Error()}
	}
	p.at = at
	return p.document()
}

type parser struct {
	text
	at positions
}

func (p *parser) fail(path []string, format string, args ...any) error {
	reason := fmt.Sprintf(format, args...)
	if len(path) > 0 {
		reason = strings.Join(path, ".") + ": " + reason
	}
	return &DefinitionError{File: p.source, Line: p.line + p.at.line(path...), Reason: reason}
}

func (p *parser) document() (*document, error) {
	var raw map[string]json.RawMessage
	if err := json.Unmarshal(p.data, &raw); err != nil {
		return nil, p.fail(nil, "expected an object with the member flags")
	}
	if raw["flags"] == nil {
		return nil, p.fail(nil, "the member flags is missing")
	}
	fields, paths, err := p.flagFields(raw["flags"])
	if err != nil {
		return nil, err
	}
	var meta map[string]any
	if raw["metadata"] != nil && json.Unmarshal(raw["metadata"], &meta) != nil {
		return nil, p.fail([]string{"metadata"}, "expected an object of strings, numbers and booleans")
	}
	d := &document{set: p.set, source: p.source, raw: raw, fields: fields, flags: make(map[string]Flag, len(fields))}
	if id, ok := meta["flagSetId"].(string); ok && id != "" && d.set == "" {
		d.set = id
	}
	if d.set == "" {
		d.set = setName(p.source)
	}
	for _, key := range slices.Sorted(maps.Keys(fields)) {
		f, err := p.flag(d, key, paths[key], meta)
		if err != nil {
			return nil, err
		}
		d.flags[key] = f
	}
	path, reason, err := checkSchema(p.data)
	if err != nil {
		return nil, fmt.Errorf("checking %s: %w", p.source, err)
	}
	if reason != "" {
		return nil, p.fail(path, "%s", reason)
	}
	return d, nil
}

// flagFields takes the flags apart, whether they are written as an object or
// as an array, and says where each stands.
func (p *parser) flagFields(raw json.RawMessage) (fields map[string]map[string]json.RawMessage, paths map[string][]string, err error) {
	var list []map[string]json.RawMessage
	paths = map[string][]string{}
	if bytes.HasPrefix(bytes.TrimSpace(raw), []byte{'['}) {
		if err := json.Unmarshal(raw, &list); err != nil {
			return nil, nil, p.fail([]string{"flags"}, "expected an array of flags")
		}
		fields = make(map[string]map[string]json.RawMessage, len(list))
		for i, f := range list {
			var key string
			path := []string{"flags", strconv.Itoa(i)}
			if json.Unmarshal(f["key"], &key) != nil || key == "" {
				return nil, nil, p.fail(path, "the member key is missing")
			}
			if fields[key] != nil {
				return nil, nil, p.fail(path, "flag %q is defined twice", key)
			}
			delete(f, "key")
			fields[key], paths[key] = f, path
		}
	} else {
		if err := json.Unmarshal(raw, &fields); err != nil || fields == nil {
			return nil, nil, p.fail([]string{"flags"}, "expected an object of flags by key")
		}
		for key := range fields {
			paths[key] = []string{"flags", key}
		}
	}
	if len(fields) > maxFlags {
		return nil, nil, p.fail([]string{"flags"}, "%d flags, at most %d are allowed", len(fields), maxFlags)
	}
	return fields, paths, nil
}

// flag checks one flag for what people get wrong most, in better words than
// the schema has.
func (p *parser) flag(d *document, key string, path []string, setMeta map[string]any) (Flag, error) {
	whole, err := json.Marshal(d.fields[key])
	if err != nil {
		return Flag{}, err
	}
	var def definition
	if err := json.Unmarshal(whole, &def); err != nil {
		return Flag{}, p.fail(path, "%s", describeType(err))
	}
	if key == "" || len(key) > maxKeyLength {
		return Flag{}, p.fail(path, "a flag's key has 1 to %d characters", maxKeyLength)
	}
	if def.State != "ENABLED" && def.State != "DISABLED" {
		return Flag{}, p.fail(append(path, "state"), "expected ENABLED or DISABLED, found %q", def.State)
	}
	if len(def.Variants) == 0 {
		return Flag{}, p.fail(append(path, "variants"), "expected at least one variant")
	}
	if name, want, got := mixedVariants(def.Variants); name != "" {
		return Flag{}, p.fail(append(path, "variants", name), "is a %s while others are a %s; all variants have one type", got, want)
	}
	if def.DefaultVariant != "" && def.Variants[def.DefaultVariant] == nil {
		return Flag{}, p.fail(append(path, "defaultVariant"), "%q is not a variant, expected one of %s", def.DefaultVariant, names(def.Variants))
	}
	meta := stringMap(setMeta, def.Metadata)
	f := Flag{
		Set: d.set, Key: key, State: def.State, Variants: def.Variants,
		DefaultVariant: def.DefaultVariant, SourceVariant: def.DefaultVariant, Metadata: meta,
		Service: p.place.Service, Environment: p.place.Environment, Source: p.source,
	}
	if t := bytes.TrimSpace(def.Targeting); len(t) > 0 && string(t) != "{}" && string(t) != "null" {
		f.Targeting = def.Targeting
	}
	if s := meta["service"]; s != "" {
		f.Service = s
	}
	if s := meta["environment"]; s != "" {
		f.Environment = s
	}
	return f, nil
}

// effective renders the document with the runtime changes applied, as flagd
// JSON that any flagd evaluator understands. The set's name becomes its
// flagSetId, so that providers can select it.
func (d *document) effective(overrides map[overrideKey]Override) (json.RawMessage, error) {
	flags := make(map[string]map[string]json.RawMessage, len(d.fields))
	for key, fields := range d.fields {
		if o, ok := d.override(overrides, key); ok {
			fields = maps.Clone(fields)
			v, err := json.Marshal(o.Variant)
			if err != nil {
				return nil, err
			}
			fields["defaultVariant"] = v
			if o.Share != nil {
				if fields["targeting"], err = o.Share.targeting(fields["targeting"], o.Variant); err != nil {
					return nil, err
				}
			}
		}
		flags[key] = fields
	}
	out := make(map[string]any, len(d.raw)+1)
	for k, v := range d.raw {
		out[k] = v
	}
	out["flags"] = flags
	meta := map[string]json.RawMessage{}
	if d.raw["metadata"] != nil {
		if err := json.Unmarshal(d.raw["metadata"], &meta); err != nil {
			return nil, err
		}
	}
	id, err := json.Marshal(d.set)
	if err != nil {
		return nil, err
	}
	meta["flagSetId"] = id
	out["metadata"] = meta
	return json.Marshal(out)
}

// override returns the runtime change of a flag, unless the source no longer
// has the variant it asks for.
func (d *document) override(overrides map[overrideKey]Override, key string) (Override, bool) {
	o, ok := overrides[overrideKey{d.set, key}]
	ok = ok && d.flags[key].Variants[o.Variant] != nil
	if ok && o.Share != nil && d.flags[key].Variants[o.Share.Variant] == nil {
		o.Share = nil
	}
	return o, ok
}

// flag returns a flag with the runtime change applied.
func (d *document) flag(overrides map[overrideKey]Override, key string) Flag {
	f := d.flags[key]
	if o, ok := d.override(overrides, key); ok {
		f.DefaultVariant, f.Override = o.Variant, &o
	}
	return f
}

// setName is the name of a set that does not say its own: that of its file.
func setName(source string) string {
	if _, key, ok := strings.Cut(source, "#"); ok {
		source = key
	}
	name := source[strings.LastIndexAny(source, `/\`)+1:]
	for _, suffix := range []string{".json", ".flagd"} {
		name = strings.TrimSuffix(name, suffix)
	}
	return name
}

// mixedVariants returns a variant whose type differs from that of the first.
func mixedVariants(variants map[string]json.RawMessage) (name, want, got string) {
	for _, n := range slices.Sorted(maps.Keys(variants)) {
		t := jsonType(variants[n])
		if want == "" {
			want = t
		}
		if t != want {
			return n, want, t
		}
	}
	return "", "", ""
}

func jsonType(raw json.RawMessage) string {
	switch raw = bytes.TrimSpace(raw); raw[0] {
	case '"':
		return "string"
	case '{':
		return "object"
	case '[':
		return "array"
	case 't', 'f':
		return "boolean"
	case 'n':
		return "null"
	}
	return "number"
}

// describeType turns a decoding error into words about the document.
func describeType(err error) string {
	if t, ok := err.(*json.UnmarshalTypeError); ok && t.Field != "" {
		return fmt.Sprintf("%s must not be a %s", t.Field, t.Value)
	}
	return err.Error()
}

func names[V any](m map[string]V) string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	sort.Strings(keys)
	return strings.Join(keys, ", ")
}

// stringMap merges metadata; what comes later wins.
func stringMap(from ...map[string]any) map[string]string {
	out := map[string]string{}
	for _, m := range from {
		for k, v := range m {
			switch v := v.(type) {
			case string:
				out[k] = v
			case bool, float64:
				out[k] = fmt.Sprint(v)
			}
		}
	}
	if len(out) == 0 {
		return nil
	}
	return out
}

// Check reports what is wrong with a flagd document as a *DefinitionError, or
// nil. The name stands for the file in the message.
func Check(name string, data []byte) error {
	_, err := parse(text{source: name, data: data})
	return err
}
