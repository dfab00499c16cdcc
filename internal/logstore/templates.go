package logstore

import (
	"cmp"
	"context"
	"slices"
	"time"
	"unicode/utf8"

	"github.com/tidegate-io/tidegate/entity"
	"github.com/tidegate-io/tidegate/internal/otlp/wire"
	"github.com/tidegate-io/tidegate/internal/segment"
	"github.com/tidegate-io/tidegate/telemetry"
)

// Bounds of templates; log lines come from outside.
const (
	maxTemplates = 256 // in one summary; further lines are counted together
	maxLine      = 256 // bytes of a line that are looked at
	variable     = "<*>"
)

// template counts the lines of one service and severity that differ only in
// their variables.
type template struct {
	ref         *entity.Ref // service may be anything
	severity    uint8
	text        string // may be anything
	count       uint64
	first, last uint64
}

func (t *template) same(o *template) bool {
	return t.severity == o.severity && t.text == o.text && (t.ref == o.ref || *t.ref == *o.ref)
}

type templates []template

// add merges t in.
func (ts *templates) add(t template) {
	i := ts.find(&t)
	if i < 0 && len(*ts) >= maxTemplates {
		t.ref, t.severity, t.text = &entity.Ref{Service: anything}, 0, anything
		i = ts.find(&t)
	}
	if i < 0 {
		*ts = append(*ts, t)
		return
	}
	(*ts)[i].merge(&t)
}

func (t *template) merge(o *template) {
	t.count += o.count
	t.first, t.last = min(t.first, o.first), max(t.last, o.last)
}

// find looks from the end, where what came last most often comes again.
func (ts templates) find(t *template) int {
	for i := len(ts) - 1; i >= 0; i-- {
		if ts[i].same(t) {
			return i
		}
	}
	return -1
}

// wordBytes are those of words, as evidence's masks have them; a digit or an @
// makes a word a variable.
var wordBytes = func() (class [256]uint8) {
	for c := range class {
		switch {
		case c >= '0' && c <= '9', c == '@':
			class[c] = 2
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c == '_', c == '.', c == ':', c == '%', c == '+', c == '-':
			class[c] = 1
		}
	}
	return class
}()

// mine appends the template of a line to dst: words with digits in them are
// replaced. It is a coarse form of what evidence does to the few lines that it
// shows, for every line there is: a pass over the bytes.
func mine(dst, line []byte) []byte {
	if n := maxLine; len(line) > n {
		for n > 0 && !utf8.RuneStart(line[n]) {
			n--
		}
		line = line[:n]
	}
	for i := 0; i < len(line); {
		if wordBytes[line[i]] == 0 {
			dst = append(dst, line[i])
			i++
			continue
		}
		start, kind := i, uint8(0)
		for i < len(line) && wordBytes[line[i]] != 0 {
			kind |= wordBytes[line[i]]
			i++
		}
		if kind&2 != 0 {
			dst = append(dst, variable...)
		} else {
			dst = append(dst, line[start:i]...)
		}
	}
	return dst
}

// miner collects the templates of one request.
type miner struct {
	out templates
	buf []byte
	at  map[string]int // by service, severity and text
	ref *entity.Ref
}

func (m *miner) add(ref *entity.Ref, log *wire.Log) {
	if m.at == nil {
		m.at = map[string]int{}
	}
	if m.ref != ref { // records of one service follow each other
		m.ref = ref
		clear(m.at)
	}
	m.buf = mine(append(m.buf[:0], log.Severity), log.Body())
	if i, ok := m.at[string(m.buf)]; ok {
		m.out[i].merge(&template{count: 1, first: log.Time, last: log.Time})
		return
	}
	t := template{ref: ref, severity: log.Severity, text: string(m.buf[1:]), count: 1, first: log.Time, last: log.Time}
	m.out.add(t)
	if i := m.out.find(&t); i >= 0 {
		m.at[string(m.buf)] = i
	}
}

func (ts templates) encode(w *segment.SummaryWriter) {
	w.Uint(uint64(len(ts)))
	for i := range ts {
		t := &ts[i]
		w.String(t.ref.Service)
		w.String(t.ref.Environment)
		w.String(t.ref.Version)
		w.Uint(uint64(t.severity))
		w.String(t.text)
		w.Uint(t.count)
		w.Uint(t.first)
		w.Uint(t.last - t.first)
	}
}

