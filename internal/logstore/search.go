package logstore

import (
	"bytes"
	"cmp"
	"context"
	"slices"
	"time"
	"unicode/utf8"

	"github.com/tidegate-io/tidegate/fault"
	"github.com/tidegate-io/tidegate/internal/otlp/wire"
	"github.com/tidegate-io/tidegate/internal/segment"
	"github.com/tidegate-io/tidegate/telemetry"
)

const (
	defaultLimit = 100
	maxLimit     = 10_000
)

// Logs returns the records that satisfy q, newest first.
func (s *Store) Logs(ctx context.Context, q telemetry.LogQuery) ([]telemetry.LogRecord, error) {
	v := s.log.View()
	defer v.Close()
	f := newFinder(q)
	if !q.TraceID.IsZero() {
		for _, frame := range v.Lookup(segment.Key(q.TraceID)) {
			if err := f.read(ctx, frame); err != nil {
				return nil, err
			}
		}
		return f.records()
	}
	if err := f.search(ctx, v); err != nil {
		return nil, err
	}
	return f.records()
}

// finder collects the newest matching records.
type finder struct {
	q        telemetry.LogQuery
	limit    int
	from, to uint64
	needle   []byte // lower case
	hits     []hit
	floor    uint64 // time of the limit-th newest hit; 0 while there are fewer
}

// hit is a matching record, not decoded. Its bytes belong to a frame body,
// which is never changed.
type hit struct {
	time uint64
	res  wire.Resource
	log  wire.Log
}

func newFinder(q telemetry.LogQuery) *finder {
	f := &finder{q: q, limit: q.Limit, from: nanos(q.From), to: ^uint64(0), needle: bytes.ToLower([]byte(q.Contains))}
	if f.limit <= 0 {
		f.limit = defaultLimit
	}
	f.limit = min(f.limit, maxLimit)
	if !q.To.IsZero() {
		f.to = nanos(q.To)
	}
	return f
}

// nanos returns nanoseconds since the epoch, 0 for anything before it.
func nanos(t time.Time) uint64 {
	if t.IsZero() || t.Before(time.Unix(0, 0)) {
		return 0
	}
	return uint64(t.UnixNano())
}

// search reads the frames that may match, newest first, until nothing newer
// can come.
func (f *finder) search(ctx context.Context, v *segment.View[*summary]) error {
	for _, seg := range segment.Newest(v, func(s *summary) (uint64, bool) { return s.newest(), s.may(&f.q) }) {
		if f.floor > seg.Newest {
			return nil
		}
		frames, err := seg.Frames()
		if err != nil {
			return err
		}
		for _, fr := range frames {
			if f.floor > fr.Newest {
				break
			}
			if err := f.read(ctx, fr.Frame); err != nil {
				return err
			}
		}
	}
	return nil
}

func (f *finder) read(ctx context.Context, frame segment.Frame[*summary]) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	err := frame.Entries(func(e segment.Entry) error {
		return wire.WalkLogs(e.Request, func(res *wire.Resource, _ []byte, log *wire.Log) error {
			if log.Time == 0 {
				log.Time = nanos(e.Arrival)
			}
			if f.matches(res, log) {
				f.hits = append(f.hits, hit{log.Time, *res, *log})
			}
			return nil
		})
	})
	if err != nil {
		return err
	}
	f.settle()
	return nil
}

// matches checks the conditions, cheap ones first.
func (f *finder) matches(res *wire.Resource, log *wire.Log) bool {
	q := &f.q
	switch {
	case int(log.Severity) < q.MinSeverity,
		log.Time < f.from || log.Time >= f.to,
		!q.TraceID.IsZero() && log.TraceID != q.TraceID,
		q.Service != "" && q.Service != string(res.Service),
		q.Environment != "" && q.Environment != string(res.Environment),
		q.Version != "" && q.Version != string(res.Version):
		return false
	}
	return len(f.needle) == 0 || containsFold(log.Body(), f.needle)
}

// containsFold reports whether text contains needle, which is lower case,
// without regard to case.
func containsFold(text, needle []byte) bool {
	for _, c := range needle {
		if c >= utf8.RuneSelf {
			return bytes.Contains(bytes.ToLower(text), needle)
		}
	}
	for i := 0; i+len(needle) <= len(text); i++ {
		if lower(text[i]) == needle[0] && equalFold(text[i:i+len(needle)], needle) {
			return true
		}
	}
	return false
}

func equalFold(text, needle []byte) bool {
	for i, c := range needle {
		if lower(text[i]) != c {
			return false
		}
	}
	return true
}

func lower(c byte) byte {
	if 'A' <= c && c <= 'Z' {
		return c + 'a' - 'A'
	}
	return c
}

// settle sorts the hits, forgets those beyond the limit and sets the floor.
func (f *finder) settle() {
	if len(f.hits) < f.limit {
		return
	}
	f.sort()
	clear(f.hits[f.limit:])
	f.hits = f.hits[:f.limit]
	f.floor = f.hits[f.limit-1].time
}

func (f *finder) sort() {
	slices.SortStableFunc(f.hits, func(a, b hit) int { return cmp.Compare(b.time, a.time) })
}

// records decodes what was found.
func (f *finder) records() ([]telemetry.LogRecord, error) {
	f.sort()
	out := make([]telemetry.LogRecord, 0, len(f.hits))
	for i := range f.hits {
		// A malformed attribute costs only itself: the rest is shown.
		r, err := wire.DecodeLog(&f.hits[i].res, &f.hits[i].log)
		if err != nil && !fault.Is(err, fault.KindInvalid) {
			return nil, err
		}
		out = append(out, r)
	}
	return out, nil
}
