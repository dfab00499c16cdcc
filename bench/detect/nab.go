package main

import (
	"encoding/csv"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/tidegate-io/tidegate/problem/detect"
)

func (c *config) nab(w io.Writer) error {
	dir := c.data
	if d := filepath.Join(c.data, "data"); isDir(d) {
		dir = d
	}
	all, err := readAll(dir)
	if err != nil {
		return err
	}
	found := make([][]alarm, len(all))
	for i, s := range all {
		if found[i], err = s.alarms(detect.Options{}); err != nil {
			return err
		}
	}
	if strings.HasSuffix(c.out, "/") || isDir(c.out) {
		err = writeResults(c.out, all, found)
	} else {
		err = writeResult(c.out, all, found)
	}
	if err != nil || !c.score {
		return err
	}
	return c.scoreNAB(w, all, found)
}

func isDir(path string) bool {
	st, err := os.Stat(path)
	return err == nil && st.IsDir()
}

// writeResults writes NAB's tree: detector/group/detector_file.csv.
func writeResults(dir string, all []*series, found [][]alarm) error {
	for i, s := range all {
		group := filepath.Join(dir, "tidegate", filepath.FromSlash(s.group))
		if err := os.MkdirAll(group, 0o755); err != nil {
			return err
		}
		if err := writeResult(filepath.Join(group, "tidegate_"+filepath.Base(s.file)), all[i:i+1], found[i:i+1]); err != nil {
			return err
		}
	}
	return nil
}

// writeResult writes one CSV. Of several series it names the file of each row.
func writeResult(path string, all []*series, found [][]alarm) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	defer f.Close()
	out := csv.NewWriter(f)
	row := []string{"timestamp", "value", "anomaly_score", "label"}
	several := len(all) > 1
	if several {
		row = append(row, "file")
	}
	out.Write(row)
	for i, s := range all {
		scores := make([]string, len(s.times))
		for k := range scores {
			scores[k] = "0.0"
		}
		for _, a := range found[i] {
			if a.first {
				scores[a.index] = "1.0"
			}
		}
		for k := range s.times {
			row := []string{s.texts[k], s.raw[k], scores[k], "0"}
			if several {
				row = append(row, s.file)
			}
			out.Write(row)
		}
	}
	out.Flush()
	if err := out.Error(); err != nil {
		return err
	}
	return f.Close()
}

// profile is how much NAB's scoring gives and takes.
type profile struct {
	name                 string
	found, wrong, missed float64
}

// The profiles of NAB's config/profiles.json.
var profiles = []profile{
	{"standard", 1, 0.11, 1},
	{"reward low false positives", 1, 0.22, 1},
	{"reward low false negatives", 1, 0.11, 2},
}

// window is a labelled time by indexes, both inclusive.
type window struct{ from, to int }

// nabScore is the score of one series, as NAB's sweeper counts it (Lavin &
// Ahmad 2015, "Evaluating Real-time Anomaly Detection Algorithms", section II):
// of every window the earliest alarm, the earlier the better; every alarm
// outside costs, the more the farther from the window before; nothing counts
// in the first part of the series.
func nabScore(n int, windows []window, alarms []alarm, p profile) (score float64, c counts) {
	probation := min(int(math.Floor(0.15*float64(n))), int(0.15*5000))
	c.points = n - probation
	// A window that ends before is not there at all.
	windows = slices.DeleteFunc(slices.Clone(windows), func(w window) bool { return w.to < probation })
	best := make([]float64, len(windows))
	for i := range best {
		best[i] = math.Inf(-1)
	}
	for _, a := range alarms {
		k := a.index
		if k < probation || !a.first {
			continue
		}
		before := -1
		inside := -1
		for i, win := range windows {
			switch {
			case k >= win.from && k <= win.to:
				inside = i
			case win.to < k:
				before = i
			}
		}
		switch {
		case inside >= 0:
			win := windows[inside]
			at := -float64(win.to-k+1) / float64(win.to-win.from+1)
			best[inside] = max(best[inside], p.found*sigmoid(at)/sigmoid(-1))
		case before >= 0:
			win := windows[before]
			c.wrong++
			score += p.wrong * sigmoid(float64(k-win.to)/float64(win.to-win.from))
		default:
			c.wrong++
			score -= p.wrong
		}
	}
	for _, b := range best {
		if math.IsInf(b, -1) {
			c.missed++
			score -= p.missed
			continue
		}
		c.found++
		score += b
	}
	return score, c
}

// sigmoid is 1 long before the end of a window, 0 at it, −1 long after.
func sigmoid(x float64) float64 {
	if x >= 3 {
		return -1
	}
	return 2/(1+math.Exp(5*x)) - 1
}

func (c *config) scoreNAB(w io.Writer, all []*series, found [][]alarm) error {
	data, err := os.ReadFile(filepath.Join(c.data, "labels", "combined_windows.json"))
	if err != nil {
		return err
	}
	var labels map[string][][2]string
	if err := json.Unmarshal(data, &labels); err != nil {
		return err
	}
	groups := map[string]*counts{}
	var total counts
	totals := make([]float64, len(profiles))
	for i, s := range all {
		windows, err := windowsOf(s, labels[s.file])
		if err != nil {
			return err
		}
		for k, p := range profiles {
			score, n := nabScore(len(s.times), windows, found[i], p)
			totals[k] += score
			if k > 0 {
				continue
			}
			if groups[s.group] == nil {
				groups[s.group] = &counts{}
			}
			groups[s.group].add(n)
			total.add(n)
		}
	}
	fmt.Fprintln(w, "| group | found | missed | false alarms | points | P | R | F1 | false per 1,000 points |\n|---|---|---|---|---|---|---|---|---|")
	for _, g := range slices.Sorted(maps.Keys(groups)) {
		printCounts(w, g, groups[g])
	}
	printCounts(w, "**all**", &total)
	fmt.Fprintln(w, "\n| NAB profile | score |\n|---|---|")
	for k, p := range profiles {
		windows := float64(total.found + total.missed)
		none, perfect := -p.missed*windows, p.found*windows
		fmt.Fprintf(w, "| %s | %.1f |\n", p.name, 100*(totals[k]-none)/(perfect-none))
	}
	return nil
}

// windowsOf converts times to indexes.
func windowsOf(s *series, labelled [][2]string) ([]window, error) {
	var out []window
	for _, l := range labelled {
		var ends [2]time.Time
		for i, text := range l {
			t, err := time.Parse("2006-01-02 15:04:05.999999", text)
			if err != nil {
				return nil, fmt.Errorf("%s: window: %w", s.file, err)
			}
			ends[i] = t
		}
		win := window{from: len(s.times), to: -1}
		for k, t := range s.times {
			if !t.Before(ends[0]) && !t.After(ends[1]) {
				win.from, win.to = min(win.from, k), max(win.to, k)
			}
		}
		if win.to >= win.from {
			out = append(out, win)
		}
	}
	return out, nil
}
