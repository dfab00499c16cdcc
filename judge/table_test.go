package judge

import (
	"encoding/json"
	"math"
	"strings"
	"testing"
)

func limit(op string, v float64) *Limit { return &Limit{Op: op, Value: v} }

func TestThreshold(t *testing.T) {
	value := func(xs ...float64) Sample {
		s := Sample{Kind: Value}
		for _, x := range xs {
			s.Slices = append(s.Slices, Slice{Seconds: 10, Value: Number(x)})
		}
		return s
	}
	for _, c := range []struct {
		name   string
		t      Threshold
		sample Sample
		want   Status
		why    string
	}{
		{"above", Threshold{Fail: limit(">", 0.2)}, minute(Distribution, 20114, 0, 0.35), StatusFail, "above the limit of 200 ms (20,114 requests)"},
		{"within", Threshold{Fail: limit(">", 0.2)}, minute(Distribution, 1200, 0, 0.1), StatusPass, "within the limit of 200 ms"},
		{"warning", Threshold{Fail: limit(">", 0.2), Warn: limit(">", 0.05)}, minute(Distribution, 1200, 0, 0.1), StatusWarn, "above the warning limit of 50 ms"},
		{"warning only", Threshold{Warn: limit(">", 0.05)}, minute(Distribution, 1200, 0, 0.1), StatusWarn, "warning"},
		{"at the limit", Threshold{Fail: limit(">=", 0.01)}, minute(Ratio, 1000, 10, 0), StatusFail, "at the limit of 1 %"},
		{"not beyond it", Threshold{Fail: limit(">", 0.01)}, minute(Ratio, 1000, 10, 0), StatusPass, ""},
		{"lower limit", Threshold{Fail: limit("<", 30)}, minute(Rate, 1200, 0, 0), StatusFail, "rate was 20/s, below the limit of 30/s"},
		{"no traffic fails a lower limit", Threshold{Fail: limit("<", 1)}, minute(Rate, 0, 0, 0), StatusFail, ""},
		{"no traffic passes no upper limit", Threshold{Fail: limit(">", 100)}, minute(Rate, 0, 0, 0), StatusInconclusive, "no traffic"},
		{"negative limit", Threshold{Fail: limit("<", -5)}, value(-7), StatusFail, "below the limit of -5"},
		{"negative limit kept", Threshold{Fail: limit("<", -5)}, value(-3), StatusPass, ""},
		{"too few requests", Threshold{Fail: limit(">", 0.5)}, minute(Ratio, 12, 0, 0), StatusInconclusive, "8 more are needed"},
		{"interval beyond", Threshold{Fail: limit(">", 0.01), Confidence: 0.95}, minute(Ratio, 1000, 40, 0), StatusFail, "beyond the limit"},
		{"interval within", Threshold{Fail: limit(">", 0.01), Confidence: 0.95}, minute(Ratio, 10000, 10, 0), StatusPass, ""},
		{"interval astride", Threshold{Fail: limit(">", 0.01), Confidence: 0.95}, minute(Ratio, 1000, 8, 0), StatusInconclusive, "more requests would settle it"},
		{"one point has no interval", Threshold{Fail: limit(">", 1), Confidence: 0.95}, value(0.5), StatusInconclusive, "no confidence interval"},
		{"no data", Threshold{Fail: limit(">", 1)}, Sample{Kind: Ratio}, StatusInconclusive, "not one request"},
		{"only gaps", Threshold{Fail: limit(">", 1)}, value(math.NaN(), math.NaN()), StatusInconclusive, "no data"},
		{"infinite", Threshold{Fail: limit(">", 1)}, value(math.Inf(-1)), StatusError, "infinite"},
		{"query failed", Threshold{Fail: limit(">", 1)}, Sample{Kind: Ratio, Err: "timeout"}, StatusError, "the query failed: timeout"},
		{"unknown kind", Threshold{Fail: limit(">", 1)}, Sample{Kind: "colour"}, StatusError, "unknown kind"},
		{"more bad than all", Threshold{Fail: limit(">", 1)}, minute(Ratio, 10, 12, 0), StatusError, "more bad requests"},
		{"unknown operator", Threshold{Fail: limit("=", 1)}, minute(Ratio, 1000, 1, 0), StatusError, "operator"},
		{"limit that is none", Threshold{Fail: limit(">", math.NaN())}, minute(Ratio, 1000, 1, 0), StatusError, "finite"},
		{"no limit", Threshold{}, minute(Ratio, 1000, 1, 0), StatusError, "needs a fail or a warn limit"},
	} {
		t.Run(c.name, func(t *testing.T) {
			v := Judge(Options{}, []Input{{Objective: Objective{Name: c.name, Threshold: &c.t}, Sample: c.sample}})
			if v.Status != c.want || !strings.Contains(v.Results[0].Why, c.why) {
				t.Errorf("%s: %s; want %s with %q", v.Status, v.Results[0].Why, c.want, c.why)
			}
		})
	}
}

