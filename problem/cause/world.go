package cause

import (
	"cmp"
	"math"
	"slices"
	"time"

	"github.com/tidegate-io/tidegate/entity"
	"github.com/tidegate-io/tidegate/problem"
)

// world is the input as a graph of places, in an order that does not depend
// on the order of the input.
type world struct {
	Input
	nodes []*node
	index map[entity.Ref]int
	// onset is when the first symptom began.
	onset time.Time
	// newest is the end of the latest point of any series.
	newest time.Time
}

// node is one place: a service in an environment, or something else that has
// series or log lines.
type node struct {
	ref     entity.Ref
	callees []int
	callers []int
	series  []*measured
	// traced: it takes part in requests.
	traced   bool
	symptoms []problem.Event
	// excess over the usual, by kind; nil where it is not known.
	excess [kinds]*excess
}

// measured is a series with what was made of it.
type measured struct {
	Series
	role   Role
	shifts []shift
}

// newWorld cleans the input and connects it.
func newWorld(in Input) *world {
	w := &world{Input: in, index: map[entity.Ref]int{}}
	w.clean()
	for _, s := range w.Symptoms {
		if w.onset.IsZero() || s.Start.Before(w.onset) {
			w.onset = s.Start
		}
	}
	w.name()
	for _, s := range w.Symptoms {
		n := w.at(s.Ref)
		n.symptoms = append(n.symptoms, s)
	}
	w.connect()
	for _, s := range w.Series {
		w.measure(s)
	}
	for _, g := range w.Failures {
		w.at(w.originOf(g)).traced = true
	}
	w.overhear()
	return w
}

// place is a reference without the version: versions come and go at a place.
func place(r entity.Ref) entity.Ref {
	r.Version = ""
	return r
}

// name finds the places. A reference without an environment is to the place of
// that service where there is only one.
func (w *world) name() {
	seen := map[entity.Ref]bool{}
	add := func(r entity.Ref) {
		if r.Service != "" {
			seen[place(r)] = true
		}
	}
	for _, s := range w.Symptoms {
		add(s.Ref)
	}
	for _, c := range w.Calls {
		add(c.Caller)
		add(c.Callee)
	}
	for _, s := range w.Series {
		add(s.Ref)
	}
	for _, g := range w.Failures {
		add(g.Origin)
		add(entity.Ref{Service: g.Service})
	}
	for _, p := range w.Slow {
		add(entity.Ref{Service: p.Service})
	}
	for _, l := range w.Logs {
		add(l.Sample.Ref)
		add(entity.Ref{Service: l.Service})
	}
	in := map[string][]entity.Ref{}
	for r := range seen {
		if r.Environment != "" {
			in[r.Service] = append(in[r.Service], r)
		}
	}
	var refs []entity.Ref
	for r := range seen {
		if r.Environment != "" || len(in[r.Service]) == 0 {
			refs = append(refs, r)
		}
	}
	slices.SortFunc(refs, byName)
	for i, r := range refs {
		w.index[r] = i
		w.nodes = append(w.nodes, &node{ref: r})
	}
	for r := range seen {
		if _, ok := w.index[r]; !ok {
			home := slices.MinFunc(in[r.Service], byName)
			w.index[r] = w.index[home]
		}
	}
}

func byName(a, b entity.Ref) int {
	return cmp.Or(cmp.Compare(a.Service, b.Service), cmp.Compare(a.Environment, b.Environment))
}

// find returns the index of a place, or of the only one it can be; -1 where
// there is none.
func (w *world) find(r entity.Ref) int {
	if i, ok := w.index[place(r)]; ok {
		return i
	}
	found := -1
	for i, n := range w.nodes {
		if n.ref.Service == r.Service && (r.Environment == "" || n.ref.Environment == "") {
			if found >= 0 {
				return -1
			}
			found = i
		}
	}
	return found
}

// at returns the node of a place that name knows.
func (w *world) at(r entity.Ref) *node {
	if i := w.find(r); i >= 0 {
		return w.nodes[i]
	}
	return &node{ref: r} // it has no name: nothing is made of it
}

func (w *world) connect() {
	for _, c := range w.Calls {
		a, b := w.find(c.Caller), w.find(c.Callee)
		if a < 0 || b < 0 {
			continue
		}
		w.nodes[a].traced, w.nodes[b].traced = true, true
		if a != b && !slices.Contains(w.nodes[a].callees, b) {
			w.nodes[a].callees = append(w.nodes[a].callees, b)
			w.nodes[b].callers = append(w.nodes[b].callers, a)
		}
	}
}

