package guardian

import (
	"fmt"
	"strings"
	"time"

	"github.com/tidegate-io/tidegate/change"
	"github.com/tidegate-io/tidegate/judge"
)

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
	said := strings.TrimSuffix(v.Verdict.Summary, ".")
	if v.Status == judge.StatusFail || v.Status == judge.StatusWarn {
		if m, ok := worst(v, measured); ok {
			said = complaint(result(v, m.objective.Name), m.objective, g)
		}
		switch c, ok := v.Evidence.Cause(); {
		case ok:
			first := "failure"
			if len(v.Evidence.Failures) == 0 {
				first = "slow request"
			}
			said += fmt.Sprintf(" since %s, %s before the first %s", effect(c.Event), ago(c.SecondsBefore), first)
		case v.Evidence != nil && len(v.Evidence.Failures) > 0:
			f := v.Evidence.Failures[0]
			said += fmt.Sprintf("; the failures begin in %s, %s", f.Service, f.Operation)
		}
	}
	return words[v.Status] + ": " + said
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
	switch {
	case r.Estimate.IsNaN():
	case o.Indicator.ErrorRate != nil && r.Estimate > 0:
		return fmt.Sprintf("%s of %s fail", Format(r.Estimate, r.Kind, r.Unit), what)
	case o.Indicator.Latency != nil && !r.Limit.IsNaN():
		return fmt.Sprintf("the %s of %s is %s, over the limit of %s", r.Statistic, what,
			Format(r.Estimate, r.Kind, r.Unit), Format(r.Limit, r.Kind, r.Unit))
	}
	return r.Name + ": " + strings.TrimSuffix(r.Why, ".")
}

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

// ago is a length of time for a sentence: "41 s", "3 min", "2 h 5 min". A
// change within the tolerated clock skew after the failure is "0 s" before.
func ago(seconds float64) string {
	d := time.Duration(max(seconds, 0) * float64(time.Second)).Round(time.Second)
	switch {
	case d < 2*time.Minute:
		return fmt.Sprintf("%d s", int(d.Seconds()))
	case d < 2*time.Hour:
		return fmt.Sprintf("%d min", int(d.Minutes()))
	case d < 48*time.Hour:
		return fmt.Sprintf("%d h %d min", int(d.Hours()), int(d.Minutes())%60)
	}
	return fmt.Sprintf("%d days", int(d.Hours()/24))
}
