package loadtest

import (
	"cmp"
	"math"
	"math/bits"
	"slices"
	"strconv"
	"sync"
	"time"
)

// Answer is what came back for one request.
type Answer struct {
	// Latency from when the request was due until the body was read.
	Latency time.Duration
	// Code is the HTTP status code; 0 when there was no answer.
	Code int
	// Error is set when there was no answer.
	Error string
}

// failed: no answer, or one that says that the request did not succeed.
func (a Answer) failed() bool { return a.Error != "" || a.Code >= 400 }

// Limits of a Tally.
const (
	maxErrorKinds = 100 // distinct messages kept while running
	topErrors     = 10  // of them reported
	maxErrorText  = 300
)

// Tally adds up answers. Latencies go into a histogram of 32 linear buckets
// per power of two (the layout of HDR Histogram, hdrhistogram.org): quantiles
// are at most 3.2 % too high, never too low, whatever the number of requests.
// The zero value is ready; safe for concurrent use.
type Tally struct {
	mu       sync.Mutex
	n        int64
	failures int64
	dropped  int64
	sum, max time.Duration
	buckets  [bucketCount]int64
	codes    map[int]int64
	errors   map[string]int64
}

// Add counts one answer.
func (t *Tally) Add(a Answer) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.n++
	t.sum += a.Latency
	t.max = max(t.max, a.Latency)
	t.buckets[bucketOf(a.Latency)]++
	if t.codes == nil {
		t.codes, t.errors = map[int]int64{}, map[string]int64{}
	}
	t.codes[a.Code]++
	if a.failed() {
		t.failures++
	}
	if a.Error != "" {
		t.countError(a.Error)
	}
}

func (t *Tally) countError(text string) {
	if len(text) > maxErrorText {
		text = text[:maxErrorText] + "…"
	}
	if _, known := t.errors[text]; !known && len(t.errors) >= maxErrorKinds {
		text = "other errors"
	}
	t.errors[text]++
}

// Drop counts one request that was due and not sent.
func (t *Tally) Drop() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.dropped++
}

// Result is the sum so far, over the time that requests were sent for.
func (t *Tally) Result(sending time.Duration) Result {
	t.mu.Lock()
	defer t.mu.Unlock()
	r := Result{Requests: t.n, Failures: t.failures, Dropped: t.dropped, Max: t.max}
	if t.n == 0 {
		return r
	}
	if sending > 0 {
		r.Rate = float64(t.n) / sending.Seconds()
	}
	r.Mean = t.sum / time.Duration(t.n)
	r.P50, r.P90, r.P99 = t.quantile(0.50), t.quantile(0.90), t.quantile(0.99)
	r.Codes = make(map[string]int64, len(t.codes))
	for code, n := range t.codes {
		r.Codes[strconv.Itoa(code)] = n
	}
	r.Errors = t.frequentErrors()
	return r
}

func (t *Tally) frequentErrors() map[string]int64 {
	type count struct {
		text string
		n    int64
	}
	all := make([]count, 0, len(t.errors))
	for text, n := range t.errors {
		all = append(all, count{text, n})
	}
	slices.SortFunc(all, func(a, b count) int { return cmp.Or(cmp.Compare(b.n, a.n), cmp.Compare(a.text, b.text)) })
	out := make(map[string]int64, topErrors)
	for _, c := range all[:min(topErrors, len(all))] {
		out[c.text] = c.n
	}
	return out
}

// quantile returns the upper bound of the bucket that holds the q-th answer.
func (t *Tally) quantile(q float64) time.Duration {
	rank := max(1, int64(math.Ceil(q*float64(t.n)-tiny)))
	for i, n := range t.buckets {
		if rank -= n; rank <= 0 {
			return min(upperBound(i), t.max)
		}
	}
	return t.max
}

// The histogram counts microseconds: exact below 64 µs, then 32 buckets per
// power of two up to 2^36 µs (19 hours).
const (
	linearBits  = 6
	perOctave   = 1 << (linearBits - 1)
	octaves     = 36 - linearBits
	bucketCount = 1<<linearBits + octaves*perOctave
)

func bucketOf(d time.Duration) int {
	us := uint64(max(0, d.Microseconds()))
	if us < 1<<linearBits {
		return int(us)
	}
	shift := bits.Len64(us) - linearBits // >= 1
	i := 1<<linearBits + (shift-1)*perOctave + int(us>>shift) - perOctave
	return min(i, bucketCount-1)
}

// upperBound is the largest whole microsecond of bucket i, plus what Microseconds cut off.
func upperBound(i int) time.Duration {
	if i < 1<<linearBits {
		return time.Duration(i+1) * time.Microsecond
	}
	i -= 1 << linearBits
	shift := i/perOctave + 1
	top := uint64(i%perOctave+perOctave+1) << shift
	return time.Duration(top) * time.Microsecond
}
