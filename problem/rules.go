package problem

import (
	"time"

	"github.com/tidegate-io/tidegate/fault"
)

// Rules say when events are of one problem. Zero fields have the defaults
// named.
type Rules struct {
	// Near is how long before the onset of an event, or after its end, another
	// may begin to be close in time; default 10 min.
	Near time.Duration
	// MergeFor is how long after a problem was opened events join it; default
	// 90 min.
	MergeFor time.Duration
	// ReopenFor is how long after its end a problem is opened again by what
	// comes back; default 30 min.
	ReopenFor time.Duration
	// Hops is over how many calls services are connected; default 3.
	Hops int
	// FrequentDay and FrequentWeek are how many problems with the same symptom
	// in the last 24 hours, or 7 days, make the next one frequent; default 3
	// and 10. One that is worse than all of them is not.
	FrequentDay, FrequentWeek int
	// Stale is after how long an event of Tidegate's own sources that is not
	// raised again is over; default 10 min.
	Stale time.Duration
}

func (r Rules) withDefaults() (Rules, error) {
	for _, d := range []struct {
		what  string
		value *time.Duration
		def   time.Duration
	}{
		{"Near", &r.Near, 10 * time.Minute}, {"MergeFor", &r.MergeFor, 90 * time.Minute},
		{"ReopenFor", &r.ReopenFor, 30 * time.Minute}, {"Stale", &r.Stale, 10 * time.Minute},
	} {
		if *d.value < 0 {
			return r, fault.Invalid("problem: Rules.%s is negative", d.what)
		}
		if *d.value == 0 {
			*d.value = d.def
		}
	}
	for _, n := range []struct {
		what  string
		value *int
		def   int
	}{{"Hops", &r.Hops, 3}, {"FrequentDay", &r.FrequentDay, 3}, {"FrequentWeek", &r.FrequentWeek, 10}} {
		if *n.value < 0 {
			return r, fault.Invalid("problem: Rules.%s is negative", n.what)
		}
		if *n.value == 0 {
			*n.value = n.def
		}
	}
	return r, nil
}

// severities from worst to least.
var severities = []Severity{SeverityAvailability, SeverityError, SeveritySlowdown, SeverityResource, SeverityCustom, SeverityInfo}

// rank is 0 for the worst.
func (s Severity) rank() int {
	for i, x := range severities {
		if x == s {
			return i
		}
	}
	return len(severities)
}

// Severities returns all severities, worst first.
func Severities() []Severity { return append([]Severity(nil), severities...) }

// Worse reports whether s hurts more than other.
func (s Severity) Worse(other Severity) bool { return s.rank() < other.rank() }

// severityOf is what an event of a signal is when nobody says.
func severityOf(s Signal) Severity {
	switch s {
	case SignalErrors, SignalLog:
		return SeverityError
	case SignalLatency, SignalSlowest:
		return SeveritySlowdown
	case SignalTrafficDrop, SignalNoData:
		return SeverityAvailability
	case SignalTrafficSurge:
		return SeverityResource
	}
	return SeverityCustom
}

// established reports whether the analysis gave an answer, so that causes can
// be compared.
func (c *Cause) established() bool {
	return c != nil && c.Kind != "" && c.Kind != CauseUnknown
}

// same reports whether two causes are one: the same change, or the same thing
// wrong at the same place.
func (c *Cause) same(o *Cause) bool {
	if !c.established() || !o.established() || c.Kind != o.Kind {
		return false
	}
	if c.Change != nil || o.Change != nil {
		return c.Change != nil && o.Change != nil && c.Change.Event.ID == o.Change.Event.ID
	}
	return c.Service != "" && c.Service == o.Service && c.Environment == o.Environment &&
		c.Exception == o.Exception && c.Resource == o.Resource
}
