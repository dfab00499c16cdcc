package main

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strconv"
	"time"

	"github.com/tidegate-io/tidegate/problem/detect"
)

func (c *config) cloudMonitoring(w io.Writer) error {
	all, err := readAll(c.data)
	if err != nil {
		return err
	}
	found := make([][]alarm, len(all))
	out, err := os.Create(c.out)
	if err != nil {
		return err
	}
	enc := json.NewEncoder(out)
	for i, s := range all {
		if found[i], err = s.alarms(detect.Options{}); err != nil {
			return err
		}
		line := struct {
			File   string   `json:"file"`
			Alarms []string `json:"alarms"`
		}{s.file, []string{}}
		for _, k := range found[i] {
			line.Alarms = append(line.Alarms, s.texts[k.index])
		}
		if err := enc.Encode(line); err != nil {
			return err
		}
	}
	if err := out.Close(); err != nil || !c.score {
		return err
	}
	return c.scoreCloudMonitoring(w, all, found)
}

// warmUp is the time at the beginning of each series that does not count.
const warmUp = 7 * 24 * time.Hour

// counts are segments found and missed, alarms outside of segments (those in a
// row count once), and points judged.
type counts struct{ found, missed, wrong, points int }

func (a *counts) add(b counts) {
	a.found, a.missed, a.wrong, a.points = a.found+b.found, a.missed+b.missed, a.wrong+b.wrong, a.points+b.points
}

func (a *counts) f1() float64 {
	return ratio(2*a.found, 2*a.found+a.missed+a.wrong)
}

func ratio(a, b int) float64 {
	if b == 0 {
		return 0
	}
	return float64(a) / float64(b)
}

// scoreSegments counts. A segment is found by an alarm in it or one value
// later; of one that began in the warm-up nothing is counted.
func scoreSegments(s *series, labels []bool, alarms []alarm) counts {
	n := len(labels)
	alarmed, inside := make([]bool, n), make([]bool, n)
	for _, k := range alarms {
		alarmed[k.index] = true
	}
	start := 0
	for start < n && s.times[start].Sub(s.times[0]) < warmUp {
		start++
	}
	var c counts
	for i := 0; i < n; i++ {
		if !labels[i] {
			continue
		}
		first, found := i, false
		for ; i < n && labels[i]; i++ {
			inside[i] = true
			found = found || alarmed[i]
		}
		if i < n {
			inside[i] = true
			found = found || alarmed[i]
		}
		switch {
		case first < start:
		case found:
			c.found++
		default:
			c.missed++
		}
	}
	wrong := false
	for i := start; i < n; i++ {
		c.points++
		now := alarmed[i] && !inside[i]
		if now && !wrong {
			c.wrong++
		}
		wrong = now
	}
	return c
}

func readLabels(dir, file string) ([]bool, error) {
	rows, err := column(dir, file, "label")
	if err != nil {
		return nil, err
	}
	out := make([]bool, len(rows))
	for i, row := range rows {
		x, err := strconv.ParseFloat(row[0], 64)
		out[i] = err == nil && x > 0
	}
	return out, nil
}

func (c *config) scoreCloudMonitoring(w io.Writer, all []*series, found [][]alarm) error {
	labels := make([][]bool, len(all))
	groups := map[string]*counts{}
	var total counts
	for i, s := range all {
		var err error
		if labels[i], err = readLabels(c.data, s.file); err != nil {
			return err
		}
		one := scoreSegments(s, labels[i], found[i])
		if groups[s.group] == nil {
			groups[s.group] = &counts{}
		}
		groups[s.group].add(one)
		total.add(one)
	}
	fmt.Fprintln(w, "| group | found | missed | false alarms | points | P | R | F1 | false per 1,000 points |\n|---|---|---|---|---|---|---|---|---|")
	for _, g := range slices.Sorted(maps.Keys(groups)) {
		printCounts(w, g, groups[g])
	}
	printCounts(w, "**all**", &total)
	if c.cross {
		return leaveOneOut(w, all, labels)
	}
	return nil
}

func printCounts(w io.Writer, name string, c *counts) {
	fmt.Fprintf(w, "| %s | %d | %d | %d | %d | %.3f | %.3f | %.3f | %.2f |\n", name, c.found, c.missed, c.wrong, c.points,
		ratio(c.found, c.found+c.wrong), ratio(c.found, c.found+c.missed), c.f1(), 1000*ratio(c.wrong, c.points))
}

// leaveOneOut shows what the one setting there is would give when chosen
// without the group it is measured on.
func leaveOneOut(w io.Writer, all []*series, labels [][]bool) error {
	settings := []int{5, 7, 10, 15, 20, 30, 45, 60, 100}
	at := make([]map[string]counts, len(settings))
	groups := map[string]bool{}
	for k, days := range settings {
		at[k] = map[string]counts{}
		for i, s := range all {
			found, err := s.alarms(detect.Options{SeriesAlarmEvery: time.Duration(days) * 24 * time.Hour})
			if err != nil {
				return err
			}
			sum := at[k][s.group]
			sum.add(scoreSegments(s, labels[i], found))
			at[k][s.group] = sum
			groups[s.group] = true
		}
	}
	sumOf := func(k int, without string) (sum counts) {
		for g, x := range at[k] {
			if g != without {
				sum.add(x)
			}
		}
		return sum
	}
	fmt.Fprintln(w, "\n| SeriesAlarmEvery, days | F1 of all |\n|---|---|")
	for k, days := range settings {
		sum := sumOf(k, "")
		fmt.Fprintf(w, "| %d | %.3f |\n", days, sum.f1())
	}
	var total counts
	fmt.Fprintln(w, "\nOne group left out, the setting chosen on the others:\n\n| group | days | F1 |\n|---|---|---|")
	for _, g := range slices.Sorted(maps.Keys(groups)) {
		best := 0
		for k := range settings {
			a, b := sumOf(k, g), sumOf(best, g)
			if a.f1() > b.f1() {
				best = k
			}
		}
		c := at[best][g]
		total.add(c)
		fmt.Fprintf(w, "| %s | %d | %.3f |\n", g, settings[best], c.f1())
	}
	fmt.Fprintf(w, "| **all** | | %.3f |\n", total.f1())
	return nil
}
