package report_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"math"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tidegate-io/tidegate/change"
	"github.com/tidegate-io/tidegate/entity"
	"github.com/tidegate-io/tidegate/evidence"
	"github.com/tidegate-io/tidegate/fault"
	"github.com/tidegate-io/tidegate/guardian"
	"github.com/tidegate-io/tidegate/internal/report"
	"github.com/tidegate-io/tidegate/judge"
	"github.com/tidegate-io/tidegate/telemetry"
	"github.com/tidegate-io/tidegate/workflow"
)

var update = flag.Bool("update", false, "rewrite the golden files")

var (
	begin = time.Date(2026, 11, 20, 23, 40, 0, 0, time.UTC)
	nan   = judge.Number(math.NaN())
)

// course draws a value that changes from a to b at a moment, with a gap.
func course(a, b float64, at time.Time) (out [][2]judge.Number) {
	for t := begin.Add(-time.Minute); t.Before(begin.Add(time.Minute)); t = t.Add(2 * time.Second) {
		v := a
		if !t.Before(at) {
			v = b
		}
		n := judge.Number(v * (1 + 0.06*math.Sin(float64(t.Unix())*1.7)))
		if t.Equal(begin.Add(-20 * time.Second)) {
			n = nan
		}
		out = append(out, [2]judge.Number{judge.Number(t.Unix()), n})
	}
	return out
}