func TestRequirePower(t *testing.T) {
	on, off := true, false
	in := Input{Objective: Objective{Threshold: &Threshold{Fail: limit(">", 0.01)}}, Sample: minute(Ratio, 100, 0, 0)}
	if v := Judge(Options{}, []Input{in}); v.Status != StatusPass {
		t.Errorf("by default: %s", v.Summary)
	}
	if v := Judge(Options{RequirePower: &on}, []Input{in}); v.Status != StatusInconclusive || v.Results[0].Needed == 0 {
		t.Errorf("with power required: %s", v.Summary)
	}
	base := minute(Ratio, 100, 0, 0)
	in = Input{Objective: Objective{Comparison: &Comparison{}}, Sample: minute(Ratio, 100, 0, 0), Baseline: &base}
	if v := Judge(Options{}, []Input{in}); v.Status != StatusInconclusive || v.Results[0].Needed < 200 || v.Results[0].Needed > 5000 {
		t.Errorf("by default: %s", v.Summary)
	}
	if v := Judge(Options{RequirePower: &off}, []Input{in}); v.Status != StatusPass {
		t.Errorf("without: %s", v.Summary)
	}
}

func TestComparison(t *testing.T) {
	zero, tenth := 0.0, 0.1
	for _, c := range []struct {
		name      string
		o         Objective
		now, base Sample
		want      Status
	}{
		{"slower", Objective{Comparison: &Comparison{}}, minute(Distribution, 12000, 0, 0.15), minute(Distribution, 12000, 0, 0.1), StatusFail},
		{"same", Objective{Comparison: &Comparison{Tolerance: &tenth}}, minute(Distribution, 12000, 0, 0.1), minute(Distribution, 12000, 0, 0.1), StatusPass},
		{"few", Objective{Quantile: 0.99, Comparison: &Comparison{}}, minute(Distribution, 60, 0, 0.1), minute(Distribution, 60, 0, 0.1), StatusInconclusive},
		{"faster is fine", Objective{Comparison: &Comparison{}}, minute(Distribution, 12000, 0, 0.05), minute(Distribution, 12000, 0, 0.1), StatusPass},
		{"faster is not, if either is worse", Objective{Worse: WorseEither, Comparison: &Comparison{}}, minute(Distribution, 12000, 0, 0.05), minute(Distribution, 12000, 0, 0.1), StatusFail},
		{"no errors at all", Objective{Comparison: &Comparison{}}, minute(Ratio, 2000, 0, 0), minute(Ratio, 2000, 0, 0), StatusPass},
		{"traffic gone", Objective{Worse: WorseLower, Comparison: &Comparison{}}, minute(Rate, 300, 0, 0), minute(Rate, 1200, 0, 0), StatusFail},
		{"point: within", Objective{Comparison: &Comparison{Point: true, Tolerance: &tenth}}, minute(Rate, 1300, 0, 0), minute(Rate, 1200, 0, 0), StatusPass},
		{"point: beyond", Objective{Worse: WorseHigher, Comparison: &Comparison{Point: true, Tolerance: &tenth}}, minute(Rate, 1321, 0, 0), minute(Rate, 1200, 0, 0), StatusFail},
		{"point: zero tolerance, equal", Objective{Worse: WorseEither, Comparison: &Comparison{Point: true, Tolerance: &zero}}, minute(Rate, 1200, 0, 0), minute(Rate, 1200, 0, 0), StatusPass},
		{"baseline without data", Objective{Comparison: &Comparison{}}, minute(Ratio, 2000, 0, 0), Sample{Kind: Ratio}, StatusInconclusive},
		{"baseline fails to load", Objective{Comparison: &Comparison{}}, minute(Ratio, 2000, 0, 0), Sample{Kind: Ratio, Err: "gone"}, StatusError},
		{"different kinds", Objective{Comparison: &Comparison{}}, minute(Ratio, 2000, 0, 0), minute(Rate, 2000, 0, 0), StatusError},
	} {
		t.Run(c.name, func(t *testing.T) {
			v := Judge(Options{}, []Input{{Objective: c.o, Sample: c.now, Baseline: &c.base}})
			if v.Status != c.want {
				t.Errorf("%s: %s; want %s", v.Status, v.Summary, c.want)
			}
		})
	}
	if v := Judge(Options{}, []Input{{Objective: Objective{Comparison: &Comparison{}}, Sample: minute(Ratio, 2000, 0, 0)}}); v.Status != StatusInconclusive {
		t.Errorf("without a baseline: %s", v.Summary)
	}
}

