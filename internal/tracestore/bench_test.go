//go:build unix

package tracestore

import (
	"context"
	"os"
	"runtime"
	"slices"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/tidegate-io/tidegate/entity"
	"github.com/tidegate-io/tidegate/internal/otlp/wire"
	"github.com/tidegate-io/tidegate/internal/otlp/wire/wiretest"
	"github.com/tidegate-io/tidegate/telemetry"
)

// cpu returns the processor time that this process has used.
func cpu() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		panic(err) // RUSAGE_SELF always works
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// BenchmarkAppend stores different requests of 512 spans and reports the
// processor time of all threads per million spans, which is also
// microseconds per span, and the size on disk before re-encoding.
func BenchmarkAppend(b *testing.B) {
	s := open(b, Config{Dir: b.TempDir()})
	gen := wiretest.New(1, epoch)
	reqs := make([][]byte, 64)
	for i := range reqs {
		reqs[i] = gen.Request(512)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx) }()
	runtime.GC()
	n, before := 0, cpu()
	for b.Loop() {
		if err := s.Append(ctx, epoch, reqs[n%len(reqs)]); err != nil {
			b.Fatal(err)
		}
		n++
	}
	cancel()
	if err := <-ended; err != nil {
		b.Error(err)
	}
	b.ReportMetric((cpu()-before).Seconds()/float64(n*512)*1e6, "CPU-s/Mspan")
	b.ReportMetric(float64(s.log.Stats().Bytes)/float64(n*512), "B/span")
}

// BenchmarkRead fills a store with TIDEGATE_BENCH_SPANS spans (default
// 200 000) and reports how long reads take, as 95th percentiles, and the
// processor time they cost.
func BenchmarkRead(b *testing.B) {
	spans := 200_000
	if v, err := strconv.Atoi(os.Getenv("TIDEGATE_BENCH_SPANS")); err == nil {
		spans = v
	}
	s := open(b, Config{Dir: b.TempDir()})
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx) }()
	defer func() {
		cancel()
		if err := <-ended; err != nil {
			b.Error(err)
		}
	}()
	ids := load(b, s, spans)
	b.Logf("%d spans, %.1f B/span, %d segments", spans, float64(s.log.Stats().Bytes)/float64(spans), s.log.Stats().Segments)

	b.Run("trace", func(b *testing.B) {
		i := 0
		p95(b, func() error {
			i += 7919
			_, err := s.Trace(ctx, ids[i%len(ids)])
			return err
		})
	})
	for name, q := range map[string]telemetry.TraceQuery{
		"failed20":  {Ref: entity.Ref{Service: "payment"}, Status: telemetry.StatusError, Limit: 20},
		"newest20":  {Limit: 20},
		"attribute": {Attributes: map[string]string{"app.user.id": "user-000001"}, Limit: 20},
	} {
		b.Run(name, func(b *testing.B) {
			p95(b, func() error {
				for _, err := range s.Traces(ctx, q) {
					if err != nil {
						return err
					}
				}
				return nil
			})
		})
	}
}

func load(b *testing.B, s *Store, spans int) []telemetry.TraceID {
	gen := wiretest.New(1, epoch)
	var ids []telemetry.TraceID
	for n := 0; n < spans; n += 512 {
		req := gen.Request(512)
		if err := s.Append(context.Background(), epoch, req); err != nil {
			b.Fatal(err)
		}
		err := wire.Walk(req, func(_ *wire.Resource, _ []byte, span *wire.Span) error {
			if span.ParentID.IsZero() {
				ids = append(ids, span.TraceID)
			}
			return nil
		})
		if err != nil {
			b.Fatal(err)
		}
	}
	return ids
}

func p95(b *testing.B, do func() error) {
	var took []time.Duration
	before := cpu()
	for b.Loop() {
		start := time.Now()
		if err := do(); err != nil {
			b.Fatal(err)
		}
		took = append(took, time.Since(start))
	}
	b.ReportMetric(float64((cpu()-before).Microseconds())/1000/float64(len(took)), "cpu-ms/op")
	slices.Sort(took)
	b.ReportMetric(float64(took[len(took)*95/100].Microseconds())/1000, "p95-ms")
}
