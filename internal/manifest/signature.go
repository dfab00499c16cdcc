package manifest

import (
	"errors"
	"fmt"
	"sort"
	"strings"
	"time"

	"github.com/tidegate-io/tidegate/delivery/signature"
	"github.com/tidegate-io/tidegate/entity"
	"github.com/tidegate-io/tidegate/fault"
)

// PerformanceSignature is the spec of kind PerformanceSignature: the metrics
// that make up a service's behaviour, and how far its environments may differ.
type PerformanceSignature struct {
	// Monspec is an existing monspec.json; it is all there is then.
	Monspec *Body `json:"monspec,omitempty" doc:"a monspec.json, in place of everything else: {file: monspec.json} or its text"`

	Service      string                    `json:"service,omitempty" doc:"service.name; all services of the environments when left out"`
	Owner        string                    `json:"owner,omitempty"`
	Description  string                    `json:"description,omitempty"`
	Mode         string                    `json:"mode,omitempty" enum:"point,confidence" doc:"of comparisons that name none; default point"`
	Environments map[string]SignaturePlace `json:"environments,omitempty" doc:"by name; one that is not listed is the Environment of that name, or the deployment.environment.name"`
	Comparisons  []SignatureComparison     `json:"comparisons,omitempty"`
	Metrics      []SignatureMetric         `json:"metrics,omitempty"`
}

// SignaturePlace says which entities are in an environment.
type SignaturePlace struct {
	Selector string `json:"selector" doc:"entity selector"`
}

// SignatureComparison holds one environment against another.
type SignatureComparison struct {
	Name         string             `json:"name"`
	Source       string             `json:"source" doc:"environment that is judged"`
	Compare      string             `json:"compare,omitempty" doc:"environment it is compared with"`
	Mode         string             `json:"mode,omitempty" enum:"point,confidence"`
	Tolerance    Percent            `json:"tolerance,omitempty" doc:"difference that is acceptable; default 0"`
	Tolerances   map[string]Percent `json:"tolerances,omitempty" doc:"by metric: responseTime, failureRate, requests, calls, calledBy, runsOn or the name of a metric"`
	ShiftSource  Duration           `json:"shiftSource,omitempty" doc:"how long ago"`
	ShiftCompare Duration           `json:"shiftCompare,omitempty" doc:"how long ago"`
}

// SignatureMetric is one metric: exactly one of the measures, with its
// aggregate (min, max, avg, sum, median, count or a percentile such as p90).
type SignatureMetric struct {
	ResponseTime string `json:"responseTime,omitempty" doc:"aggregate, for example p90"`
	FailureRate  string `json:"failureRate,omitempty" doc:"aggregate, usually avg"`
	Requests     string `json:"requests,omitempty" doc:"aggregate: avg is per minute, count the number in the window"`
	Calls        bool   `json:"calls,omitempty" doc:"how many services it calls"`
	CalledBy     bool   `json:"calledBy,omitempty" doc:"how many services call it"`
	RunsOn       bool   `json:"runsOn,omitempty" doc:"on how many instances it runs"`
	PromQL       string `json:"promql,omitempty" doc:"any expression; ${service}, ${environment} and ${version} stand for those of the entity"`

	Name      string `json:"name,omitempty" doc:"needed for promql; tolerances refer to it"`
	Aggregate string `json:"aggregate,omitempty" doc:"of promql; default avg"`
	Unit      string `json:"unit,omitempty" doc:"of promql"`
	Operation string `json:"operation,omitempty" doc:"one operation of the service (span name)"`
	Validate  string `json:"validate,omitempty" enum:"upper,lower" doc:"which side is worse; default upper"`
	Limit     *Limit `json:"limit,omitempty" doc:"static limit in place of the comparison, beyond which it violates"`
}

func (p *PerformanceSignature) check(c *checker) {
	if _, err := p.Definitions("check", nil); err != nil {
		if p.Monspec != nil {
			c.at("monspec").errorf("%v", err)
			return
		}
		c.domain(err)
	}
}

// domain reports a domain's error, whose field is below the part.
func (c *checker) domain(err error) {
	if field := fieldOf(err); field != "" {
		c = c.at("%s", field)
	}
	c.errorf("%v", withoutField(err))
}

// fieldOf is the place that a domain's error names.
func fieldOf(err error) string {
	var f *fault.Error
	if errors.As(err, &f) {
		return f.Field
	}
	return ""
}

// withoutField is the error without the place, which is said already.
func withoutField(err error) error {
	var f *fault.Error
	if errors.As(err, &f) {
		return f.Err
	}
	return err
}

