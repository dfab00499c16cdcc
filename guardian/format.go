package guardian

import (
	"math"
	"strconv"
	"strings"

	"github.com/tidegate-io/tidegate/judge"
)

// Format writes a number in the base unit of its kind for people, with three
// significant digits: ratios as percent, latencies as time, rates per second;
// "no data" for NaN.
func Format(n judge.Number, kind judge.Kind, unit string) string {
	v := float64(n)
	switch {
	case math.IsNaN(v):
		return "no data"
	case math.IsInf(v, 1):
		return "∞"
	case math.IsInf(v, -1):
		return "−∞"
	case kind == judge.Ratio || unit == "ratio" || unit == "1":
		return short(v*100) + " %"
	case kind == judge.Rate:
		return short(v) + "/s"
	case kind == judge.Distribution && (unit == "" || unit == "s"), unit == "s":
		return seconds(v)
	case unit == "":
		return short(v)
	}
	return short(v) + " " + unit
}

func seconds(v float64) string {
	switch a := math.Abs(v); {
	case a == 0 || a >= 1:
		return short(v) + " s"
	case a >= 1e-3:
		return short(v*1e3) + " ms"
	}
	return short(v*1e6) + " µs"
}

// short writes three significant digits, whole numbers in full, thousands
// separated.
func short(v float64) string {
	if v < 0 {
		return "−" + short(-v)
	}
	switch {
	case v == 0:
		return "0"
	case v >= 1e15 || v < 1e-6:
		return strconv.FormatFloat(v, 'g', 3, 64)
	case v >= 1000 || v == math.Trunc(v):
		return thousands(strconv.FormatFloat(math.Round(v), 'f', 0, 64))
	}
	s := strconv.FormatFloat(v, 'f', max(0, 2-int(math.Floor(math.Log10(v)))), 64)
	if strings.Contains(s, ".") {
		s = strings.TrimRight(strings.TrimRight(s, "0"), ".")
	}
	return s
}

func thousands(s string) string {
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}
