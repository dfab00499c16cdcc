package detect

import (
	"cmp"
	"fmt"
	"math"
	"time"

	"github.com/tidegate-io/tidegate/entity"
	"github.com/tidegate-io/tidegate/problem"
)

// Worse is the side on which values of a named series are a problem.
type Worse string

// The sides. Empty means both.
const (
	WorseUp   Worse = "up"
	WorseDown Worse = "down"
)

// Series is a series of numbers that a person wants to be watched: the result
// of a PromQL expression, taken at regular times.
//
// A value raises an event when, by the tail of the distribution of the last
// week, a value so far out would come once in [Options].SeriesAlarmEvery or
// less often, and when it is also unusual for the hour of the week, once two
// weeks were seen; or when it is so far from what the hour of the week
// usually brings that there can be no doubt, though at other hours it would be
// nothing special. At steps shorter than half a minute, values must be so for
// half a minute.
type Series struct {
	Name string // unique
	entity.Ref
	Query string
	Unit  string
	Worse Worse
	// Severity defaults to custom.
	Severity problem.Severity
	// Informational events open no problem.
	Informational bool
	Tags          map[string]string
}

func compareSeries(a, b *series) int { return cmp.Compare(a.Is.Name, b.Is.Name) }

const (
	seriesWindow  = 7 * 24 * time.Hour
	maxValues     = 1024
	minValues     = 48
	leastDuration = 30 * time.Second
	// hourly is by how much a value must be unusual for its hour to be unusual
	// at all, beside Options.SeriesAlarmEvery; far is where the hour suffices.
	hourly = 1.0 / 3
	far    = 1000
	// leastDeviation is the least scale of the tails of deviations, as a part
	// of that of the values: hours of few and whole numbers may look alike.
	leastDeviation = 0.1
	// recurring is how much odd time of a week is how it is.
	recurring = 12 * time.Hour
	// missing is after how many values that are not there there is no data.
	missing = 10
)

// series is what is known of a named series. What is exported survives a
// restart.
type series struct {
	Is          Series
	First, Last time.Time
	Kept        time.Time // when the last value was kept
	Turn        int       // how many were
	Values      tails     // of the values
	Deviations  tails     // of the values from those of the hour of the week
	Season      season
	Open        *problem.Event
	Raised      time.Time // the event was raised last
	Odd, Normal time.Time // since when all values are out of, or within, the usual
	// OddFor is for how long values were odd in the last week, about.
	OddFor time.Duration
	// New are the values since the event began: the norm to be.
	New     tails
	Missing int
	// Grain is the smallest difference between two values in a row.
	Grain, Before float64
}

// ObserveSeries takes the next value of a named series, NaN when there is none,
// and returns what begins, changes or ends with it. Values come in order of
// time, step apart; step says how many of them make a day.
func (d *Detector) ObserveSeries(is Series, at time.Time, step time.Duration, value float64) []problem.Event {
	d.mu.Lock()
	defer d.mu.Unlock()
	if is.Name == "" || step <= 0 {
		return nil
	}
	s, ok := d.series[is.Name]
	if !ok {
		if len(d.series) >= d.opts.MaxSeries {
			return nil
		}
		s = &series{First: at, Before: math.NaN()}
		d.series[is.Name] = s
	}
	if isOld(at, s.Last) {
		return nil
	}
	s.Is, s.Last = is, at
	v := sample{series: s, at: at, step: step, value: value, opts: &d.opts}
	v.judge()
	return v.events
}

// ForgetSeries ends watching a series that is no longer named.
func (d *Detector) ForgetSeries(name string) []problem.Event {
	d.mu.Lock()
	defer d.mu.Unlock()
	s, ok := d.series[name]
	if !ok {
		return nil
	}
	delete(d.series, name)
	if s.Open == nil {
		return nil
	}
	v := sample{series: s, at: s.Last, opts: &d.opts}
	v.end(s.Last, "It is not watched any more.")
	return v.events
}

// sample is one value while it is judged.
type sample struct {
	*series
	at    time.Time
	step  time.Duration
	value float64
	opts  *Options

	events []problem.Event
}

