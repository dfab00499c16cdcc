package pipeline

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/tidegate-io/tidegate/fault"
)

// weekly is a span of the week in minutes from Sunday 00:00; from may be
// after to, which means over the end of the week.
type weekly struct {
	from, to int
	zone     *time.Location
}

const week = 7 * 24 * 60

var (
	weeklyForm = regexp.MustCompile(`^([A-Za-z]{3}) (\d{1,2}):(\d{2}) ?- ?([A-Za-z]{3}) (\d{1,2}):(\d{2})$`)
	days       = []string{"sun", "mon", "tue", "wed", "thu", "fri", "sat"}
)

// parseWeekly reads "Fri 16:00 - Mon 08:00".
func parseWeekly(text, zone string) (weekly, error) {
	m := weeklyForm.FindStringSubmatch(strings.TrimSpace(text))
	if m == nil {
		return weekly{}, fmt.Errorf(`%q: expected for example "Fri 16:00 - Mon 08:00"`, text)
	}
	minute := func(m []string) int {
		h, _ := strconv.Atoi(m[1]) // digits, by the form
		min, _ := strconv.Atoi(m[2])
		day := slices.Index(days, strings.ToLower(m[0]))
		if day < 0 || h > 24 || min > 59 || (h == 24 && min > 0) {
			return -1
		}
		return (day*24*60 + h*60 + min) % week
	}
	w := weekly{from: minute(m[1:4]), to: minute(m[4:7])}
	if w.from < 0 || w.to < 0 || w.from == w.to {
		return weekly{}, fmt.Errorf(`%q: expected two different times, days as Mon, Tue, …`, text)
	}
	var err error
	if w.zone, err = time.LoadLocation(zone); err != nil {
		return weekly{}, fmt.Errorf("zone %q: expected an IANA name like Europe/Vienna", zone)
	}
	return w, nil
}

// until returns when the freeze that holds at t ends; the zero time when none
// does.
func (w weekly) until(t time.Time) time.Time {
	t = t.In(w.zone)
	minute := int(t.Weekday())*24*60 + t.Hour()*60 + t.Minute()
	length, into := (w.to-w.from+week)%week, (minute-w.from+week)%week
	if into >= length {
		return time.Time{}
	}
	// By the wall clock, so that a change to summer time in between counts.
	left := length - into
	return time.Date(t.Year(), t.Month(), t.Day(), t.Hour(), t.Minute()+left, 0, 0, w.zone)
}

func (p *Pipeline) validateFreeze(f *Freeze, at string) error {
	for _, s := range f.Stages {
		if p.stage(s) < 0 {
			return fault.InvalidField(at+".stages", "there is no stage %q", s)
		}
	}
	if f.Weekly != "" {
		if !f.From.IsZero() || !f.To.IsZero() {
			return fault.InvalidField(at, "expected weekly, or from and to")
		}
		if _, err := parseWeekly(f.Weekly, f.Zone); err != nil {
			return fault.InvalidField(at+".weekly", "%v", err)
		}
		return nil
	}
	if f.From.IsZero() || !f.To.After(f.From) {
		return fault.InvalidField(at, "expected from and a later to, or weekly")
	}
	return nil
}

// frozen returns when the stage may be entered again and why not now; the
// zero time when it may.
func (p *Pipeline) frozen(stage string, now time.Time) (until time.Time, reason string) {
	for _, f := range p.Freeze {
		if len(f.Stages) > 0 && !slices.Contains(f.Stages, stage) {
			continue
		}
		var end time.Time
		if f.Weekly != "" {
			w, err := parseWeekly(f.Weekly, f.Zone)
			if err != nil {
				continue // refused by Validate
			}
			end = w.until(now)
		} else if !now.Before(f.From) && now.Before(f.To) {
			end = f.To
		}
		if end.After(until) {
			until, reason = end, f.Reason
		}
	}
	return until, reason
}
