package guardian

import (
	"fmt"
	"math"
	"time"

	"github.com/tidegate-io/tidegate/fault"
	"github.com/tidegate-io/tidegate/judge"
)

// Limits of a definition.
const (
	MaxObjectives = 50
	maxName       = 100
	maxRef        = 300
	maxPromQL     = 8192
	maxVariantBy  = 10
	maxLabels     = 50

	defaultSettle   = 5 * time.Second
	maxSettle       = 10 * time.Minute
	defaultQuantile = 0.95

	minWindow = time.Second
	maxWindow = 7 * 24 * time.Hour
	maxShift  = 400 * 24 * time.Hour
	minEvery  = 10 * time.Second
)

// WithDefaults returns a copy in which everything left open is decided: the
// 95th percentile of latencies, which way is worse, roles, and the parts of
// CompareTo that are the target's.
func (g Guardian) WithDefaults() Guardian {
	if g.Settle == 0 {
		g.Settle = defaultSettle
	}
	own := g.Objectives
	g.Objectives = make([]Objective, len(own))
	for i, o := range own {
		g.Objectives[i] = o.withDefaults(g)
	}
	return g
}

func (o Objective) withDefaults(g Guardian) Objective {
	if o.Role == "" {
		o.Role = judge.RoleRequired
		if o.criteria() == 0 {
			o.Role = judge.RoleInfo
		}
	}
	if o.Weight == 0 {
		o.Weight = 1
	}
	if o.Indicator.Latency != nil && o.Quantile == 0 && !o.Mean {
		o.Quantile = defaultQuantile
	}
	if o.Worse == "" {
		o.Worse = o.defaultWorse()
	}
	if o.CompareTo != nil {
		to, own := *o.CompareTo, o.target(g)
		if to.Service == "" {
			to.Service = own.Service
		}
		if to.Environment == "" {
			to.Environment = own.Environment
		}
		o.CompareTo = &to
	}
	return o
}

// defaultWorse: a threshold says it by its operator, and of the signals only
// traffic is worse when there is less of it.
func (o Objective) defaultWorse() judge.Direction {
	if t := o.Threshold; t != nil {
		for _, l := range []*judge.Limit{t.Fail, t.Warn} {
			if l != nil && l.Op != "" {
				return worse(l)
			}
		}
	}
	if o.Indicator.Throughput != nil {
		return judge.WorseLower
	}
	return judge.WorseHigher
}

func (o Objective) criteria() (n int) {
	for _, set := range []bool{o.Threshold != nil, o.Adaptive != nil, o.Comparison != nil, o.Watch != nil} {
		if set {
			n++
		}
	}
	return n
}

// Validate reports the first thing that is wrong with a definition, as a
// fault of KindInvalid whose field is the path in the manifest. It accepts
// definitions with and without defaults filled in.
func (g Guardian) Validate() error {
	switch {
	case g.Name == "":
		return fault.InvalidField("metadata.name", "a guardian needs a name")
	case len(g.Name) > maxName:
		return fault.InvalidField("metadata.name", "at most %d characters, got %d", maxName, len(g.Name))
	case len(g.Labels) > maxLabels:
		return fault.InvalidField("metadata.labels", "at most %d labels, got %d", maxLabels, len(g.Labels))
	case len(g.Objectives) == 0:
		return fault.InvalidField("spec.objectives", "a guardian needs at least one objective, or template: %s", TemplateGoldenSignals)
	case len(g.Objectives) > MaxObjectives:
		return fault.InvalidField("spec.objectives", "at most %d objectives, got %d", MaxObjectives, len(g.Objectives))
	case len(g.VariantBy) > maxVariantBy:
		return fault.InvalidField("spec.variantBy", "at most %d tags, got %d", maxVariantBy, len(g.VariantBy))
	case len(g.Target.Service) > maxRef || len(g.Target.Environment) > maxRef || len(g.Target.Version) > maxRef:
		return fault.InvalidField("spec.target", "a name is longer than %d characters", maxRef)
	case g.Settle < 0 || g.Settle > maxSettle:
		return fault.InvalidField("spec.settle", "expected between 0s and %s, got %s", maxSettle, g.Settle)
	}
	if err := g.validateOptions(); err != nil {
		return err
	}
	if err := g.Schedule.validate(); err != nil {
		return err
	}
	if err := g.validateVariables(); err != nil {
		return err
	}
	names := make(map[string]int, len(g.Objectives))
	for i, o := range g.Objectives {
		path := fmt.Sprintf("spec.objectives[%d]", i)
		if err := o.validate(path, g); err != nil {
			return err
		}
		if first, ok := names[o.Name]; ok {
			return fault.InvalidField(path+".name", "%q is the name of objectives[%d] already", o.Name, first)
		}
		names[o.Name] = i
	}
	return nil
}

