package evidence

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/tidegate-io/tidegate/change"
	"github.com/tidegate-io/tidegate/entity"
	"github.com/tidegate-io/tidegate/fault"
	"github.com/tidegate-io/tidegate/telemetry"
)

// half fails half of the requests of each second since a moment.
func half(t testing.TB, since time.Time, until time.Time) []*telemetry.Trace {
	var out []*telemetry.Trace
	n := int(since.Unix()%100_000) * 100
	for at := since; at.Before(until); at = at.Add(time.Second) {
		n += 2
		out = append(out,
			trace(t, n, at, strings.Replace(refused, "4711", fmt.Sprint(n), 1)),
			trace(t, n+1, at.Add(300*time.Millisecond), fine))
	}
	return out
}

func flip(at time.Time, service string) change.Event {
	return change.Event{
		ID: "flip-" + at.Format("150405"), Type: change.TypeFlagChanged, Kind: change.KindFlag, Key: "paymentServiceFailure",
		From: "off", To: "on", Who: "kim", Title: "paymentServiceFailure on", Start: at, Ref: entity.Ref{Service: service},
	}
}

func TestFailuresAreGroupedByWhereTheyBegan(t *testing.T) {
	s := &shop{traces: half(t, t0.Add(5*time.Second), window.To)}
	for i := range 5 { // another failure, rarer and known
		at := t0.Add(time.Duration(i) * time.Second)
		s.traces = append(s.traces, trace(t, 900+i, at, "checkout server PlaceOrder 0-10 error Timeout: after 30ms"))
	}
	s.traces = append(s.traces, trace(t, 990, before.From, "checkout server PlaceOrder 0-10 error Timeout: after 12ms"))

	e := s.gather(t)
	if len(e.Failures) != 2 || e.FailedTraces != 60 || e.Truncated {
		t.Fatalf("%d groups, %d traces, truncated %v", len(e.Failures), e.FailedTraces, e.Truncated)
	}
	g := e.Failures[0]
	if g.Service != "payment" || g.Operation != "Charge" || g.ExceptionType != "payment.Refused" || g.Message != "charge <n> refused" {
		t.Errorf("largest group %+v", g)
	}
	if g.Count != 55 || g.Share != 55.0/60 || g.SeenBefore {
		t.Errorf("count %d, share %v, seen before %v", g.Count, g.Share, g.SeenBefore)
	}
	if !g.FirstSeen.Equal(t0.Add(5*time.Second + 2*time.Millisecond)) {
		t.Errorf("first seen %s", g.FirstSeen)
	}
	if g.StackTop == nil || g.StackTop.Function != "main.(*payment).Charge" {
		t.Errorf("stack top %+v", g.StackTop)
	}
	if n := len(g.Exemplars); n != 5 || !g.Exemplars[0].Time.After(g.Exemplars[4].Time) || g.Exemplars[0].Exception == nil || len(g.Exemplars[0].Frames) != 1 {
		t.Errorf("%d exemplars %+v", n, g.Exemplars)
	}
	if known := e.Failures[1]; !known.SeenBefore || known.ExceptionType != "Timeout" {
		t.Errorf("known group %+v", known)
	}
	if !e.FirstFailure.Equal(t0) {
		t.Errorf("first failure %s", e.FirstFailure)
	}
}

// With more failures than are looked at, the first one is still found.
func TestFirstFailureAmongMany(t *testing.T) {
	first := t0.Add(7 * time.Second)
	s := &shop{traces: half(t, first, window.To), changed: []change.Event{flip(first.Add(-41*time.Second), "payment")}}
	e := s.gather(t, func(r *Request) { r.Limits.Failing = 10 })
	if !e.Truncated {
		t.Error("not said to be truncated")
	}
	if got := e.FirstFailure.Sub(first); got < 0 || got > precision {
		t.Errorf("first failure %s off", got)
	}
	if c, ok := e.Cause(); !ok || c.SecondsBefore < 41 || c.SecondsBefore > 42.1 {
		t.Errorf("cause %+v", c)
	}
	if s.asked > 60 {
		t.Errorf("asked %d times", s.asked)
	}
}

// The requests failed before the window began: the change counts from then.
func TestBeginningBeforeTheWindow(t *testing.T) {
	first := t0.Add(-20 * time.Second)
	s := &shop{traces: half(t, first, window.To), changed: []change.Event{flip(first.Add(-5*time.Second), "payment")}}
	c, ok := s.gather(t).Cause()
	if !ok || c.SecondsBefore < 5 || c.SecondsBefore > 6.1 {
		t.Errorf("cause %v %+v, want 5 s before the first failure", ok, c)
	}
}

