package guardian

import (
	"fmt"
	"regexp"
	"strconv"

	"github.com/tidegate-io/tidegate/entity"
	"github.com/tidegate-io/tidegate/fault"
	"github.com/tidegate-io/tidegate/judge"
)

// TemplateGoldenSignals names the template with the four golden signals of
// the Site Reliability Engineering book (chapter 6): latency, errors,
// traffic and saturation.
const TemplateGoldenSignals = "golden-signals"

// Names of the objectives in the golden-signals template.
const (
	SignalLatency    = "latency"
	SignalErrors     = "errors"
	SignalTraffic    = "traffic"
	SignalSaturation = "saturation"
)

// trafficTolerance is wider than the judge's default: arrivals vary more from
// run to run than what a service does with them.
const trafficTolerance = 0.10

// GoldenSignals returns the objectives of the golden-signals template for a
// target. All learn from earlier runs, so they need no numbers from anybody.
// Saturation is for information, and only there when the target reports it.
func GoldenSignals(target entity.Ref) []Objective {
	tolerance := trafficTolerance
	return []Objective{
		{
			Objective: judge.Objective{Name: SignalLatency, Worse: judge.WorseHigher, Quantile: defaultQuantile, Adaptive: &judge.Adaptive{}},
			Indicator: Indicator{Latency: &SpanIndicator{}},
		},
		{
			Objective: judge.Objective{Name: SignalErrors, Worse: judge.WorseHigher, Role: judge.RoleKey, Adaptive: &judge.Adaptive{}},
			Indicator: Indicator{ErrorRate: &SpanIndicator{}},
		},
		{
			Objective: judge.Objective{Name: SignalTraffic, Worse: judge.WorseLower, Adaptive: &judge.Adaptive{Tolerance: &tolerance}},
			Indicator: Indicator{Throughput: &SpanIndicator{}},
		},
		{
			Objective: judge.Objective{Name: SignalSaturation, Worse: judge.WorseHigher, Role: judge.RoleInfo},
			Indicator: Indicator{PromQL: saturation(target), Unit: "ratio"},
			Optional:  true,
		},
	}
}

// saturation is the fullest processor share any instance reports, under the
// names that OpenTelemetry's semantic conventions give it. The label job is
// service.name, preceded by service.namespace where there is one (OpenTelemetry
// to Prometheus compatibility specification).
func saturation(target entity.Ref) string {
	job := strconv.Quote("(.+/)?" + regexp.QuoteMeta(target.Service))
	return fmt.Sprintf(`max({__name__=~"process_cpu_utilization_ratio|jvm_cpu_recent_utilization_ratio|k8s_pod_cpu_limit_utilization_ratio|container_cpu_utilization_ratio",job=~%s})`, job)
}

// WithTemplate completes a person's objectives with those of a template: an
// objective of the same name replaces the template's in its place, the others
// follow. An empty template adds nothing.
func WithTemplate(template string, target entity.Ref, own []Objective) ([]Objective, error) {
	var base []Objective
	switch template {
	case "":
		return own, nil
	case TemplateGoldenSignals:
		base = GoldenSignals(target)
	default:
		return nil, fault.InvalidField("spec.template", "unknown template %q, expected %q", template, TemplateGoldenSignals)
	}
	at := make(map[string]int, len(base))
	for i, o := range base {
		at[o.Name] = i
	}
	for _, o := range own {
		if i, ok := at[o.Name]; ok {
			base[i] = o
			delete(at, o.Name) // a second one of the name is kept, and refused by Validate
			continue
		}
		base = append(base, o)
	}
	return base, nil
}
