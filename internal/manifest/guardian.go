package manifest

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/prometheus/prometheus/promql/parser"

	"github.com/tidegate-io/tidegate/entity"
	"github.com/tidegate-io/tidegate/fault"
	"github.com/tidegate-io/tidegate/guardian"
	"github.com/tidegate-io/tidegate/judge"
)

// Guardian is the spec of kind Guardian.
type Guardian struct {
	Description string      `json:"description,omitempty"`
	Target      Target      `json:"target" doc:"the service that is judged"`
	Template    string      `json:"template,omitempty" enum:"golden-signals" doc:"objectives to start from; those below with the same name replace them"`
	Objectives  []Objective `json:"objectives,omitempty"`
	Alpha       *Percent    `json:"alpha,omitempty" doc:"accepted rate of false fails of a whole verdict; default 1%"`
	// RequirePower has no default here: each criterion has its own.
	RequirePower *bool    `json:"requirePower,omitempty" doc:"a pass that could not have seen the tolerance is inconclusive"`
	Score        *Score   `json:"score,omitempty" doc:"decide by weighted score instead of the worst objective"`
	VariantBy    []string `json:"variantBy,omitempty" doc:"validation tags that separate histories, for example environment"`
	// Variables: see package guardian.
	Variables map[string]string `json:"variables,omitempty" doc:"what ${name} in places, operations and promql stands for unless a run gives another value; \"\" needs one"`
	Settle    *Duration         `json:"settle,omitempty" doc:"time to wait after the window for late telemetry; default 5s"`
	Schedule  *Schedule         `json:"schedule,omitempty"`
}

// Target names a service, or the part of it in an environment or version.
type Target struct {
	Service     string `json:"service,omitempty"`
	Environment string `json:"environment,omitempty"`
	Version     string `json:"version,omitempty"`
}

func (t Target) ref() entity.Ref {
	return entity.Ref{Service: t.Service, Environment: t.Environment, Version: t.Version}
}

// Score is the weighted mode.
type Score struct {
	Pass Percent `json:"pass"`
	Warn Percent `json:"warn,omitempty"`
}

// Schedule validates periodically.
type Schedule struct {
	Every Duration `json:"every"`
	Last  Duration `json:"last" doc:"length of the window"`
}

// Objective is one line of a guardian.
type Objective struct {
	Name      string     `json:"name"`
	Indicator *Indicator `json:"indicator,omitempty" doc:"may be left out when the template has an objective of this name"`
	Worse     string     `json:"worse,omitempty" enum:"higher,lower,either"`

	Fail       *Limit   `json:"fail,omitempty" doc:"\"> 200ms\""`
	Warn       *Limit   `json:"warn,omitempty"`
	Confidence *Percent `json:"confidence,omitempty" doc:"the interval instead of the estimate decides"`
	MinSamples int      `json:"minSamples,omitempty" doc:"requests or points needed for a verdict; default 20"`

	Adaptive *Adaptive `json:"adaptive,omitempty"`
	Compare  *Compare  `json:"compare,omitempty"`

	Key    bool    `json:"key,omitempty" doc:"its failure fails the whole verdict, whatever the score"`
	Info   bool    `json:"info,omitempty" doc:"measured and shown, decides nothing"`
	Weight float64 `json:"weight,omitempty"`
}

// Indicator says what is measured; exactly one of its kinds.
type Indicator struct {
	Latency    *Latency    `json:"latency,omitempty"`
	ErrorRate  *SpanFilter `json:"errorRate,omitempty"`
	Throughput *SpanFilter `json:"throughput,omitempty"`
	PromQL     string      `json:"promql,omitempty"`
	Unit       string      `json:"unit,omitempty"`
}

// Latency is a quantile or the mean of request durations.
type Latency struct {
	Quantile  float64 `json:"quantile,omitempty" doc:"default 0.95"`
	Mean      bool    `json:"mean,omitempty"`
	Operation string  `json:"operation,omitempty"`
	Target    *Target `json:"target,omitempty"`
}

// SpanFilter restricts to an operation, or turns to another service.
type SpanFilter struct {
	Operation string  `json:"operation,omitempty"`
	Target    *Target `json:"target,omitempty"`
}

// Adaptive learns limits from earlier validations.
type Adaptive struct {
	Worse     string   `json:"worse,omitempty" enum:"higher,lower,either"`
	MinRuns   int      `json:"minRuns,omitempty" doc:"default 5"`
	Tolerance *Percent `json:"tolerance,omitempty" doc:"nothing closer than this to the median of the learned runs fails; default 5%"`
}

