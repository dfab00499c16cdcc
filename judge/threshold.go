package judge

import (
	"fmt"
	"math"
)

// defaultMinSamples: with fewer requests one of them decides a p95. Values
// and rates are measured, not sampled by requests, so there the default is 1.
const defaultMinSamples = 20

// holds reports whether v is on the side of the limit that it names.
func (l *Limit) holds(v float64) bool {
	switch l.Op {
	case ">":
		return v > l.Value
	case ">=":
		return v >= l.Value
	case "<":
		return v < l.Value
	}
	return v <= l.Value
}

// upper reports whether large values are beyond the limit.
func (l *Limit) upper() bool { return l.Op == ">" || l.Op == ">=" }

func (l *Limit) valid() error {
	switch l.Op {
	case ">", ">=", "<", "<=":
	default:
		return fmt.Errorf("limit has the operator %q; one of > >= < <= is needed", l.Op)
	}
	if math.IsNaN(l.Value) || math.IsInf(l.Value, 0) {
		return fmt.Errorf("limit is not a finite number")
	}
	return nil
}

func (t *Threshold) minSamples(k Kind) float64 {
	switch {
	case t.MinSamples > 0:
		return t.MinSamples
	case k == Value || k == Rate:
		return 0
	}
	return defaultMinSamples
}

// judgeThreshold holds the reading against fixed limits.
func judgeThreshold(t *Threshold, now *reading, res *Result, requirePower bool) {
	if t.Fail != nil {
		res.Limit = Number(t.Fail.Value)
	}
	if t.Warn != nil {
		res.Warn = Number(t.Warn.Value)
	}
	thresholdPower(t, now, res)
	if least := t.minSamples(now.kind); now.n < least {
		res.Status = StatusInconclusive
		res.Needed = math.Ceil(least - now.n)
		res.Why = fmt.Sprintf("%s was %s, but there were only %s; %s more are needed to judge it.",
			res.subject(), res.format(now.estimate), plain(res.among()), count(res.Needed))
		return
	}
	if t.Confidence > 0 {
		judgeInterval(t, now, res)
	} else {
		judgePoint(t, now, res)
	}
	if requirePower && res.Status == StatusPass && t.Fail != nil && t.Confidence == 0 {
		requireClear(t, now, res)
	}
}

// plain takes the parentheses off a clause.
func plain(s string) string {
	if len(s) > 3 {
		return s[2 : len(s)-1]
	}
	return "1 point"
}

func judgePoint(t *Threshold, now *reading, res *Result) {
	switch {
	case t.Fail != nil && t.Fail.holds(now.estimate):
		res.Status = StatusFail
		res.Why = fmt.Sprintf("%s was %s, %s the limit of %s%s.", res.subject(), res.format(now.estimate),
			t.Fail.relation(now.estimate), res.format(t.Fail.Value), res.among())
	case t.Warn != nil && t.Warn.holds(now.estimate):
		res.Status = StatusWarn
		res.Why = fmt.Sprintf("%s was %s, %s the warning limit of %s%s.", res.subject(), res.format(now.estimate),
			t.Warn.relation(now.estimate), res.format(t.Warn.Value), res.among())
	default:
		res.Status = StatusPass
		l, name := t.Fail, "limit"
		if l == nil {
			l, name = t.Warn, "warning limit"
		}
		res.Why = fmt.Sprintf("%s was %s, within the %s of %s%s.", res.subject(), res.format(now.estimate),
			name, res.format(l.Value), res.among())
	}
}

// relation says on which side of the limit the value is.
func (l *Limit) relation(v float64) string {
	switch {
	case v == l.Value:
		return "at"
	case v > l.Value:
		return "above"
	}
	return "below"
}

// judgeInterval decides by the whole interval.
func judgeInterval(t *Threshold, now *reading, res *Result) {
	lo, hi := now.bounds((1 - t.Confidence) / 2)
	res.show(now, (1-t.Confidence)/2, lo, hi)
	interval := fmt.Sprintf("%s was %s, with %s confidence %s", res.subject(), res.format(now.estimate), percent(t.Confidence), res.interval())
	if now.kind == Value && math.IsNaN(now.se) {
		res.Status = StatusInconclusive
		res.Why = fmt.Sprintf("%s was %s; one point has no confidence interval.", res.subject(), res.format(now.estimate))
		return
	}
	for _, l := range []struct {
		limit  *Limit
		status Status
		name   string
	}{{t.Fail, StatusFail, "limit"}, {t.Warn, StatusWarn, "warning limit"}} {
		if l.limit == nil {
			continue
		}
		beyond, within := l.limit.holds(lo) && l.limit.holds(hi), !l.limit.holds(lo) && !l.limit.holds(hi)
		switch {
		case beyond:
			res.Status = l.status
			res.Why = fmt.Sprintf("%s, beyond the %s of %s%s.", interval, l.name, res.format(l.limit.Value), res.among())
			return
		case !within && l.status == StatusFail:
			res.Status = StatusInconclusive
			res.Needed = neededFor(now.n, math.Max(hi-now.estimate, now.estimate-lo), math.Abs(now.estimate-l.limit.Value))
			res.Why = fmt.Sprintf("%s: the limit of %s lies inside%s%s.", interval, res.format(l.limit.Value), res.among(), res.more())
			return
		}
	}
	res.Status = StatusPass
	res.Why = fmt.Sprintf("%s, within the limit%s.", interval, res.among())
}

// requireClear takes back a pass that the sample is too small for: the limit
// is still inside the interval that leaves 5 % beyond it.
func requireClear(t *Threshold, now *reading, res *Result) {
	lo, hi := now.bounds(miss)
	end := hi
	if !t.Fail.upper() {
		end = lo
	}
	if !t.Fail.holds(end) {
		return
	}
	res.Status = StatusInconclusive
	res.Needed = neededFor(now.n, math.Abs(end-now.estimate), math.Abs(now.estimate-t.Fail.Value))
	res.Why = fmt.Sprintf("%s was %s, but at this traffic it may as well be %s, beyond the limit of %s%s%s.", res.subject(),
		res.format(now.estimate), res.format(end), res.format(t.Fail.Value), res.among(), res.more())
}

// neededFor returns how many more observations shrink half the width of an
// interval to the gap, as it shrinks with the square root of their number; 0
// when that is unknown or out of reach.
func neededFor(n, halfWidth, gap float64) float64 {
	more := math.Ceil(n*(halfWidth/gap)*(halfWidth/gap) - n)
	if !(more > 0) || more > 1e9 {
		return 0
	}
	return more
}

// more says how many more observations are needed, if that is known.
func (r *Result) more() string {
	if r.Needed == 0 {
		return ""
	}
	what := "requests"
	if r.Kind == Value {
		what = "points"
	}
	return fmt.Sprintf("; about %s more %s would settle it", count(r.Needed), what)
}

// thresholdPower states the true value that would have ended beyond the limit
// with 95 % power.
func thresholdPower(t *Threshold, now *reading, res *Result) {
	l := t.Fail
	if l == nil {
		l = t.Warn
	}
	lo, hi := now.bounds(miss)
	width := hi - now.estimate
	if !l.upper() {
		width = lo - now.estimate
	}
	if t.Confidence > 0 {
		clo, chi := now.bounds((1 - t.Confidence) / 2)
		if l.upper() {
			width += now.estimate - clo
		} else {
			width += now.estimate - chi
		}
	}
	if math.IsInf(width, 0) || math.IsNaN(width) {
		return
	}
	res.Detectable = Number(l.Value + width)
	if l.Value != 0 {
		res.MDE = Number(math.Abs(width / l.Value))
	}
}
