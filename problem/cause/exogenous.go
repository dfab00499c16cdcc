package cause

import (
	"fmt"
	"math"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/tidegate-io/tidegate/change"
	"github.com/tidegate-io/tidegate/entity"
	"github.com/tidegate-io/tidegate/evidence"
	"github.com/tidegate-io/tidegate/problem"
)

// Log-likelihood ratios of what speaks for causes that are no change.
const (
	certificateSaid = 6.0 // failing calls say that a certificate is not valid
	credentialSaid  = 4.0 // or a key, or a password
	certificateOver = 4.0 // a countdown ran out when it began

	peerFails    = 3.0  // the failing calls end at something that is not ours
	peerSaid     = 1.5  // and it said itself that it cannot
	peerShared   = 2.0  // for several of ours at once
	peerAnnounce = 3.0  // its operator announced it
	peerOurs     = -3.0 // but one of ours that is called fell silent: it is probably that
	peerLoaded   = -3.0 // but we began to ask more of it, or otherwise

	neighbourRose = 4.0 // a resource of something else rose when it began
	starved       = 1.5 // we got less than we asked for
	steady        = 1.0 // while we were asked no more than before

	surge         = 3.0 // of the traffic at an entry, per doubling
	surgeMost     = 6.0
	surgeSpecific = -2.0 // but it fails at one place in the code

	exhausted     = 3.0  // something is full or used up, and nothing else says why
	exhaustedFrom = -0.5 // but it began at a certain time: something set it off

	oneRecord  = 4.0 // all failures are about one record
	leastLines = 8   // lines that have to be the same
)

var (
	certificateText = regexp.MustCompile(`(?i)x509|certificate (has )?(is )?(expired|not yet valid|not trusted|unknown|revoked)|cert[a-z_ ]*expired|certificate verify failed|unable to verify the first certificate|CERT_HAS_EXPIRED|PKIX path|self.signed certificate|unknown authority`)
	credentialText  = regexp.MustCompile(`(?i)(api.?key|access.?key|credential|client.?secret|secret|licen[cs]e|password|service account)[^.;]{0,40}(expired|revoked|disabled|rotated|no longer valid)|ExpiredToken|password authentication failed`)
	exhaustedText   = regexp.MustCompile(`(?i)no space left|disk (is )?full|too many open files|too many connections|connection slots|out of memory|oom.?kill|quota (has been )?exceeded|inodes? exhausted|(pool|port)s? (is |are )?exhausted`)
	namesText       = regexp.MustCompile(`(?i)no such host|NXDOMAIN|SERVFAIL|name resolution|server misbehaving|getaddrinfo|EAI_AGAIN`)
	certificateFile = regexp.MustCompile(`(?i)\.(pem|crt|cer|key|p12|jks)\b`)
	unableText      = regexp.MustCompile(`(?i)\b(5\d\d|429)\b|unavailable|slow ?down|throttl|too many requests|rate.?limit|outage|degraded|impair|overload|bad gateway|gateway timeout|refused|unreachable|no route|no such host|dns`)
	starvedText     = regexp.MustCompile(`(?i)throttl|starv|contend|evict|pressure|noisy|steal|preempt|out of memory|oom|no space|quota`)
	statusText      = regexp.MustCompile(`(?i)degraded|outage|impair|disruption|incident|unavailable|increased (error|latenc)|partial|investigating`)
	idText          = regexp.MustCompile(`<id>|<uuid>`)
	hostText        = regexp.MustCompile(`(?i)\b[a-z0-9][a-z0-9-]*(\.[a-z0-9][a-z0-9-]*){2,}\b`)
)

// exogenous weighs the ways in which no change is to blame.
func (w *world) exogenous(ranked []suspect, chain map[int]bool, ms []moment) []hypothesis {
	began := firstReal(ms, w.onset)
	out := []hypothesis{unexplainedFault()}
	for _, h := range []hypothesis{w.certificate(chain, began), w.dependency(ranked, chain, began), w.neighbour(ranked, began), w.exhaustion(ranked), w.surge(ranked, chain, began), w.record(chain)} {
		if h.score > 0 {
			out = append(out, h)
		}
	}
	return out
}

