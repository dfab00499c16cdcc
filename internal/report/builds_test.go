package report

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/tidegate-io/tidegate/delivery/signature"
	"github.com/tidegate-io/tidegate/delivery/validation"
	"github.com/tidegate-io/tidegate/fault"
	"github.com/tidegate-io/tidegate/judge"
)

func builds() validation.BuildReport {
	nan := judge.Number(math.NaN())
	return validation.BuildReport{
		Pipeline: "shop <b>", Comparison: "StagingToProduction", Generated: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC),
		Builds: []validation.Build{
			{Build: "1", Validation: "cmp-1", Status: validation.StatusOK, Summary: "All 1 metrics are within."},
			{Build: "=2+3", Validation: "cmp-2", Status: validation.StatusViolation, Summary: "too slow"},
			{Build: "3", Validation: "cmp-3", Status: validation.StatusWaiting},
		},
		Metrics: []validation.MetricRow{{Signature: "cart", Metric: "responseTime", Name: "response time avg", Aggregate: "avg", Unit: "s", Cells: []*validation.Cell{
			{Source: 0.1, Compare: nan, Upper: nan, Lower: nan, Status: signature.StatusOK, Warning: "nothing to compare with"},
			{Source: 0.3, Compare: 0.1, Upper: 0.115, Lower: nan, Status: signature.StatusViolation, Why: "300 ms"},
			nil,
		}}},
	}
}

func TestBuildReports(t *testing.T) {
	render := func(format, base string) string {
		t.Helper()
		var b bytes.Buffer
		if _, err := RenderBuilds(&b, format, builds(), base); err != nil {
			t.Fatal(err)
		}
		return b.String()
	}
	html := render("html", "https://tidegate.example/")
	for _, want := range []string{"shop &lt;b&gt;", "✕ violation", "✓ ok", "… waiting", "300 ms", "≤ 115 ms", "nothing to compare with", `href="https://tidegate.example/v1/comparison-validations/cmp-2"`} {
		if !strings.Contains(html, want) {
			t.Errorf("the page lacks %q", want)
		}
	}
	for _, no := range []string{"<script", "<link", "src=", "NaN", "@import"} {
		if strings.Contains(html, no) {
			t.Errorf("the page has %q", no)
		}
	}
	if got := render("html", "javascript:alert(1)"); strings.Contains(got, "href") {
		t.Error("links to something that is no server")
	}
	rows, err := csv.NewReader(strings.NewReader(render("csv", ""))).ReadAll()
	if err != nil || len(rows) != 3 {
		t.Fatalf("%d rows, %v: want the header and two", len(rows), err)
	}
	if got := strings.Join(rows[2], "|"); got != "shop <b>|StagingToProduction|'=2+3||0001-01-01T00:00:00Z|cmp-2|violation|cart|responseTime||avg|s|0.3|0.1||0.115|violation|" {
		t.Errorf("row %s", got)
	}
	var back validation.BuildReport
	if err := json.Unmarshal([]byte(render("json", "")), &back); err != nil || len(back.Builds) != 3 || back.Metrics[0].Cells[1].Source != 0.3 || !back.Metrics[0].Cells[0].Compare.IsNaN() {
		t.Errorf("%+v, %v", back, err)
	}
	if _, err := RenderBuilds(&bytes.Buffer{}, "pdf", builds(), ""); !fault.Is(err, fault.KindInvalid) {
		t.Errorf("an unknown format: %v", err)
	}
}
