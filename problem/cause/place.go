package cause

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/tidegate-io/tidegate/entity"
	"github.com/tidegate-io/tidegate/evidence"
	"github.com/tidegate-io/tidegate/problem"
)

// Weights of what speaks for a place as the origin: log-likelihood ratios when
// all of it speaks for the place. Measured flow says most, because it is
// conserved; failing spans name the place themselves; log lines are as
// talkative as their authors.
const (
	weightFlow     = 5.0 // what begins there explains the symptom
	weightFailures = 3.0 // failing requests began to fail there
	weightSlow     = 3.0 // requests spend the time there
	weightLogs     = 2.5 // new or risen messages that blame it
	weightSymptom  = 1.0 // a symptom was seen there
	weightShift    = 1.0 // something of its own shifted
	weightCallee   = 1.5 // against: a place it calls is in trouble too
	weightLater    = 1.2 // against, per slot: its trouble began after another place's
	mostLater      = 3.0
)

// suspect is a place with what speaks for it.
type suspect struct {
	node  int
	score float64
	flow  float64
	parts []part
}

// part is one observation and its weight.
type part struct {
	kind   string
	text   string
	weight float64
	finding
}

// finding is what a part can be looked up by.
type finding struct {
	group *evidence.FailureGroup
	log   *evidence.LogTemplate
}

// suspects ranks the places, most likely first. It returns nothing when the
// symptom is only alleged and the series that should show it do not.
func (w *world) suspects() []suspect {
	score := make([]suspect, len(w.nodes))
	for i := range score {
		score[i].node = i
	}
	if !w.flows(score) {
		return nil
	}
	w.loads(score)
	w.failing(score)
	w.slow(score)
	w.talking(score)
	for i, n := range w.nodes {
		if len(n.symptoms) > 0 {
			score[i].add("anomaly", weightSymptom, symptomText(n.symptoms[0]))
		}
	}
	w.shifted(score)
	w.ordered(score)
	var out []suspect
	for _, s := range score {
		if s.score > 0 && w.nodes[s.node].involved() {
			out = append(out, s)
		}
	}
	slices.SortStableFunc(out, func(a, b suspect) int {
		return cmp.Or(cmp.Compare(b.score, a.score), byName(w.nodes[a.node].ref, w.nodes[b.node].ref))
	})
	return out[:min(len(out), maxSuspects)]
}

// involved: it serves requests or was complained about, so it can be where they
// go wrong; a machine or another's workload can be why, not where.
func (n *node) involved() bool { return n.traced || len(n.symptoms) > 0 }

func (s *suspect) add(kind string, weight float64, text string) {
	s.score += weight
	s.parts = append(s.parts, part{kind: kind, text: text, weight: weight})
}

// flows adds what measured flow says, for each symptom alike. It reports false
// when all symptoms are only alleged and none is confirmed.
func (w *world) flows(score []suspect) bool {
	alleged, confirmed := true, false
	shares := make([]float64, len(w.nodes))
	known := 0
	for _, s := range w.Symptoms {
		alleged = alleged && s.EValue == 0 && s.Observed == 0 && s.Expected == 0
		target := w.find(s.Ref)
		if target < 0 {
			continue
		}
		a, ok := w.attributed(target, s.Signal)
		if !ok {
			continue
		}
		known++
		confirmed = confirmed || a.confirmed
		for i, v := range a.share {
			if a.certain[i] {
				shares[i] += v
			}
		}
	}
	if known == 0 {
		return true
	}
	if alleged && !confirmed && len(w.Failures)+len(w.Logs) == 0 {
		return false
	}
	for i, v := range shares {
		if v /= float64(known); v > 0.005 {
			score[i].flow = v
			score[i].add("anomaly", weightFlow*v, flowText(w.nodes[i].ref, v))
		}
	}
	return true
}

