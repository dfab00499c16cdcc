package judge

// Status is the outcome of an objective or of a verdict.
type Status string

// The statuses.
const (
	StatusPass         Status = "pass"
	StatusWarn         Status = "warn"
	StatusFail         Status = "fail"
	StatusInconclusive Status = "inconclusive"
	StatusLearning     Status = "learning"
	StatusInfo         Status = "info"
	StatusError        Status = "error"
)

// Verdict is the answer for all objectives together.
type Verdict struct {
	Status Status `json:"status"`
	// Summary is one plain sentence.
	Summary string   `json:"summary"`
	Score   *float64 `json:"score,omitempty"`
	Alpha   float64  `json:"alpha"`
	// Results are in the order of the objectives given.
	Results []Result `json:"results"`
}

// Result is the answer for one objective.
type Result struct {
	Name   string `json:"name"`
	Status Status `json:"status"`
	Role   Role   `json:"role"`
	Kind   Kind   `json:"kind"`
	// Criterion is "threshold", "adaptive", "comparison", "watch" or "info".
	Criterion string `json:"criterion"`
	Unit      string `json:"unit,omitempty"`
	// Statistic names the estimate: "p95", "mean", "error rate", "rate".
	Statistic string `json:"statistic"`

	// Estimate with its confidence interval; NaN (null) when there is no data.
	Estimate Number `json:"estimate"`
	Low      Number `json:"low"`
	High     Number `json:"high"`
	// Limit the estimate was held against; NaN when there is none. For an
	// objective bounded on both sides LimitLow is the lower one.
	Limit    Number `json:"limit"`
	LimitLow Number `json:"limitLow"`
	Warn     Number `json:"warn"`
	// Baseline is the value compared with: the other window's estimate, or
	// the median of the runs learned from.
	Baseline Number `json:"baseline"`
	// N is the number of observations behind the estimate.
	N float64 `json:"n"`
	// MDE is the smallest regression, as a fraction of the baseline (or of
	// the limit), that would have been seen with 95 % power; NaN if unknown.
	MDE Number `json:"mde"`
	// Detectable is that regression as a value in the indicator's unit: a true
	// value this bad would have failed with 95 % power; NaN if unknown.
	Detectable Number `json:"detectable"`
	// Needed is how many more observations would settle an inconclusive
	// result; 0 when unknown or not needed.
	Needed float64 `json:"needed,omitempty"`
	// PValue of the regression after correction for the number of
	// objectives; NaN where the criterion has none.
	PValue Number `json:"pValue"`
	// EValue is the evidence of a watch; NaN elsewhere.
	EValue Number `json:"eValue"`
	// Inflation is the variance inflation φ found in the slices.
	Inflation float64 `json:"inflation"`
	// Learned is how many earlier runs were learned from.
	Learned int `json:"learned,omitempty"`
	// Notes are further findings: a mode only the candidate has, drift.
	Notes []string `json:"notes,omitempty"`
	// Why is one plain sentence.
	Why string `json:"why"`
	// Run is what to keep of this result to learn from later; nil without data.
	Run *Run `json:"run,omitempty"`
}
