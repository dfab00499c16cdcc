package compat

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/tidegate-io/tidegate/change"
)

// Limits on properties that are gathered from foreign documents. What a
// sender names as properties itself is checked, not cut.
const (
	maxGathered = 100
	maxKey      = 100
	maxValue    = 4096
	maxDepth    = 6
)

// text is a JSON scalar as a string; senders are not strict about types.
type text string

// UnmarshalJSON accepts strings, numbers and booleans; null is empty, and
// anything else its JSON.
func (t *text) UnmarshalJSON(b []byte) error {
	var s string
	if len(b) > 0 && b[0] == '"' {
		if err := json.Unmarshal(b, &s); err != nil {
			return err
		}
	} else if string(b) != "null" {
		s = string(b)
	}
	*t = text(s)
	return nil
}

// properties are gathered for an event.
type properties map[string]string

// gather flattens a JSON value into properties named by their path, "content.
// environment.id"; existing ones stay, values beyond the limits are cut.
func (p properties) gather(prefix string, raw json.RawMessage) {
	var v any
	if len(raw) == 0 || json.Unmarshal(raw, &v) != nil {
		return
	}
	p.add(prefix, v, 0)
}

func (p properties) add(key string, v any, depth int) {
	switch v := v.(type) {
	case nil:
	case map[string]any:
		if depth == maxDepth {
			return
		}
		for _, k := range slices.Sorted(maps.Keys(v)) {
			p.add(join(key, k), v[k], depth+1)
		}
	case string:
		p.put(key, v)
	case []any:
		if b, err := json.Marshal(v); err == nil && len(v) > 0 {
			p.put(key, string(b))
		}
	default:
		p.put(key, fmt.Sprint(v))
	}
}

func (p properties) put(key, value string) {
	if value == "" || key == "" || len(key) > maxKey || len(p) >= maxGathered {
		return
	}
	if _, ok := p[key]; !ok {
		p[key] = cut(value, maxValue)
	}
}

// cut shortens to at most n bytes, between characters, with an ellipsis.
func cut(s string, n int) string {
	s = strings.ToValidUTF8(strings.ReplaceAll(s, "\x00", ""), "\uFFFD")
	if len(s) <= n {
		return s
	}
	n -= len("…")
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n] + "…"
}

func join(prefix, key string) string {
	if prefix == "" {
		return key
	}
	return prefix + "." + key
}

// first returns the first of the properties that is set.
func (p properties) first(keys ...string) string {
	for _, k := range keys {
		if p[k] != "" {
			return p[k]
		}
	}
	return ""
}

// whoKeys are names under which senders say who did it.
var whoKeys = []string{"who", "user", "author", "changedBy", "triggeredBy", "deployedBy", "approver"}

// link returns a link when the text is one that a browser may be sent to.
func link(title, text string) []change.Link {
	if !isLink(text) {
		return nil
	}
	return []change.Link{{Title: title, URL: text}}
}

func isLink(text string) bool {
	u, err := url.Parse(text)
	return err == nil && (u.Scheme == "http" || u.Scheme == "https") && u.Host != "" && len(text) <= 2048
}

// webhookUndo is the undo that a remediation link offers.
func webhookUndo(text string) *change.Undo {
	if !isLink(text) {
		return nil
	}
	return &change.Undo{Kind: "webhook", URL: text}
}

// firstOf returns the first string that is not empty.
func firstOf(candidates ...string) string {
	for _, c := range candidates {
		if c != "" {
			return c
		}
	}
	return ""
}
