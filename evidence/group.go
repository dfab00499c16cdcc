package evidence

import (
	"crypto/sha256"
	"encoding/hex"
	"path"
	"sort"
	"strings"
	"time"

	"github.com/tidegate-io/tidegate/entity"
	"github.com/tidegate-io/tidegate/telemetry"
)

// Limits of what is kept of each group.
const (
	maxExemplars = 5
	maxGroups    = 20
	maxFlags     = 50
	maxPlaces    = 100
	maxShown     = 32 << 10 // of a stack trace
)

// group is a FailureGroup with what ranking the changes needs.
type group struct {
	FailureGroup
	origin  entity.Ref
	places  map[entity.Ref]bool   // services on the path, as they are named in spans
	peers   map[string]bool       // called sides that left no span
	flags   map[string]entity.Ref // flags that were evaluated in the failing requests, and where
	started time.Time             // when it began, also before the window
	usual   bool                  // as frequent in the baseline
	slow    bool                  // not failures: requests that became slow
	seen    map[telemetry.TraceID]bool
}

// grouping collects failing traces by where they began to fail.
type grouping struct {
	target    entity.Ref
	operation string
	groups    map[string]*group
	requests  int
	first     time.Time
}

func newGrouping(target entity.Ref, operation string) *grouping {
	return &grouping{target: target, operation: operation, groups: map[string]*group{}}
}

// add takes one trace in; each trace counts once.
func (gs *grouping) add(t *telemetry.Trace) {
	o, failed := locate(t, gs.target, gs.operation)
	if !failed {
		return
	}
	var frames []Frame
	if o.exception != nil {
		frames = ParseStack(o.exception.Stacktrace)
	}
	fresh := newGroup(o, frames)
	g := gs.groups[fresh.Signature]
	if g == nil {
		g = fresh
		gs.groups[g.Signature] = g
	}
	if g.seen[t.ID] {
		return
	}
	g.seen[t.ID] = true
	gs.requests++
	at := o.entry().Start
	if gs.first.IsZero() || at.Before(gs.first) {
		gs.first = at
	}
	g.count(t, o, frames)
}

func newGroup(o origin, frames []Frame) *group {
	s := o.span()
	g := &group{
		FailureGroup: FailureGroup{
			Service: s.Service, Operation: s.Name, ExceptionType: o.exceptionType(),
			Message: Mask(o.message()), StackTop: TopInApp(frames), Path: o.hops(), Note: o.note,
		},
		origin: s.Ref,
		places: map[entity.Ref]bool{}, peers: map[string]bool{}, flags: map[string]entity.Ref{},
		seen: map[telemetry.TraceID]bool{},
	}
	g.Signature = g.signature()
	return g
}

// signature identifies the group across runs and versions: line numbers and
// directories are left out, they change with every build.
func (g *group) signature() string {
	h := sha256.New()
	for _, part := range []string{g.Service, g.Operation, g.ExceptionType, g.Message} {
		h.Write([]byte(part))
		h.Write([]byte{0})
	}
	if f := g.StackTop; f != nil {
		h.Write([]byte(f.Function + "\x00" + path.Base(strings.ReplaceAll(f.File, `\`, "/"))))
	}
	return hex.EncodeToString(h.Sum(nil)[:8])
}

func (g *group) count(t *telemetry.Trace, o origin, frames []Frame) {
	at := o.entry().Start
	g.Count++
	if g.FirstSeen.IsZero() || at.Before(g.FirstSeen) {
		g.FirstSeen, g.started = at, at
	}
	if at.After(g.LastSeen) {
		g.LastSeen = at
	}
	for _, s := range o.path {
		if len(g.places) < maxPlaces {
			g.places[s.Ref] = true
		}
		g.noteFlags(s)
	}
	if o.peer != "" && len(g.peers) < maxPlaces {
		g.peers[o.peer] = true
	}
	g.exemplify(t, o, frames)
}

// shown is the group as others see it.
func (g *group) shown() FailureGroup {
	out := g.FailureGroup
	out.Origin, out.Started, out.Usual = g.origin, g.started, g.usual
	for key := range g.flags {
		out.Flags = append(out.Flags, key)
	}
	sort.Strings(out.Flags)
	for peer := range g.peers {
		if out.Peer == "" || peer < out.Peer {
			out.Peer = peer
		}
	}
	return out
}

// noteFlags remembers which feature flags a failing span evaluated
// (OpenTelemetry semantic conventions: an event with feature_flag.key).
func (g *group) noteFlags(s *telemetry.Span) {
	for _, e := range s.Events {
		if key, ok := e.Attributes["feature_flag.key"].(string); ok && len(g.flags) < maxFlags {
			g.flags[key] = s.Ref
		}
	}
}

// exemplify keeps the newest requests, the newest first.
func (g *group) exemplify(t *telemetry.Trace, o origin, frames []Frame) {
	s := o.span()
	x := Exemplar{TraceID: t.ID, SpanID: s.ID, Time: o.entry().Start, Duration: o.entry().Duration, Frames: frames}
	if o.exception != nil {
		e := *o.exception
		e.Message, e.Stacktrace = clip(e.Message, maxMessage), clip(e.Stacktrace, maxShown)
		x.Exception = &e
	}
	i := sort.Search(len(g.Exemplars), func(i int) bool { return g.Exemplars[i].Time.Before(x.Time) })
	if i == maxExemplars {
		return
	}
	g.Exemplars = append(g.Exemplars, Exemplar{})
	copy(g.Exemplars[i+1:], g.Exemplars[i:])
	g.Exemplars[i] = x
	if len(g.Exemplars) > maxExemplars {
		g.Exemplars = g.Exemplars[:maxExemplars]
	}
}

// sorted returns the groups, the largest first, with their shares.
func (gs *grouping) sorted() []*group {
	out := make([]*group, 0, len(gs.groups))
	for _, g := range gs.groups {
		g.Share = float64(g.Count) / float64(gs.requests)
		out = append(out, g)
	}
	sort.Slice(out, func(i, j int) bool {
		if out[i].Count != out[j].Count {
			return out[i].Count > out[j].Count
		}
		return out[i].Signature < out[j].Signature
	})
	return out
}
