package problem

import (
	"cmp"
	"slices"
	"time"

	"github.com/tidegate-io/tidegate/change"
	"github.com/tidegate-io/tidegate/entity"
)

// maxEvents bounds the events of one problem.
const maxEvents = 200

// board is what a step works on: the problems that events may belong to. Its
// methods decide which event is of which problem, and nothing else; they are
// pure but for the records they change.
type board struct {
	rules Rules
	topo  *topology
	now   time.Time

	records []*Record // oldest first
	owner   map[string]*Record
	changed []*Record // in the order of the first change
}

func newBoard(rules Rules, topo *topology, now time.Time, records []Record) *board {
	b := &board{rules: rules, topo: topo, now: now, owner: map[string]*Record{}}
	for i := range records {
		b.add(&records[i])
	}
	return b
}

func (b *board) add(r *Record) {
	if slices.ContainsFunc(b.records, func(x *Record) bool { return x.ID == r.ID }) {
		return
	}
	b.records = append(b.records, r)
	if r.MergedInto != "" {
		return
	}
	for i := range r.Events { // an event that came back is of the latest problem
		if o := b.owner[r.Events[i].ID]; o == nil || o.older(r) {
			b.owner[r.Events[i].ID] = r
		}
	}
}

// touch notes that a record was changed.
func (b *board) touch(r *Record) {
	r.Updated = b.now
	if !slices.Contains(b.changed, r) {
		b.changed = append(b.changed, r)
	}
}

// observe places one event, which was completed, and returns the problem that
// it belongs to; nil when it opens none.
func (b *board) observe(e Event) *Record {
	if r := b.owner[e.ID]; r != nil {
		if r.update(e, b.now) {
			b.touch(r)
			return r
		}
		if !r.recurs(&e) {
			return r // late or known: nothing new
		}
	}
	joins := b.joined(&e)
	if e.Informational {
		if len(joins) > 0 && joins[0].State == StateOpen {
			b.put(joins[0], e)
			return joins[0]
		}
		return nil
	}
	if len(joins) == 0 {
		if r := b.reopened(&e); r != nil {
			return r
		}
		return b.open(e)
	}
	into := b.union(joins)
	b.put(into, e)
	return into
}

// open makes a problem of an event.
func (b *board) open(e Event) *Record {
	r := &Record{Problem: Problem{ID: change.NewID(b.now), State: StateOpen, Opened: b.now, Start: e.Start}}
	r.AnalyseAt = b.now
	b.records = append(b.records, r)
	b.put(r, e)
	r.note(note{kind: noteOpened})
	return r
}

// put adds the event to the problem, or replaces an earlier episode of it.
func (b *board) put(r *Record, e Event) {
	b.touch(r)
	if at := slices.IndexFunc(r.Events, func(x Event) bool { return x.ID == e.ID }); at >= 0 {
		r.Events[at] = e
		b.owner[e.ID] = r
		return
	}
	if len(r.Events) >= maxEvents {
		// What ended first is missed least; when all last, one more says little.
		at := slices.IndexFunc(r.Events, func(x Event) bool { return !x.Open() })
		if at < 0 || !e.Open() {
			r.MoreEvents++
			return
		}
		delete(b.owner, r.Events[at].ID)
		r.Events = slices.Delete(r.Events, at, at+1)
		r.MoreEvents++
	}
	r.Events = append(r.Events, e)
	b.owner[e.ID] = r
	if !e.Informational && !r.AnalyseAt.IsZero() {
		soon := b.now
		if next := r.AnalysedAt.Add(analyseApart); next.After(soon) {
			soon = next
		}
		if soon.Before(r.AnalyseAt) {
			r.AnalyseAt = soon
		}
	}
}

// joined returns the open problems that the event is part of, the one it is
// closest to first.
func (b *board) joined(e *Event) []*Record {
	type found struct {
		r    *Record
		hops int
		gap  time.Duration
	}
	var all []found
	for _, r := range b.records {
		if r.State != StateOpen || e.Start.Sub(r.resumed()) > b.rules.MergeFor {
			continue
		}
		hops, gap, ok := b.distance(e, r)
		if ok {
			all = append(all, found{r, hops, gap})
		}
	}
	slices.SortStableFunc(all, func(x, y found) int {
		return cmp.Or(cmp.Compare(x.hops, y.hops), cmp.Compare(x.gap, y.gap))
	})
	out := make([]*Record, len(all))
	for i := range all {
		out[i] = all[i].r
	}
	return out
}

