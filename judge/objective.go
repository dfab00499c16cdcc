package judge

// Direction says which way is worse.
type Direction string

// The directions.
const (
	WorseHigher Direction = "higher"
	WorseLower  Direction = "lower"
	WorseEither Direction = "either"
)

// Role says what an objective means for the verdict as a whole.
type Role string

// The roles.
const (
	// RoleRequired objectives decide the verdict.
	RoleRequired Role = "required"
	// RoleKey objectives fail the whole verdict when they fail, even in score mode.
	RoleKey Role = "key"
	// RoleInfo objectives are measured and shown, and decide nothing.
	RoleInfo Role = "info"
)

// Objective is what a sample is held against. At most one of Threshold,
// Adaptive, Comparison and Watch is set; with none the objective is
// informational.
type Objective struct {
	Name   string    `json:"name"`
	Worse  Direction `json:"worse,omitempty"`
	Role   Role      `json:"role,omitempty"`
	Weight float64   `json:"weight,omitempty"`

	// Quantile of a distribution, in (0, 1); with Mean the mean is judged.
	Quantile float64 `json:"quantile,omitempty"`
	Mean     bool    `json:"mean,omitempty"`

	Threshold  *Threshold  `json:"threshold,omitempty"`
	Adaptive   *Adaptive   `json:"adaptive,omitempty"`
	Comparison *Comparison `json:"comparison,omitempty"`
	Watch      *Watch      `json:"watch,omitempty"`
}

// Limit is a bound such as "> 200ms"; the value is in the indicator's base
// unit (seconds, ratio, per second).
type Limit struct {
	Op    string  `json:"op" enum:">,>=,<,<="`
	Value float64 `json:"value"`
}

// Threshold holds the estimate against fixed limits.
type Threshold struct {
	Fail *Limit `json:"fail,omitempty"`
	Warn *Limit `json:"warn,omitempty"`
	// MinSamples is how many requests (or points) there must be; default 20.
	MinSamples float64 `json:"minSamples,omitempty"`
	// Confidence, in (0, 1): the interval instead of the estimate decides.
	Confidence float64 `json:"confidence,omitempty"`
}

// Adaptive holds the run against what earlier runs of the same guardian and
// variant make probable.
type Adaptive struct {
	// MinRuns is how many runs must have been learned from; default 5.
	MinRuns int `json:"minRuns,omitempty"`
	// Tolerance: nothing closer to the historical median than this fraction
	// of it fails; default 0.05.
	Tolerance *float64 `json:"tolerance,omitempty"`
}

// Comparison holds a candidate against a baseline.
type Comparison struct {
	// Tolerance is the change, as a fraction of the baseline, that is still
	// acceptable; default 0.05.
	Tolerance *float64 `json:"tolerance,omitempty"`
	// Margin is acceptable besides, in the indicator's unit; nil means 0.005
	// (half a percentage point) for a ratio, whose baseline may well be zero,
	// and 0 for all else. The limit is baseline·(1 ± Tolerance) ± Margin.
	Margin *float64 `json:"margin,omitempty"`
	// Point compares point estimates only (monspec semantics); Margin is then
	// 0 unless it is set.
	Point bool `json:"point,omitempty"`
}

// Watch is an anytime-valid comparison: it may be looked at after every slice.
type Watch struct {
	// Tolerance and Margin are those of Comparison.
	Tolerance *float64 `json:"tolerance,omitempty"`
	Margin    *float64 `json:"margin,omitempty"`
}

// Run is what is kept of an earlier validation of the same objective: enough
// to learn from without its raw samples.
type Run struct {
	ID       string `json:"id"`
	Kind     Kind   `json:"kind"`
	Estimate Number `json:"estimate"`
	// N is the number of observations (requests, points), Bad the bad ones of
	// a ratio, Seconds the length of the window.
	N       float64 `json:"n"`
	Bad     float64 `json:"bad,omitempty"`
	Seconds float64 `json:"seconds"`
	// StdErr is the standard error of Estimate from within the run, on the
	// log scale for positive quantities, and Inflation the variance inflation
	// φ >= 1 found in its slices.
	StdErr    float64 `json:"stdErr"`
	Inflation float64 `json:"inflation"`
}

// Input is one objective with everything it is judged by.
type Input struct {
	Objective Objective `json:"objective"`
	Sample    Sample    `json:"sample"`
	// Baseline is the other side of Comparison and Watch.
	Baseline *Sample `json:"baseline,omitempty"`
	// History holds the accepted earlier runs for Adaptive, oldest first.
	History []Run `json:"history,omitempty"`
	// Reference, when set, is a pinned run that stands for the history.
	Reference *Run `json:"reference,omitempty"`
}

// Options are the settings of a whole guardian.
type Options struct {
	// Alpha is the rate of false fails that is accepted for the whole
	// verdict; default 0.01.
	Alpha float64 `json:"alpha,omitempty"`
	// RequirePower: a pass that could not have seen the tolerance is
	// inconclusive. nil means the default of each criterion: on for
	// comparison and watch, off for threshold and adaptive.
	RequirePower *bool `json:"requirePower,omitempty"`
	// Score, when set, replaces "worst required objective decides".
	Score *Score `json:"score,omitempty"`
	// Seed is for criteria that resample. None does: every estimate is in
	// closed form, and the verdict does not depend on it.
	Seed uint64 `json:"seed,omitempty"`
}

// Score is the weighted mode: the percentage of the weights that passed
// (a warning counts half).
type Score struct {
	Pass float64 `json:"pass"`
	Warn float64 `json:"warn"`
}
