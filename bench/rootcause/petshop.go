package main

import (
	"context"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/tidegate-io/tidegate/entity"
	"github.com/tidegate-io/tidegate/problem"
	"github.com/tidegate-io/tidegate/problem/cause"
)

type petshopLine struct {
	Case    string   `json:"case"`
	Ranking []string `json:"ranking"`
}

// petshopCase is a window of the metrics with the complaint about it.
type petshopCase struct {
	name   string
	target target
	window table
	past   table // when all was well, at another time
	calls  []cause.Call
}

type target struct {
	Node      string  `json:"node"`
	Metric    string  `json:"metric"`
	Agg       string  `json:"agg"`
	Timestamp float64 `json:"timestamp"`
}

// table is a metrics file: columns by node, metric and statistic.
type table struct {
	times   []time.Time
	columns []column
}

type column struct {
	node, metric, statistic string
	values                  []float64
	there                   []bool
}

func answerPetshop(ctx context.Context, o options) ([]petshopLine, error) {
	cases, err := petshopCases(o.data)
	if err != nil {
		return nil, err
	}
	var out []petshopLine
	for _, c := range cases {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		in := c.input()
		in.Series = o.perturb.series(in.Series, c.target.Node)
		leaveOut(&in, o.without)
		answer := cause.Find(in)
		l := petshopLine{Case: c.name, Ranking: []string{}}
		for _, s := range answer.Ranking {
			l.Ranking = append(l.Ranking, s.Service)
		}
		if o.explain {
			explain(os.Stdout, c.name, answer)
		}
		out = append(out, l)
	}
	return out, nil
}

// petshopCases are the folders with a target, and windows of the times without
// a fault: those of the file "noissue/metrics.csv" beside the cases.
func petshopCases(dir string) ([]petshopCase, error) {
	var out []petshopCase
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.Name() != "graph.csv" {
			return err
		}
		some, err := petshopSystem(dir, filepath.Dir(path))
		out = append(out, some...)
		return err
	})
	slices.SortFunc(out, func(a, b petshopCase) int { return strings.Compare(a.name, b.name) })
	return out, err
}

// petshopSystem reads one system: its graph, its past, and its cases.
func petshopSystem(root, dir string) ([]petshopCase, error) {
	calls, err := readGraph(filepath.Join(dir, "graph.csv"))
	if err != nil {
		return nil, err
	}
	past, err := readTable(filepath.Join(dir, "noissue", "metrics.csv"))
	if err != nil {
		return nil, err
	}
	var out []petshopCase
	err = filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.Name() != "target.json" {
			return err
		}
		c, err := readPetshopCase(root, filepath.Dir(path))
		if err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
		c.past, c.calls = past, calls
		out = append(out, c)
		return nil
	})
	if err != nil || len(out) == 0 {
		return out, err
	}
	name, err := filepath.Rel(root, filepath.Join(dir, "noissue"))
	if err != nil {
		return nil, err
	}
	return append(out, faultFree(filepath.ToSlash(name), past, calls, out)...), nil
}

func readPetshopCase(root, dir string) (petshopCase, error) {
	var c petshopCase
	name, err := filepath.Rel(root, dir)
	if err != nil {
		return c, err
	}
	c.name = filepath.ToSlash(name)
	raw, err := os.ReadFile(filepath.Join(dir, "target.json"))
	if err != nil {
		return c, err
	}
	var file struct { // the rest is not for the one who answers
		Target target `json:"target"`
	}
	if err := json.Unmarshal(raw, &file); err != nil {
		return c, err
	}
	c.target = file.Target
	c.window, err = readTable(filepath.Join(dir, "metrics.csv"))
	return c, err
}

