package otlp_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/prometheus/storage"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.opentelemetry.io/collector/pdata/ptrace/ptraceotlp"

	"github.com/tidegate-io/tidegate/internal/otlp"
	"github.com/tidegate-io/tidegate/telemetry"
)

// clock is a clock that tests set.
type clock struct{ ns atomic.Int64 }

func (c *clock) now() time.Time          { return time.Unix(0, c.ns.Load()) }
func (c *clock) set(t time.Time)         { c.ns.Store(t.UnixNano()) }
func (c *clock) forward(d time.Duration) { c.ns.Add(d.Nanoseconds()) }

// span is what a test says of a span; ids are derived from n.
type span struct {
	n, parent  uint64
	service    string
	name       string
	kind       ptrace.SpanKind
	failed     bool
	start, end time.Time
}

// request encodes spans as one export request.
func request(t testing.TB, spans ...span) []byte {
	t.Helper()
	td := ptrace.NewTraces()
	for _, s := range spans {
		rs := td.ResourceSpans().AppendEmpty()
		rs.Resource().Attributes().PutStr("service.name", s.service)
		out := rs.ScopeSpans().AppendEmpty().Spans().AppendEmpty()
		out.SetTraceID(pcommon.TraceID{15: 1})
		out.SetSpanID(spanID(s.n))
		if s.parent > 0 {
			out.SetParentSpanID(spanID(s.parent))
		}
		out.SetName(s.name)
		out.SetKind(s.kind)
		out.SetStartTimestamp(pcommon.NewTimestampFromTime(s.start))
		out.SetEndTimestamp(pcommon.NewTimestampFromTime(s.end))
		if s.failed {
			out.Status().SetCode(ptrace.StatusCodeError)
		}
	}
	b, err := ptraceotlp.NewExportRequestFromTraces(td).MarshalProto()
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func spanID(n uint64) (id pcommon.SpanID) {
	for i := range id {
		id[i] = byte(n >> (8 * i))
	}
	return id
}

// post sends a protobuf request over HTTP and returns status and body.
func (g *rig) post(t testing.TB, path string, body []byte, header ...string) (int, []byte) {
	t.Helper()
	w := newRecorder()
	r, err := http.NewRequest("POST", path, bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/x-protobuf")
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	g.HTTPHandler().ServeHTTP(w, r)
	return w.Code, w.Body.Bytes()
}

// crash returns a copy of the metrics store as it is on disk right now, which
// is what a killed process leaves behind.
func crash(t testing.TB, dir string) string {
	t.Helper()
	to := t.TempDir()
	if err := os.CopyFS(to, os.DirFS(dir)); err != nil {
		t.Fatal(err)
	}
	_ = os.Remove(filepath.Join(to, "lock")) // the lock died with its process
	return to
}

// markless is a metrics store on which, once armed, the second of two commits
// fails, the one of the mark: as if the process had died between them.
type markless struct {
	otlp.Metrics
	mu      sync.Mutex
	armed   bool
	commits int
}

func (m *markless) arm() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.armed, m.commits = true, 0
}

func (m *markless) Appender(ctx context.Context) storage.AppenderV2 {
	return &marklessAppender{AppenderV2: m.Metrics.Appender(ctx), m: m}
}

type marklessAppender struct {
	storage.AppenderV2
	m *markless
}

func (a *marklessAppender) Commit() error {
	a.m.mu.Lock()
	defer a.m.mu.Unlock()
	if a.m.armed {
		a.m.commits++
		if a.m.commits > 1 {
			return errors.Join(errors.New("died"), a.Rollback())
		}
	}
	return a.AppenderV2.Commit()
}

// TestExactAcrossCrashes sends spans that come in time, late and very late,
// lets the receiver die at random moments, and compares every slot with what
// the rule says.
func TestExactAcrossCrashes(t *testing.T) {
	for seed := range uint64(6) {
		t.Run(fmt.Sprint("seed", seed), func(t *testing.T) { t.Parallel(); exactAcrossCrashes(t, seed) })
	}
}

func exactAcrossCrashes(t *testing.T, seed uint64) {
	const slot, grace = 100 * time.Millisecond, 200 * time.Millisecond
	random := rand.New(rand.NewPCG(seed, 1))
	c := &clock{}
	t0 := time.Date(2026, 3, 4, 5, 6, 0, 0, time.UTC)
	c.set(t0)
	var store *markless
	boot := func(dir string, traces *memory) *rig {
		return start(t, dir, traces, func(cfg *otlp.Config) {
			store = &markless{Metrics: cfg.Metrics}
			cfg.Metrics, cfg.Clock, cfg.Slot, cfg.Grace = store, c.now, slot, grace
		})
	}
	dir := t.TempDir()
	g := boot(dir, &memory{})

	want := map[int64]float64{} // slot → spans
	for n := uint64(1); n <= 300; n++ {
		c.forward(time.Duration(random.IntN(60)) * time.Millisecond)
		arrival := c.now()
		end := arrival.Add(-time.Duration(random.ExpFloat64() * 100e6))
		if random.IntN(10) == 0 { // a sender whose clock is ahead
			end = arrival.Add(time.Second)
		}
		req := request(t, span{n: n, service: "checkout", name: fmt.Sprint("op", n%3), kind: ptrace.SpanKindServer,
			failed: n%7 == 0, start: end.Add(-time.Duration(n) * time.Millisecond), end: end})
		if status, body := g.post(t, "/v1/traces", req); status != 200 {
			t.Fatalf("%d %s", status, body)
		}
		k := ceil(min(end.UnixNano(), arrival.UnixNano()), slot.Nanoseconds())
		if arrival.UnixNano() > k*slot.Nanoseconds()+grace.Nanoseconds() {
			k = ceil(arrival.UnixNano(), slot.Nanoseconds())
		}
		want[k]++

		switch random.IntN(60) {
		case 0: // dies between the counts and the mark
			store.arm()
			eventually(t, func() bool { c.forward(slot / 20); store.mu.Lock(); defer store.mu.Unlock(); return store.commits > 1 })
			fallthrough
		case 1: // dies
			dir = crash(t, dir)
			traces := g.traces
			g.stop(t)
			g = boot(dir, traces)
		case 2: // restarts in good order
			traces := g.traces
			g.stop(t)
			g = boot(dir, traces)
		}
	}
	last := c.now()
	c.forward(time.Second)
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	if err := g.Settled(ctx, last); err != nil {
		t.Fatal(err)
	}

	total := 0.0
	for k := ceil(t0.UnixNano(), slot.Nanoseconds()) - 20; k <= ceil(last.UnixNano(), slot.Nanoseconds()); k++ {
		to := time.Unix(0, k*slot.Nanoseconds())
		got, err := g.db.Increases(ctx, telemetry.MetricCalls, to.Add(-slot), to)
		if err != nil {
			t.Fatal(err)
		}
		sum := 0.0
		for _, inc := range got {
			sum += inc.Value
		}
		if sum != want[k] {
			t.Errorf("slot that ends at %s: counted %v, want %v", to.Format("05.000"), sum, want[k])
		}
		total += sum
	}
	if total != 300 {
		t.Errorf("counted %v in all, want 300", total)
	}
	m, err := g.db.Query(ctx, "sum(histogram_count("+telemetry.MetricDuration+"))", last.Add(slot))
	if err != nil || len(m) != 1 || m[0].Floats[0].F != 300 {
		t.Errorf("the histograms hold %v %v, want 300", m, err)
	}
}

// TestLongDowntime: what was stored just before a crash is in the metrics store
// when New returns, before newer samples of others could make it too late.
func TestLongDowntime(t *testing.T) {
	s := tell(t, nil)
	dir, traces := t.TempDir(), s.traces
	died := s.clock.now()
	s.send(span{n: 1, service: "checkout", name: "op", kind: ptrace.SpanKindServer})
	s.stop(t)
	s.clock.forward(5 * time.Hour)
	g := start(t, dir, traces, func(c *otlp.Config) {
		c.Clock, c.Slot, c.Grace = s.clock.now, 100*time.Millisecond, 200*time.Millisecond
	})
	if got, err := g.db.Increases(t.Context(), telemetry.MetricCalls, died.Add(-time.Second), died.Add(time.Second)); err != nil || len(got) > 0 {
		t.Errorf("a new metrics store goes back an hour, not five: %v %v", got, err)
	}
	s.clock.forward(-5 * time.Hour)
	g = start(t, t.TempDir(), traces, func(c *otlp.Config) {
		c.Clock, c.Slot, c.Grace = func() time.Time { return s.clock.now().Add(30 * time.Minute) }, 100*time.Millisecond, 200*time.Millisecond
	})
	got, err := g.db.Increases(t.Context(), telemetry.MetricCalls, died.Add(-time.Second), died.Add(time.Second))
	if err != nil || len(got) != 1 || got[0].Value != 1 {
		t.Errorf("half an hour later: %v %v, want one span", got, err)
	}
}

func ceil(a, b int64) int64 { return (a + b - 1) / b }

// eventually waits until what is awaited has come true.
func eventually(t testing.TB, awaited func() bool) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !awaited(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("did not come true within 20 s")
		}
	}
}
