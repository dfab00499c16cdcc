package signature

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/tidegate-io/tidegate/entity"
)

// ParseMonspec reads a monspec.json, the format of Dynatrace's pipeline
// tutorials (github.com/Dynatrace/AWSDevOpsTutorial, dynatrace-cli): an object
// of entity definitions by name, each with environments, comparisons, a
// perfsignature and servicemethods. Keys that begin with "_" are notes, or
// switched off. Everything else that is unknown is a mistake.
//
// Percentages become fractions, seconds durations, and static limits, which
// are written in the units of Dynatrace's metrics (microseconds, percent), the
// base units of the measures. The error is of type [Errors] and lists every
// mistake with line, column and path.
func ParseMonspec(source string, data []byte) ([]Signature, error) {
	m := &monspec{source: source, data: data}
	if len(data) > maxMonspec {
		m.fail(0, "", "the file is larger than %d KiB", maxMonspec>>10)
		return nil, m.errs
	}
	root, at, err := parseJSON(data)
	if err != nil {
		m.fail(at, "", "not valid JSON: %v", err)
		return nil, m.errs
	}
	var out []Signature
	m.object(&root, "", func(def *member, path string) bool {
		if s, ok := m.entity(def, path); ok {
			out = append(out, s)
		}
		return true
	})
	if len(m.errs) == 0 && len(out) == 0 {
		m.fail(root.at, "", "no entity definition in it: expected at least one, for example \"checkout\": {\"etype\": \"SERVICE\", …}")
	}
	if len(m.errs) > 0 {
		return nil, m.errs
	}
	return out, nil
}

// monspec collects the mistakes of a file.
type monspec struct {
	source string
	data   []byte
	errs   Errors
}

// maxErrors bounds how many mistakes are listed.
const maxErrors = 100

func (m *monspec) fail(at int, path, format string, args ...any) {
	if len(m.errs) >= maxErrors {
		return
	}
	line, column := position(m.data, at)
	m.errs = append(m.errs, Error{Source: m.source, Line: line, Column: column, Path: path, Message: fmt.Sprintf(format, args...)})
}

// object calls f with every member that counts, and its path; f returns false
// for a key it does not know, which is one of known or a mistake.
func (m *monspec) object(n *node, path string, f func(*member, string) bool, known ...string) {
	if n.kind != '{' {
		m.fail(n.at, path, "expected an object, found %s", n.describe())
		return
	}
	seen := map[string]bool{}
	for i := range n.members {
		e := &n.members[i]
		switch {
		case strings.HasPrefix(e.key, "_"):
		case seen[e.key]:
			m.fail(e.at, path, "%q is given twice", e.key)
		case !f(e, join(path, e.key)):
			m.fail(e.at, path, "unknown key %q%s; expected one of %s, or a key that begins with _ for a note",
				e.key, nearest(e.key, known), strings.Join(known, ", "))
		}
		seen[e.key] = true
	}
}

// list calls f with every item of a list and its path.
func (m *monspec) list(n *node, path string, f func(*node, string)) {
	if n.kind != '[' {
		m.fail(n.at, path, "expected a list, found %s", n.describe())
		return
	}
	for i := range n.items {
		f(&n.items[i], fmt.Sprintf("%s[%d]", path, i))
	}
}

func (m *monspec) text(n *node, path string) string {
	s, ok := n.value.(string)
	if !ok {
		m.fail(n.at, path, "expected a text, found %s", n.describe())
	}
	return s
}

// number reads a number, which some files write as a text.
func (m *monspec) number(n *node, path string) (float64, bool) {
	text := ""
	switch v := n.value.(type) {
	case json.Number:
		text = v.String()
	case string:
		text = strings.TrimSpace(v)
	}
	f, err := strconv.ParseFloat(text, 64)
	if err != nil || f != f || f-f != 0 {
		m.fail(n.at, path, "expected a number, found %s", n.describe())
		return 0, false
	}
	return f, true
}

