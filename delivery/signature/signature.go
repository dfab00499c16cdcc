// Package signature is the performance signature of a service as code: which
// metrics make up its behaviour, how they are aggregated, and how far one
// environment may differ from another, or from itself an hour ago.
//
// It reads the monspec.json format ([ParseMonspec]) with the semantics that
// format has, and is the model of our own manifest kind PerformanceSignature.
// It is pure: it holds numbers against each other and says why, and knows
// neither clock nor storage. Package validation gathers the numbers.
//
// # Semantics
//
// A comparison names a source (what is judged) and what it is compared with,
// both environments of the signature, and a tolerance t. In [ModePoint], the
// semantics of monspec, a metric violates when
//
//	validate upper: source > compare·(1+t)
//	validate lower: source < compare·(1−t)
//
// and a static limit takes the place of the compared value. A value that is
// exactly on its limit is within it. Where there is nothing to compare with,
// the metric passes with a warning that says so. In [ModeConfidence] the same
// question is put to package judge, which also knows when there is too little
// evidence for an answer.
//
// In either mode a metric of the source without data is inconclusive, and
// never passes.
//
// # Example
//
//	all, err := signature.ParseMonspec("monspec.json", data)
//	c, err := all[0].Comparison("StagingToProduction")
//	results := all[0].Evaluate(c, readings)
//	fmt.Println(signature.Overall(results))
package signature

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/tidegate-io/tidegate/entity"
	"github.com/tidegate-io/tidegate/fault"
)

// Mode says how a comparison decides.
type Mode string

// The modes.
const (
	// ModePoint compares single numbers, as monspec does.
	ModePoint Mode = "point"
	// ModeConfidence asks whether the difference is beyond chance.
	ModeConfidence Mode = "confidence"
)

// Bound is the side on which a metric gets worse.
type Bound string

// The bounds.
const (
	BoundUpper Bound = "upper" // too high is bad: response times, failures
	BoundLower Bound = "lower" // too low is bad: throughput, instances
)

// Signature is the performance signature of one service in its environments.
type Signature struct {
	Name        string `json:"name" doc:"unique; comparisons are listed under it"`
	Title       string `json:"title,omitempty" doc:"the entity's name as monspec gives it"`
	Owner       string `json:"owner,omitempty"`
	Description string `json:"description,omitempty"`
	// Type is what kind of entity the environments hold.
	Type entity.Type `json:"type"`
	// Mode is that of comparisons that name none; default point.
	Mode         Mode          `json:"mode" enum:"point,confidence"`
	Environments []Environment `json:"environments"`
	Comparisons  []Comparison  `json:"comparisons"`
	Metrics      []Metric      `json:"metrics"`
}

// Environment says which entities are in it.
type Environment struct {
	Name     string `json:"name"`
	Selector string `json:"selector" doc:"entity selector"`
}

// Comparison is which environment is held against which, and how far apart
// they may be.
type Comparison struct {
	Name    string `json:"name"`
	Source  string `json:"source" doc:"environment that is judged"`
	Compare string `json:"compare,omitempty" doc:"environment compared with; without it only static limits hold"`
	Mode    Mode   `json:"mode,omitempty" enum:"point,confidence"`
	// Tolerance is the difference that is acceptable, as a fraction of the
	// compared value; Tolerances are those of single metrics, by their Key.
	Tolerance  float64            `json:"tolerance"`
	Tolerances map[string]float64 `json:"tolerances,omitempty"`
	// ShiftSource and ShiftCompare move the windows back in time.
	ShiftSource  time.Duration `json:"shiftSource,omitempty" doc:"nanoseconds"`
	ShiftCompare time.Duration `json:"shiftCompare,omitempty" doc:"nanoseconds"`
}

// Measure is what a metric measures.
type Measure string

// The measures. The first three are taken on the requests that the entities
// serve; the relations are counted in the service graph.
const (
	ResponseTime Measure = "responseTime" // seconds
	FailureRate  Measure = "failureRate"  // ratio
	Requests     Measure = "requests"     // per minute, or their number
	PromQL       Measure = "promql"       // any expression
	Calls        Measure = "calls"        // how many services it calls
	CalledBy     Measure = "calledBy"     // how many services call it
	RunsOn       Measure = "runsOn"       // on how many instances it runs
)

// Relation reports whether the measure is a count in the service graph.
func (m Measure) Relation() bool { return m == Calls || m == CalledBy || m == RunsOn }