// attributed is the attribution for a symptom's kind; for a symptom of another
// kind that of what is there to be seen.
func (w *world) attributed(target int, s problem.Signal) (attribution, bool) {
	if k, ok := kindOf(s); ok {
		a := w.attribute(target, k)
		return a, a.known
	}
	var best attribution
	for k := range kinds {
		if a := w.attribute(target, k); a.known && (!best.known || a.evidence[target] > best.evidence[target]) {
			best = a
		}
	}
	return best, best.known
}

// loads follows traffic that fell or rose back to where that begins: from a
// place to a caller whose own traffic moved the same way, as long as there is
// one.
func (w *world) loads(score []suspect) {
	for _, s := range w.Symptoms {
		rose := s.Signal == problem.SignalTrafficSurge
		at := w.find(s.Ref)
		if !rose && s.Signal != problem.SignalTrafficDrop && s.Signal != problem.SignalNoData || at < 0 {
			continue
		}
		from := at
		seen := map[int]bool{at: true}
		for next := at; next >= 0; {
			at, next = next, -1
			for _, c := range w.nodes[at].callers {
				if t, ok := w.traffic(c, rose); ok && !seen[c] && next < 0 {
					next = c
					score[c].add("anomaly", 0, shiftText(t.m, t.s))
				}
			}
			seen[at] = true
		}
		if at != from {
			score[at].add("anomaly", weightFlow, fmt.Sprintf("The traffic of %s comes from %s, whose own moved first", w.nodes[from].ref, w.nodes[at].ref))
		}
	}
}

// traffic is a lasting shift of a place's traffic, up or down.
func (w *world) traffic(i int, up bool) (moved, bool) {
	for _, m := range w.nodes[i].series {
		for _, s := range m.shifts {
			if m.role == RoleTraffic && s.up() == up && w.lasts(m, s) {
				return moved{m, s}, true
			}
		}
	}
	return moved{}, false
}

func (w *world) failing(score []suspect) {
	all := 0.0
	for _, g := range w.Failures {
		all += fresh(g)
	}
	for i := range w.Failures {
		g := &w.Failures[i]
		if v := fresh(*g); v > 0 {
			s := &score[w.find(w.originOf(*g))]
			s.add("failure", weightFailures*v/all, failureText(*g, v/all))
			s.parts[len(s.parts)-1].group = g
		}
	}
}

// fresh is how many failures of a group are more than usual.
func fresh(g evidence.FailureGroup) float64 {
	if g.Usual {
		return 0
	}
	return float64(max(g.Count, 0))
}

func (w *world) originOf(g evidence.FailureGroup) entity.Ref {
	if g.Origin.Service != "" {
		return g.Origin
	}
	return entity.Ref{Service: g.Service}
}

func (w *world) slow(score []suspect) {
	all := time.Duration(0)
	for _, p := range w.Slow {
		all += max(0, p.Candidate-p.Baseline)
	}
	for _, p := range w.Slow {
		i := w.find(entity.Ref{Service: p.Service})
		if d := p.Candidate - p.Baseline; d > 0 && i >= 0 {
			share := d.Seconds() / all.Seconds()
			score[i].add("slow-path", weightSlow*share, slowText(p, share))
		}
	}
}

// talking adds what log templates say. A message that names another place with
// a complaint blames that one.
func (w *world) talking(score []suspect) {
	blame := make([]float64, len(w.nodes))
	loudest := make([]*evidence.LogTemplate, len(w.nodes))
	all := 0.0
	for i := range w.Logs {
		l := &w.Logs[i]
		v := math.Log1p(risen(*l))
		if v == 0 || !complains(*l) {
			continue
		}
		at := w.blamed(*l)
		if at < 0 {
			continue
		}
		blame[at] += v
		all += v
		if loudest[at] == nil || l.Count > loudest[at].Count {
			loudest[at] = l
		}
	}
	for i, v := range blame {
		if v > 0 {
			score[i].add("log", weightLogs*v/all, logText(*loudest[i]))
			score[i].parts[len(score[i].parts)-1].log = loudest[i]
		}
	}
}

// risen is how many lines of a template are more than usual.
func risen(l evidence.LogTemplate) float64 { return math.Max(0, float64(l.Count-l.Baseline)) }