// entity reads one entity definition.
func (m *monspec) entity(def *member, path string) (Signature, bool) {
	before := len(m.errs)
	s := Signature{Name: def.key, Mode: ModePoint}
	var comparisons, environments *node
	m.object(&def.node, path, func(e *member, path string) bool {
		switch e.key {
		case "etype":
			s.Type = m.etype(&e.node, path)
		case "name":
			s.Title = m.text(&e.node, path)
		case "owner":
			s.Owner = m.text(&e.node, path)
		case "mode":
			s.Mode = m.mode(&e.node, path)
		case "environments":
			environments = &e.node
		case "comparisons":
			comparisons = &e.node
		case "perfsignature":
			s.Metrics = append(s.Metrics, m.perfsignature(&e.node, path, "")...)
		case "servicemethods":
			s.Metrics = append(s.Metrics, m.servicemethods(&e.node, path)...)
		default:
			return false
		}
		return true
	}, "etype", "name", "owner", "mode", "environments", "comparisons", "perfsignature", "servicemethods")
	if s.Type == "" && len(m.errs) == before {
		m.fail(def.at, path, "etype is missing: expected SERVICE")
	}
	// The other parts refer to environments and metrics, wherever these stand.
	if environments != nil {
		s.Environments = m.environments(environments, join(path, "environments"), s.Type)
	}
	if comparisons != nil {
		s.Comparisons = m.comparisons(comparisons, join(path, "comparisons"), &s)
	}
	if len(m.errs) > before {
		return s, false
	}
	if err := s.Validate(); err != nil {
		m.fail(def.at, path, "%v", err)
		return s, false
	}
	return s, true
}

func (m *monspec) etype(n *node, path string) entity.Type {
	switch t := m.text(n, path); strings.ToUpper(t) {
	case "SERVICE":
		return entity.TypeService
	case "APPLICATION", "HOST", "PROCESS_GROUP", "PROCESS_GROUP_INSTANCE":
		m.fail(n.at, path, "%s cannot be compared yet: expected SERVICE", t)
	case "":
	default:
		m.fail(n.at, path, "unknown type %q: expected SERVICE", t)
	}
	return ""
}

func (m *monspec) mode(n *node, path string) Mode {
	mode := Mode(m.text(n, path))
	if mode != ModePoint && mode != ModeConfidence {
		m.fail(n.at, path, "expected point or confidence, found %s", n.describe())
	}
	return mode
}

// environments are the entities that carry all their tags.
func (m *monspec) environments(n *node, path string, of entity.Type) (out []Environment) {
	m.object(n, path, func(e *member, path string) bool {
		criteria := []string{entity.TypeCriterion(strings.ToUpper(string(of)))}
		m.object(&e.node, path, func(f *member, path string) bool {
			if f.key != "tags" {
				return false
			}
			m.list(&f.node, path, func(n *node, path string) {
				if key, value, ok := m.tag(n, path); ok {
					criteria = append(criteria, entity.TagCriterion(key, value))
				}
			})
			return true
		}, "tags")
		if len(criteria) == 1 {
			m.fail(e.at, path, "environment %q has no tags: they say which entities are in it", e.key)
		}
		out = append(out, Environment{Name: e.key, Selector: strings.Join(criteria, ",")})
		return true
	})
	return out
}

// tag reads one tag. Its context says where Dynatrace got it from; here tags
// have one space of names.
func (m *monspec) tag(n *node, path string) (key, value string, ok bool) {
	m.object(n, path, func(e *member, path string) bool {
		switch e.key {
		case "context":
			m.text(&e.node, path)
		case "key":
			key = m.text(&e.node, path)
		case "value":
			value = m.text(&e.node, path)
		default:
			return false
		}
		return true
	}, "context", "key", "value")
	if key == "" && n.kind == '{' {
		m.fail(n.at, path, "key is missing")
	}
	return key, value, key != ""
}

