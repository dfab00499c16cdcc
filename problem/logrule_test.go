package problem

import (
	"context"
	"fmt"
	"math/rand/v2"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tidegate-io/tidegate/entity"
	"github.com/tidegate-io/tidegate/fault"
	"github.com/tidegate-io/tidegate/telemetry"
)

// logs is a store: newest first, half-open, at most the limit.
type logs struct {
	records []telemetry.LogRecord
	reads   int
}

func (l *logs) Logs(_ context.Context, q telemetry.LogQuery) ([]telemetry.LogRecord, error) {
	l.reads++
	var out []telemetry.LogRecord
	for _, r := range l.records {
		if r.Time.Before(q.From) || !r.Time.Before(q.To) || r.SeverityNumber < q.MinSeverity || q.Service != "" && q.Service != r.Service ||
			q.Environment != "" && q.Environment != r.Environment || !strings.Contains(strings.ToLower(r.Body), strings.ToLower(q.Contains)) {
			continue
		}
		out = append(out, r)
	}
	slices.SortStableFunc(out, func(a, b telemetry.LogRecord) int { return b.Time.Compare(a.Time) })
	return out[:min(len(out), q.Limit)], nil
}

// ledger keeps the last state of each event, in the order they were raised.
type ledger struct {
	ids    []string
	events map[string]Event
	open   []Event // of an earlier process
	err    error
}

func (l *ledger) Observe(_ context.Context, events []Event) ([]string, error) {
	if l.err != nil {
		return nil, l.err
	}
	if l.events == nil {
		l.events = map[string]Event{}
	}
	for _, e := range events {
		if err := e.Validate(); err != nil {
			return nil, err
		}
		if _, known := l.events[e.ID]; !known {
			l.ids = append(l.ids, e.ID)
		}
		e.Seen = e.Start
		l.events[e.ID] = e
	}
	return make([]string, len(events)), nil
}

func (l *ledger) OpenEvents(context.Context, string) ([]Event, error) { return l.open, nil }

func (l *ledger) all() (out []Event) {
	for _, id := range l.ids {
		out = append(out, l.events[id])
	}
	return out
}

// watching is a watch on a clock that the test moves.
type watching struct {
	*LogWatch
	t      *testing.T
	now    time.Time
	logs   *logs
	ledger *ledger
}

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func newWatching(t *testing.T, rules ...LogRule) *watching {
	t.Helper()
	w := &watching{t: t, now: noon, logs: &logs{}, ledger: &ledger{}}
	w.restart(rules...)
	return w
}

func (w *watching) restart(rules ...LogRule) {
	w.t.Helper()
	var err error
	w.LogWatch, err = NewLogWatch(LogConfig{Logs: w.logs, Observer: w.ledger, Clock: func() time.Time { return w.now }})
	if err == nil {
		err = w.Define(rules)
	}
	if err != nil {
		w.t.Fatal(err)
	}
}

// log stores a record of a time in seconds after noon.
func (w *watching) log(second float64, service, body string) {
	w.logs.records = append(w.logs.records, telemetry.LogRecord{Time: noon.Add(time.Duration(second * 1e9)), Ref: entity.Ref{Service: service}, SeverityNumber: 17, Body: body})
}

// until looks every two seconds.
func (w *watching) until(second int) {
	w.t.Helper()
	for end := noon.Add(time.Duration(second) * time.Second); w.now.Before(end); {
		w.now = w.now.Add(2 * time.Second)
		if err := w.look(w.t.Context()); err != nil {
			w.t.Fatal(err)
		}
	}
}

var declined = LogRule{Name: "declined", Pattern: `declined: \d+`, MoreThan: 2, Within: 10 * time.Second}

