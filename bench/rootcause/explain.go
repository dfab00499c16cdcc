package main

import (
	"fmt"
	"io"
	"strings"

	"github.com/tidegate-io/tidegate/problem"
)

func parts(list string) map[string]bool {
	out := map[string]bool{}
	for _, p := range strings.Split(list, ",") {
		if p != "" {
			out[p] = true
		}
	}
	return out
}

// explain prints an answer with its findings.
func explain(w io.Writer, name string, c problem.Cause) {
	fmt.Fprintf(w, "== %s\n   %s\n   %s, remedy %s, confidence %.2f\n", name, c.Sentence, c.Kind, c.Remedy, c.Confidence)
	for i, s := range c.Ranking[:min(len(c.Ranking), 5)] {
		fmt.Fprintf(w, "   %d. %s %.2f %s\n", i+1, s.Ref, s.Score, s.Why)
	}
	for _, f := range c.Findings {
		fmt.Fprintf(w, "   %-10s %6.2f %s\n", f.Kind, f.Weight, f.Text)
	}
}