// Compare holds the target against another place or an earlier time.
type Compare struct {
	To        *Target   `json:"to,omitempty"`
	Shift     *Duration `json:"shift,omitempty" doc:"how long ago the window compared with was"`
	Tolerance *Percent  `json:"tolerance,omitempty" doc:"change that is still acceptable; default 5%"`
	Mode      string    `json:"mode,omitempty" enum:"confidence,point,watch" doc:"watch may be looked at any time"`
}

func (g *Guardian) check(c *checker) {
	if g.Template == "" && len(g.Objectives) == 0 {
		c.errorf("needs a template or objectives")
	}
	oneOf(c.at("template"), g.Template, "golden-signals")
	seen := map[string]bool{}
	for i := range g.Objectives {
		o, oc := &g.Objectives[i], c.at("objectives[%d]", i)
		if o.Name == "" {
			oc.errorf("name is missing")
		}
		if seen[o.Name] {
			oc.at("name").errorf("objective %q is defined twice", o.Name)
		}
		seen[o.Name] = true
		o.check(oc)
	}
	if g.Schedule != nil {
		if g.Schedule.Every < Duration(time.Second) {
			c.at("schedule.every").errorf("must be at least 1s")
		}
		if g.Schedule.Last < Duration(time.Second) {
			c.at("schedule.last").errorf("must be at least 1s")
		}
	}
	if len(c.d.errs) > 0 {
		return
	}
	def := g.Definition("check", nil)
	if err := def.Validate(); err != nil {
		c.fault(g.placed(err, def))
	}
}

// placed turns the index of an objective in the definition, which has the
// template's objectives in it, into its index in the manifest.
func (g *Guardian) placed(err error, def *guardian.Guardian) error {
	var f *fault.Error
	if !errors.As(err, &f) {
		return err
	}
	var at int
	rest, ok := strings.CutPrefix(f.Field, "spec.objectives[")
	if n, _ := fmt.Sscanf(rest, "%d", &at); !ok || n != 1 || at >= len(def.Objectives) {
		return err
	}
	_, rest, _ = strings.Cut(rest, "]")
	for i := range g.Objectives {
		if g.Objectives[i].Name == def.Objectives[at].Name {
			return &fault.Error{Kind: f.Kind, Field: fmt.Sprintf("spec.objectives[%d]%s", i, rest), Err: f.Err}
		}
	}
	return &fault.Error{Kind: f.Kind, Field: "spec.template", Err: f.Err}
}

func (o *Objective) check(c *checker) {
	oneOf(c.at("worse"), o.Worse, "higher", "lower", "either")
	criteria := 0
	if o.Fail != nil || o.Warn != nil {
		criteria++
	}
	if a := o.Adaptive; a != nil {
		criteria++
		oneOf(c.at("adaptive.worse"), a.Worse, "higher", "lower", "either")
	}
	if p := o.Compare; p != nil {
		criteria++
		oneOf(c.at("compare.mode"), p.Mode, "confidence", "point", "watch")
		if p.To == nil && p.Shift == nil {
			c.at("compare").errorf("needs to (another place) or shift (an earlier time)")
		}
	}
	if criteria > 1 { // checked here because merge keeps only one
		c.errorf("has several criteria: expected one of fail/warn, adaptive and compare")
	}
	if o.Key && o.Info {
		c.errorf("cannot be both key and info")
	}
	if i := o.Indicator; i != nil {
		n := 0
		for _, set := range []bool{i.Latency != nil, i.ErrorRate != nil, i.Throughput != nil, i.PromQL != ""} {
			if set {
				n++
			}
		}
		if n != 1 {
			c.at("indicator").errorf("expected exactly one of latency, errorRate, throughput and promql, found %d", n)
		}
		checkPromQL(c.at("indicator.promql"), i.PromQL)
	}
}

// checkPromQL reports a query that does not parse, or whose result has no
// number at a time.
func checkPromQL(c *checker, query string) {
	if query == "" {
		return
	}
	expr, err := parser.NewParser(parser.Options{}).ParseExpr(query)
	if err != nil {
		c.errorf("no PromQL: %v", err)
		return
	}
	if t := expr.Type(); t != parser.ValueTypeVector && t != parser.ValueTypeScalar {
		c.errorf("the query's result is a %s, expected numbers, for example rate(…) or sum(…)", parser.DocumentedType(t))
	}
}

func oneOf(c *checker, value string, allowed ...string) {
	if value == "" {
		return
	}
	for _, a := range allowed {
		if a == value {
			return
		}
	}
	c.errorf("%q is not one of %s%s", value, quoteList(allowed), didYouMean(value, allowed))
}