func TestTheCause(t *testing.T) {
	first := t0.Add(10 * time.Second)
	began := first.Add(13 * time.Millisecond) // of the span where it begins
	mark := func(ago time.Duration, edit func(*change.Event)) change.Event {
		e := flip(began.Add(-ago), "payment")
		edit(&e)
		return e
	}
	asIs := func(*change.Event) {}
	deploy := func(service, to string) func(*change.Event) {
		return func(e *change.Event) {
			*e = change.Event{ID: "deploy-" + service, Type: change.TypeDeploymentFinished, Kind: change.KindDeployment, Key: service, To: to, Start: e.Start, Ref: entity.Ref{Service: service}}
		}
	}
	for name, tc := range map[string]struct {
		events []change.Event
		traces string // other than refused
		want   string // id of the cause, "" for none
		why    string // a part of the first candidate's reason
		listed int
	}{
		"a flag where it begins":        {events: []change.Event{mark(41*time.Second, asIs)}, want: "flip", why: "where the failures begin; 41 s before", listed: 1},
		"nothing changed":               {},
		"after the onset":               {events: []change.Event{mark(-5*time.Second, asIs)}},
		"clocks differ":                 {events: []change.Event{mark(-1*time.Second, asIs)}, want: "flip", why: "clocks may differ", listed: 1},
		"a service not on the path":     {events: []change.Event{mark(time.Minute, deploy("shipping", "2"))}},
		"the same in another place":     {events: []change.Event{mark(time.Minute, func(e *change.Event) { e.Environment = "production" })}},
		"names no service":              {events: []change.Event{mark(time.Minute, func(e *change.Event) { e.Ref = entity.Ref{} })}, why: "names no service", listed: 1},
		"hours ago":                     {events: []change.Event{mark(3*time.Hour, asIs)}, why: "too long before", listed: 1},
		"a flag that became known":      {events: []change.Event{mark(50*time.Second, func(e *change.Event) { e.Type, e.From = change.TypeFlagDefined, "" })}, why: "became known", listed: 1},
		"only a note":                   {events: []change.Event{mark(time.Minute, func(e *change.Event) { e.Kind = change.KindAnnotation })}},
		"nearest to the origin":         {events: []change.Event{mark(30*time.Second, deploy("checkout", "2")), mark(40*time.Second, asIs)}, want: "flip", listed: 2},
		"a deployment on the path":      {events: []change.Event{mark(30*time.Second, deploy("checkout", "2"))}, want: "deploy", why: "go through", listed: 1},
		"a flag evaluated on the path":  {events: []change.Event{mark(time.Minute, func(e *change.Event) { e.Ref = entity.Ref{} })}, traces: strings.Replace(refused, "Charge 13-94", "Charge 13-94 flag=paymentServiceFailure", 1), want: "flip", why: "evaluate this flag in payment", listed: 1},
		"a flag of another place":       {events: []change.Event{mark(time.Minute, func(e *change.Event) { e.Environment = "production" })}, traces: strings.Replace(refused, "Charge 13-94", "Charge 13-94 flag=paymentServiceFailure", 1)},
		"not this place's unseen side":  {events: []change.Event{mark(time.Minute, func(e *change.Event) { deploy("payment", "2")(e); e.Environment = "production" })}, traces: "checkout server PlaceOrder 0-50 error\n\tcheckout client Charge 1-40 server.address=payment.shop.svc error refused"},
		"of the version that fails":     {events: []change.Event{mark(time.Minute, deploy("payment", "2"))}, traces: strings.Replace(refused, "Charge 13-94", "Charge 13-94 version=2", 1), want: "deploy", why: "of the version deployed", listed: 1},
		"of another version":            {events: []change.Event{mark(time.Minute, deploy("payment", "3"))}, traces: strings.Replace(refused, "Charge 13-94", "Charge 13-94 version=2", 1), why: "of version 2, not 3", listed: 1},
		"the side that cannot be seen":  {events: []change.Event{mark(time.Minute, deploy("payment", "2"))}, traces: "checkout server PlaceOrder 0-50 error\n\tcheckout client Charge 1-40 server.address=payment.shop.svc error refused", want: "deploy", why: "go to", listed: 1},
		"an undo is not to blame first": {events: []change.Event{mark(time.Minute, func(e *change.Event) { e.UndoOf = "x" })}, why: "takes an earlier change back", listed: 1},
		"undone before": {events: []change.Event{mark(time.Minute, asIs), mark(30*time.Second, func(e *change.Event) {
			e.UndoOf, e.From, e.To = flip(began.Add(-time.Minute), "").ID, "on", "off"
		})}, why: "takes an earlier change back", listed: 1},
		"undone after it broke": {events: []change.Event{mark(time.Minute, asIs), mark(-30*time.Second, func(e *change.Event) {
			e.UndoOf = flip(began.Add(-time.Minute), "").ID
		})}, want: "flip", listed: 1},
		"set twice: the last one": {events: []change.Event{mark(2*time.Minute, asIs), mark(time.Minute, asIs)}, want: flip(began.Add(-time.Minute), "").ID, listed: 2},
	} {
		t.Run(name, func(t *testing.T) {
			drawing := refused
			if tc.traces != "" {
				drawing = tc.traces
			}
			s := &shop{changed: tc.events}
			for i := range 20 {
				s.traces = append(s.traces, trace(t, i, first.Add(time.Duration(i)*time.Second), drawing))
			}
			// All was well until then.
			for i := range 100 {
				s.traces = append(s.traces, trace(t, 1000+i, first.Add(-time.Duration(i+1)*2*time.Minute), fine))
			}
			e := s.gather(t)
			c, ok := e.Cause()
			if ok != (tc.want != "") || !strings.HasPrefix(c.Event.ID, tc.want) {
				t.Errorf("cause %v %q, want %q: %+v", ok, c.Event.ID, tc.want, e.Changes)
			}
			if len(e.Changes) != tc.listed {
				t.Fatalf("%d candidates, want %d: %+v", len(e.Changes), tc.listed, e.Changes)
			}
			if tc.listed > 0 && !strings.Contains(e.Changes[0].Why, tc.why) {
				t.Errorf("why %q, want %q in it", e.Changes[0].Why, tc.why)
			}
		})
	}
}

