package guardian

import (
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/tidegate-io/tidegate/entity"
	"github.com/tidegate-io/tidegate/fault"
)

// Variables of a guardian stand for what differs from one run to the next,
// like the versions of a canary. They are written ${name} in the names of
// places and operations and in PromQL, declared with a default (or none, "")
// in the definition, and given by whoever asks for a validation:
//
//	variables: {candidate: "", stable: ""}
//	target: {service: checkout, version: "${candidate}"}
//	objectives:
//	  - {name: errors, indicator: {errorRate: {}}, compare: {mode: watch, to: {version: "${stable}"}}}
//
// A variable without any value is an error: an empty version would mean every
// version.
const maxVariables = 20

var (
	variableName  = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]{0,49}$`)
	variableValue = regexp.MustCompile(`^[A-Za-z0-9 ._:/@+-]{0,200}$`) // harmless inside a quoted PromQL label value
	variableUse   = regexp.MustCompile(`\$\{([^}]*)\}`)
)

func (g Guardian) validateVariables() error {
	if len(g.Variables) > maxVariables {
		return fault.InvalidField("spec.variables", "at most %d, got %d", maxVariables, len(g.Variables))
	}
	if err := validateValues("spec.variables", g.Variables); err != nil {
		return err
	}
	for _, text := range g.texts() {
		for _, use := range variableUse.FindAllStringSubmatch(*text, -1) {
			if _, ok := g.Variables[use[1]]; !ok {
				return fault.InvalidField("spec.variables", "%q uses the variable %q, which is not declared", *text, use[1])
			}
		}
	}
	return nil
}

func validateValues(field string, values map[string]string) error {
	for _, k := range slices.Sorted(maps.Keys(values)) {
		switch {
		case !variableName.MatchString(k):
			return fault.InvalidField(field, "%.60q: expected a name of up to 50 letters, digits and _", k)
		case !variableValue.MatchString(values[k]):
			return fault.InvalidField(field+"."+k, "%.60q: expected up to 200 letters, digits, blanks and . _ : / @ + -", values[k])
		}
	}
	return nil
}

// with returns the definition for one run: its variables replaced by the
// values given, or their defaults.
func (g Guardian) with(given map[string]string) (Guardian, error) {
	if err := validateValues("variables", given); err != nil {
		return g, err
	}
	for _, k := range slices.Sorted(maps.Keys(given)) {
		if _, ok := g.Variables[k]; !ok {
			return g, fault.InvalidField("variables", "guardian %q has no variable %q; it has %s", g.Name, k, names(g.Variables))
		}
	}
	if len(g.Variables) == 0 {
		return g, nil
	}
	g = g.copied()
	values := maps.Clone(g.Variables)
	maps.Copy(values, given)
	var missing error
	for _, text := range g.texts() {
		*text = variableUse.ReplaceAllStringFunc(*text, func(use string) string {
			name := variableUse.FindStringSubmatch(use)[1]
			if values[name] == "" && missing == nil {
				missing = fault.InvalidField("variables."+name, "guardian %q needs a value for the variable %q", g.Name, name)
			}
			return values[name]
		})
	}
	return g, missing
}

func names(variables map[string]string) string {
	if len(variables) == 0 {
		return "none"
	}
	return strings.Join(slices.Sorted(maps.Keys(variables)), ", ")
}

// copied returns a copy whose texts can be changed.
func (g Guardian) copied() Guardian {
	g.Objectives = slices.Clone(g.Objectives)
	for i := range g.Objectives {
		o := &g.Objectives[i]
		o.CompareTo = clone(o.CompareTo)
		for _, s := range []**SpanIndicator{&o.Indicator.Latency, &o.Indicator.ErrorRate, &o.Indicator.Throughput} {
			if *s = clone(*s); *s != nil {
				(*s).Target = clone((*s).Target)
			}
		}
	}
	return g
}

func clone[T any](p *T) *T {
	if p == nil {
		return nil
	}
	c := *p
	return &c
}

// texts are the places where variables may stand.
func (g *Guardian) texts() []*string {
	out := refTexts(&g.Target)
	for i := range g.Objectives {
		o := &g.Objectives[i]
		out = append(out, &o.Indicator.PromQL)
		out = append(out, refTexts(o.CompareTo)...)
		for _, s := range []*SpanIndicator{o.Indicator.Latency, o.Indicator.ErrorRate, o.Indicator.Throughput} {
			if s != nil {
				out = append(append(out, &s.Operation), refTexts(s.Target)...)
			}
		}
	}
	return out
}

func refTexts(r *entity.Ref) []*string {
	if r == nil {
		return nil
	}
	return []*string{&r.Service, &r.Environment, &r.Version}
}
