package flag_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/tidegate-io/tidegate/fault"
	"github.com/tidegate-io/tidegate/flag"
)

func FuzzCheck(f *testing.F) {
	f.Add(shop)
	f.Add(one("a", "on"))
	f.Add(`{"flags": [{"key": "a", "state": "ENABLED", "variants": {"a": 1}}], "$evaluators": {"x": {"if": [true, "a"]}}}`)
	f.Add("{\n\"flags\":\n{\"a\":{\"a\":1,\"a\":2}}}")
	f.Add("[[[[")
	f.Fuzz(func(t *testing.T, text string) {
		err := flag.Check("f.json", []byte(text))
		if err == nil {
			return
		}
		var d *flag.DefinitionError
		if !errors.As(err, &d) || !fault.Is(err, fault.KindInvalid) {
			t.Fatalf("%q: %v", text, err)
		}
		if lines := strings.Count(text, "\n") + 1; d.Line < 0 || d.Line > lines {
			t.Fatalf("%q: line %d of %d", text, d.Line, lines)
		}
	})
}
