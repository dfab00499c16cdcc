package judge

import (
	"encoding/json"
	"math"
	"math/rand/v2"
	"regexp"
	"testing"

	"pgregory.net/rapid"
)

func newRand(seed uint64) *rand.Rand { return rand.New(rand.NewPCG(seed, 11)) }

// drawSample draws a sample of the kind, up to 40 slices.
func drawSample(t *rapid.T, label string, k Kind) Sample {
	s := Sample{Kind: k}
	n := rapid.IntRange(1, 40).Draw(t, label+" slices")
	level := rapid.SampledFrom([]int{1, 30, 2000}).Draw(t, label+" level")
	for range n {
		total := rapid.IntRange(0, level).Draw(t, "total")
		sl := Slice{Seconds: 2, Total: float64(total)}
		switch k {
		case Ratio:
			sl.Bad = float64(rapid.IntRange(0, total).Draw(t, "bad"))
		case Value:
			sl.Value = Number(rapid.Float64Range(0.5, 100).Draw(t, "value"))
		case Distribution:
			h := &Histogram{Schema: 3}
			index := rapid.IntRange(-60, 20).Draw(t, "index")
			for range rapid.IntRange(0, 6).Draw(t, "buckets") {
				c := float64(rapid.IntRange(1, level).Draw(t, "count"))
				h.Buckets = append(h.Buckets, Bucket{index, c})
				h.Count += c
				h.Sum += c * math.Exp2((float64(index)-0.5)/8)
				index += rapid.IntRange(1, 9).Draw(t, "step")
			}
			sl.Histogram = h
		}
		s.Slices = append(s.Slices, sl)
	}
	return s
}

func drawKind(t *rapid.T) Kind {
	return rapid.SampledFrom([]Kind{Ratio, Rate, Distribution, Value}).Draw(t, "kind")
}

// drawInput draws an objective with everything it is judged by.
func drawInput(t *rapid.T) Input {
	k := drawKind(t)
	in := Input{Sample: drawSample(t, "candidate", k)}
	o := &in.Objective
	o.Name = rapid.StringMatching(`[a-z]{1,8}`).Draw(t, "name")
	o.Worse = rapid.SampledFrom([]Direction{WorseHigher, WorseLower, WorseEither}).Draw(t, "worse")
	o.Mean = rapid.Bool().Draw(t, "mean")
	switch rapid.IntRange(0, 4).Draw(t, "criterion") {
	case 0:
		o.Threshold = &Threshold{Fail: &Limit{Op: ">", Value: rapid.Float64Range(0.01, 50).Draw(t, "limit")}}
		if rapid.Bool().Draw(t, "interval") {
			o.Threshold.Confidence = 0.95
		}
	case 1:
		o.Adaptive = &Adaptive{}
		for range rapid.IntRange(0, 9).Draw(t, "runs") {
			s := drawSample(t, "run", k)
			if r := Judge(Options{}, []Input{{Objective: Objective{Mean: o.Mean}, Sample: s}}).Results[0].Run; r != nil {
				in.History = append(in.History, *r)
			}
		}
	case 2:
		o.Comparison = &Comparison{Point: rapid.Bool().Draw(t, "point")}
	case 3:
		o.Watch = &Watch{}
		if o.Worse == WorseEither {
			o.Worse = WorseHigher
		}
	}
	if o.Comparison != nil || o.Watch != nil {
		base := drawSample(t, "baseline", k)
		in.Baseline = &base
	}
	return in
}

func TestVerdictsAreWellFormed(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var inputs []Input
		for range rapid.IntRange(1, 4).Draw(t, "objectives") {
			inputs = append(inputs, drawInput(t))
		}
		v := Judge(Options{}, inputs)
		wellFormed(t, v, len(inputs))
		for _, r := range v.Results {
			readable(t, r)
		}
	})
}

var exponent = regexp.MustCompile(`[0-9]e[+-][0-9]`)

