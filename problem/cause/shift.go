package cause

import (
	"math"
	"slices"
	"time"
)

// shift is a lasting change of a series: from one level to another, at once or
// gradually.
type shift struct {
	// start and end bound the slot in which it began.
	start, end time.Time
	before     float64 // the level it left
	after      float64 // the level it came to
	ramp       time.Duration
	// z is its height in standard deviations of the noise before it.
	z float64
}

func (s shift) up() bool { return s.after > s.before }

// Limits of what counts as a shift.
const (
	// fewestPoints: in fewer nothing can be told from noise.
	fewestPoints = 8
	// leastZ is the least height, in standard deviations of the noise.
	leastZ = 4
	// leastChange is the least relative change of level: less hurts nobody.
	leastChange = 0.05
	// noiseFloor is the least noise assumed, as a share of the level.
	noiseFloor = 0.01
	// penalty per observation's logarithm for the two times and the height
	// that are fitted (the Bayesian information criterion for three).
	penalty = 1.5
)

// shifts finds the lasting changes of a series, the earliest first: the best
// fit of "level, then straight to another level, then that", and again in what
// lies before it. Steps in a row may pass for one climb.
func shifts(points []Point, step time.Duration) []shift {
	points = thin(points)
	var out []shift
	for len(points) >= fewestPoints {
		s, at, ok := fit(points, step)
		if !ok {
			break
		}
		out = append(out, s)
		points = points[:at]
	}
	slices.Reverse(out)
	return out
}

// fit finds the best single shift and the index of its first changed point.
func fit(points []Point, step time.Duration) (shift, int, bool) {
	n := len(points)
	y := make([]float64, n)
	for i, p := range points {
		y[i] = p.Value
	}
	sum := newSums(y)
	none := sum.squares // residuals without a shift
	if none == 0 || math.IsInf(none, 0) {
		return shift{}, 0, false
	}
	best, at, length, a, b := none, 0, 0, 0.0, 0.0
	for k := 2; k < n; k++ {
		for l := 1; l <= n-k; l = longer(l, n-k) {
			rss, a0, b0 := sum.ramp(k, l)
			if rss < best*(1-1e-9) {
				best, at, length, a, b = rss, k, l, a0, b0
			}
		}
	}
	if at == 0 {
		return shift{}, 0, false
	}
	noise := math.Max(spread(y[:at]), noiseFloor*math.Abs(a)+1e-9)
	residual := math.Max(best/float64(n), noise*noise)
	gain := (none - best) / (2 * residual)
	z := math.Abs(b) / noise
	if gain < penalty*2*math.Log(float64(n)) || z < leastZ || math.Abs(b) < leastChange*math.Abs(a) {
		return shift{}, 0, false
	}
	s := shift{before: median(y[:at]), after: a + b, ramp: time.Duration(length) * step, z: z}
	s.start, s.end = began(points, step, at, length, b, noise)
	return s, at, true
}

// longer is the next length of a ramp to try: a quarter longer, but the last
// is the whole rest, of a ramp that has not ended.
func longer(l, rest int) int {
	next := max(l+1, l*5/4)
	if l < rest && next > rest {
		return rest
	}
	return next
}

// sums answers what a fit needs in constant time: sums of the values, and of
// the values by their index, up to any index.
type sums struct {
	n        int
	y, iy    []float64 // y[i] is the sum before index i
	squares  float64
	centered float64 // what was taken from each value, for the sake of accuracy
}

func newSums(values []float64) sums {
	s := sums{n: len(values), y: make([]float64, len(values)+1), iy: make([]float64, len(values)+1), centered: average(values)}
	for i, v := range values {
		v -= s.centered
		s.y[i+1] = s.y[i] + v
		s.iy[i+1] = s.iy[i] + float64(i)*v
		s.squares += v * v
	}
	return s
}

// ramp fits level a until k, a+b from k+l-1 on, and a straight line between.
func (s sums) ramp(k, l int) (rss, a, b float64) {
	n, m := float64(s.n), float64(l)
	end := k + l // the line is over k … end-1
	rest := float64(s.n - end)
	sh := (m+1)/2 + rest
	shh := (m+1)*(2*m+1)/(6*m) + rest
	shy := (s.iy[end]-s.iy[k]-float64(k-1)*(s.y[end]-s.y[k]))/m + s.y[s.n] - s.y[end]
	sy := s.y[s.n]
	det := n*shh - sh*sh
	if det <= 0 {
		return math.Inf(1), 0, 0
	}
	b = (n*shy - sh*sy) / det
	a = (sy - b*sh) / n
	return math.Max(0, s.squares-a*sy-b*shy), a + s.centered, b
}

// began bounds when the shift began: within the slot before the first changed
// point; for a gradual one, as much earlier and later as it takes to leave two
// standard deviations of the noise.
func began(points []Point, step time.Duration, at, length int, b, noise float64) (start, end time.Time) {
	start, end = points[at-1].Time, points[at].Time.Add(step)
	if length > 2 {
		hidden := time.Duration(2 * noise / math.Abs(b) * float64(length) * float64(step))
		hidden = min(hidden, time.Duration(length)*step/4)
		start, end = start.Add(-hidden), end.Add(hidden)
	}
	return start, end
}

// thin averages neighbouring points until there are few enough.
func thin(points []Point) []Point {
	for len(points) > maxPoints {
		half := make([]Point, 0, len(points)/2+1)
		for i := 0; i < len(points); i += 2 {
			p := points[i]
			if i+1 < len(points) {
				p.Value = (p.Value + points[i+1].Value) / 2
			}
			half = append(half, p)
		}
		points = half
	}
	return points
}

func average(y []float64) float64 {
	sum := 0.0
	for _, v := range y {
		sum += v
	}
	return sum / float64(len(y))
}

// spread is the standard deviation, estimated from the median absolute
// deviation and from the mean square, whichever is larger: a series that is
// mostly constant is not free of noise.
func spread(y []float64) float64 {
	if len(y) < 2 {
		return 0
	}
	m := average(y)
	var ss float64
	for _, v := range y {
		ss += (v - m) * (v - m)
	}
	return math.Max(math.Sqrt(ss/float64(len(y)-1)), deviation(y, median(y)))
}

func median(y []float64) float64 {
	if len(y) == 0 {
		return 0
	}
	s := slices.Clone(y)
	slices.Sort(s)
	if n := len(s); n%2 == 0 {
		return (s[n/2-1] + s[n/2]) / 2
	}
	return s[len(s)/2]
}

// deviation is the standard deviation by the median absolute deviation.
func deviation(y []float64, center float64) float64 {
	d := make([]float64, len(y))
	for i, v := range y {
		d[i] = math.Abs(v - center)
	}
	return 1.4826 * median(d)
}