// firstReal is when it probably began.
func firstReal(ms []moment, onset time.Time) time.Time {
	best, at := 0.0, onset
	for _, m := range ms {
		if m.weight > best {
			best, at = m.weight, m.end
		}
	}
	return at
}

// fault is what remains when nothing explains it.
func unexplainedFault() hypothesis { return hypothesis{kind: problem.CauseFault, score: unexplained} }

// complaint is a text in which something says what is wrong.
type complaint struct {
	node  int
	text  string
	times int
}

// complaints are the messages of failures and of logs on the causal path, and
// of the symptoms.
func (w *world) complaints(chain map[int]bool) []complaint {
	var out []complaint
	for _, g := range w.Failures {
		if at := w.find(w.originOf(g)); chain[at] && !g.Usual {
			out = append(out, complaint{at, g.ExceptionType + ": " + g.Message, g.Count})
		}
	}
	for _, l := range w.Logs {
		if at := w.find(entity.Ref{Service: l.Service, Environment: l.Sample.Environment}); complains(l) && risen(l) > 0 {
			if own := w.blamed(l); chain[at] || chain[own] {
				out = append(out, complaint{at, l.Template, int(risen(l))})
			}
		}
	}
	for _, s := range w.Symptoms {
		out = append(out, complaint{w.find(s.Ref), s.Title + " " + s.Why, 1})
	}
	return out
}

func (w *world) certificate(chain map[int]bool, began time.Time) hypothesis {
	h := hypothesis{kind: problem.CauseCertificate}
	for _, c := range w.complaints(chain) {
		said, what := certificateSaid, "a certificate is not valid"
		if !certificateText.MatchString(c.text) {
			said, what = credentialSaid, "a credential is not valid"
		}
		if what == "a certificate is not valid" || credentialText.MatchString(c.text) {
			h.exception = strings.Trim(c.text, " :")
			h.add("failure", said, what+": "+h.exception)
			break
		}
	}
	for _, e := range w.Changes {
		if h.score > 0 && e.Kind.Causal() && certificateFile.MatchString(e.Properties[PropertyFiles]) {
			return hypothesis{} // somebody changed certificates: that is a change
		}
	}
	for _, n := range w.nodes {
		for _, m := range n.series {
			if at, ok := ranOut(m); ok && m.role == RoleCountdown && at.Sub(began).Abs() <= 2*m.Step+soon {
				h.add("resource", certificateOver, fmt.Sprintf("%s of %s ran out at %s", m.Metric, n.ref, clock(at)))
				h.resource = m.Metric
			}
		}
	}
	return h
}

// ranOut is when a countdown reached nothing.
func ranOut(m *measured) (time.Time, bool) {
	for i, p := range m.Points {
		if i > 0 && p.Value <= 0 && m.Points[i-1].Value > 0 {
			return p.Time, true
		}
	}
	return time.Time{}, false
}

// dependency weighs that something fails which is called and is not ours.
func (w *world) dependency(ranked []suspect, chain map[int]bool, began time.Time) hypothesis {
	h := hypothesis{kind: problem.CauseDependency}
	ours, said := w.peers(chain)
	var peer string
	for _, p := range slices.Sorted(keys(ours)) {
		if peer == "" || len(ours[p]) > len(ours[peer]) {
			peer = p
		}
	}
	if peer == "" {
		return hypothesis{}
	}
	h.dependency = peer
	h.add("failure", peerFails, "failing calls end at "+peer+", which is not ours or left no trace")
	if said[peer] != "" {
		h.add("failure", peerSaid, peer+" says that it cannot: "+said[peer])
	}
	if n := len(ours[peer]); n > 1 {
		h.add("failure", peerShared, fmt.Sprintf("%d services fail at %s alike", n, peer))
	}
	if e, ok := w.announced(began); ok {
		h.add("no-change", peerAnnounce, fmt.Sprintf("announced at %s: %s", clock(e.Start), e.Title))
	}
	if len(ranked) > 0 {
		for _, c := range w.nodes[ranked[0].node].callees {
			if w.silent(c) {
				h.add("anomaly", peerOurs, "but "+w.nodes[c].ref.Service+" fell silent, which is called too")
				break
			}
		}
	}
	if len(ranked) > 0 && w.loadRose(ranked[0].node) {
		h.add("anomaly", peerLoaded, "but "+w.nodes[ranked[0].node].ref.Service+" is asked more than before")
	}
	return h
}

