package signature

import (
	"fmt"
	"math"
	"time"

	"github.com/tidegate-io/tidegate/entity"
	"github.com/tidegate-io/tidegate/judge"
)

// Status is the outcome of a metric, or of a whole comparison.
type Status string

// The statuses.
const (
	StatusOK           Status = "ok"
	StatusViolation    Status = "violation"
	StatusInconclusive Status = "inconclusive"
	StatusError        Status = "error"
)

// Overall is the worst status: what was demonstrably violated is said first,
// then what could not be read, then what had too little evidence. Without
// results nothing was shown.
func Overall(results []Result) Status {
	out := StatusInconclusive
	for i, r := range results {
		if i == 0 || rank(r.Status) > rank(out) {
			out = r.Status
		}
	}
	return out
}

func rank(s Status) int {
	switch s {
	case StatusOK:
		return 0
	case StatusInconclusive:
		return 1
	case StatusViolation:
		return 3
	}
	return 2
}

// Reading is one metric of one environment: a sample for each entity.
type Reading struct {
	Samples  []judge.Sample `json:"-"`
	Entities []entity.Ref   `json:"-"`
	// Queries are what a person would ask to see the same number.
	Queries []string  `json:"queries,omitempty"`
	From    time.Time `json:"from"`
	To      time.Time `json:"to"`
}

// Pair is what there is of one metric on both sides; Compare is nil when the
// comparison names no environment to compare with.
type Pair struct {
	Source  Reading
	Compare *Reading
}

// Result is one metric judged. Numbers are null where there are none; they are
// in seconds, as a ratio, per minute, or a count.
type Result struct {
	Signature string    `json:"signature"`
	Metric    string    `json:"metric" doc:"as it is called where it was defined"`
	Name      string    `json:"name" doc:"in words"`
	Operation string    `json:"operation,omitempty"`
	Aggregate Aggregate `json:"aggregate"`
	Unit      string    `json:"unit,omitempty"`
	Validate  Bound     `json:"validate" enum:"upper,lower"`
	Mode      Mode      `json:"mode" enum:"point,confidence"`
	Status    Status    `json:"status" enum:"ok,violation,inconclusive,error"`

	Source  judge.Number `json:"source"`
	Compare judge.Number `json:"compare"`
	// Upper and Lower are the limits that the source was held against.
	Upper  judge.Number `json:"upper"`
	Lower  judge.Number `json:"lower"`
	Static bool         `json:"static,omitempty" doc:"the limits are fixed ones"`
	// Tolerance is what made the limit of the compared value, as a fraction.
	Tolerance float64 `json:"tolerance"`
	// ConfidenceLow and ConfidenceHigh are the interval around the source.
	ConfidenceLow  judge.Number `json:"confidenceLow"`
	ConfidenceHigh judge.Number `json:"confidenceHigh"`
	// SourceN and CompareN are how many observations there were.
	SourceN  float64 `json:"sourceN"`
	CompareN float64 `json:"compareN"`

	Warning string `json:"warning,omitempty"`
	Why     string `json:"why" doc:"one sentence"`

	SourceRead  Reading  `json:"sourceRead"`
	CompareRead *Reading `json:"compareRead,omitempty"`
}

// Evaluate judges every metric of the signature; pairs are in the order of
// s.Metrics.
func (s *Signature) Evaluate(c Comparison, pairs []Pair) []Result {
	out := make([]Result, len(s.Metrics))
	var asked []asking
	for i, m := range s.Metrics {
		out[i] = newResult(s.Name, m, c, pairs[i])
		res := &out[i]
		switch {
		case res.unreadable(pairs[i]):
		case c.Mode == ModeConfidence && m.statistical():
			asked = append(asked, asking{res, c.input(m, pairs[i])})
		default:
			res.hold(m, c)
		}
	}
	askJudge(asked)
	return out
}

func newResult(name string, m Metric, c Comparison, p Pair) Result {
	nan := judge.Number(math.NaN())
	r := Result{
		Signature: name, Metric: m.Key, Name: m.Name(), Operation: m.Operation, Aggregate: m.Aggregate,
		Unit: m.unit(), Validate: m.Validate, Mode: c.Mode, Tolerance: c.tolerance(m),
		Source: nan, Compare: nan, Upper: nan, Lower: nan, ConfidenceLow: nan, ConfidenceHigh: nan,
		SourceRead: p.Source, CompareRead: p.Compare,
	}
	r.Source, r.SourceN = m.number(p.Source)
	if p.Compare != nil {
		r.Compare, r.CompareN = m.number(*p.Compare)
		if r.CompareN == 0 {
			r.Compare = nan
		}
	}
	return r
}

// unit of the aggregate.
func (m Metric) unit() string {
	switch m.Measure {
	case ResponseTime:
		if m.Aggregate != Count {
			return "s"
		}
		return "requests"
	case FailureRate:
		if m.Aggregate == Count || m.Aggregate == Sum {
			return "failures"
		}
		return "ratio"
	case Requests:
		if m.Aggregate == Count || m.Aggregate == Sum {
			return "requests"
		}
		return "/min"
	case PromQL:
		if m.Aggregate == Count {
			return ""
		}
		return m.Unit
	}
	return ""
}

