package main

import (
	"encoding/csv"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/tidegate-io/tidegate/problem/detect"
)

// series is one file of a set, without its labels.
type series struct {
	file   string // below the directory of the set
	group  string
	texts  []string // timestamps as they are written
	times  []time.Time
	values []float64 // NaN where there is none
	raw    []string
}

// files returns the CSV files below a directory, relative to it.
func files(dir string) ([]string, error) {
	var out []string
	err := filepath.WalkDir(dir, func(path string, e os.DirEntry, err error) error {
		if err != nil || e.IsDir() || !strings.EqualFold(filepath.Ext(path), ".csv") {
			return err
		}
		rel, err := filepath.Rel(dir, path)
		out = append(out, filepath.ToSlash(rel))
		return err
	})
	slices.Sort(out)
	if err == nil && len(out) == 0 {
		err = fmt.Errorf("%s: there are no CSV files", dir)
	}
	return out, err
}

// column reads one column of a file by its name, in whatever case.
func column(dir, file string, names ...string) ([][]string, error) {
	f, err := os.Open(filepath.Join(dir, filepath.FromSlash(file)))
	if err != nil {
		return nil, err
	}
	defer f.Close()
	r := csv.NewReader(f)
	r.FieldsPerRecord = -1
	head, err := r.Read()
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	head[0] = strings.TrimPrefix(head[0], "\ufeff")
	at := make([]int, len(names))
	for i, name := range names {
		at[i] = slices.IndexFunc(head, func(h string) bool { return strings.EqualFold(strings.TrimSpace(h), name) })
		if at[i] < 0 {
			return nil, fmt.Errorf("%s: there is no column %s", file, name)
		}
	}
	var out [][]string
	for {
		row, err := r.Read()
		if err == io.EOF {
			return out, nil
		}
		if err != nil {
			return nil, fmt.Errorf("%s: %w", file, err)
		}
		fields := make([]string, len(at))
		for i, k := range at {
			if k < len(row) {
				fields[i] = strings.TrimSpace(row[k])
			}
		}
		out = append(out, fields)
	}
}

func read(dir, file string) (*series, error) {
	rows, err := column(dir, file, "timestamp", "value")
	if err != nil {
		return nil, err
	}
	s := &series{file: file, group: filepath.ToSlash(filepath.Dir(file))}
	for i, row := range rows {
		t, err := parseTime(row[0])
		if err != nil {
			return nil, fmt.Errorf("%s: row %d: %w", file, i+2, err)
		}
		v, err := strconv.ParseFloat(row[1], 64)
		if err != nil {
			v = math.NaN()
		}
		s.texts, s.times = append(s.texts, row[0]), append(s.times, t)
		s.values, s.raw = append(s.values, v), append(s.raw, row[1])
	}
	return s, nil
}

var layouts = []string{time.RFC3339Nano, "2006-01-02 15:04:05", "2006-01-02T15:04:05", "2006-01-02 15:04", "1/2/2006 15:04:05", "1/2/2006 15:04"}

func parseTime(text string) (time.Time, error) {
	for _, l := range layouts {
		if t, err := time.Parse(l, text); err == nil {
			return t.UTC(), nil
		}
	}
	return time.Time{}, fmt.Errorf("%q is no timestamp", text)
}

// step is the most frequent distance between two values.
func (s *series) step() time.Duration {
	counts := map[time.Duration]int{}
	best := time.Duration(0)
	for i := 1; i < len(s.times); i++ {
		d := s.times[i].Sub(s.times[i-1])
		if d <= 0 {
			continue
		}
		if counts[d]++; counts[d] > counts[best] || counts[d] == counts[best] && d < best {
			best = d
		}
	}
	return best
}

// alarm is a value at which the detector raised an event: a new one, or one
// that lasts, again.
type alarm struct {
	index int
	first bool
}

// alarms feeds the series to a new detector.
func (s *series) alarms(o detect.Options) ([]alarm, error) {
	d, err := detect.New(o)
	if err != nil {
		return nil, err
	}
	step := s.step()
	var out []alarm
	for i, t := range s.times {
		for _, e := range d.ObserveSeries(detect.Series{Name: "value"}, t, step, s.values[i]) {
			if e.Open() {
				out = append(out, alarm{i, e.Detected.Equal(t)})
			}
		}
	}
	return out, nil
}

func readAll(dir string) ([]*series, error) {
	names, err := files(dir)
	if err != nil {
		return nil, err
	}
	var out []*series
	for _, name := range names {
		s, err := read(dir, name)
		if err != nil {
			return nil, err
		}
		out = append(out, s)
	}
	return out, nil
}
