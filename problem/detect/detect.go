// Package detect finds out, without being configured, that users are hurt: it
// learns what is usual of every operation and service, and of named series,
// and raises [problem.Event] values when that changed.
//
// A [Detector] is fed one slot of time after the other, each slot once and
// complete, with the counts of all operations; everything else is derived.
// It is pure: no clock, no I/O; the same input gives the same events.
//
// # What is looked for
//
// Of every operation, and of every service as a whole (where none of its
// operations shows the same already): a higher share of failed requests,
// latencies above the usual median, more than a tenth of the requests far
// above the usual slow tenth, fewer requests (none: no data), more requests.
// Of a named series: values away from what it usually does; see [Series].
//
// # How
//
// Every slot gives counts: bad ones of all, or requests against those
// expected. Against the usual share or rate, widened by a margin below which
// nobody would care, they give likelihood ratios; an e-detector adds those up
// (see evidence), divided by the dispersion that this series shows. An event
// is raised when the evidence reaches a threshold: with T slots in
// [Options].FalseAlarmEvery and N tests in all, N·T. Since the mean time
// between two false alarms of one test is then at least N·T slots, that of the
// whole is at least FalseAlarmEvery. No slot alone suffices: it takes three, and
// five to call it slow.
//
// What is usual is learned from all slots in which nothing is suspected, with
// a memory of a day, by hour of the day and of the week once these were seen
// twice. A new service learns quietly: its latency is not judged in the first
// minutes, its traffic not on the first day; shares of errors far above any
// that a working service has are found from the first second on.
//
// An event has the same ID while it lasts, and is raised again with later
// figures. It is over when there is as much evidence that all is as usual, or
// no request is left to be hurt. What lasts longer than [Options].Accept is
// the new norm.
//
// [Detector.Snapshot] and [Detector.Restore] carry all that is learned, and
// the open events, over a restart.
//
//	d, err := detect.New(detect.Options{})
//	events := d.Observe(slotEnd, 2*time.Second, operations)
package detect

import (
	"cmp"
	"log/slog"
	"math"
	"slices"
	"sync"
	"time"

	"github.com/tidegate-io/tidegate/entity"
	"github.com/tidegate-io/tidegate/fault"
	"github.com/tidegate-io/tidegate/judge"
	"github.com/tidegate-io/tidegate/problem"
)

// Observation is what one slot says of one operation.
type Observation struct {
	entity.Ref // the version is ignored: an operation is one thing in all versions
	Operation  string

	Requests float64
	Failed   float64
	// Latency of the requests in seconds; nil where unknown.
	Latency *judge.Histogram
}

// Options of a Detector. The zero value is ready to use.
type Options struct {
	// FalseAlarmEvery is the mean time between two false alarms of all tests
	// together, at least; default 90 days. It holds for counts as dispersed
	// as they were while learning.
	FalseAlarmEvery time.Duration
	// Quiet is for how long, at least, all must be as usual for an event to be
	// over; default 20 s.
	Quiet time.Duration
	// Accept is after how long a new level is the norm; default 24 h.
	Accept time.Duration
	// SeriesAlarmEvery is the same for one side of one named series: how rare,
	// by its last week, a value must be; default 30 days.
	SeriesAlarmEvery time.Duration
	// LatencyWarmup and TrafficWarmup are for how long an operation is watched
	// before its latency and its traffic are judged; default 2 min and 24 h:
	// where no day was seen yet, every end of a load test would be a drop. The
	// latter holds for named series, too.
	LatencyWarmup, TrafficWarmup time.Duration
	// Refresh is how often an event that lasts is raised again; default 10 s.
	Refresh time.Duration
	// Forget is after how long without a request an operation is forgotten;
	// default 14 days.
	Forget time.Duration
	// MaxOperations bounds the operations and services that are watched, some
	// 6 KB each; default 20,000. MaxSeries bounds the named series, default 1,000.
	MaxOperations, MaxSeries int
	// Logger is optional.
	Logger *slog.Logger
}

func (o *Options) defaults() error {
	for _, d := range []time.Duration{o.FalseAlarmEvery, o.SeriesAlarmEvery, o.Quiet, o.Accept, o.LatencyWarmup, o.TrafficWarmup, o.Refresh, o.Forget} {
		if d < 0 {
			return fault.Invalid("detection: durations cannot be negative")
		}
	}
	if o.MaxOperations < 0 || o.MaxSeries < 0 {
		return fault.Invalid("detection: limits cannot be negative")
	}
	const day = 24 * time.Hour
	o.FalseAlarmEvery = cmp.Or(o.FalseAlarmEvery, 90*day)
	o.SeriesAlarmEvery = cmp.Or(o.SeriesAlarmEvery, 30*day)
	o.Quiet = cmp.Or(o.Quiet, 20*time.Second)
	o.Accept = cmp.Or(o.Accept, day)
	o.LatencyWarmup = cmp.Or(o.LatencyWarmup, 2*time.Minute)
	o.TrafficWarmup = cmp.Or(o.TrafficWarmup, day)
	o.Refresh = cmp.Or(o.Refresh, 10*time.Second)
	o.Forget = cmp.Or(o.Forget, 14*day)
	o.MaxOperations = cmp.Or(o.MaxOperations, 20_000)
	o.MaxSeries = cmp.Or(o.MaxSeries, 1_000)
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return nil
}

