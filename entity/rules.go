package entity

import (
	"fmt"
	"maps"
	"strings"

	"github.com/tidegate-io/tidegate/fault"
)

// TagRule gives entities a tag.
type TagRule struct {
	// For selects the entities; all when empty.
	For string `json:"for,omitempty"`
	// Key is the tag's key, Value its value: a template, or empty for a tag
	// without a value. When the template names something that an entity does
	// not have, the entity does not get the tag.
	Key   string `json:"key"`
	Value string `json:"value,omitempty"`
}

// NamingRule gives entities a display name and changes nothing else: they are
// selected by what they were called before.
type NamingRule struct {
	For  string `json:"for,omitempty"`
	Name string `json:"name"` // a template
}

// Rules are tag and naming rules, compiled. The zero Rules change nothing. A
// Rules is immutable and safe for concurrent use.
//
// Templates are texts with names in braces: {Service}, {Environment},
// {Version} and {Type} are the fields of the entity, {env.NAME} an environment
// variable of its process, and everything else the tag or resource attribute
// of that name:
//
//	{Environment}/{Service}    {k8s.namespace.name}    {env.DEPLOYMENT_GROUP}
//
// Tag rules apply in their order, and a later one sees the tags of those
// before it. The first rule for a key wins, and every rule wins over an
// attribute of the same name. Of the naming rules the first that applies wins;
// they see the tags that rules gave.
type Rules struct {
	tags  []compiledRule
	names []compiledRule
}

// compiledRule is a rule of either kind.
type compiledRule struct {
	selector Selector
	key      string
	template template
}

// Limits of rules.
const (
	maxRules    = 500
	maxTemplate = 500
	maxTagKey   = 200
	maxResult   = 400
)

// NewRules compiles rules. The error is a fault of KindInvalid whose field
// names the rule: "tags[2].for".
func NewRules(tags []TagRule, names []NamingRule) (Rules, error) {
	var out Rules
	if len(tags)+len(names) > maxRules {
		return out, fault.Invalid("%d rules, at most %d are allowed", len(tags)+len(names), maxRules)
	}
	for i, t := range tags {
		path := fmt.Sprintf("tags[%d]", i)
		if t.Key == "" || len(t.Key) > maxTagKey {
			return out, fault.InvalidField(path+".key", "expected 1 to %d characters", maxTagKey)
		}
		r, err := compileRule(path, t.For, "value", t.Value)
		if err != nil {
			return out, err
		}
		r.key = t.Key
		out.tags = append(out.tags, r)
	}
	for i, n := range names {
		path := fmt.Sprintf("names[%d]", i)
		if n.Name == "" {
			return out, fault.InvalidField(path+".name", "is missing: expected a template such as {Environment}/{Service}")
		}
		r, err := compileRule(path, n.For, "name", n.Name)
		if err != nil {
			return out, err
		}
		out.names = append(out.names, r)
	}
	return out, nil
}

func compileRule(path, selector, field, text string) (r compiledRule, err error) {
	if r.selector, err = ParseSelector(selector); err != nil {
		return r, fault.InvalidField(path+".for", "%w", err)
	}
	if r.template, err = parseTemplate(text); err != nil {
		return r, fault.InvalidField(path+"."+field, "%w", err)
	}
	return r, nil
}

// Join returns the rules of all sets, in their order.
func Join(sets ...Rules) Rules {
	var out Rules
	for _, s := range sets {
		out.tags = append(out.tags, s.tags...)
		out.names = append(out.names, s.names...)
	}
	return out
}

// Effect is what one rule does to an entity.
type Effect struct {
	// Rule is the place of the rule in its set: "tags[0]", "names[1]".
	Rule string `json:"rule"`
	// Key and Value are the tag it gives, Name the display name.
	Key   string `json:"key,omitempty"`
	Value string `json:"value,omitempty"`
	Name  string `json:"name,omitempty"`
}

// Apply returns the entity with the tags and the name that the rules give it,
// and what each did. The entity's own tags are not changed.
func (r Rules) Apply(e Entity) (Entity, []Effect) {
	var effects []Effect
	given := map[string]bool{}
	for i := range r.tags {
		t := &r.tags[i]
		if given[t.key] || !t.selector.Matches(e) {
			continue
		}
		value, ok := t.template.fill(e)
		if !ok {
			continue
		}
		if len(given) == 0 {
			e.Tags = maps.Clone(e.Tags)
			if e.Tags == nil {
				e.Tags = map[string]string{}
			}
		}
		given[t.key] = true
		e.Tags[t.key] = value
		effects = append(effects, Effect{Rule: fmt.Sprintf("tags[%d]", i), Key: t.key, Value: value})
	}
	for i := range r.names {
		n := &r.names[i]
		if !n.selector.Matches(e) {
			continue
		}
		if name, ok := n.template.fill(e); ok {
			e.Name = name
			return e, append(effects, Effect{Rule: fmt.Sprintf("names[%d]", i), Name: name})
		}
	}
	return e, effects
}

// template is a text with holes: literal, name, literal, name, …, literal.
type template []string

func parseTemplate(text string) (template, error) {
	if len(text) > maxTemplate {
		return nil, fault.Invalid("%d characters, at most %d are allowed", len(text), maxTemplate)
	}
	var out template
	rest := text
	for {
		literal, after, open := strings.Cut(rest, "{")
		if strings.Contains(literal, "}") {
			return nil, fault.Invalid("%q: a closing brace without an opening one", text)
		}
		out = append(out, literal)
		if !open {
			return out, nil
		}
		name, more, closed := strings.Cut(after, "}")
		if !closed || strings.Contains(name, "{") {
			return nil, fault.Invalid("%q: the brace that opens here is never closed: {%s", text, name)
		}
		if name = strings.TrimSpace(name); name == "" {
			return nil, fault.Invalid("%q: expected a name between the braces, such as {Service}", text)
		}
		out, rest = append(out, name), more
	}
}

// fill puts the entity's values in; ok is false when one is missing.
func (t template) fill(e Entity) (text string, ok bool) {
	var b strings.Builder
	for i, part := range t {
		if i%2 == 0 {
			b.WriteString(part)
			continue
		}
		v, ok := e.named(part)
		if !ok || v == "" {
			return "", false
		}
		b.WriteString(v)
	}
	if b.Len() > maxResult {
		return "", false
	}
	return b.String(), true
}

// named is what a name in a template stands for.
func (e Entity) named(name string) (string, bool) {
	switch name {
	case "Service":
		return e.Service, true
	case "Environment":
		return e.Environment, true
	case "Version":
		return e.Version, true
	case "Type":
		return string(e.Type), true
	}
	if variable, ok := strings.CutPrefix(name, "env."); ok {
		v, ok := e.Tags[environmentVariable+variable]
		return v, ok
	}
	return e.tagValue(name)
}
