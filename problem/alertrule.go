package problem

import (
	"cmp"
	"context"
	"encoding/hex"
	"fmt"
	"hash/fnv"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/tidegate-io/tidegate/change"
	"github.com/tidegate-io/tidegate/entity"
	"github.com/tidegate-io/tidegate/fault"
	"github.com/tidegate-io/tidegate/telemetry"
)

// Sample is one series of the answer to a query.
type Sample struct {
	Labels map[string]string
	Value  float64
}

// Querier answers PromQL at one time.
type Querier interface {
	Query(ctx context.Context, promql string, at time.Time) ([]Sample, error)
}

// Limits and defaults of alert rules.
const (
	defaultAlertEvery = 15 * time.Second
	minAlertEvery     = time.Second
	maxAlertEvery     = time.Hour
	maxAlertFor       = 24 * time.Hour
	maxAlertSeries    = 1000 // of one rule
)

// AlertRule is an alert that a person wrote: a query, a limit, and for how
// long it must be crossed. Every series of the answer is an alert of its own.
type AlertRule struct {
	Name   string            `json:"name"`
	Labels map[string]string `json:"labels,omitempty"`

	Query string `json:"query" doc:"PromQL"`
	// Op and Value are the limit: ">", ">=", "<", "<=", "==" or "!=". Without
	// Op, every series that the query returns crosses it, as in Prometheus.
	Op    string  `json:"op,omitempty"`
	Value float64 `json:"value,omitempty"`
	// For is how long the limit is crossed before the event is raised, KeepFor
	// how long it is kept before the event is over.
	For     time.Duration `json:"for,omitempty"`
	KeepFor time.Duration `json:"keepFor,omitempty"`
	Every   time.Duration `json:"every,omitempty" doc:"default 15 s"`

	Unit     string   `json:"unit,omitempty"`
	Title    string   `json:"title,omitempty"`
	Severity Severity `json:"severity,omitempty" doc:"of the event; custom when empty"`
	// Service and Environment are the place when the series' labels name none.
	Service     string `json:"service,omitempty"`
	Environment string `json:"environment,omitempty"`
}

// Validate checks the definition. The error is a fault of KindInvalid that
// names the place. The query itself is checked by whoever answers it.
func (r *AlertRule) Validate() error {
	switch {
	case strings.TrimSpace(r.Query) == "" || len(r.Query) > maxText:
		return fault.InvalidField("spec.query", "expected a PromQL expression of at most %d bytes", maxText)
	case r.Op != "" && !slices.Contains([]string{">", ">=", "<", "<=", "==", "!="}, r.Op):
		return fault.InvalidField("spec.limit", "%q is not a comparison", r.Op)
	case math.IsNaN(r.Value) || math.IsInf(r.Value, 0):
		return fault.InvalidField("spec.limit", "expected a finite number")
	case r.For < 0 || r.For > maxAlertFor:
		return fault.InvalidField("spec.for", "expected at most %s", maxAlertFor)
	case r.KeepFor < 0 || r.KeepFor > maxAlertFor:
		return fault.InvalidField("spec.keepFor", "expected at most %s", maxAlertFor)
	case r.Every != 0 && (r.Every < minAlertEvery || r.Every > maxAlertEvery):
		return fault.InvalidField("spec.every", "expected %s to %s", minAlertEvery, maxAlertEvery)
	case r.Severity != "" && r.Severity.rank() == len(severities):
		return fault.InvalidField("spec.raise.severity", "%q: expected one of %s", r.Severity, wordsOf(severities))
	case len(r.Title) > maxEventTitle:
		return fault.InvalidField("spec.raise.title", "is longer than %d bytes", maxEventTitle)
	}
	return nil
}

func (r *AlertRule) every() time.Duration { return cmp.Or(r.Every, defaultAlertEvery) }

// crossed reports whether a value crosses the limit; no number never does.
func (r *AlertRule) crossed(v float64) bool {
	switch r.Op {
	case "":
		return true
	case ">":
		return v > r.Value
	case ">=":
		return v >= r.Value
	case "<":
		return v < r.Value
	case "<=":
		return v <= r.Value
	case "==":
		return v == r.Value
	}
	return v != r.Value && !math.IsNaN(v)
}

