package flag

import (
	"errors"
	"testing"
)

func FuzzConfigMap(f *testing.F) {
	f.Add("kind: ConfigMap\ndata:\n  a.json: |\n    {\"flags\": {}}\n")
	f.Add("kind: ConfigMap\ndata: {a.json: '{}', b: &x [1], c.json: *x}\n---\nkind: Service\n")
	f.Add("? a\n: [")
	f.Fuzz(func(t *testing.T, yaml string) {
		texts, err := configMaps(text{source: "f.yaml", data: []byte(yaml)})
		var d *DefinitionError
		if err != nil && !errors.As(err, &d) {
			t.Fatalf("%q: %v", yaml, err)
		}
		if err == nil && len(texts) == 0 {
			t.Fatalf("%q: neither documents nor an error", yaml)
		}
	})
}
