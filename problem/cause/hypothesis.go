package cause

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/tidegate-io/tidegate/change"
	"github.com/tidegate-io/tidegate/entity"
	"github.com/tidegate-io/tidegate/evidence"
	"github.com/tidegate-io/tidegate/problem"
)

// hypothesis is one way in which it may have come about, with the sum of the
// log-likelihood ratios of what speaks for and against it.
type hypothesis struct {
	kind   problem.CauseKind
	score  float64
	parts  []part
	change *change.Event // for CauseChange
	on     entity.Ref
	before time.Duration // from the change to what it fits best

	exception, resource string
	dependency          string
	scale               bool // more of the resource would help
}

func (h *hypothesis) add(kind string, weight float64, text string) {
	h.score += weight
	h.parts = append(h.parts, part{kind: kind, text: text, weight: weight})
}

// Log-likelihood ratios and odds of changes as causes.
const (
	// unexplained is the weight of "a fault that nothing explains": a change
	// has to say more than this to be blamed.
	unexplained = 2.0
	// elsewhereOdds is how probable it is that an innocent change touches the
	// place where it begins.
	elsewhereOdds = 0.15
	// leastPlace is the least share of the causal path for a change to be
	// weighed at all.
	leastPlace = 0.05

	ofVersion      = 1.0  // the failing spans are of the version deployed
	ofOtherVersion = -3.0 // they are of another
	takesBack      = -3.0 // it takes another change back, to what was good
	becameKnown    = -3.0 // a flag became known, which is not to say that anything changed
	overwritten    = -3.0 // the same flag or value was set again before the onset
)

// How much of the causal path a change at a place touches.
const (
	touchOrigin = 1.0
	touchFlag   = 1.0 // a flag that the failing requests evaluate
	touchPeer   = 0.9 // the called side that left no span, or fell silent
	touchLoad   = 0.8 // a caller that asks more of the origin than before
	touchCallee = 0.3 // what the origin calls
	touchPath   = 0.2 // a caller that the symptom passes through
	touchNone   = 0.06
)

// blamed changes: every change on the causal path and before the earliest
// anomaly, as a hypothesis.
func (w *world) changes(ranked []suspect, chain map[int]bool, ms []moment) []hypothesis {
	symptom := w.symptomWords(chain)
	var bags []bag
	var causal []change.Event
	for _, e := range w.Changes {
		if e.Kind.Causal() {
			causal = append(causal, e)
			bags = append(bags, changeWords(e))
		}
	}
	places := w.placeOdds(ranked)
	var out []hypothesis
	for i, e := range causal {
		if evidence.Undone(e, causal, w.onset) {
			continue
		}
		h, ok := w.weighPlace(e, ranked, places, chain)
		if !ok {
			continue
		}
		if !weighTime(&h, e, ms) {
			continue
		}
		if v, why := substance(e); v != 0 {
			h.add("change", v, fmt.Sprintf("“%s”: %s", e.Title, why))
		}
		if v, shared := relevance(bags[i], symptom, bags); v != 0 {
			h.add("change", v, sharedText(e, shared))
		}
		w.weighFacts(&h, e, causal)
		out = append(out, h)
	}
	return out
}

// placeOdds turns the suspects' scores into probabilities.
func (w *world) placeOdds(ranked []suspect) map[int]float64 {
	out := map[int]float64{}
	sum := 0.0
	for _, s := range ranked {
		out[s.node] = math.Exp(s.score - ranked[0].score)
		sum += out[s.node]
	}
	for i := range out {
		out[i] /= sum
	}
	return out
}

// weighPlace weighs where a change was made, over all places at which it may
// have begun.
func (w *world) weighPlace(e change.Event, ranked []suspect, odds map[int]float64, chain map[int]bool) (hypothesis, bool) {
	h := hypothesis{kind: problem.CauseChange, change: &e}
	touched, why := 0.0, ""
	most := 0.0
	for _, s := range ranked {
		share, on, text := w.touches(e, s.node, chain)
		touched += odds[s.node] * share
		if odds[s.node]*share > most {
			most, h.on, why = odds[s.node]*share, on, text
		}
	}
	if touched < leastPlace {
		return h, false
	}
	h.add("change", math.Log(touched/elsewhereOdds), fmt.Sprintf("“%s” %s", e.Title, why))
	return h, true
}

// touches says how much of what begins at a place a change may explain by
// where it was made.
func (w *world) touches(e change.Event, origin int, chain map[int]bool) (share float64, on entity.Ref, why string) {
	n := w.nodes[origin]
	best := func(s float64, r entity.Ref, text string) {
		if s > share {
			share, on, why = s, r, text
		}
	}
	for _, g := range w.Failures {
		if w.find(w.originOf(g)) != origin || g.Usual {
			continue
		}
		if e.Kind == change.KindFlag && e.Key != "" && slices.Contains(g.Flags, e.Key) && !elsewhere(e, n.ref.Environment) {
			best(touchFlag, n.ref, "is a flag that the failing requests evaluate in "+n.ref.Service)
		}
		for _, p := range e.Places() {
			if p.Service != "" && g.Peer != "" && sameEnvironment(p, n.ref) && hostOf(g.Peer, p.Service) {
				best(touchPeer, p, "changed "+p.Service+", which the failing calls go to")
			}
		}
	}
	if e.Touches(n.ref) {
		best(touchOrigin, n.ref, "changed "+n.ref.Service+", where it begins")
	}
	for _, c := range n.callers {
		if r := w.nodes[c].ref; e.Touches(r) {
			if w.loadRose(origin) {
				best(touchLoad, r, "changed "+r.Service+", which asks more of "+n.ref.Service+" than before")
			} else if chain[c] {
				best(touchPath, r, "changed "+r.Service+", which the symptom passes through")
			}
		}
	}
	for _, c := range n.callees {
		switch r := w.nodes[c].ref; {
		case !e.Touches(r):
		case w.silent(c):
			best(touchPeer, r, "changed "+r.Service+", which "+n.ref.Service+" calls and which fell silent")
		default:
			best(touchCallee, r, "changed "+r.Service+", which "+n.ref.Service+" calls")
		}
	}
	for i, other := range w.nodes {
		if i != origin && chain[i] && e.Touches(other.ref) && other.involved() {
			best(touchPath, other.ref, "changed "+other.ref.Service+", which the symptom passes through")
		}
	}
	if len(e.Places()) == 0 || allNameless(e.Places()) && !elsewhere(e, n.ref.Environment) {
		best(touchNone, entity.Ref{}, "names no service")
	}
	return share, on, why
}

