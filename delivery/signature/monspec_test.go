package signature

import (
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tidegate-io/tidegate/entity"
	"github.com/tidegate-io/tidegate/fault"
)

func readMonspec(t testing.TB) []byte {
	t.Helper()
	data, err := os.ReadFile("testdata/monspec.json")
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func TestMonspecIsReadAsItIs(t *testing.T) {
	got, err := ParseMonspec("monspec.json", readMonspec(t))
	if err != nil {
		t.Fatal(err)
	}
	num := func(v float64) *float64 { return &v }
	const rt, rpm = "com.dynatrace.builtin:service.responsetime", "com.dynatrace.builtin:service.requestspermin"
	want := []Signature{{
		Name: "CartService", Title: "cart", Owner: "Team Basket", Type: entity.TypeService, Mode: ModePoint,
		Environments: []Environment{
			{"Staging", `type("SERVICE"),tag("DeploymentGroup:Staging")`},
			{"Production", `type("SERVICE"),tag("DEPLOYMENT_GROUP_NAME:Production"),tag("critical")`},
		},
		Comparisons: []Comparison{
			{Name: "StagingToProduction", Source: "Staging", Compare: "Production", Tolerance: 0.15, Tolerances: map[string]float64{rpm: 0.9}},
			{Name: "ProductionToProductionLastHour", Source: "Production", Compare: "Production", Mode: ModeConfidence, Tolerance: 0.1,
				ShiftSource: time.Minute, ShiftCompare: time.Hour},
		},
		Metrics: []Metric{
			{Key: rt, Measure: ResponseTime, Aggregate: Avg, Validate: BoundUpper},
			{Key: rt, Measure: ResponseTime, Aggregate: "p90", Validate: BoundUpper, Upper: num(0.25)},
			{Key: "service.failurerate", Measure: FailureRate, Aggregate: Avg, Validate: BoundUpper, Upper: num(0.025)},
			{Key: rpm, Measure: Requests, Aggregate: Count, Validate: BoundLower},
			{Key: "toRelationships:calls", Measure: Calls, Aggregate: Count, Validate: BoundUpper, Upper: num(2)},
			{Key: "fromRelationships:runsOn", Measure: RunsOn, Aggregate: Count, Validate: BoundLower},
			{Key: "fromRelationships:calls", Measure: CalledBy, Aggregate: Count, Validate: BoundUpper},
			{Key: "com.dynatrace.builtin:servicemethod.responsetime", Measure: ResponseTime, Operation: "/api/add", Aggregate: Median, Validate: BoundUpper},
			{Key: "com.dynatrace.builtin:servicemethod.failurerate", Measure: FailureRate, Operation: "/api/add", Aggregate: Avg, Validate: BoundUpper},
		},
	}}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	c, err := got[0].Comparison("StagingToProduction")
	if err != nil || c.Mode != ModePoint {
		t.Errorf("a comparison that names no mode has %q, %v; want point", c.Mode, err)
	}
}

// Every mistake comes with line, column, path, and what was expected.
func TestMonspecMistakes(t *testing.T) {
	valid := string(readMonspec(t))
	for _, tt := range []struct{ name, old, new, want string }{
		{"typo in a key", `"scalefactorperc": { "default": 10 }`, `"scalefactorprec": { "default": 10 }`,
			`m.json:40:17: CartService.comparisons[1]: unknown key "scalefactorprec" (did you mean "scalefactorperc"?)`},
		{"typo in a metric", `"timeseries": "service.failurerate"`, `"timeseries": "service.failrate"`,
			`m.json:53:29: CartService.perfsignature[2].timeseries: unknown metric "service.failrate" (did you mean "com.dynatrace.builtin:service.failurerate"?)`},
		{"typo in an environment", `"compare": "Production",
                "scale`, `"compare": "Prodution",
                "scale`, `m.json:25:28: CartService.comparisons[0].compare: there is no environment "Prodution" (did you mean "Production"?); there is Staging, Production`},
		{"typo in a scale factor", `"com.dynatrace.builtin:service.requestspermin": 90`, `"com.dynatrace.builtin:service.requestpermin": 90`,
			`m.json:28:21: CartService.comparisons[0].scalefactorperc: unknown key "com.dynatrace.builtin:service.requestpermin" (did you mean "com.dynatrace.builtin:service.requestspermin"?)`},
		{"unknown aggregate", `"aggregate": "p90"`, `"aggregate": "percentile"`,
			`m.json:52:88: CartService.perfsignature[1].aggregate: expected min, max, avg, sum, median, count or a percentile such as p90, found "percentile"`},
		{"unknown bound", `"validate": "lower" },
            { "smartscape": "toR`, `"validate": "below" },
            { "smartscape": "toR`, `CartService.perfsignature[3].validate: expected upper or lower, found "below"`},
		{"a text as a number", `"upperlimit": "2.5"`, `"upperlimit": "much"`, `perfsignature[2].upperlimit: expected a number, found "much"`},
		{"both kinds of metric", `"smartscape": "fromRelationships:calls"`, `"smartscape": "fromRelationships:calls", "timeseries": "service.failurerate"`,
			`expected either timeseries or smartscape, found both`},
		{"neither", `{ "smartscape": "fromRelationships:calls" }`, `{ "aggregate": "avg" }`, `perfsignature[6]: expected timeseries or smartscape`},
		{"relation that is no count", `"smartscape": "fromRelationships:runsOn", "aggregate": "count"`, `"smartscape": "fromRelationships:runsOn", "aggregate": "avg"`,
			`relations are counted: expected count, found "avg"`},
		{"operation metric on a service", `"timeseries": "service.failurerate"`, `"timeseries": "servicemethod.failurerate"`, `put it under servicemethods`},
		{"service metric on an operation", `"timeseries": "com.dynatrace.builtin:servicemethod.failurerate"`, `"timeseries": "com.dynatrace.builtin:service.failurerate"`,
			`under servicemethods expected servicemethod.*`},
		{"type", `"etype": "SERVICE"`, `"etype": "HOST"`, `CartService.etype: HOST cannot be compared yet: expected SERVICE`},
		{"no type", `"etype": "SERVICE",`, ``, `CartService: etype is missing`},
		{"no tags", `{ "context": "CONTEXTLESS", "key": "DeploymentGroup", "value": "Staging" }`, ``, `environment "Staging" has no tags`},
		{"tag without key", `"key": "DeploymentGroup", `, ``, `environments.Staging.tags[0]: key is missing`},
		{"shift backwards", `"shiftcomparetimeframe": 3600`, `"shiftcomparetimeframe": -3600`, `expected seconds back in time, between 0 and 2678400, found -3600`},
		{"twice the same key", `"owner": "Team Basket"`, `"name": "x"`, `m.json:7:9: CartService: "name" is given twice`},
		{"twice the same comparison", `"name": "ProductionToProductionLastHour"`, `"name": "StagingToProduction"`, `comparison "StagingToProduction" is defined twice`},
		{"with itself", `"shiftcomparetimeframe": 3600`, `"shiftcomparetimeframe": 60`, `Production would be compared with itself at the same time`},
		{"not a list", `"servicemethods": [`, `"servicemethods": 1, "_off": [`, `CartService.servicemethods: expected a list, found 1`},
		{"trailing comma", `"shiftcomparetimeframe": 0,`, `"shiftcomparetimeframe": ,`, `not valid JSON`},
		{"cut off", `"_servicemethods_off": [ { "whatever": 1 } ]
    }
}`, ``, `not valid JSON: the file ends here`},
		{"two files in one", `"_comment": "what staging may differ from production",`, `}{`, `not valid JSON: expected the end of the file`},
		{"negative tolerance with confidence", `"default": 10 }`, `"default": -10 }`, `comparisons[1].tolerance: -10 % is negative, which only mode point knows`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if !strings.Contains(valid, tt.old) {
				t.Fatalf("the file does not hold %q", tt.old)
			}
			_, err := ParseMonspec("m.json", []byte(strings.Replace(valid, tt.old, tt.new, 1)))
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error: %v\nwant: %s", err, tt.want)
			}
			if !fault.Is(err, fault.KindInvalid) {
				t.Errorf("kind %v, want invalid", fault.KindOf(err))
			}
		})
	}
}

