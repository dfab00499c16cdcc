package tracestore

import (
	"cmp"
	"encoding/binary"
	"errors"
	"slices"
	"sync"

	"github.com/tidegate-io/tidegate/entity"
	"github.com/tidegate-io/tidegate/internal/otlp/wire"
	"github.com/tidegate-io/tidegate/internal/segment"
	"github.com/tidegate-io/tidegate/telemetry"
)

// Bounds of one summary. What does not fit makes it less selective, never wrong.
const (
	maxServices   = 256  // services (with environment and version)
	maxOperations = 1024 // groups in all
	maxExceptions = 64
	maxNameBytes  = 256
	// anything stands for every name; no OTLP name is invalid UTF-8.
	anything = "\xff"
)

// summary is what is known about the spans of a frame or of a segment.
type summary struct {
	spans, rejected    int
	firstStart         uint64 // nanoseconds
	lastStart          uint64
	groups             []group
	exceptions         []string // sorted
	moreExceptionTypes bool
}

// group is the spans of one operation of one service.
type group struct {
	ref                *entity.Ref // service may be anything
	operation          string      // may be anything
	statuses           uint8       // bit per OTLP status
	minNanos, maxNanos uint64      // durations
}

func (g *group) key() groupKey { return groupKey{*g.ref, g.operation} }

type groupKey struct {
	ref       entity.Ref
	operation string
}

// schema implements segment.Schema for trace requests.
type schema struct{ names names }

// Summarise reads one ExportTraceServiceRequest.
func (s *schema) Summarise(req []byte) (*summary, []uint32, error) {
	var (
		b    = newBuilder()
		keys = make([]uint32, 0, 16)
	)
	err := wire.Walk(req, func(res *wire.Resource, _ []byte, span *wire.Span) error {
		if span.Defect != wire.Sound {
			b.sum.rejected++
			return nil
		}
		keys = append(keys, segment.Key(span.TraceID))
		b.add(res, span)
		return nil
	})
	if err != nil {
		return nil, nil, err
	}
	sum := b.finish(&s.names)
	if sum.spans == 0 {
		return sum, nil, segment.ErrEmpty
	}
	return sum, keys, nil
}

// builder collects the summary of one request. The maps of one service are
// found once per resource, those of one operation by one lookup per span.
type builder struct {
	sum      summary
	services map[entity.Ref]*service
	raw      []byte // the resource last seen
	current  *service
	groups   int
}

type service struct {
	ref        *entity.Ref
	operations map[string]*group
}

func newBuilder() *builder {
	return &builder{services: map[entity.Ref]*service{}, sum: summary{firstStart: ^uint64(0)}}
}

func (b *builder) add(res *wire.Resource, span *wire.Span) {
	if b.current == nil || !sameBytes(b.raw, res.Raw) {
		b.enter(res)
	}
	b.sum.spans++
	b.sum.firstStart = min(b.sum.firstStart, span.Start)
	b.sum.lastStart = max(b.sum.lastStart, span.Start)
	name := span.Name
	if len(name) > maxNameBytes {
		name = []byte(anything)
	}
	g := b.current.operations[string(name)]
	if g == nil {
		g = b.newGroup(name)
	}
	d := span.Duration()
	g.statuses |= 1 << span.Status
	g.minNanos, g.maxNanos = min(g.minNanos, d), max(g.maxNanos, d)
	span.Exceptions(func(typ []byte) { b.sum.addException(string(typ)) })
}

// enter makes the service of res the current one.
func (b *builder) enter(res *wire.Resource) {
	ref := res.Ref()
	if len(ref.Service)+len(ref.Environment)+len(ref.Version) > 3*maxNameBytes || len(b.services) >= maxServices && b.services[ref] == nil {
		ref = entity.Ref{Service: anything}
	}
	s := b.services[ref]
	if s == nil {
		s = &service{ref: &ref, operations: map[string]*group{}}
		b.services[ref] = s
	}
	b.raw, b.current = res.Raw, s
}

