package main

import (
	"fmt"
	"math"
	"runtime"
	"strings"
	"time"

	"gonum.org/v1/gonum/mathext"
)

// row is one cell of the table: who, where, how often.
type row struct {
	Scenario string  `json:"scenario"`
	World    string  `json:"world"`
	Who      string  `json:"who"`
	Measure  string  `json:"measure"`
	Events   int     `json:"events"`
	N        int     `json:"n"`
	Value    float64 `json:"value"`
	Low      float64 `json:"low"`
	High     float64 `json:"high"`
	Target   string  `json:"target,omitempty"`
	// Missed: the whole interval is beyond the target.
	Missed bool `json:"missed"`
}

const ours = "Tidegate"

// rate adds a row for yes of n; a target "<=" or ">=" of 0 is none.
func (b *bench) rate(scenario, world, who, measure string, yes, n int, op string, target float64) {
	low, high := clopperPearson(yes, n)
	r := row{Scenario: scenario, World: world, Who: who, Measure: measure, Events: yes, N: n, Value: float64(yes) / float64(n), Low: low, High: high}
	if op != "" {
		sign := map[string]string{"<=": "≤", ">=": "≥"}[op]
		r.Target = fmt.Sprintf("%s %g %%", sign, target*100)
		r.Missed = op == "<=" && low > target || op == ">=" && high < target
	}
	b.add(r)
}

// add keeps the row and shows it at once: the full form takes a while.
func (b *bench) add(r row) {
	b.rows = append(b.rows, r)
	fmt.Fprintf(b.out, "%6.1fs   %s | %s | %s %s %s\n", time.Since(b.started).Seconds(), r.World, r.Who, r.Measure, r.show(r.Value), r.Target)
}

// figure adds a row for a number with an upper target.
func (b *bench) figure(scenario, world, who, measure string, n int, value, low, high, target float64) {
	r := row{Scenario: scenario, World: world, Who: who, Measure: measure, N: n, Value: value, Low: low, High: high}
	if target > 0 {
		r.Target, r.Missed = fmt.Sprintf("≤ %.3g", target), low > target
	}
	b.add(r)
}

// clopperPearson is the exact 95 % interval of a proportion.
func clopperPearson(yes, n int) (low, high float64) {
	x, m := float64(yes), float64(n)
	high = 1
	if yes > 0 {
		low = mathext.InvRegIncBeta(x, m-x+1, 0.025)
	}
	if yes < n {
		high = mathext.InvRegIncBeta(x+1, m-x, 0.975)
	}
	return low, high
}

// report is what is printed and written.
type report struct {
	Seed    uint64  `json:"seed"`
	Quick   bool    `json:"quick"`
	Seconds float64 `json:"seconds"`
	Go      string  `json:"go"`
	Cores   int     `json:"cores"`
	Missed  int     `json:"missed"`
	Rows    []row   `json:"rows"`
}

func (b *bench) report() report {
	r := report{Seed: b.seed, Quick: b.quick, Seconds: time.Since(b.started).Seconds(), Go: runtime.Version(), Cores: runtime.GOMAXPROCS(0), Rows: b.rows}
	for _, x := range b.rows {
		if x.Missed {
			r.Missed++
		}
	}
	return r
}

func (r report) markdown() string {
	var s strings.Builder
	fmt.Fprintf(&s, "Seed %d, %.0f s on %d cores, %s.\n", r.Seed, r.Seconds, r.Cores, r.Go)
	scenario := ""
	for _, x := range r.Rows {
		if x.Scenario != scenario {
			scenario = x.Scenario
			fmt.Fprintf(&s, "\n### %s\n\n| world | who | measure | result | 95 %% interval | n | target |\n|---|---|---|---:|---:|---:|---|\n", scenario)
		}
		verdict := x.Target
		switch {
		case x.Target == "":
		case x.Missed:
			verdict += " **missed**"
		default:
			verdict += " met"
		}
		fmt.Fprintf(&s, "| %s | %s | %s | %s | %s – %s | %d | %s |\n", x.World, x.Who, x.Measure,
			x.show(x.Value), x.show(x.Low), x.show(x.High), x.N, verdict)
	}
	if r.Missed > 0 {
		fmt.Fprintf(&s, "\n%d targets missed.\n", r.Missed)
	} else {
		s.WriteString("\nEvery target met.\n")
	}
	return s.String()
}

// show writes rates as percentages and figures as they are.
func (x row) show(v float64) string {
	switch {
	case math.IsInf(v, 1):
		return "never"
	case strings.Contains(x.Measure, "seconds") || strings.Contains(x.Measure, "ms"):
		return fmt.Sprintf("%.3g", v)
	}
	return fmt.Sprintf("%.2f %%", 100*v)
}