// Definitions returns the signatures as the domain knows them; a monspec may
// hold several. Environments that the signature does not define itself are
// taken from shared, by name, and otherwise are those of
// deployment.environment.name.
func (p *PerformanceSignature) Definitions(name string, shared map[string]string) ([]signature.Signature, error) {
	if p.Monspec != nil {
		if p.Monspec.File != "" {
			return nil, fault.Invalid("file %q was not read: apply it with the command line, or give its text", p.Monspec.File)
		}
		return signature.ParseMonspec("monspec.json", []byte(p.Monspec.Text))
	}
	s := signature.Signature{Name: name, Title: p.Service, Owner: p.Owner, Description: p.Description,
		Type: entity.TypeService, Mode: signature.Mode(p.Mode)}
	if s.Mode == "" {
		s.Mode = signature.ModePoint
	}
	for i, c := range p.Comparisons {
		if c.Source == "" {
			return nil, fault.InvalidField(fmt.Sprintf("comparisons[%d].source", i), "is missing: expected the name of an environment")
		}
		tolerances := make(map[string]float64, len(c.Tolerances))
		for k, t := range c.Tolerances {
			tolerances[k] = float64(t)
		}
		s.Comparisons = append(s.Comparisons, signature.Comparison{
			Name: c.Name, Source: c.Source, Compare: c.Compare, Mode: signature.Mode(c.Mode),
			Tolerance: float64(c.Tolerance), Tolerances: tolerances,
			ShiftSource: time.Duration(c.ShiftSource), ShiftCompare: time.Duration(c.ShiftCompare),
		})
	}
	if len(s.Comparisons) == 0 {
		return nil, fault.InvalidField("comparisons", "needs at least one comparison")
	}
	s.Environments = p.places(shared)
	for i, m := range p.Metrics {
		d, err := m.definition()
		if err != nil {
			return nil, fault.InvalidField(strings.TrimSuffix(fmt.Sprintf("metrics[%d].%s", i, fieldOf(err)), "."), "%w", withoutField(err))
		}
		s.Metrics = append(s.Metrics, d)
	}
	return []signature.Signature{s}, s.Validate()
}

// places are the environments that the comparisons name, and their selectors.
func (p *PerformanceSignature) places(shared map[string]string) (out []signature.Environment) {
	names := map[string]bool{}
	for _, c := range p.Comparisons {
		names[c.Source] = true
		names[c.Compare] = c.Compare != ""
	}
	for name := range p.Environments {
		names[name] = true
	}
	for name, used := range names {
		if !used {
			continue
		}
		selector := entity.EnvironmentCriterion(name)
		if s, ok := shared[name]; ok {
			selector = s
		}
		if own, ok := p.Environments[name]; ok {
			selector = own.Selector
		}
		if p.Service != "" && selector != "" {
			selector = entity.ServiceCriterion(p.Service) + "," + selector
		}
		out = append(out, signature.Environment{Name: name, Selector: selector})
	}
	sort.Slice(out, func(i, j int) bool { return out[i].Name < out[j].Name })
	return out
}

// definition finds the one measure that is set.
func (m SignatureMetric) definition() (signature.Metric, error) {
	out := signature.Metric{PromQL: m.PromQL, Unit: m.Unit, Operation: m.Operation, Validate: signature.Bound(m.Validate)}
	if out.Validate == "" {
		out.Validate = signature.BoundUpper
	}
	aggregate, set := "", 0
	for _, x := range []struct {
		measure   signature.Measure
		set       bool
		aggregate string
	}{
		{signature.ResponseTime, m.ResponseTime != "", m.ResponseTime},
		{signature.FailureRate, m.FailureRate != "", m.FailureRate},
		{signature.Requests, m.Requests != "", m.Requests},
		{signature.Calls, m.Calls, "count"}, {signature.CalledBy, m.CalledBy, "count"}, {signature.RunsOn, m.RunsOn, "count"},
		{signature.PromQL, m.PromQL != "", orElse(m.Aggregate, "avg")},
	} {
		if x.set {
			out.Measure, aggregate, set = x.measure, x.aggregate, set+1
		}
	}
	switch {
	case set != 1:
		return out, fault.Invalid("expected exactly one of responseTime, failureRate, requests, calls, calledBy, runsOn and promql")
	case out.Measure != signature.PromQL && m.Aggregate != "":
		return out, fault.InvalidField("aggregate", "is for promql; write %s: %s", out.Measure, m.Aggregate)
	case out.Measure == signature.PromQL && m.Name == "":
		return out, fault.InvalidField("name", "is missing: an expression needs one")
	}
	out.Key = orElse(m.Name, string(out.Measure))
	var err error
	if out.Aggregate, err = signature.ParseAggregate(aggregate); err != nil {
		return out, fault.InvalidField(string(out.Measure), "%w", err)
	}
	m.limit(&out)
	return out, nil
}

// limit brings a static limit into the metric's unit: rates are written per
// second, or with their unit, and measured per minute.
func (m SignatureMetric) limit(out *signature.Metric) {
	if m.Limit == nil {
		return
	}
	v := m.Limit.Value
	if out.Measure == signature.Requests && out.Aggregate != signature.Count && out.Aggregate != signature.Sum {
		v *= 60
	}
	if strings.HasPrefix(m.Limit.Op, "<") {
		out.Lower = &v
		return
	}
	out.Upper = &v
}

func orElse(v, otherwise string) string {
	if v != "" {
		return v
	}
	return otherwise
}
