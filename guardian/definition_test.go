package guardian_test

import (
	"errors"
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/tidegate-io/tidegate/entity"
	"github.com/tidegate-io/tidegate/fault"
	"github.com/tidegate-io/tidegate/guardian"
	"github.com/tidegate-io/tidegate/judge"
)

func latency(change func(*guardian.Objective)) guardian.Guardian {
	o := guardian.Objective{
		Objective: judge.Objective{Name: "latency", Adaptive: &judge.Adaptive{}},
		Indicator: guardian.Indicator{Latency: &guardian.SpanIndicator{}},
	}
	change(&o)
	return guardian.Guardian{Name: "g", Target: entity.Ref{Service: "checkout", Environment: "dev"}, Objectives: []guardian.Objective{o}}
}

func TestValidateNamesThePlace(t *testing.T) {
	limit := func(op string, v float64) *judge.Limit { return &judge.Limit{Op: op, Value: v} }
	threshold := func(fail, warn *judge.Limit) func(*guardian.Objective) {
		return func(o *guardian.Objective) {
			o.Adaptive, o.Threshold = nil, &judge.Threshold{Fail: fail, Warn: warn}
		}
	}
	compare := func(to *entity.Ref, shift time.Duration) func(*guardian.Objective) {
		return func(o *guardian.Objective) {
			o.Adaptive, o.Comparison, o.CompareTo, o.Shift = nil, &judge.Comparison{}, to, shift
		}
	}
	negative := -0.1
	const at = "spec.objectives[0]"
	for name, tc := range map[string]struct {
		g     guardian.Guardian
		field string // empty: it is right
	}{
		"right":                  {latency(func(*guardian.Objective) {}), ""},
		"golden signals":         {checkout, ""},
		"golden, with defaults":  {checkout.WithDefaults(), ""},
		"threshold":              {latency(threshold(limit(">", 0.2), limit(">", 0.18))), ""},
		"negative limit":         {latency(threshold(limit("<", -5), limit("<", -4))), ""},
		"another environment":    {latency(compare(&entity.Ref{Environment: "production"}, 0)), ""},
		"an earlier time":        {latency(compare(nil, time.Hour)), ""},
		"nameless":               {guardian.Guardian{Objectives: checkout.Objectives, Target: checkout.Target}, "metadata.name"},
		"no objectives":          {guardian.Guardian{Name: "g"}, "spec.objectives"},
		"no service":             {guardian.Guardian{Name: "g", Objectives: checkout.Objectives}, "spec.target.service"},
		"nameless objective":     {latency(func(o *guardian.Objective) { o.Name = "" }), at + ".name"},
		"no indicator":           {latency(func(o *guardian.Objective) { o.Indicator = guardian.Indicator{} }), at + ".indicator"},
		"two indicators":         {latency(func(o *guardian.Objective) { o.Indicator.PromQL = "up" }), at + ".indicator"},
		"unit of a latency":      {latency(func(o *guardian.Objective) { o.Indicator.Unit = "EUR" }), at + ".indicator.unit"},
		"unknown role":           {latency(func(o *guardian.Objective) { o.Role = "vital" }), at + ".role"},
		"unknown direction":      {latency(func(o *guardian.Objective) { o.Worse = "up" }), at + ".worse"},
		"weightless":             {latency(func(o *guardian.Objective) { o.Weight = math.NaN() }), at + ".weight"},
		"two criteria":           {latency(func(o *guardian.Objective) { o.Watch = &judge.Watch{} }), at},
		"required, no criterion": {latency(func(o *guardian.Objective) { o.Adaptive, o.Role = nil, judge.RoleRequired }), at},
		"quantile of 95":         {latency(func(o *guardian.Objective) { o.Quantile = 95 }), at + ".indicator.latency.quantile"},
		"quantile and mean":      {latency(func(o *guardian.Objective) { o.Quantile, o.Mean = 0.5, true }), at + ".indicator.latency"},
		"mean of errors": {latency(func(o *guardian.Objective) {
			o.Mean, o.Indicator = true, guardian.Indicator{ErrorRate: &guardian.SpanIndicator{}}
		}), at + ".indicator"},
		"odd operator":         {latency(threshold(limit("=", 1), nil)), at + ".fail"},
		"infinite limit":       {latency(threshold(limit(">", math.Inf(1)), nil)), at + ".fail"},
		"empty threshold":      {latency(threshold(nil, nil)), at},
		"warn beyond fail":     {latency(threshold(limit(">", 1), limit(">", 2))), at + ".warn"},
		"warn the other way":   {latency(threshold(limit(">", 1), limit("<", 2))), at + ".warn"},
		"one run is no series": {latency(func(o *guardian.Objective) { o.Adaptive.MinRuns = 1 }), at + ".adaptive.minRuns"},
		"negative tolerance":   {latency(func(o *guardian.Objective) { o.Adaptive.Tolerance = &negative }), at + ".adaptive.tolerance"},
		"compared with what?":  {latency(compare(nil, 0)), at + ".compare"},
		"with itself":          {latency(compare(&entity.Ref{Service: "checkout"}, 0)), at + ".compare.to"},
		"place, no comparison": {latency(func(o *guardian.Objective) { o.Shift = time.Hour }), at + ".compare"},
		"watched traffic": {latency(func(o *guardian.Objective) {
			o.Adaptive, o.Watch, o.Shift = nil, &judge.Watch{}, time.Hour
			o.Indicator = guardian.Indicator{Throughput: &guardian.SpanIndicator{}}
		}), at + ".watch"},
	} {
		err := tc.g.Validate()
		var f *fault.Error
		switch {
		case tc.field == "" && err != nil:
			t.Errorf("%s: %v", name, err)
		case tc.field != "" && (!errors.As(err, &f) || f.Kind != fault.KindInvalid || f.Field != tc.field):
			t.Errorf("%s: got %v, want a fault at %s", name, err, tc.field)
		}
	}
}

