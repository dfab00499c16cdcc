// Package entity names the things that telemetry, changes and verdicts are
// about: services in environments, in versions, carrying tags.
//
// Names come from OpenTelemetry resource attributes (service.name,
// deployment.environment.name, service.version); nothing has to be declared
// before it is seen.
package entity

import (
	"sort"
	"strings"
)

// Ref points at a service, or at the part of it that runs in one environment
// or one version. Empty fields mean "any".
type Ref struct {
	Service     string `json:"service" doc:"service.name"`
	Environment string `json:"environment,omitempty" doc:"deployment.environment.name"`
	Version     string `json:"version,omitempty" doc:"service.version"`
}

// String is the short human form, "checkout@2.1 (production)".
func (r Ref) String() string {
	var b strings.Builder
	b.WriteString(r.Service)
	if r.Version != "" {
		b.WriteString("@" + r.Version)
	}
	if r.Environment != "" {
		b.WriteString(" (" + r.Environment + ")")
	}
	return b.String()
}

// Covers reports whether other lies inside r: every field that r sets is
// equal in other.
func (r Ref) Covers(other Ref) bool {
	return (r.Service == "" || r.Service == other.Service) &&
		(r.Environment == "" || r.Environment == other.Environment) &&
		(r.Version == "" || r.Version == other.Version)
}

// Type says what kind of thing an entity is.
type Type string

// The types in use. Dynatrace calls them SERVICE, PROCESS_GROUP_INSTANCE and
// HOST; selectors accept either spelling.
const (
	TypeService Type = "service"
	TypeProcess Type = "process"
	TypeHost    Type = "host"
)

// Entity is one thing seen in telemetry.
type Entity struct {
	ID   string `json:"id" doc:"stable id, for example SERVICE-checkout"`
	Type Type   `json:"type"`
	Ref
	// Name is the display name that a naming rule gave; see DisplayName.
	Name string `json:"name,omitempty"`
	// Tags are the resource attributes worth selecting by, and those that tag
	// rules gave.
	Tags map[string]string `json:"tags,omitempty"`
}

// DisplayName is how the entity is shown: the name that a rule gave it, or that
// of its service.
func (e Entity) DisplayName() string {
	if e.Name != "" {
		return e.Name
	}
	return e.Service
}

// TagList returns the tags as sorted "key:value" strings.
func (e Entity) TagList() []string {
	out := make([]string, 0, len(e.Tags))
	for k, v := range e.Tags {
		if v == "" {
			out = append(out, k)
			continue
		}
		out = append(out, k+":"+v)
	}
	sort.Strings(out)
	return out
}