// readable checks that numbers of everyday size lead to sentences and intervals
// that a person can read.
func readable(t *rapid.T, r Result) {
	for _, text := range append(r.Notes, r.Why) {
		if exponent.MatchString(text) {
			t.Fatalf("%s: %q", r.Criterion, text)
		}
	}
	if r.Kind != Ratio && r.Low > 0 && !math.IsInf(float64(r.High), 1) && r.High > tooWide*tooWide*r.Low {
		t.Fatalf("interval %v … %v", r.Low, r.High)
	}
	if r.Kind == Ratio && r.Low > 0 && float64(r.Low)*r.N < 0.02 {
		t.Fatalf("%v of %v requests as a lower bound", r.Low, r.N)
	}
}

// wellFormed checks what holds for every verdict.
func wellFormed(t interface{ Fatalf(string, ...any) }, v Verdict, n int) {
	if len(v.Results) != n {
		t.Fatalf("%d results for %d objectives", len(v.Results), n)
	}
	if _, err := json.Marshal(v); err != nil {
		t.Fatalf("verdict is not JSON: %v", err)
	}
	if _, known := severity[v.Status]; !known || v.Summary == "" {
		t.Fatalf("status %q, summary %q", v.Status, v.Summary)
	}
	for _, r := range v.Results {
		if _, known := severity[r.Status]; !known || r.Why == "" {
			t.Fatalf("status %q, why %q", r.Status, r.Why)
		}
		if r.Estimate.IsNaN() && (r.Status == StatusPass || r.Status == StatusWarn || r.Status == StatusInfo) {
			t.Fatalf("%s without an estimate", r.Status)
		}
		if r.Low > r.Estimate || r.High < r.Estimate {
			t.Fatalf("estimate %v outside [%v, %v]", r.Estimate, r.Low, r.High)
		}
		if r.PValue < 0 || r.PValue > 1 || r.EValue < 0 || r.Inflation < 1 || r.Needed < 0 {
			t.Fatalf("p %v, e %v, φ %v, needed %v", r.PValue, r.EValue, r.Inflation, r.Needed)
		}
	}
}

func TestSameInputSameVerdict(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		in := []Input{drawInput(t), drawInput(t)}
		a, _ := json.Marshal(Judge(Options{}, in))
		b, _ := json.Marshal(Judge(Options{}, in))
		if string(a) != string(b) {
			t.Fatalf("%s\n%s", a, b)
		}
	})
}

func TestOrderOfObjectivesIsIrrelevant(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		in := []Input{drawInput(t), drawInput(t), drawInput(t)}
		v := Judge(Options{}, in)
		w := Judge(Options{}, []Input{in[2], in[0], in[1]})
		if v.Status != w.Status {
			t.Fatalf("%s and %s", v.Status, w.Status)
		}
		for i, j := range []int{1, 2, 0} {
			if a, b := v.Results[i], w.Results[j]; a.Status != b.Status || !same(a.PValue, b.PValue) {
				t.Fatalf("%s (p %v) and %s (p %v)", a.Status, a.PValue, b.Status, b.PValue)
			}
		}
	})
}

func same(a, b Number) bool { return a == b || a.IsNaN() && b.IsNaN() }

func TestIdenticalSamplesNeverFail(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		in := drawInput(t)
		switch o := &in.Objective; {
		case o.Threshold != nil:
			return
		case o.Adaptive != nil:
			in.History = nil
			r := Judge(Options{}, []Input{{Objective: Objective{Mean: o.Mean}, Sample: in.Sample}}).Results[0].Run
			if r == nil {
				return
			}
			for range 5 {
				in.History = append(in.History, *r)
			}
		default:
			in.Baseline = &in.Sample
		}
		if v := Judge(Options{}, []Input{in}); v.Status == StatusFail {
			t.Fatalf("%s", v.Summary)
		}
	})
}

// badness ranks statuses for "never improves".
var badness = map[Status]int{StatusPass: 0, StatusInfo: 0, StatusWarn: 1, StatusLearning: 1, StatusInconclusive: 1, StatusFail: 2, StatusError: 3}

