//go:build unix

package tracestore

import (
	"context"
	"testing"
	"time"

	"github.com/tidegate-io/tidegate/internal/otlp/wire/wiretest"
)

// BenchmarkReencode re-encodes 100 000 spans and reports the processor time per
// million spans, and the size on disk afterwards.
func BenchmarkReencode(b *testing.B) {
	const requests = 200
	gen := wiretest.New(1, epoch)
	reqs := make([][]byte, requests)
	for i := range reqs {
		reqs[i] = gen.Request(512)
	}
	var used time.Duration
	var bytes int64
	for b.Loop() {
		start := time.Now()
		clock := func() time.Time { return epoch.Add(24*time.Hour + time.Since(start)) }
		s := open(b, Config{Dir: b.TempDir(), SegmentAge: time.Nanosecond, SyncEvery: time.Millisecond, ReencodeShare: 1, Clock: clock})
		for _, req := range reqs {
			if err := s.Append(context.Background(), epoch, req); err != nil {
				b.Fatal(err)
			}
		}
		before := cpu()
		runUntil(b, s, func() bool { return s.Waiting() == 0 })
		used += cpu() - before
		bytes += s.log.Stats().Bytes
	}
	spans := float64(b.N * requests * 512)
	b.ReportMetric(used.Seconds()/spans*1e6, "CPU-s/Mspan")
	b.ReportMetric(float64(bytes)/spans, "B/span")
}