func (b *builder) newGroup(name []byte) *group {
	if b.groups >= maxOperations {
		name = []byte(anything)
		if g := b.current.operations[anything]; g != nil {
			return g
		}
	}
	b.groups++
	g := &group{ref: b.current.ref, operation: string(name), minNanos: ^uint64(0)}
	b.current.operations[g.operation] = g
	return g
}

// sameBytes reports whether a and b are the same bytes of the same request.
func sameBytes(a, b []byte) bool {
	return len(a) == len(b) && (len(a) == 0 || &a[0] == &b[0])
}

func (s *summary) addException(typ string) {
	if len(typ) > maxNameBytes {
		s.moreExceptionTypes = true
		return
	}
	i, found := slices.BinarySearch(s.exceptions, typ)
	switch {
	case found:
	case len(s.exceptions) >= maxExceptions:
		s.moreExceptionTypes = true
	default:
		s.exceptions = slices.Insert(s.exceptions, i, typ)
	}
}

func (b *builder) finish(names *names) *summary {
	b.sum.groups = make([]group, 0, b.groups)
	for _, s := range b.services {
		ref := names.ref(*s.ref)
		for _, g := range s.operations {
			g.ref, g.operation = ref, names.name(g.operation)
			b.sum.groups = append(b.sum.groups, *g)
		}
	}
	sortGroups(b.sum.groups)
	return &b.sum
}

// Merge returns the summary of all spans together.
func (s *schema) Merge(summaries []*summary) *summary {
	out := &summary{firstStart: ^uint64(0)}
	groups := map[groupKey]*group{}
	refs := map[entity.Ref]bool{}
	for _, sum := range summaries {
		out.spans += sum.spans
		out.rejected += sum.rejected
		out.firstStart = min(out.firstStart, sum.firstStart)
		out.lastStart = max(out.lastStart, sum.lastStart)
		out.moreExceptionTypes = out.moreExceptionTypes || sum.moreExceptionTypes
		for _, typ := range sum.exceptions {
			out.addException(typ)
		}
		for _, g := range sum.groups {
			mergeGroup(groups, refs, g)
		}
	}
	out.groups = make([]group, 0, len(groups))
	for _, g := range groups {
		out.groups = append(out.groups, *g)
	}
	sortGroups(out.groups)
	return out
}

// sortGroups puts the operations of a service together, so that decoding
// finds its name once.
func sortGroups(groups []group) {
	slices.SortFunc(groups, func(a, b group) int {
		return cmp.Or(cmp.Compare(a.ref.Service, b.ref.Service), cmp.Compare(a.operation, b.operation))
	})
}

func mergeGroup(groups map[groupKey]*group, refs map[entity.Ref]bool, g group) {
	have := groups[g.key()]
	if have == nil && !refs[*g.ref] && len(refs) >= maxServices {
		g.ref, g.operation = &entity.Ref{Service: anything}, anything
		have = groups[g.key()]
	}
	if have == nil && len(groups) >= maxOperations {
		g.operation = anything
		have = groups[g.key()]
	}
	if have == nil {
		refs[*g.ref] = true
		groups[g.key()] = &g
		return
	}
	have.statuses |= g.statuses
	have.minNanos, have.maxNanos = min(have.minNanos, g.minNanos), max(have.maxNanos, g.maxNanos)
}

// may reports whether spans that satisfy q can be among the summarised ones.
func (s *summary) may(q *telemetry.TraceQuery) bool {
	if s.lastStart < nanos(q.From) || !q.To.IsZero() && s.firstStart >= nanos(q.To) {
		return false
	}
	if q.ExceptionType != "" && !s.moreExceptionTypes {
		if _, found := slices.BinarySearch(s.exceptions, q.ExceptionType); !found {
			return false
		}
	}
	for i := range s.groups {
		if s.groups[i].may(q) {
			return true
		}
	}
	return false
}

