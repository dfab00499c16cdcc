package main

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"time"
)

// report collects figures by name over the runs.
type report struct {
	Started  time.Time `json:"started"`
	Machine  string    `json:"machine"`
	Version  string    `json:"version"`
	Protocol string    `json:"protocol"`
	Spans    int       `json:"spans"`
	Runs     int       `json:"runs"`
	Figures  []*figure `json:"figures"`
}

// figure is one measured thing, a value per run.
type figure struct {
	Name   string    `json:"name"`
	Median float64   `json:"median"`
	Values []float64 `json:"values"`
}

func newReport(o options) *report {
	version, _ := exec.Command("git", "describe", "--always", "--dirty").Output()
	return &report{
		Started: time.Now().UTC(), Machine: fmt.Sprintf("%s, %d cores, %s", cpuModel(), runtime.NumCPU(), runtime.Version()),
		Version: strings.TrimSpace(string(version)), Protocol: o.protocol, Spans: o.spans, Runs: o.runs,
	}
}

func cpuModel() string {
	raw, _ := os.ReadFile("/proc/cpuinfo")
	for line := range strings.Lines(string(raw)) {
		if name, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(name) == "model name" {
			return strings.TrimSpace(value)
		}
	}
	return runtime.GOARCH
}

// note adds a value.
func (r *report) note(name string, v float64) {
	f := r.figure(name)
	if f == nil {
		f = &figure{Name: name}
		r.Figures = append(r.Figures, f)
	}
	f.Values = append(f.Values, v)
	f.Median = median(f.Values)
}

func (r *report) figure(name string) *figure {
	for _, f := range r.Figures {
		if f.Name == name {
			return f
		}
	}
	return nil
}

func median(values []float64) float64 {
	s := slices.Clone(values)
	slices.Sort(s)
	if n := len(s); n%2 == 0 {
		return (s[n/2-1] + s[n/2]) / 2
	}
	return s[len(s)/2]
}

// progress says what is going on, beside the report.
func (r *report) progress(format string, args ...any) {
	fmt.Fprintf(os.Stderr, format+"\n", args...)
}

// ratios adds the processor time of Tidegate in terms of the Collector's, run
// by run: both saw the same machine.
func (r *report) ratios() {
	for _, signal := range []string{"traces", "metrics", "logs"} {
		ours, theirs := r.figure("tidegate "+signal+" CPU-s per million"), r.figure("collector "+signal+" CPU-s per million")
		name := "ratio " + signal + " CPU, tidegate to collector"
		if ours == nil || theirs == nil || r.figure(name) != nil {
			continue
		}
		for i := range min(len(ours.Values), len(theirs.Values)) {
			r.note(name, ours.Values[i]/theirs.Values[i])
		}
	}
}

func (r *report) markdown() string {
	r.ratios()
	var b strings.Builder
	fmt.Fprintf(&b, "%s; %s; OTLP over %s; %d runs\n\n| figure | median | smallest | largest |\n|---|---:|---:|---:|\n", r.Machine, r.Version, r.Protocol, r.Runs)
	for _, f := range r.Figures {
		fmt.Fprintf(&b, "| %s | %s | %s | %s |\n", f.Name, number(f.Median), number(slices.Min(f.Values)), number(slices.Max(f.Values)))
	}
	return b.String()
}

func number(v float64) string {
	switch {
	case v >= 1000:
		return fmt.Sprintf("%.0f", v)
	case v >= 100:
		return fmt.Sprintf("%.1f", v)
	}
	return fmt.Sprintf("%.2f", v)
}

func (r *report) write(file string) error {
	if file == "" {
		return nil
	}
	raw, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(file, append(raw, '\n'), 0o644)
}

// ownCPU is the processor time of this process, in seconds.
func ownCPU() float64 {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return float64(u.Utime.Nano()+u.Stime.Nano()) / 1e9
}