func (g Guardian) validateOptions() error {
	if a := g.Options.Alpha; a != 0 && !(a > 0 && a <= 0.5) {
		return fault.InvalidField("spec.alpha", "expected a rate of false alarms above 0 and up to 0.5, got %v", a)
	}
	if s := g.Options.Score; s != nil && !(0 <= s.Warn && s.Warn <= s.Pass && s.Pass <= 100) {
		return fault.InvalidField("spec.score", "expected 0 <= warn <= pass <= 100 percent, got pass %v and warn %v", s.Pass, s.Warn)
	}
	return nil
}

func (s *Schedule) validate() error {
	switch {
	case s == nil:
		return nil
	case s.Every < minEvery:
		return fault.InvalidField("spec.schedule.every", "expected at least %s, got %s", minEvery, s.Every)
	case s.Last < minWindow || s.Last > maxWindow:
		return fault.InvalidField("spec.schedule.last", "expected between %s and %s, got %s", minWindow, maxWindow, s.Last)
	}
	return nil
}

func (o Objective) validate(path string, g Guardian) error {
	switch {
	case o.Name == "":
		return fault.InvalidField(path+".name", "an objective needs a name")
	case len(o.Name) > maxName:
		return fault.InvalidField(path+".name", "at most %d characters, got %d", maxName, len(o.Name))
	case !oneOf(o.Role, "", judge.RoleRequired, judge.RoleKey, judge.RoleInfo):
		return fault.InvalidField(path+".role", "unknown role %q, expected required, key or info", o.Role)
	case !oneOf(o.Worse, "", judge.WorseHigher, judge.WorseLower, judge.WorseEither):
		return fault.InvalidField(path+".worse", "unknown direction %q, expected higher, lower or either", o.Worse)
	case !(o.Weight >= 0) || math.IsInf(o.Weight, 0):
		return fault.InvalidField(path+".weight", "expected a number of at least 0, got %v", o.Weight)
	case o.criteria() > 1:
		return fault.InvalidField(path, "more than one criterion; set one of fail/warn, adaptive, compare and watch")
	case o.criteria() == 0 && oneOf(o.Role, judge.RoleRequired, judge.RoleKey):
		return fault.InvalidField(path, "role %s needs a criterion: fail/warn, adaptive, compare or watch", o.Role)
	}
	if err := o.Indicator.validate(path+".indicator", g); err != nil {
		return err
	}
	if err := o.validateStatistic(path); err != nil {
		return err
	}
	if err := o.validateCriterion(path); err != nil {
		return err
	}
	return o.validateBaseline(path, g)
}

func (i Indicator) validate(path string, g Guardian) error {
	n := 0
	for _, s := range []*SpanIndicator{i.Latency, i.ErrorRate, i.Throughput} {
		if s == nil {
			continue
		}
		n++
		if g.Target.Service == "" && (s.Target == nil || s.Target.Service == "") {
			return fault.InvalidField("spec.target.service", "which service? %s is measured on its requests", path)
		}
	}
	if i.PromQL != "" {
		n++
	}
	switch {
	case n == 0:
		return fault.InvalidField(path, "what to measure? expected one of latency, errorRate, throughput and promql")
	case n > 1:
		return fault.InvalidField(path, "expected only one of latency, errorRate, throughput and promql, got %d", n)
	case len(i.PromQL) > maxPromQL:
		return fault.InvalidField(path+".promql", "at most %d characters, got %d", maxPromQL, len(i.PromQL))
	case i.Unit != "" && i.PromQL == "":
		return fault.InvalidField(path+".unit", "only promql takes a unit; the others have their own")
	}
	return nil
}

func (o Objective) validateStatistic(path string) error {
	switch {
	case o.Quantile == 0 && !o.Mean:
		return nil
	case o.Indicator.Latency == nil:
		return fault.InvalidField(path+".indicator", "quantile and mean are for latency only")
	case o.Mean && o.Quantile != 0:
		return fault.InvalidField(path+".indicator.latency", "expected quantile or mean, not both")
	case !o.Mean && !(o.Quantile > 0 && o.Quantile < 1):
		return fault.InvalidField(path+".indicator.latency.quantile", "expected a number between 0 and 1, got %v", o.Quantile)
	}
	return nil
}

