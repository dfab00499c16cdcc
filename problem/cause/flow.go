package cause

import (
	"math"
	"slices"
	"time"

	"github.com/tidegate-io/tidegate/problem"
)

// What flows from callee to caller.
type kind int

const (
	delays   kind = iota // seconds that all requests of a slot together took
	failures             // failed requests of a slot
	kinds
)

// excess is what is more than usual at a place, slot by slot of the incident.
type excess struct {
	times []time.Time
	by    []float64 // in the kind's unit
	sd    []float64 // of the same, when all is as usual
	// evidence that anything is in excess at all, as a log-likelihood ratio,
	// and how much of it is due to the slot that says most.
	evidence, most float64
	// fresh: nothing was asked of the place before the incident.
	fresh bool
}

// Figures of what is usual.
const (
	// drift is how far, in logarithms, the usual latency may have moved since
	// the time that the history is from.
	drift = 0.2
	// tails is the number of degrees of freedom of Student's t by which excess
	// is weighed: latencies have heavy tails.
	tails = 4
	// fewest is the least variance of a number of failures.
	fewest = 0.25
	// certain is the evidence from which on an excess may explain another one.
	certain = 5.0
)

// slots returns a value by time for the points of the incident, and the values
// of the slots before it that lie wholly before the onset.
func (m *measured) slots(onset time.Time) (during map[time.Time]float64, before []float64) {
	during = map[time.Time]float64{}
	for _, p := range m.Points {
		if p.Time.Add(m.Step).After(onset) {
			during[p.Time] = p.Value
		} else {
			before = append(before, p.Value)
		}
	}
	return during, before
}

// measureExcess works out the excess of every place.
func (w *world) measureExcess() {
	for _, n := range w.nodes {
		requests := n.best(RoleTraffic)
		n.excess[delays] = w.delayed(n.best(RoleLatency), requests)
		if m := n.best(RoleErrors); m != nil {
			n.excess[failures] = w.failed(shares(m, requests), requests, false)
		} else {
			n.excess[failures] = w.failed(n.best(RoleSuccess), requests, true)
		}
	}
}

// best is the series of a role that sums up most: the golden signals by their
// plain names, and of latencies the mean, so that its excess adds up.
func (n *node) best(r Role) *measured {
	var best *measured
	for _, m := range n.series {
		if m.role == r && (best == nil || rank(m) < rank(best)) {
			best = m
		}
	}
	return best
}

func rank(m *measured) int {
	if slices.Contains([]string{"requests", "failures", "errors", "latency", "availability"}, m.Metric) {
		return rankOf(m.Statistic) - 10
	}
	return rankOf(m.Statistic)
}

func rankOf(statistic string) int {
	for _, w := range split(statistic) {
		switch w {
		case "average", "avg", "mean", "sum", "rate":
			return 0
		case "p50", "median":
			return 1
		case "p99", "max", "min":
			return 3
		}
	}
	return 2
}

// weights returns the requests of each slot, and whether nothing was asked
// before the incident; without a series of requests every slot weighs one.
func (w *world) weights(requests *measured) (of func(time.Time) float64, fresh bool) {
	if requests == nil {
		return func(time.Time) float64 { return 1 }, false
	}
	during, before := requests.slots(w.onset)
	fresh = len(before) > 0 || len(requests.History) > 0
	for _, v := range append(before, requests.History...) {
		fresh = fresh && v == 0
	}
	return func(t time.Time) float64 { return math.Max(0, during[t]) }, fresh
}

// delayed is the excess of time spent. Latencies are compared by their
// logarithms; the usual one is that right before the incident to the extent
// that there is enough of it, else that of the history.
func (w *world) delayed(m, requests *measured) *excess {
	if m == nil {
		return nil
	}
	during, before := m.slots(w.onset)
	was, then := logs(m.History), logs(before)
	if len(during) == 0 || len(was)+len(then) == 0 {
		return w.freshOnly(m, requests)
	}
	level, noise := usual(was, then, drift)
	past := newPast(was)
	weight, fresh := w.weights(requests)
	e := &excess{fresh: fresh}
	for _, p := range m.Points {
		v, ok := during[p.Time]
		if !ok || v <= 0 {
			continue
		}
		calm := math.Exp(level) * weight(p.Time)
		e.add(p.Time, v*weight(p.Time)-calm, calm*noise)
		e.weigh(student((math.Log(v)-level)/noise), past.rarity(math.Log(v)-level))
	}
	return e.orNil()
}

// shares turns numbers of failures into shares of the requests; what is a share
// already stays one, and so does what there are no requests for.
func shares(m, requests *measured) *measured {
	if requests == nil || isShare(m) {
		return m
	}
	of := map[time.Time]float64{}
	for _, p := range requests.Points {
		of[p.Time] = p.Value
	}
	out := *m
	out.History, out.Points = nil, nil
	for _, p := range m.Points {
		if of[p.Time] > 0 {
			out.Points = append(out.Points, Point{p.Time, math.Min(1, p.Value/of[p.Time])})
		}
	}
	return &out
}

// isShare tells shares from numbers, by their names or by their values.
func isShare(m *measured) bool {
	for _, w := range split(m.Metric + " " + m.Statistic) {
		switch w {
		case "ratio", "rate", "share", "percent", "percentage", "fraction":
			return true
		case "count", "total", "sum":
			return false
		}
	}
	return !slices.ContainsFunc(m.Points, func(p Point) bool { return p.Value > 1 })
}