func TestMoreBadEventsNeverImprove(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		in := drawInput(t)
		in.Sample = drawSample(t, "ratio", Ratio)
		in.Objective.Worse = WorseHigher
		if in.Objective.Threshold != nil {
			in.Objective.Threshold.Confidence = 0 // there φ is the run's own
			in.Objective.Threshold.Fail.Value = 0.1
		}
		if in.Baseline != nil {
			base := drawSample(t, "baseline ratio", Ratio)
			in.Baseline = &base
		}
		if in.Objective.Adaptive != nil {
			in.History = nil
			for range 5 {
				s := drawSample(t, "run ratio", Ratio)
				if r := Judge(Options{}, []Input{{Sample: s}}).Results[0].Run; r != nil {
					in.History = append(in.History, *r)
				}
			}
		}
		worse := in
		worse.Sample.Slices = append([]Slice(nil), in.Sample.Slices...)
		for i := range worse.Sample.Slices {
			sl := &worse.Sample.Slices[i]
			sl.Bad = float64(rapid.IntRange(int(sl.Bad), int(sl.Total)).Draw(t, "more bad"))
		}
		before, after := Judge(Options{}, []Input{in}), Judge(Options{}, []Input{worse})
		if badness[after.Status] < badness[before.Status] {
			t.Fatalf("%s\nbecame\n%s", before.Summary, after.Summary)
		}
	})
}

func TestSlowerNeverImproves(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		in := drawInput(t)
		if in.Sample.Kind != Distribution || in.Objective.Worse != WorseHigher {
			return
		}
		slower := in
		slower.Sample = slowed(in.Sample, rapid.IntRange(1, 40).Draw(t, "buckets slower"))
		before, after := Judge(Options{}, []Input{in}), Judge(Options{}, []Input{slower})
		if badness[after.Status] < badness[before.Status] {
			t.Fatalf("%s\nbecame\n%s", before.Summary, after.Summary)
		}
	})
}

func TestUnitDoesNotMatter(t *testing.T) {
	// All latencies and limits times 2 (eight buckets of schema 3).
	rapid.Check(t, func(t *rapid.T) {
		in := drawInput(t)
		if in.Sample.Kind != Distribution {
			return
		}
		scaled := in
		scaled.Sample = doubled(in.Sample)
		if in.Baseline != nil {
			b := doubled(*in.Baseline)
			scaled.Baseline = &b
		}
		if th := in.Objective.Threshold; th != nil {
			scaled.Objective.Threshold = &Threshold{Confidence: th.Confidence, Fail: &Limit{Op: th.Fail.Op, Value: 2 * th.Fail.Value}}
		}
		scaled.History = append([]Run(nil), in.History...)
		for i := range scaled.History {
			scaled.History[i].Estimate *= 2
		}
		a, b := Judge(Options{}, []Input{in}), Judge(Options{}, []Input{scaled})
		if a.Status != b.Status {
			t.Fatalf("%s\nand doubled\n%s", a.Summary, b.Summary)
		}
		if x, y := float64(a.Results[0].Estimate)*2, float64(b.Results[0].Estimate); math.Abs(x-y) > 1e-9*math.Abs(x) {
			t.Fatalf("estimates %v and %v", x, y)
		}
	})
}

func doubled(s Sample) Sample { return slowed(s, 8) }

// slowed moves every latency up by a number of buckets of schema 3.
func slowed(s Sample, buckets int) Sample {
	by := math.Exp2(float64(buckets) / 8)
	out := s
	out.Slices = append([]Slice(nil), s.Slices...)
	for i := range out.Slices {
		if h := out.Slices[i].Histogram; h != nil {
			d := *h
			d.Sum *= by
			d.ZeroThreshold *= by
			d.Buckets = append([]Bucket(nil), h.Buckets...)
			for j := range d.Buckets {
				d.Buckets[j].Index += buckets
			}
			out.Slices[i].Histogram = &d
		}
	}
	return out
}

func TestWatchKeepsItsVerdictWhenTheEventsStop(t *testing.T) {
	// A look at which it failed stays failed: the evidence is the supremum.
	clean, broken := minute(Ratio, 1200, 0, 0), minute(Ratio, 1200, 400, 0)
	o := Objective{Watch: &Watch{}}
	if v := Judge(Options{}, []Input{{Objective: o, Sample: broken, Baseline: &clean}}); v.Status != StatusFail {
		t.Fatal(v.Summary)
	}
	for range 10 {
		broken.Slices = append(broken.Slices, clean.Slices...)
		clean.Slices = append(clean.Slices, clean.Slices[:30]...)
	}
	if v := Judge(Options{}, []Input{{Objective: o, Sample: broken, Baseline: &clean}}); v.Status != StatusFail {
		t.Fatal(v.Summary)
	}
}
