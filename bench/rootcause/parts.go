package main

import (
	"fmt"
	"io"
	"strings"

	"github.com/tidegate-io/tidegate/problem"
	"github.com/tidegate-io/tidegate/problem/cause"
)

// input is what the engine gets; kinds of evidence may be left out of it.
type input struct{ cause.Input }

func parts(list string) map[string]bool {
	out := map[string]bool{}
	for _, p := range strings.Split(list, ",") {
		if p != "" {
			out[p] = true
		}
	}
	return out
}

// leaveOut takes kinds of evidence away, to see what each is worth.
func (in *input) leaveOut(kinds map[string]bool) {
	if kinds["series"] {
		in.Series = nil
	}
	if kinds["calls"] {
		in.Calls = nil
	}
	if kinds["failures"] {
		in.Failures, in.Slow = nil, nil
	}
	if kinds["logs"] {
		in.Logs = nil
	}
	for i := range in.Changes {
		p := in.Changes[i].Properties
		if kinds["diffs"] {
			delete(p, cause.PropertyDiff)
			delete(p, cause.PropertyFiles)
		}
	}
}

func explain(w io.Writer, name string, c problem.Cause) {
	fmt.Fprintf(w, "== %s\n   %s\n   %s, remedy %s, confidence %.2f\n", name, c.Sentence, c.Kind, c.Remedy, c.Confidence)
	for i, s := range c.Ranking {
		if i == 5 {
			break
		}
		fmt.Fprintf(w, "   %d. %s %.2f %s\n", i+1, s.Ref, s.Score, s.Why)
	}
	for _, f := range c.Findings {
		fmt.Fprintf(w, "   %-10s %6.2f %s\n", f.Kind, f.Weight, f.Text)
	}
}