// peers are the called sides that left no span and the places whose calls to
// them fail, and what the peers said.
func (w *world) peers(chain map[int]bool) (ours map[string]map[int]bool, said map[string]string) {
	ours, said = map[string]map[int]bool{}, map[string]string{}
	note := func(peer string, at int, text string) {
		if ours[peer] == nil {
			ours[peer] = map[int]bool{}
		}
		ours[peer][at] = true
		if said[peer] == "" && unableText.MatchString(text) {
			said[peer] = text
		}
	}
	for _, g := range w.Failures {
		if namesText.MatchString(g.Message) && !g.Usual {
			note("dns", w.find(w.originOf(g)), g.Message)
			said["dns"] = g.Message
		}
		if g.Peer != "" && !g.Usual && w.foreign(g.Peer) {
			note(g.Peer, w.find(w.originOf(g)), g.Message)
		}
	}
	for _, l := range w.Logs {
		at := w.find(entity.Ref{Service: l.Service, Environment: l.Sample.Environment})
		if at < 0 || !w.nodes[at].involved() || !complains(l) || risen(l) == 0 {
			continue
		}
		if namesText.MatchString(l.Template) {
			note("dns", at, l.Template)
		}
		for _, host := range hostText.FindAllString(l.Sample.Body, 3) {
			if w.foreign(host) && strings.IndexFunc(host, isLetter) >= 0 && !certificateText.MatchString(l.Template) && unableText.MatchString(l.Template) {
				note(host, at, l.Template)
			}
		}
	}
	return ours, said
}