func TestWatch(t *testing.T) {
	for _, c := range []struct {
		name      string
		o         Objective
		now, base Sample
		want      Status
	}{
		{"no errors in 2,000", Objective{Watch: &Watch{}}, minute(Ratio, 2000, 0, 0), minute(Ratio, 2000, 0, 0), StatusPass},
		{"too early", Objective{Watch: &Watch{}}, minute(Ratio, 100, 0, 0), minute(Ratio, 100, 0, 0), StatusInconclusive},
		{"many errors", Objective{Watch: &Watch{}}, minute(Ratio, 2000, 200, 0), minute(Ratio, 2000, 2, 0), StatusFail},
		{"slow", Objective{Watch: &Watch{}}, minute(Distribution, 2000, 0, 0.2), minute(Distribution, 2000, 0, 0.1), StatusFail},
		{"traffic gone", Objective{Worse: WorseLower, Watch: &Watch{}}, minute(Rate, 500, 0, 0), minute(Rate, 2000, 0, 0), StatusFail},
		{"mean", Objective{Mean: true, Watch: &Watch{}}, minute(Distribution, 2000, 0, 0.2), minute(Distribution, 2000, 0, 0.1), StatusFail},
		{"either way", Objective{Worse: WorseEither, Watch: &Watch{}}, minute(Ratio, 2000, 0, 0), minute(Ratio, 2000, 0, 0), StatusError},
	} {
		t.Run(c.name, func(t *testing.T) {
			v := Judge(Options{}, []Input{{Objective: c.o, Sample: c.now, Baseline: &c.base}})
			if v.Status != c.want {
				t.Errorf("%s: %s; want %s", v.Status, v.Summary, c.want)
			}
		})
	}
}

func TestWatchOfMeansThatAreFarBetter(t *testing.T) {
	// The tail of the normal distribution underflows here; that must not turn
	// into evidence against the candidate.
	rng := newRand(3)
	now, base := Sample{Kind: Value}, Sample{Kind: Value}
	for i := range 300 {
		now.Slices = append(now.Slices, Slice{Seconds: 2, Value: Number(3.5 + rng.NormFloat64())})
		base.Slices = append(base.Slices, Slice{Seconds: 2, Value: Number(10 + rng.NormFloat64())})
		v := Judge(Options{}, []Input{{Objective: Objective{Watch: &Watch{}}, Sample: now, Baseline: &base}})
		if v.Status == StatusFail || v.Results[0].EValue > 1 {
			t.Fatalf("after %d slices: evidence %v, %s", i+1, v.Results[0].EValue, v.Summary)
		}
	}
}

func TestPinnedReference(t *testing.T) {
	o := Objective{Name: "latency", Worse: WorseHigher, Adaptive: &Adaptive{}}
	ref := learn(t, o, minute(Distribution, 1200, 0, 0.1))[0]
	for latency, want := range map[float64]Status{0.1: StatusPass, 0.2: StatusFail} {
		v := Judge(Options{}, []Input{{Objective: o, Sample: minute(Distribution, 1200, 0, latency), Reference: &ref}})
		if v.Status != want || !strings.Contains(v.Results[0].Why, "pinned reference") {
			t.Errorf("%v: %s", latency, v.Summary)
		}
	}
}