func (v *sample) judge() {
	if math.IsNaN(v.value) || math.IsInf(v.value, 0) {
		v.absent()
		return
	}
	v.Missing = 0
	if v.Open != nil && v.Open.Signal == problem.SignalNoData {
		v.end(v.at, "There is data again.")
	}
	odd, less := v.odd()
	v.note(odd, less)
	switch {
	case v.Open != nil:
		v.follow(odd)
	case v.lasts(v.Odd, leastDuration):
		v.raise()
	}
	v.keep(odd)
	if d := math.Abs(v.value - v.Before); d > 0 && (d < v.Grain || v.Grain == 0) {
		v.Grain = d
	}
	v.Before = v.value
}

// usual is what the series does at this time.
func (v *sample) usual() float64 {
	if level, known := v.hour(); known {
		return level
	}
	if len(v.Values.sorted) == 0 {
		return math.NaN()
	}
	return v.Values.middle()
}

// warm reports whether enough is known to judge.
func (v *sample) warm() bool {
	return len(v.Values.Values) >= minValues && v.at.Sub(v.First) >= v.opts.TrafficWarmup
}

// odd reports whether the value is out of the usual, and whether it is at
// least halfway there.
func (v *sample) odd() (odd, half bool) {
	if !v.warm() {
		return false, false
	}
	need := math.Log(v.opts.SeriesAlarmEvery.Seconds() / v.step.Seconds())
	v.Values.learn(v.Grain)
	up, down := v.side(v.Values.rarity(v.value))
	most := max(up, down)
	if v.seasonal() {
		v.Deviations.learn(v.Grain)
		v.Deviations.widen(&v.Values, leastDeviation)
		hourUp, hourDown := v.side(v.Deviations.rarity(v.value - v.usual()))
		least := need + math.Log(hourly)
		odd = up >= need && hourUp >= least || down >= need && hourDown >= least ||
			max(hourUp, hourDown) >= need+math.Log(far)
		return odd, odd || most >= need/2 && max(hourUp, hourDown) >= need/2
	}
	return most >= need, most >= need/2
}

// side leaves out the side on which nothing is a problem.
func (v *sample) side(up, down float64) (float64, float64) {
	switch v.Is.Worse {
	case WorseUp:
		return up, 0
	case WorseDown:
		return 0, down
	}
	return up, down
}

// seasonal reports whether the hours of the week are known.
func (v *sample) seasonal() bool {
	if len(v.Deviations.Values) < minValues {
		return false
	}
	_, known := v.hour()
	return known
}

// hour is the level of the hour of the week.
func (v *sample) hour() (level float64, known bool) {
	return v.Season.at(v.at.Add(-v.step / 2))
}

// note keeps since when values are odd, and since when they are not.
func (v *sample) note(odd, half bool) {
	v.OddFor = time.Duration(float64(v.OddFor) * forgetting(v.step, seriesWindow))
	if odd {
		v.OddFor += v.step
	}
	begin := v.at.Add(-v.step)
	if !odd {
		v.Odd = time.Time{}
	} else if v.Odd.IsZero() {
		v.Odd = begin
	}
	if half {
		v.Normal = time.Time{}
	} else if v.Normal.IsZero() {
		v.Normal = begin
	}
}

// lasts reports whether something has lasted from a time until now.
func (v *sample) lasts(since time.Time, least time.Duration) bool {
	return !since.IsZero() && v.at.Sub(since) >= least
}

func (v *sample) raise() {
	e := problem.Event{
		Source: "detector", Signal: problem.SignalSeries, Ref: v.Is.Ref,
		Start: v.Odd.UTC(), Detected: v.at.UTC(), Expected: v.usual(),
	}
	e.ID = eventID(v.Is.Name, string(e.Signal), e.Start)
	v.Open, v.New = &e, tails{}
	v.say()
}

func (v *sample) follow(odd bool) {
	switch {
	case v.lasts(v.Normal, v.quiet()):
		v.end(v.Normal, "It is as usual again.")
	case v.at.Sub(v.Open.Detected) >= v.opts.Accept:
		v.accept()
		v.end(v.at, fmt.Sprintf("It has been so for %s: this is the norm now.", inDays(v.opts.Accept)))
	case odd && v.at.Sub(v.Raised) >= v.opts.Refresh:
		v.say()
	}
}

// quiet is for how long values must be as usual for the event to be over: the
// longer it lasted the longer.
func (v *sample) quiet() time.Duration {
	q := max(v.opts.Quiet, min(12*v.step, time.Hour))
	return max(q, min(v.Normal.Sub(v.Open.Start)/4, v.opts.Accept))
}

