package evidence

import (
	"context"
	"fmt"
	"iter"
	"sort"
	"strings"
	"testing"
	"time"

	"github.com/tidegate-io/tidegate/change"
	"github.com/tidegate-io/tidegate/entity"
	"github.com/tidegate-io/tidegate/fault"
	"github.com/tidegate-io/tidegate/telemetry"
)

var (
	t0     = time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)
	window = Interval{t0, t0.Add(time.Minute)}
	before = Interval{t0.Add(-10 * time.Minute), t0.Add(-9 * time.Minute)}
	target = entity.Ref{Service: "checkout", Environment: "dev"}
)

// trace reads a drawing of a trace: one span a line, indented under its
// parent: service, kind, operation, start-end in ms, then "error" with an
// exception "type: message" or a status message, and attributes as k=v.
func trace(t testing.TB, n int, at time.Time, drawing string) *telemetry.Trace {
	t.Helper()
	id := telemetry.TraceID{12: byte(n >> 24), 13: byte(n >> 16), 14: byte(n >> 8), 15: byte(n)}
	id[0] = 1
	out := &telemetry.Trace{ID: id}
	var parents []telemetry.SpanID
	for i, line := range strings.Split(strings.Trim(drawing, "\n"), "\n") {
		text := strings.TrimLeft(line, "\t")
		depth := len(line) - len(text)
		head, failure, failed := strings.Cut(text, " error")
		f := strings.Fields(head)
		var from, to int
		if len(f) < 4 {
			t.Fatalf("span %q", line)
		}
		if _, err := fmt.Sscanf(f[3], "%d-%d", &from, &to); err != nil {
			t.Fatalf("span %q: %v", line, err)
		}
		s := telemetry.Span{
			TraceID: id, ID: telemetry.SpanID{0: 1, 7: byte(i)}, Ref: entity.Ref{Service: f[0], Environment: "dev"},
			Kind: telemetry.Kind(f[1]), Name: f[2], Attributes: telemetry.Attributes{},
			Start: at.Add(time.Duration(from) * time.Millisecond), Duration: time.Duration(to-from) * time.Millisecond,
		}
		if depth > 0 {
			s.ParentID = parents[depth-1]
		}
		for _, kv := range f[4:] {
			k, v, _ := strings.Cut(kv, "=")
			switch k {
			case "flag":
				s.Events = append(s.Events, telemetry.Event{Name: "feature_flag.evaluation", Attributes: telemetry.Attributes{"feature_flag.key": v}})
			case "version":
				s.Version = v
			default:
				s.Attributes[k] = v
			}
		}
		if failed {
			s.Status = telemetry.StatusError
			if typ, msg, ok := strings.Cut(strings.TrimSpace(failure), ": "); ok {
				s.Events = append(s.Events, telemetry.Event{Name: "exception", Attributes: telemetry.Attributes{
					"exception.type": typ, "exception.message": msg,
					"exception.stacktrace": "main.(*" + f[0] + ")." + f[2] + "()\n\t/app/" + f[0] + ".go:" + fmt.Sprint(10+n%3) + " +0x1\n",
				}})
			} else {
				s.StatusMessage = strings.TrimSpace(failure)
			}
		}
		parents = append(parents[:depth], s.ID)
		out.Spans = append(out.Spans, s)
	}
	return out
}

// shop holds what the readers read.
type shop struct {
	traces  []*telemetry.Trace
	lines   []telemetry.LogRecord
	changed []change.Event
	err     error
	asked   int
}

func (s *shop) Trace(context.Context, telemetry.TraceID) (*telemetry.Trace, error) {
	return nil, fault.NotFound("not asked for here")
}

func (s *shop) Traces(_ context.Context, q telemetry.TraceQuery) iter.Seq2[*telemetry.Trace, error] {
	s.asked++
	return func(yield func(*telemetry.Trace, error) bool) {
		if s.err != nil {
			yield(nil, s.err)
			return
		}
		sort.SliceStable(s.traces, func(i, j int) bool { return s.traces[i].Spans[0].Start.After(s.traces[j].Spans[0].Start) })
		n := 0
		for _, t := range s.traces {
			for i := range t.Spans {
				if matches(&t.Spans[i], q) && (q.ExceptionType == "" || hasException(&t.Spans[i], q.ExceptionType)) {
					if n++; !yield(t, nil) || n == q.Limit {
						return
					}
					break
				}
			}
		}
	}
}

func hasException(s *telemetry.Span, typ string) bool {
	e, ok := s.Exception()
	return ok && e.Type == typ
}

func (s *shop) Logs(_ context.Context, q telemetry.LogQuery) ([]telemetry.LogRecord, error) {
	var out []telemetry.LogRecord
	for i := len(s.lines) - 1; i >= 0; i-- {
		l := s.lines[i]
		if q.Ref.Covers(l.Ref) && l.SeverityNumber >= q.MinSeverity && !l.Time.Before(q.From) && l.Time.Before(q.To) {
			out = append(out, l)
		}
	}
	return out[:min(len(out), q.Limit)], s.err
}

func (s *shop) Events(_ context.Context, q change.Query) ([]change.Event, error) {
	var out []change.Event
	for i := len(s.changed) - 1; i >= 0; i-- {
		if e := s.changed[i]; !e.Start.Before(q.From) && e.Start.Before(q.To) {
			out = append(out, e)
		}
	}
	return out[:min(len(out), q.Limit)], s.err
}

func (s *shop) request() Request {
	return Request{Target: target, Window: window, Baseline: before, Traces: s, Logs: s, Changes: s}
}

func (s *shop) gather(t testing.TB, adjust ...func(*Request)) *Evidence {
	t.Helper()
	r := s.request()
	for _, a := range adjust {
		a(&r)
	}
	e, err := Gather(t.Context(), r)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

const (
	refused = `
frontend server Checkout 0-100 error
	frontend client PlaceOrder 1-99 error
		checkout server PlaceOrder 2-98 error
			checkout client GetCart 3-10
				cart server GetCart 4-9
			checkout client Charge 12-95 error
				payment server Charge 13-94 error payment.Refused: charge 4711 refused
			checkout internal cleanup 95-97
`
	fine = `
checkout server PlaceOrder 0-50
	checkout client Charge 5-25
		payment server Charge 6-24
	checkout client Ship 30-45
		shipping server Ship 31-44
`
)
