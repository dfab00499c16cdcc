package guardian

import (
	"context"
	"math"
	"time"

	"github.com/tidegate-io/tidegate/judge"
)

// How much is drawn: the window, as much again before it, in at most so many
// points.
const (
	leadMin    = time.Minute
	leadMax    = 10 * time.Minute
	drawPoints = 240
)

// course reads the drawable series of an objective: one point at the end of
// each slice, over the window and some time before it.
func (s *Service) course(ctx context.Context, o Objective, r Reading) ([][2]judge.Number, error) {
	lead := min(max(r.Window.Length(), leadMin), leadMax)
	r.Slice = max(r.Slice, roundUp((r.Window.Length()+lead)/drawPoints, sliceResolution))
	r.Window.From = r.Window.From.Add(-roundUp(lead, r.Slice)).Truncate(sliceResolution)
	sample, _, err := s.sampler.Sample(ctx, r)
	if err != nil || sample.Err != "" {
		return nil, err
	}
	out := make([][2]judge.Number, 0, len(sample.Slices))
	at := float64(r.Window.From.UnixMilli()) / 1000
	for _, sl := range sample.Slices {
		at += sl.Seconds
		out = append(out, [2]judge.Number{judge.Number(at), judge.Number(o.statistic(sample.Kind, sl))})
	}
	return out, nil
}

// statistic is the number an objective is about, in one slice; NaN where
// there is none.
func (o Objective) statistic(kind judge.Kind, sl judge.Slice) float64 {
	switch {
	case kind == judge.Ratio && sl.Total > 0:
		return sl.Bad / sl.Total
	case kind == judge.Rate && sl.Seconds > 0:
		return sl.Total / sl.Seconds
	case kind == judge.Value:
		return float64(sl.Value)
	case kind == judge.Distribution && sl.Histogram != nil && sl.Histogram.Count > 0:
		if o.Mean {
			return sl.Histogram.Sum / sl.Histogram.Count
		}
		return quantile(sl.Histogram, o.Quantile)
	}
	return math.NaN()
}

// quantile for drawing: exponential interpolation within the bucket, as
// Prometheus does for native histograms.
func quantile(h *judge.Histogram, q float64) float64 {
	rank := q * h.Count
	seen := h.ZeroCount
	if rank <= seen {
		return 0
	}
	upper := math.NaN()
	for _, b := range h.Buckets {
		if b.Count <= 0 {
			continue
		}
		width := math.Exp2(-float64(h.Schema)) // of a bucket, in powers of two
		upper = math.Exp2(float64(b.Index) * width)
		if seen+b.Count >= rank {
			return math.Exp2((float64(b.Index-1) + (rank-seen)/b.Count) * width)
		}
		seen += b.Count
	}
	return upper
}
