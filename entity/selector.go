package entity

import (
	"slices"
	"strings"
)

// Selector chooses entities by criteria that all have to hold. It is written
// in one of two ways, which may be mixed in one selector:
//
//	service=checkout,environment=dev,team=shop
//	type(SERVICE),entityName.equals("checkout"),tag("team:shop")
//
// The first is ours: service, environment, version, type and id compare with
// the entity's own fields, every other key with the tag of that name. The
// comparison is exact.
//
// The second is the entity selector of the Dynatrace Environment API v2, with
// its meaning there: names are compared without regard to case unless the
// criterion stands in caseSensitive(…); entityName("x") asks whether the name
// contains x; several values mean any of them; not(…) negates. The name of an
// entity is its service name. Quotes around a value may be left out.
//
// The zero Selector matches every entity. A Selector is immutable and safe
// for concurrent use.
type Selector struct {
	criteria []criterion
}

// operator says how a criterion compares.
type operator uint8

const (
	opEquals operator = iota
	opContains
	opStartsWith
)

// field says what a criterion looks at.
type field uint8

const (
	fieldService field = iota
	fieldEnvironment
	fieldVersion
	fieldType
	fieldID
	fieldTag
)

// criterion is one condition; values are alternatives.
type criterion struct {
	field  field
	op     operator
	values []string
	// tag is the key of a fieldTag criterion; hasValue is false when only the
	// presence of the tag is asked for.
	tag      string
	hasValue bool
	// foldCase ignores case; negated inverts the outcome.
	foldCase, negated bool
	// foreign is set for criteria written as function calls, so that String
	// gives back the form that was written.
	foreign bool
}

// Matches reports whether e fulfils every criterion.
func (s Selector) Matches(e Entity) bool {
	for i := range s.criteria {
		c := &s.criteria[i]
		if c.holds(e) == c.negated {
			return false
		}
	}
	return true
}

// IsZero reports whether the selector has no criteria and so matches everything.
func (s Selector) IsZero() bool { return len(s.criteria) == 0 }

// Ref returns what the selector pins down exactly: the fields that every
// entity it matches has in common by definition. An event whose selector is
// type(SERVICE),entityName.equals(payment) is about the service "payment"
// even before that service was ever seen.
func (s Selector) Ref() Ref {
	var r Ref
	for i := range s.criteria {
		c := &s.criteria[i]
		if c.op != opEquals || c.negated || len(c.values) != 1 {
			continue
		}
		switch c.field {
		case fieldService:
			r.Service = c.values[0]
		case fieldEnvironment:
			r.Environment = c.values[0]
		case fieldVersion:
			r.Version = c.values[0]
		}
	}
	return r
}

// holds evaluates the criterion without its negation.
func (c *criterion) holds(e Entity) bool {
	switch c.field {
	case fieldService:
		return c.compare(e.Service)
	case fieldEnvironment:
		return c.compare(e.Environment)
	case fieldVersion:
		return c.compare(e.Version)
	case fieldType:
		return c.compare(string(e.Type))
	case fieldID:
		return c.compare(e.ID)
	}
	value, ok := e.tagValue(c.tag)
	return ok && (!c.hasValue || c.compare(value))
}

// compare reports whether any of the criterion's values fits.
func (c *criterion) compare(got string) bool {
	return slices.ContainsFunc(c.values, func(want string) bool {
		if c.foldCase {
			got, want = strings.ToLower(got), strings.ToLower(want)
		}
		switch c.op {
		case opContains:
			return strings.Contains(got, want)
		case opStartsWith:
			return strings.HasPrefix(got, want)
		default:
			return got == want
		}
	})
}

// environmentVariable begins the attributes that carry the environment
// variables of a process (OpenTelemetry semantic conventions).
const environmentVariable = "process.environment_variable."