func TestConstantHistory(t *testing.T) {
	run := func(x float64) Run { return Run{Kind: Value, Estimate: Number(x), N: 1, Seconds: 60, Inflation: 1} }
	sample := func(x float64) Sample {
		return Sample{Kind: Value, Slices: []Slice{{Seconds: 60, Value: Number(x)}}}
	}
	o := Objective{Name: "failed logins", Worse: WorseHigher, Adaptive: &Adaptive{}}
	zeros := []Run{run(0), run(0), run(0), run(0), run(0)}
	for x, want := range map[float64]Status{0: StatusPass, 1: StatusInconclusive} {
		if v := Judge(Options{}, []Input{{Objective: o, Sample: sample(x), History: zeros}}); v.Status != want {
			t.Errorf("%v after zeros: %s", x, v.Summary)
		}
	}
	threes := []Run{run(3), run(3), run(3), run(3), run(3)}
	for x, want := range map[float64]Status{3.1: StatusPass, 4: StatusFail} {
		if v := Judge(Options{}, []Input{{Objective: o, Sample: sample(x), History: threes}}); v.Status != want {
			t.Errorf("%v after threes: %s", x, v.Summary)
		}
	}
}

// outcome is an objective that ends as told.
func outcome(st Status, role Role, weight float64) Input {
	in := Input{Objective: Objective{Name: string(st), Role: role, Weight: weight, Threshold: &Threshold{Fail: limit(">", 0.02), Warn: limit(">", 0.01)}}}
	switch st {
	case StatusPass:
		in.Sample = minute(Ratio, 1000, 0, 0)
	case StatusWarn:
		in.Sample = minute(Ratio, 1000, 15, 0)
	case StatusFail:
		in.Sample = minute(Ratio, 1000, 100, 0)
	case StatusInconclusive:
		in.Sample = Sample{Kind: Ratio}
	case StatusError:
		in.Sample = Sample{Kind: Ratio, Err: "timeout"}
	case StatusLearning:
		in.Objective.Threshold, in.Objective.Adaptive = nil, &Adaptive{}
		in.Sample = minute(Ratio, 1000, 0, 0)
	case StatusInfo:
		in.Objective.Threshold = nil
		in.Sample = minute(Ratio, 1000, 0, 0)
	}
	return in
}

func TestOverallStatus(t *testing.T) {
	for _, c := range []struct {
		list  []Status
		score *Score
		want  Status
	}{
		{nil, nil, StatusInconclusive},
		{[]Status{StatusInfo}, nil, StatusInfo},
		{[]Status{StatusPass, StatusInfo}, nil, StatusPass},
		{[]Status{StatusPass, StatusLearning}, nil, StatusLearning},
		{[]Status{StatusWarn, StatusLearning}, nil, StatusWarn},
		{[]Status{StatusWarn, StatusInconclusive}, nil, StatusInconclusive},
		{[]Status{StatusError, StatusInconclusive}, nil, StatusError},
		{[]Status{StatusError, StatusFail, StatusPass}, nil, StatusFail},
		{[]Status{StatusPass, StatusPass, StatusPass, StatusFail}, &Score{Pass: 75, Warn: 50}, StatusPass},
		{[]Status{StatusPass, StatusPass, StatusWarn, StatusFail}, &Score{Pass: 75, Warn: 50}, StatusWarn},
		{[]Status{StatusPass, StatusFail, StatusFail, StatusFail}, &Score{Pass: 75, Warn: 50}, StatusFail},
		{[]Status{StatusPass, StatusError, StatusError, StatusFail}, &Score{Pass: 75, Warn: 50}, StatusError},
		{[]Status{StatusLearning}, &Score{Pass: 75, Warn: 50}, StatusLearning},
	} {
		var inputs []Input
		for _, st := range c.list {
			inputs = append(inputs, outcome(st, "", 0))
		}
		if v := Judge(Options{Score: c.score}, inputs); v.Status != c.want {
			t.Errorf("%v, score %v: %s (%s), want %s", c.list, c.score, v.Status, v.Summary, c.want)
		}
	}
}

func TestRolesAndWeights(t *testing.T) {
	score := &Score{Pass: 80, Warn: 50}
	for _, c := range []struct {
		name   string
		inputs []Input
		want   Status
	}{
		{"a failed key objective fails the whole", []Input{outcome(StatusPass, "", 99), outcome(StatusFail, RoleKey, 1)}, StatusFail},
		{"a key objective without data does not pass", []Input{outcome(StatusPass, "", 99), outcome(StatusInconclusive, RoleKey, 1)}, StatusInconclusive},
		{"weights", []Input{outcome(StatusPass, "", 9), outcome(StatusFail, "", 1)}, StatusPass},
		{"information decides nothing", []Input{outcome(StatusPass, "", 1), outcome(StatusFail, RoleInfo, 9)}, StatusPass},
	} {
		if v := Judge(Options{Score: score}, c.inputs); v.Status != c.want {
			t.Errorf("%s: %s, want %s", c.name, v.Summary, c.want)
		}
	}
	v := Judge(Options{}, []Input{outcome(StatusFail, RoleInfo, 0), outcome(StatusError, RoleInfo, 0), outcome(StatusPass, "", 0)})
	if v.Status != StatusPass || v.Results[0].Status != StatusInfo || v.Results[1].Status != StatusError {
		t.Errorf("informational objectives: %s, %s, %s", v.Status, v.Results[0].Status, v.Results[1].Status)
	}
}

