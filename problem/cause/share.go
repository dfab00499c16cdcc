package cause

import (
	"math"
	"slices"
	"time"
)

// attribution says how much of the symptom begins at each place.
type attribution struct {
	// share of the symptom's excess that what begins at a place explains.
	share []float64
	// certain: the place has an excess at all.
	certain []bool
	// evidence that the place has one.
	evidence []float64
	// via is the callee that explains most of a place's excess, else -1.
	via []int
	// known: the symptom's own excess could be measured.
	known bool
	// confirmed: it is certain that there is one, at the symptom or where it
	// comes from.
	confirmed bool
}

// attribute finds what begins where, for an excess of a kind at a target. A
// place's own excess is what its callees do not explain of it; the share is
// how well that fits the target's.
func (w *world) attribute(target int, k kind) attribution {
	n := len(w.nodes)
	a := attribution{share: make([]float64, n), certain: make([]bool, n), evidence: make([]float64, n), via: make([]int, n)}
	for i, nd := range w.nodes {
		a.via[i] = -1
		if e := nd.excess[k]; e != nil {
			a.evidence[i] = e.evidence
			a.certain[i] = e.evidence >= certain
		}
	}
	t := w.nodes[target].excess[k]
	if t == nil || len(t.times) == 0 {
		return a
	}
	a.known = true
	for _, i := range w.reach(target) {
		e := w.nodes[i].excess[k]
		if e == nil || e.fresh || i != target && !a.certain[i] {
			continue
		}
		own, via := w.own(i, k, a.certain)
		a.via[i] = via
		a.share[i] = explained(t, own, e)
		a.confirmed = a.confirmed || a.share[i] > 0 && a.certain[i] && confirms(e, t, a.share[i], n)
	}
	return a
}

// confirms reports whether an excess proves a symptom that is only alleged: by
// itself together with the part of the symptom that it explains, and in more
// than one slot, because one is a blip.
func confirms(e, symptom *excess, share float64, places int) bool {
	if len(e.times) > 2 && e.evidence-e.most < blip {
		return false
	}
	return e.evidence+share*symptom.evidence >= seldom+math.Log(float64(places))
}

// seldom is the evidence that no chance reaches more than once in several
// thousand complaints; places multiply chances.
const seldom = 9.0

// blip is the least evidence beside the slot that says most.
const blip = 2.0

// reach is a place and all that it calls, directly or not.
func (w *world) reach(from int) []int {
	seen := map[int]bool{from: true}
	todo := []int{from}
	for i := 0; i < len(todo); i++ {
		for _, c := range w.nodes[todo[i]].callees {
			if !seen[c] {
				seen[c] = true
				todo = append(todo, c)
			}
		}
	}
	slices.Sort(todo)
	return todo
}

// own is the excess that begins at a place: its excess less what it gets from
// its callees. Of each callee it gets between nothing and all (others may call
// it too). Callees are taken one by one, the one that explains most first, as
// long as one explains more than chance would. Those that nobody called before
// cannot have become worse, and those whose trouble began later cannot have
// passed it on: they explain nothing.
func (w *world) own(i int, k kind, certain []bool) (own []float64, via int) {
	e := w.nodes[i].excess[k]
	own, via = slices.Clone(e.by), -1
	left := slices.Clone(w.nodes[i].callees)
	for len(left) > 0 {
		best, gain, from := -1, minGain, []float64(nil)
		for j, c := range left {
			ce := w.nodes[c].excess[k]
			if ce == nil || ce.fresh || !certain[c] || later(w.nodes[c], w.nodes[i]) {
				continue
			}
			part := e.aligned(ce)
			if g, f := fitPart(own, part, e.sd); g > gain {
				best, gain, from = j, g, scaled(part, f)
			}
		}
		if best < 0 {
			break
		}
		if via < 0 {
			via = left[best]
		}
		for t := range own {
			own[t] -= from[t]
		}
		left = slices.Delete(left, best, best+1)
	}
	return own, via
}

// minGain is the least log-likelihood ratio by which a callee has to explain.
const minGain = 2.0

// fitPart finds the fraction in [0, 1] of part that fits y best, and the
// log-likelihood ratio against none of it.
func fitPart(y, part, sd []float64) (gain, fraction float64) {
	var sxy, sxx float64
	for t := range y {
		v := math.Max(sd[t]*sd[t], 1e-18)
		sxy += y[t] * part[t] / v
		sxx += part[t] * part[t] / v
	}
	if sxx <= 0 || sxy <= 0 {
		return 0, 0
	}
	f := math.Min(1, sxy/sxx)
	return f*sxy - f*f*sxx/2, f
}

func scaled(y []float64, f float64) []float64 {
	out := make([]float64, len(y))
	for t, v := range y {
		out[t] = f * v
	}
	return out
}

// aligned is another place's excess in the slots of e; zero where that has
// none.
func (e *excess) aligned(other *excess) []float64 {
	out := make([]float64, len(e.times))
	j := 0
	for i, t := range e.times {
		for j+1 < len(other.times) && gap(other.times[j+1], t) <= gap(other.times[j], t) {
			j++
		}
		if j < len(other.times) && (len(e.times) < 2 || gap(other.times[j], t) <= e.times[1].Sub(e.times[0])/2) {
			out[i] = other.by[j]
		}
	}
	return out
}

func gap(a, b time.Time) time.Duration { return a.Sub(b).Abs() }

// explained is the share of the target's excess that goes away when a fraction
// of what begins elsewhere is taken out of it, in [0, 1].
func explained(target *excess, own []float64, at *excess) float64 {
	part := target.aligned(&excess{times: at.times, by: own})
	var all float64
	for t, v := range target.by {
		all += v * v / math.Max(target.sd[t]*target.sd[t], 1e-18)
	}
	gain, _ := fitPart(target.by, part, target.sd)
	if all <= 0 {
		return 0
	}
	return math.Min(1, 2*gain/all)
}
