package guardian

import (
	"math"
	"testing"

	"github.com/tidegate-io/tidegate/entity"
	"github.com/tidegate-io/tidegate/judge"
)

// TestComplaint: the limit named is the one that the status is about.
func TestComplaint(t *testing.T) {
	g := Guardian{Target: entity.Ref{Service: "checkout"}}
	latency := Objective{Indicator: Indicator{Latency: &SpanIndicator{}}}
	for _, c := range []struct {
		name   string
		result judge.Result
		want   string
	}{
		{"fail", judge.Result{Status: judge.StatusFail, Estimate: 0.3, Limit: 0.2, Warn: 0.1},
			"the p95 of checkout requests is 300 ms, over the limit of 200 ms"},
		{"warn", judge.Result{Status: judge.StatusWarn, Estimate: 0.15, Limit: 0.2, Warn: 0.1},
			"the p95 of checkout requests is 150 ms, over the warning limit of 100 ms"},
		{"warned by the shape, not by the limit", judge.Result{Name: "latency", Status: judge.StatusWarn, Estimate: 0.05, Limit: 0.2, Warn: judge.Number(math.NaN()), Why: "a new tail."},
			"latency: a new tail"},
	} {
		c.result.Kind, c.result.Unit, c.result.Statistic = judge.Distribution, "s", "p95"
		if got := complaint(c.result, latency, g); got != c.want {
			t.Errorf("%s: got %q, want %q", c.name, got, c.want)
		}
	}
}