// complains reports whether a message is of trouble.
func complains(l evidence.LogTemplate) bool {
	switch strings.ToUpper(l.Severity) {
	case "WARN", "WARNING", "ERROR", "FATAL", "CRITICAL":
		return true
	}
	return l.Sample.SeverityNumber >= 13
}

// blamed is the place that a message is about: another one that it names, else
// the one that wrote it.
func (w *world) blamed(l evidence.LogTemplate) int {
	own := w.find(entity.Ref{Service: l.Service, Environment: l.Sample.Environment})
	words := map[string]bool{}
	for _, f := range strings.FieldsFunc(strings.ToLower(l.Template), notName) {
		words[strings.Trim(f, ".-")] = true
	}
	for i, n := range w.nodes {
		if i != own && n.involved() && words[strings.ToLower(n.ref.Service)] {
			return i
		}
	}
	if own >= 0 && !w.nodes[own].involved() {
		return -1
	}
	return own
}

func notName(r rune) bool {
	return !(r == '-' || r == '_' || r == '.' || r >= 'a' && r <= 'z' || r >= '0' && r <= '9')
}

// shifted adds shifts of a place's own series, and takes from a place whose
// callee's series shifted no later than its own: its trouble may be the
// callee's.
func (w *world) shifted(score []suspect) {
	for i, n := range w.nodes {
		own, ok := n.trouble()
		if !ok {
			continue
		}
		score[i].add("anomaly", weightShift, shiftText(own.m, own.s))
		if score[i].flow > 0 {
			continue // measured flow has told apart what is the callee's
		}
		for _, c := range n.callees {
			if theirs, ok := w.nodes[c].trouble(); ok && !theirs.s.start.After(own.s.end) {
				score[i].add("anomaly", -weightCallee, shiftText(theirs.m, theirs.s))
				break
			}
		}
	}
}

// ordered takes from places whose trouble began after that of another place.
func (w *world) ordered(score []suspect) {
	var first moved
	for i, n := range w.nodes {
		if t, ok := n.clear(); ok && score[i].score > 0 && n.involved() && (first.m == nil || t.s.start.Before(first.s.start)) {
			first = t
		}
	}
	if first.m == nil {
		return
	}
	for i, n := range w.nodes {
		if t, ok := n.clear(); ok && t.m != first.m {
			slots := float64(t.s.start.Sub(first.s.start)) / float64(max(t.m.Step, first.m.Step))
			if slots >= 1 {
				score[i].add("anomaly", -math.Min(mostLater, weightLater*slots), shiftText(t.m, t.s)+", after "+first.m.Ref.String())
			}
		}
	}
}

// clear is the earliest failures or delays at a place that are far outside the
// noise, so that it is clear when they began.
func (n *node) clear() (moved, bool) {
	var best moved
	for _, m := range n.series {
		for _, s := range m.shifts {
			if m.role != RoleResource && harmful(m.role, s) && s.z >= farOutside && (best.m == nil || s.start.Before(best.s.start)) {
				best = moved{m, s}
			}
		}
	}
	return best, best.m != nil
}

// later reports whether the trouble of one place clearly began at least a slot
// after that of another.
func later(a, b *node) bool {
	x, ok := a.clear()
	y, also := b.clear()
	return ok && also && x.s.start.Sub(y.s.start) >= max(x.m.Step, y.m.Step)
}

// moved is a series and its shift.
type moved struct {
	m *measured
	s shift
}

// trouble is the earliest shift for the worse at a place: more failures,
// longer latencies, or a resource that moved.
func (n *node) trouble() (moved, bool) {
	var best moved
	for _, m := range n.series {
		for _, s := range m.shifts {
			if harmful(m.role, s) && (best.m == nil || s.start.Before(best.s.start)) {
				best = moved{m, s}
			}
		}
	}
	return best, best.m != nil
}

func harmful(r Role, s shift) bool {
	switch r {
	case RoleErrors, RoleLatency:
		return s.up()
	case RoleSuccess:
		return !s.up()
	case RoleResource:
		return true
	}
	return false
}
