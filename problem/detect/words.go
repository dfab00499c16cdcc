package detect

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/tidegate-io/tidegate/problem"
	"github.com/tidegate-io/tidegate/telemetry"
)

// describe fills in what an event says in words: severity, title, reason, and
// the query that shows it.
func describe(e *problem.Event) {
	of := e.Operation
	if of == "" {
		of = e.Service
	}
	seen, usual := figure(e.Observed, e.Unit), figure(e.Expected, e.Unit)
	switch e.Signal {
	case problem.SignalErrors:
		e.Severity = problem.SeverityError
		if e.Observed >= 0.9 {
			e.Severity = problem.SeverityAvailability
		}
		e.Title = fmt.Sprintf("%s: %s of the requests fail", of, seen)
		e.Why = fmt.Sprintf("%.0f of %.0f requests failed; usually %s do.", e.Affected, e.Requests, usual)
	case problem.SignalLatency:
		e.Severity = problem.SeveritySlowdown
		e.Title = fmt.Sprintf("%s: requests take %s", of, seen)
		e.Why = fmt.Sprintf("The median is %s, usually %s; %.0f of %.0f requests were slower than the usual ones by far.",
			seen, usual, e.Affected, e.Requests)
	case problem.SignalSlowest:
		e.Severity = problem.SeveritySlowdown
		e.Title = fmt.Sprintf("%s: the slowest tenth of the requests takes more than %s", of, seen)
		e.Why = fmt.Sprintf("A tenth of the requests takes more than %s, usually more than %s; %.0f of %.0f requests were slower than that by far.",
			seen, usual, e.Affected, e.Requests)
	case problem.SignalTrafficDrop:
		e.Severity = problem.SeverityAvailability
		e.Title = fmt.Sprintf("%s: fewer requests than usual", of)
		e.Why = fmt.Sprintf("There were %s, %s would be usual: %.0f are missing.", seen, usual, e.Affected)
	case problem.SignalNoData:
		e.Severity = problem.SeverityAvailability
		e.Title = fmt.Sprintf("%s: no requests any more", of)
		e.Why = fmt.Sprintf("%s would be usual: %.0f requests are missing.", usual, e.Affected)
	case problem.SignalTrafficSurge:
		e.Severity = problem.SeverityResource
		e.Informational = true // by itself more traffic hurts nobody
		e.Title = fmt.Sprintf("%s: more requests than usual", of)
		e.Why = fmt.Sprintf("There were %s, %s would be usual.", seen, usual)
	}
	e.Query = query(e)
}

// figure writes a number with its unit.
func figure(x float64, unit string) string {
	switch unit {
	case "ratio":
		return short(x*100) + " %"
	case "s":
		if x < 1 {
			return short(x*1000) + " ms"
		}
		return short(x) + " s"
	}
	return short(x) + " " + unit
}

// short writes three significant digits.
func short(x float64) string {
	if x == 0 || math.IsNaN(x) || math.IsInf(x, 0) {
		return strconv.FormatFloat(x, 'g', 3, 64)
	}
	digits := max(0, 2-int(math.Floor(math.Log10(math.Abs(x)))))
	text := strconv.FormatFloat(x, 'f', min(digits, 6), 64)
	if strings.Contains(text, ".") {
		text = strings.TrimRight(strings.TrimRight(text, "0"), ".")
	}
	return text
}

// query is PromQL that shows the signal to a person.
func query(e *problem.Event) string {
	conds := telemetry.LabelService + "=" + strconv.Quote(e.Service)
	if e.Environment != "" {
		conds += "," + telemetry.LabelEnvironment + "=" + strconv.Quote(e.Environment)
	}
	if e.Operation != "" {
		conds += "," + telemetry.LabelOperation + "=" + strconv.Quote(e.Operation)
	}
	conds += "," + telemetry.LabelKind + `=~"` + telemetry.LabelKindServer + "|" + telemetry.LabelKindConsumer + `"`
	calls := telemetry.MetricCalls + "{" + conds + "}[1m]"
	switch e.Signal {
	case problem.SignalErrors:
		failed := telemetry.MetricCalls + "{" + conds + "," + telemetry.LabelStatus + "=" + strconv.Quote(telemetry.LabelStatusError) + "}[1m]"
		return "sum(rate(" + failed + ")) / sum(rate(" + calls + "))"
	case problem.SignalLatency, problem.SignalSlowest:
		q := "0.5"
		if e.Signal == problem.SignalSlowest {
			q = "0.9"
		}
		return "histogram_quantile(" + q + ", sum(rate(" + telemetry.MetricDuration + "{" + conds + "}[1m])))"
	}
	return "sum(rate(" + calls + "))"
}

// inDays writes a long time, in days where it has any.
func inDays(d time.Duration) string {
	if d < 24*time.Hour {
		return d.String()
	}
	days := short(d.Hours() / 24)
	if d == 24*time.Hour {
		return "a day"
	}
	return days + " days"
}
