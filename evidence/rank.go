package evidence

import (
	"context"
	"fmt"
	"sort"
	"strings"
	"time"

	"github.com/tidegate-io/tidegate/change"
	"github.com/tidegate-io/tidegate/entity"
	"github.com/tidegate-io/tidegate/telemetry"
)

const (
	// changesBefore is how long before the onset changes are looked for.
	changesBefore = 24 * time.Hour
	// skew is by how much a change may seem to come after what it caused:
	// the clocks of two machines, and a flag that is read before its change
	// is written down.
	skew = 2 * time.Second
	// shortly: a change this long before the onset may be to blame for it. An
	// earlier one only if nothing was asked of the place in between.
	shortly = 30 * time.Minute
	// halfTime: a change this long before the onset counts half.
	halfTime = 10 * time.Minute
	// minShare of the failures that a group must explain for its cause to be
	// the cause.
	minShare      = 0.1
	maxCandidates = 10
)

// How much it says that a change touches a place.
const (
	atOrigin  = 1.0 // where the failures begin, or a flag evaluated there
	onPath    = 0.6 // a service the failing requests go through
	atPeer    = 0.9 // the called side that left no span
	nowhere   = 0.1 // the change names no place
	kindOther = 0.9 // configuration, against deployments and flags
	undoing   = 0.3 // it takes another change back
	outdated  = 0.3 // another change of the same thing came after it
	defined   = 0.3 // a flag became known, which code that evaluates it need not notice
	otherBy   = 0.3 // a deployment of another version than the one that fails
)

// changes ranks the changes that preceded the onset on the causal path.
//
// Left out are: what came after the onset (but for clock skew), what touches
// no service on the path, and what was undone before the onset. A change is
// likely when it touches the path, came shortly before the onset, is the last
// one of its thing, takes nothing back, is more than a flag becoming known, and
// the failures were not usual before. With no such change nothing is blamed.
func (g *gathering) changes(ctx context.Context) {
	if g.Changes == nil {
		g.gap("no record of changes", nil)
		return
	}
	groups := g.causal()
	if len(groups) == 0 {
		return
	}
	since := groups[0].started
	for _, gr := range groups {
		if gr.started.Before(since) {
			since = gr.started
		}
	}
	events, err := g.Changes.Events(ctx, change.Query{
		Kinds: []change.Kind{change.KindDeployment, change.KindFlag, change.KindConfiguration},
		From:  since.Add(-changesBefore), To: g.Window.To, Limit: g.Limits.Changes,
	})
	if err != nil {
		g.gap("changes could not be read", err)
		return
	}
	if len(events) == g.Limits.Changes {
		g.gap(fmt.Sprintf("only the latest %d changes were looked at", g.Limits.Changes), nil)
	}
	g.out.Changes = g.rank(ctx, groups, events)
}

// causal are the groups whose cause is looked for.
func (g *gathering) causal() []*group {
	var out []*group
	for _, gr := range g.groups {
		if gr.Share >= minShare && len(out) < searched {
			out = append(out, gr)
		}
	}
	if g.slowGroup != nil {
		out = append(out, g.slowGroup)
	}
	return out
}

func (g *gathering) rank(ctx context.Context, groups []*group, events []change.Event) []Candidate {
	best := map[string]Candidate{}
	for _, gr := range groups {
		for _, e := range events {
			c, ok := g.candidate(ctx, gr, e, events)
			if ok && (c.Score > best[e.ID].Score) {
				best[e.ID] = c
			}
		}
	}
	out := make([]Candidate, 0, len(best))
	for _, c := range best {
		out = append(out, c)
	}
	sort.Slice(out, func(i, j int) bool {
		a, b := out[i], out[j]
		switch {
		case a.Likely != b.Likely:
			return a.Likely
		case a.Score != b.Score:
			return a.Score > b.Score
		case !a.Event.Start.Equal(b.Event.Start):
			return a.Event.Start.After(b.Event.Start)
		}
		return a.Event.ID < b.Event.ID
	})
	return out[:min(len(out), maxCandidates)]
}

// candidate weighs one change as the cause of one group.
func (g *gathering) candidate(ctx context.Context, gr *group, e change.Event, all []change.Event) (Candidate, bool) {
	gap := gr.started.Sub(e.Start)
	if !e.Kind.Causal() || gap < -skew || Undone(e, all, gr.started) {
		return Candidate{}, false
	}
	on, place, why := gr.touched(e)
	if place == 0 {
		return Candidate{}, false
	}
	c := Candidate{Event: e, On: on, SecondsBefore: gap.Seconds(), Likely: place > nowhere}
	c.Score = place * float64(halfTime) / float64(halfTime+max(gap, 0)) * (0.5 + 0.5*gr.Share)
	reasons := []string{why, gr.distance(gap)}
	doubt := func(weight float64, reason string) {
		c.Score *= weight
		c.Likely = false
		reasons = append(reasons, reason)
	}
	if e.Kind == change.KindConfiguration {
		c.Score *= kindOther
	}
	if e.UndoOf != "" {
		doubt(undoing, "it takes an earlier change back")
	}
	if e.Type == change.TypeFlagDefined {
		doubt(defined, "the flag became known then, which is not to say that anything changed")
	}
	if later, ok := Superseded(e, all, gr.started); ok {
		doubt(outdated, fmt.Sprintf("“%s” came after it", later.Title))
	}
	if v := gr.origin.Version; e.Kind == change.KindDeployment && e.To != "" && v != "" && e.Service == gr.origin.Service {
		if e.To == v {
			reasons = append(reasons, "the failing spans are of the version deployed")
		} else {
			doubt(otherBy, fmt.Sprintf("the failing spans are of version %s, not %s", v, e.To))
		}
	}
	if gr.usual {
		doubt(1, "but this kind of failure was as frequent before")
	}
	if c.Likely && gap > shortly {
		if !g.idleBetween(ctx, gr, e.Start) {
			doubt(1, "too long before to blame it")
		} else {
			reasons = append(reasons, "nothing was asked of it in between")
		}
	}
	c.Why = sentence(reasons)
	return c, true
}

