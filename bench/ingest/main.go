// Ingest measures what taking telemetry in costs: Tidegate, which counts,
// stores and indexes every span, beside a bare OpenTelemetry Collector, which
// receives and drops them (see the module in collector/).
//
//	go run ./bench/ingest [-spans N] [-runs N] [-json FILE]
//	go run ./bench/ingest -short          # correctness only, for CI
//	go run ./bench/ingest -soak 30m       # memory over time; nothing lost
//
// Both servers are processes of their own, bound to one core; processor time
// is what the operating system counted for all their threads. They are measured
// one after the other within each run, with the same requests, so that their
// ratio means something on a machine that others use, too. Figures are medians
// over the runs, with the smallest and the largest.
//
// Every run also checks that nothing was lost: what was acknowledged is
// counted in the span metrics exactly, and whole traces are read back, before
// and after a kill -9. A failed check exits with 1; figures are only printed.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"time"
)

// options of a run.
type options struct {
	spans, points, logs int
	runs, senders, core int
	protocol            string
	short               bool
	soak                time.Duration
	soakRate            float64
	tidegate, collector string
	json                string
}

func main() {
	var o options
	flag.IntVar(&o.spans, "spans", 2_000_000, "spans to send, in each run")
	flag.IntVar(&o.points, "points", 1_000_000, "metric data points to send, in each run")
	flag.IntVar(&o.logs, "logs", 1_000_000, "log records to send, in each run")
	flag.IntVar(&o.runs, "runs", 5, "runs; figures are medians")
	flag.IntVar(&o.senders, "senders", 4, "requests under way at once")
	flag.IntVar(&o.core, "core", 0, "core of the server under test; -1 for any")
	flag.StringVar(&o.protocol, "protocol", "grpc", "grpc or http")
	flag.BoolVar(&o.short, "short", false, "one short run of Tidegate alone, for its correctness")
	flag.DurationVar(&o.soak, "soak", 0, "instead, send for this long and watch the memory")
	flag.Float64Var(&o.soakRate, "soak-rate", 50_000, "spans a second during the soak; 0 for as many as possible")
	flag.StringVar(&o.tidegate, "tidegate", "", "path of the binary; empty builds it")
	flag.StringVar(&o.collector, "collector", "", "path of the yardstick; empty builds it, none leaves it out")
	flag.StringVar(&o.json, "json", "", "write the report to this file as well")
	flag.Parse()
	ctx, cancel := signal.NotifyContext(context.Background(), os.Interrupt)
	defer cancel()
	if err := run(ctx, o); err != nil {
		fmt.Fprintln(os.Stderr, "bench/ingest:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, o options) error {
	if o.protocol != "grpc" && o.protocol != "http" {
		return fmt.Errorf("-protocol %q: expected grpc or http", o.protocol)
	}
	if o.short {
		o.runs, o.collector = 1, "none"
		o.spans, o.points, o.logs = min(o.spans, 65_536), min(o.points, 50_000), min(o.logs, 50_000)
	}
	work, err := os.MkdirTemp("", "tidegate-bench-ingest")
	if err != nil {
		return err
	}
	defer os.RemoveAll(work)
	if err := o.binaries(ctx, work); err != nil {
		return err
	}
	b := &bench{options: o, work: work, report: newReport(o)}
	if o.soak > 0 {
		err = b.soakRun(ctx)
	} else {
		err = b.runAll(ctx)
	}
	if err != nil {
		return err
	}
	fmt.Print("\n", b.report.markdown())
	return b.report.write(o.json)
}

// binaries builds what was not given.
func (o *options) binaries(ctx context.Context, work string) error {
	for _, x := range []struct {
		path *string
		dir  string
	}{{&o.tidegate, "cmd/tidegate"}, {&o.collector, "bench/ingest/collector"}} {
		if *x.path != "" {
			continue
		}
		*x.path = filepath.Join(work, filepath.Base(x.dir))
		fmt.Fprintf(os.Stderr, "building %s\n", x.dir)
		if err := build(ctx, x.dir, *x.path); err != nil {
			return err
		}
	}
	return nil
}

// bench is one invocation.
type bench struct {
	options
	work   string
	report *report
	cpu    func() (float64, error) // of who answers reads, in seconds
	failed float64                 // spans, of those stored
}

func (b *bench) runAll(ctx context.Context) error {
	for n := range b.runs {
		servers := []func(context.Context, int) error{b.measureCollector, b.measureTidegate}
		if b.collector == "none" {
			servers = servers[1:]
		} else if n%2 == 1 { // neither is always the one that finds the caches warm
			servers[0], servers[1] = servers[1], servers[0]
		}
		for _, measure := range servers {
			if err := measure(ctx, n); err != nil {
				return err
			}
			if ctx.Err() != nil {
				return ctx.Err()
			}
		}
	}
	return nil
}

// dial connects to a server by the protocol of this invocation.
func (b *bench) dial(p *process) (sender, error) {
	if b.protocol == "http" {
		return newHTTPSender(p.http), nil
	}
	return dialGRPC(p.grpc)
}
