package wire

// Traces is a trace request that has been walked once, for all who need to
// look at its spans. A Traces can be used again for the next request; what it
// hands out points into the request that was parsed last.
//
//	var t wire.Traces
//	err := t.Parse(req)
//	for i := range t.Groups {
//		g := &t.Groups[i]
//		for j := range g.Spans { … }
//	}
//
// It holds sound spans only. It takes a few times the memory of the smallest
// possible spans, and a fifth of that of usual ones.
type Traces struct {
	// Raw is the whole request, with the spans that were rejected.
	Raw []byte
	// Groups are the sound spans, in order. None is empty.
	Groups []Group
	// Sound and Rejected count spans.
	Sound, Rejected int
	// Defect is that of the first rejected span, and DefectName its name.
	Defect     Defect
	DefectName []byte

	spans     []Span
	resources []*Resource // recycled
	used      int         // of resources
}

// Group is a run of spans of one resource and scope.
type Group struct {
	Resource *Resource
	Scope    []byte
	Spans    []Span

	from int // in the spans of all groups, while these still grow
}

// Parse walks a raw ExportTraceServiceRequest. Errors are those of [Walk].
func (t *Traces) Parse(req []byte) error {
	t.Reset()
	t.Raw = req
	var (
		current Resource
		last    *Resource
	)
	err := walk(req, &current, "trace request", func(res *Resource, scope []byte, c cursor) error {
		t.spans = append(t.spans, Span{})
		span := &t.spans[len(t.spans)-1]
		if err := span.read(c); err != nil {
			return err
		}
		if span.Defect != Sound {
			t.reject(span)
			return nil
		}
		if last == nil || !sameBytes(last.Raw, res.Raw) {
			last = t.keep(res)
		}
		if n := len(t.Groups); n == 0 || t.Groups[n-1].Resource != last || !sameBytes(t.Groups[n-1].Scope, scope) {
			t.Groups = append(t.Groups, Group{Resource: last, Scope: scope, from: len(t.spans) - 1})
		}
		return nil
	})
	t.Sound = len(t.spans)
	to := len(t.spans)
	for i := len(t.Groups) - 1; i >= 0; i-- {
		g := &t.Groups[i]
		g.Spans = t.spans[g.from:to:to]
		to = g.from
	}
	return err
}

func (t *Traces) reject(span *Span) {
	if t.Rejected == 0 {
		t.Defect, t.DefectName = span.Defect, span.Name
	}
	t.Rejected++
	t.spans = t.spans[:len(t.spans)-1]
}

// keep copies a resource to where it stays until Reset.
func (t *Traces) keep(res *Resource) *Resource {
	if t.used == len(t.resources) {
		t.resources = append(t.resources, new(Resource))
	}
	r := t.resources[t.used]
	t.used++
	*r = *res
	return r
}

// maxKept is how many spans a Traces keeps room for: one huge request must
// not hold its memory for ever.
const maxKept = 16 << 10

// Reset forgets the request and keeps the memory, up to a point.
func (t *Traces) Reset() {
	spans, groups, resources := t.spans[:0], t.Groups[:0], t.resources
	if cap(spans) > maxKept {
		spans = nil
	}
	if cap(groups) > maxKept || len(resources) > maxKept {
		groups, resources = nil, nil
	}
	*t = Traces{spans: spans, Groups: groups, resources: resources}
}

// sameBytes reports whether a and b are the same bytes of the same request.
func sameBytes(a, b []byte) bool {
	return len(a) == len(b) && (len(a) == 0 || &a[0] == &b[0])
}