// distance returns how near the event is to the nearest event of the problem
// that it is connected to.
func (b *board) distance(e *Event, r *Record) (hops int, gap time.Duration, ok bool) {
	consider := func(h int, g time.Duration) {
		if g <= b.rules.Near && (!ok || h < hops || h == hops && g < gap) {
			hops, gap, ok = h, g, true
		}
	}
	for i := range r.Events {
		x := &r.Events[i]
		if x.Informational {
			continue
		}
		if e.Group != "" && e.Group == x.Group && e.Source == x.Source {
			consider(0, 0) // its source says so
			continue
		}
		if h, connected := b.topo.hops(e.Ref, x.Ref); connected {
			consider(h, apart(e, x))
		}
	}
	if r.Cause.established() {
		if h, connected := b.topo.hops(e.Ref, r.Cause.Ref); connected && h == 0 {
			consider(0, 0)
		}
	}
	return hops, gap, ok
}

// apart is the time between the onset of e and the time that x lasted.
func apart(e, x *Event) time.Duration {
	if e.Start.Before(x.Start) {
		return x.Start.Sub(e.Start)
	}
	if x.Open() || !e.Start.After(x.End) {
		return 0
	}
	return e.Start.Sub(x.End)
}

// union makes one problem of those that an event connects, except of those
// that are known to have different causes: then the event is of the nearest.
func (b *board) union(joins []*Record) *Record {
	into := joins[0]
	for _, r := range joins[1:] {
		if into.Cause.established() && r.Cause.established() && !into.Cause.same(r.Cause) {
			continue
		}
		if late := into.resumed().Sub(r.resumed()).Abs(); late > b.rules.MergeFor {
			continue
		}
		into = b.merge(into, r, "one event is connected to both")
	}
	return into
}

// merge makes one problem of two, the older, and returns it.
func (b *board) merge(x, y *Record, why string) *Record {
	into, from := x, y
	if y.older(x) {
		into, from = y, x
	}
	for _, e := range from.Events {
		b.put(into, e)
	}
	if from.Start.Before(into.Start) {
		into.Start = from.Start
	}
	if !into.Cause.established() && from.Cause != nil {
		into.Cause = from.Cause
	}
	into.AcknowledgedBy = cmp.Or(into.AcknowledgedBy, from.AcknowledgedBy)
	into.adopt(from.Alerts)
	into.MoreEvents += from.MoreEvents
	from.State, from.Closed, from.MergedInto, from.AnalyseAt = StateClosed, b.now, into.ID, time.Time{}
	b.touch(into)
	if from.Number == 0 { // opened in this step: nobody knows of it
		is := func(r *Record) bool { return r == from }
		b.records, b.changed = slices.DeleteFunc(b.records, is), slices.DeleteFunc(b.changed, is)
		return into
	}
	for i := range from.Alerts {
		if from.Alerts[i].State == AlertWaiting {
			from.Alerts[i].State, from.Alerts[i].Why = AlertSkipped, "merged into another problem"
		}
	}
	into.note(note{kind: noteAbsorbed, other: from, why: why})
	from.note(note{kind: noteMerged, other: into, why: why})
	b.touch(from)
	return into
}

// older reports whether r was there before o. What has no number yet was
// opened in this step.
func (r *Record) older(o *Record) bool {
	if (r.Number == 0) != (o.Number == 0) {
		return o.Number == 0
	}
	return cmp.Or(r.Opened.Compare(o.Opened), cmp.Compare(r.Number, o.Number), cmp.Compare(r.ID, o.ID)) < 0
}

// adopt takes over the alerts of a problem that is merged, so that nobody is
// told of the same twice.
func (r *Record) adopt(alerts []Alert) {
	for _, a := range alerts {
		if a.State == AlertSkipped {
			continue
		}
		a.Episode = r.Reopened
		at := slices.IndexFunc(r.Alerts, func(x Alert) bool { return x.Profile == a.Profile && x.Episode == a.Episode })
		switch {
		case at < 0:
			r.Alerts = append(r.Alerts, a)
		case r.Alerts[at].State != AlertSent && a.State == AlertSent:
			r.Alerts[at] = a
		}
	}
}

// reopened opens the problem that comes back with the event; nil when none
// does. What a problem caused by a change does next says little of whether it
// is the same change again: there the analysis decides.
func (b *board) reopened(e *Event) *Record {
	for _, r := range slices.Backward(b.records) { // the latest first
		if r.State != StateClosed || r.MergedInto != "" || b.now.Sub(r.Closed) > b.rules.ReopenFor {
			continue
		}
		own := slices.ContainsFunc(r.Events, func(x Event) bool { return x.ID == e.ID })
		byChange := r.Cause.established() && r.Cause.Change != nil
		if !own && (byChange || !slices.ContainsFunc(r.Events, func(x Event) bool { return sameSymptom(&x, e) })) {
			continue
		}
		b.reopen(r)
		b.put(r, *e)
		return r
	}
	return nil
}

