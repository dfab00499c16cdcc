package judge

import "math"

// Kind is what sort of quantity an indicator is; it decides the statistics.
type Kind string

// The kinds of indicators.
const (
	// Ratio is bad of total: failed requests of all requests.
	Ratio Kind = "ratio"
	// Rate is a count over time: requests per second.
	Rate Kind = "rate"
	// Distribution is a histogram of measurements: latencies.
	Distribution Kind = "distribution"
	// Value is any numeric series, or one number.
	Value Kind = "value"
)

// Slice is one short piece of the window. Which fields are used depends on
// the indicator's kind: Bad and Total for a ratio, Total for a rate,
// Histogram for a distribution, Value for a value.
type Slice struct {
	Seconds   float64    `json:"seconds"`
	Bad       float64    `json:"bad,omitempty"`
	Total     float64    `json:"total,omitempty"`
	Histogram *Histogram `json:"histogram,omitempty"`
	// Value is NaN where there is no data, which JSON writes as null.
	Value Number `json:"value,omitempty"`
}

// Sample is one indicator read over one window, cut in slices in order of
// time. An empty Sample, or one without a single observation, is "no data".
type Sample struct {
	Kind   Kind    `json:"kind"`
	Unit   string  `json:"unit,omitempty"`
	Slices []Slice `json:"slices,omitempty"`
	// Err is set when the query failed: the objective's status is then error.
	Err string `json:"error,omitempty"`
}

// Seconds returns the length of the window.
func (s *Sample) Seconds() float64 {
	var sum float64
	for _, sl := range s.Slices {
		sum += sl.Seconds
	}
	return sum
}

// Number is a float64 whose NaN and infinities survive JSON: NaN is null,
// the infinities are the strings "+Inf" and "-Inf".
type Number float64

// MarshalJSON implements json.Marshaler.
func (n Number) MarshalJSON() ([]byte, error) { return marshalNumber(float64(n)) }

// UnmarshalJSON implements json.Unmarshaler.
func (n *Number) UnmarshalJSON(b []byte) error {
	f, err := unmarshalNumber(b)
	*n = Number(f)
	return err
}

// IsNaN reports whether the number is not a number.
func (n Number) IsNaN() bool { return math.IsNaN(float64(n)) }

// Histogram is an exponential histogram with the bucket layout of
// OpenTelemetry and of Prometheus native histograms: base 2^(2^-Schema);
// bucket i holds values in (base^(i-1), base^i]. Values are non-negative.
// Buckets are ordered by Index, without repeats. Counts are floats because
// they may be differences or merged fractions.
type Histogram struct {
	Schema        int      `json:"schema"`
	Count         float64  `json:"count"`
	Sum           float64  `json:"sum"`
	ZeroThreshold float64  `json:"zeroThreshold,omitempty"`
	ZeroCount     float64  `json:"zeroCount,omitempty"`
	Buckets       []Bucket `json:"buckets,omitempty"`
}

// Bucket is one populated bucket.
type Bucket struct {
	Index int     `json:"i"`
	Count float64 `json:"n"`
}