// touched says where a change meets the path of a group, and what that is
// worth; 0 when it does not.
func (gr *group) touched(e change.Event) (entity.Ref, float64, string) {
	if at, ok := gr.flags[e.Key]; ok && e.Kind == change.KindFlag && e.Key != "" && !elsewhere(e, at.Environment) {
		return at, atOrigin, fmt.Sprintf("the failing requests evaluate this flag in %s", at.Service)
	}
	if e.Touches(gr.origin) {
		return gr.origin, atOrigin, fmt.Sprintf("it changed %s, where the %s begin", gr.origin.Service, gr.symptom())
	}
	for peer := range gr.peers {
		for _, p := range e.Places() {
			if p.Service != "" && sameEnvironment(p, gr.origin.Environment) && (p.Service == peer || strings.HasPrefix(peer, p.Service+".") || strings.HasPrefix(peer, p.Service+":")) {
				return p, atPeer, fmt.Sprintf("it changed %s, which the failing calls of %s go to", p.Service, gr.Service)
			}
		}
	}
	for _, r := range sortedRefs(gr.places) {
		if e.Touches(r) {
			return r, onPath, fmt.Sprintf("it changed %s, which the %s go through", r.Service, gr.symptom())
		}
	}
	for _, p := range e.Places() {
		if p.Service != "" {
			return entity.Ref{}, 0, ""
		}
		if !sameEnvironment(p, gr.origin.Environment) {
			return entity.Ref{}, 0, ""
		}
	}
	return entity.Ref{}, nowhere, "it names no service"
}

// sameEnvironment reports whether a place may be in the environment: where one
// of the two is not known, it may.
func sameEnvironment(p entity.Ref, environment string) bool {
	return p.Environment == "" || environment == "" || p.Environment == environment
}

// elsewhere reports whether an event names places, all of other environments.
func elsewhere(e change.Event, environment string) bool {
	places := e.Places()
	for _, p := range places {
		if sameEnvironment(p, environment) {
			return false
		}
	}
	return len(places) > 0
}

func (gr *group) symptom() string {
	if gr.slow {
		return "slow requests"
	}
	return "failures"
}

func (gr *group) distance(gap time.Duration) string {
	what := "failure"
	if gr.slow {
		what = "slow request"
	}
	if gap < 0 {
		return fmt.Sprintf("at the time of the first %s (clocks may differ by %s)", what, lasting(skew))
	}
	return fmt.Sprintf("%s before the first %s", lasting(gap), what)
}

// lasting writes a length of time for people.
func lasting(d time.Duration) string {
	switch {
	case d < 10*time.Second:
		return fmt.Sprintf("%.1f s", d.Seconds())
	case d < 2*time.Minute:
		return fmt.Sprintf("%.0f s", d.Seconds())
	case d < 2*time.Hour:
		return fmt.Sprintf("%.0f min", d.Minutes())
	}
	return fmt.Sprintf("%.0f h", d.Hours())
}

// Undone reports whether a change had been taken back before the onset.
func Undone(e change.Event, all []change.Event, onset time.Time) bool {
	for _, u := range all {
		if u.UndoOf == e.ID && e.ID != "" && !u.Start.After(onset) {
			return true
		}
	}
	return false
}

// Superseded returns a later change, before the onset, of the same thing.
func Superseded(e change.Event, all []change.Event, onset time.Time) (change.Event, bool) {
	for _, l := range all {
		if e.Key != "" && l.Key == e.Key && l.Kind == e.Kind && l.Service == e.Service && l.Environment == e.Environment &&
			l.Start.After(e.Start) && !l.Start.After(onset) {
			return l, true
		}
	}
	return change.Event{}, false
}

// idleBetween reports whether the place where the group begins served nothing
// between the change and the onset: then a change of long ago is as good as
// one of just now.
func (g *gathering) idleBetween(ctx context.Context, gr *group, since time.Time) bool {
	if g.Traces == nil {
		return false
	}
	q := telemetry.TraceQuery{Ref: gr.origin, Operation: gr.Operation, From: since, To: gr.started, Limit: 1}
	q.Version = ""
	for range g.Traces.Traces(ctx, q) {
		return false // a trace, or an error: not known to be idle
	}
	return true
}

// sentence joins reasons: a capital, semicolons, a full stop.
func sentence(reasons []string) string {
	s := strings.Join(reasons, "; ")
	return strings.ToUpper(s[:1]) + s[1:] + "."
}
