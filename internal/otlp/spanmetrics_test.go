package otlp_test

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/tidegate-io/tidegate/internal/otlp"
	"github.com/tidegate-io/tidegate/telemetry"
)

// story is a rig with a clock of its own, to be told what happened when.
type story struct {
	*rig
	clock *clock
	t     testing.TB
}

func tell(t *testing.T, change func(*otlp.Config)) *story {
	c := &clock{}
	c.set(time.Date(2026, 3, 4, 5, 6, 0, 0, time.UTC))
	return &story{t: t, clock: c, rig: start(t, t.TempDir(), &memory{}, func(cfg *otlp.Config) {
		cfg.Clock, cfg.Slot, cfg.Grace = c.now, 100*time.Millisecond, 200*time.Millisecond
		if change != nil {
			change(cfg)
		}
	})}
}

// send sends each span in a request of its own.
func (s *story) send(spans ...span) {
	s.t.Helper()
	for _, sp := range spans {
		if sp.end.IsZero() {
			sp.end = s.clock.now()
		}
		if sp.start.IsZero() {
			sp.start = sp.end.Add(-time.Millisecond)
		}
		if code, body := s.post(s.t, "/v1/traces", request(s.t, sp)); code != 200 {
			s.t.Fatalf("%d %s", code, body)
		}
	}
}

// counts settles everything and returns the increases since the story began, by
// the values of two labels.
func (s *story) counts(metric, a, b string) map[string]float64 {
	s.t.Helper()
	now := s.clock.now()
	s.clock.forward(time.Second)
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	if err := s.Settled(ctx, now.Add(100*time.Millisecond)); err != nil {
		s.t.Fatal(err)
	}
	got, err := s.db.Increases(ctx, metric, now.Add(-time.Hour), now.Add(time.Minute))
	if err != nil {
		s.t.Fatal(err)
	}
	out := map[string]float64{}
	for _, inc := range got {
		out[inc.Labels[a]+" "+inc.Labels[b]] += inc.Value
	}
	return out
}

func TestCardinalityIsLimited(t *testing.T) {
	s := tell(t, func(c *otlp.Config) { c.Limits.SeriesPerService, c.Limits.Services = 5, 3 })
	for i := range 20 {
		s.send(span{n: uint64(i + 1), service: "checkout", name: fmt.Sprint("GET /user/", i), kind: ptrace.SpanKindServer})
	}
	for i := range 10 {
		s.send(span{n: uint64(i + 100), service: fmt.Sprint("svc", i), name: "op", kind: ptrace.SpanKindServer})
	}
	got := s.counts(telemetry.MetricCalls, telemetry.LabelService, telemetry.LabelOperation)
	want := map[string]float64{"checkout other": 15, "svc0 op": 1, "svc1 op": 1, "other other": 8}
	for i := range 5 {
		want[fmt.Sprint("checkout GET /user/", i)] = 1
	}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("got  %v\nwant %v", got, want)
	}
	if got := s.Stats().Limited; !slices.Equal(got, []string{"operations of checkout", "services"}) {
		t.Errorf("limited: %q", got)
	}
}

func TestServiceGraph(t *testing.T) {
	s := tell(t, func(c *otlp.Config) { c.PairWithin = time.Second })
	client := func(n uint64, service string) span {
		return span{n: n, service: service, name: "call", kind: ptrace.SpanKindClient}
	}
	server := func(n, parent uint64, service string) span {
		return span{n: n, parent: parent, service: service, name: "serve", kind: ptrace.SpanKindServer}
	}
	s.send(client(1, "web"), server(2, 1, "cart")) // the client's span comes first
	s.send(server(4, 3, "cart"), client(3, "web")) // the server's
	s.send(client(1, "web"), server(2, 1, "cart")) // sent again: another pair
	failing := server(6, 5, "pay")
	failing.failed = true
	s.send(client(5, "cart"), failing)
	s.send(span{n: 7, service: "cart", name: "put", kind: ptrace.SpanKindProducer},
		span{n: 8, parent: 7, service: "mail", name: "take", kind: ptrace.SpanKindConsumer})
	s.send(client(9, "web"))
	s.clock.forward(2 * time.Second)
	s.send(server(10, 9, "late"), server(11, 0, "root")) // too late; has no client

	got := s.counts(telemetry.MetricGraphRequests, telemetry.LabelClient, telemetry.LabelServer)
	if want := map[string]float64{"web cart": 3, "cart pay": 1, "cart mail": 1}; fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("edges %v, want %v", got, want)
	}
	got = s.counts(telemetry.MetricGraphFailed, telemetry.LabelClient, telemetry.LabelServer)
	if want := map[string]float64{"cart pay": 1}; fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("failed %v, want %v", got, want)
	}
	got = s.counts(telemetry.MetricGraphRequests, "connection_type", telemetry.LabelServer)
	if got["messaging_system mail"] != 1 {
		t.Errorf("by connection type %v", got)
	}
}

// TestIdleSeriesStayVisible: a series without spans is written again before it
// goes stale, and starts from zero when it returns after having been forgotten.
func TestIdleSeriesStayVisible(t *testing.T) {
	s := tell(t, nil)
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	s.send(span{n: 1, service: "checkout", name: "op", kind: ptrace.SpanKindServer})
	step := func(d time.Duration) {
		s.clock.forward(d)
		if err := s.Settled(ctx, s.clock.now().Add(-time.Second)); err != nil {
			t.Fatal(err)
		}
	}
	for range 12 {
		step(time.Minute)
	}
	if m, err := s.db.Query(ctx, telemetry.MetricCalls, s.clock.now()); err != nil || len(m) != 1 || m[0].Floats[0].F != 1 {
		t.Errorf("after twelve idle minutes: %v %v", m, err)
	}
	step(2 * time.Hour)
	step(time.Minute)
	if n := s.Stats().Series; n != 0 {
		t.Errorf("%d series are kept after two idle hours", n)
	}
	from := s.clock.now()
	s.send(span{n: 2, service: "checkout", name: "op", kind: ptrace.SpanKindServer})
	step(10 * time.Second)
	inc, err := s.db.Increases(ctx, telemetry.MetricCalls, from.Add(-time.Second), s.clock.now())
	if err != nil || len(inc) != 1 || inc[0].Value != 1 {
		t.Errorf("back again: %v %v", inc, err)
	}
}

// TestRareSpansShowInShortRates: an increase stands between two samples that
// are near, however long the series was idle before.
func TestRareSpansShowInShortRates(t *testing.T) {
	s := tell(t, nil)
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	for i := range 5 {
		s.send(span{n: uint64(i + 1), service: "checkout", name: "op", kind: ptrace.SpanKindServer})
		end := s.clock.now().Add(100 * time.Millisecond)
		s.clock.forward(20 * time.Second)
		if err := s.Settled(ctx, end); err != nil {
			t.Fatal(err)
		}
		m, err := s.db.Query(ctx, "rate("+telemetry.MetricCalls+"[1s])", end)
		if err != nil || len(m) != 1 || m[0].Floats[0].F <= 0 {
			t.Errorf("span %d does not show: %v %v", i, m, err)
		}
	}
}