// Detector is safe for concurrent use.
type Detector struct {
	opts Options

	mu         sync.Mutex
	last       time.Time // end of the last slot
	operations map[place]*operation
	services   map[service][]*operation // operations of each
	series     map[string]*series
	full       bool // it was said that there are too many
}

// place is an operation, or, with none, a service as a whole.
type place struct {
	service
	operation string
}

type service struct{ name, environment string }

// compare puts a service before its operations.
func (p place) compare(q place) int {
	return cmp.Or(cmp.Compare(p.name, q.name), cmp.Compare(p.environment, q.environment), cmp.Compare(p.operation, q.operation))
}

// New returns a detector that knows nothing yet.
func New(opts Options) (*Detector, error) {
	if err := opts.defaults(); err != nil {
		return nil, err
	}
	d := &Detector{opts: opts}
	d.clear()
	return d, nil
}

func (d *Detector) clear() {
	d.last = time.Time{}
	d.operations = map[place]*operation{}
	d.services = map[service][]*operation{}
	d.series = map[string]*series{}
}

// Observe takes the slot of length step that ended at a time: all operations
// that had a request in it. An operation that is known and not in the batch
// had none. Slots come in order; one that was there already is ignored, unless
// it is an hour back: then the clock was set back. It returns the events that began, changed or ended.
func (d *Detector) Observe(at time.Time, step time.Duration, batch []Observation) []problem.Event {
	d.mu.Lock()
	defer d.mu.Unlock()
	if step <= 0 || isOld(at, d.last) {
		return nil
	}
	s := slot{start: at.Add(-step), end: at, seconds: step.Seconds(), opts: &d.opts}
	s.gap = !d.last.IsZero() && s.start.Sub(d.last).Abs() > step
	d.last = at
	for i := range batch {
		d.take(&batch[i], at)
	}
	s.threshold = d.threshold(step)
	for ref, ops := range d.services {
		d.services[ref] = d.observeService(&s, ops)
		if len(d.services[ref]) <= 1 {
			delete(d.services, ref)
			delete(d.operations, place{ref, ""})
		}
	}
	slices.SortFunc(s.events, func(a, b problem.Event) int { return cmp.Compare(a.ID, b.ID) })
	return s.events
}

// isOld reports whether a time was there already. One that is far back is not:
// the clock was set back.
func isOld(at, last time.Time) bool {
	return !at.After(last) && last.Sub(at) < time.Hour
}

// observeService judges the service, which is the first of ops, and its
// operations, and returns those that are still known.
func (d *Detector) observeService(s *slot, ops []*operation) []*operation {
	known := ops[:1]
	for _, o := range ops[1:] {
		if s.end.Sub(o.Seen) > d.opts.Forget && !o.hurt() {
			delete(d.operations, o.place())
			continue
		}
		known = append(known, o)
	}
	clear(ops[len(known):])
	var shown [tests]bool
	for _, o := range known[1:] {
		s.judge(o, [tests]bool{})
		for t := range o.Tests {
			shown[t] = shown[t] || o.Tests[t].Open != nil
		}
	}
	// With one operation the service is that operation.
	if len(known) == 2 {
		for t := range shown {
			shown[t] = true
		}
	}
	s.judge(known[0], shown)
	return known
}

// take adds an observation to its operation and to the service.
func (d *Detector) take(ob *Observation, at time.Time) {
	if ob.Service == "" || ob.Operation == "" || !isCount(ob.Requests) || !isCount(ob.Failed) || ob.Requests == 0 {
		return
	}
	key := place{service{ob.Service, ob.Environment}, ob.Operation}
	o, ok := d.operations[key]
	if !ok {
		if len(d.operations)+2 > d.opts.MaxOperations {
			if !d.full {
				d.full = true
				d.opts.Logger.Warn("too many operations: further ones are not watched", "limit", d.opts.MaxOperations)
			}
			return
		}
		o = d.add(newOperation(key))
	}
	o.take(ob, at)
	d.services[key.service][0].take(ob, at)
}

// add makes an operation known, and with the first one its service.
func (d *Detector) add(o *operation) *operation {
	key := o.place()
	d.operations[key] = o
	if len(d.services[key.service]) == 0 && key.operation != "" {
		d.add(newOperation(place{key.service, ""}))
	}
	d.services[key.service] = append(d.services[key.service], o)
	return o
}

// threshold is the logarithm of the evidence that it takes.
func (d *Detector) threshold(step time.Duration) float64 {
	slots := d.opts.FalseAlarmEvery.Seconds() / step.Seconds()
	return math.Log(max(1, slots)) + math.Log(float64(tests*max(1, len(d.operations))))
}

// Last returns the end of the last slot of operations that was observed, also
// before a restart; zero when there was none.
func (d *Detector) Last() time.Time {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.last
}

// Open returns the events that last.
func (d *Detector) Open() []problem.Event {
	d.mu.Lock()
	defer d.mu.Unlock()
	var out []problem.Event
	for _, o := range d.operations {
		for t := range o.Tests {
			if e := o.Tests[t].Open; e != nil {
				out = append(out, e.Event)
			}
		}
	}
	for _, s := range d.series {
		if s.Open != nil {
			out = append(out, *s.Open)
		}
	}
	slices.SortFunc(out, func(a, b problem.Event) int { return cmp.Compare(a.ID, b.ID) })
	return out
}

func isCount(x float64) bool { return x >= 0 && !math.IsInf(x, 1) }