func (s *schema) decodeTemplates(r *segment.SummaryReader) templates {
	n := r.Count()
	out := make(templates, 0, n)
	for range n {
		ref := entity.Ref{Service: r.String(), Environment: r.String(), Version: r.String()}
		t := template{ref: s.refs.Get(ref), severity: uint8(r.Uint()), text: r.String(), count: r.Uint(), first: r.Uint()}
		t.last = t.first + r.Uint()
		out = append(out, t)
	}
	return out
}

// Templates groups the records that satisfy q by service, severity and
// template, most frequent first; q.TraceID, q.Contains and q.Limit are not
// looked at. Templates were mined when the records came in: only requests at
// the edges of the window are read. Those beyond 256 in one segment count as
// one, without a text.
func (s *Store) Templates(ctx context.Context, q telemetry.LogQuery) ([]telemetry.LogTemplate, error) {
	v := s.log.View()
	defer v.Close()
	t := &tally{finder: newFinder(telemetry.LogQuery{Ref: q.Ref, MinSeverity: q.MinSeverity, From: q.From, To: q.To}), groups: map[templateKey]*template{}}
	for _, seg := range v.Segments() {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		if err := t.segment(seg); err != nil {
			return nil, err
		}
	}
	return t.sorted(), nil
}

// tally counts templates in a window.
type tally struct {
	finder *finder
	buf    []byte
	groups map[templateKey]*template
}

type templateKey struct {
	ref      entity.Ref
	severity uint8
	text     string
}

// inside reports whether all records of s are in the window; may, whether some
// are.
func (t *tally) inside(s *summary) (all, may bool) {
	if !s.may(&t.finder.q) {
		return false, false
	}
	return !s.untimed && s.first >= t.finder.from && s.last < t.finder.to, true
}

func (t *tally) segment(seg segment.Segment[*summary]) error {
	if digest, ok := seg.Digest(); ok {
		all, may := t.inside(digest)
		if all {
			t.all(digest)
		}
		if all || !may {
			return nil
		}
	}
	summaries, err := seg.Summaries()
	if err != nil {
		return err
	}
	for n, sum := range summaries {
		switch all, may := t.inside(sum); {
		case all:
			t.all(sum)
		case may:
			if err := seg.Frame(n).Entries(t.entry); err != nil {
				return err
			}
		}
	}
	return nil
}

func (t *tally) all(s *summary) {
	for i := range s.templates {
		if x := &s.templates[i]; x.text == anything || int(x.severity) >= t.finder.q.MinSeverity && (x.ref.Service == anything || t.finder.q.Covers(*x.ref)) {
			t.add(x)
		}
	}
}

// entry counts the records of a request one by one.
func (t *tally) entry(e segment.Entry) error {
	return wire.WalkLogs(e.Request, func(res *wire.Resource, _ []byte, log *wire.Log) error {
		if log.Time == 0 {
			log.Time = nanos(e.Arrival)
		}
		if t.finder.matches(res, log) {
			ref := res.Ref()
			t.buf = mine(t.buf[:0], log.Body())
			t.add(&template{ref: &ref, severity: log.Severity, text: string(t.buf), count: 1, first: log.Time, last: log.Time})
		}
		return nil
	})
}

func (t *tally) add(x *template) {
	key := templateKey{*x.ref, x.severity, x.text}
	if have := t.groups[key]; have != nil {
		have.merge(x)
		return
	}
	own := *x
	t.groups[key] = &own
}

func (t *tally) sorted() []telemetry.LogTemplate {
	out := make([]telemetry.LogTemplate, 0, len(t.groups))
	for _, x := range t.groups {
		lt := telemetry.LogTemplate{
			Ref: *x.ref, SeverityNumber: int(x.severity), Template: x.text, Count: int(x.count),
			First: time.Unix(0, int64(x.first)).UTC(), Last: time.Unix(0, int64(x.last)).UTC(),
		}
		for _, name := range []*string{&lt.Service, &lt.Template} {
			if *name == anything {
				*name = ""
			}
		}
		out = append(out, lt)
	}
	slices.SortFunc(out, func(a, b telemetry.LogTemplate) int {
		return cmp.Or(cmp.Compare(b.Count, a.Count), cmp.Compare(a.Service, b.Service), cmp.Compare(a.Version, b.Version),
			cmp.Compare(a.SeverityNumber, b.SeverityNumber), cmp.Compare(a.Template, b.Template))
	})
	return out
}