func TestLogRule(t *testing.T) {
	w := newWatching(t, declined)
	w.log(1, "payment", "declined: 1")
	w.log(5, "payment", "declined: 2")
	w.log(6, "cart", "declined: 3")
	w.log(7, "payment", "DECLINED: 4") // the pattern minds case
	w.log(8, "payment", "all well")
	w.log(11, "payment", "declined: 5") // 10 s after the first
	w.until(14)
	if len(w.ledger.ids) != 0 {
		t.Fatalf("raised %+v", w.ledger.all())
	}
	w.log(14.5, "payment", "declined: 6")
	w.log(16, "payment", "declined: 7")
	w.until(18)
	e := w.ledger.all()[0]
	want := Event{ID: e.ID, Source: SourceLogRule, Signal: SignalLog, Ref: entity.Ref{Service: "payment"}, Severity: SeverityError,
		Title: "Log records of payment match declined", Start: noon.Add(5 * time.Second), Seen: noon.Add(5 * time.Second), Observed: 3, Expected: 2, Unit: "records",
		Why: "3 matching log records within 10s; 2 are usual at most: declined: <n>", Tags: map[string]string{"rule": "declined"}}
	want.Why = e.Why // how numbers are masked is evidence's business
	if d := cmp.Diff(want, e); d != "" || !strings.HasPrefix(e.Why, "3 matching log records within 10s") {
		t.Errorf("%s%s", d, e.Why)
	}
	w.until(40)
	all := w.ledger.all()
	if len(all) != 1 || !all[0].End.Equal(noon.Add(16*time.Second)) {
		t.Errorf("%+v", all)
	}
	w.log(41, "payment", "declined: 8")
	w.log(41, "payment", "declined: 8") // the same again is another record
	w.log(41, "payment", "declined: 8")
	w.until(44)
	if all := w.ledger.all(); len(all) != 2 || !all[1].Open() || !all[1].Start.Equal(noon.Add(41*time.Second)) {
		t.Errorf("%d events: %+v", len(all), all)
	}
}

// What comes late after an event is over is another event: the one that is over
// does not begin again.
func TestLateAfterTheEnd(t *testing.T) {
	w := newWatching(t, declined)
	for _, second := range []float64{1, 2, 3} {
		w.log(second, "payment", "declined: 1")
	}
	w.until(14)
	if all := w.ledger.all(); len(all) != 1 || all[0].Open() {
		t.Fatalf("%v", all)
	}
	for _, second := range []float64{4, 12, 13} {
		w.log(second, "payment", "declined: 1")
	}
	w.until(16)
	if all := w.ledger.all(); len(all) != 2 || !all[1].Start.Equal(noon.Add(4*time.Second)) {
		t.Errorf("%d events, the last since %v", len(all), all[len(all)-1].Start)
	}
}

// Records that come up to 30 s late, in any order, count as if they had come at
// once.
func TestLogRuleIsExact(t *testing.T) {
	for seed := range uint64(200) {
		rnd := rand.New(rand.NewPCG(seed, 7))
		type record struct{ time, arrives float64 }
		var records []record
		for range 40 {
			at := float64(rnd.IntN(120_000)) / 1000
			records = append(records, record{at, at + rnd.Float64()*28})
		}
		times := []float64{}
		for _, r := range records {
			times = append(times, r.time)
		}
		slices.Sort(times)
		crowded := false // does any window of 10 s have more than 4?
		for i := 4; i < len(times); i++ {
			crowded = crowded || times[i]-times[i-4] < 10
		}
		w := newWatching(t, LogRule{Name: "r", Pattern: "x", MoreThan: 4, Within: 10 * time.Second})
		for second := 2; second <= 160; second += 2 {
			for _, r := range records {
				if r.arrives <= float64(second) && r.arrives > float64(second-2) {
					w.log(r.time, "s", "x")
				}
			}
			w.until(second)
		}
		raised := len(w.ledger.ids) > 0
		// A crowd that was over before it was known raises nothing: by the time
		// its last record came, more than the window had passed.
		if raised && !crowded {
			t.Fatalf("seed %d: raised %+v of %v", seed, w.ledger.all(), times)
		}
		if crowded && !raised && knownInTime(records, times, func(r record) (float64, float64) { return r.time, r.arrives }) {
			t.Fatalf("seed %d: not raised of %v", seed, times)
		}
		for _, e := range w.ledger.all() {
			if e.Open() {
				t.Fatalf("seed %d: never over", seed)
			}
		}
	}
}

