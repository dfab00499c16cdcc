package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/tidegate-io/tidegate/internal/otlp/wire/wiretest"
)

// Requests of a pool, and items of each.
const (
	poolRequests     = 128
	spansPerRequest  = 512
	pointsPerRequest = 1000
	logsPerRequest   = 500
	pointRequests    = 10 // ten thousand series
)

// settling is how long after the last answer the processor time is read: work
// that a server put off belongs to the bill.
const settling = time.Second

// pools are what is sent, the same to both servers.
func (b *bench) pools(run int) (spans, points, logs *pool, whole [][16]byte) {
	spans, whole = tracePool(uint64(run)+1, poolRequests, spansPerRequest)
	return spans, metricPool(uint64(run)+1, pointRequests, pointsPerRequest), logPool(uint64(run)+1, poolRequests, logsPerRequest), whole
}

// passes returns how many passes of the pool make n items, at least one.
func passes(n int, p *pool) int { return max(1, n/p.items) }

// measureCollector measures the yardstick.
func (b *bench) measureCollector(ctx context.Context, run int) error {
	p, err := collectorProcess(b.collector)
	if err != nil {
		return err
	}
	if err := p.spawn(ctx, b.core); err != nil {
		return err
	}
	defer p.kill()
	spans, points, logs, _ := b.pools(run)
	for _, x := range []struct {
		pool *pool
		n    int
	}{{spans, b.spans}, {points, b.points}, {logs, b.logs}} {
		if _, err := b.send(ctx, p, x.pool, x.n); err != nil {
			return err
		}
	}
	return nil
}

// send warms the server up with one pass, sends n items and notes what it cost.
// It returns the number of passes sent.
func (b *bench) send(ctx context.Context, p *process, pl *pool, n int) (int, error) {
	to, err := b.dial(p)
	if err != nil {
		return 0, err
	}
	defer to.close()
	l := &load{pool: pl, to: to, senders: b.senders}
	if pl.path == "metrics" { // a sample a second of each series, in order of time
		l.senders = min(l.senders, len(pl.requests))
		begin := time.Now().Add(-25 * time.Minute)
		l.clock = func(pass int) time.Time { return begin.Add(time.Duration(pass) * time.Second) }
	}
	if _, _, err := l.run(ctx, 0, 1); err != nil {
		return 0, fmt.Errorf("%s: %w", p.name, err)
	}
	before, err := p.cpu()
	if err != nil {
		return 0, err
	}
	last := 1 + passes(n, pl)
	started := time.Now()
	sent, busy, err := l.run(ctx, 1, last)
	if err != nil {
		return 0, fmt.Errorf("%s: %w", p.name, err)
	}
	took := time.Since(started)
	time.Sleep(settling)
	after, err := p.cpu()
	if err != nil {
		return 0, err
	}
	_, peak, err := p.memory()
	if err != nil {
		return 0, err
	}
	key := p.name + " " + pl.path
	b.report.note(key+" per second", float64(sent)/took.Seconds())
	b.report.note(key+" CPU-s per million", (after-before)/float64(sent)*1e6)
	b.report.note(key+" peak RSS MiB", peak)
	b.report.progress("%-10s %-8s %9.0f/s  %6.2f CPU-s per million  peak %4.0f MiB  asked again %d",
		p.name, pl.path, float64(sent)/took.Seconds(), (after-before)/float64(sent)*1e6, peak, busy)
	return last, nil
}