// A change of hours ago is to blame when nothing was asked of the place since.
func TestAChangeNobodyUsedUntilNow(t *testing.T) {
	s := &shop{traces: half(t, t0.Add(time.Second), window.To), changed: []change.Event{flip(t0.Add(-3*time.Hour), "payment")}}
	c, ok := s.gather(t).Cause()
	if !ok || !strings.Contains(c.Why, "nothing was asked of it in between") {
		t.Errorf("cause %v %q", ok, c.Why)
	}
}

// What was as frequent before is no news, and no change is blamed for it.
func TestUsualFailuresBlameNobody(t *testing.T) {
	s := &shop{changed: []change.Event{flip(t0.Add(-time.Minute), "payment")}}
	s.traces = append(half(t, before.From, before.To), half(t, window.From, window.To)...)
	e := s.gather(t)
	if c, ok := e.Cause(); ok {
		t.Errorf("blamed %+v", c)
	}
	if !e.Failures[0].SeenBefore || !strings.Contains(e.Changes[0].Why, "as frequent before") {
		t.Errorf("%+v", e.Changes)
	}
}

func TestSlowPaths(t *testing.T) {
	slow := strings.NewReplacer("0-50", "0-250", "30-45", "30-245", "31-44", "31-244").Replace(fine)
	s := &shop{changed: []change.Event{{ID: "d", Kind: change.KindDeployment, Key: "shipping", To: "2", Start: t0.Add(20 * time.Second), Ref: entity.Ref{Service: "shipping"}}}}
	for i := range 30 {
		s.traces = append(s.traces, trace(t, i, before.From.Add(time.Duration(i)*time.Second), fine))
		drawing := fine
		if i >= 15 {
			drawing = slow
		}
		s.traces = append(s.traces, trace(t, 100+i, t0.Add(2*time.Duration(i)*time.Second), drawing))
	}
	e := s.gather(t, func(r *Request) { r.Slow = true })
	if len(e.Slow) != 1 {
		t.Fatalf("slow %+v", e.Slow)
	}
	p := e.Slow[0]
	if p.Service != "shipping" || p.Operation != "Ship" || p.Baseline != 13*time.Millisecond || p.Candidate != 113*time.Millisecond {
		t.Errorf("%+v", p)
	}
	if len(p.Exemplars) != 5 || p.Exemplars[0].Duration != 250*time.Millisecond {
		t.Errorf("exemplars %+v", p.Exemplars)
	}
	c, ok := e.Cause()
	if !ok || c.SecondsBefore < 9 || c.SecondsBefore > 12 || !strings.Contains(c.Why, "slow request") {
		t.Errorf("cause %v %+v", ok, c)
	}
}

