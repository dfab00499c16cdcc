package validation

import (
	"context"
	"slices"
	"time"

	"github.com/tidegate-io/tidegate/delivery/signature"
	"github.com/tidegate-io/tidegate/fault"
	"github.com/tidegate-io/tidegate/judge"
)

// ReportQuery says what a build-validation report is about.
type ReportQuery struct {
	Pipeline   string
	Comparison string
	// Builds is how many of the latest are shown; 0 means 50, at most 200.
	Builds int
}

// BuildReport is every metric of a comparison over the builds of a pipeline.
type BuildReport struct {
	Pipeline   string      `json:"pipeline"`
	Comparison string      `json:"comparison"`
	Generated  time.Time   `json:"generated"`
	Builds     []Build     `json:"builds" doc:"oldest first"`
	Metrics    []MetricRow `json:"metrics"`
}

// Build is one validation of the report.
type Build struct {
	Build      string    `json:"build"`
	Validation string    `json:"validation" doc:"id"`
	Stage      string    `json:"stage,omitempty"`
	At         time.Time `json:"at" doc:"when it was registered"`
	Status     Status    `json:"status" enum:"waiting,running,ok,violation,inconclusive,error"`
	Summary    string    `json:"summary"`
	Violations int       `json:"violations"`
}

// MetricRow is one metric over the builds.
type MetricRow struct {
	Signature string              `json:"signature"`
	Metric    string              `json:"metric"`
	Name      string              `json:"name"`
	Operation string              `json:"operation,omitempty"`
	Aggregate signature.Aggregate `json:"aggregate"`
	Unit      string              `json:"unit,omitempty"`
	// Cells are in the order of the builds; nil where a build was not judged
	// by this metric.
	Cells []*Cell `json:"cells"`
}

// Cell is one metric of one build.
type Cell struct {
	Source  judge.Number     `json:"source"`
	Compare judge.Number     `json:"compare"`
	Upper   judge.Number     `json:"upper"`
	Lower   judge.Number     `json:"lower"`
	Status  signature.Status `json:"status" enum:"ok,violation,inconclusive,error"`
	Warning string           `json:"warning,omitempty"`
	Why     string           `json:"why"`
}

// Limits of a report.
const (
	defaultBuilds = 50
	maxBuilds     = 200
)

// Report gathers what was judged of a pipeline by one comparison. A pipeline
// of which nothing was judged yet is a fault of KindNotFound.
func (s *Service) Report(ctx context.Context, q ReportQuery) (BuildReport, error) {
	if q.Comparison == "" {
		return BuildReport{}, fault.InvalidField("comparison", "is required")
	}
	if q.Builds <= 0 {
		q.Builds = defaultBuilds
	}
	list, err := s.cfg.Store.Validations(ctx, Query{Pipeline: q.Pipeline, Comparison: q.Comparison, Limit: min(q.Builds, maxBuilds)})
	if err != nil {
		return BuildReport{}, err
	}
	if len(list) == 0 {
		return BuildReport{}, fault.NotFound("no build of pipeline %q was validated by comparison %q yet", q.Pipeline, q.Comparison)
	}
	slices.Reverse(list)
	return newReport(q, s.cfg.Clock().UTC(), list), nil
}

// newReport lays validations out as metrics by builds, oldest first.
func newReport(q ReportQuery, now time.Time, list []Validation) BuildReport {
	type key struct {
		signature, metric, operation string
		aggregate                    signature.Aggregate
	}
	out := BuildReport{Pipeline: q.Pipeline, Comparison: q.Comparison, Generated: now, Metrics: []MetricRow{}}
	rows := map[key]int{}
	for i, v := range list {
		out.Builds = append(out.Builds, Build{Build: v.Build, Validation: v.ID, Stage: v.Stage, At: v.Created,
			Status: v.Status, Summary: v.Summary, Violations: v.Violations})
		for _, r := range v.Results {
			k := key{r.Signature, r.Metric, r.Operation, r.Aggregate}
			at, known := rows[k]
			if !known {
				at = len(out.Metrics)
				rows[k] = at
				out.Metrics = append(out.Metrics, MetricRow{Signature: r.Signature, Metric: r.Metric, Name: r.Name,
					Operation: r.Operation, Aggregate: r.Aggregate, Unit: r.Unit, Cells: make([]*Cell, len(list))})
			}
			out.Metrics[at].Cells[i] = &Cell{Source: r.Source, Compare: r.Compare, Upper: r.Upper, Lower: r.Lower,
				Status: r.Status, Warning: r.Warning, Why: r.Why}
		}
	}
	return out
}