func (o Objective) validateCriterion(path string) error {
	switch {
	case o.Threshold != nil:
		return o.validateThreshold(path)
	case o.Adaptive != nil:
		if m := o.Adaptive.MinRuns; m != 0 && (m < 2 || m > maxHistory) {
			return fault.InvalidField(path+".adaptive.minRuns", "expected between 2 and %d, got %d", maxHistory, m)
		}
		return validTolerance(path+".adaptive.tolerance", o.Adaptive.Tolerance)
	case o.Comparison != nil:
		return validTolerance(path+".compare.tolerance", o.Comparison.Tolerance)
	case o.Watch != nil:
		if o.Indicator.Latency == nil && o.Indicator.ErrorRate == nil {
			return fault.InvalidField(path+".watch", "only latency and errorRate can be watched: they count requests")
		}
		return validTolerance(path+".watch.tolerance", o.Watch.Tolerance)
	}
	return nil
}

func (o Objective) validateThreshold(path string) error {
	t := o.Threshold
	if t.Fail == nil && t.Warn == nil {
		return fault.InvalidField(path, "a threshold needs fail or warn")
	}
	for _, b := range []struct {
		name string
		*judge.Limit
	}{{".fail", t.Fail}, {".warn", t.Warn}} {
		name, l := b.name, b.Limit
		switch {
		case l == nil:
			continue
		case !oneOf(l.Op, ">", ">=", "<", "<="):
			return fault.InvalidField(path+name, "unknown operator %q, expected >, >=, < or <=", l.Op)
		case math.IsNaN(l.Value) || math.IsInf(l.Value, 0):
			return fault.InvalidField(path+name, "expected a finite number, got %v", l.Value)
		case o.Worse != "" && o.Worse != worse(l):
			return fault.InvalidField(path+name, "%q contradicts worse: %s", l.Op, o.Worse)
		}
	}
	if t.Fail != nil && t.Warn != nil {
		if worse(t.Fail) != worse(t.Warn) {
			return fault.InvalidField(path+".warn", "fail %s and warn %s point in opposite directions", t.Fail.Op, t.Warn.Op)
		}
		beyond := t.Warn.Value - t.Fail.Value
		if worse(t.Fail) == judge.WorseLower {
			beyond = -beyond
		}
		if beyond > 0 {
			return fault.InvalidField(path+".warn", "the warning limit %v lies beyond the failure limit %v", t.Warn.Value, t.Fail.Value)
		}
	}
	switch {
	case !(t.MinSamples >= 0) || math.IsInf(t.MinSamples, 0):
		return fault.InvalidField(path+".minSamples", "expected a number of at least 0, got %v", t.MinSamples)
	case t.Confidence != 0 && !(t.Confidence > 0 && t.Confidence < 1):
		return fault.InvalidField(path+".confidence", "expected between 0 and 1, got %v", t.Confidence)
	}
	return nil
}

func (o Objective) validateBaseline(path string, g Guardian) error {
	needs := o.Comparison != nil || o.Watch != nil
	switch {
	case !needs && (o.CompareTo != nil || o.Shift != 0):
		return fault.InvalidField(path+".compare", "something to compare with needs compare or watch as the criterion")
	case !needs:
		return nil
	case o.Shift < 0 || o.Shift > maxShift:
		return fault.InvalidField(path+".compare.shift", "expected between 0s and %s, got %s", maxShift, o.Shift)
	case o.CompareTo == nil && o.Shift == 0:
		return fault.InvalidField(path+".compare", "compare with what? expected to (another environment, version or service) or shift (an earlier time)")
	case o.CompareTo != nil && o.Indicator.PromQL != "":
		return fault.InvalidField(path+".compare.to", "a promql indicator names its place itself; compare it with shift")
	case o.CompareTo != nil && o.Shift == 0 && o.withDefaults(g).CompareTo.Covers(o.target(g)):
		return fault.InvalidField(path+".compare.to", "%s would be compared with itself", o.target(g))
	}
	return nil
}

func validTolerance(path string, t *float64) error {
	if t != nil && !(*t >= 0 && *t <= 10) {
		return fault.InvalidField(path, "expected between 0%% and 1000%%, got %v", *t)
	}
	return nil
}

func oneOf[T comparable](v T, set ...T) bool {
	for _, s := range set {
		if v == s {
			return true
		}
	}
	return false
}

// worse is the direction beyond a limit.
func worse(l *judge.Limit) judge.Direction {
	if l.Op == "<" || l.Op == "<=" {
		return judge.WorseLower
	}
	return judge.WorseHigher
}
