package manifest

import (
	"encoding/json"
	"errors"
	"maps"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/tidegate-io/tidegate/flag"
)

// FlagSet is the spec of kind FlagSet: where flag definitions in flagd's JSON
// come from, and which service they affect.
type FlagSet struct {
	// Target is where a change of these flags is felt; a flag's own metadata
	// ("service", "environment") has precedence.
	Target *Target `json:"target,omitempty" doc:"the service that the flags affect, unless a flag's metadata names another"`
	// Files are paths on the server, watched for changes.
	Files []string `json:"files,omitempty" doc:"flagd JSON files, or Kubernetes ConfigMaps that embed them, on the server; watched"`
	// Flags are definitions in flagd's format, written here.
	Flags Definitions `json:"flags,omitempty" doc:"flagd definitions by key, in place"`
}

// Definitions are flagd flag definitions by key, kept as JSON.
type Definitions map[string]json.RawMessage

func (f *Definitions) fromNode(d *decoder, n *yaml.Node, path string) {
	if n.Kind != yaml.MappingNode {
		d.fail(n, path, "expected flag definitions by key, found %s", describe(n))
		return
	}
	*f = Definitions{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		var v any
		if err := n.Content[i+1].Decode(&v); err != nil {
			d.fail(n.Content[i+1], path, "%v", err)
			continue
		}
		raw, err := json.Marshal(v)
		if err != nil {
			d.fail(n.Content[i+1], path, "cannot be written as JSON: %v", err)
			continue
		}
		d.nodes[join(path, n.Content[i].Value)] = n.Content[i+1]
		(*f)[n.Content[i].Value] = raw
	}
}

func (f *FlagSet) check(c *checker) {
	if (len(f.Files) == 0) == (len(f.Flags) == 0) {
		c.errorf("expected either files or flags")
	}
	for _, key := range slices.Sorted(maps.Keys(f.Flags)) {
		f.Flags.check(c.at("flags.%s", key), key)
	}
}

// check reports what flagd would refuse of one flag.
func (f Definitions) check(c *checker, key string) {
	doc, err := (&FlagSet{Flags: Definitions{key: f[key]}}).FlagdJSON()
	if err == nil {
		err = flag.Check("flags", doc)
	}
	var wrong *flag.DefinitionError
	if errors.As(err, &wrong) {
		c.errorf("%s", strings.TrimPrefix(strings.TrimPrefix(wrong.Reason, "flags."+key+"."), "flags."+key+": "))
	} else if err != nil {
		c.errorf("%v", err)
	}
}

// FlagdJSON returns the definitions written in place as a flagd document.
func (f *FlagSet) FlagdJSON() ([]byte, error) {
	return json.Marshal(map[string]any{"flags": f.Flags})
}