func TestHolmSparesTheOthers(t *testing.T) {
	// One clear regression among healthy objectives fails alone.
	o := func(name string) Objective { return Objective{Name: name, Worse: WorseHigher, Adaptive: &Adaptive{}} }
	runs := learn(t, o("errors"), minute(Ratio, 1200, 3, 0), minute(Ratio, 1200, 2, 0), minute(Ratio, 1200, 4, 0), minute(Ratio, 1200, 1, 0), minute(Ratio, 1200, 3, 0))
	var inputs []Input
	for range 9 {
		inputs = append(inputs, Input{Objective: o("healthy"), Sample: minute(Ratio, 1200, 3, 0), History: runs})
	}
	inputs = append(inputs, Input{Objective: o("broken"), Sample: minute(Ratio, 1200, 60, 0), History: runs})
	v := Judge(Options{}, inputs)
	for i, r := range v.Results {
		if want := i == 9; want != (r.Status == StatusFail) {
			t.Errorf("%s: %s", r.Name, r.Why)
		}
		if r.PValue < 0.01 && r.Status != StatusFail {
			t.Errorf("%s has the corrected p-value %v", r.Name, r.PValue)
		}
	}
	if !strings.Contains(v.Summary, "1 failed, 9 passed of 10 objectives") {
		t.Error(v.Summary)
	}
}

func TestBadOptionsDoNotPass(t *testing.T) {
	for _, o := range []Options{{Alpha: -1}, {Alpha: math.NaN()}, {Alpha: 0.7}, {Score: &Score{Pass: 10, Warn: 20}}} {
		if v := Judge(o, []Input{outcome(StatusPass, "", 0)}); v.Status != StatusError {
			t.Errorf("%+v: %s", o, v.Summary)
		}
	}
	for _, o := range []Objective{
		{Quantile: 1}, {Quantile: 0.5, Mean: true}, {Worse: "sideways"}, {Role: "boss"}, {Weight: -1},
		{Adaptive: &Adaptive{}, Watch: &Watch{}}, {Adaptive: &Adaptive{Tolerance: new(math.NaN())}},
	} {
		if v := Judge(Options{}, []Input{{Objective: o, Sample: minute(Ratio, 1000, 0, 0)}}); v.Status != StatusError {
			t.Errorf("%+v: %s", o, v.Summary)
		}
	}
}

func TestVerdictSurvivesJSON(t *testing.T) {
	v := Judge(Options{}, []Input{outcome(StatusError, "", 0), outcome(StatusFail, "", 0)})
	data, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	var back Verdict
	if err := json.Unmarshal(data, &back); err != nil {
		t.Fatal(err)
	}
	if !back.Results[0].Estimate.IsNaN() || back.Results[1].Estimate != v.Results[1].Estimate || back.Status != v.Status {
		t.Errorf("%+v", back)
	}
}

func TestNumbersForPeople(t *testing.T) {
	for _, c := range []struct{ got, want string }{
		{duration(0.312), "312 ms"}, {duration(1.2345), "1.23 s"}, {duration(0.0000853), "85.3 µs"}, {duration(0), "0 ms"},
		{duration(0.9999), "1 s"}, {duration(3000), "50 min"}, {percent(0.0213), "2.13 %"}, {percent(0.5), "50 %"},
		{number(20114), "20,114"}, {number(-1234567), "-1,234,567"}, {number(0.00012), "0.00012"}, {number(99.96), "100"},
		{quantity(1536, "By"), "1.5 KiB"}, {quantity(12, "EUR"), "12 EUR"}, {quantity(12, "%"), "12 %"}, {count(2.5), "2.5"},
		{quantileName(0.95), "p95"}, {quantileName(0.999), "p99.9"}, {number(math.NaN()), "unknown"},
	} {
		if c.got != c.want {
			t.Errorf("%q, want %q", c.got, c.want)
		}
	}
}
