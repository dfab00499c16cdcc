package judge

import "fmt"

func (a *adaptive) source() string {
	if a.pinned {
		return "the pinned reference run"
	}
	return fmt.Sprintf("the %d earlier runs", len(a.runs))
}

// beyond reports whether the estimate is outside the limits that are shown.
func beyond(res *Result, sides []side) (side, bool) {
	for _, s := range sides {
		l := float64(res.Limit)
		if s == down && len(sides) == 2 {
			l = float64(res.LimitLow)
		}
		if float64(s)*(float64(res.Estimate)-l) > 0 {
			return s, true
		}
	}
	return sides[0], false
}

func (a *adaptive) whyFailed(res *Result) string {
	s, _ := beyond(res, a.sides)
	limit, word := float64(res.Limit), "above"
	if s == down {
		word = "below"
		if len(a.sides) == 2 {
			limit = float64(res.LimitLow)
		}
	}
	return fmt.Sprintf("%s was %s, %s the limit of %s; %s had %s%s.", res.subject(), res.format(float64(res.Estimate)),
		word, res.format(limit), a.source(), res.format(a.median), res.among())
}

func (a *adaptive) whyPassed(res *Result) string {
	if _, out := beyond(res, a.sides); out {
		return fmt.Sprintf("%s was %s and %s had %s, but too few requests differ to call it worse%s.", res.subject(),
			res.format(float64(res.Estimate)), a.source(), res.format(a.median), res.among())
	}
	limits := a.limitsInWords(res)
	if limits == "" {
		return fmt.Sprintf("%s was %s; %s had %s, and leave so much room for chance that no limit can be drawn%s.", res.subject(),
			res.format(float64(res.Estimate)), a.source(), res.format(a.median), res.among())
	}
	return fmt.Sprintf("%s was %s, within %s; %s had %s%s.", res.subject(), res.format(float64(res.Estimate)),
		limits, a.source(), res.format(a.median), res.among())
}

// limitsInWords is empty when there is none.
func (a *adaptive) limitsInWords(res *Result) string {
	low, high := res.format(float64(res.LimitLow)), res.format(float64(res.Limit))
	noLow, noHigh := res.boundless(float64(res.LimitLow)), res.boundless(float64(res.Limit))
	switch {
	case noHigh && (noLow || len(a.sides) == 1):
		return ""
	case len(a.sides) == 1 || noLow:
		return "the limit of " + high
	case noHigh:
		return "the limit of " + low
	}
	return "the limits of " + low + " and " + high
}