// alertRule is a rule at work.
type alertRule struct {
	AlertRule
	next   time.Time               // when it is evaluated next
	series map[string]*alertSeries // by their labels
	broken bool                    // it was said that the query fails
}

// alertSeries is what a rule knows of one series that crosses the limit, or did
// until lately.
type alertSeries struct {
	since time.Time // of the crossing
	last  time.Time // the limit was crossed last
	event *Event    // while it lasts
}

// evaluate takes the answer of one time and returns the events to raise.
func (r *alertRule) evaluate(samples []Sample, at time.Time) []Event {
	var out []Event
	crossed := map[string]Sample{}
	for _, s := range samples {
		key := seriesKey(s.Labels)
		if r.crossed(s.Value) && (r.series[key] != nil || len(r.series)+len(crossed) < maxAlertSeries) {
			crossed[key] = s
		}
	}
	for key, s := range crossed {
		x := r.series[key]
		if x == nil {
			x = &alertSeries{since: at}
			r.series[key] = x
		}
		x.last = at
		if x.event == nil && at.Sub(x.since) >= r.For {
			x.event = r.event(key, s, x.since, at)
		}
		if x.event != nil {
			x.event.Observed, x.event.Why = s.Value, r.why(s.Value, x.since)
			x.event.Expires = at.Add(3*r.every() + r.KeepFor + time.Minute)
			out = append(out, *x.event)
		}
	}
	for key, x := range r.series {
		if _, lasts := crossed[key]; lasts || x.event != nil && at.Sub(x.last) < r.KeepFor {
			continue
		}
		if x.event != nil {
			e := *x.event
			e.End = at
			out = append(out, e)
		}
		delete(r.series, key)
	}
	slices.SortFunc(out, func(a, b Event) int { return cmp.Compare(a.ID, b.ID) })
	return out
}

func (r *alertRule) event(key string, s Sample, since, at time.Time) *Event {
	e := &Event{
		ID:     change.DeriveID(SourceAlert, r.Name, key, since.UTC().Format(time.RFC3339Nano)),
		Source: SourceAlert, Signal: SignalAlert, Severity: cmp.Or(r.Severity, SeverityCustom), Title: r.Title,
		Ref:   entity.Ref{Service: cmp.Or(s.Labels[telemetry.LabelService], s.Labels["service"], r.Service), Environment: cmp.Or(s.Labels[telemetry.LabelEnvironment], s.Labels["environment"], r.Environment)},
		Start: since, Detected: at, Expected: r.Value, Unit: r.Unit, Query: r.Query,
		Tags: map[string]string{"rule": r.Name, "series": key},
	}
	e.Service, e.Environment = cut(e.Service, maxName), cut(e.Environment, maxName)
	if e.Title == "" {
		e.Title = "Alert " + r.Name
		if place := e.Ref.String(); place != "" {
			e.Title += " of " + place
		}
	}
	return e
}

func (r *alertRule) why(value float64, since time.Time) string {
	number := func(v float64) string {
		text := strconv.FormatFloat(v, 'g', 4, 64)
		if r.Unit != "" {
			text += " " + r.Unit
		}
		return text
	}
	if r.Op == "" {
		return fmt.Sprintf("the query returns %s, since %s", number(value), since.UTC().Format("15:04:05"))
	}
	return fmt.Sprintf("%s, the limit is %s %s; since %s", number(value), r.Op, number(r.Value), since.UTC().Format("15:04:05"))
}

// adopt goes on with events that last since an earlier process.
func (r *alertRule) adopt(events []Event) {
	for i := range events {
		e := events[i]
		r.series[e.Tags["series"]] = &alertSeries{since: e.Start, last: e.Seen, event: &e}
	}
}

// seriesKey identifies a series by its labels.
func seriesKey(labels map[string]string) string {
	names := make([]string, 0, len(labels))
	for n := range labels {
		names = append(names, n)
	}
	slices.Sort(names)
	h := fnv.New128a()
	for _, n := range names {
		fmt.Fprintf(h, "%d %s %d %s ", len(n), n, len(labels[n]), labels[n])
	}
	return hex.EncodeToString(h.Sum(nil))
}