func TestMonspecOfNothing(t *testing.T) {
	for data, want := range map[string]string{
		``: "m:1:1: not valid JSON: the file ends here: expected more", `[]`: "m:1:1: expected an object, found a list", `{}`: "no entity definition in it",
		`{"_off": {"etype": "SERVICE"}}`: "no entity definition in it", `{"a": null}`: "m:1:7: a: expected an object, found null",
		`{"a": {"etype": "SERVICE"}}`:         "at least one metric is needed",
		strings.Repeat("[", 50):               "nested more than 20 deep",
		`{"ü": 1, "b": {"etype": "SERVICE"}}`: "m:1:7: ü: expected an object, found 1",
	} {
		if _, err := ParseMonspec("m", []byte(data)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v; want %s", data, err, want)
		}
	}
	if _, err := ParseMonspec("m", make([]byte, maxMonspec+1)); err == nil || !strings.Contains(err.Error(), "larger than 1024 KiB") {
		t.Errorf("too large: %v", err)
	}
}

func FuzzParseMonspec(f *testing.F) {
	f.Add(readMonspec(f))
	f.Add([]byte(`{"a": {"etype": "SERVICE", "perfsignature": [{"timeseries": "service.responsetime"}]}}`))
	f.Add([]byte(`{"a": {"etype": "SERVICE", "environments": {"e": {"tags": [{"key": "[x", "value": "~"}]}}}, "_": 1}`))
	f.Add([]byte(`{"a": {"comparisons": [{"name": "c", "scalefactorperc": {"default": 1e309}}]}}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		all, err := ParseMonspec("m", data)
		if err != nil {
			if !fault.Is(err, fault.KindInvalid) {
				t.Fatalf("kind %v", fault.KindOf(err))
			}
			return
		}
		for i := range all {
			if err := all[i].Validate(); err != nil {
				t.Fatalf("what was read is not valid: %v", err)
			}
		}
	})
}
