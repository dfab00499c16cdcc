package judge

import (
	"strings"
	"testing"
)

// TestInfoIsNotCountedAsUndecided: an objective for information without data
// is not among the inconclusive ones of the sentence.
func TestInfoIsNotCountedAsUndecided(t *testing.T) {
	v := Judge(Options{}, []Input{
		{Objective: Objective{Name: "errors", Threshold: &Threshold{Fail: &Limit{Op: ">", Value: 0.05}}, Worse: WorseHigher},
			Sample: Sample{Kind: Ratio, Slices: []Slice{{Seconds: 60, Total: 1000}}}},
		{Objective: Objective{Name: "revenue", Role: RoleInfo}, Sample: Sample{Kind: Value}},
	})
	if v.Status != StatusPass || strings.Contains(v.Summary, "inconclusive") || !strings.Contains(v.Summary, "1 for information") {
		t.Errorf("%s: %s", v.Status, v.Summary)
	}
}