// noGo is the report of the story that the product is for.
func noGo() report.Input {
	flip := change.Event{
		ID: "flip", Type: change.TypeFlagChanged, Kind: change.KindFlag, Key: "paymentServiceFailure", From: "off", To: "on",
		Who: "kim", Reason: "show the failure", Start: begin.Add(-35 * time.Second), Ref: entity.Ref{Service: "payment", Environment: "dev"},
	}
	stack := "goroutine 412 [running]:\ngo.opentelemetry.io/otel/sdk/trace.recordStackTrace()\n\t/root/go/pkg/mod/go.opentelemetry.io/otel/sdk@v1.46.0/trace/span.go:559 +0x4a\nmain.(*server).Charge(0xc000012340)\n\t/src/demo/shop/payment/charge.go:61 +0x3f1\nnet/http.HandlerFunc.ServeHTTP(...)\n\t/usr/local/go/src/net/http/server.go:2220\n"
	first := begin.Add(6 * time.Second)
	v := guardian.Validation{
		ID: "0193-7", Guardian: "checkout", Number: 7, Target: entity.Ref{Service: "checkout", Environment: "dev"},
		Tags:   map[string]string{"purpose": "acceptance", "tool": "k6", "requests": "1180"},
		Window: guardian.Window{From: begin, To: begin.Add(time.Minute)}, State: guardian.StateFinished, Trigger: "workflow", Who: "judge-every-load-test",
		Created: begin.Add(time.Minute), Started: begin.Add(65 * time.Second), Finished: begin.Add(66 * time.Second), Status: judge.StatusFail,
		Headline: "No-go: 50 % of checkout requests fail since paymentServiceFailure went on, 41 s before the first failure",
		Training: guardian.TrainingAuto,
		Verdict: &judge.Verdict{Status: judge.StatusFail, Alpha: 0.01, Results: []judge.Result{
			{Name: "latency", Status: judge.StatusPass, Role: judge.RoleRequired, Kind: judge.Distribution, Unit: "s", Statistic: "p95", Estimate: 0.0431, Low: 0.0412, High: 0.0455,
				Limit: 0.0612, LimitLow: nan, Warn: nan, Baseline: 0.042, N: 1180, MDE: 0.11, Why: "p95 was 43.1 ms, within the learned limit of 61.2 ms (1,180 requests)."},
			{Name: "errors", Status: judge.StatusFail, Role: judge.RoleKey, Kind: judge.Ratio, Statistic: "error rate", Estimate: 0.498, Low: 0.46, High: 0.53,
				Limit: 0.0072, LimitLow: nan, Warn: nan, Baseline: 0, N: 1180, MDE: nan, Why: "49.8 % of 1,180 requests failed, above the learned limit of 0.72 %.", Notes: []string{"Errors exist only since this run."}},
			{Name: "traffic", Status: judge.StatusWarn, Role: judge.RoleRequired, Kind: judge.Rate, Statistic: "rate", Estimate: 19.7, Low: 18.9, High: 20.4,
				Limit: 17.6, LimitLow: nan, Warn: 19.8, Baseline: 19.9, N: 1180, MDE: 0.1, Why: "19.7 requests a second, near the learned limit of 17.6/s."},
			{Name: "revenue", Status: judge.StatusInfo, Role: judge.RoleInfo, Kind: judge.Value, Unit: "EUR", Statistic: "mean", Estimate: nan, Low: nan, High: nan,
				Limit: nan, LimitLow: nan, Warn: nan, Baseline: nan, MDE: nan, Why: "There is no data."},
		}},
		Sources: []guardian.Source{
			{Objective: "latency", Queries: []string{`histogram_quantile(0.95, sum(rate(traces_span_metrics_duration_seconds{service_name="checkout"}[1m])))`}, Window: guardian.Window{From: begin, To: begin.Add(time.Minute)}, Series: course(0.041, 0.043, first)},
			{Objective: "errors", Window: guardian.Window{From: begin, To: begin.Add(time.Minute)}, Series: course(0, 0.5, first)},
			{Objective: "traffic", Window: guardian.Window{From: begin, To: begin.Add(time.Minute)}, Series: course(20, 19.7, first)},
			{Objective: "revenue", Window: guardian.Window{From: begin, To: begin.Add(time.Minute)}},
		},
		Evidence: &evidence.Evidence{
			FailedTraces: 588, FirstFailure: first,
			Failures: []evidence.FailureGroup{{
				Signature: "a1", Service: "payment", Operation: "PaymentService/Charge", ExceptionType: "*payment.RefusedError", Message: "charge <n> refused",
				Path:  []evidence.Hop{{Service: "checkout", Operation: "PlaceOrder", Kind: "server"}, {Service: "payment", Operation: "PaymentService/Charge", Kind: "server"}},
				Count: 588, Share: 1, FirstSeen: first, LastSeen: begin.Add(59 * time.Second),
				Exemplars: []evidence.Exemplar{{TraceID: telemetry.TraceID{1, 2, 3}, SpanID: telemetry.SpanID{4}, Time: begin.Add(59 * time.Second), Duration: 12 * time.Millisecond,
					Exception: &telemetry.Exception{Type: "*payment.RefusedError", Message: "charge 4711 refused", Stacktrace: stack}, Frames: evidence.ParseStack(stack)}},
			}},
			Slow: []evidence.SlowPath{{Service: "shipping", Operation: "Quote", Candidate: 12 * time.Millisecond, Baseline: 9 * time.Millisecond}},
			Logs: []evidence.LogTemplate{{Service: "payment", Severity: "ERROR", Template: "charge <n> refused by <*>", Count: 588, New: true}},
			Changes: []evidence.Candidate{
				{Event: flip, On: flip.Ref, SecondsBefore: 41, Likely: true, Score: 0.9, Why: "It changed payment, where the failures begin; 41 s before the first failure."},
				{Event: change.Event{Kind: change.KindDeployment, Key: "checkout", From: "1.3", To: "1.4", Who: "ci", Start: begin.Add(-3 * time.Hour), Ref: entity.Ref{Service: "checkout"}}, SecondsBefore: 10806, Score: 0.02, Why: "It changed checkout, which the failures go through; 3 h before the first failure; too long before to blame it."},
			},
			Gaps: []string{"logs of cart could not be read: timeout"},
		},
	}
	undo := flip
	undo.ID, undo.From, undo.To, undo.UndoOf, undo.Who, undo.Reason, undo.Start = "undo", "on", "off", "flip", "tidegate", "validation 7 of checkout failed", v.Finished.Add(3*time.Second)
	check := guardian.Validation{ID: "0193-8", Guardian: "checkout", Number: 8, State: guardian.StateFinished, Status: judge.StatusPass, Headline: "Go: all 3 objectives hold",
		Window: guardian.Window{From: begin.Add(70 * time.Second), To: begin.Add(100 * time.Second)}, Finished: begin.Add(106 * time.Second)}
	return report.Input{
		Validation: v, Actions: []change.Event{undo}, Verification: &check, Generated: begin.Add(2 * time.Minute),
		WorkflowRun: &workflow.Run{Steps: []workflow.StepRun{{Name: "verdict", Kind: "validate", State: workflow.StateDone}, {Name: "undo", Kind: "undo", State: workflow.StateDone}, {Name: "tell", Kind: "notify", State: workflow.StateFailed, Error: "connection refused"}}},
	}
}