// number aggregates a reading: the mean over the entities that have data, as
// monspec has it; relations are added up.
func (m Metric) number(r Reading) (judge.Number, float64) {
	var sum, n float64
	entities := 0
	for _, s := range r.Samples {
		v, of, ok := m.Aggregate.of(s)
		if m.Measure.Relation() {
			v, of, ok = relation(s)
		}
		if ok {
			sum, n, entities = sum+v, n+of, entities+1
		}
	}
	switch {
	case entities == 0:
		return judge.Number(math.NaN()), 0
	case m.Measure.Relation():
		return judge.Number(sum), n
	}
	return judge.Number(sum / float64(entities)), n
}

// relation is the count that a sample of a relation holds: its last value.
func relation(s judge.Sample) (v, n float64, ok bool) {
	for _, sl := range s.Slices {
		if !sl.Value.IsNaN() {
			v, n, ok = float64(sl.Value), 1, true
		}
	}
	return v, n, ok
}

// unreadable settles results whose queries failed and those without data.
func (r *Result) unreadable(p Pair) bool {
	sides := []Reading{p.Source}
	if p.Compare != nil {
		sides = append(sides, *p.Compare)
	}
	for _, side := range sides {
		for _, s := range side.Samples {
			if s.Err != "" {
				r.Status, r.Why = StatusError, fmt.Sprintf("%s could not be read: %s.", r.Name, s.Err)
				return true
			}
		}
	}
	if r.Source.IsNaN() {
		r.Status = StatusInconclusive
		r.Why = fmt.Sprintf("There are no data of %s in the source: not one observation from %s to %s.", r.Name, clock(p.Source.From), clock(p.Source.To))
		return true
	}
	return false
}

func clock(t time.Time) string { return t.UTC().Format(time.RFC3339) }

// hold compares single numbers, with the semantics of monspec.
func (r *Result) hold(m Metric, c Comparison) {
	source, compare := float64(r.Source), float64(r.Compare)
	switch {
	case m.Upper != nil || m.Lower != nil:
		r.Static = true
		if m.Upper != nil {
			r.Upper = judge.Number(*m.Upper)
		}
		if m.Lower != nil {
			r.Lower = judge.Number(*m.Lower)
		}
	case r.Compare.IsNaN():
		r.Status = StatusOK
		r.Warning = "there is nothing to compare with: " + r.missing(c)
		r.Why = fmt.Sprintf("%s was %s; %s, so it passes unseen.", r.Name, r.say(source), r.Warning)
		return
	case m.Validate == BoundLower:
		r.Lower = judge.Number(compare * (1 - r.Tolerance))
	default:
		r.Upper = judge.Number(compare * (1 + r.Tolerance))
	}
	r.decide(source)
}

// missing says what there was not to compare with.
func (r *Result) missing(c Comparison) string {
	switch {
	case c.Compare == "":
		return fmt.Sprintf("comparison %s names no environment, and the metric has no static limit", c.Name)
	case r.CompareRead == nil || len(r.CompareRead.Entities) == 0:
		return fmt.Sprintf("no entity is in %s", c.Compare)
	}
	return fmt.Sprintf("no data of it in %s from %s to %s", c.Compare, clock(r.CompareRead.From), clock(r.CompareRead.To))
}

// onLimit is the relative difference that rounding alone can make.
const onLimit = 1e-9

func beyond(v, limit float64) bool {
	return v > limit && v-limit > onLimit*math.Max(math.Abs(v), math.Abs(limit))
}

// decide holds the source against the limits that are set.
func (r *Result) decide(source float64) {
	r.Status = StatusOK
	switch {
	case !r.Upper.IsNaN() && beyond(source, float64(r.Upper)):
		r.Status = StatusViolation
		r.Why = fmt.Sprintf("%s was %s, above the allowed %s%s.", r.Name, r.say(source), r.say(float64(r.Upper)), r.against())
	case !r.Lower.IsNaN() && beyond(float64(r.Lower), source):
		r.Status = StatusViolation
		r.Why = fmt.Sprintf("%s was %s, below the allowed %s%s.", r.Name, r.say(source), r.say(float64(r.Lower)), r.against())
	case r.SourceN == 0: // a rate of zero can violate, and never passes
		r.Status = StatusInconclusive
		r.Why = fmt.Sprintf("%s was %s: no traffic proves nothing.", r.Name, r.say(source))
	default:
		r.Why = fmt.Sprintf("%s was %s, within %s%s.", r.Name, r.say(source), r.bounds(), r.against())
	}
}

// bounds names the limits that are set.
func (r *Result) bounds() string {
	switch {
	case r.Lower.IsNaN():
		return "the allowed " + r.say(float64(r.Upper))
	case r.Upper.IsNaN():
		return "the allowed " + r.say(float64(r.Lower))
	}
	return "the allowed " + r.say(float64(r.Lower)) + " to " + r.say(float64(r.Upper))
}

// against says what a limit was made of.
func (r *Result) against() string {
	if r.Static {
		return " (a static limit)"
	}
	return fmt.Sprintf(" (%s in the comparison, %g %% tolerated)", r.say(float64(r.Compare)), percent(r.Tolerance))
}

func percent(fraction float64) float64 { return math.Round(fraction*1e6) / 1e4 }