// Definition returns the guardian as the domain knows it, with the template's
// objectives merged in.
func (g *Guardian) Definition(name string, labels map[string]string) *guardian.Guardian {
	out := &guardian.Guardian{
		Name: name, Labels: labels, Description: g.Description,
		Target:    g.Target.ref(),
		VariantBy: g.VariantBy,
		Variables: g.Variables,
	}
	if g.Alpha != nil {
		out.Options.Alpha = float64(*g.Alpha)
	}
	out.Options.RequirePower = g.RequirePower
	if g.Score != nil {
		out.Options.Score = &judge.Score{Pass: float64(g.Score.Pass) * 100, Warn: float64(g.Score.Warn) * 100}
	}
	if g.Settle != nil {
		out.Settle = time.Duration(*g.Settle)
	}
	if g.Schedule != nil {
		out.Schedule = &guardian.Schedule{Every: time.Duration(g.Schedule.Every), Last: time.Duration(g.Schedule.Last)}
	}
	if g.Template == "golden-signals" {
		out.Objectives = guardian.GoldenSignals(out.Target)
	}
	for i := range g.Objectives {
		o := &g.Objectives[i]
		at := -1
		for j := range out.Objectives {
			if out.Objectives[j].Name == o.Name {
				at = j
			}
		}
		if at >= 0 {
			out.Objectives[at] = o.merge(out.Objectives[at])
			continue
		}
		out.Objectives = append(out.Objectives, o.merge(guardian.Objective{}))
	}
	return out
}

// merge lays what the manifest says over the template's objective. Naming a
// criterion replaces the template's.
func (o *Objective) merge(out guardian.Objective) guardian.Objective {
	out.Name = o.Name
	if i := o.Indicator; i != nil {
		out.Indicator = guardian.Indicator{PromQL: i.PromQL, Unit: i.Unit}
		out.Quantile, out.Mean = 0, false
		switch {
		case i.Latency != nil:
			out.Indicator.Latency = &guardian.SpanIndicator{Operation: i.Latency.Operation, Target: i.Latency.Target.refOrNil()}
			out.Mean = i.Latency.Mean
			if out.Quantile = i.Latency.Quantile; out.Quantile == 0 && !out.Mean {
				out.Quantile = 0.95
			}
		case i.ErrorRate != nil:
			out.Indicator.ErrorRate = i.ErrorRate.indicator()
		case i.Throughput != nil:
			out.Indicator.Throughput = i.Throughput.indicator()
		}
	}
	if o.Fail != nil || o.Warn != nil || o.Adaptive != nil || o.Compare != nil || o.Info {
		out.Threshold, out.Adaptive, out.Comparison, out.Watch = nil, nil, nil, nil
		out.CompareTo, out.Shift = nil, 0
	}
	if o.Fail != nil || o.Warn != nil {
		out.Threshold = &judge.Threshold{Fail: (*judge.Limit)(o.Fail), Warn: (*judge.Limit)(o.Warn), MinSamples: float64(o.MinSamples)}
		if o.Confidence != nil {
			out.Threshold.Confidence = float64(*o.Confidence)
		}
		for _, l := range []*Limit{o.Warn, o.Fail} {
			if l != nil {
				out.Worse = worseOf(l.Op)
			}
		}
	}
	if a := o.Adaptive; a != nil {
		out.Adaptive = &judge.Adaptive{MinRuns: a.MinRuns, Tolerance: (*float64)(a.Tolerance)}
		if a.Worse != "" {
			out.Worse = judge.Direction(a.Worse)
		}
	}
	if p := o.Compare; p != nil {
		out.CompareTo = p.To.refOrNil()
		if p.Shift != nil {
			out.Shift = time.Duration(*p.Shift)
		}
		if p.Mode == "watch" {
			out.Watch = &judge.Watch{Tolerance: (*float64)(p.Tolerance)}
		} else {
			out.Comparison = &judge.Comparison{Tolerance: (*float64)(p.Tolerance), Point: p.Mode == "point"}
		}
	}
	if o.Worse != "" {
		out.Worse = judge.Direction(o.Worse)
	}
	switch {
	case o.Key:
		out.Role = judge.RoleKey
	case o.Info:
		out.Role = judge.RoleInfo
	}
	if o.Weight != 0 {
		out.Weight = o.Weight
	}
	return out
}

func worseOf(op string) judge.Direction {
	if op[0] == '>' {
		return judge.WorseHigher
	}
	return judge.WorseLower
}

func (t *Target) refOrNil() *entity.Ref {
	if t == nil {
		return nil
	}
	r := t.ref()
	return &r
}

func (f *SpanFilter) indicator() *guardian.SpanIndicator {
	return &guardian.SpanIndicator{Operation: f.Operation, Target: f.Target.refOrNil()}
}
