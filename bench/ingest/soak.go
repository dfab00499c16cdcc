package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"time"
)

// soakRun sends spans at a steady pace for a long time. Memory must stay
// flat, and in the end every span must have been counted.
func (b *bench) soakRun(ctx context.Context) error {
	dir := filepath.Join(b.work, "soak")
	if err := os.Mkdir(dir, 0o755); err != nil {
		return err
	}
	p := tidegateProcess(b.tidegate, dir)
	if err := p.spawn(ctx, b.core); err != nil {
		return err
	}
	defer p.kill()
	b.cpu = p.cpu
	to, err := b.dial(p)
	if err != nil {
		return err
	}
	defer to.close()
	spans, _, _, whole := b.pools(0)
	l := &load{pool: spans, to: to, senders: b.senders, rate: b.soakRate}
	before, err := p.cpu()
	if err != nil {
		return err
	}
	started := time.Now()
	watched, stopWatching := context.WithCancel(ctx)
	watching := make(chan struct{})
	go func() { defer close(watching); b.watch(watched, p, started) }()
	n := 0
	for ; time.Since(started) < b.soak && err == nil && ctx.Err() == nil; n++ {
		_, _, err = l.run(ctx, n, n+1)
	}
	stopWatching()
	<-watching
	if err != nil {
		return err
	}
	sent := n * spans.items
	after, err := p.cpu()
	if err != nil {
		return err
	}
	b.report.note("soak minutes", time.Since(started).Minutes())
	b.report.note("soak spans", float64(sent))
	b.report.note("soak CPU-s per million", (after-before)/float64(sent)*1e6)
	api := &client{base: p.api}
	more, err := b.judging(ctx, p, api, spans, n)
	if err != nil {
		return err
	}
	sent += more * spans.items
	ids := sample(whole, n, 300)
	if err := b.check(ctx, api, sent, ids); err != nil {
		return err
	}
	if err := b.reads(ctx, api, ids); err != nil {
		return err
	}
	if err := b.size(dir, "traces", sent, "B/span on disk"); err != nil {
		return err
	}
	b.report.progress("no span of %d is lost", sent)
	return nil
}

// watch notes the memory in each tenth of the soak.
func (b *bench) watch(ctx context.Context, p *process, started time.Time) {
	tick := time.NewTicker(b.soak / 10)
	defer tick.Stop()
	for part := 1; ; part++ {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		now, peak, err := p.memory()
		if err != nil {
			return
		}
		b.report.note(fmt.Sprintf("soak RSS MiB at %d/10", part), now)
		b.report.progress("%6.1f min: %4.0f MiB now, %4.0f at most", time.Since(started).Minutes(), now, peak)
	}
}
