package tracestore

import (
	"bytes"
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/tidegate-io/tidegate/entity"
	"github.com/tidegate-io/tidegate/internal/otlp/wire"
	"github.com/tidegate-io/tidegate/internal/segment"
	"github.com/tidegate-io/tidegate/telemetry"
)

// maxFailures bounds the signatures in one summary; the rest count together.
const maxFailures = 512

// signature is what failed spans have in common. Names may be anything.
type signature struct {
	ref       *entity.Ref // from schema.refs: one pointer for one value, nearly always
	operation string
	exception string
}

// failure counts the failed spans of one signature.
type failure struct {
	signature
	count       uint64
	first, last uint64 // starts
	example     telemetry.TraceID
}

// failures are kept in the order in which they came up.
type failures []failure

// add merges f in.
func (fs *failures) add(f failure) {
	i := fs.find(f.signature)
	if i < 0 && len(*fs) >= maxFailures {
		f.signature = signature{&entity.Ref{Service: anything}, anything, anything}
		i = fs.find(f.signature)
	}
	if i < 0 {
		*fs = append(*fs, f)
		return
	}
	have := &(*fs)[i]
	have.count += f.count
	have.first = min(have.first, f.first)
	if f.last >= have.last {
		have.last, have.example = f.last, f.example
	}
}

func (fs failures) find(s signature) int {
	for i := range fs {
		if have := &fs[i].signature; have.operation == s.operation && have.exception == s.exception && (have.ref == s.ref || *have.ref == *s.ref) {
			return i
		}
	}
	return -1
}

// failureOf returns a failed span as a failure; name is bounded.
func failureOf(ref *entity.Ref, name string, span *wire.Span) failure {
	f := failure{
		signature: signature{ref: ref, operation: name},
		count:     1, first: span.Start, last: span.Start, example: span.TraceID,
	}
	span.Exceptions(func(typ []byte) { // the last one is what it died of
		f.exception = string(typ)
		if len(typ) > maxNameBytes {
			f.exception = anything
		}
	})
	return f
}

func (fs failures) encode(w *segment.SummaryWriter) {
	w.Uint(uint64(len(fs)))
	for i := range fs {
		f := &fs[i]
		w.String(f.ref.Service)
		w.String(f.ref.Environment)
		w.String(f.ref.Version)
		w.String(f.operation)
		w.String(f.exception)
		w.Uint(f.count)
		w.Uint(f.first)
		w.Uint(f.last - f.first)
		w.Raw(f.example[:])
	}
}

func (s *schema) decodeFailures(r *segment.SummaryReader) failures {
	n := r.Count()
	if n == 0 {
		return nil
	}
	out := make(failures, 0, n)
	for range n {
		ref := entity.Ref{Service: r.String(), Environment: r.String(), Version: r.String()}
		f := failure{signature: signature{s.refs.Get(ref), r.String(), r.String()}, count: r.Uint(), first: r.Uint()}
		f.last = f.first + r.Uint()
		r.Raw(f.example[:])
		out = append(out, f)
	}
	return out
}

// Failures groups the failed spans of the services that ref covers, and that
// started in [from, to), by service, operation and the type of the last
// exception; most frequent first. It counts exactly, and mostly from
// summaries: only requests at the edges of the window are read. Signatures
// beyond 512 in one segment count as one, without names.
func (s *Store) Failures(ctx context.Context, ref entity.Ref, from, to time.Time) ([]telemetry.FailureGroup, error) {
	v := s.log.View()
	defer v.Close()
	t := tally{ref: ref, from: nanos(from), to: ^uint64(0), groups: map[signature]*failure{}, refs: map[*entity.Ref]*entity.Ref{}}
	if !to.IsZero() {
		t.to = nanos(to)
	}
	for _, seg := range v.Segments() {
		if err := t.segment(ctx, seg); err != nil {
			return nil, err
		}
	}
	return t.sorted(), nil
}

// tally counts failures in a window.
type tally struct {
	ref      entity.Ref
	from, to uint64
	groups   map[signature]*failure
	refs     map[*entity.Ref]*entity.Ref // pointers seen, to one for each value
}

// cover is how much of what is summarised lies in the window.
type cover int

const (
	none cover = iota
	some
	whole
)

func (t *tally) cover(s *summary) cover {
	switch {
	case len(s.failures) == 0 || s.lastStart < t.from || s.firstStart >= t.to:
		return none
	case s.firstStart >= t.from && s.lastStart < t.to:
		return whole
	}
	return some
}

func (t *tally) segment(ctx context.Context, seg segment.Segment[*summary]) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if digest, ok := seg.Digest(); ok {
		switch t.cover(digest) {
		case none:
			return nil
		case whole:
			t.all(digest)
			return nil
		}
	}
	summaries, err := seg.Summaries()
	if err != nil {
		return err
	}
	for n, sum := range summaries {
		switch t.cover(sum) {
		case whole:
			t.all(sum)
		case some:
			if err := seg.Frame(n).Entries(t.entry); err != nil {
				return err
			}
		}
	}
	return nil
}

func (t *tally) all(s *summary) {
	for i := range s.failures {
		t.add(s.failures[i])
	}
}

// entry counts the spans of a request one by one.
func (t *tally) entry(e segment.Entry) error {
	request := parsed(e)
	for i := range request.Groups {
		g := &request.Groups[i]
		ref := g.Resource.Ref()
		for j := range g.Spans {
			if span := &g.Spans[j]; span.Status == wire.StatusError && span.Start >= t.from && span.Start < t.to {
				t.add(failureOf(&ref, boundedName(span.Name), span))
			}
		}
	}
	return nil
}

func (t *tally) add(f failure) {
	if f.ref.Service != anything && !covers(t.ref, *f.ref) {
		return
	}
	f.ref = t.canonical(f.ref)
	have := t.groups[f.signature]
	if have == nil {
		t.groups[f.signature] = &f
		return
	}
	have.count += f.count
	have.first = min(have.first, f.first)
	if f.last >= have.last {
		have.last, have.example = f.last, f.example
	}
}

func covers(want, ref entity.Ref) bool { return (&telemetry.TraceQuery{Ref: want}).Covers(ref) }

// canonical returns one pointer for all equal values.
func (t *tally) canonical(ref *entity.Ref) *entity.Ref {
	if have, ok := t.refs[ref]; ok {
		return have
	}
	have := ref
	for known := range t.refs {
		if *known == *ref {
			have = t.refs[known]
			break
		}
	}
	t.refs[ref] = have
	return have
}

func (t *tally) sorted() []telemetry.FailureGroup {
	out := make([]telemetry.FailureGroup, 0, len(t.groups))
	for _, f := range t.groups {
		g := telemetry.FailureGroup{
			Ref: *f.ref, Operation: f.operation, ExceptionType: f.exception, Count: int(f.count),
			First: time.Unix(0, int64(f.first)).UTC(), Last: time.Unix(0, int64(f.last)).UTC(), Example: f.example,
		}
		for _, name := range []*string{&g.Service, &g.Operation, &g.ExceptionType} {
			if *name == anything {
				*name = ""
			}
		}
		out = append(out, g)
	}
	slices.SortFunc(out, func(a, b telemetry.FailureGroup) int {
		return cmp.Or(cmp.Compare(b.Count, a.Count), cmp.Compare(a.Service, b.Service), cmp.Compare(a.Operation, b.Operation),
			cmp.Compare(a.ExceptionType, b.ExceptionType), bytes.Compare(a.Example[:], b.Example[:]))
	})
	return out
}
