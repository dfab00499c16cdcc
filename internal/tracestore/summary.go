package tracestore

import (
	"cmp"
	"slices"

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
	spans              int
	firstStart         uint64 // nanoseconds
	lastStart          uint64
	groups             []group
	exceptions         []string // sorted
	moreExceptionTypes bool
	failures           failures
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
type schema struct {
	refs  segment.Shared[entity.Ref]
	names segment.Shared[string]
}

// Summarise reads one ExportTraceServiceRequest.
func (s *schema) Summarise(req []byte) (*summary, []uint32, error) {
	var t wire.Traces
	if err := t.Parse(req); err != nil {
		return nil, nil, err
	}
	if t.Sound == 0 {
		return &summary{}, nil, segment.ErrEmpty
	}
	sum, keys := s.summarise(&t)
	return sum, keys, nil
}

// summarise summarises a request that holds at least one sound span.
func (s *schema) summarise(t *wire.Traces) (*summary, []uint32) {
	b := newBuilder(s)
	keys := make([]uint32, 0, t.Sound)
	for i := range t.Groups {
		g := &t.Groups[i]
		b.enter(g.Resource)
		for j := range g.Spans {
			b.add(&g.Spans[j])
			keys = append(keys, segment.Key(g.Spans[j].TraceID))
		}
	}
	return b.finish(), keys
}

// builder collects the summary of one request. The maps of one service are
// found once per resource, those of one operation by one lookup per span.
type builder struct {
	schema   *schema
	sum      summary
	services map[entity.Ref]*service
	current  *service
	groups   int
}

type service struct {
	ref        *entity.Ref
	operations map[string]*group
}

func newBuilder(s *schema) *builder {
	return &builder{schema: s, services: map[entity.Ref]*service{}, sum: summary{firstStart: ^uint64(0)}}
}

// add adds a span of the current service.
func (b *builder) add(span *wire.Span) {
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
	if span.Status == wire.StatusError {
		b.sum.failures.add(failureOf(b.current.ref, g.operation, span))
	}
}

// boundedName returns the name of an operation as summaries have it.
func boundedName(name []byte) string {
	if len(name) > maxNameBytes {
		return anything
	}
	return string(name)
}

// enter makes the service of res the current one.
func (b *builder) enter(res *wire.Resource) {
	ref := res.Ref()
	if len(ref.Service)+len(ref.Environment)+len(ref.Version) > 3*maxNameBytes || len(b.services) >= maxServices && b.services[ref] == nil {
		ref = entity.Ref{Service: anything}
	}
	s := b.services[ref]
	if s == nil {
		s = &service{ref: b.schema.refs.Get(ref), operations: map[string]*group{}}
		b.services[ref] = s
	}
	b.current = s
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

func (b *builder) finish() *summary {
	b.sum.groups = make([]group, 0, b.groups)
	for _, s := range b.services {
		for _, g := range s.operations {
			g.operation = *b.schema.names.Get(g.operation)
			b.sum.groups = append(b.sum.groups, *g)
		}
	}
	sortGroups(b.sum.groups)
	sum := b.sum // on its own: the builder holds on to the request
	return &sum
}

// Merge returns the summary of all spans together.
func (s *schema) Merge(summaries []*summary) *summary {
	out := &summary{firstStart: ^uint64(0)}
	groups := map[groupKey]*group{}
	refs := map[entity.Ref]bool{}
	for _, sum := range summaries {
		out.spans += sum.spans
		out.firstStart = min(out.firstStart, sum.firstStart)
		out.lastStart = max(out.lastStart, sum.lastStart)
		out.moreExceptionTypes = out.moreExceptionTypes || sum.moreExceptionTypes
		for _, typ := range sum.exceptions {
			out.addException(typ)
		}
		for _, g := range sum.groups {
			mergeGroup(groups, refs, g)
		}
		for _, f := range sum.failures {
			out.failures.add(f)
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

// Encode writes what Decode reads.
func (s *schema) Encode(summaries []*summary) []byte {
	var w segment.SummaryWriter
	w.Uint(uint64(len(summaries)))
	for _, sum := range summaries {
		w.Uint(uint64(sum.spans))
		w.Uint(sum.firstStart)
		w.Uint(sum.lastStart - sum.firstStart)
		w.Bool(sum.moreExceptionTypes)
		w.Uint(uint64(len(sum.exceptions)))
		for _, typ := range sum.exceptions {
			w.String(typ)
		}
		w.Uint(uint64(len(sum.groups)))
		for _, g := range sum.groups {
			w.String(g.ref.Service)
			w.String(g.ref.Environment)
			w.String(g.ref.Version)
			w.String(g.operation)
			w.Uint(uint64(g.statuses))
			w.Uint(g.minNanos)
			w.Uint(g.maxNanos - g.minNanos)
		}
		sum.failures.encode(&w)
	}
	return w.Bytes()
}

// Decode reads what Encode wrote.
func (s *schema) Decode(data []byte) ([]*summary, error) {
	r := segment.NewSummaryReader(data)
	var out []*summary
	for range r.Count() {
		sum := &summary{spans: int(r.Uint()), firstStart: r.Uint()}
		sum.lastStart = sum.firstStart + r.Uint()
		sum.moreExceptionTypes = r.Bool()
		for range r.Count() {
			sum.exceptions = append(sum.exceptions, r.String())
		}
		n := r.Count()
		sum.groups = make([]group, 0, n)
		var ref *entity.Ref
		for range n {
			next := entity.Ref{Service: r.String(), Environment: r.String(), Version: r.String()}
			if ref == nil || *ref != next {
				ref = s.refs.Get(next)
			}
			g := group{ref: ref, operation: r.String(), statuses: uint8(r.Uint()), minNanos: r.Uint()}
			g.maxNanos = g.minNanos + r.Uint()
			sum.groups = append(sum.groups, g)
		}
		sum.failures = s.decodeFailures(r)
		out = append(out, sum)
	}
	return out, r.Err()
}