func (g *group) may(q *telemetry.TraceQuery) bool {
	return (g.ref.Service == anything || q.Covers(*g.ref)) &&
		(q.Operation == "" || g.operation == q.Operation || g.operation == anything) &&
		(q.Status == "" || g.statuses&(1<<statusCode(q.Status)) != 0) &&
		(q.MinDuration == 0 || g.maxNanos >= uint64(q.MinDuration)) &&
		(q.MaxDuration == 0 || g.minNanos <= uint64(q.MaxDuration))
}

// statusCode returns the OTLP status code; 7 for a status that no span has.
func statusCode(s telemetry.Status) uint8 {
	switch s {
	case telemetry.StatusUnset:
		return 0
	case telemetry.StatusOK:
		return 1
	case telemetry.StatusError:
		return wire.StatusError
	}
	return 7
}

var errSummary = errors.New("summary is malformed")

// Encode writes a table of all strings, then the summaries with numbers into
// it: everything uvarint, strings length-prefixed.
func (s *schema) Encode(summaries []*summary) []byte {
	table := newStringTable()
	var body []byte
	put := func(v uint64) { body = binary.AppendUvarint(body, v) }
	for _, sum := range summaries {
		put(uint64(sum.spans))
		put(uint64(sum.rejected))
		put(sum.firstStart)
		put(sum.lastStart - sum.firstStart)
		put(uint64(len(sum.exceptions))<<1 | bit(sum.moreExceptionTypes))
		for _, typ := range sum.exceptions {
			put(table.number(typ))
		}
		put(uint64(len(sum.groups)))
		for _, g := range sum.groups {
			put(table.number(g.ref.Service))
			put(table.number(g.ref.Environment))
			put(table.number(g.ref.Version))
			put(table.number(g.operation))
			put(uint64(g.statuses))
			put(g.minNanos)
			put(g.maxNanos - g.minNanos)
		}
	}
	out := table.encode(nil)
	out = binary.AppendUvarint(out, uint64(len(summaries)))
	return append(out, body...)
}

func bit(b bool) uint64 {
	if b {
		return 1
	}
	return 0
}

// Decode reads what Encode wrote.
func (s *schema) Decode(data []byte) ([]*summary, error) {
	r := reader{b: data}
	table := r.table()
	var out []*summary
	for range r.count() {
		sum := &summary{spans: int(r.uvarint()), rejected: int(r.uvarint()), firstStart: r.uvarint()}
		sum.lastStart = sum.firstStart + r.uvarint()
		n := r.uvarint()
		sum.moreExceptionTypes = n&1 == 1
		for range min(n>>1, maxExceptions) {
			sum.exceptions = append(sum.exceptions, r.pick(table))
		}
		n = r.count()
		sum.groups = make([]group, 0, n)
		var ref *entity.Ref
		for range n {
			next := entity.Ref{Service: r.pick(table), Environment: r.pick(table), Version: r.pick(table)}
			if ref == nil || *ref != next {
				ref = s.names.ref(next)
			}
			g := group{ref: ref, operation: r.pick(table), statuses: uint8(r.uvarint()), minNanos: r.uvarint()}
			g.maxNanos = g.minNanos + r.uvarint()
			sum.groups = append(sum.groups, g)
		}
		out = append(out, sum)
	}
	if r.bad {
		return nil, errSummary
	}
	return out, nil
}

// names shares equal strings between summaries, up to a number of them.
type names struct {
	mu      sync.Mutex
	strings map[string]string
	refs    map[entity.Ref]*entity.Ref
}

const maxNames = 16 << 10

func (n *names) name(s string) string {
	n.mu.Lock()
	defer n.mu.Unlock()
	if have, ok := n.strings[s]; ok {
		return have
	}
	if n.strings == nil || len(n.strings) >= maxNames {
		n.strings = map[string]string{}
	}
	n.strings[s] = s
	return s
}

func (n *names) ref(r entity.Ref) *entity.Ref {
	n.mu.Lock()
	defer n.mu.Unlock()
	if have, ok := n.refs[r]; ok {
		return have
	}
	if n.refs == nil || len(n.refs) >= maxNames {
		n.refs = map[entity.Ref]*entity.Ref{}
	}
	n.refs[r] = &r
	return &r
}
