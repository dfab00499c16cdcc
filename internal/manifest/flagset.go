package manifest

import (
	"encoding/json"
	"strings"

	"go.yaml.in/yaml/v3"
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
}

// FlagdJSON returns the definitions written in place as a flagd document.
func (f *FlagSet) FlagdJSON() ([]byte, error) {
	return json.Marshal(map[string]any{"flags": f.Flags})
}

// NotificationChannel is the spec of kind NotificationChannel.
type NotificationChannel struct {
	Webhook *Webhook `json:"webhook"`
	// Events are the types sent to the channel by themselves, as CloudEvents.
	Events []string `json:"events,omitempty" doc:"event types sent without being asked, for example validation.*"`
}

// Webhook is an HTTP endpoint.
type Webhook struct {
	URL     string            `json:"url"`
	Headers map[string]string `json:"headers,omitempty"`
	Secret  *Secret           `json:"secret,omitempty" doc:"key of the HMAC-SHA256 signature"`
}

// Secret is a reference: the value itself is never part of a manifest.
type Secret struct {
	Env  string `json:"env,omitempty" doc:"name of an environment variable of the server"`
	File string `json:"file,omitempty" doc:"path of a file on the server"`
}

func (n *NotificationChannel) check(c *checker) {
	switch {
	case n.Webhook == nil:
		c.errorf("webhook is missing")
	case !strings.HasPrefix(n.Webhook.URL, "http://") && !strings.HasPrefix(n.Webhook.URL, "https://"):
		c.at("webhook.url").errorf("%q is not an http or https URL", n.Webhook.URL)
	case n.Webhook.Secret != nil && (n.Webhook.Secret.Env == "") == (n.Webhook.Secret.File == ""):
		c.at("webhook.secret").errorf("expected either env or file")
	}
}
