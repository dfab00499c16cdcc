package signature

import (
	"fmt"
	"math"
)

// say writes a number in the result's unit.
func (r *Result) say(v float64) string { return Say(v, r.Unit) }

// Say writes a number as a person would: "312 ms", "1.2 %", "600/min"; a dash
// where there is none.
func Say(v float64, unit string) string {
	if math.IsNaN(v) {
		return "–"
	}
	switch unit {
	case "s":
		return seconds(v)
	case "ratio":
		return fmt.Sprintf("%.3g %%", v*100)
	case "":
		return plain(v)
	}
	if unit[0] == '/' {
		return plain(v) + unit
	}
	return plain(v) + " " + unit
}

// plain leaves whole numbers whole.
func plain(v float64) string {
	if v == math.Trunc(v) && math.Abs(v) < 1e15 {
		return fmt.Sprintf("%.0f", v)
	}
	return fmt.Sprintf("%.4g", v)
}

func seconds(v float64) string {
	switch a := math.Abs(v); {
	case a == 0:
		return "0 s"
	case a < 1e-3:
		return fmt.Sprintf("%.3g µs", v*1e6)
	case a < 1:
		return fmt.Sprintf("%.3g ms", v*1e3)
	}
	return fmt.Sprintf("%.3g s", v)
}