func TestValidateWholeGuardian(t *testing.T) {
	for field, change := range map[string]func(*guardian.Guardian){
		"spec.settle":             func(g *guardian.Guardian) { g.Settle = time.Hour },
		"spec.alpha":              func(g *guardian.Guardian) { g.Options.Alpha = 5 },
		"spec.score":              func(g *guardian.Guardian) { g.Options.Score = &judge.Score{Pass: 50, Warn: 90} },
		"spec.schedule.every":     func(g *guardian.Guardian) { g.Schedule = &guardian.Schedule{Every: 1, Last: time.Minute} },
		"spec.schedule.last":      func(g *guardian.Guardian) { g.Schedule = &guardian.Schedule{Every: time.Minute} },
		"spec.variantBy":          func(g *guardian.Guardian) { g.VariantBy = make([]string, 11) },
		"metadata.name":           func(g *guardian.Guardian) { g.Name = strings.Repeat("x", 101) },
		"spec.objectives[1].name": func(g *guardian.Guardian) { g.Objectives = append(g.Objectives, g.Objectives[0]) },
		"spec.objectives": func(g *guardian.Guardian) {
			for i := range 50 {
				o := g.Objectives[0]
				o.Name = fmt.Sprint(i)
				g.Objectives = append(g.Objectives, o)
			}
		},
	} {
		g := latency(func(*guardian.Objective) {})
		change(&g)
		var f *fault.Error
		if err := g.Validate(); !errors.As(err, &f) || f.Field != field {
			t.Errorf("got %v, want a fault at %s", err, field)
		}
	}
}

func TestDefaults(t *testing.T) {
	g := checkout
	g.Objectives = append([]guardian.Objective{}, g.Objectives...)
	g.Objectives = append(g.Objectives, guardian.Objective{
		Objective: judge.Objective{Name: "availability", Threshold: &judge.Threshold{Fail: &judge.Limit{Op: "<", Value: 0.9}}},
		Indicator: guardian.Indicator{PromQL: "avail"},
	}, guardian.Objective{
		Objective: judge.Objective{Name: "vs", Comparison: &judge.Comparison{}},
		Indicator: guardian.Indicator{Latency: &guardian.SpanIndicator{}}, CompareTo: &entity.Ref{Environment: "production"},
	})
	d := g.WithDefaults()
	if d.Settle != 5*time.Second {
		t.Errorf("settle %s", d.Settle)
	}
	type row struct {
		worse    judge.Direction
		role     judge.Role
		quantile float64
	}
	want := map[string]row{
		"latency":      {judge.WorseHigher, judge.RoleRequired, 0.95},
		"errors":       {judge.WorseHigher, judge.RoleKey, 0},
		"traffic":      {judge.WorseLower, judge.RoleRequired, 0},
		"saturation":   {judge.WorseHigher, judge.RoleInfo, 0},
		"availability": {judge.WorseLower, judge.RoleRequired, 0},
		"vs":           {judge.WorseHigher, judge.RoleRequired, 0.95},
	}
	for _, o := range d.Objectives {
		if got := (row{o.Worse, o.Role, o.Quantile}); got != want[o.Name] {
			t.Errorf("%s: got %+v, want %+v", o.Name, got, want[o.Name])
		}
	}
	if to := *d.Objectives[5].CompareTo; to != (entity.Ref{Service: "checkout", Environment: "production"}) {
		t.Errorf("compare to %+v", to)
	}
	if g.Objectives[5].CompareTo.Service != "" {
		t.Error("WithDefaults changed its receiver")
	}
}

func TestTemplate(t *testing.T) {
	own := []guardian.Objective{
		{Objective: judge.Objective{Name: "revenue"}, Indicator: guardian.Indicator{PromQL: "r"}},
		{Objective: judge.Objective{Name: "latency", Threshold: &judge.Threshold{Fail: &judge.Limit{Op: ">", Value: 0.2}}},
			Indicator: guardian.Indicator{Latency: &guardian.SpanIndicator{}}},
	}
	got, err := guardian.WithTemplate(guardian.TemplateGoldenSignals, checkout.Target, own)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, o := range got {
		names = append(names, o.Name)
	}
	if s := strings.Join(names, " "); s != "latency errors traffic saturation revenue" {
		t.Error(s)
	}
	if got[0].Threshold == nil || got[0].Adaptive != nil {
		t.Error("the person's latency objective is not there")
	}
	if _, err := guardian.WithTemplate("silver", checkout.Target, own); !fault.Is(err, fault.KindInvalid) {
		t.Errorf("unknown template: %v", err)
	}
	if same, err := guardian.WithTemplate("", checkout.Target, own); err != nil || len(same) != 2 {
		t.Errorf("no template: %v, %v", same, err)
	}
}
