package cause

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/tidegate-io/tidegate/change"
	"github.com/tidegate-io/tidegate/evidence"
	"github.com/tidegate-io/tidegate/problem"
)

// Find answers why. Without symptoms, or when they are only alleged and not
// to be seen, the kind is [problem.CauseUnknown] and the ranking empty.
func Find(in Input) problem.Cause {
	w := newWorld(in)
	w.settleOnset()
	w.measureExcess()
	ranked := w.suspects()
	if len(ranked) == 0 {
		return problem.Cause{Kind: problem.CauseUnknown, Remedy: problem.RemedyNone, Sentence: "Nothing unusual can be seen that would explain it."}
	}
	chain := w.chain(ranked)
	ms := w.moments(chain)
	hs, sure := rivals(append(w.changes(ranked, chain, ms), w.exogenous(ranked, chain, ms)...))
	odds := w.placeOdds(ranked)
	best := hs[0]
	c := problem.Cause{Kind: best.kind, Ref: w.nodes[ranked[0].node].ref, Exception: best.exception, Resource: best.resource}
	c.Confidence = math.Round(1000*sure*math.Max(odds[ranked[0].node], 0.05)) / 1000
	w.detail(&c, ranked[0])
	c.Path = w.path(ranked[0].node)
	c.Ranking = w.ranking(ranked)
	c.Findings = w.findings(ranked[0], hs, ms)
	if best.change != nil {
		c.Change = &evidence.Candidate{Event: *best.change, On: best.on, SecondsBefore: best.before.Seconds(), Likely: true, Score: math.Round(1000*sure) / 1000, Why: why(best.parts)}
	}
	if best.kind == problem.CauseDependency {
		c.Ref = dependencyRef(c, best.dependency)
	}
	c.Remedy = remedy(c, best)
	c.Sentence = sentence(c, w.nodes[ranked[0].node].ref)
	return c
}

// settleOnset moves the onset back to where the symptom's own series say that
// it began: an alert fires when it has lasted for a while.
func (w *world) settleOnset() {
	onset := w.onset
	for _, s := range w.Symptoms {
		for _, m := range w.at(s.Ref).series {
			for _, sh := range m.shifts {
				if (m.role == RoleErrors || m.role == RoleSuccess || m.role == RoleLatency) && harmful(m.role, sh) && w.lasts(m, sh) && sh.end.Before(onset) {
					onset = sh.end
				}
			}
		}
	}
	w.onset = onset
}

// chain is the causal path: the places at which it probably begins, those
// between them and the symptoms, and the origin's callers, which load it.
func (w *world) chain(ranked []suspect) map[int]bool {
	out := map[int]bool{}
	odds := w.placeOdds(ranked)
	for _, s := range ranked {
		if odds[s.node] < 0.02 && s.score < 0.25*ranked[0].score {
			continue
		}
		for _, i := range w.route(s.node) {
			out[i] = true
		}
		for _, c := range w.nodes[s.node].callers {
			out[c] = true
		}
	}
	return out
}

// route is the shortest way of calls from a symptom to a place.
func (w *world) route(to int) []int {
	prev := map[int]int{}
	var todo []int
	for i, n := range w.nodes {
		if len(n.symptoms) > 0 {
			prev[i] = -1
			todo = append(todo, i)
		}
	}
	for i := 0; i < len(todo); i++ {
		for _, c := range w.nodes[todo[i]].callees {
			if _, ok := prev[c]; !ok {
				prev[c] = todo[i]
				todo = append(todo, c)
			}
		}
	}
	out := []int{to}
	if _, ok := prev[to]; !ok {
		return out
	}
	for at := prev[to]; at >= 0; at = prev[at] {
		out = append(out, at)
	}
	slices.Reverse(out)
	return out
}

// path is the route as hops; that of the failing requests where they tell it.
func (w *world) path(origin int) []evidence.Hop {
	for _, g := range w.Failures {
		if w.find(w.originOf(g)) == origin && !g.Usual && len(g.Path) > 0 {
			return g.Path
		}
	}
	var out []evidence.Hop
	for _, i := range w.route(origin) {
		out = append(out, evidence.Hop{Service: w.nodes[i].ref.Service})
	}
	return out
}

