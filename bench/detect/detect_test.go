package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

var monday = time.Date(2026, 3, 2, 0, 0, 0, 0, time.UTC)

func hours(n int) *series {
	s := &series{}
	for i := range n {
		s.times = append(s.times, monday.Add(time.Duration(i)*time.Hour))
	}
	return s
}

// TestScoreSegments: found inside or one value later; alarms in a row outside
// count once; the first week does not count.
func TestScoreSegments(t *testing.T) {
	const n = 300
	s, labels := hours(n), make([]bool, n)
	for _, k := range []int{20, 21, 200, 201, 202, 220, 240, 241} {
		labels[k] = true
	}
	var alarms []alarm
	for _, k := range []int{5, 20, 199, 203, 250, 251, 252, 260} {
		alarms = append(alarms, alarm{index: k})
	}
	// 203 finds 200–202; 220 and 240 are missed; 199, 250–252, 260 are wrong.
	if got, want := scoreSegments(s, labels, alarms), (counts{found: 1, missed: 2, wrong: 3, points: n - 168}); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

// TestNABScore holds the sweeper's arithmetic to what NAB's own gives by hand.
func TestNABScore(t *testing.T) {
	windows := []window{{40, 49}, {80, 89}}
	p := profiles[0]
	for _, c := range []struct {
		name   string
		alarms []int
		want   float64
	}{
		{"nothing", nil, -2},
		{"as early as can be", []int{40, 80}, 2},
		{"again in a window counts once", []int{40, 41, 45, 80}, 2},
		{"in the first 15 %", []int{3}, -2},
		{"before any window", []int{20}, -2 - 0.11},
		{"at the last value of a window", []int{49, 80}, 1 + sigmoid(-0.1)/sigmoid(-1)},
		{"right after a window", []int{50, 40, 80}, 2 + 0.11*sigmoid(1.0/9)},
		{"long after", []int{79, 40, 80}, 2 - 0.11},
	} {
		var alarms []alarm
		for _, k := range c.alarms {
			alarms = append(alarms, alarm{k, true})
		}
		if got, _ := nabScore(100, windows, alarms, p); math.Abs(got-c.want) > 1e-9 {
			t.Errorf("%s: %v, want %v", c.name, got, c.want)
		}
	}
}

// TestRun makes both sets in small and reads what is written.
func TestRun(t *testing.T) {
	dir := t.TempDir()
	var cm, nab strings.Builder
	cm.WriteString("\"TimeStamp\",\"Value\",\"Label\"\n")
	nab.WriteString("timestamp,value\n")
	for i := range 400 {
		at, v, label := monday.Add(time.Duration(i)*time.Hour), 10+i%5, 0
		if i == 300 {
			v, label = 500, 1
		}
		fmt.Fprintf(&cm, "%q,%d,%d\n", at.Format(time.RFC3339), v, label)
		fmt.Fprintf(&nab, "%s,%d\n", at.Format("2006-01-02 15:04:05"), v)
	}
	write(t, filepath.Join(dir, "cm", "group", "a.csv"), cm.String())
	write(t, filepath.Join(dir, "nab", "data", "group", "b.csv"), nab.String())
	spike := monday.Add(300 * time.Hour)
	window := fmt.Sprintf(`{"group/b.csv": [[%q, %q]]}`, spike.Add(-2*time.Hour).Format("2006-01-02 15:04:05.000000"), spike.Add(2*time.Hour).Format("2006-01-02 15:04:05.000000"))
	write(t, filepath.Join(dir, "nab", "labels", "combined_windows.json"), window)

	var out bytes.Buffer
	c := config{set: "cloudmonitoring", data: filepath.Join(dir, "cm"), out: filepath.Join(dir, "cm.jsonl"), score: true}
	if err := c.run(&out); err != nil {
		t.Fatal(err)
	}
	var line struct {
		File   string
		Alarms []string
	}
	if err := json.Unmarshal(readFile(t, c.out), &line); err != nil || line.File != "group/a.csv" || len(line.Alarms) != 1 || line.Alarms[0] != "2026-03-14T12:00:00Z" {
		t.Errorf("%+v %v", line, err)
	}
	if !strings.Contains(out.String(), "| **all** | 1 | 0 | 0 |") {
		t.Error(out.String())
	}
	out.Reset()
	c = config{set: "nab", data: filepath.Join(dir, "nab"), out: filepath.Join(dir, "results") + "/", score: true}
	if err := c.run(&out); err != nil {
		t.Fatal(err)
	}
	csv := string(readFile(t, filepath.Join(dir, "results", "tidegate", "group", "tidegate_b.csv")))
	if !strings.HasPrefix(csv, "timestamp,value,anomaly_score,label\n2026-03-02 00:00:00,10,0.0,0\n") || !strings.Contains(csv, "2026-03-14 12:00:00,500,1.0,0\n") {
		t.Error(csv[:200])
	}
	if !strings.Contains(out.String(), "| **all** | 1 | 0 | 0 |") {
		t.Error(out.String())
	}
	if err := (&config{set: "other", data: dir, out: c.out}).run(&out); err == nil {
		t.Error("an unknown set was accepted")
	}
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

func readFile(t *testing.T, path string) []byte {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return data
}