// knownInTime reports whether some window of more than 4 had all its records
// within 8 s of its last one.
func knownInTime[R any](records []R, times []float64, of func(R) (float64, float64)) bool {
	for i := 4; i < len(times); i++ {
		if times[i]-times[i-4] >= 10 {
			continue
		}
		latest := 0.0
		for _, r := range records {
			if at, arrives := of(r); at >= times[i-4] && at <= times[i] {
				latest = max(latest, arrives)
			}
		}
		if latest <= times[i]+7 {
			return true
		}
	}
	return false
}

// After a restart the event goes on, and nothing is counted twice.
func TestLogRuleRestart(t *testing.T) {
	w := newWatching(t, declined)
	for i := range 5 {
		w.log(float64(i), "payment", "declined: 1")
	}
	w.until(6)
	before := w.ledger.all()
	w.ledger.open = []Event{before[0]}
	w.ledger.open[0].Seen = w.now
	w.restart(declined)
	w.log(6, "payment", "declined: 1")
	w.until(10)
	all := w.ledger.all()
	if len(all) != 1 || !all[0].Open() || all[0].Observed != 5 && all[0].Observed != 6 {
		t.Errorf("%+v", all)
	}
	w.until(30)
	if all := w.ledger.all(); len(all) != 1 || all[0].Open() {
		t.Errorf("%+v", all)
	}

	// An event whose records are gone ends all the same.
	w.logs.records = nil
	w.ledger.open = []Event{{ID: "old", Source: SourceLogRule, Signal: SignalLog, Severity: SeverityError, Title: "t", Start: noon, Seen: w.now, Tags: map[string]string{"rule": "declined"}}}
	w.restart(declined)
	w.until(50)
	if e, ok := w.ledger.events["old"]; !ok || e.Open() {
		t.Errorf("%+v", e)
	}
}