// Metric is one entry of a performance signature.
type Metric struct {
	// Key is what the metric is called where it was defined; tolerances refer
	// to it. Several metrics may share it, with different aggregates.
	Key     string  `json:"key"`
	Measure Measure `json:"measure"`
	// PromQL is the expression of measure promql. ${service}, ${environment}
	// and ${version} stand for those of the entity that is read; the values
	// come quoted for use inside a string of PromQL.
	PromQL    string    `json:"promql,omitempty"`
	Unit      string    `json:"unit,omitempty" doc:"of promql"`
	Operation string    `json:"operation,omitempty" doc:"one operation of the service (span name); all when empty"`
	Aggregate Aggregate `json:"aggregate" doc:"min, max, avg, sum, median, count or pXX"`
	Validate  Bound     `json:"validate" enum:"upper,lower"`
	// Upper and Lower are static limits, in the base unit of the measure
	// (seconds, ratio, per minute): they take the place of the comparison.
	Upper *float64 `json:"upper,omitempty"`
	Lower *float64 `json:"lower,omitempty"`
}

// Name is the metric in words: "response time p90 of /api/invoke".
func (m Metric) Name() string {
	words := map[Measure]string{ResponseTime: "response time", FailureRate: "failure rate", Requests: "requests",
		Calls: "services it calls", CalledBy: "services that call it", RunsOn: "instances it runs on"}
	name := words[m.Measure]
	if m.Measure == PromQL {
		name = m.Key
	}
	if !m.Measure.Relation() {
		name += " " + string(m.Aggregate)
	}
	if m.Operation != "" {
		name += " of " + m.Operation
	}
	return name
}

// Places reports whether the expression is to be read for each entity.
func (m Metric) Places() bool { return strings.Contains(m.PromQL, "${") }

// Expression is the PromQL for one entity.
func (m Metric) Expression(of entity.Ref) string {
	quoted := func(v string) string { q := strconv.Quote(v); return q[1 : len(q)-1] }
	return strings.NewReplacer("${service}", quoted(of.Service), "${environment}", quoted(of.Environment),
		"${version}", quoted(of.Version)).Replace(m.PromQL)
}

// tolerance of the metric in the comparison, as a fraction.
func (c Comparison) tolerance(m Metric) float64 {
	if t, ok := c.Tolerances[m.Key]; ok {
		return t
	}
	return c.Tolerance
}

// Comparison returns the comparison of that name, with its mode filled in, or
// a fault of KindNotFound that names those there are.
func (s *Signature) Comparison(name string) (Comparison, error) {
	var names []string
	for _, c := range s.Comparisons {
		if c.Name == name {
			if c.Mode == "" {
				c.Mode = s.Mode
			}
			return c, nil
		}
		names = append(names, c.Name)
	}
	return Comparison{}, fault.NotFound("signature %q has no comparison %q; it has %s", s.Name, name, list(names))
}

// Environment returns the environment of that name, or a fault of KindNotFound.
func (s *Signature) Environment(name string) (Environment, error) {
	for _, e := range s.Environments {
		if e.Name == name {
			return e, nil
		}
	}
	return Environment{}, fault.NotFound("signature %q has no environment %q", s.Name, name)
}

func list(names []string) string {
	if len(names) == 0 {
		return "none"
	}
	return strings.Join(names, ", ")
}

// Limits of a signature.
const (
	maxEnvironments = 50
	maxComparisons  = 100
	maxMetrics      = 300
	maxName         = 200
	maxShift        = 31 * 24 * time.Hour
)

// Validate checks what the types cannot say. The error is a fault of
// KindInvalid whose field is the path in the JSON form.
func (s *Signature) Validate() error {
	if err := s.validateShape(); err != nil {
		return err
	}
	for i, e := range s.Environments {
		sel, err := entity.ParseSelector(e.Selector)
		if err != nil {
			return fault.InvalidField(fmt.Sprintf("environments[%d].selector", i), "%w", err)
		}
		if sel.IsZero() {
			return fault.InvalidField(fmt.Sprintf("environments[%d].selector", i), "environment %q selects every entity; say which ones are in it", e.Name)
		}
	}
	for i, c := range s.Comparisons {
		if err := s.validateComparison(c); err != nil {
			return under(fmt.Sprintf("comparisons[%d]", i), err)
		}
	}
	for i, m := range s.Metrics {
		if err := m.validate(); err != nil {
			return under(fmt.Sprintf("metrics[%d]", i), err)
		}
	}
	return nil
}

func (s *Signature) validateShape() error {
	switch {
	case s.Name == "" || len(s.Name) > maxName:
		return fault.InvalidField("name", "expected 1 to %d characters", maxName)
	case s.Type != entity.TypeService:
		return fault.InvalidField("type", "%q cannot be compared yet, expected service", s.Type)
	case s.Mode != ModePoint && s.Mode != ModeConfidence:
		return fault.InvalidField("mode", "expected point or confidence, found %q", s.Mode)
	case len(s.Environments) > maxEnvironments:
		return fault.InvalidField("environments", "%d, at most %d are allowed", len(s.Environments), maxEnvironments)
	case len(s.Comparisons) > maxComparisons:
		return fault.InvalidField("comparisons", "%d, at most %d are allowed", len(s.Comparisons), maxComparisons)
	case len(s.Metrics) == 0:
		return fault.InvalidField("metrics", "at least one metric is needed")
	case len(s.Metrics) > maxMetrics:
		return fault.InvalidField("metrics", "%d, at most %d are allowed", len(s.Metrics), maxMetrics)
	}
	return unique(s)
}

