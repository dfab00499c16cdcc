package manifest

import (
	"encoding/json"
	"reflect"

	"github.com/danielgtaylor/huma/v2"

	"github.com/tidegate-io/tidegate/fault"
)

// Schema returns the JSON Schema (draft 2020-12) of a kind, for editors and
// other tools. It is derived from the type that Parse decodes into.
func Schema(kind string) ([]byte, error) {
	newSpec, ok := kinds[kind]
	if !ok {
		return nil, fault.NotFound("no kind %q%s", kind, didYouMean(kind, Kinds()))
	}
	defs := huma.NewMapRegistry("#/$defs/", huma.DefaultSchemaNamer)
	specSchema := defs.Schema(reflect.TypeOf(newSpec()), true, kind)
	metadata := defs.Schema(reflect.TypeFor[Metadata](), true, "Metadata")
	return json.MarshalIndent(map[string]any{
		"$schema":              "https://json-schema.org/draft/2020-12/schema",
		"$id":                  "https://tidegate.dev/schemas/v1/" + kind + ".json",
		"title":                kind,
		"type":                 "object",
		"additionalProperties": false,
		"required":             []string{"apiVersion", "kind", "metadata", "spec"},
		"properties": map[string]any{
			"apiVersion": map[string]any{"const": APIVersion},
			"kind":       map[string]any{"const": kind},
			"metadata":   metadata,
			"spec":       specSchema,
		},
		"$defs": defs.Map(),
	}, "", "  ")
}

func stringSchema(description, pattern string, examples ...any) *huma.Schema {
	return &huma.Schema{Type: huma.TypeString, Description: description, Pattern: pattern, Examples: examples}
}

// numberOrString is for quantities whose unit may be left out.
func numberOrString(description string, examples ...any) *huma.Schema {
	return &huma.Schema{
		Description: description, Examples: examples,
		OneOf: []*huma.Schema{{Type: huma.TypeString}, {Type: huma.TypeNumber}},
	}
}

// Schema implements huma.SchemaProvider.
func (Duration) Schema(huma.Registry) *huma.Schema {
	return stringSchema("a duration", `^([0-9]+d)?([0-9.]+(ns|us|µs|ms|s|m|h))*$`, "90s", "5m", "1h", "2d")
}

// Schema implements huma.SchemaProvider.
func (Percent) Schema(huma.Registry) *huma.Schema {
	return numberOrString("a percentage or a fraction", "15%", 0.15)
}

// Schema implements huma.SchemaProvider.
func (Limit) Schema(huma.Registry) *huma.Schema {
	return stringSchema("a limit: operator, number, unit", limitRE.String(), "> 200ms", ">= 5%", "< 10/s")
}

// Schema implements huma.SchemaProvider.
func (RatePerSecond) Schema(huma.Registry) *huma.Schema {
	return numberOrString("a rate", "20/s", "600/min", 20)
}

// Schema implements huma.SchemaProvider.
func (Rate) Schema(r huma.Registry) *huma.Schema {
	type ratestages Rate
	return &huma.Schema{OneOf: []*huma.Schema{
		RatePerSecond(0).Schema(r),
		r.Schema(reflect.TypeFor[ratestages](), true, "RateStages"),
	}}
}

// Schema implements huma.SchemaProvider.
func (Body) Schema(r huma.Registry) *huma.Schema {
	type bodysource Body
	return &huma.Schema{OneOf: []*huma.Schema{
		{Type: huma.TypeString},
		r.Schema(reflect.TypeFor[bodysource](), true, "BodySource"),
	}}
}

// Schema implements huma.SchemaProvider.
func (Definitions) Schema(huma.Registry) *huma.Schema {
	return &huma.Schema{
		Type: huma.TypeObject, AdditionalProperties: true,
		Description: "flagd flag definitions by key, see https://flagd.dev/reference/flag-definitions/",
	}
}
