package flag

import (
	"encoding/json"
	"slices"
	"sort"
	"strings"

	"github.com/tidegate-io/tidegate/fault"
)

// State is everything in force at one moment. It never changes; a later one
// replaces it, which Changed reports.
type State struct {
	documents []Document
	flags     []Flag
	problems  []DefinitionError
	changed   chan struct{}
}

// Document is a flagd document as it is served, with the runtime changes
// applied. Documents of one Set have no keys in common.
type Document struct {
	Source string
	Set    string
	JSON   json.RawMessage
}

// Documents returns the documents to serve, sorted by set and source. Not to
// be modified.
func (s *State) Documents() []Document { return s.documents }

// Flags returns all flags, sorted by set and key. Not to be modified.
func (s *State) Flags() []Flag { return s.flags }

// Problems returns what is refused at the moment, and so why an older
// definition, or none, is in force.
func (s *State) Problems() []DefinitionError { return s.problems }

// Changed returns a channel that is closed when a newer state is in force.
func (s *State) Changed() <-chan struct{} { return s.changed }

// Flag returns one flag. The set may be empty when only one set has the key;
// otherwise that is a fault of KindConflict that names the sets.
func (s *State) Flag(set, key string) (Flag, error) {
	var found []Flag
	for _, f := range s.flags {
		if f.Key == key && (set == "" || f.Set == set) {
			found = append(found, f)
		}
	}
	switch len(found) {
	case 0:
		if set != "" {
			return Flag{}, fault.NotFound("there is no flag %q in set %q", key, set)
		}
		return Flag{}, fault.NotFound("there is no flag %q", key)
	case 1:
		return found[0], nil
	}
	sets := make([]string, len(found))
	for i, f := range found {
		sets[i] = f.Set
	}
	return Flag{}, fault.Conflict("flag %q is in several sets (%s): say which", key, strings.Join(sets, ", "))
}

// newState assembles a state from the accepted documents.
func newState(docs []*document, overrides map[overrideKey]Override, problems []DefinitionError) (*State, error) {
	s := &State{problems: problems, changed: make(chan struct{})}
	for _, d := range docs {
		text, err := d.effective(overrides)
		if err != nil {
			return nil, fault.Internal("rendering %s: %w", d.source, err)
		}
		s.documents = append(s.documents, Document{Source: d.source, Set: d.set, JSON: text})
		for key := range d.flags {
			s.flags = append(s.flags, d.flag(overrides, key))
		}
	}
	slices.SortFunc(s.documents, func(a, b Document) int {
		return strings.Compare(a.Set+"\x00"+a.Source, b.Set+"\x00"+b.Source)
	})
	sort.Slice(s.flags, func(i, j int) bool {
		a, b := s.flags[i], s.flags[j]
		return a.Set < b.Set || a.Set == b.Set && a.Key < b.Key
	})
	return s, nil
}
