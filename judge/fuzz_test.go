package judge

import (
	"encoding/binary"
	"math"
	"testing"
)

// FuzzJudge feeds arbitrary numbers (NaN, infinities, huge, negative) through
// every kind and criterion: no panic, a well-formed verdict, and nothing that
// is not a number may pass.
func FuzzJudge(f *testing.F) {
	number := func(xs ...float64) []byte {
		var b []byte
		for _, x := range xs {
			b = binary.LittleEndian.AppendUint64(b, math.Float64bits(x))
		}
		return b
	}
	f.Add(uint8(0), number())
	f.Add(uint8(1), number(0, 0, 0))
	for which := range uint8(20) { // one point, and all zero, in every kind and criterion
		f.Add(which, number(3, 8, 2, 9))
		f.Add(which, number(0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0))
	}
	f.Add(uint8(2), number(math.NaN(), 1, 2))
	f.Add(uint8(7), number(math.Inf(1), 1, 2, 3, 4, 5))
	f.Add(uint8(9), number(1e308, 1e308, 1e308, 1e308))
	f.Add(uint8(13), number(10, 1000, -3, 5e-324, 10, 1000, 1, 2))
	f.Add(uint8(20), number(1e12, 1e15, 1e12, 1e15, 1e12, 1e15, 1e12, 1e15, 1e12, 1e15))
	f.Fuzz(func(t *testing.T, which uint8, data []byte) {
		var xs []float64
		for len(data) >= 8 && len(xs) < 300 {
			xs = append(xs, math.Float64frombits(binary.LittleEndian.Uint64(data)))
			data = data[8:]
		}
		k := []Kind{Ratio, Rate, Distribution, Value}[which%4]
		half := len(xs) / 2
		s, other := hostile(k, xs[:half]), hostile(k, xs[half:])
		in := Input{Sample: s, Baseline: &other}
		switch which / 4 % 5 {
		case 0:
			in.Objective.Threshold = &Threshold{Fail: &Limit{Op: ">", Value: 1}, MinSamples: 1}
		case 1:
			in.Objective.Threshold = &Threshold{Fail: &Limit{Op: "<", Value: -1}, Confidence: 0.9}
		case 2:
			in.Objective.Adaptive = &Adaptive{MinRuns: 2}
			for _, x := range [][]float64{xs[:half], xs[half:], xs} {
				sample := hostile(k, x)
				if r := Judge(Options{}, []Input{{Sample: sample}}).Results[0].Run; r != nil {
					in.History = append(in.History, *r)
				}
				if len(x) > 3 {
					in.History = append(in.History, Run{Kind: k, Estimate: Number(x[0]), N: x[1], Bad: x[2], Seconds: x[3], StdErr: x[0]})
				}
			}
		case 3:
			in.Objective.Comparison = &Comparison{}
		case 4:
			in.Objective.Watch = &Watch{}
		}
		v := Judge(Options{}, []Input{in})
		wellFormed(t, v, 1)
		for _, x := range xs[:half] {
			if math.IsInf(x, 0) && v.Status == StatusPass {
				t.Fatalf("passed with an infinity: %s", v.Summary)
			}
		}
	})
}

func hostile(k Kind, xs []float64) Sample {
	s := Sample{Kind: k}
	for i := 0; i+1 < len(xs); i += 2 {
		sl := Slice{Seconds: 2, Bad: xs[i], Total: xs[i+1], Value: Number(xs[i])}
		if k == Value && math.IsInf(xs[i+1], 0) {
			sl.Value = Number(xs[i+1])
		}
		if k == Rate && math.IsInf(xs[i], 0) {
			sl.Seconds = xs[i]
		}
		if k == Distribution {
			sl.Histogram = &Histogram{Schema: 3, Sum: xs[i], Buckets: []Bucket{{-10, xs[i]}, {3, xs[i+1]}}}
		}
		s.Slices = append(s.Slices, sl)
	}
	return s
}
