package evidence

import (
	"fmt"
	"strings"
	"time"

	"github.com/tidegate-io/tidegate/entity"
	"github.com/tidegate-io/tidegate/telemetry"
)

// origin is where one failed request began to fail.
type origin struct {
	// path leads from the failing entry span to the one where it began.
	path []*telemetry.Span
	// exception that was recorded there, or nearest above in the same service.
	exception *telemetry.Exception
	// peer is the called side that left no span; note says so.
	peer string
	note string
}

func (o origin) entry() *telemetry.Span { return o.path[0] }
func (o origin) span() *telemetry.Span  { return o.path[len(o.path)-1] }

// handoff is how long after its parent's end a span may start and still be
// part of the request: the clocks of two machines differ.
const handoff = time.Second

// locate finds where the failed request of target in a trace began: from the
// failing entry span down to the deepest failing span that has no failing
// child. It reports false when no request of target failed in the trace,
// although a span of it did: an error that was handled.
func locate(t *telemetry.Trace, target entity.Ref, operation string) (origin, bool) {
	entry := failingEntry(t, target, operation)
	if entry == nil {
		return origin{}, false
	}
	children := t.Children()
	o := origin{path: []*telemetry.Span{entry}}
	seen := map[*telemetry.Span]bool{entry: true} // ids may repeat in hostile input
	for at := entry; ; {
		next := culprit(t, children[at.ID], at, seen)
		if next == nil {
			break
		}
		seen[next] = true
		o.path = append(o.path, next)
		at = next
	}
	o.exception = o.findException()
	o.peer, o.note = missingServer(t, children, o.span())
	return o, true
}

// failingEntry is the earliest failed span by which the target served a
// request; where the target's spans serve none, its earliest failed span.
func failingEntry(t *telemetry.Trace, target entity.Ref, operation string) *telemetry.Span {
	var entry, other *telemetry.Span
	serves := false
	for i := range t.Spans {
		s := &t.Spans[i]
		if !target.Covers(s.Ref) || operation != "" && s.Name != operation {
			continue
		}
		serving := s.Kind == telemetry.KindServer || s.Kind == telemetry.KindConsumer
		serves = serves || serving
		switch {
		case !s.Failed():
		case serving && (entry == nil || s.Start.Before(entry.Start)):
			entry = s
		case !serving && (other == nil || s.Start.Before(other.Start)):
			other = s
		}
	}
	if serves {
		return entry
	}
	return other
}

// culprit is the failing child that a span's failure is due to: the one that
// ended last, because errors of earlier ones were survived (retries,
// fall-backs); but one that was only cancelled is a consequence, not a cause.
func culprit(t *telemetry.Trace, children []int, parent *telemetry.Span, seen map[*telemetry.Span]bool) *telemetry.Span {
	var best *telemetry.Span
	for _, i := range children {
		c := &t.Spans[i]
		if !c.Failed() || seen[c] || c.Start.After(parent.End().Add(handoff)) {
			continue
		}
		if best == nil || better(c, best) {
			best = c
		}
	}
	return best
}

func better(a, b *telemetry.Span) bool {
	if ca, cb := cancelled(a), cancelled(b); ca != cb {
		return cb
	}
	return a.End().After(b.End())
}

func cancelled(s *telemetry.Span) bool {
	text := s.StatusMessage
	if e, ok := s.Exception(); ok {
		text += " " + e.Type + " " + e.Message
	}
	text = strings.ToLower(clip(text, maxMessage))
	return containsAny(text, "context canceled", "cancelled", "cancellation", "canceled", "aborterror")
}

func (o origin) findException() *telemetry.Exception {
	service := o.span().Service
	for i := len(o.path) - 1; i >= 0 && o.path[i].Service == service; i-- {
		if e, ok := o.path[i].Exception(); ok {
			return &e
		}
	}
	return nil
}

// missingServer notices a failing call whose other side left no span. Calls
// to databases never have one.
func missingServer(t *telemetry.Trace, children map[telemetry.SpanID][]int, s *telemetry.Span) (peer, note string) {
	if s.Kind != telemetry.KindClient || attribute(s, "db.system.name", "db.system") != "" {
		return "", ""
	}
	for _, i := range children[s.ID] {
		if k := t.Spans[i].Kind; k == telemetry.KindServer || k == telemetry.KindConsumer {
			return "", ""
		}
	}
	peer = attribute(s, "peer.service", "server.address", "net.peer.name", "rpc.service")
	if t.Truncated { // it may be among the spans that are not here
		return peer, ""
	}
	who := peer
	if who == "" {
		who = "the called service"
	}
	return peer, fmt.Sprintf("The failing call of %s has no span on the other side: %s was not reached, is not instrumented, or its telemetry is missing.", s.Service, who)
}

// attribute returns the first of the attributes that is there, as a string.
func attribute(s *telemetry.Span, keys ...string) string {
	for _, k := range keys {
		if v, ok := s.Attributes[k]; ok {
			return clip(fmt.Sprint(v), 200)
		}
	}
	return ""
}

// message is the text of the failure: the exception's, else the status's,
// else the protocol's code.
func (o origin) message() string {
	s := o.span()
	switch {
	case o.exception != nil && o.exception.Message != "":
		return o.exception.Message
	case s.StatusMessage != "":
		return s.StatusMessage
	}
	if code := attribute(s, "http.response.status_code", "http.status_code"); code != "" {
		return "HTTP status " + code
	}
	if code := attribute(s, "rpc.response.status_code", "rpc.grpc.status_code"); code != "" {
		return "RPC status " + code
	}
	return ""
}

func (o origin) exceptionType() string {
	if o.exception != nil && o.exception.Type != "" {
		return o.exception.Type
	}
	if t := attribute(o.span(), "error.type"); t != "" && strings.Trim(t, "0123456789") != "" {
		return t
	}
	return ""
}

// hops is the path as people think of it: one entry per service call. The
// span that makes a call is left out where the one that serves it is there.
func (o origin) hops() []Hop {
	var out []Hop
	last := ""
	for i, s := range o.path {
		serving := s.Kind == telemetry.KindServer || s.Kind == telemetry.KindConsumer
		if i > 0 && i < len(o.path)-1 && !serving && s.Service == last {
			continue
		}
		out = append(out, Hop{Service: s.Service, Operation: s.Name, Kind: string(s.Kind)})
		last = s.Service
	}
	return out
}