// accept makes the values since the event began part of the norm: they are as
// large a part of the week as the tail is of all values. What is usual for the
// hour follows more slowly, so how far from it is too far is learned anew.
func (v *sample) accept() {
	size := max(len(v.Values.Values), minValues)
	for _, x := range v.New.Values {
		v.Values.add(x, size)
	}
	v.Deviations = tails{}
	v.Odd = time.Time{}
}

// absent counts the values that are not there.
func (v *sample) absent() {
	v.Odd = time.Time{}
	v.Missing++
	switch {
	case v.Open == nil:
		if v.Missing >= missing && v.warm() {
			v.raiseAbsent()
		}
	case v.Open.Signal != problem.SignalNoData:
	case v.at.Sub(v.Open.Detected) >= v.opts.Accept:
		v.Values, v.Deviations = tails{}, tails{} // should it come back, it is new
		v.end(v.at, fmt.Sprintf("It has been so for %s: this is the norm now.", inDays(v.opts.Accept)))
	case v.at.Sub(v.Raised) >= v.opts.Refresh:
		v.say()
	}
}

func (v *sample) raiseAbsent() {
	v.Values.learn(v.Grain)
	begin := v.at.Add(-missing * v.step).UTC()
	v.Open = &problem.Event{
		ID: eventID(v.Is.Name, string(problem.SignalNoData), begin), Source: "detector", Signal: problem.SignalNoData,
		Ref: v.Is.Ref, Start: begin, Detected: v.at.UTC(), Expected: v.usual(),
	}
	v.say()
}

func (v *sample) end(at time.Time, why string) {
	v.Open.End = at.UTC()
	v.say()
	v.events[len(v.events)-1].Why += " " + why
	v.Open, v.New = nil, tails{}
}

// say returns the event with its figures of now.
func (v *sample) say() {
	v.Raised = v.at
	e := v.Open
	e.Query, e.Unit, e.Tags, e.Informational = v.Is.Query, v.Is.Unit, v.Is.Tags, v.Is.Informational
	e.Severity = cmp.Or(v.Is.Severity, problem.SeverityCustom)
	e.Expires = v.at.Add(v.opts.Accept + expiry).UTC() // values may be as usual for as long as Accept
	usual := figure(e.Expected, e.Unit)
	if e.Signal == problem.SignalNoData {
		e.Title = v.Is.Name + ": no data any more"
		e.Why = fmt.Sprintf("%d values in a row are not there.", max(missing, v.Missing))
	} else {
		e.Observed = v.value
		e.Title = fmt.Sprintf("%s is %s, usually %s", v.Is.Name, figure(v.value, e.Unit), usual)
		when := "by the last week's values"
		if _, known := v.hour(); known {
			when = "at this hour"
		}
		e.Why = fmt.Sprintf("It is usually %s %s; so far from that it is once in %s or less often.",
			usual, when, inDays(v.opts.SeriesAlarmEvery))
	}
	v.events = append(v.events, *e)
}

// keep learns the value, unless it is odd or an event lasts: then it waits
// whether it becomes the norm. What is odd again and again is how it is, too. Of
// many values some are kept, evenly over the week.
func (v *sample) keep(odd bool) {
	learn := v.Open == nil && !odd || v.OddFor >= recurring
	if learn {
		v.Season.observe(v.at, v.step.Seconds(), v.value)
	}
	gap := min(v.at.Sub(v.First), seriesWindow) / maxValues
	if v.at.Sub(v.Kept) < max(uneven(gap, v.Turn), v.step) {
		return
	}
	v.Kept = v.at
	v.Turn++
	size := int(seriesWindow / max(v.step, seriesWindow/maxValues))
	if v.Open != nil {
		v.New.add(v.value, size)
	}
	if !learn {
		return
	}
	v.Values.add(v.value, size)
	if level, known := v.hour(); known {
		v.Deviations.add(v.value-level, size)
	}
}

// uneven varies a gap by half of it to either side, by the golden ratio, so
// that what happens in a rhythm is not kept always or never.
func uneven(gap time.Duration, turn int) time.Duration {
	_, part := math.Modf(float64(turn) * math.Phi)
	return time.Duration(float64(gap) * (0.5 + part))
}
