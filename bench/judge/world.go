package main

import (
	"math"
	"math/rand/v2"

	"github.com/tidegate-io/tidegate/judge"
)

// world is a simulated service under an open load: requests arrive by a
// Poisson process, so that the counts of all slices and latency buckets are
// independent Poisson counts given the service's condition in the slice.
type world struct {
	perSecond float64 // requests
	errors    float64 // probability of failing
	bimodal   bool    // a tenth of the requests takes five times as long
	spread    float64 // standard deviation, in logs, of level, errors and traffic between runs
	wobble    float64 // the same between slices of a run
	rho       float64 // autocorrelation of the wobble from slice to slice
}

const (
	sliceSeconds = 2
	runSlices    = 30 // a one-minute run
	schema       = 3
	median       = 0.1 // seconds
	sigma        = 0.5 // of the log latencies
	slowShare    = 0.1
	slowFactor   = 5
	firstBucket  = -80
	lastBucket   = 40
)

// condition multiplies latency, error probability and traffic.
type condition struct{ latency, errors, traffic float64 }

var healthy = condition{1, 1, 1}

// window is what is measured of one service over some slices.
type window struct{ latency, errors, traffic judge.Sample }

func newWindow() window {
	return window{
		latency: judge.Sample{Kind: judge.Distribution, Unit: "s"},
		errors:  judge.Sample{Kind: judge.Ratio},
		traffic: judge.Sample{Kind: judge.Rate},
	}
}

// service is one instance of a world with its own random course.
type service struct {
	world
	rng *rand.Rand
	run condition // drawn for the run
	ar  [3]float64

	shares    []float64 // of the requests in each bucket
	sharesFor float64   // the factor on the latencies they are for
}

// start draws the condition of a new run.
func (w world) start(rng *rand.Rand) *service {
	s := &service{world: w, rng: rng}
	s.run = condition{math.Exp(w.spread * rng.NormFloat64()), math.Exp(w.spread * rng.NormFloat64()), math.Exp(w.spread * rng.NormFloat64())}
	for i := range s.ar {
		s.ar[i] = rng.NormFloat64()
	}
	return s
}

// measure appends slices under the condition to the window.
func (s *service) measure(w *window, slices int, c condition) {
	for range slices {
		for i := range s.ar {
			s.ar[i] = s.rho*s.ar[i] + math.Sqrt(1-s.rho*s.rho)*s.rng.NormFloat64()
		}
		latency := c.latency * s.run.latency * math.Exp(s.wobble*s.ar[0])
		failing := min(1, c.errors*s.errors*s.run.errors*math.Exp(s.wobble*s.ar[1]))
		rate := s.perSecond * c.traffic * s.run.traffic * math.Exp(s.wobble*s.ar[2])
		h := s.histogram(rate*sliceSeconds, latency)
		bad := s.binomial(h.Count, failing)
		w.latency.Slices = append(w.latency.Slices, judge.Slice{Seconds: sliceSeconds, Histogram: h})
		w.errors.Slices = append(w.errors.Slices, judge.Slice{Seconds: sliceSeconds, Total: h.Count, Bad: bad})
		w.traffic.Slices = append(w.traffic.Slices, judge.Slice{Seconds: sliceSeconds, Total: h.Count})
	}
}

// histogram draws the latencies of a slice bucket by bucket.
func (s *service) histogram(requests, factor float64) *judge.Histogram {
	if s.shares == nil || s.sharesFor != factor {
		s.shares, s.sharesFor = s.appendShares(s.shares[:0], factor), factor
	}
	h := &judge.Histogram{Schema: schema}
	for k, share := range s.shares {
		if n := s.poisson(requests * share); n > 0 {
			i := firstBucket + k
			h.Buckets = append(h.Buckets, judge.Bucket{Index: i, Count: n})
			h.Count += n
			h.Sum += n * math.Exp2((float64(i)-0.5)/(1<<schema))
		}
	}
	return h
}

// appendShares works out what part of the requests falls into each bucket.
func (w world) appendShares(shares []float64, factor float64) []float64 {
	below, shift := 0.0, math.Log(factor)
	for i := firstBucket; i <= lastBucket; i++ {
		cdf := 1.0
		if i < lastBucket {
			cdf = w.logCDF(float64(i)*(math.Ln2/(1<<schema)) - shift)
		}
		shares = append(shares, cdf-below)
		below = cdf
	}
	return shares
}

// cdf of the latencies in a healthy service.
func (w world) cdf(x float64) float64 { return w.logCDF(math.Log(x)) }

// logCDF is that of their logarithms.
func (w world) logCDF(y float64) float64 {
	p := normalCDF((y - logMedian) / sigma)
	if w.bimodal {
		return (1-slowShare)*p + slowShare*normalCDF((y-logSlow)/(sigma/5))
	}
	return p
}

var logMedian, logSlow = math.Log(median), math.Log(median * slowFactor)

func normalCDF(z float64) float64 { return math.Erfc(-z/math.Sqrt2) / 2 }

// poisson draws a Poisson count: by inversion for small means, by Hörmann's
// transformed rejection (PTRS, Insurance: Math. & Econ. 12, 1993) for others.
func (s *service) poisson(mean float64) float64 {
	if mean <= 0 {
		return 0
	}
	if mean < 10 {
		limit, p, n := math.Exp(-mean), s.rng.Float64(), 0.0
		for p > limit {
			n++
			p *= s.rng.Float64()
		}
		return n
	}
	slam, logMean := math.Sqrt(mean), math.Log(mean)
	b := 0.931 + 2.53*slam
	a := -0.059 + 0.02483*b
	inverse := 1.1239 + 1.1328/(b-3.4)
	vr := 0.9277 - 3.6224/(b-2)
	for {
		u, v := s.rng.Float64()-0.5, s.rng.Float64()
		us := 0.5 - math.Abs(u)
		k := math.Floor((2*a/us+b)*u + mean + 0.43)
		if us >= 0.07 && v <= vr {
			return k
		}
		if k < 0 || us < 0.013 && v > us {
			continue
		}
		lg, _ := math.Lgamma(k + 1)
		if math.Log(v)+math.Log(inverse)-math.Log(a/(us*us)+b) <= -mean+k*logMean-lg {
			return k
		}
	}
}

// binomial draws how many of n requests fail.
func (s *service) binomial(n, p float64) float64 {
	switch {
	case p <= 0 || n == 0:
		return 0
	case p >= 1:
		return n
	case p > 0.5:
		return n - s.binomial(n, 1-p)
	}
	// Geometric gaps between successes: exact, and fast for rare errors.
	var count, at float64
	for {
		at += math.Floor(math.Log(1-s.rng.Float64())/math.Log1p(-p)) + 1
		if at > n {
			return count
		}
		count++
	}
}

// once measures one run of a minute.
func (w world) once(rng *rand.Rand, c condition) window {
	out := newWindow()
	w.start(rng).measure(&out, runSlices, c)
	return out
}
