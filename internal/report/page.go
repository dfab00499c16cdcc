package report

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/tidegate-io/tidegate/change"
	"github.com/tidegate-io/tidegate/evidence"
	"github.com/tidegate-io/tidegate/guardian"
	"github.com/tidegate-io/tidegate/judge"
	"github.com/tidegate-io/tidegate/workflow"
)

// page is a report in words, before it is HTML or Markdown.
type page struct {
	Title    string
	Headline string
	Status   status
	URL      string
	Facts    []fact
	Tags     []fact

	Decision string
	Actions  []action
	Verified *verified
	Steps    []step

	Cause      *candidate
	Failures   []failure
	FailedText string
	Slow       []slow
	Logs       []evidence.LogTemplate
	Others     []candidate
	Gaps       []string

	Objectives []objective
	Judged     string
	Generated  string
}

// status is never colour alone: a word and a shape go with it.
type status struct {
	Name, Word, Shape string
}

func statusOf(s judge.Status) status {
	words := map[judge.Status][2]string{
		judge.StatusPass:         {"Pass", "✓"},
		judge.StatusWarn:         {"Warning", "!"},
		judge.StatusFail:         {"Fail", "✕"},
		judge.StatusInconclusive: {"Inconclusive", "?"},
		judge.StatusLearning:     {"Learning", "↻"},
		judge.StatusInfo:         {"Information", "i"},
		judge.StatusError:        {"Error", "✕"},
	}
	if w, ok := words[s]; ok {
		return status{string(s), w[0], w[1]}
	}
	return status{"info", "Not finished", "…"}
}

type fact struct{ Name, Value string }

type action struct {
	What, Who, When, After, Reason string
}

type verified struct {
	Status       status
	Headline     string
	When, Window string
}

type step struct{ Name, Kind, State, Error string }

type candidate struct {
	What, Who, When, Before, Where, Why, Reason string
}

type failure struct {
	evidence.FailureGroup
	Share, Seen, Exception, Stack string
	Frames                        []evidence.Frame
	Exemplars                     []exemplar
}

type exemplar struct{ ID, URL, When, Took string }

type slow struct {
	Service, Operation, Candidate, Baseline, More string
}

type objective struct {
	Name, Statistic, Why    string
	Status                  status
	Estimate, Interval      string
	Limit, Baseline, N, MDE string
	Role                    string
	Notes                   []string
	Queries                 []string
	Chart                   *chart
	Evidence                *evidenceChart
}

func newPage(in Input) page {
	v := in.Validation
	p := page{
		Title:    fmt.Sprintf("Validation %d of %s", v.Number, v.Guardian),
		Headline: headline(v),
		Status:   statusOf(v.Status),
		Facts:    facts(in),
		Tags:     otherTags(v),
		Decision: decision(in),
		Judged:   judged(v),
	}
	if in.BaseURL != "" {
		p.URL = strings.TrimSuffix(in.BaseURL, "/") + "/validations/" + v.ID
	}
	if !in.Generated.IsZero() {
		p.Generated = moment(in.Generated)
	}
	for _, e := range in.Actions {
		p.Actions = append(p.Actions, newAction(e, v))
	}
	if c := in.Verification; c != nil {
		p.Verified = &verified{statusOf(c.Status), headline(*c), moment(c.Finished), period(c.Window)}
	}
	p.Steps = steps(in.WorkflowRun)
	p.explain(v, in.BaseURL)
	p.objectives(v, in.Guardian)
	return p
}

func headline(v guardian.Validation) string {
	switch {
	case v.Headline != "":
		return v.Headline
	case v.Verdict != nil:
		return v.Verdict.Summary
	}
	return "The validation has not finished"
}

// decision says what the verdict means for the release.
func decision(in Input) string {
	v := in.Validation
	text := map[judge.Status]string{
		judge.StatusPass:         "Go: nothing speaks against this release.",
		judge.StatusWarn:         "Go, with a warning: the limits hold, but not by much.",
		judge.StatusFail:         "No-go: this release is not to go on.",
		judge.StatusInconclusive: "No decision: there is too little to judge by, which is not a pass.",
		judge.StatusLearning:     "No decision yet: the guardian is still learning what is normal.",
		judge.StatusInfo:         "Nothing was to be decided: all objectives are for information.",
		judge.StatusError:        "No decision: the validation could not be done, which is not a pass.",
	}[v.Status]
	if text == "" {
		return "No decision yet: the validation has not finished."
	}
	switch v.Training {
	case guardian.TrainingAccepted:
		text += " A person accepted this run as normal."
	case guardian.TrainingRejected:
		text += " A person rejected this run as a reference for what is normal."
	}
	return text
}