// tagValue looks a tag up; the names of the Ref's fields work as tags too,
// because senders do not know which attributes became fields, and so do the
// bare names of environment variables, which Dynatrace makes tags of.
func (e Entity) tagValue(key string) (string, bool) {
	if v, ok := e.Tags[key]; ok {
		return v, true
	}
	if v, ok := e.Tags[environmentVariable+key]; ok {
		return v, true
	}
	switch key {
	case "service", "service.name":
		return e.Service, e.Service != ""
	case "environment", "deployment.environment.name":
		return e.Environment, e.Environment != ""
	case "version", "service.version":
		return e.Version, e.Version != ""
	}
	return "", false
}

// String returns the selector in the form it was written in, with all values
// of function calls quoted; parsing it again gives an equal selector.
func (s Selector) String() string {
	var b strings.Builder
	for i := range s.criteria {
		if i > 0 {
			b.WriteByte(',')
		}
		s.criteria[i].write(&b)
	}
	return b.String()
}

func (c *criterion) write(b *strings.Builder) {
	if !c.foreign {
		b.WriteString(c.ownKey() + "=" + quoteIfNeeded(c.values[0]))
		return
	}
	depth := 0
	if c.negated {
		b.WriteString("not(")
		depth++
	}
	if c.field == fieldService && !c.foldCase {
		b.WriteString("caseSensitive(")
		depth++
	}
	b.WriteString(c.call() + "(")
	for i, v := range c.values {
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteString(quote(c.argument(v)))
	}
	if c.field == fieldTag && !c.hasValue {
		b.WriteString(quote(escapeTagKey(c.tag)))
	}
	b.WriteString(strings.Repeat(")", depth+1))
}

// ownKey is the key of a criterion in the key=value form.
func (c *criterion) ownKey() string {
	switch c.field {
	case fieldService:
		return "service"
	case fieldEnvironment:
		return "environment"
	case fieldVersion:
		return "version"
	case fieldType:
		return "type"
	case fieldID:
		return "id"
	}
	return c.tag
}

// call is the name of a criterion in the function form.
func (c *criterion) call() string {
	switch c.field {
	case fieldType:
		return "type"
	case fieldID:
		return "entityId"
	case fieldTag:
		return "tag"
	}
	switch {
	case c.op == opContains:
		return "entityName"
	case c.op == opStartsWith:
		return "entityName.startsWith"
	case len(c.values) > 1:
		return "entityName.in"
	}
	return "entityName.equals"
}

// argument is a value as it stands between the quotes.
func (c *criterion) argument(v string) string {
	if c.field != fieldTag {
		return v
	}
	return escapeTagKey(c.tag) + ":" + v
}

// escapeTagKey protects what would end the key: a colon, and a leading
// bracket, which would be read as the tag's context.
func escapeTagKey(key string) string {
	key = strings.ReplaceAll(key, ":", `~:`)
	if strings.HasPrefix(key, "[") {
		return "[]" + key
	}
	return key
}

func quote(v string) string {
	return `"` + strings.NewReplacer(`"`, `~"`, `~`, `~~`).Replace(v) + `"`
}

func quoteIfNeeded(v string) string {
	if v == "" || strings.ContainsAny(v, "\",()=~") || strings.TrimSpace(v) != v {
		return quote(v)
	}
	return v
}

// TagCriterion writes the criterion that asks for a tag with a value, or only
// for the presence of the tag when the value is empty, for joining with other
// criteria by commas.
func TagCriterion(key, value string) string {
	text := escapeTagKey(key)
	if value != "" {
		text += ":" + value
	}
	return "tag(" + quote(text) + ")"
}

// IDCriterion writes the criterion that asks for any of the entity ids.
func IDCriterion(ids ...string) string {
	quoted := make([]string, len(ids))
	for i, id := range ids {
		quoted[i] = quote(id)
	}
	return "entityId(" + strings.Join(quoted, ",") + ")"
}

// TypeCriterion writes the criterion that asks for a type of entity.
func TypeCriterion(name string) string { return "type(" + quote(name) + ")" }

// ServiceCriterion writes the criterion that asks for a service by name.
func ServiceCriterion(name string) string { return "service=" + quoteIfNeeded(name) }

// EnvironmentCriterion writes the criterion that asks for an environment by
// its deployment.environment.name.
func EnvironmentCriterion(name string) string { return "environment=" + quoteIfNeeded(name) }
