package flag

import (
	"bytes"
	"strings"
	"sync"

	schemas "github.com/open-feature/flagd-schemas/json"
	"github.com/santhosh-tekuri/jsonschema/v6"
	"golang.org/x/text/language"
	"golang.org/x/text/message"
)

// schema compiles flagd's published JSON schemas once
// (https://flagd.dev/schema/v0/).
var schema = sync.OnceValues(func() (*jsonschema.Schema, error) {
	c := jsonschema.NewCompiler()
	for url, text := range map[string]string{
		"https://flagd.dev/schema/v0/flagd.json":     schemas.FlagdSchema,
		"https://flagd.dev/schema/v0/flags.json":     schemas.FlagSchema,
		"https://flagd.dev/schema/v0/targeting.json": schemas.TargetingSchema,
	} {
		doc, err := jsonschema.UnmarshalJSON(strings.NewReader(text))
		if err != nil {
			return nil, err
		}
		if err := c.AddResource(url, doc); err != nil {
			return nil, err
		}
	}
	return c.Compile("https://flagd.dev/schema/v0/flagd.json")
})

// checkSchema validates a document; the problem found deepest in the document
// is the one reported, because alternatives ("any of these kinds of flag")
// fail at shallower places for no better reason.
func checkSchema(document []byte) (at []string, reason string, err error) {
	s, err := schema()
	if err != nil {
		return nil, "", err
	}
	value, err := jsonschema.UnmarshalJSON(bytes.NewReader(document))
	if err != nil {
		return nil, err.Error(), nil
	}
	err = s.Validate(value)
	if err == nil {
		return nil, "", nil
	}
	invalid, ok := err.(*jsonschema.ValidationError)
	if !ok {
		return nil, "", err
	}
	leaf := deepest(invalid)
	return leaf.InstanceLocation, leaf.ErrorKind.LocalizedString(message.NewPrinter(language.English)), nil
}

func deepest(e *jsonschema.ValidationError) *jsonschema.ValidationError {
	best := e
	for i, c := range e.Causes {
		d := deepest(c)
		if i == 0 || telling(d) > telling(best) {
			best = d
		}
	}
	return best
}

// telling ranks a problem: the deeper the better, but those of variants count
// little more than nothing, because variants of one kind of flag are wrong for all the other kinds.
func telling(e *jsonschema.ValidationError) int {
	if at := e.InstanceLocation; len(at) > 2 && at[2] == "variants" {
		return 3
	}
	return 2 * len(e.InstanceLocation)
}
