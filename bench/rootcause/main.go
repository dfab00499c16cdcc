// Rootcause measures package problem/cause on public incidents whose causes
// are known.
//
//	go run ./bench/rootcause -set petshop|rootcausebench -data DIR -out FILE [-score]
//
// It writes one JSON line a case: for petshop {case, ranking}, the places most
// likely to be the origin first, none for a window without a fault; for
// rootcausebench {case, root_cause_commit, first_failing_service, blast_radius,
// remediation}, where root_cause_commit is "none" when no change is to blame.
//
// Adapters turn each set into telemetry values; the engine that answers is the
// one in the product, with one setting. Only what could be observed is read:
// ground_truth.json never, and of petshop's target.json only the target. With
// -score the labels are read after the answers were written, by code of its
// own (score.go), which knows of a case only its line in the file.
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"time"
)

// line is what is written for one case.
type line interface{ petshopLine | incidentLine }

func main() {
	set := flag.String("set", "", "petshop or rootcausebench")
	data := flag.String("data", "", "the folder with the set's cases")
	out := flag.String("out", "", "the file to write, one JSON line a case")
	scored := flag.Bool("score", false, "compare the answers with the labels afterwards")
	without := flag.String("without", "", "leave kinds of evidence out, to see what each is worth: series, history, calls, failures, logs, diffs, annotations (with commas)")
	noise := flag.Float64("noise", 0, "spoil each value by a factor with this standard deviation")
	drop := flag.Float64("drop", 0, "lose this share of the log lines, traces and series (rootcausebench only)")
	seed := flag.Uint64("seed", 1, "of -noise and -drop")
	explain := flag.Bool("explain", false, "print each answer with its findings")
	flag.Parse()
	if err := run(options{set: *set, data: *data, out: *out, score: *scored, explain: *explain, without: parts(*without),
		perturb: &perturbation{noise: *noise, drop: *drop, rnd: rand.New(rand.NewPCG(*seed, 0))}}); err != nil {
		fmt.Fprintln(os.Stderr, "bench/rootcause:", err)
		os.Exit(1)
	}
}

type options struct {
	set, data, out string
	score, explain bool
	without        map[string]bool
	perturb        *perturbation
}

func run(o options) error {
	if o.data == "" || o.out == "" {
		return fmt.Errorf("-data and -out are required")
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Minute)
	defer cancel()
	switch o.set {
	case "petshop":
		answers, err := answerPetshop(ctx, o)
		if err != nil {
			return err
		}
		if err := write(o.out, answers); err != nil || !o.score {
			return err
		}
		return scorePetshop(os.Stdout, o.data, o.out)
	case "rootcausebench":
		answers, err := answerIncidents(ctx, o)
		if err != nil {
			return err
		}
		if err := write(o.out, answers); err != nil || !o.score {
			return err
		}
		return scoreIncidents(os.Stdout, o.data, o.out)
	}
	return fmt.Errorf("-set %q: expected petshop or rootcausebench", o.set)
}

func write[L line](file string, lines []L) error {
	f, err := os.Create(file)
	if err != nil {
		return err
	}
	w := bufio.NewWriter(f)
	enc := json.NewEncoder(w)
	for _, l := range lines {
		if err := enc.Encode(l); err != nil {
			_ = f.Close()
			return err
		}
	}
	if err := w.Flush(); err != nil {
		_ = f.Close()
		return err
	}
	return f.Close()
}
