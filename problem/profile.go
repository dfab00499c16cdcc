package problem

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/tidegate-io/tidegate/entity"
	"github.com/tidegate-io/tidegate/fault"
)

// Limits on definitions.
const (
	maxChannels = 20
	maxFilters  = 50
	maxDelay    = 24 * time.Hour
	maxPattern  = 1000
)

// Profile routes problems to notification channels and to workflows. A problem
// matches when it satisfies every condition that the profile has.
type Profile struct {
	Name   string            `json:"name"`
	Labels map[string]string `json:"labels,omitempty"`

	Severities   []Severity `json:"severities,omitempty"`
	Services     []string   `json:"services,omitempty"` // one of them is impacted
	Environments []string   `json:"environments,omitempty"`
	// TagsAny and TagsAll are tags, "key" or "key:value", of the impacted
	// services or of the events.
	TagsAny []string `json:"tagsAny,omitempty"`
	TagsAll []string `json:"tagsAll,omitempty"`
	// Events: at least one event of the problem matches one of these.
	Events []EventFilter `json:"events,omitempty"`
	// Except: a problem whose every event matches one of these is left out.
	Except []EventFilter `json:"except,omitempty"`

	// Delay is how long a problem lasts before it is told of.
	Delay time.Duration `json:"delay,omitempty"`
	// Channels are told; without any, only workflows are: every alert is an
	// event problem.alerted with the profile's name as property.
	Channels []string `json:"channels,omitempty"`
}

// EventFilter selects events of a problem. Empty fields do not restrict.
type EventFilter struct {
	Source string `json:"source,omitempty"`
	Signal Signal `json:"signal,omitempty"`
	// Title is an RE2 expression that is found in the title.
	Title string `json:"title,omitempty"`

	title *regexp.Regexp
}

// Validate checks the definition. The error is a fault of KindInvalid that
// names the place.
func (p *Profile) Validate() error {
	_, err := p.compile()
	return err
}

// compile returns the profile with its expressions.
func (p Profile) compile() (Profile, error) {
	for i, s := range p.Severities {
		if s.rank() == len(severities) {
			return p, fault.InvalidField(fmt.Sprintf("spec.for.severity[%d]", i), "%q: expected one of %s", s, wordsOf(severities))
		}
	}
	if p.Delay < 0 || p.Delay > maxDelay {
		return p, fault.InvalidField("spec.delay", "expected at most %s", maxDelay)
	}
	if len(p.Channels) > maxChannels {
		return p, fault.InvalidField("spec.channels", "has %d channels, the limit is %d", len(p.Channels), maxChannels)
	}
	var err error
	if p.Events, err = compileFilters("spec.for.events", p.Events); err != nil {
		return p, err
	}
	p.Except, err = compileFilters("spec.for.except", p.Except)
	return p, err
}

func compileFilters(at string, filters []EventFilter) ([]EventFilter, error) {
	if len(filters) > maxFilters {
		return nil, fault.InvalidField(at, "has %d filters, the limit is %d", len(filters), maxFilters)
	}
	out := slices.Clone(filters)
	for i := range out {
		f := &out[i]
		if *f == (EventFilter{}) {
			return nil, fault.InvalidField(fmt.Sprintf("%s[%d]", at, i), "says nothing: expected source, signal or title")
		}
		if f.Title == "" {
			continue
		}
		var err error
		if f.title, err = compilePattern(fmt.Sprintf("%s[%d].title", at, i), f.Title); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// compilePattern compiles an RE2 expression from outside.
func compilePattern(at, text string) (*regexp.Regexp, error) {
	if len(text) > maxPattern {
		return nil, fault.InvalidField(at, "has %d bytes, the limit is %d", len(text), maxPattern)
	}
	re, err := regexp.Compile(text)
	if err != nil {
		return nil, fault.InvalidField(at, "%v", err)
	}
	return re, nil
}

func wordsOf[T ~string](list []T) string {
	words := make([]string, len(list))
	for i, s := range list {
		words[i] = string(s)
	}
	return strings.Join(words, ", ")
}

func (f *EventFilter) matches(e *Event) bool {
	return (f.Source == "" || f.Source == e.Source) && (f.Signal == "" || f.Signal == e.Signal) &&
		(f.title == nil || f.title.MatchString(e.Title))
}

// mismatch says what keeps the problem from matching; empty when it matches.
// tags are those of the impacted services and of the events.
func (p *Profile) mismatch(r *Problem, tags map[string]bool) string {
	hasTag := func(t string) bool { return tags[t] }
	service := func(s string) bool {
		return slices.ContainsFunc(r.Impact.Services, func(x entity.Ref) bool { return x.Service == s })
	}
	environment := func(s string) bool {
		return slices.ContainsFunc(r.Impact.Services, func(x entity.Ref) bool { return x.Environment == s })
	}
	among := func(filters []EventFilter) func(Event) bool {
		return func(e Event) bool {
			return slices.ContainsFunc(filters, func(f EventFilter) bool { return f.matches(&e) })
		}
	}
	switch {
	case len(p.Severities) > 0 && !slices.Contains(p.Severities, r.Severity):
		return fmt.Sprintf("its severity is %s, not %s", r.Severity, either(wordsOf(p.Severities)))
	case len(p.Services) > 0 && !slices.ContainsFunc(p.Services, service):
		return "it is not in " + either(strings.Join(p.Services, ", "))
	case len(p.Environments) > 0 && !slices.ContainsFunc(p.Environments, environment):
		return "it is not in the environment " + either(strings.Join(p.Environments, ", "))
	case len(p.TagsAny) > 0 && !slices.ContainsFunc(p.TagsAny, hasTag):
		return "it has none of the tags " + strings.Join(p.TagsAny, ", ")
	case len(p.TagsAll) > 0 && slices.ContainsFunc(p.TagsAll, func(t string) bool { return !hasTag(t) }):
		return "it has not all of the tags " + strings.Join(p.TagsAll, ", ")
	case len(p.Events) > 0 && !slices.ContainsFunc(r.Events, among(p.Events)):
		return "none of its events is of the kind asked for"
	case len(p.Except) > 0 && len(r.Events) > 0 && !slices.ContainsFunc(r.Events, func(e Event) bool { return !among(p.Except)(e) }):
		return "all its events are of a kind left out"
	}
	return ""
}

// either reads a list as a choice: "a, b or c".
func either(list string) string {
	if i := strings.LastIndex(list, ", "); i >= 0 {
		return list[:i] + " or " + list[i+2:]
	}
	return list
}

// tagSet is what profiles compare tags with: "key" and "key:value" of each.
func tagSet(lists ...map[string]string) map[string]bool {
	out := map[string]bool{}
	for _, tags := range lists {
		for k, v := range tags {
			out[k] = true
			out[k+":"+v] = true
		}
	}
	return out
}