// overhear adds calls that the graph does not have: a service that complains of
// another one calls it.
func (w *world) overhear() {
	for _, l := range w.Logs {
		a := w.find(entity.Ref{Service: l.Service, Environment: l.Sample.Environment})
		if a < 0 || !w.nodes[a].ours() || !complains(l) {
			continue
		}
		if b := w.blamed(l); b >= 0 && b != a && !slices.Contains(w.nodes[a].callees, b) && !slices.Contains(w.nodes[b].callees, a) {
			w.nodes[a].callees = append(w.nodes[a].callees, b)
			w.nodes[b].callers = append(w.nodes[b].callers, a)
			w.nodes[a].traced = true
		}
	}
	for _, n := range w.nodes {
		slices.Sort(n.callees)
		slices.Sort(n.callers)
	}
}

func (w *world) measure(s Series) {
	n := w.at(s.Ref)
	m := &measured{Series: s, role: RoleOf(s.Metric, s.Unit)}
	if m.role != RoleCountdown && m.role != RoleCapacity || steps(s.Points) {
		m.shifts = w.shiftsOf(s)
	}
	n.series = append(n.series, m)
	if len(s.Points) > 0 {
		if last := s.Points[len(s.Points)-1].Time.Add(s.Step); last.After(w.newest) {
			w.newest = last
		}
	}
}

// shiftsOf finds the shifts that lead up to the symptom by what was known when
// it began, because what follows (a restart, say) hides them; and those that
// came with it or after.
func (w *world) shiftsOf(s Series) []shift {
	n := 0
	for n < len(s.Points) && !s.Points[n].Time.Add(s.Step).After(w.onset) {
		n++
	}
	early := shifts(s.Points[:n], s.Step)
	all := shifts(s.Points, s.Step)
	if len(early) == 0 || n == len(s.Points) {
		return all
	}
	last := s.Points[n-1].Time
	return append(early, slices.DeleteFunc(all, func(x shift) bool { return x.start.Before(last) })...)
}

// steps reports whether a series mostly stays where it is.
func steps(points []Point) bool {
	same := 0
	for i := 1; i < len(points); i++ {
		if points[i].Value == points[i-1].Value {
			same++
		}
	}
	return 2*same >= len(points)
}

// clean drops what cannot be used, puts the rest in an order of its own, and
// enforces the limits.
func (w *world) clean() {
	w.Symptoms = slices.Clone(w.Symptoms)
	slices.SortStableFunc(w.Symptoms, func(a, b problem.Event) int {
		return cmp.Or(a.Start.Compare(b.Start), byName(a.Ref, b.Ref), cmp.Compare(a.Signal, b.Signal), cmp.Compare(a.ID, b.ID))
	})
	w.Symptoms = w.Symptoms[:min(len(w.Symptoms), maxSymptoms)]
	w.Calls = slices.Clone(w.Calls)
	slices.SortFunc(w.Calls, func(a, b Call) int { return cmp.Or(byName(a.Caller, b.Caller), byName(a.Callee, b.Callee)) })
	w.Calls = w.Calls[:min(len(w.Calls), maxCalls)]
	w.Series = slices.Clone(w.Series)
	slices.SortStableFunc(w.Series, func(a, b Series) int {
		return cmp.Or(byName(a.Ref, b.Ref), cmp.Compare(a.Metric, b.Metric), cmp.Compare(a.Statistic, b.Statistic))
	})
	w.Series = w.Series[:min(len(w.Series), maxSeries)]
	for i := range w.Series {
		w.Series[i] = w.usable(w.Series[i])
	}
	w.cleanRest()
}

// usable is a series without what is no number or not yet, in order of time.
func (w *world) usable(s Series) Series {
	var points []Point
	for _, p := range s.Points {
		if number(p.Value) && (w.Now.IsZero() || !p.Time.After(w.Now)) {
			points = append(points, p)
		}
	}
	slices.SortStableFunc(points, func(a, b Point) int { return cmp.Or(a.Time.Compare(b.Time), cmp.Compare(a.Value, b.Value)) })
	points = slices.CompactFunc(points, func(a, b Point) bool { return a.Time.Equal(b.Time) })
	var history []float64
	for _, v := range s.History {
		if number(v) && len(history) < maxHistory {
			history = append(history, v)
		}
	}
	s.Points, s.History = points, history
	if s.Step <= 0 {
		s.Step = usualStep(points)
	}
	return s
}

// number reports whether a value is one, and small enough to be squared.
func number(v float64) bool { return !math.IsNaN(v) && math.Abs(v) < 1e100 }

func usualStep(points []Point) time.Duration {
	var gaps []float64
	for i := 1; i < len(points); i++ {
		gaps = append(gaps, points[i].Time.Sub(points[i-1].Time).Seconds())
	}
	if len(gaps) == 0 {
		return time.Minute
	}
	return max(time.Duration(median(gaps)*float64(time.Second)), time.Millisecond)
}
