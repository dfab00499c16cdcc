// Judge measures the error rates of package judge, and of its rivals'
// published rules, on simulated services whose truth is known.
//
//	go run ./bench/judge [-quick] [-seed N] [-json FILE]
//
// It prints a Markdown table with the 95 % interval (Clopper–Pearson) of every
// rate and exits with 1 when a target is shown to be missed, that is when the
// whole interval lies beyond it. Guardian i of cell c draws from a generator
// seeded with (seed, c, i): the figures do not depend on the number of cores.
package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"time"
)

func main() {
	quick := flag.Bool("quick", false, "fewer guardians a cell; ends within a minute on two cores")
	seed := flag.Uint64("seed", 1, "seed of all random numbers")
	only := flag.String("only", "", "run only the scenarios whose name contains this")
	file := flag.String("json", "", "write the report to this file as well")
	flag.Parse()
	missed, err := run(*quick, *seed, *only, *file)
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench/judge:", err)
		os.Exit(2)
	}
	if missed {
		os.Exit(1)
	}
}

func run(quick bool, seed uint64, only, file string) (missed bool, err error) {
	b := &bench{quick: quick, seed: seed, only: only, started: time.Now(), out: os.Stdout}
	b.runAll()
	report := b.report()
	fmt.Fprint(os.Stdout, "\n", report.markdown())
	if file != "" {
		data, err := json.MarshalIndent(report, "", "  ")
		if err != nil {
			return false, err
		}
		if err := os.WriteFile(file, append(data, '\n'), 0o644); err != nil {
			return false, err
		}
	}
	return report.Missed > 0, nil
}
