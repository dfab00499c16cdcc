package cause

import (
	"encoding/json"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tidegate-io/tidegate/change"
	"github.com/tidegate-io/tidegate/entity"
	"github.com/tidegate-io/tidegate/evidence"
	"github.com/tidegate-io/tidegate/problem"
)

func shuffled[T any](rnd *rand.Rand, list []T) []T {
	out := slices.Clone(list)
	rnd.Shuffle(len(out), func(i, j int) { out[i], out[j] = out[j], out[i] })
	return out
}

// TestOrderDoesNotMatter: the same facts in another order are the same facts.
func TestOrderDoesNotMatter(t *testing.T) {
	rnd := rand.New(rand.NewPCG(3, 4))
	for name, c := range worlds() {
		in := c.l.Input
		in.Symptoms, in.Calls, in.Series = shuffled(rnd, in.Symptoms), shuffled(rnd, in.Calls), shuffled(rnd, in.Series)
		in.Failures, in.Slow, in.Logs, in.Changes = shuffled(rnd, in.Failures), shuffled(rnd, in.Slow), shuffled(rnd, in.Logs), shuffled(rnd, in.Changes)
		for i := range in.Series {
			in.Series[i].Points, in.Series[i].History = shuffled(rnd, in.Series[i].Points), shuffled(rnd, in.Series[i].History)
		}
		if diff := cmp.Diff(Find(c.l.Input), Find(in)); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
}

// TestInputIsLeftAlone: the caller's slices are not reordered.
func TestInputIsLeftAlone(t *testing.T) {
	for name, c := range worlds() {
		before, err := json.Marshal(c.l.Input)
		if err != nil {
			t.Fatal(err)
		}
		Find(c.l.Input)
		after, err := json.Marshal(c.l.Input)
		if err != nil || string(before) != string(after) {
			t.Errorf("%s: the input was changed (%v)", name, err)
		}
	}
}

// TestUnrelatedChangesDoNotMatter: what was done at another place, in another
// environment, or after it began, is not blamed whatever it is.
func TestUnrelatedChangesDoNotMatter(t *testing.T) {
	for name, c := range worlds() {
		in := c.l.Input
		in.Changes = slices.Clone(in.Changes)
		for _, e := range []change.Event{
			{Ref: prod("unheard-of"), Start: onset.Add(-20 * time.Second)},
			{Ref: entity.Ref{Service: "payment", Environment: "staging"}, Start: onset.Add(-20 * time.Second)},
			{Ref: entity.Ref{Service: "catalog", Environment: "staging"}, Start: onset.Add(-20 * time.Second)},
			{Ref: prod("payment"), Start: onset.Add(4 * time.Minute)},
			{Ref: prod("checkout"), Start: onset.Add(4 * time.Minute)},
		} {
			e.ID, e.Kind, e.Title = "unrelated-"+e.Ref.String(), change.KindDeployment, "charge card nil boom memory failure"
			in.Changes = append(in.Changes, e)
		}
		got := Find(in)
		if answer(got) != c.want {
			t.Errorf("%s: %+v, want %+v: %s", name, answer(got), c.want, got.Sentence)
		}
	}
}

// TestTimeOfDayDoesNotMatter: the same an odd time later is the same.
func TestTimeOfDayDoesNotMatter(t *testing.T) {
	const by = 77*time.Hour + 13*time.Minute + 5*time.Second
	for name, c := range worlds() {
		was, got := Find(c.l.Input), Find(moved77(c.l.Input, by))
		if answer(got) != answer(was) || got.Confidence != was.Confidence {
			t.Errorf("%s: %+v (%v), was %+v (%v)", name, answer(got), got.Confidence, answer(was), was.Confidence)
		}
	}
}

func moved77(in Input, by time.Duration) Input {
	in.Now = in.Now.Add(by)
	in.Symptoms, in.Series, in.Failures = slices.Clone(in.Symptoms), slices.Clone(in.Series), slices.Clone(in.Failures)
	in.Logs, in.Changes = slices.Clone(in.Logs), slices.Clone(in.Changes)
	for i := range in.Symptoms {
		in.Symptoms[i].Start = in.Symptoms[i].Start.Add(by)
	}
	for i, s := range in.Series {
		in.Series[i].Points = slices.Clone(s.Points)
		for j := range s.Points {
			in.Series[i].Points[j].Time = s.Points[j].Time.Add(by)
		}
	}
	for i := range in.Failures {
		in.Failures[i].Started = in.Failures[i].Started.Add(by)
	}
	for i := range in.Logs {
		in.Logs[i].First = in.Logs[i].First.Add(by)
	}
	for i := range in.Changes {
		in.Changes[i].Start = in.Changes[i].Start.Add(by)
	}
	return in
}

// TestUnitsDoNotMatter: latencies in milliseconds and shares in percent say
// the same.
func TestUnitsDoNotMatter(t *testing.T) {
	for name, c := range worlds() {
		in := c.l.Input
		in.Series = slices.Clone(in.Series)
		for i, s := range in.Series {
			if s.Metric != "latency" {
				continue
			}
			in.Series[i].Points = slices.Clone(s.Points)
			for j := range s.Points {
				in.Series[i].Points[j].Value *= 1000
			}
		}
		if got := Find(in); answer(got) != c.want {
			t.Errorf("%s: %+v, want %+v", name, answer(got), c.want)
		}
	}
}

// TestHostileInput: whatever comes from outside, there is an answer with a
// confidence that is one.
func TestHostileInput(t *testing.T) {
	nan := []Point{{onset, math.NaN()}, {onset, math.Inf(1)}, {onset.Add(time.Second), -1}, {time.Time{}, 1e308}}
	symptom := []problem.Event{{ID: "a", Signal: problem.SignalErrors, Ref: prod("a"), Start: onset, EValue: 5}}
	for name, in := range map[string]Input{
		"nothing":              {},
		"no symptom":           {Series: []Series{{Ref: prod("a"), Metric: "errors", Points: nan}}},
		"a symptom of nothing": {Symptoms: []problem.Event{{}}},
		"no numbers":           {Symptoms: symptom, Series: []Series{{Ref: prod("a"), Metric: "errors", Points: nan, History: []float64{math.NaN()}}, {Metric: "latency"}}},
		"it calls itself":      {Symptoms: symptom, Calls: []Call{{prod("a"), prod("a")}}},
		"a cycle":              {Symptoms: symptom, Calls: []Call{{prod("a"), prod("b")}, {prod("b"), prod("c")}, {prod("c"), prod("a")}}, Failures: []evidence.FailureGroup{{Service: "b", Count: 1}}},
		"groups of nowhere":    {Symptoms: symptom, Failures: []evidence.FailureGroup{{}, {Count: -5, Service: "a"}}, Slow: []evidence.SlowPath{{}}, Logs: []evidence.LogTemplate{{}, {Severity: "ERROR", Count: 9}}},
		"changes of nothing":   {Symptoms: symptom, Changes: []change.Event{{}, {Kind: change.KindDeployment}, {Kind: change.KindFlag, Start: onset}}},
		"a strange diff":       {Symptoms: symptom, Changes: []change.Event{{Kind: change.KindDeployment, Ref: prod("a"), Start: onset.Add(-time.Second), Properties: map[string]string{PropertyDiff: "-\"\n+'\n-(((\n+" + strings.Repeat("9", 400), PropertyFiles: " \n"}}}},
		"environments unclear": {Symptoms: symptom, Series: []Series{{Ref: entity.Ref{Service: "a"}, Metric: "errors"}, {Ref: entity.Ref{Service: "a", Environment: "x"}, Metric: "errors"}}},
		"the clock runs ahead": {Now: onset.Add(-time.Hour), Symptoms: symptom, Series: []Series{{Ref: prod("a"), Metric: "errors", Points: []Point{{onset, 1}}}}},
		"trouble where nobody complains": {Now: onset.Add(time.Hour), Symptoms: symptom, Series: []Series{{Ref: prod("elsewhere"), Metric: "errors",
			Points: line(0, append(repeat(30, 0), repeat(30, 9)...)...)}}},
		"everything at one time": {Symptoms: symptom, Series: []Series{{Ref: prod("a"), Metric: "errors", Points: slices.Repeat([]Point{{onset, 1}}, 50)}}},
	} {
		got := Find(in)
		if math.IsNaN(got.Confidence) || got.Confidence < 0 || got.Confidence > 1 || got.Kind == "" || got.Remedy == "" || got.Sentence == "" {
			t.Errorf("%s: %+v", name, got)
		}
		if _, err := json.Marshal(got); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// FuzzFind feeds series, graphs and changes of any shape.
func FuzzFind(f *testing.F) {
	f.Add([]byte("some bytes make a world of their own"), "panic: nil pointer", "-\tif x == nil {\n+\treturn x.y")
	f.Add([]byte{0, 255, 128, 7, 7, 7, 200, 1, 2, 3, 4, 5, 6, 7, 8, 9}, "x509: certificate has expired", "+++ b/a.go\n-timeout: 15m\n+timeout: 15s")
	f.Fuzz(func(t *testing.T, raw []byte, message, diff string) {
		raw = raw[:min(len(raw), 100)]
		in := Input{Symptoms: []problem.Event{{ID: "s", Signal: problem.SignalErrors, Ref: prod("a"), Start: onset, Title: message}}}
		names := []string{"a", "b", "c", "d", ""}
		metrics := []string{"errors", "latency", "requests", "availability", "cpu", "cert_expiry", message}
		for i := 0; i+4 <= len(raw); i += 4 {
			a, b := names[int(raw[i])%len(names)], names[int(raw[i+1])%len(names)]
			in.Calls = append(in.Calls, Call{prod(a), prod(b)})
			s := Series{Ref: prod(a), Metric: metrics[int(raw[i+2])%len(metrics)], Step: time.Duration(raw[i+3]) * time.Second}
			for j := range raw {
				s.Points = append(s.Points, Point{onset.Add(time.Duration(j-len(raw)/2) * 10 * time.Second), float64(raw[j]) - float64(raw[i])})
			}
			in.Series = append(in.Series, s)
			in.Changes = append(in.Changes, change.Event{ID: a, Kind: change.KindDeployment, Title: message, Ref: prod(b),
				Start: onset.Add(time.Duration(raw[i+3])*time.Second - time.Minute), Properties: map[string]string{PropertyDiff: diff, PropertyFiles: message}})
			in.Logs = append(in.Logs, evidence.LogTemplate{Service: a, Severity: "ERROR", Template: message, Count: int(raw[i])})
			in.Failures = append(in.Failures, evidence.FailureGroup{Service: b, Message: message, Count: int(raw[i+1]), Peer: a})
		}
		got := Find(in)
		if math.IsNaN(got.Confidence) || got.Confidence < 0 || got.Confidence > 1 || got.Kind == "" || got.Remedy == "" {
			t.Errorf("%+v", got)
		}
		for _, s := range got.Ranking {
			if math.IsNaN(s.Score) || math.IsInf(s.Score, 0) {
				t.Errorf("score %v of %s", s.Score, s.Ref)
			}
		}
	})
}
