package guardian

import (
	"fmt"
	"strings"
	"time"

	"github.com/tidegate-io/tidegate/change"
	"github.com/tidegate-io/tidegate/judge"
)

// defaultMinRuns is package judge's.
const defaultMinRuns = 5

// words are how a headline begins.
var words = map[judge.Status]string{
	judge.StatusPass:         "Go",
	judge.StatusWarn:         "Go with a warning",
	judge.StatusFail:         "No-go",
	judge.StatusInconclusive: "Inconclusive",
	judge.StatusLearning:     "Learning",
	judge.StatusInfo:         "For information",
	judge.StatusError:        "Error",
}

// headline is the verdict as one sentence, with the cause where it is known:
// "No-go: 50 % of checkout requests fail since paymentServiceFailure went on,
// 41 s before the first failure".
func headline(v Validation, g Guardian, measured []measurement) string {
	return words[v.Status] + ": " + gist(v, g, measured)
}

func gist(v Validation, g Guardian, measured []measurement) string {
	m, found := worst(v, measured)
	switch {
	case found && (v.Status == judge.StatusFail || v.Status == judge.StatusWarn):
		return complaint(result(v, m.objective.Name), m.objective, g) + because(v)
	case found && (v.Status == judge.StatusInconclusive || v.Status == judge.StatusError):
		return reason(result(v, m.objective.Name))
	case v.Status == judge.StatusLearning:
		if n, of := progress(v, measured); n > 0 {
			return fmt.Sprintf("run %d of the %d that teach what is normal for %s", n, of, g.Name)
		}
	case v.Status == judge.StatusPass:
		if n := held(v); n > 1 {
			return fmt.Sprintf("all %d objectives of %s hold", n, g.Name)
		}
		return "the objective of " + g.Name + " holds"
	}
	return strings.TrimSuffix(v.Verdict.Summary, ".")
}

// because names the cause, or where the failures begin, where either is known.
func because(v Validation) string {
	c, known := v.Evidence.Cause()
	switch {
	case known && len(v.Evidence.Failures) == 0:
		return fmt.Sprintf(" since %s, %s before the first slow request", effect(c.Event), ago(c.SecondsBefore))
	case known:
		return fmt.Sprintf(" since %s, %s before the first failure", effect(c.Event), ago(c.SecondsBefore))
	case v.Evidence != nil && len(v.Evidence.Failures) > 0:
		f := v.Evidence.Failures[0]
		return fmt.Sprintf("; the failures begin in %s, %s", f.Service, f.Operation)
	}
	return ""
}

// progress is how many runs the objective that needs the most has, with this
// one, of those it learns from before it judges.
func progress(v Validation, measured []measurement) (n, of int) {
	for i, r := range v.Verdict.Results {
		if a := measured[i].objective.Adaptive; r.Status == judge.StatusLearning && a != nil {
			runs := a.MinRuns
			if runs == 0 {
				runs = defaultMinRuns
			}
			if of == 0 || runs-r.Learned > of-n {
				n, of = r.Learned, runs
			}
		}
	}
	if of == 0 || n >= of {
		return 0, 0
	}
	return n + 1, of
}

// held counts the objectives that decided a pass.
func held(v Validation) (n int) {
	for _, r := range v.Verdict.Results {
		if r.Role != judge.RoleInfo && r.Status == judge.StatusPass {
			n++
		}
	}
	return n
}

func result(v Validation, objective string) judge.Result {
	for _, r := range v.Verdict.Results {
		if r.Name == objective {
			return r
		}
	}
	return judge.Result{}
}

// complaint says what is wrong, without a full stop.
func complaint(r judge.Result, o Objective, g Guardian) string {
	what := o.target(g).Service + " requests"
	if op := o.operation(); op != "" {
		what = op + " requests of " + o.target(g).Service
	}
	limit, name := r.Limit, "the limit"
	if r.Status == judge.StatusWarn && !r.Warn.IsNaN() {
		limit, name = r.Warn, "the warning limit"
	}
	switch {
	case r.Estimate.IsNaN():
	case o.Indicator.ErrorRate != nil && r.Estimate > 0:
		return fmt.Sprintf("%s of %s fail", Format(r.Estimate, r.Kind, r.Unit), what)
	case o.Indicator.Latency != nil && r.Estimate > limit: // a new tail may be what warns
		return fmt.Sprintf("the %s of %s is %s, over %s of %s", r.Statistic, what,
			Format(r.Estimate, r.Kind, r.Unit), name, Format(limit, r.Kind, r.Unit))
	}
	return reason(r)
}

func reason(r judge.Result) string { return r.Name + ": " + strings.TrimSuffix(r.Why, ".") }

// effect says what a change did: "paymentServiceFailure went on".
func effect(e change.Event) string {
	switch {
	case e.Kind == change.KindFlag && e.Key != "" && (e.To == "on" || e.To == "off"):
		return e.Key + " went " + e.To
	case e.Kind == change.KindFlag && e.Key != "" && e.To != "":
		return e.Key + " was set to " + e.To
	case e.Kind == change.KindDeployment && e.Service != "" && e.To != "":
		return e.Service + " " + e.To + " was deployed"
	case e.Kind == change.KindDeployment && e.Service != "":
		return "the deployment of " + e.Service
	case e.Kind == change.KindConfiguration && e.Key != "":
		return e.Key + " was changed"
	}
	return "“" + e.Title + "”"
}

// ago is a length of time for a sentence: "0.4 s", "41 s", "3 min",
// "2 h 5 min". A change within the tolerated clock skew after the failure is
// "0.0 s" before.
func ago(seconds float64) string {
	d := time.Duration(max(seconds, 0) * float64(time.Second))
	switch {
	case d < 10*time.Second:
		return fmt.Sprintf("%.1f s", d.Seconds())
	case d < 2*time.Minute:
		return fmt.Sprintf("%.0f s", d.Seconds())
	case d < 2*time.Hour:
		return fmt.Sprintf("%.0f min", d.Minutes())
	case d < 48*time.Hour:
		return fmt.Sprintf("%d h %d min", int(d.Hours()), int(d.Minutes())%60)
	}
	return fmt.Sprintf("%d days", int(d.Hours()/24))
}
