package judge

import (
	"encoding/json"
	"math"
	"strings"
	"testing"
)

func TestIntervalsThatBoundNothingAreOpen(t *testing.T) {
	burst := minute(Ratio, 60, 0, 0)
	burst.Slices[20].Bad = 2
	burst.Slices[21].Bad = 2
	burst.Slices[22].Bad = 2
	wild := Sample{Kind: Value, Unit: "EUR"}
	for _, v := range []float64{0.001, 4000} {
		wild.Slices = append(wild.Slices, Slice{Seconds: 10, Value: Number(v)})
	}
	for _, c := range []struct {
		name      string
		sample    Sample
		low, high float64
		note      string
	}{
		{"63 requests do not bound a p95", minute(Distribution, 63, 0, 0.1), -1, math.Inf(1), "the upper bound is open: too few requests to bound the p95"},
		{"two points over seven orders of magnitude", wild, 0, math.Inf(1), "the interval is open: too few points, too different, to bound the mean"},
		{"one burst of errors", burst, 0, -1, ""},
	} {
		v := Judge(Options{}, []Input{{Sample: c.sample}})
		r := v.Results[0]
		if c.low >= 0 && float64(r.Low) != c.low || c.high >= 0 && float64(r.High) != c.high {
			t.Errorf("%s: %v … %v", c.name, r.Low, r.High)
		}
		if strings.Join(r.Notes, "; ") != c.note {
			t.Errorf("%s: notes %q", c.name, r.Notes)
		}
		if data, err := json.Marshal(v); err != nil || !json.Valid(data) {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}

func TestOpenIntervalsInSentences(t *testing.T) {
	for _, c := range []struct {
		sample Sample
		want   string
	}{
		{minute(Distribution, 63, 0, 0.1), "with 95 % confidence at least "},
		{Sample{Kind: Value, Slices: []Slice{{Seconds: 1, Value: 1e-9}, {Seconds: 1, Value: 1e6}}}, "with 95 % confidence anywhere"},
		{minute(Ratio, 1000, 40, 0), "with 95 % confidence between "},
	} {
		o := Objective{Threshold: &Threshold{Fail: &Limit{Op: ">", Value: 0.2}, Confidence: 0.95}}
		if r := Judge(Options{}, []Input{{Objective: o, Sample: c.sample}}).Results[0]; !strings.Contains(r.Why, c.want) {
			t.Errorf("%q has no %q", r.Why, c.want)
		}
	}
}

func TestLimitsThatAreNone(t *testing.T) {
	// Runs that differ by orders of magnitude predict anything.
	o := Objective{Name: "queue", Worse: WorseHigher, Adaptive: &Adaptive{}}
	var runs []Run
	for _, v := range []float64{1, 1e5, 3, 1e7, 10} {
		runs = append(runs, Run{Kind: Value, Estimate: Number(v), N: 1, Seconds: 60, Inflation: 1})
	}
	now := Sample{Kind: Value, Slices: []Slice{{Seconds: 60, Value: 100}}}
	r := Judge(Options{}, []Input{{Objective: o, Sample: now, History: runs}}).Results[0]
	if r.Status != StatusPass || !strings.Contains(r.Why, "no limit can be drawn") || !r.Detectable.IsNaN() {
		t.Errorf("%s, detectable %v: %s", r.Status, r.Detectable, r.Why)
	}
}

func TestLearningCountsTheRunItself(t *testing.T) {
	o := Objective{Name: "errors", Worse: WorseHigher, Adaptive: &Adaptive{}}
	var runs []Run
	for _, want := range []string{"run 1 of the 5", "run 2 of the 5", "run 3 of the 5", "run 4 of the 5", "run 5 of the 5"} {
		r := Judge(Options{}, []Input{{Objective: o, Sample: minute(Ratio, 1000, 1, 0), History: runs}}).Results[0]
		if r.Status != StatusLearning || !strings.Contains(r.Why, want) {
			t.Errorf("%s: %q, want %q", r.Status, r.Why, want)
		}
		runs = append(runs, *r.Run)
	}
	if r := Judge(Options{}, []Input{{Objective: o, Sample: minute(Ratio, 1000, 1, 0), History: runs}}).Results[0]; r.Status != StatusPass {
		t.Errorf("after 5: %s", r.Why)
	}
}
