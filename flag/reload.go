package flag

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/tidegate-io/tidegate/change"
)

// maxEvents bounds the change events of one reload; beyond it they are
// audited only.
const maxEvents = 100

// readSources reads every source and takes over what changed. It reports
// whether anything did. When announce is set, the differences are audited and
// become change events.
func (m *Manager) readSources(ctx context.Context, announce bool) bool {
	before := m.sourceFlags()
	changed := false
	var files []file
	present := map[string]bool{}
	unreadable := map[string]bool{}
	for _, s := range m.sources {
		read, err := s.read()
		if err != nil {
			changed = m.refuse(ctx, s.Path, &DefinitionError{File: s.Path, Reason: err.Error()}) || changed
			present[s.Path], unreadable[s.Path] = true, true
			continue
		}
		for _, f := range read {
			if !present[f.source] {
				present[f.source] = true
				files = append(files, f)
			}
		}
	}
	for source := range m.files {
		if !present[source] && !below(source, unreadable) {
			delete(m.files, source)
			changed = true
		}
	}
	for _, f := range files {
		changed = m.readFile(ctx, f) || changed
	}
	if changed && announce {
		m.announce(ctx, before, m.sourceFlags())
	}
	return changed
}

// below reports whether the file lies in one of the directories that could
// not be read.
func below(source string, unreadable map[string]bool) bool {
	for dir := range unreadable {
		if strings.HasPrefix(source, strings.TrimSuffix(dir, "/")+"/") {
			return true
		}
	}
	return false
}

// readFile takes over one file when its contents are new; it reports whether
// that changed anything.
func (m *Manager) readFile(ctx context.Context, f file) bool {
	digest := f.digest()
	if known := m.files[f.source]; known != nil && known.digest == digest {
		return false
	}
	docs, err := f.parse()
	if err == nil {
		// A collision may go away when the other file changes: no digest is
		// kept for it, so the file is looked at again next time.
		if err = m.collision(f.source, docs); err != nil {
			digest = [32]byte{}
		}
	}
	if err != nil {
		problem := &DefinitionError{File: f.source, Reason: err.Error()}
		errors.As(err, &problem)
		changed := m.refuse(ctx, f.source, problem)
		m.files[f.source].digest = digest
		return changed
	}
	m.files[f.source] = &fileState{digest: digest, documents: docs}
	return true
}

func (f file) digest() [32]byte {
	h := sha256.New()
	fmt.Fprintf(h, "%s\x00%s\x00%s\x00%v\x00", f.set, f.place.Service, f.place.Environment, f.err)
	h.Write(f.data)
	return [32]byte(h.Sum(nil))
}

// collision finds a flag that another file defines in the same set already.
func (m *Manager) collision(source string, docs []*document) error {
	taken := map[overrideKey]string{}
	for other, state := range m.files {
		if other == source {
			continue
		}
		for _, d := range state.documents {
			for key := range d.flags {
				taken[overrideKey{d.set, key}] = d.source
			}
		}
	}
	for _, d := range docs {
		for _, key := range slices.Sorted(maps.Keys(d.flags)) {
			if other := taken[overrideKey{d.set, key}]; other != "" {
				return &DefinitionError{File: d.source, Reason: fmt.Sprintf("flag %q of set %q is defined in %s already", key, d.set, other)}
			}
			taken[overrideKey{d.set, key}] = d.source
		}
	}
	return nil
}

// refuse remembers and audits a bad file; what it gave before stays in force.
// It reports whether the problem is a new one.
func (m *Manager) refuse(ctx context.Context, source string, problem *DefinitionError) bool {
	state := m.files[source]
	if state == nil {
		state = &fileState{}
		m.files[source] = state
	}
	if state.problem != nil && *state.problem == *problem {
		return false
	}
	state.digest, state.problem = [32]byte{}, problem
	a := Audit{ID: change.NewID(m.now()), At: m.now().UTC(), What: "refused", Note: problem.Error()}
	if len(state.documents) > 0 {
		a.Set = state.documents[0].set
	}
	m.logger.WarnContext(ctx, "flag definitions refused, the earlier ones stay in force", "problem", problem.Error())
	if err := m.store.AddAudit(ctx, a); err != nil {
		m.logger.ErrorContext(ctx, "refused flag definitions were not audited", "error", err)
	}
	return true
}