// measureTidegate measures the product, and checks that it did its work.
func (b *bench) measureTidegate(ctx context.Context, run int) error {
	dir := filepath.Join(b.work, fmt.Sprintf("run%d", run))
	if err := os.Mkdir(dir, 0o755); err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	p := tidegateProcess(b.tidegate, dir)
	if err := p.spawn(ctx, b.core); err != nil {
		return err
	}
	defer func() { p.kill() }()
	b.cpu = p.cpu
	spans, points, logs, whole := b.pools(run)
	n, err := b.send(ctx, p, spans, b.spans)
	if err != nil {
		return err
	}
	sent := n * spans.items
	api := &client{base: p.api}
	ids := sample(whole, n, 300)
	if err := b.lag(ctx, p, api, spans, n); err != nil {
		return err
	}
	sent += spansPerRequest
	if err := b.check(ctx, api, sent, ids); err != nil {
		return err
	}
	if err := b.reads(ctx, api, ids); err != nil {
		return err
	}
	if err := b.size(dir, "traces", sent, "B/span at once"); err != nil {
		return err
	}
	more, err := b.judging(ctx, p, api, spans, n+1)
	if err != nil {
		return err
	}
	sent += more * spans.items
	if _, err := b.send(ctx, p, points, b.points); err != nil {
		return err
	}
	records, err := b.send(ctx, p, logs, b.logs)
	if err != nil {
		return err
	}
	if err := b.size(dir, "logs", records*logs.items, "B/record at once"); err != nil {
		return err
	}

	p.kill()
	if err := p.spawn(ctx, b.core); err != nil {
		return fmt.Errorf("after a kill: %w", err)
	}
	api = &client{base: p.api}
	if err := b.check(ctx, api, sent, ids); err != nil {
		return fmt.Errorf("after a kill: %w", err)
	}
	if err := p.end(); err != nil {
		return err
	}
	return b.reencode(ctx, dir, sent)
}

// sample returns n of the traces sent, of all passes.
func sample(whole [][16]byte, passes, n int) [][16]byte {
	out := make([][16]byte, 0, n)
	for i := range n {
		out = append(out, inPass(whole[i*7919%len(whole)], i*31%passes))
	}
	return out
}

// lag sends one more request and measures how long after the answer its spans
// can be read.
func (b *bench) lag(ctx context.Context, p *process, api *client, pl *pool, pass int) error {
	to, err := b.dial(p)
	if err != nil {
		return err
	}
	defer to.close()
	r := pl.requests[0]
	r.pass(pass, time.Now())
	if err := to.send(ctx, pl.path, r.body); err != nil {
		return err
	}
	answered := time.Now()
	id := [16]byte(r.body[r.traceIDs[0] : r.traceIDs[0]+16])
	if err := poll(ctx, 10*time.Second, "a span to be readable", func() error {
		_, err := api.trace(ctx, id)
		return err
	}); err != nil {
		return err
	}
	b.report.note("tidegate readable after ms", float64(time.Since(answered).Microseconds())/1000)
	return nil
}

// check expects every span to be counted once, in the metrics and by the
// receiver, and whole traces to be whole.
func (b *bench) check(ctx context.Context, api *client, spans int, ids [][16]byte) error {
	started := time.Now()
	if err := poll(ctx, 30*time.Second, "all spans to be counted", func() error {
		counted, err := api.counted(ctx, "")
		if err == nil && counted != float64(spans) {
			err = fmt.Errorf("%.0f spans were counted, %d sent and acknowledged", counted, spans)
		}
		return err
	}); err != nil {
		return err
	}
	var err error
	if b.failed, err = api.counted(ctx, `status_code="STATUS_CODE_ERROR"`); err != nil {
		return err
	}
	b.report.note("tidegate counted after s", time.Since(started).Seconds())
	for _, id := range ids {
		t, err := api.trace(ctx, id)
		if err != nil {
			return err
		}
		if len(t.Spans) != wiretest.SpansPerTrace {
			return fmt.Errorf("trace %x has %d spans, %d were sent and acknowledged", id, len(t.Spans), wiretest.SpansPerTrace)
		}
	}
	return nil
}

// size notes the bytes on disk of one store, per item.
func (b *bench) size(dir, store string, items int, what string) error {
	var total int64
	err := filepath.Walk(filepath.Join(dir, "data", store), func(_ string, info os.FileInfo, err error) error {
		if err == nil && info.Mode().IsRegular() {
			total += info.Size()
		}
		return err
	})
	b.report.note("tidegate "+what, float64(total)/float64(items))
	return err
}