func facts(in Input) []fact {
	v := in.Validation
	out := []fact{{"Guardian", v.Guardian}, {"Service", v.Target.String()}, {"Time judged", period(v.Window)}}
	asked := v.Trigger
	if v.Who != "" && !strings.HasPrefix(v.Who, v.Trigger) {
		asked = v.Who + " (" + v.Trigger + ")"
	} else if v.Who != "" {
		asked = v.Who
	}
	out = append(out, fact{"Asked for by", asked})
	if !v.Finished.IsZero() {
		out = append(out, fact{"Verdict at", moment(v.Finished)})
	}
	for _, t := range prominent {
		if value := v.Tags[t]; value != "" {
			out = append(out, fact{strings.ToUpper(t[:1]) + t[1:], value})
		}
	}
	return out
}

// prominent tags stand among the facts; the others, which may be many, are
// listed after them.
var prominent = []string{"purpose", "environment", "stage", "version", "build", "commit"}

func otherTags(v guardian.Validation) []fact {
	var out []fact
	for k, t := range v.Tags {
		if !slices.Contains(prominent, k) {
			out = append(out, fact{k, t})
		}
	}
	slices.SortFunc(out, func(a, b fact) int { return strings.Compare(a.Name, b.Name) })
	return out
}

func newAction(e change.Event, v guardian.Validation) action {
	a := action{What: what(e), Who: e.Who, When: moment(e.Start), Reason: e.Reason}
	if d := e.Start.Sub(v.Finished); !v.Finished.IsZero() && d >= 0 {
		a.After = span(d) + " after the verdict"
	}
	return a
}

// what says what an event did, with its values where they are known.
func what(e change.Event) string {
	switch {
	case e.Kind == change.KindFlag && e.Key != "" && e.To != "" && e.From != "":
		return fmt.Sprintf("%s: flag set from %s to %s", e.Key, e.From, e.To)
	case e.Kind == change.KindFlag && e.Key != "" && e.To != "":
		return fmt.Sprintf("%s: flag set to %s", e.Key, e.To)
	case e.Kind == change.KindDeployment && e.To != "" && e.From != "":
		return fmt.Sprintf("%s: deployed %s, was %s", placeOf(e), e.To, e.From)
	case e.Kind == change.KindDeployment && e.To != "":
		return fmt.Sprintf("%s: deployed %s", placeOf(e), e.To)
	case e.Title != "":
		return e.Title
	}
	return e.Type
}

func placeOf(e change.Event) string {
	if e.Service != "" {
		return e.Service
	}
	return e.Key
}

func steps(run *workflow.Run) []step {
	if run == nil {
		return nil
	}
	var out []step
	for _, s := range run.Steps {
		out = append(out, step{s.Name, s.Kind, string(s.State), s.Error})
	}
	return out
}

func judged(v guardian.Validation) string {
	if v.Verdict == nil || v.Verdict.Alpha == 0 {
		return ""
	}
	text := fmt.Sprintf("The judge accepts at most one false alarm in %.0f such verdicts.", 1/v.Verdict.Alpha)
	if v.Verdict.Score != nil {
		text += fmt.Sprintf(" The score is %.0f of 100.", *v.Verdict.Score)
	}
	return text
}

// moment writes a time for readers anywhere.
func moment(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format("2 Jan 2006 15:04:05 UTC")
}

func period(w guardian.Window) string {
	return fmt.Sprintf("%s to %s (%s)", w.From.UTC().Format("2 Jan 2006 15:04:05"), w.To.UTC().Format("15:04:05 UTC"), span(w.Length()))
}

// span writes a length of time for people: "410 ms", "41 s", "2 min 5 s".
func span(d time.Duration) string {
	switch {
	case d < 0:
		return "−" + span(-d)
	case d < time.Second:
		return guardian.Format(judge.Number(d.Seconds()), judge.Distribution, "s")
	case d < 10*time.Second:
		return fmt.Sprintf("%.1f s", d.Seconds())
	case d < 2*time.Minute:
		return fmt.Sprintf("%.0f s", d.Seconds())
	case d < time.Hour:
		return strings.TrimSuffix(fmt.Sprintf("%d min %d s", int(d.Minutes()), int(d.Seconds())%60), " 0 s")
	}
	return strings.TrimSuffix(fmt.Sprintf("%d h %d min", int(d.Hours()), int(d.Minutes())%60), " 0 min")
}
