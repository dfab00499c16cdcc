package guardian_test

import (
	"context"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tidegate-io/tidegate/entity"
	"github.com/tidegate-io/tidegate/fault"
	"github.com/tidegate-io/tidegate/guardian"
	"github.com/tidegate-io/tidegate/judge"
)

func perVersion() guardian.Guardian {
	return guardian.Guardian{
		Name: "canary", Variables: map[string]string{"candidate": "", "stable": "", "zone": "a"},
		Target: entity.Ref{Service: "checkout", Version: "${candidate}"},
		Objectives: []guardian.Objective{
			{Objective: judge.Objective{Name: "errors", Comparison: &judge.Comparison{}},
				Indicator: guardian.Indicator{ErrorRate: &guardian.SpanIndicator{Operation: "Place in ${zone}"}},
				CompareTo: &entity.Ref{Version: "${stable}"}},
			{Objective: judge.Objective{Name: "cpu", Role: judge.RoleInfo}, Indicator: guardian.Indicator{PromQL: `cpu{version="${candidate}"}`}},
		},
	}
}

// asked remembers what was read.
type asked struct {
	guardian.Sampler
	mu       sync.Mutex
	readings []string
}

func (a *asked) Sample(ctx context.Context, r guardian.Reading) (judge.Sample, []string, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	op := ""
	if r.Indicator.ErrorRate != nil {
		op = r.Indicator.ErrorRate.Operation
	}
	a.readings = append(a.readings, strings.Join([]string{r.Target.Version, op, r.Indicator.PromQL}, "|"))
	return a.Sampler.Sample(ctx, r)
}

func TestVariablesStandForWhatARunSays(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.defs = definitions{perVersion()}
		seen := &asked{Sampler: w.shop}
		w.config = func(c *guardian.Config) { c.Sampler = seen }
		w.boot()
		defer w.shutdown()
		v := w.validate(guardian.Request{Guardian: "canary", Next: time.Minute, Variables: map[string]string{"candidate": "2.1", "stable": "2.0"}})
		if v.Target.Version != "2.1" || v.Variables["stable"] != "2.0" {
			t.Errorf("stored target %v and variables %v", v.Target, v.Variables)
		}
		for _, want := range []string{"2.1|Place in a|", "2.0|Place in a|", `2.1||cpu{version="2.1"}`} {
			if !slices.Contains(seen.readings, want) {
				t.Errorf("%q was not read, but %q", want, seen.readings)
			}
		}
	})
}

func TestVariablesThatAreWrong(t *testing.T) {
	undeclared := perVersion()
	undeclared.Target.Environment = "${where}"
	for name, c := range map[string]struct {
		g     guardian.Guardian
		given map[string]string
		say   string
	}{
		"no value":   {perVersion(), map[string]string{"candidate": "2"}, `value for the variable "stable"`},
		"unknown":    {perVersion(), map[string]string{"candidat": "2"}, `no variable "candidat"; it has candidate, stable, zone`},
		"injection":  {perVersion(), map[string]string{"candidate": `2"} or up{a="`, "stable": "1"}, "up to 200 letters"},
		"undeclared": {undeclared, nil, `uses the variable "where"`},
	} {
		err := c.g.Validate()
		if err == nil {
			w := newWorld(t)
			w.defs = definitions{c.g}
			svc, e := guardian.New(guardian.Config{Definitions: w.defs, Store: w.store, Sampler: w.shop})
			if e != nil {
				t.Fatal(e)
			}
			_, err = svc.Start(t.Context(), guardian.Request{Guardian: "canary", Last: time.Minute, Variables: c.given})
		}
		if !fault.Is(err, fault.KindInvalid) || !strings.Contains(err.Error(), c.say) {
			t.Errorf("%s: got %v, want a fault that says %q", name, err, c.say)
		}
	}
}
