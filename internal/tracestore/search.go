package tracestore

import (
	"bytes"
	"cmp"
	"context"
	"encoding/base64"
	"iter"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/tidegate-io/tidegate/internal/otlp/wire"
	"github.com/tidegate-io/tidegate/internal/segment"
	"github.com/tidegate-io/tidegate/telemetry"
)

const (
	defaultLimit = 20
	maxLimit     = 10_000
	// readAhead is how many traces are read from their frames at a time.
	readAhead = 32
)

// Traces yields whole traces with a span that satisfies q, newest first by
// that span's start.
func (s *Store) Traces(ctx context.Context, q telemetry.TraceQuery) iter.Seq2[*telemetry.Trace, error] {
	return func(yield func(*telemetry.Trace, error) bool) {
		v := s.log.View()
		defer v.Close()
		ids, err := search(ctx, v, q)
		if err != nil {
			yield(nil, err)
			return
		}
		for chunk := range slices.Chunk(ids, readAhead) {
			traces, err := collect(ctx, v, chunk, maxSpansFound)
			if err != nil {
				yield(nil, err)
				return
			}
			for _, t := range traces {
				// Retention does not touch an open view; only damage noticed
				// since the search can have taken a trace away.
				if t != nil && !yield(t, nil) {
					return
				}
			}
		}
	}
}

// search returns the ids of the matching traces, newest first.
func search(ctx context.Context, v *segment.View[*summary], q telemetry.TraceQuery) ([]telemetry.TraceID, error) {
	f := newFinder(q)
	for _, seg := range segment.Newest(v, func(s *summary) (uint64, bool) { return s.lastStart, s.may(&q) }) {
		if f.floor > seg.Newest {
			break
		}
		frames, err := seg.Frames()
		if err != nil {
			return nil, err
		}
		for _, fr := range frames {
			if f.floor > fr.Newest {
				break
			}
			if err := ctx.Err(); err != nil {
				return nil, err
			}
			if err := fr.Containing(f.texts, f.entry); err != nil {
				return nil, err
			}
			f.settle()
		}
	}
	return f.newest(), nil
}

// finder collects matching trace ids with the start of their newest match.
type finder struct {
	q        telemetry.TraceQuery
	limit    int
	from, to uint64
	starts   map[telemetry.TraceID]uint64
	texts    [][]byte // that a request with a match contains
	floor    uint64   // start of the limit-th newest match so far; 0 while there are fewer
}

func newFinder(q telemetry.TraceQuery) *finder {
	f := &finder{q: q, limit: q.Limit, to: ^uint64(0), starts: map[telemetry.TraceID]uint64{}}
	if f.limit <= 0 {
		f.limit = defaultLimit
	}
	f.limit = min(f.limit, maxLimit)
	f.from = nanos(q.From)
	if !q.To.IsZero() {
		f.to = nanos(q.To)
	}
	for key, value := range q.Attributes {
		f.texts = append(f.texts, []byte(key))
		if onlyText(value) {
			f.texts = append(f.texts, []byte(value))
		}
	}
	return f
}

// onlyText reports whether an attribute with this value must be a string, and
// therefore stands in the request as it is: it does not look like a number, a
// truth value, a list, a map, or bytes (which are shown in base64).
func onlyText(value string) bool {
	if value == "true" || value == "false" || value == "" || value[0] == '[' || value[0] == '{' {
		return false
	}
	if _, err := strconv.ParseFloat(value, 64); err == nil {
		return false
	}
	if strings.ContainsRune(value, utf8.RuneError) { // may stand for what was no text
		return false
	}
	_, err := base64.StdEncoding.DecodeString(value)
	return err != nil
}

// nanos returns nanoseconds since the epoch, 0 for anything before it.
func nanos(t time.Time) uint64 {
	if t.IsZero() || t.Before(time.Unix(0, 0)) {
		return 0
	}
	return uint64(t.UnixNano())
}

func (f *finder) entry(e segment.Entry) error {
	// Looking for bytes is many times faster than walking.
	for _, text := range f.texts {
		if !bytes.Contains(e.Request, text) {
			return nil
		}
	}
	t := parsed(e)
	for i := range t.Groups {
		g := &t.Groups[i]
		if !f.covers(g.Resource) {
			continue
		}
		for j := range g.Spans {
			if span := &g.Spans[j]; f.matches(g.Resource, span) {
				f.starts[span.TraceID] = max(f.starts[span.TraceID], span.Start)
			}
		}
	}
	return nil
}

func (f *finder) covers(res *wire.Resource) bool {
	q := &f.q
	return (q.Service == "" || q.Service == string(res.Service)) &&
		(q.Environment == "" || q.Environment == string(res.Environment)) &&
		(q.Version == "" || q.Version == string(res.Version))
}

// matches checks the conditions, cheap ones first.
func (f *finder) matches(res *wire.Resource, span *wire.Span) bool {
	q := &f.q
	d := span.Duration()
	switch {
	case span.Start < f.from || span.Start >= f.to,
		q.Status != "" && span.Status != statusCode(q.Status),
		q.MinDuration > 0 && d < uint64(q.MinDuration),
		q.MaxDuration > 0 && d > uint64(q.MaxDuration),
		q.Operation != "" && string(span.Name) != q.Operation:
		return false
	}
	if q.ExceptionType != "" {
		found := false
		span.Exceptions(func(typ []byte) { found = found || string(typ) == q.ExceptionType })
		if !found {
			return false
		}
	}
	for key, want := range q.Attributes {
		if got, ok := span.Attribute(res, key); !ok || got != want {
			return false
		}
	}
	return true
}

// settle updates the floor and forgets matches below it.
func (f *finder) settle() {
	if len(f.starts) < f.limit {
		return
	}
	starts := make([]uint64, 0, len(f.starts))
	for _, s := range f.starts {
		starts = append(starts, s)
	}
	slices.Sort(starts)
	f.floor = starts[len(starts)-f.limit]
	for id, s := range f.starts {
		if s < f.floor {
			delete(f.starts, id)
		}
	}
}

// newest returns the ids found, newest first, at most limit.
func (f *finder) newest() []telemetry.TraceID {
	ids := make([]telemetry.TraceID, 0, len(f.starts))
	for id := range f.starts {
		ids = append(ids, id)
	}
	slices.SortFunc(ids, func(a, b telemetry.TraceID) int {
		return cmp.Or(cmp.Compare(f.starts[b], f.starts[a]), bytes.Compare(a[:], b[:]))
	})
	return ids[:min(len(ids), f.limit)]
}