func TestLogRuleDefine(t *testing.T) {
	w := newWatching(t, declined)
	w.log(1, "payment", "declined: 1")
	w.log(2, "payment", "declined: 1")
	w.until(4)
	labelled := declined
	labelled.Labels = map[string]string{"team": "x"}
	if err := w.Define([]LogRule{labelled, FatalLogs()}); err != nil {
		t.Fatal(err)
	}
	w.log(5, "payment", "declined: 1")
	w.until(6)
	if len(w.ledger.ids) != 1 {
		t.Error("a rule that did not change forgot what it had counted")
	}
	for name, bad := range map[string]LogRule{
		"everything": {Within: time.Second}, "count": {Pattern: "x", MoreThan: -1, Within: time.Second}, "many": {Pattern: "x", MoreThan: 10_001, Within: time.Second},
		"window": {Pattern: "x"}, "long": {Pattern: "x", Within: 2 * time.Hour}, "pattern": {Pattern: "(", Within: time.Second},
		"level": {MinSeverity: 25, Within: time.Second}, "severity": {Pattern: "x", Within: time.Second, Severity: "bad"},
	} {
		if err := w.Define([]LogRule{bad}); !fault.Is(err, fault.KindInvalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestFatalLogs(t *testing.T) {
	w := newWatching(t, FatalLogs())
	w.log(1, "cart", "an error, not fatal")
	w.logs.records = append(w.logs.records, telemetry.LogRecord{Time: noon.Add(2 * time.Second), Ref: entity.Ref{Service: "cart", Environment: "dev"}, SeverityNumber: 21, Body: "out of memory"})
	w.until(4)
	if all := w.ledger.all(); len(all) != 1 || all[0].Title != "Fatal log records of cart (dev)" || !strings.Contains(all[0].Why, "out of memory") {
		t.Errorf("%+v", all)
	}
}

// A flood is read in pages, and no further than to the limit.
func TestLogFlood(t *testing.T) {
	w := newWatching(t, declined)
	for i := range 60_000 {
		w.log(float64(i/20)/1000, "payment", "declined: 1")
	}
	w.until(4)
	if all := w.ledger.all(); len(all) != 1 || all[0].Observed < 40_000 {
		t.Errorf("%+v", all)
	}
	if w.logs.reads > 30 {
		t.Errorf("%d reads", w.logs.reads)
	}
}

// What the store leaves out must not match.
func FuzzRequiredLiteral(f *testing.F) {
	for _, p := range []string{"abc", "(?i)a.*Failed", "x|y", "(timeout)+ after", "a?b", "[x]yz", `\bno\b memory`, "ſ", "(?i)k", "(?i)disk"} {
		f.Add(p, "abc FAILED timeout after yz no memory K di\u017f\u212a")
	}
	f.Fuzz(func(t *testing.T, pattern, text string) {
		re, err := regexp.Compile(pattern)
		if err != nil || !re.MatchString(text) {
			return
		}
		if literal := requiredLiteral(pattern); !strings.Contains(asciiLower(text), asciiLower(literal)) {
			t.Fatalf("%q matches %q, which has no %q", pattern, text, literal)
		}
	})
}

// asciiLower is how stores compare.
func asciiLower(s string) string {
	return strings.Map(func(r rune) rune {
		if r >= 'A' && r <= 'Z' {
			return r + 'a' - 'A'
		}
		return r
	}, s)
}

func TestRequiredLiteral(t *testing.T) {
	for pattern, want := range map[string]string{
		"payment (declined|refused)": "payment ", "(?i)Out Of Memory": "OUT OF MEMORY", "(?i)disk full": " full", "naïve user": "ve user", "^a.*timeout: \\d+$": "timeout: ", "x|y": "", ".*": "", "": "",
	} {
		if got := requiredLiteral(pattern); !strings.EqualFold(got, want) {
			t.Errorf("%s: %q, want %q", pattern, got, want)
		}
	}
}

func TestAlertRule(t *testing.T) {
	now := noon
	answers := map[string]float64{}
	var failing error
	ledger := &ledger{}
	asked := 0
	querier := querierFunc(func(_ string, at time.Time) ([]Sample, error) {
		asked++
		var out []Sample
		for service, v := range answers {
			if at.Equal(now) {
				out = append(out, Sample{Labels: map[string]string{"service_name": service, "environment": "dev"}, Value: v})
			}
		}
		return out, failing
	})
	rule := AlertRule{Name: "queue", Query: "queue_length", Op: ">", Value: 10, For: time.Minute, Every: 15 * time.Second, Unit: "orders"}
	start := func() *AlertWatch {
		w, err := NewAlertWatch(AlertConfig{Querier: querier, Observer: ledger, Clock: func() time.Time { return now }})
		if err == nil {
			err = w.Define([]AlertRule{rule})
		}
		if err != nil {
			t.Fatal(err)
		}
		return w
	}
	w := start()
	pass := func(d time.Duration) {
		t.Helper()
		for end := now.Add(d); now.Before(end); {
			now = now.Add(time.Second)
			if err := w.look(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
	}
	answers["cart"], answers["payment"] = 11, 10
	pass(time.Minute)
	if len(ledger.ids) != 0 || asked > 4+5 {
		t.Fatalf("after less than a minute: %+v, asked %d times", ledger.all(), asked)
	}
	pass(15 * time.Second)
	e := ledger.all()[0]
	if e.Service != "cart" || e.Environment != "dev" || e.Title != "Alert queue of cart (dev)" || e.Observed != 11 || e.Expected != 10 || !strings.HasPrefix(e.Why, "11 orders, the limit is > 10 orders") || e.Severity != SeverityCustom || !e.Start.Equal(noon.Add(time.Second)) {
		t.Errorf("%+v", e)
	}
	failing = fmt.Errorf("not now")
	pass(time.Minute)
	if failing = nil; !ledger.all()[0].Open() {
		t.Error("a query that fails ends an alert")
	}

	// The next process goes on with it.
	ledger.open = ledger.all()
	w = start()
	pass(30 * time.Second)
	if all := ledger.all(); len(all) != 1 || !all[0].Open() {
		t.Errorf("%+v", all)
	}
	delete(answers, "cart") // the series is gone
	pass(15 * time.Second)
	if all := ledger.all(); len(all) != 1 || all[0].Open() {
		t.Errorf("%+v", all)
	}
	answers["cart"] = 12
	pass(2 * time.Minute)
	if all := ledger.all(); len(all) != 2 || !all[1].Open() {
		t.Errorf("%+v", all)
	}
}

type querierFunc func(promql string, at time.Time) ([]Sample, error)

func (f querierFunc) Query(_ context.Context, promql string, at time.Time) ([]Sample, error) {
	return f(promql, at)
}

// What crossed its limit before a restart need not do so for the whole time
// again.
func TestAlertReplaysThePast(t *testing.T) {
	now := noon
	ledger := &ledger{}
	w, err := NewAlertWatch(AlertConfig{Observer: ledger, Clock: func() time.Time { return now },
		Querier: querierFunc(func(string, time.Time) ([]Sample, error) { return []Sample{{Value: 1}}, nil })})
	if err != nil {
		t.Fatal(err)
	}
	rule := AlertRule{Name: "up", Query: "up == 1", For: time.Hour, KeepFor: time.Minute, Service: "s"}
	if err := w.Define([]AlertRule{rule}); err != nil {
		t.Fatal(err)
	}
	if err := w.look(t.Context()); err != nil || len(ledger.ids) != 1 || !ledger.all()[0].Start.Equal(noon.Add(-time.Hour)) {
		t.Errorf("%+v, %v", ledger.all(), err)
	}
}

func TestAlertKeeps(t *testing.T) {
	r := alertRule{AlertRule: AlertRule{Name: "a", Query: "q", Op: "<", Value: 0.5, KeepFor: time.Minute}, series: map[string]*alertSeries{}}
	at := func(second int, v float64) []Event {
		return r.evaluate([]Sample{{Value: v}}, noon.Add(time.Duration(second)*time.Second))
	}
	if e := at(0, 0.4); len(e) != 1 || e[0].Title != "Alert a" {
		t.Fatalf("%+v", e)
	}
	for _, second := range []int{30, 59} {
		if e := at(second, 0.6); len(e) != 0 {
			t.Errorf("after %d s: %v", second, e)
		}
	}
	if e := at(59, 0.3); len(e) != 1 || !e[0].Open() {
		t.Errorf("%+v", e)
	}
	if e := at(120, 0.6); len(e) != 1 || e[0].Open() {
		t.Errorf("%+v", e)
	}
}

func TestAlertLimits(t *testing.T) {
	for _, c := range []struct {
		op   string
		v    float64
		want bool
	}{{">", 1, false}, {">", 2, true}, {">=", 1, true}, {"<", 0, true}, {"<", 1, false}, {"<=", 1, true}, {"==", 1, true}, {"!=", 1, false}, {"!=", 2, true}, {"", -1, true}} {
		if r := (AlertRule{Op: c.op, Value: 1}); r.crossed(c.v) != c.want {
			t.Errorf("%v %s 1: %v", c.v, c.op, !c.want)
		}
	}
	r := alertRule{AlertRule: AlertRule{Name: "a", Query: "q"}, series: map[string]*alertSeries{}}
	var many []Sample
	for i := range 3000 {
		many = append(many, Sample{Labels: map[string]string{"i": fmt.Sprint(i)}})
	}
	if got := r.evaluate(many, noon); len(got) != maxAlertSeries {
		t.Errorf("%d events of 3000 series", len(got))
	}
	for name, bad := range map[string]AlertRule{
		"query": {}, "limit": {Query: "q", Op: "~"}, "for": {Query: "q", For: -1}, "every": {Query: "q", Every: time.Millisecond}, "severity": {Query: "q", Severity: "bad"},
	} {
		if err := bad.Validate(); !fault.Is(err, fault.KindInvalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