func (b *board) reopen(r *Record) {
	r.State, r.Closed, r.Resumed, r.AnalyseAt = StateOpen, time.Time{}, b.now, b.now
	r.Reopened++
	r.note(note{kind: noteReopened})
	b.touch(r)
}

// sameSymptom reports whether two events look the same to a person.
func sameSymptom(x, e *Event) bool {
	if x.Informational || x.Signal != e.Signal {
		return false
	}
	if x.Service == "" || e.Service == "" {
		return x.Service == e.Service && x.Source == e.Source && x.Title == e.Title
	}
	return x.Service == e.Service && x.Operation == e.Operation && sameEnvironment(x.Environment, e.Environment)
}

// resumed is when the problem was opened last.
func (p *Problem) resumed() time.Time {
	if p.Resumed.IsZero() {
		return p.Opened
	}
	return p.Resumed
}

// event returns the event with the id, or nil.
func (r *Record) event(id string) *Event {
	for i := range r.Events {
		if r.Events[i].ID == id {
			return &r.Events[i]
		}
	}
	return nil
}

// recurs reports whether an event of the problem, which ended, begins again.
func (r *Record) recurs(e *Event) bool {
	x := r.event(e.ID)
	return x != nil && !x.Open() && e.Open() && (e.Start.After(x.End) || x.expired())
}

// expired reports whether the event ended only because nobody raised it.
func (e *Event) expired() bool { return !e.Expires.IsZero() && e.End.Equal(e.Expires) }

// update takes over what is new about an event that lasts; false when it ended
// before, or was closed over, so that there is nothing to take over.
func (r *Record) update(e Event, now time.Time) bool {
	x := r.event(e.ID)
	if x == nil || !x.Open() {
		return false
	}
	e.Detected = x.Detected
	if x.Start.Before(e.Start) {
		e.Start = x.Start
	}
	e.Seen = now
	*x = e
	return true
}

// refresh derives what a problem says of itself from its events, and closes it
// when they have all ended.
func (b *board) refresh(r *Record) {
	if r.MergedInto != "" {
		return
	}
	primary := r.primary()
	if primary == nil {
		return
	}
	r.Title, r.Symptom = primary.Title, symptomOf(primary)
	r.Severity = SeverityInfo
	r.Tags = nil
	last, open := time.Time{}, false
	for i := range r.Events {
		e := &r.Events[i]
		if e.Informational {
			continue
		}
		if e.Severity.Worse(r.Severity) {
			r.Severity = e.Severity
		}
		if e.Start.Before(r.Start) {
			r.Start = e.Start
		}
		r.tag(e.Tags)
		open = open || e.Open()
		if e.End.After(last) {
			last = e.End
		}
	}
	r.Impact = impactOf(r, b.topo)
	if !open && r.State == StateOpen {
		b.close(r, note{kind: noteClosed, at: last})
	}
}

func (b *board) close(r *Record, n note) {
	r.State, r.Closed, r.AnalyseAt = StateClosed, b.now, time.Time{}
	r.note(n)
	b.touch(r)
}

// maxTags bounds the tags of a problem.
const maxTags = 50

func (r *Record) tag(tags map[string]string) {
	for k, v := range tags {
		if r.Tags == nil {
			r.Tags = map[string]string{}
		}
		if _, has := r.Tags[k]; !has && len(r.Tags) < maxTags {
			r.Tags[k] = v
		}
	}
}

// primary is the event that stands for the problem: the one where the cause
// is, else the worst, else the earliest.
func (r *Record) primary() *Event {
	var best *Event
	for i := range r.Events {
		e := &r.Events[i]
		if e.Informational {
			continue
		}
		if best == nil || r.before(e, best) {
			best = e
		}
	}
	return best
}

func (r *Record) before(a, b *Event) bool {
	atCause := func(e *Event) int {
		if r.Cause.established() && e.Service == r.Cause.Service && e.Service != "" {
			return 0
		}
		return 1
	}
	return cmp.Or(cmp.Compare(atCause(a), atCause(b)), cmp.Compare(a.Severity.rank(), b.Severity.rank()),
		a.Start.Compare(b.Start), cmp.Compare(a.ID, b.ID)) < 0
}

// symptomOf says what the event looks like, without when.
func symptomOf(e *Event) string {
	if e.Service == "" {
		return string(e.Signal) + "|" + e.Source + "|" + e.Title
	}
	return string(e.Signal) + "|" + entity.Ref{Service: e.Service, Environment: e.Environment}.String()
}