// detail names the operation, the exception and the resource at the origin.
func (w *world) detail(c *problem.Cause, s suspect) {
	for _, g := range w.Failures {
		if w.find(w.originOf(g)) == s.node && !g.Usual {
			c.Operation = g.Operation
			if c.Exception == "" {
				c.Exception = strings.TrimSuffix(strings.TrimPrefix(g.ExceptionType+": "+g.Message, ": "), ": ")
			}
			break
		}
	}
	for _, p := range w.Slow {
		if c.Operation == "" && p.Service == c.Service {
			c.Operation = p.Operation
		}
	}
	if c.Operation == "" {
		for _, e := range w.nodes[s.node].symptoms {
			c.Operation = cmp.Or(c.Operation, e.Operation)
		}
	}
	if c.Resource == "" {
		if m, ok := w.nodes[s.node].trouble(); ok && m.m.role == RoleResource {
			c.Resource = m.m.Metric
		}
	}
}

func (w *world) ranking(ranked []suspect) []problem.Suspect {
	var out []problem.Suspect
	for _, s := range ranked {
		p := slices.MaxFunc(s.parts, func(a, b part) int { return cmp.Compare(a.weight, b.weight) })
		out = append(out, problem.Suspect{Ref: w.nodes[s.node].ref, Score: math.Round(1000*s.score) / 1000, Why: p.text})
	}
	return out
}

// findings are what speaks for the origin and for the best hypothesis, in the
// order in which it counts, and why the next best were not chosen.
func (w *world) findings(origin suspect, hs []hypothesis, ms []moment) []problem.Finding {
	var out []problem.Finding
	put := func(kind string, p part) {
		f := problem.Finding{Kind: kind, Text: p.text, Weight: math.Round(100*p.weight) / 100}
		if p.group != nil {
			for _, x := range p.group.Exemplars {
				f.Traces = append(f.Traces, x.TraceID)
			}
		}
		if p.log != nil {
			f.Traces = p.log.TraceIDs
		}
		out = append(out, f)
	}
	byWeight := func(a, b part) int { return cmp.Compare(math.Abs(b.weight), math.Abs(a.weight)) }
	for _, list := range [][]part{hs[0].parts, origin.parts} {
		list = slices.Clone(list)
		slices.SortStableFunc(list, byWeight)
		for _, p := range list {
			put(p.kind, p)
		}
	}
	if hs[0].change == nil {
		for _, h := range hs[1:] {
			if h.change != nil && len(out) < maxFindings {
				put("no-change", part{weight: h.score - hs[0].score, text: fmt.Sprintf("not “%s” (%s): %s", h.change.Title, clock(h.change.Start), why(h.parts))})
			}
		}
		if !slices.ContainsFunc(hs, func(h hypothesis) bool { return h.change != nil }) {
			put("no-change", part{text: "no change on the causal path precedes it"})
		}
	}
	for _, m := range ms {
		if m.weight >= 0.1 && len(out) < maxFindings {
			put("anomaly", part{weight: m.weight, text: m.text})
		}
	}
	return out[:min(len(out), maxFindings)]
}

// why joins the reasons for and against a hypothesis, those that count most
// first.
func why(parts []part) string {
	list := slices.Clone(parts)
	slices.SortStableFunc(list, func(a, b part) int { return cmp.Compare(math.Abs(b.weight), math.Abs(a.weight)) })
	var out []string
	for _, p := range list[:min(len(list), 4)] {
		out = append(out, p.text)
	}
	return strings.Join(out, "; ")
}

// remedy is what would help. A change that cannot be taken back is mended by
// another one.
func remedy(c problem.Cause, best hypothesis) problem.Remedy {
	switch c.Kind {
	case problem.CauseChange:
		e := c.Change.Event
		switch {
		case irreversible(e):
			return problem.RemedyRollForward
		case e.Kind == change.KindFlag:
			return problem.RemedyFlagOff
		case e.Kind == change.KindConfiguration:
			return problem.RemedyConfigRevert
		}
		return problem.RemedyRollback
	case problem.CauseDependency:
		return problem.RemedyFailOver
	case problem.CauseTraffic:
		return problem.RemedyScale
	case problem.CauseResource:
		if best.scale {
			return problem.RemedyScale
		}
		return problem.RemedyReschedule
	case problem.CauseCertificate:
		return problem.RemedyRotate
	case problem.CauseData:
		return problem.RemedyQuarantine
	}
	return problem.RemedyNone
}

// irreversible reports whether a change was marked so, or migrates a schema.
func irreversible(e change.Event) bool {
	if e.Properties[PropertyIrreversible] == "true" {
		return true
	}
	for _, f := range strings.Fields(e.Properties[PropertyFiles]) {
		if strings.Contains("/"+f, "/migrations/") || strings.Contains("/"+f, "/migrate/") {
			return true
		}
	}
	return false
}
