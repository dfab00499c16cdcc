package otlp_test

import (
	"context"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/tidegate-io/tidegate/internal/otlp"
	"github.com/tidegate-io/tidegate/internal/otlp/wire"
	"github.com/tidegate-io/tidegate/internal/tsdb"
)

// memory keeps requests as a store that survives everything: tests reopen the
// rest around it.
type memory struct {
	mu     sync.Mutex
	frames []frame
	err    error // of Append
}

type frame struct {
	arrival time.Time
	req     []byte
}

func (m *memory) Append(_ context.Context, arrival time.Time, req []byte) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.err != nil {
		return m.err
	}
	m.frames = append(m.frames, frame{arrival, append([]byte(nil), req...)})
	return nil
}

func (m *memory) AppendTraces(ctx context.Context, arrival time.Time, t *wire.Traces) error {
	return m.Append(ctx, arrival, t.Raw)
}

func (m *memory) Replay(_ context.Context, since time.Time, visit func(time.Time, []byte) error) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, f := range m.frames {
		if f.arrival.Before(since) {
			continue
		}
		if err := visit(f.arrival, f.req); err != nil {
			return err
		}
	}
	return nil
}

func (m *memory) len() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.frames)
}

func (m *memory) fail(err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.err = err
}

// rig is a receiver with stores.
type rig struct {
	*otlp.Receiver
	traces, logs *memory
	db           *tsdb.DB
	cancel       context.CancelFunc
	ended        chan error
}

// start opens the metrics store in dir and runs a receiver on it.
func start(t testing.TB, dir string, traces *memory, change func(*otlp.Config)) *rig {
	t.Helper()
	db, err := tsdb.Open(tsdb.Config{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	g := &rig{traces: traces, logs: &memory{}, db: db, ended: make(chan error, 1)}
	cfg := otlp.Config{Traces: g.traces, Logs: g.logs, Metrics: db}
	if change != nil {
		change(&cfg)
	}
	ctx, cancel := context.WithCancel(context.Background())
	g.cancel = cancel
	if g.Receiver, err = otlp.New(ctx, cfg); err != nil {
		t.Fatal(err)
	}
	go func() { g.ended <- g.Run(ctx) }()
	t.Cleanup(func() { g.stop(t) })
	return g
}

// stop ends the receiver as a clean shutdown does; it may be called twice.
func (g *rig) stop(t testing.TB) {
	if g.cancel == nil {
		return
	}
	g.cancel()
	g.cancel = nil
	if err := <-g.ended; err != nil {
		t.Errorf("Run: %v", err)
	}
	if err := g.db.Close(); err != nil {
		t.Errorf("closing the metrics: %v", err)
	}
}

func newRecorder() *httptest.ResponseRecorder { return httptest.NewRecorder() }