func TestSelfTimesSumToTheRequest(t *testing.T) {
	parallel := `
a server op 0-100
	a client x 10-60
		b server x 12-58
	a client y 20-90
		c server y 22-88
			c internal z 30-95
`
	tr := trace(t, 1, t0, parallel)
	times := selfTimes(tr, &tr.Spans[0])
	var sum time.Duration
	for _, d := range times {
		sum += d
	}
	if sum != 100*time.Millisecond {
		t.Errorf("sum %s: %v", sum, times)
	}
	ms := func(n int) time.Duration { return time.Duration(n) * time.Millisecond }
	for c, want := range map[call]time.Duration{
		{"a", "op"}: ms(20), {"a", "x"}: ms(2), {"b", "x"}: ms(8), {"a", "y"}: ms(4), {"c", "y"}: ms(8), {"c", "z"}: ms(58),
	} {
		if times[c] != want {
			t.Errorf("%v: %s, want %s", c, times[c], want)
		}
	}
}

func TestLogs(t *testing.T) {
	s := &shop{traces: half(t, t0, window.To)}
	line := func(at time.Time, service string, severity int, body string, trace telemetry.TraceID) {
		s.lines = append(s.lines, telemetry.LogRecord{Time: at, Ref: entity.Ref{Service: service, Environment: "dev"}, Severity: "ERROR", SeverityNumber: severity, Body: body, TraceID: trace})
	}
	for i := range 10 {
		line(before.From.Add(time.Duration(i)*time.Second), "checkout", 17, fmt.Sprintf("cache miss for item %d", i), telemetry.TraceID{})
	}
	for i := range 10 {
		at := t0.Add(time.Duration(i) * time.Second)
		line(at, "checkout", 17, fmt.Sprintf("cache miss for item %d", 50+i), telemetry.TraceID{})
		line(at, "payment", 17, fmt.Sprintf("charge %d refused by bank alpha%c", i, 'a'+i), s.traces[2*i].ID)
		line(at, "payment", 9, "new but harmless", telemetry.TraceID{})
		line(at, "shipping", 17, "not on the path", telemetry.TraceID{})
		line(at, "checkout", 17, "something else is wrong", telemetry.TraceID{})
		line(at, "checkout", 17, "something else is wrong", telemetry.TraceID{})
	}
	e := s.gather(t)
	if len(e.Logs) != 2 {
		t.Fatalf("%+v", e.Logs)
	}
	l := e.Logs[0] // linked to failing requests, although rarer
	if l.Template != "charge <n> refused by bank <*>" || l.Count != 10 || !l.New || len(l.TraceIDs) != 5 || l.Service != "payment" {
		t.Errorf("%+v", l)
	}
	if e.Logs[1].Template != "something else is wrong" || e.Logs[1].Count != 20 {
		t.Errorf("%+v", e.Logs[1])
	}
}

func TestReadersThatFailAreGaps(t *testing.T) {
	s := &shop{err: errors.New("disk gone")}
	e := s.gather(t, func(r *Request) { r.Slow = true })
	if len(e.Gaps) < 2 || !strings.Contains(strings.Join(e.Gaps, " "), "disk gone") {
		t.Errorf("gaps %q", e.Gaps)
	}
	none := s.gather(t, func(r *Request) { r.Traces, r.Logs, r.Changes = nil, nil, nil })
	if len(none.Gaps) != 3 {
		t.Errorf("gaps %q", none.Gaps)
	}
	if _, err := Gather(t.Context(), Request{}); !fault.Is(err, fault.KindInvalid) {
		t.Errorf("no window: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Gather(ctx, s.request()); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
}

// The groups are the same whatever the order in which traces are read.
func TestOrderDoesNotMatter(t *testing.T) {
	s := &shop{traces: half(t, t0, window.To)}
	a, b := newGrouping(target, ""), newGrouping(target, "")
	for i := range s.traces {
		a.add(s.traces[i])
		b.add(s.traces[len(s.traces)-1-i])
		b.add(s.traces[len(s.traces)-1-i]) // each counts once
	}
	x, y := a.sorted()[0].FailureGroup, b.sorted()[0].FailureGroup
	if x.Signature != y.Signature || x.Count != y.Count || !x.FirstSeen.Equal(y.FirstSeen) || x.Exemplars[4].TraceID != y.Exemplars[4].TraceID {
		t.Errorf("%+v\n%+v", x, y)
	}
}

func BenchmarkGroup(b *testing.B) {
	s := &shop{traces: half(b, t0, t0.Add(1000*time.Second))}
	b.ReportAllocs()
	for b.Loop() {
		g := newGrouping(target, "")
		for _, t := range s.traces {
			g.add(t)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*len(s.traces)), "ns/trace")
}
