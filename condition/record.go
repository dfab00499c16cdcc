package condition

import (
	"bytes"
	"encoding/json"
	"fmt"
	"reflect"

	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
	"cel.dev/cel-go/common/types/traits"
)

// Record is how a JSON object looks from CEL: named fields, and a field that is
// not there is the empty text. Objects differ in what their senders say, so
// event.purpose == "acceptance" must be false, not an error, when nobody named
// a purpose. has(event.purpose) tells absent from empty.
type Record map[string]any

var (
	_ traits.Indexer     = Record(nil)
	_ traits.FieldTester = Record(nil)
	_ traits.Container   = Record(nil)
)

func (r Record) field(index ref.Val) (any, bool) {
	name, ok := index.(types.String)
	if !ok {
		return nil, false
	}
	v, ok := r[string(name)]
	return v, ok && v != nil
}

// Get implements traits.Indexer.
func (r Record) Get(index ref.Val) ref.Val {
	v, ok := r.field(index)
	if !ok {
		return types.String("")
	}
	return toCEL(v)
}

// IsSet implements traits.FieldTester.
func (r Record) IsSet(field ref.Val) ref.Val {
	_, ok := r.field(field)
	return types.Bool(ok)
}

// Contains implements traits.Container.
func (r Record) Contains(value ref.Val) ref.Val { return r.IsSet(value) }

// Equal implements ref.Val: records are equal when their fields are.
func (r Record) Equal(other ref.Val) ref.Val {
	o, ok := other.(Record)
	return types.Bool(ok && reflect.DeepEqual(r, o))
}

// Type implements ref.Val.
func (r Record) Type() ref.Type { return recordType }

// Value implements ref.Val.
func (r Record) Value() any { return map[string]any(r) }

// ConvertToNative implements ref.Val.
func (r Record) ConvertToNative(t reflect.Type) (any, error) {
	if reflect.TypeOf(map[string]any(r)).ConvertibleTo(t) {
		return map[string]any(r), nil
	}
	return nil, fmt.Errorf("a record cannot become a %v", t)
}

// ConvertToType implements ref.Val.
func (r Record) ConvertToType(t ref.Type) ref.Val {
	if t == types.TypeType {
		return recordType
	}
	return types.NewErr("a record cannot become a %s", t.TypeName())
}

var recordType = types.NewObjectType("record", traits.IndexerType|traits.FieldTesterType|traits.ContainerType)

// toCEL makes nested objects records, too.
func toCEL(v any) ref.Val {
	switch v := v.(type) {
	case ref.Val:
		return v
	case json.Number: // whole numbers are ints, so that n + 1 is one
		if n, err := v.Int64(); err == nil {
			return types.Int(n)
		}
		f, _ := v.Float64() // beyond the range it is an infinity
		return types.Double(f)
	case map[string]any:
		return Record(v)
	case []any:
		vals := make([]ref.Val, len(v))
		for i, e := range v {
			vals[i] = toCEL(e)
		}
		return types.NewRefValList(types.DefaultTypeAdapter, vals)
	}
	return types.DefaultTypeAdapter.NativeToValue(v)
}

// RecordOf reads a JSON object; nothing is an object without fields.
func RecordOf(b []byte) (Record, error) {
	out := Record{}
	if len(b) == 0 {
		return out, nil
	}
	dec := json.NewDecoder(bytes.NewReader(b))
	dec.UseNumber()
	err := dec.Decode(&out)
	return out, err
}
