package report

import (
	"fmt"
	"math"
	"strings"

	"github.com/tidegate-io/tidegate/guardian"
	"github.com/tidegate-io/tidegate/judge"
)

// evidenceChart is how the evidence of a watch grew, look by look, on a
// logarithmic scale, with the line from where it fails.
type evidenceChart struct {
	Label   string // read aloud instead of the picture
	Text    string // what the last look means
	Lines   []string
	End     *point
	Failed  bool
	Fails   level
	YTicks  []level
	XTicks  []tick
	Markers []marker
}

const (
	// room above the line of failing, as a part of the decades below it; more
	// evidence is drawn at the top.
	room = 1.5
	// tooMuch evidence is not worth a number.
	tooMuch = 1e6
	// labelHeight keeps the label of a decade clear of the line of failing.
	labelHeight = 12.0
)

// evidenceOf returns nil for an objective that was not watched.
func evidenceOf(v guardian.Validation, objective string) *evidenceChart {
	if v.Watch == nil {
		return nil
	}
	for _, c := range v.Watch.Courses {
		if c.Objective == objective && len(c.Looks) > 0 && c.FailAt > 1 {
			return newEvidence(c, v)
		}
	}
	return nil
}

func newEvidence(c guardian.WatchCourse, v guardian.Validation) *evidenceChart {
	top := room * math.Log10(c.FailAt)
	s := scale{from: unix(v.Window.From), to: unix(v.Watch.Until), top: top}
	if !(s.to > s.from) {
		return nil
	}
	y := func(e float64) float64 { return s.y(math.Min(math.Log10(math.Max(e, 1)), top)) }
	fails := "fails at " + odds(c.FailAt) + " to 1"
	e := &evidenceChart{Failed: c.Status == judge.StatusFail, Fails: level{y(c.FailAt), fails}}
	e.Text = evidenceText(c)
	e.Label = fmt.Sprintf("Evidence against %s, logarithmic: %s", c.Objective, e.Text)

	drawn := chart{}
	points := [][2]judge.Number{{judge.Number(s.from), 0}} // no evidence at the start
	for _, l := range c.Looks {
		points = append(points, [2]judge.Number{judge.Number(unix(l.Time)), judge.Number(s.decades(float64(l.EValue)))})
	}
	drawn.plot(points, s)
	e.Lines = drawn.Lines
	if last := c.Looks[len(c.Looks)-1]; !last.EValue.IsNaN() {
		e.End = &point{clamp(s.x(unix(last.Time))), y(float64(last.EValue))}
	}
	for d := 0.0; d < top; d++ {
		if at := s.y(d); math.Abs(at-e.Fails.Y) > labelHeight {
			e.YTicks = append(e.YTicks, level{at, odds(math.Pow(10, d))})
		}
	}
	e.XTicks = []tick{{plotLeft, clock(s.from), "start"}, {plotRight, clock(s.to), "end"}}
	drawn.mark(v, s)
	e.Markers = drawn.Markers
	return e
}

// Height of the part above the line of failing.
func (e *evidenceChart) Height() float64 { return round(e.Fails.Y - plotTop) }

// decades of evidence, at most what the scale shows; NaN is a gap.
func (s scale) decades(e float64) float64 {
	if math.IsNaN(e) {
		return e
	}
	return math.Min(math.Log10(math.Max(e, 1)), s.top)
}

func odds(e float64) string {
	if e > tooMuch {
		return "over a million"
	}
	return guardian.Format(judge.Number(e), judge.Value, "")
}

// evidenceText says what the last look means.
func evidenceText(c guardian.WatchCourse) string {
	last := c.Looks[len(c.Looks)-1]
	looks := fmt.Sprintf("%d looks", len(c.Looks))
	if len(c.Looks) == 1 {
		looks = "1 look"
	}
	if last.EValue.IsNaN() {
		return "Watched, " + looks + "; nothing to compare at the last one."
	}
	text := fmt.Sprintf("Watched, %s; evidence that it is worse: %s to 1, it fails at %s to 1.", looks, odds(float64(last.EValue)), odds(c.FailAt))
	if c.Status == judge.StatusInconclusive && last.Needed > 0 {
		text = strings.TrimSuffix(text, ".") + fmt.Sprintf("; about %s more requests were needed to pass.", guardian.Format(judge.Number(twoDigits(last.Needed)), judge.Value, ""))
	}
	return text
}

// twoDigits rounds a positive number to two significant digits.
func twoDigits(v float64) float64 {
	unit := math.Pow(10, math.Floor(math.Log10(v))-1)
	return math.Round(v/unit) * unit
}
