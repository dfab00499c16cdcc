package flag

import (
	"bytes"
	"encoding/json"
	"math"
)

// targeting is the rule that gives the share its variant and the others rest,
// in flagd's "fractional" operator, which hashes the flag and targeting key:
// https://flagd.dev/reference/custom-operations/fractional-operation/
// Where a rule of the source decides, it still does.
func (s Share) targeting(own json.RawMessage, rest string) (json.RawMessage, error) {
	const whole = 10_000 // hundredths of a percent
	part := min(max(int(math.Round(s.Percent/100*whole)), 1), whole-1)
	rule := map[string]any{"fractional": []any{[]any{s.Variant, part}, []any{rest, whole - part}}}
	if own = bytes.TrimSpace(own); len(own) != 0 && !bytes.Equal(own, []byte("null")) && !bytes.Equal(own, []byte("{}")) {
		rule = map[string]any{"if": []any{map[string]any{"===": []any{own, nil}}, rule, own}}
	}
	return json.Marshal(rule)
}