func learning() report.Input {
	in := noGo()
	v := &in.Validation
	v.Status, v.Verdict.Status, v.Headline, v.Evidence = judge.StatusLearning, judge.StatusLearning, "Learning: 2 of 5 runs", nil
	v.Verdict.Results = v.Verdict.Results[:1]
	v.Verdict.Results[0].Status, v.Verdict.Results[0].Limit = judge.StatusLearning, nan
	return report.Input{Validation: *v}
}

// watched is a canary that was ended by the evidence, before its time.
func watched() report.Input {
	in := noGo()
	v := &in.Validation
	v.Window.To = begin.Add(36 * time.Second)
	v.Verdict.Results = v.Verdict.Results[:2]
	for i := range v.Verdict.Results {
		v.Verdict.Results[i].Criterion = "watch"
	}
	v.Verdict.Results[0].Status = judge.StatusInconclusive
	v.Watch = &guardian.Watch{Until: begin.Add(time.Minute), Courses: []guardian.WatchCourse{
		{Objective: "errors", Kind: judge.Ratio, Status: judge.StatusFail, FailAt: 200, Looks: looks(0, 0, 1, 1.4, 0.8, 1, 1.2, 6, nan, 90, 3106, 2e7)},
		{Objective: "latency", Kind: judge.Distribution, Unit: "s", Status: judge.StatusInconclusive, FailAt: 200, Looks: looks(20956, 1, 1, 1.1, 2.3, 3.04)},
	}}
	return in
}

// looks are three seconds apart; so many requests are needed at the last.
func looks(needed float64, evidence ...judge.Number) (out []guardian.Look) {
	for i, e := range evidence {
		out = append(out, guardian.Look{Time: begin.Add(time.Duration(i+1) * 3 * time.Second), EValue: e, N: float64(60 * (i + 1))})
	}
	out[len(out)-1].Needed = needed
	return out
}

func unfinished() report.Input {
	return report.Input{Validation: guardian.Validation{ID: "x", Guardian: "checkout", Number: 9, State: guardian.StatePending,
		Window: guardian.Window{From: begin, To: begin.Add(time.Minute)}, Trigger: "manual"}}
}

func render(t *testing.T, f report.Format, in report.Input) string {
	t.Helper()
	var b bytes.Buffer
	if err := report.Render(&b, f, in); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestGolden(t *testing.T) {
	for name, in := range map[string]report.Input{"nogo": noGo(), "learning": learning(), "unfinished": unfinished(), "watched": watched()} {
		for _, f := range []report.Format{report.HTML, report.Markdown, report.JSON} {
			got := render(t, f, in)
			if again := render(t, f, in); again != got {
				t.Errorf("%s %s: two renderings differ", name, f)
			}
			file := filepath.Join("testdata", name+f.Extension())
			if *update {
				if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), got); diff != "" {
				t.Errorf("%s (-want +got; go test -update after looking):\n%s", file, diff)
			}
		}
	}
}

