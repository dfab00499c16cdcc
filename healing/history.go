package healing

import (
	"slices"
	"strconv"
	"time"

	"github.com/tidegate-io/tidegate/change"
)

// History is what happened to the thing that a change changed.
type History struct {
	// Undone is the event that took the change back; nil when none did.
	Undone *change.Event
	// Later are the changes of the same thing that came after it.
	Later []change.Event
	// Crossed are the irreversible changes between the revision to go back to
	// and now.
	Crossed []change.Event
	// Bad says why the revision must not come back; empty when it may.
	Bad string
}

// Irreversible reports whether an event is marked so, by one of the properties
// irreversible and migration.
func Irreversible(e *change.Event) bool {
	for _, p := range []string{"irreversible", "migration"} {
		if yes, err := strconv.ParseBool(e.Properties[p]); err == nil && yes {
			return true
		}
	}
	return false
}

// timeline is the changes at a place, oldest first.
type timeline []change.Event

func newTimeline(events []change.Event) timeline {
	seen := map[string]bool{}
	var out timeline
	for _, e := range events {
		if !seen[e.ID] {
			seen[e.ID] = true
			out = append(out, e)
		}
	}
	slices.SortStableFunc(out, func(a, b change.Event) int { return a.Start.Compare(b.Start) })
	return out
}

// same reports whether two events changed the same thing: the flag with one
// key, the application with one name, or what runs as one service.
func same(a, b *change.Event) bool {
	if a.Kind != b.Kind || (a.Environment != "" && b.Environment != "" && a.Environment != b.Environment) {
		return false
	}
	if a.Key != "" || b.Key != "" {
		return a.Key == b.Key && (a.Kind == change.KindFlag || a.Service == b.Service)
	}
	return a.Service == b.Service
}

// undoneBy returns the event that took e back, the last one of several.
func (t timeline) undoneBy(e *change.Event) *change.Event {
	for i := len(t) - 1; i >= 0; i-- {
		if t[i].UndoOf == e.ID {
			return &t[i]
		}
	}
	return nil
}

// bad says why a revision of what e changed must not come back: it is what is
// blamed now, or somebody took it back before.
func (t timeline) bad(e *change.Event, revision string) string {
	if revision == "" {
		return ""
	}
	if revision == e.To {
		return "it is what is blamed now"
	}
	for i := range t {
		if c := &t[i]; c.To == revision && same(c, e) && c.ID != e.ID {
			if u := t.undoneBy(c); u != nil {
				return "it was taken back at " + u.Start.UTC().Format(time.DateTime) + " by " + orSomebody(u.Who)
			}
		}
	}
	return ""
}

// lastGood is the newest revision that ran before e and is not bad; empty when
// none is known.
func (t timeline) lastGood(e *change.Event, bad func(revision string) string) string {
	candidates := []string{e.From}
	for i := len(t) - 1; i >= 0; i-- {
		if c := &t[i]; c.ID != e.ID && same(c, e) && !c.Start.After(e.Start) {
			candidates = append(candidates, c.To, c.From)
		}
	}
	for _, r := range candidates {
		if r != "" && bad(r) == "" {
			return r
		}
	}
	return ""
}

// history looks at what e changed, and at the way back to a revision.
func (t timeline) history(e *change.Event, revision string) History {
	h := History{Undone: t.undoneBy(e), Bad: t.bad(e, revision)}
	from := e.Start // of the way back
	for i := range t {
		c := &t[i]
		if c.ID == e.ID || c.UndoOf == e.ID {
			continue
		}
		switch {
		case same(c, e) && c.Start.After(e.Start):
			h.Later = append(h.Later, *c)
		case same(c, e) && revision != "" && c.To == revision:
			from = c.Start // the last time that it began to run
		}
	}
	if e.Kind == change.KindFlag {
		return h // a flag is a flag again, whatever else was changed
	}
	for _, c := range t {
		if c.ID != e.ID && c.Kind.Causal() && c.Kind != change.KindFlag && c.Start.After(from) && Irreversible(&c) {
			h.Crossed = append(h.Crossed, c)
		}
	}
	return h
}
