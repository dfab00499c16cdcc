package report

import (
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/tidegate-io/tidegate/guardian"
	"github.com/tidegate-io/tidegate/judge"
)

// Dimensions of a chart in SVG units, which are about pixels on a phone.
const (
	chartWidth, chartHeight  = 400.0, 150.0
	plotLeft, plotRight      = 52.0, 392.0
	plotTop, plotBottom      = 16.0, 126.0
	maxMarkers               = 5
	offScale                 = 20 // a limit this many times the largest value would flatten the line
	wantedTicks              = 4
	timeLabels               = "15:04:05"
	labelRoom                = 60.0 // of a time label
	minX, minY, charsPerMark = 2.0, 1e-9, 30
)

// chart is an objective's course, ready to be drawn: the judged window, the
// limit, and the changes that are candidates for the cause.
type chart struct {
	Label            string // read aloud instead of the picture
	Lines            []string
	Dots             []point
	WindowX, WindowW float64
	Limit            *level
	YTicks           []level
	XTicks           []tick
	Markers          []marker
}

type point struct{ X, Y float64 }

type level struct {
	Y     float64
	Label string
}

type tick struct {
	X      float64
	Label  string
	Anchor string
}

type marker struct {
	X      float64
	Label  string
	TextX  float64
	Anchor string
}

// scale maps time and value to the plot.
type scale struct{ from, to, top float64 }

func (s scale) x(t float64) float64 {
	return round(plotLeft + (t-s.from)/(s.to-s.from)*(plotRight-plotLeft))
}

func (s scale) y(v float64) float64 {
	return round(plotBottom - v/s.top*(plotBottom-plotTop))
}

func round(v float64) float64 { return math.Round(v*10) / 10 }

// newChart returns nil where there is nothing to draw.
func newChart(r judge.Result, src guardian.Source, v guardian.Validation) *chart {
	s, largest := scaleOf(src)
	if !(s.to > s.from) || math.IsInf(largest, -1) {
		return nil
	}
	limit := float64(r.Limit)
	drawn := !math.IsNaN(limit) && limit >= 0 && limit <= offScale*math.Max(largest, minY)
	s.top = largest
	if drawn {
		s.top = math.Max(largest, limit)
	}
	s.top = math.Max(s.top*1.15, minY)

	c := &chart{Label: fmt.Sprintf("Course of %s: %s. %s", r.Name, guardian.Format(r.Estimate, r.Kind, r.Unit), r.Why)}
	c.plot(src.Series, s)
	from, to := clamp(s.x(unix(src.Window.From))), clamp(s.x(unix(src.Window.To)))
	c.WindowX, c.WindowW = from, math.Max(to-from, minX)
	if drawn {
		c.Limit = &level{s.y(limit), "limit " + guardian.Format(r.Limit, r.Kind, r.Unit)}
	}
	for _, t := range niceTicks(s.top) {
		label := "0"
		if t > 0 {
			label = guardian.Format(judge.Number(t), r.Kind, r.Unit)
		}
		c.YTicks = append(c.YTicks, level{s.y(t), label})
	}
	c.XTicks = []tick{
		{plotLeft, clock(s.from), "start"},
		{plotRight, clock(s.to), "end"},
	}
	if from > plotLeft+2*labelRoom && from < plotRight-2*labelRoom {
		c.XTicks = append(c.XTicks, tick{from, clock(unix(src.Window.From)), "middle"})
	}
	c.mark(v, s)
	return c
}

func scaleOf(src guardian.Source) (s scale, largest float64) {
	largest = math.Inf(-1)
	s.from, s.to = math.Inf(1), unix(src.Window.To)
	for _, p := range src.Series {
		t, y := float64(p[0]), float64(p[1])
		s.from, s.to = math.Min(s.from, t), math.Max(s.to, t)
		if y >= 0 && !math.IsInf(y, 0) {
			largest = math.Max(largest, y)
		}
	}
	return s, largest
}

// plot draws lines between neighbours and dots where there is none; a gap in
// the data is a gap in the line.
func (c *chart) plot(series [][2]judge.Number, s scale) {
	var run []point
	flush := func() {
		switch {
		case len(run) == 1:
			c.Dots = append(c.Dots, run[0])
		case len(run) > 1:
			var b strings.Builder
			for _, p := range run {
				fmt.Fprintf(&b, "%g,%g ", p.X, p.Y)
			}
			c.Lines = append(c.Lines, strings.TrimSpace(b.String()))
		}
		run = nil
	}
	for _, p := range series {
		y := float64(p[1])
		if !(y >= 0) || math.IsInf(y, 0) { // NaN, or not to be drawn on this scale
			flush()
			continue
		}
		run = append(run, point{s.x(float64(p[0])), s.y(y)})
	}
	flush()
}

// mark flags the candidate changes that lie within the chart.
func (c *chart) mark(v guardian.Validation, s scale) {
	if v.Evidence == nil {
		return
	}
	for _, cand := range v.Evidence.Changes {
		t := unix(cand.Event.Start)
		if t < s.from || t > s.to || len(c.Markers) == maxMarkers {
			continue
		}
		label := cand.Event.Key
		if label == "" {
			label = cand.Event.Title
		}
		if cand.Event.To != "" {
			label += " " + cand.Event.To
		}
		m := marker{X: s.x(t), Label: shorten(label, charsPerMark), Anchor: "start"}
		m.TextX = m.X + 3
		if m.X > (plotLeft+plotRight)/2 {
			m.Anchor, m.TextX = "end", m.X-3
		}
		if len(c.Markers) > 0 {
			m.Label = "" // several labels would cover each other
		}
		c.Markers = append(c.Markers, m)
	}
}

func shorten(s string, n int) string {
	r := []rune(s)
	if len(r) <= n {
		return s
	}
	return string(r[:n-1]) + "…"
}

// niceTicks are multiples of 1, 2 or 5 times a power of ten.
func niceTicks(top float64) []float64 {
	rough := top / wantedTicks
	power := math.Pow(10, math.Floor(math.Log10(rough)))
	step := 10 * power
	for _, f := range []float64{1, 2, 5} {
		if f*power >= rough {
			step = f * power
			break
		}
	}
	var out []float64
	for i := 0; float64(i)*step <= top; i++ {
		out = append(out, float64(i)*step)
	}
	return out
}

func clamp(x float64) float64 { return math.Min(math.Max(x, plotLeft), plotRight) }

func unix(t time.Time) float64 { return float64(t.UnixMilli()) / 1000 }

func clock(t float64) string { return time.UnixMilli(int64(t * 1000)).UTC().Format(timeLabels) }