// failed is the excess of failed requests.
func (w *world) failed(m, requests *measured, inverted bool) *excess {
	if m == nil {
		return nil
	}
	scale := 1.0
	share := func(v float64) float64 { return v }
	if inverted {
		if percent(m) {
			scale = 100
		}
		share = func(v float64) float64 { return 1 - v/scale }
	}
	during, before := m.slots(w.onset)
	was, then := mapped(m.History, share), mapped(before, share)
	if len(during) == 0 || len(was)+len(then) == 0 {
		return w.freshOnly(m, requests)
	}
	level, noise := usual(was, then, 0)
	past := newPast(was)
	weight, fresh := w.weights(requests)
	least := 0.0
	if requests != nil {
		least = fewest
	}
	e := &excess{fresh: fresh}
	for _, p := range m.Points {
		v, ok := during[p.Time]
		if !ok {
			continue
		}
		r := weight(p.Time)
		by := (share(v) - level) * r
		sd := math.Sqrt(math.Max(math.Max(r*r*noise*noise, r*level), least))
		llr := student(by / math.Max(sd, 1e-12))
		if requests != nil {
			llr = counted(share(v)*r, math.Max(r*level, 1/float64(len(was)+len(then)+1)), r*noise)
		}
		e.add(p.Time, by, sd)
		e.weigh(llr, past.rarity(share(v)-level))
	}
	return e.orNil()
}

// student is the log-likelihood ratio of an excess of z standard deviations
// for Student's t.
func student(z float64) float64 {
	if z <= 0 {
		return 0
	}
	return (tails + 1) / 2 * math.Log1p(z*z/tails)
}

// past knows how far from its level a series has been when all was well.
type past struct{ above []float64 }

func newPast(was []float64) past {
	p := past{above: make([]float64, len(was))}
	level := median(was)
	for i, v := range was {
		p.above[i] = v - level
	}
	slices.Sort(p.above)
	return p
}

// rarity is the most that an excess can tell: if it was as large in k of n
// slots of the past, the logarithm of n/k; unbounded if it never was.
func (p past) rarity(by float64) float64 {
	i, _ := slices.BinarySearch(p.above, by-1e-9)
	k := len(p.above) - i
	if k == 0 {
		return math.Inf(1)
	}
	return math.Log(float64(len(p.above)+1) / float64(k))
}

// counted is the log-likelihood ratio of a number of failures against the
// usual number, for a Poisson distribution as over-dispersed as the noise says.
func counted(n, usual, noise float64) float64 {
	if n <= usual {
		return 0
	}
	dispersion := math.Max(1, noise*noise/usual)
	return (n*math.Log(n/usual) - (n - usual)) / dispersion
}

// freshOnly is for a place without any past: all there is, is in excess.
func (w *world) freshOnly(m, requests *measured) *excess {
	during, _ := m.slots(w.onset)
	if len(during) == 0 {
		return nil
	}
	return &excess{fresh: true}
}

func (e *excess) add(at time.Time, by, sd float64) {
	e.times = append(e.times, at)
	e.by = append(e.by, by)
	e.sd = append(e.sd, sd)
}

func (e *excess) weigh(llr, atMost float64) {
	llr = min(llr, atMost)
	e.evidence += llr
	e.most = max(e.most, llr)
}

func (e *excess) orNil() *excess {
	if len(e.times) == 0 {
		return nil
	}
	return e
}

// usual returns the level and the noise of what is normal from values of the
// history and from right before the incident.
func usual(was, then []float64, drift float64) (level, noise float64) {
	switch {
	case len(was) == 0:
		level, noise = median(then), math.Max(deviation(then, median(then)), drift/2)
	case len(then) == 0:
		level = median(was)
		if drift == 0 {
			level = average(was)
		}
		noise = math.Hypot(deviation(was, median(was)), drift/2)
	default:
		level = median(was)
		if drift == 0 {
			level = average(was)
		}
		noise = deviation(was, median(was))
		trust := float64(len(then)) / (float64(len(then)) + 1)
		if drift > 0 {
			trust = float64(len(then)) / (float64(len(then)) + noise*noise/(drift*drift))
		}
		level += trust * (average(then) - level)
		noise = math.Max(noise*math.Sqrt(1+1/float64(len(then))), drift/4)
	}
	return level, math.Max(noise, 1e-9)
}

func logs(y []float64) []float64 {
	var out []float64
	for _, v := range y {
		if v > 0 {
			out = append(out, math.Log(v))
		}
	}
	return out
}

func mapped(y []float64, f func(float64) float64) []float64 {
	out := make([]float64, len(y))
	for i, v := range y {
		out[i] = f(v)
	}
	return out
}

// percent reports whether shares are written as percentages.
func percent(m *measured) bool {
	for _, p := range m.Points {
		if p.Value > 1.5 {
			return true
		}
	}
	for _, v := range m.History {
		if v > 1.5 {
			return true
		}
	}
	return false
}

// kindOf is what a symptom is an excess of.
func kindOf(s problem.Signal) (kind, bool) {
	switch s {
	case problem.SignalErrors:
		return failures, true
	case problem.SignalLatency, problem.SignalSlowest:
		return delays, true
	}
	return 0, false
}