func allNameless(places []entity.Ref) bool {
	return !slices.ContainsFunc(places, func(p entity.Ref) bool { return p.Service != "" })
}

func sameEnvironment(a, b entity.Ref) bool {
	return a.Environment == "" || b.Environment == "" || a.Environment == b.Environment
}

func elsewhere(e change.Event, environment string) bool {
	places := e.Places()
	return len(places) > 0 && !slices.ContainsFunc(places, func(p entity.Ref) bool {
		return sameEnvironment(p, entity.Ref{Environment: environment})
	})
}

// hostOf reports whether a host name is that of a service.
func hostOf(peer, service string) bool {
	return peer == service || strings.HasPrefix(peer, service+".") || strings.HasPrefix(peer, service+":")
}

// loadRose reports whether more was asked of a place than before, no later
// than the symptom.
func (w *world) loadRose(i int) bool {
	_, ok := w.traffic(i, true)
	return ok
}

// silent reports whether a place stopped being reached when it began: hardly
// any traffic is left, or no measurements come any more.
func (w *world) silent(i int) bool {
	if t, ok := w.traffic(i, false); ok && t.s.after < 0.2*t.s.before {
		return true
	}
	m := w.nodes[i].best(RoleTraffic)
	if m == nil || len(m.Points) < fewestPoints {
		return false
	}
	last := m.Points[len(m.Points)-1].Time.Add(m.Step)
	return last.Before(w.onset.Add(m.Step)) && w.newest.Sub(last) > 2*m.Step
}

// weighTime weighs when a change was made. It reports false for one after the
// earliest anomaly.
func weighTime(h *hypothesis, e change.Event, ms []moment) bool {
	p := deployPace
	if e.Kind == change.KindFlag {
		p = flagPace
	}
	v, fits, before := p.timing(e.Start, ms)
	if !before {
		return false
	}
	h.before = fits.end.Sub(e.Start)
	middle := fits.start.Add(fits.end.Sub(fits.start) / 2).Sub(e.Start)
	when := lasting(middle) + " before"
	if middle <= 0 {
		when = "at the same time"
	}
	h.add("change", v, fmt.Sprintf("“%s” at %s, %s: %s", e.Title, clock(e.Start), when, fits.text))
	return true
}

func sharedText(e change.Event, shared []string) string {
	if len(shared) == 0 {
		return fmt.Sprintf("“%s” has no words in common with the symptom", e.Title)
	}
	slices.SortStableFunc(shared, func(a, b string) int { return cmp.Compare(len(b), len(a)) })
	return fmt.Sprintf("“%s” is about what the symptom is about: %s", e.Title, strings.Join(shared[:min(len(shared), 5)], ", "))
}

// weighFacts weighs what is known of a change beside place, time and content.
func (w *world) weighFacts(h *hypothesis, e change.Event, all []change.Event) {
	if e.UndoOf != "" {
		h.add("change", takesBack, fmt.Sprintf("“%s” takes an earlier change back", e.Title))
	}
	if e.Type == change.TypeFlagDefined {
		h.add("change", becameKnown, fmt.Sprintf("with “%s” a flag became known, which is not to say that anything changed", e.Title))
	}
	if later, ok := evidence.Superseded(e, all, w.onset); ok && e.Kind != change.KindDeployment {
		h.add("change", overwritten, fmt.Sprintf("“%s” was overwritten by “%s” before it began", e.Title, later.Title))
	}
	if e.Kind != change.KindDeployment || e.To == "" || e.UndoOf != "" {
		return
	}
	for _, g := range w.Failures {
		v := g.Origin.Version
		if g.Usual || v == "" || !e.Touches(g.Origin) {
			continue
		}
		if v == e.To {
			h.add("change", ofVersion, "the failing spans are of "+g.Origin.Service+" "+v+", the version deployed")
		} else {
			h.add("change", ofOtherVersion, "the failing spans are of "+g.Origin.Service+" "+v+", not of "+e.To)
		}
		return
	}
}

// rivals orders hypotheses, the best first, and gives the first one's
// probability.
func rivals(hs []hypothesis) ([]hypothesis, float64) {
	slices.SortStableFunc(hs, func(a, b hypothesis) int {
		return cmp.Or(cmp.Compare(b.score, a.score), cmp.Compare(a.kind, b.kind), cmp.Compare(a.id(), b.id()))
	})
	sum := 0.0
	for _, h := range hs {
		sum += math.Exp(h.score - hs[0].score)
	}
	return hs, 1 / sum
}

func (h *hypothesis) id() string {
	if h.change != nil {
		return h.change.ID
	}
	return ""
}