// What a reader must find in it, whatever the wording around it.
func TestTellsTheWholeStory(t *testing.T) {
	for _, f := range []report.Format{report.HTML, report.Markdown} {
		got := strings.ReplaceAll(render(t, f, noGo()), `\`, "")
		for _, want := range []string{
			"50 % of checkout requests fail", "No-go", // verdict
			"paymentServiceFailure: flag set from off to on", "kim", "41 s before the first failure", // change
			"PaymentService/Charge", "charge 4711 refused", "charge.go:61", // evidence
			"flag set from on to off", "3.0 s after the verdict", // undone
			"Go: all 3 objectives hold",       // verification
			"46 % to 53 %", "0.72 %", "1,180", // interval, limit, n
			"connection refused", "cart could not be read", // what went wrong on the way
		} {
			if !strings.Contains(got, want) {
				t.Errorf("%s: %q is missing", f, want)
			}
		}
	}
}

func TestHTMLNeedsNothingElse(t *testing.T) {
	got := render(t, report.HTML, noGo())
	for _, bad := range []string{"<script", "src=", "@import", "url(", "href=", "http:", "https:"} {
		if strings.Contains(got, bad) {
			t.Errorf("%q in a self-contained report", bad)
		}
	}
	if n := strings.Count(got, "<svg"); n != 3 {
		t.Errorf("%d charts, want 3: one objective has no data", n)
	}
	if strings.Contains(got, "NaN") || strings.Contains(got, "ZgotmplZ") {
		t.Error("a value that was not written")
	}
}

// Everything in a report was once sent by somebody.
func TestHostileText(t *testing.T) {
	const evil = "</pre></style><script>alert(1)</script>\n```\n# [x](javascript:alert(1)) | `"
	in := noGo()
	in.BaseURL = "javascript:alert(1)//"
	v := &in.Validation
	v.Headline, v.Who, v.Guardian, v.Tags = evil, evil, evil, map[string]string{evil: evil}
	v.Verdict.Results[1].Name, v.Verdict.Results[1].Why, v.Verdict.Results[1].Unit = evil, evil, evil
	v.Sources[1].Objective, v.Sources[1].Queries = evil, []string{evil}
	g := &v.Evidence.Failures[0]
	g.Service, g.Operation, g.Note, g.Path[0].Service = evil, evil, evil, evil
	g.Exemplars[0].Exception.Message, g.Exemplars[0].Exception.Stacktrace, g.Exemplars[0].Frames[0].Function = evil, evil, evil
	v.Evidence.Changes[0].Event.Key, v.Evidence.Changes[0].Why = evil, evil
	v.Evidence.Logs[0].Template, v.Evidence.Gaps[0] = evil, evil
	in.Actions[0].Title, in.Actions[0].Key, in.Actions[0].Reason = evil, evil, evil

	html := render(t, report.HTML, in)
	if strings.Contains(html, "<script") || strings.Contains(html, `href="javascript`) || strings.Count(html, "</style>") != 1 {
		t.Error("HTML that is not ours")
	}
	for i, line := range strings.Split(render(t, report.Markdown, in), "\n") {
		if strings.HasPrefix(line, "```") && strings.Trim(line, "`") != "" {
			t.Errorf("line %d: %q", i+1, line)
		}
	}
	if md := render(t, report.Markdown, in); !fenced(md) {
		t.Error("Markdown: hostile text outside of a code block keeps its meaning")
	}
}

// fenced reports whether "<script" and "](javascript" occur in code blocks only.
func fenced(md string) bool {
	fence := regexp.MustCompile("^`{3,}$")
	open := ""
	for _, line := range strings.Split(md, "\n") {
		switch {
		case open == "" && fence.MatchString(line):
			open = line
		case open != "" && line == open:
			open = ""
		case open == "" && (strings.Contains(line, "<script") || strings.Contains(line, "[x](javascript")):
			return false
		}
	}
	return open == ""
}

func TestJSON(t *testing.T) {
	var doc struct {
		Schema, Headline, Status, Decision string
		Validation                         guardian.Validation
		Verification                       guardian.Validation
		Actions                            []change.Event
	}
	if err := json.Unmarshal([]byte(render(t, report.JSON, noGo())), &doc); err != nil {
		t.Fatal(err)
	}
	if doc.Schema != "tidegate.dev/report/v1" || doc.Status != "fail" || doc.Validation.Number != 7 || doc.Verification.Number != 8 || len(doc.Actions) != 1 || !strings.HasPrefix(doc.Decision, "No-go") {
		t.Errorf("%+v", doc)
	}
}

func TestLinks(t *testing.T) {
	in := noGo()
	in.BaseURL = "https://tidegate.example/"
	got := render(t, report.HTML, in)
	for _, want := range []string{`href="https://tidegate.example/validations/0193-7"`, `href="https://tidegate.example/traces/01020300000000000000000000000000?span=0400000000000000"`} {
		if !strings.Contains(got, want) {
			t.Errorf("no %s", want)
		}
	}
}

func TestParseFormat(t *testing.T) {
	for in, want := range map[string]report.Format{"": report.HTML, "html": report.HTML, "md": report.Markdown, "markdown": report.Markdown, "json": report.JSON} {
		if got, err := report.ParseFormat(in); err != nil || got != want {
			t.Errorf("%q: %q, %v", in, got, err)
		}
	}
	if _, err := report.ParseFormat("pdf"); !fault.Is(err, fault.KindInvalid) {
		t.Errorf("pdf: %v", err)
	}
	if err := report.Render(&bytes.Buffer{}, "pdf", noGo()); !fault.Is(err, fault.KindInvalid) {
		t.Errorf("pdf: %v", err)
	}
}

func TestWatchIsDrawn(t *testing.T) {
	got := render(t, report.HTML, watched())
	if n := strings.Count(got, "<svg"); n != 4 {
		t.Errorf("%d charts, want 4: two objectives, and the evidence of both", n)
	}
	for _, f := range []report.Format{report.HTML, report.Markdown} {
		got := render(t, f, watched())
		for _, want := range []string{
			"evidence that it is worse: over a million to 1, it fails at 200 to 1", "evidence that it is worse: 3.04 to 1", "21,000 more requests",
		} {
			if !strings.Contains(strings.ReplaceAll(got, "\u202f", ","), want) {
				t.Errorf("%s: %q is missing", f, want)
			}
		}
	}
	for name, looks := range map[string][]guardian.Look{
		"none": nil, "one": looks(0, 5), "no number": looks(0, nan, nan), "infinite": looks(0, 1, judge.Number(math.Inf(1))), "nought": looks(0, 0),
	} {
		in := watched()
		in.Validation.Watch.Courses[0].Looks = looks
		if got := render(t, report.HTML, in); strings.Contains(got, "NaN") || strings.Contains(got, "Inf") || strings.Contains(got, "ZgotmplZ") {
			t.Errorf("%s: a value that was not written", name)
		}
	}
}

// Odd series must not break a picture.
func TestChartsOfOddSeries(t *testing.T) {
	for name, series := range map[string][][2]judge.Number{
		"one point":  {{judge.Number(begin.Unix()), 1}},
		"all zero":   course(0, 0, begin),
		"all gaps":   {{judge.Number(begin.Unix()), nan}, {judge.Number(begin.Unix() + 2), nan}},
		"negative":   {{judge.Number(begin.Unix()), -1}, {judge.Number(begin.Unix() + 2), 1}},
		"infinite":   {{judge.Number(begin.Unix()), judge.Number(math.Inf(1))}, {judge.Number(begin.Unix() + 2), 1}},
		"enormous":   course(1e300, 1e308, begin),
		"tiny":       course(1e-12, 1e-12, begin),
		"not a time": {{nan, 1}, {nan, 2}},
	} {
		in := noGo()
		in.Validation.Sources[0].Series = series
		if got := render(t, report.HTML, in); strings.Contains(got, "NaN") || strings.Contains(got, "Inf,") || strings.Contains(got, ",Inf") {
			t.Errorf("%s: a coordinate that is none", name)
		}
	}
}