func (m *monspec) comparisons(n *node, path string, s *Signature) (out []Comparison) {
	m.list(n, path, func(n *node, path string) {
		c := Comparison{}
		m.object(n, path, func(e *member, path string) bool {
			switch e.key {
			case "name":
				c.Name = m.text(&e.node, path)
			case "source":
				c.Source = m.environment(&e.node, path, s)
			case "compare":
				c.Compare = m.environment(&e.node, path, s)
			case "mode":
				c.Mode = m.mode(&e.node, path)
			case "scalefactorperc":
				c.Tolerance, c.Tolerances = m.scaleFactors(&e.node, path, s)
			case "shiftsourcetimeframe":
				c.ShiftSource = m.shift(&e.node, path)
			case "shiftcomparetimeframe":
				c.ShiftCompare = m.shift(&e.node, path)
			default:
				return false
			}
			return true
		}, "name", "source", "compare", "mode", "scalefactorperc", "shiftsourcetimeframe", "shiftcomparetimeframe")
		switch {
		case n.kind != '{':
			return
		case c.Name == "":
			m.fail(n.at, path, "name is missing")
		case c.Source == "":
			m.fail(n.at, path, "source is missing: expected one of %s", list(s.environmentNames()))
		case slices.ContainsFunc(out, func(o Comparison) bool { return o.Name == c.Name }):
			m.fail(n.at, path, "comparison %q is defined twice", c.Name)
		}
		out = append(out, c)
	})
	return out
}

// environment reads the name of one that is defined.
func (m *monspec) environment(n *node, path string, s *Signature) string {
	name := m.text(n, path)
	if _, err := s.Environment(name); err != nil && name != "" {
		m.fail(n.at, path, "there is no environment %q%s; there is %s", name, nearest(name, s.environmentNames()), list(s.environmentNames()))
	}
	return name
}

func (m *monspec) shift(n *node, path string) time.Duration {
	seconds, _ := m.number(n, path)
	if !(seconds >= 0 && seconds <= maxShift.Seconds()) {
		m.fail(n.at, path, "expected seconds back in time, between 0 and %.0f, found %g", maxShift.Seconds(), seconds)
		return 0
	}
	return time.Duration(seconds * float64(time.Second))
}

// scaleFactors reads the tolerances in percent; those of metrics that the
// signature does not have are for a signature that has them.
func (m *monspec) scaleFactors(n *node, path string, s *Signature) (byDefault float64, of map[string]float64) {
	m.object(n, path, func(e *member, path string) bool {
		known := e.key == "default"
		if _, ok := metricNamed(e.key); ok {
			known = true
		}
		if !known {
			return false
		}
		t, ok := m.number(&e.node, path)
		if !ok {
			return true
		}
		used := slices.ContainsFunc(s.Metrics, func(x Metric) bool { return x.Key == e.key })
		switch {
		case e.key == "default":
			byDefault = t / 100
		case used && of == nil:
			of = map[string]float64{e.key: t / 100}
		case used:
			of[e.key] = t / 100
		}
		return true
	}, append([]string{"default"}, metricNames()...)...)
	return byDefault, of
}

func (m *monspec) servicemethods(n *node, path string) (out []Metric) {
	m.list(n, path, func(n *node, path string) {
		var signature *node
		name := ""
		m.object(n, path, func(e *member, path string) bool {
			switch e.key {
			case "name":
				name = m.text(&e.node, path)
			case "perfsignature":
				signature = &e.node
			default:
				return false
			}
			return true
		}, "name", "perfsignature")
		switch {
		case n.kind != '{':
		case name == "":
			m.fail(n.at, path, "name is missing: expected the name of an operation")
		case signature != nil:
			out = append(out, m.perfsignature(signature, join(path, "perfsignature"), name)...)
		}
	})
	return out
}

func join(path, name string) string {
	if path == "" {
		return name
	}
	return path + "." + name
}
