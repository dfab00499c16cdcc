package judge

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

// subject is what a sentence about the result begins with.
func (r *Result) subject() string {
	if r.Kind == Value && r.Name != "" {
		return r.Name
	}
	return r.Statistic
}

// format writes a value of the result's indicator for people.
func (r *Result) format(v float64) string {
	if r.Kind == Ratio && r.Unit == "" {
		return percent(v)
	}
	if r.Kind == Rate && (r.Unit == "" || r.Unit == "1") {
		return number(v) + "/s"
	}
	return quantity(v, r.Unit)
}

// among says how much the result rests on, in parentheses.
func (r *Result) among() string {
	switch {
	case r.Kind == Value && r.N == 1:
		return ""
	case r.Kind == Value:
		return fmt.Sprintf(" (%s points)", count(r.N))
	case r.N == 1:
		return " (1 request)"
	}
	return fmt.Sprintf(" (%s requests)", count(r.N))
}

// quantity writes a value with its unit; the units are UCUM's as OpenTelemetry
// uses them.
func quantity(v float64, unit string) string {
	switch unit {
	case "s", "seconds":
		return duration(v)
	case "By", "bytes":
		return bytes(v)
	case "ratio":
		return percent(v)
	case "", "1":
		return number(v)
	case "%":
		return number(v) + " %"
	}
	if strings.HasPrefix(unit, "/") {
		return number(v) + unit
	}
	return number(v) + " " + unit
}

// duration writes seconds in the unit that suits them.
func duration(seconds float64) string {
	a := math.Abs(seconds)
	switch {
	case math.IsNaN(seconds) || math.IsInf(seconds, 0):
		return number(seconds)
	case a == 0:
		return "0 ms"
	case a < 0.9995e-3:
		return number(seconds*1e6) + " µs"
	case a < 0.9995:
		return number(seconds*1e3) + " ms"
	case a < 600:
		return number(seconds) + " s"
	}
	return number(seconds/60) + " min"
}

func bytes(v float64) string {
	for _, u := range []string{"B", "KiB", "MiB", "GiB", "TiB"} {
		if math.Abs(v) < 1024 || u == "TiB" {
			return number(v) + " " + u
		}
		v /= 1024
	}
	return number(v)
}

// percent writes a fraction as a percentage.
func percent(v float64) string {
	if math.IsNaN(v) || math.IsInf(v, 0) {
		return number(v)
	}
	return number(v*100) + " %"
}

// number writes three significant digits, or all digits of larger whole parts,
// with separators between thousands.
func number(v float64) string {
	a := math.Abs(v)
	switch {
	case math.IsNaN(v):
		return "unknown"
	case math.IsInf(v, 1):
		return "more than can be measured"
	case math.IsInf(v, -1):
		return "less than can be measured"
	case a >= 1e15 || a > 0 && a < 1e-9:
		return strconv.FormatFloat(v, 'g', 3, 64)
	case a >= 99.95:
		return thousands(strconv.FormatFloat(v, 'f', 0, 64))
	}
	digits := 2
	if a > 0 {
		digits = max(0, 2-int(math.Floor(math.Log10(a))))
	}
	s := strconv.FormatFloat(v, 'f', digits, 64)
	if strings.Contains(s, ".") {
		s = strings.TrimRight(strings.TrimRight(s, "0"), ".")
	}
	if s == "-0" {
		return "0"
	}
	return s
}

// count writes a number of observations.
func count(n float64) string {
	if n >= 1e15 || math.IsNaN(n) {
		return number(n)
	}
	if n < 100 && n != math.Trunc(n) {
		return number(n)
	}
	return thousands(strconv.FormatFloat(math.Round(n), 'f', 0, 64))
}

func thousands(digits string) string {
	sign := ""
	if strings.HasPrefix(digits, "-") {
		sign, digits = "-", digits[1:]
	}
	for i := len(digits) - 3; i > 0; i -= 3 {
		digits = digits[:i] + "," + digits[i:]
	}
	return sign + digits
}

// quantileName writes 0.95 as p95 and 0.999 as p99.9.
func quantileName(p float64) string {
	return "p" + strconv.FormatFloat(math.Round(p*1e8)/1e6, 'f', -1, 64)
}