// unique refuses names that are used twice.
func unique(s *Signature) error {
	environments, comparisons := map[string]bool{}, map[string]bool{}
	for i, e := range s.Environments {
		if e.Name == "" || environments[e.Name] {
			return fault.InvalidField(fmt.Sprintf("environments[%d].name", i), "%q: expected a unique name", e.Name)
		}
		environments[e.Name] = true
	}
	for i, c := range s.Comparisons {
		if c.Name == "" || comparisons[c.Name] {
			return fault.InvalidField(fmt.Sprintf("comparisons[%d].name", i), "%q: expected a unique name", c.Name)
		}
		comparisons[c.Name] = true
	}
	return nil
}

func (s *Signature) validateComparison(c Comparison) error {
	if _, err := s.Environment(c.Source); err != nil {
		return fault.InvalidField("source", "there is no environment %q; there is %s", c.Source, list(s.environmentNames()))
	}
	if _, err := s.Environment(c.Compare); c.Compare != "" && err != nil {
		return fault.InvalidField("compare", "there is no environment %q; there is %s", c.Compare, list(s.environmentNames()))
	}
	mode := c.Mode
	if mode == "" {
		mode = s.Mode
	}
	switch {
	case mode != ModePoint && mode != ModeConfidence:
		return fault.InvalidField("mode", "expected point or confidence, found %q", c.Mode)
	case c.Compare == c.Source && c.ShiftSource == c.ShiftCompare:
		return fault.InvalidField("compare", "%s would be compared with itself at the same time: set shiftCompare", c.Source)
	case c.ShiftSource < 0 || c.ShiftSource > maxShift:
		return fault.InvalidField("shiftSource", "expected between 0 and 31 days")
	case c.ShiftCompare < 0 || c.ShiftCompare > maxShift:
		return fault.InvalidField("shiftCompare", "expected between 0 and 31 days")
	}
	if err := validTolerance("tolerance", c.Tolerance, mode); err != nil {
		return err
	}
	for key, t := range c.Tolerances {
		if !slices.ContainsFunc(s.Metrics, func(m Metric) bool { return m.Key == key }) {
			return fault.InvalidField("tolerances."+key, "no metric of this signature is called %q", key)
		}
		if err := validTolerance("tolerances."+key, t, mode); err != nil {
			return err
		}
	}
	return nil
}

// validTolerance allows a negative one, "must be better", only where one
// number is held against another.
func validTolerance(field string, t float64, mode Mode) error {
	switch {
	case !(t >= -1 && t <= 100):
		return fault.InvalidField(field, "expected between -100 %% and 10000 %%, found %g %%", t*100)
	case t < 0 && mode == ModeConfidence:
		return fault.InvalidField(field, "%g %% is negative, which only mode point knows", t*100)
	}
	return nil
}

func (s *Signature) environmentNames() []string {
	names := make([]string, len(s.Environments))
	for i, e := range s.Environments {
		names[i] = e.Name
	}
	return names
}

func (m Metric) validate() error {
	switch m.Measure {
	case ResponseTime, FailureRate, Requests:
	case PromQL:
		if m.PromQL == "" {
			return fault.InvalidField("promql", "is missing")
		}
		if m.Operation != "" {
			return fault.InvalidField("operation", "a PromQL expression names its operations itself")
		}
	case Calls, CalledBy, RunsOn:
		if m.Operation != "" {
			return fault.InvalidField("operation", "relations are counted for whole services")
		}
	default:
		return fault.InvalidField("measure", "unknown measure %q", m.Measure)
	}
	if err := m.Aggregate.validate(); err != nil {
		return fault.InvalidField("aggregate", "%w", err)
	}
	switch {
	case m.Key == "" || len(m.Key) > maxName:
		return fault.InvalidField("key", "expected 1 to %d characters", maxName)
	case m.Measure.Relation() && m.Aggregate != Count:
		return fault.InvalidField("aggregate", "relations are counted: expected count, found %q", m.Aggregate)
	case m.Validate != BoundUpper && m.Validate != BoundLower:
		return fault.InvalidField("validate", "expected upper or lower, found %q", m.Validate)
	case m.Upper != nil && m.Lower != nil && *m.Lower > *m.Upper:
		return fault.InvalidField("lower", "%g is above the upper limit %g", *m.Lower, *m.Upper)
	}
	return nil
}

// under puts the field of an error below a path.
func under(path string, err error) error {
	if f, ok := err.(*fault.Error); ok {
		return &fault.Error{Kind: f.Kind, Field: strings.TrimSuffix(path+"."+f.Field, "."), Err: f.Err}
	}
	return err
}
