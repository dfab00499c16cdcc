package cause

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/tidegate-io/tidegate/entity"
)

// moment is something on the causal path that began, with the probability
// that it belongs to the problem.
type moment struct {
	start, end time.Time // it began in between
	real       float64
	weight     float64 // probability that it is the first that is real
	text       string
}

// How probable it is that what began belongs to the problem.
const (
	realShift   = 0.9 // of a series, far outside its noise
	realWeak    = 0.5 // of a series, not so far outside; or of the traffic
	realMessage = 0.7 // a new message of trouble
	farOutside  = 8.0 // standard deviations
)

// moments collects what began on the causal path until the symptom, the
// earliest first. The cause is before the first that is real.
func (w *world) moments(chain map[int]bool) []moment {
	var out []moment
	for i, n := range w.nodes {
		if !chain[i] {
			continue
		}
		for _, m := range n.series {
			for _, s := range m.shifts {
				if w.lasts(m, s) {
					out = append(out, moment{start: s.start, end: s.end, real: w.realness(m, s), text: shiftText(m, s)})
				}
			}
		}
	}
	for _, l := range w.Logs {
		at := w.find(entity.Ref{Service: l.Service, Environment: l.Sample.Environment})
		if chain[at] && l.Baseline == 0 && complains(l) && !l.First.IsZero() && !l.First.After(w.onset) {
			out = append(out, moment{start: l.First, end: l.First, real: realMessage * leadsUp(w.onset.Sub(l.First)),
				text: fmt.Sprintf("%s logs for the first time at %s: %s", l.Service, clock(l.First), l.Template)})
		}
	}
	for _, g := range w.Failures {
		if !g.Usual && !g.Started.IsZero() {
			out = append(out, moment{start: g.Started, end: g.Started, real: realShift, text: "requests begin to fail in " + g.Service + " at " + clock(g.Started)})
		}
	}
	if !w.onset.IsZero() {
		out = append(out, moment{start: w.onset, end: w.onset, real: 1, text: "the problem begins at " + clock(w.onset)})
	}
	slices.SortStableFunc(out, func(a, b moment) int {
		return cmp.Or(a.end.Compare(b.end), a.start.Compare(b.start), cmp.Compare(a.text, b.text))
	})
	weighMoments(out)
	return out
}

// weighMoments gives each moment the probability that it is the first that is
// real. What began in the same interval is not several observations: a process
// that starts moves all its series at once. The most telling stands for all.
func weighMoments(ms []moment) {
	left := 1.0
	for i := 0; i < len(ms); {
		most, next := i, i
		for ; next < len(ms) && ms[next].start.Equal(ms[i].start) && ms[next].end.Equal(ms[i].end); next++ {
			if ms[next].real > ms[most].real {
				most = next
			}
		}
		ms[most].weight = left * ms[most].real
		left *= 1 - ms[most].real
		i = next
	}
}

// realness is the probability that a shift belongs to the problem. Failures and
// delays do when they last; anything else must be for the worse and lead up to
// the symptom, because much moves harmlessly, with every restart for instance.
func (w *world) realness(m *measured, s shift) float64 {
	real := realShift
	if s.z < farOutside || m.role == RoleTraffic || m.role == RoleOther {
		real = realWeak
	}
	switch m.role {
	case RoleErrors, RoleSuccess, RoleLatency:
		if !harmful(m.role, s) {
			return 0
		}
		return real
	case RoleResource, RoleCapacity:
		if s.up() == plenty(m) {
			return 0
		}
	}
	return real * leadsUp(w.onset.Sub(s.end.Add(s.ramp)))
}

// leadsUp is how probable it is that what stopped moving this long before the
// symptom has to do with it.
func leadsUp(gap time.Duration) float64 {
	return math.Exp(-max(0, gap.Minutes()) / fades.Minutes())
}

// fades is the mean time from what moves to what it does.
const fades = 20 * time.Minute

// plenty: the more of it, the better.
func plenty(m *measured) bool {
	return m.role == RoleCapacity || slices.ContainsFunc(split(m.Metric), func(w string) bool {
		return slices.Contains([]string{"hit", "hits", "free", "available", "idle", "healthy", "ready", "remaining"}, w)
	})
}

// lasts reports whether a shift began before the symptom and is not over when
// that begins.
func (w *world) lasts(m *measured, s shift) bool {
	if s.start.After(w.onset) {
		return false
	}
	for _, p := range m.Points {
		if !p.Time.Add(m.Step).Before(w.onset) && !p.Time.Add(m.Step).Before(s.end) {
			return math.Abs(p.Value-s.before) >= math.Abs(s.after-s.before)/10
		}
	}
	return true
}

// pace is how soon a kind of change is seen: mostly at once, sometimes only when
// something has filled up or run out, after a time of any length.
type pace struct {
	atOnce float64       // share of the changes that are seen at once
	soon   time.Duration // mean time until then
}

var (
	flagPace   = pace{0.85, 30 * time.Second} // evaluated with the next request
	deployPace = pace{0.7, 60 * time.Second}  // rolled out, read again
)

// Timing of changes.
const (
	soon       = time.Minute
	longest    = 24 * time.Hour
	shortest   = time.Minute
	perChance  = 2 * time.Hour // innocent changes are as likely at any time: one in this
	clockSkew  = 2 * time.Second
	mostTiming = 4.5 // no coincidence in time says more than this
)

// timing is the log-likelihood ratio of a change's time, given what began when,
// with the moment that it fits best. It reports false for a change after all.
func (p pace) timing(at time.Time, ms []moment) (llr float64, fits moment, before bool) {
	var sum, best float64
	for _, m := range ms {
		d := p.densityBetween(m.start.Sub(at), m.end.Sub(at))
		if d > 0 && !m.end.Add(clockSkew).Before(at) {
			before = true
		}
		if m.weight*d > best {
			best, fits = m.weight*d, m
		}
		sum += m.weight * d
	}
	if sum <= 0 {
		return 0, fits, false
	}
	return math.Max(-mostTiming, math.Min(mostTiming, math.Log(sum*perChance.Seconds()))), fits, before
}

// densityBetween is the density, per second, of the delay from a change to
// what it did, averaged over an interval in which that began.
func (p pace) densityBetween(from, to time.Duration) float64 {
	const steps = 8
	sum := 0.0
	for i := range steps {
		sum += p.density(from + time.Duration(float64(to-from)*(float64(i)+0.5)/steps))
	}
	return sum / steps
}

func (p pace) density(d time.Duration) float64 {
	if d < -clockSkew || d > longest {
		return 0
	}
	s := math.Max(0, d.Seconds())
	late := 0.0
	if d >= shortest {
		late = (1 - p.atOnce) / (s * math.Log(longest.Seconds()/shortest.Seconds()))
	}
	return p.atOnce/p.soon.Seconds()*math.Exp(-s/p.soon.Seconds()) + late
}
