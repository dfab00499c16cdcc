package judge

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
)

// hour simulates 1,800 slices of two seconds at the given requests a slice.
func hour(k Kind, perSlice float64, rng *rand.Rand, slices int) Sample {
	s := Sample{Kind: k}
	if k == Distribution {
		s.Unit = "s"
	}
	for range slices {
		n := math.Round(perSlice * (0.8 + 0.4*rng.Float64()))
		sl := Slice{Seconds: 2, Total: n, Bad: math.Floor(n * 0.02 * rng.Float64()), Value: Number(10 + rng.NormFloat64())}
		if k == Distribution {
			h := &Histogram{Schema: 3}
			counts := map[int]float64{}
			for range int(n) {
				v := 0.1 * math.Exp(0.5*rng.NormFloat64())
				counts[int(math.Ceil(math.Log2(v)*8))]++
				h.Sum += v
			}
			for i := -80; i < 40; i++ {
				if c := counts[i]; c > 0 {
					h.Buckets = append(h.Buckets, Bucket{i, c})
					h.Count += c
				}
			}
			sl.Histogram = h
		}
		s.Slices = append(s.Slices, sl)
	}
	return s
}

// BenchmarkJudge is the row "10 objectives × 1,800 slices: at most 2 ms" for
// every criterion, with the mix of a golden-signals guardian: four latencies,
// four error rates, a traffic and a business value.
func BenchmarkJudge(b *testing.B) {
	const slices = 1800
	kinds := []Kind{Distribution, Distribution, Distribution, Distribution, Ratio, Ratio, Ratio, Ratio, Rate, Value}
	for _, criterion := range []string{"threshold", "adaptive", "comparison", "watch"} {
		b.Run(criterion, func(b *testing.B) {
			rng := rand.New(rand.NewPCG(1, 2))
			var inputs []Input
			for i, k := range kinds {
				o := Objective{Name: fmt.Sprint(i), Worse: WorseHigher, Mean: i == 3}
				in := Input{Sample: hour(k, 40, rng, slices)}
				switch criterion {
				case "threshold":
					o.Threshold = &Threshold{Fail: &Limit{Op: ">", Value: 0.3}, Confidence: 0.95}
				case "adaptive":
					o.Adaptive = &Adaptive{}
					for range 10 {
						s := hour(k, 40, rng, 30)
						in.History = append(in.History, *Judge(Options{}, []Input{{Objective: o, Sample: s}}).Results[0].Run)
					}
				case "comparison":
					o.Comparison = &Comparison{}
				case "watch":
					o.Watch = &Watch{}
				}
				if in.History == nil {
					base := hour(k, 40, rng, slices)
					in.Baseline = &base
				}
				in.Objective = o
				inputs = append(inputs, in)
			}
			b.ReportAllocs()
			for b.Loop() {
				Judge(Options{}, inputs)
			}
		})
	}
}

// BenchmarkMerge adds up the histograms of an hour of two-second slices, which
// is most of what reading a latency takes.
func BenchmarkMerge(b *testing.B) {
	rng := rand.New(rand.NewPCG(1, 2))
	samples := make([]Sample, 8) // more than fit into a core's cache
	for i := range samples {
		samples[i] = hour(Distribution, 40, rng, 1800)
	}
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		if _, err := mergeHistograms(samples[i%len(samples)].Slices); err != nil {
			b.Fatal(err)
		}
	}
}
