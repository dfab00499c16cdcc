package judge

import (
	"fmt"
	"math"
	"sort"
)

const (
	// driftRuns is the fewest runs whose order can be called a trend at
	// driftLevel with Mann–Kendall (5 runs in perfect order: p = 1/120).
	driftRuns = 8
	// driftLevel is how unlikely the trend must be by chance.
	driftLevel = 0.01
)

// drift reports a slow, steady change for the worse across the runs learned
// from: each may be within the limits that the earlier ones gave, and the
// limits move along. The trend is Mann–Kendall's (Mann 1945, Econometrica 13;
// normal approximation with continuity), its size Theil and Sen's slope (Sen
// 1968, JASA 63).
func drift(runs []Run, sides []side, tolerance float64, res *Result) string {
	if len(runs) < driftRuns {
		return ""
	}
	n := len(runs)
	var score float64
	slopes := make([]float64, 0, n*(n-1)/2)
	for i := range runs {
		for j := i + 1; j < n; j++ {
			d := float64(runs[j].Estimate - runs[i].Estimate)
			slopes = append(slopes, d/float64(j-i))
			if d != 0 {
				score += math.Copysign(1, d)
			}
		}
	}
	s := side(math.Copysign(1, score))
	sd := math.Sqrt(float64(n*(n-1)*(2*n+5)) / 18)
	if zTail((math.Abs(score)-1)/sd) > driftLevel || len(sides) == 1 && s != sides[0] {
		return ""
	}
	sort.Float64s(slopes)
	change := slopes[len(slopes)/2] * float64(n-1)
	start := math.Abs(medianEstimate(runs[:3]))
	if start == 0 || math.Abs(change)/start <= tolerance {
		return ""
	}
	direction := "up"
	if s == down {
		direction = "down"
	}
	return fmt.Sprintf("drift: over the last %d accepted runs the %s went steadily %s, by %s in all (from about %s).",
		n, res.subject(), direction, percent(math.Abs(change)/start), res.format(medianEstimate(runs[:3])))
}