func isLetter(r rune) bool { return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' }

// foreign reports whether a host is none of the places that telemetry comes
// from.
func (w *world) foreign(host string) bool {
	for _, n := range w.nodes {
		if n.ours() && hostOf(host, n.ref.Service) {
			return false
		}
	}
	return true
}

// ours: the place itself tells how it fares.
func (n *node) ours() bool { return len(n.series) > 0 || len(n.callees) > 0 || len(n.symptoms) > 0 }

// announced finds an announcement, by somebody else, of trouble that began
// when this did.
func (w *world) announced(began time.Time) (change.Event, bool) {
	for _, e := range w.Changes {
		if e.Kind == change.KindAnnotation && statusText.MatchString(e.Title+" "+e.Reason) && !e.Start.After(w.onset.Add(soon)) &&
			began.Sub(e.Start).Abs() <= 15*time.Minute {
			return e, true
		}
	}
	return change.Event{}, false
}

// neighbour weighs that a resource was used up by something that takes no part
// in the requests: another workload on the same machine.
func (w *world) neighbour(ranked []suspect, began time.Time) hypothesis {
	h := hypothesis{kind: problem.CauseResource}
	var best moved
	for _, n := range w.nodes {
		if n.involved() {
			continue
		}
		for _, m := range n.series {
			for _, s := range m.shifts {
				if m.role == RoleResource && ofMachine(m.Metric) && s.up() && !s.start.After(began.Add(soon)) && began.Sub(s.end) <= 10*time.Minute && w.lasts(m, s) &&
					(best.m == nil || s.z > best.s.z) {
					best = moved{m, s}
				}
			}
		}
	}
	if best.m == nil {
		return hypothesis{}
	}
	h.resource = best.m.Metric + " of " + best.m.Service
	h.add("resource", neighbourRose, shiftText(best.m, best.s)+", and it takes no part in the requests")
	if c, ok := w.starving(ranked); ok {
		h.add("resource", starved, "it got less than it asked for: "+c)
	}
	if len(ranked) > 0 && !w.loadRose(ranked[0].node) && w.nodes[ranked[0].node].best(RoleTraffic) != nil {
		h.add("anomaly", steady, w.nodes[ranked[0].node].ref.Service+" is asked no more than before")
	}
	return h
}

// exhaustion weighs that something of its own is full or used up at the origin.
func (w *world) exhaustion(ranked []suspect) hypothesis {
	h := hypothesis{kind: problem.CauseResource, scale: true}
	if len(ranked) == 0 {
		return hypothesis{}
	}
	at := ranked[0].node
	for _, c := range w.complaints(map[int]bool{at: true}) {
		if exhaustedText.MatchString(c.text) {
			h.resource = strings.Trim(c.text, " :")
			h.add("resource", exhausted, "used up: "+h.resource)
			break
		}
	}
	if t, ok := w.nodes[at].trouble(); ok && h.score > 0 && t.m.role == RoleResource {
		h.resource = t.m.Metric
		h.add("resource", exhaustedFrom, shiftText(t.m, t.s))
	}
	return h
}

// ofMachine: what workloads on one machine share.
func ofMachine(metric string) bool {
	return slices.ContainsFunc(split(metric), func(w string) bool {
		return slices.Contains([]string{"cpu", "memory", "mem", "disk", "io", "iowait", "load", "swap", "network", "bandwidth", "fs", "inodes", "gpu"}, w)
	})
}

func (w *world) starving(ranked []suspect) (string, bool) {
	if len(ranked) == 0 {
		return "", false
	}
	for _, c := range w.complaints(map[int]bool{ranked[0].node: true}) {
		if starvedText.MatchString(c.text) {
			return strings.Trim(c.text, " :"), true
		}
	}
	for _, m := range w.nodes[ranked[0].node].series {
		for _, s := range m.shifts {
			if s.up() && starvedText.MatchString(m.Metric) {
				return shiftText(m, s), true
			}
		}
	}
	return "", false
}

// surge weighs that more is asked at an entry than can be borne.
func (w *world) surge(ranked []suspect, chain map[int]bool, began time.Time) hypothesis {
	h := hypothesis{kind: problem.CauseTraffic}
	for i, n := range w.nodes {
		if !chain[i] || !n.involved() || slices.ContainsFunc(n.callers, func(c int) bool { return w.nodes[c].best(RoleTraffic) != nil }) {
			continue
		}
		for _, m := range n.series {
			for _, s := range m.shifts {
				if m.role != RoleTraffic || s.before <= 0 || !s.up() || s.start.After(began.Add(soon)) || began.Sub(s.end) > 10*time.Minute || !w.lasts(m, s) {
					continue
				}
				if v := math.Min(surgeMost, surge*math.Log2(s.after/s.before)); v > h.score {
					h = hypothesis{kind: problem.CauseTraffic}
					h.add("anomaly", v, shiftText(m, s))
				}
			}
		}
	}
	for _, e := range w.Symptoms {
		if e.Signal == problem.SignalTrafficSurge && e.Expected > 0 && e.Observed > e.Expected && h.score == 0 {
			h.add("anomaly", math.Min(surgeMost, surge*math.Log2(e.Observed/e.Expected)), symptomText(e))
		}
	}
	if h.score > 0 && len(w.Failures) > 0 && w.Failures[0].StackTop != nil && w.Failures[0].Share > 0.5 && !starvedText.MatchString(w.Failures[0].Message) {
		h.add("failure", surgeSpecific, "but most requests fail at one place in the code: "+w.Failures[0].StackTop.Function)
	}
	return h
}

// record weighs that one record cannot be processed: line after line is the
// same to the letter, with the same ids, while other records are processed.
func (w *world) record(chain map[int]bool) hypothesis {
	for _, l := range w.Logs {
		at := w.find(entity.Ref{Service: l.Service, Environment: l.Sample.Environment})
		if chain[at] && complains(l) && l.Same && l.Count >= leastLines && idText.MatchString(l.Template) {
			h := hypothesis{kind: problem.CauseData, exception: l.Template}
			h.add("log", oneRecord, fmt.Sprintf("%s logs the same %d times, about one record: %s", l.Service, l.Count, clip(l.Sample.Body, 300)))
			return h
		}
	}
	for _, g := range w.Failures {
		if at := w.find(w.originOf(g)); chain[at] && g.Count >= leastLines && idText.MatchString(g.Message) && sameMessage(g) {
			h := hypothesis{kind: problem.CauseData, exception: g.Message}
			h.add("failure", oneRecord, fmt.Sprintf("%d requests fail about one record: %s", g.Count, g.Exemplars[0].Exception.Message))
			return h
		}
	}
	return hypothesis{}
}

func sameMessage(g evidence.FailureGroup) bool {
	for _, x := range g.Exemplars {
		if x.Exception == nil || x.Exception.Message != g.Exemplars[0].Exception.Message {
			return false
		}
	}
	return len(g.Exemplars) > 1
}
