package manifest

import (
	"github.com/tidegate-io/tidegate/entity"
)

// Environment is the spec of kind Environment: which entities are in it.
// Performance signatures refer to it by its name.
type Environment struct {
	Description string `json:"description,omitempty"`
	Selector    string `json:"selector" doc:"entity selector, for example environment=staging or tag(\"DeploymentGroup:Staging\")"`
}

func (e *Environment) check(c *checker) {
	s, err := entity.ParseSelector(e.Selector)
	switch {
	case err != nil:
		c.at("selector").errorf("%v", err)
	case s.IsZero():
		c.at("selector").errorf("is missing: expected for example environment=staging")
	}
}

// EntityRules is the spec of kind EntityRules: tags and names that entities
// get from their attributes.
type EntityRules struct {
	Tags  []TagRule    `json:"tags,omitempty"`
	Names []NamingRule `json:"names,omitempty"`
}

// TagRule gives entities a tag.
type TagRule struct {
	For   string `json:"for,omitempty" doc:"entity selector; all entities when left out"`
	Key   string `json:"key"`
	Value string `json:"value,omitempty" doc:"template: {Service}, {env.VARIABLE} or {attribute.name}; an entity that lacks one gets no tag"`
}

// NamingRule gives entities a display name.
type NamingRule struct {
	For  string `json:"for,omitempty" doc:"entity selector; all entities when left out"`
	Name string `json:"name" doc:"template, for example {Environment}/{Service}"`
}

func (r *EntityRules) check(c *checker) {
	if len(r.Tags)+len(r.Names) == 0 {
		c.errorf("needs at least one rule under tags or names")
		return
	}
	if _, err := r.Definition(); err != nil {
		c.domain(err)
	}
}

// Definition compiles the rules.
func (r *EntityRules) Definition() (entity.Rules, error) {
	tags := make([]entity.TagRule, len(r.Tags))
	for i, t := range r.Tags {
		tags[i] = entity.TagRule(t)
	}
	names := make([]entity.NamingRule, len(r.Names))
	for i, n := range r.Names {
		names[i] = entity.NamingRule(n)
	}
	return entity.NewRules(tags, names)
}