// sourceFlags are the flags as the sources have them.
func (m *Manager) sourceFlags() map[overrideKey]Flag {
	out := map[overrideKey]Flag{}
	for _, f := range m.files {
		for _, d := range f.documents {
			for key, fl := range d.flags {
				out[overrideKey{d.set, key}] = fl
			}
		}
	}
	return out
}

// announce audits the differences between two readings of the sources, and
// reports those that change what is served. The sources are in force by
// themselves, so a failure here is logged and does not hold them up.
func (m *Manager) announce(ctx context.Context, before, after map[overrideKey]Flag) {
	keys := map[overrideKey]bool{}
	for k := range before {
		keys[k] = true
	}
	for k := range after {
		keys[k] = true
	}
	sorted := slices.SortedFunc(maps.Keys(keys), func(a, b overrideKey) int {
		return strings.Compare(a.set+"\x00"+a.key, b.set+"\x00"+b.key)
	})
	events := 0
	for _, k := range sorted {
		d := compare(before[k], after[k])
		if d.same() {
			continue
		}
		events++
		if err := m.announceOne(ctx, k, before[k], after[k], d, events <= maxEvents); err != nil {
			m.logger.ErrorContext(ctx, "a change of a flag's source was not recorded", "flag", k.key, "error", err)
		}
	}
}

func (m *Manager) announceOne(ctx context.Context, k overrideKey, old, now Flag, d difference, event bool) error {
	a := Audit{
		ID: change.NewID(m.now()), Set: k.set, Key: k.key, From: old.SourceVariant, To: now.SourceVariant,
		At: m.now().UTC(), What: "source", Note: d.String(),
	}
	// While a runtime change is in force, the source's default does not matter.
	overridden := false
	if o, ok := m.overrides[k]; ok {
		overridden = old.Variants[o.Variant] != nil && now.Variants[o.Variant] != nil
	}
	event = event && (d.beyondVariant() || !overridden)
	if event {
		a.EventID = change.NewID(m.now())
	}
	if err := m.store.AddAudit(ctx, a); err != nil {
		return err
	}
	if !event {
		return nil
	}
	place := now
	if d.removed {
		place = old
	}
	undoable := !d.beyondVariant() && now.Variants[old.SourceVariant] != nil
	_, err := m.recorder.Record(ctx, sourceEvent(place, a, undoable))
	return err
}

// difference between two readings of a flag.
type difference struct {
	added, removed, variant, state, variants, targeting bool
}

func compare(old, now Flag) difference {
	if old.Key == "" || now.Key == "" {
		return difference{added: old.Key == "", removed: now.Key == ""}
	}
	return difference{
		variant:   old.SourceVariant != now.SourceVariant,
		state:     old.State != now.State,
		targeting: !sameJSON(old.Targeting, now.Targeting),
		variants:  !maps.EqualFunc(old.Variants, now.Variants, sameJSON),
	}
}

func (d difference) same() bool { return d == difference{} }

// beyondVariant reports whether more than the default variant differs.
func (d difference) beyondVariant() bool {
	return d.added || d.removed || d.state || d.variants || d.targeting
}

// String names what differs, "targeting and variants changed".
func (d difference) String() string {
	switch {
	case d.added:
		return "added"
	case d.removed:
		return "removed"
	}
	var parts []string
	for _, p := range []struct {
		is   bool
		name string
	}{{d.variant, "default variant"}, {d.state, "state"}, {d.targeting, "targeting"}, {d.variants, "variants"}} {
		if p.is {
			parts = append(parts, p.name)
		}
	}
	return strings.Join(parts, " and ") + " changed"
}

func sameJSON(a, b json.RawMessage) bool {
	var x, y bytes.Buffer
	if json.Compact(&x, a) != nil || json.Compact(&y, b) != nil {
		return bytes.Equal(a, b)
	}
	return bytes.Equal(x.Bytes(), y.Bytes())
}