// faultFree cuts windows like those of the cases out of the past, with the
// complaints of the cases in turn; the rest is each one's past.
func faultFree(name string, past table, calls []cause.Call, like []petshopCase) []petshopCase {
	var out []petshopCase
	n := len(like[0].window.times)
	for at, i := 0, 0; at+n <= len(past.times); at, i = at+n, i+1 {
		t := like[i%len(like)].target
		t.Timestamp = float64(past.times[at+min(2, n-1)].Unix())
		out = append(out, petshopCase{
			name: fmt.Sprintf("%s/%d", name, past.times[at].Unix()), target: t, calls: calls,
			window: past.rows(func(r int) bool { return r >= at && r < at+n }),
			past:   past.rows(func(r int) bool { return r < at || r >= at+n }),
		})
	}
	return out
}

func (t table) rows(keep func(int) bool) table {
	var out table
	for r, at := range t.times {
		if keep(r) {
			out.times = append(out.times, at)
		}
	}
	for _, c := range t.columns {
		k := column{node: c.node, metric: c.metric, statistic: c.statistic}
		for r := range t.times {
			if keep(r) {
				k.values, k.there = append(k.values, c.values[r]), append(k.there, c.there[r])
			}
		}
		out.columns = append(out.columns, k)
	}
	return out
}

// input turns the tables into series, and the complaint into a symptom.
func (c petshopCase) input() cause.Input {
	in := cause.Input{Calls: c.calls}
	history := map[[3]string][]float64{}
	for _, col := range c.past.columns {
		for r, ok := range col.there {
			if ok {
				key := [3]string{col.node, col.metric, col.statistic}
				history[key] = append(history[key], col.values[r])
			}
		}
	}
	for _, col := range c.window.columns {
		s := cause.Series{
			Ref: entity.Ref{Service: col.node}, Metric: col.metric, Statistic: col.statistic,
			Step: 5 * time.Minute, History: history[[3]string{col.node, col.metric, col.statistic}],
		}
		for r, ok := range col.there {
			if ok {
				s.Points = append(s.Points, cause.Point{Time: c.window.times[r], Value: col.values[r]})
			}
		}
		in.Series = append(in.Series, s)
	}
	signal := problem.SignalErrors
	if cause.RoleOf(c.target.Metric, "") == cause.RoleLatency {
		signal = problem.SignalLatency
	}
	in.Symptoms = []problem.Event{{
		ID: c.name, Source: "petshop", Signal: signal, Ref: entity.Ref{Service: c.target.Node},
		Start: time.Unix(int64(c.target.Timestamp), 0).UTC(),
	}}
	return in
}

func readTable(file string) (table, error) {
	rows, err := readCSV(file)
	if err != nil {
		return table{}, err
	}
	if len(rows) < 3 {
		return table{}, fmt.Errorf("%s: expected three rows of headings", file)
	}
	var t table
	for i := 1; i < len(rows[0]); i++ {
		t.columns = append(t.columns, column{node: rows[0][i], metric: rows[1][i], statistic: rows[2][i]})
	}
	for _, row := range rows[3:] {
		at, err := strconv.ParseFloat(row[0], 64)
		if err != nil {
			continue // "unix_timestamp"
		}
		t.times = append(t.times, time.Unix(int64(at), 0).UTC())
		for i := range t.columns {
			v, err := strconv.ParseFloat(row[i+1], 64)
			c := &t.columns[i]
			c.values, c.there = append(c.values, v), append(c.there, err == nil)
		}
	}
	return t, nil
}

// readGraph reads "row calls column".
func readGraph(file string) ([]cause.Call, error) {
	rows, err := readCSV(file)
	if err != nil {
		return nil, err
	}
	var out []cause.Call
	for _, row := range rows[1:] {
		for i := 1; i < len(row); i++ {
			if v, err := strconv.ParseFloat(row[i], 64); err == nil && v > 0 {
				out = append(out, cause.Call{Caller: entity.Ref{Service: row[0]}, Callee: entity.Ref{Service: rows[0][i]}})
			}
		}
	}
	return out, nil
}

func readCSV(file string) ([][]string, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	rows, err := csv.NewReader(f).ReadAll()
	if err == nil && len(rows) == 0 {
		err = fmt.Errorf("%s is empty", file)
	}
	return rows, err
}
