package manifest

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/tidegate-io/tidegate/judge"
)

// Duration is written as 90s, 5m, 1h30m, 2d or 250ms.
type Duration time.Duration

func (d *Duration) parse(text string) error {
	v, err := ParseDuration(text)
	*d = Duration(v)
	return err
}

// ParseDuration reads a duration as people write it: Go's units and d for
// days. Negative durations are errors.
func ParseDuration(text string) (time.Duration, error) {
	s := text
	var days time.Duration
	if i := strings.IndexByte(s, 'd'); i > 0 {
		n, err := strconv.Atoi(s[:i])
		if err != nil || n < 0 || n > 36500 {
			return 0, fmt.Errorf("%q is not a duration: expected for example 90s, 5m, 1h or 2d", text)
		}
		days, s = time.Duration(n)*24*time.Hour, s[i+1:]
		if s == "" {
			return days, nil
		}
	}
	v, err := time.ParseDuration(s)
	if err != nil || v < 0 {
		return 0, fmt.Errorf("%q is not a duration: expected for example 90s, 5m, 1h or 2d", text)
	}
	return days + v, nil
}

// Percent is written as 15% or 0.15; its value is the fraction.
type Percent float64

func (p *Percent) parse(text string) error {
	s, isPercent := strings.CutSuffix(strings.TrimSpace(text), "%")
	f, err := strconv.ParseFloat(strings.TrimSpace(s), 64)
	if err != nil || f < 0 {
		return fmt.Errorf("%q is not a percentage: expected for example 15%% or 0.15", text)
	}
	if isPercent {
		f /= 100
	}
	*p = Percent(f)
	return nil
}

// Limit is written as "> 200ms", ">= 5%", "< 10/s" or "< -3".
type Limit judge.Limit

var limitRE = regexp.MustCompile(`^\s*(>=|<=|>|<)\s*([-+]?[0-9]*\.?[0-9]+(?:[eE][-+]?[0-9]+)?)\s*(.*?)\s*$`)

// units maps what may follow the number to the factor to the base unit:
// seconds, fraction, per second.
var units = map[string]float64{
	"": 1, "%": 0.01,
	"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1, "m": 60, "min": 60, "h": 3600,
	"/s": 1, "/min": 1.0 / 60, "/m": 1.0 / 60, "/h": 1.0 / 3600,
}

func (l *Limit) parse(text string) error {
	m := limitRE.FindStringSubmatch(text)
	if m == nil {
		return fmt.Errorf(`%q is not a limit: expected an operator, a number and a unit, for example "> 200ms", ">= 5%%" or "< 10/s"`, text)
	}
	factor, ok := units[m[3]]
	if !ok {
		return fmt.Errorf("unknown unit %q in the limit %q: expected ms, s, %%, /s, /min or none", m[3], text)
	}
	f, err := strconv.ParseFloat(m[2], 64)
	if err != nil {
		return fmt.Errorf("%q in the limit %q is not a number", m[2], text)
	}
	*l = Limit{Op: m[1], Value: f * factor}
	return nil
}

// RatePerSecond is written as 20/s, 600/min or 20.
type RatePerSecond float64

func (r *RatePerSecond) parse(text string) error {
	number, unit, _ := strings.Cut(strings.TrimSpace(text), "/")
	f, err := strconv.ParseFloat(strings.TrimSpace(number), 64)
	if err != nil || f < 0 {
		return fmt.Errorf("%q is not a rate: expected for example 20/s or 600/min", text)
	}
	factor := 1.0
	if unit != "" {
		var ok bool
		if factor, ok = units["/"+strings.TrimSpace(unit)]; !ok {
			return fmt.Errorf("unknown unit %q in the rate %q: expected /s or /min", unit, text)
		}
	}
	*r = RatePerSecond(f * factor)
	return nil
}
