package healing

import (
	"fmt"
	"reflect"
	"strings"
	"time"

	"github.com/tidegate-io/tidegate/change"
	"github.com/tidegate-io/tidegate/entity"
	"github.com/tidegate-io/tidegate/problem"
)

// onsetTolerance is by how much a change may seem to come after what it caused:
// the onset is an estimate, and clocks differ.
const onsetTolerance = 10 * time.Second

// Limits hold over all remediations and services.
type Limits struct {
	// PerHour is how many actions an hour may see; default 10.
	PerHour int `json:"perHour"`
	// CoolDown is the time between actions on two problems, whatever the
	// service; default none.
	CoolDown time.Duration `json:"coolDown" doc:"nanoseconds"`
}

// Facts are what the safety rules look at.
type Facts struct {
	Now     time.Time
	Problem problem.Problem // as it is now
	Action  Action
	Stop    Stop
	// Recent are the actions of the last day that were done or may have been,
	// and all with the same subject.
	Recent []Action
	// Halted are those of them that failed to take something back while
	// their problem is still open.
	Halted  []Action
	History History
	// Touched of Instances run what the action touches; zero where unknown.
	Touched, Instances int
	Limits             Limits
}

// Objection is what a safety rule has against an action.
type Objection struct {
	Rule   string `json:"rule"`
	Reason string `json:"reason"`
	// Final: no person can override it either.
	Final bool `json:"final,omitempty"`
	// Freezes: nothing is tried any more; a person is paged.
	Freezes bool `json:"freezes,omitempty"`
}

// rule is one safety rule: a pure function that answers with a sentence, or
// with nothing.
type rule struct {
	name           string
	final, freezes bool
	reason         func(*Facts) string
}

// rules are asked in this order, all of them, for every action but a page:
// before a person is asked, and again in the transaction that records the
// intent.
var rules = []rule{
	{name: "stopped", final: true, reason: stopped},
	{name: "problem-open", reason: problemOpen},
	{name: "cause-known", reason: causeKnown},
	{name: "precedes-onset", reason: precedesOnset},
	{name: "on-causal-path", reason: onCausalPath},
	{name: "undoable", reason: undoable},
	{name: "irreversible", freezes: true, reason: irreversible},
	{name: "still-current", reason: stillCurrent},
	{name: "not-judged-bad", reason: notJudgedBad},
	{name: "once", reason: once},
	{name: "halted", reason: halted},
	{name: "cool-down", reason: coolDown},
	{name: "hourly-cap", reason: hourlyCap},
	{name: "blast-radius", reason: blastRadius},
}

// Object asks every rule.
func Object(f *Facts) []Objection {
	var out []Objection
	for _, r := range rules {
		if why := r.reason(f); why != "" {
			out = append(out, Objection{Rule: r.name, Reason: why, Final: r.final, Freezes: r.freezes})
		}
	}
	return out
}

// standing are the objections that remain after a person's override.
func standing(objections []Objection, override string) []Objection {
	if override == "" {
		return objections
	}
	var out []Objection
	for _, o := range objections {
		if o.Final {
			out = append(out, o)
		}
	}
	return out
}

func reasons(objections []Objection) string {
	texts := make([]string, len(objections))
	for i, o := range objections {
		texts[i] = o.Reason
	}
	return strings.Join(texts, "; ")
}

func stopped(f *Facts) string {
	if !f.Stop.Stopped {
		return ""
	}
	return fmt.Sprintf("healing is stopped since %s by %s: %s", clock(f.Stop.Since), f.Stop.Who, f.Stop.Reason)
}

func problemOpen(f *Facts) string {
	if f.Problem.State == problem.StateOpen {
		return ""
	}
	return fmt.Sprintf("the problem is over since %s", clock(f.Problem.Closed))
}

// causeKnown: what nobody changed cannot be changed back, and a guess is no
// reason to act.
func causeKnown(f *Facts) string {
	c := f.Problem.Cause
	switch {
	case c == nil:
		return "the cause is not known yet"
	case f.Action.Kind.Reverts() && (c.Kind != problem.CauseChange || c.Change == nil):
		return fmt.Sprintf("no change caused this (%s), so there is nothing to take back", c.Kind)
	case f.Action.Kind.Reverts() && (f.Action.Change == nil || f.Action.Change.ID != c.Change.Event.ID):
		return "another change is blamed now: " + c.Change.Event.Title
	case c.Confidence < f.Action.Policy.MinConfidence:
		return fmt.Sprintf("the analysis is only %.0f %% sure of the cause, %.0f %% are needed", 100*c.Confidence, 100*f.Action.Policy.MinConfidence)
	case f.Action.Kind.Reverts() && !c.Change.Likely:
		return "the analysis does not hold the change for the likely cause: " + c.Change.Why
	}
	return ""
}

// onset is the latest time that the failures may have begun: the problem's
// estimate, or the first failing request where that is known.
func onset(p *problem.Problem) time.Time {
	if e := p.Evidence; e != nil && e.FirstFailure.After(p.Start) {
		return e.FirstFailure
	}
	return p.Start
}

func precedesOnset(f *Facts) string {
	if !f.Action.Kind.Reverts() || f.Action.Change == nil {
		return ""
	}
	began := onset(&f.Problem)
	late := f.Action.Change.Start.Sub(began)
	if late <= onsetTolerance {
		return ""
	}
	return fmt.Sprintf("the change came %s after the failures began at %s", late.Round(time.Second), clock(began))
}

func onCausalPath(f *Facts) string {
	c := f.Problem.Cause
	if !f.Action.Kind.Reverts() || f.Action.Change == nil || c == nil {
		return ""
	}
	places := []entity.Ref{c.Ref}
	for _, hop := range c.Path {
		places = append(places, entity.Ref{Service: hop.Service, Environment: c.Environment})
	}
	for _, p := range places {
		if p.Service != "" && (f.Action.Change.Touches(p) || evaluatedAt(c, f.Action.Change, p)) {
			return ""
		}
	}
	return fmt.Sprintf("the change touches no service on the way to the failures (%s)", pathOf(c))
}

// evaluatedAt: a change that names no place, a flag, was seen at work there.
func evaluatedAt(c *problem.Cause, e *change.Event, p entity.Ref) bool {
	return c.Change != nil && c.Change.Event.ID == e.ID && len(e.Places()) == 0 && c.Change.On.Service == p.Service
}

func pathOf(c *problem.Cause) string {
	var names []string
	for _, hop := range c.Path {
		if len(names) == 0 || names[len(names)-1] != hop.Service {
			names = append(names, hop.Service)
		}
	}
	if len(names) == 0 {
		return c.Service
	}
	return strings.Join(names, " → ")
}

// undoable: Tidegate takes back what says how.
func undoable(f *Facts) string {
	a := &f.Action
	if !a.Kind.Reverts() || a.Change == nil || a.Change.Undo != nil {
		return ""
	}
	if command, hook := a.Attempt.Do.via(); command != nil || hook != nil {
		return ""
	}
	return fmt.Sprintf("nobody said how to take %q back", a.Change.Title)
}

// irreversible: what a migration did cannot be undone by running the version
// before it.
func irreversible(f *Facts) string {
	if !f.Action.Kind.Reverts() {
		return ""
	}
	if e := f.Action.Change; e != nil && Irreversible(e) {
		return fmt.Sprintf("%q is marked irreversible: it is left as it is, for a person to decide", e.Title)
	}
	if len(f.History.Crossed) > 0 {
		return fmt.Sprintf("the way back leads past %q, which is marked irreversible", f.History.Crossed[0].Title)
	}
	return ""
}

// stillCurrent: to undo what was changed again since would undo the later
// change, too.
func stillCurrent(f *Facts) string {
	if !f.Action.Kind.Reverts() || f.Action.Change == nil {
		return ""
	}
	if u := f.History.Undone; u != nil {
		return fmt.Sprintf("%q was taken back already at %s by %s", f.Action.Change.Title, clock(u.Start), orSomebody(u.Who))
	}
	if n := len(f.History.Later); n > 0 {
		last := f.History.Later[n-1]
		return fmt.Sprintf("%q is not what runs any more: %q came after it at %s", f.Action.Change.Title, last.Title, clock(last.Start))
	}
	return ""
}

func notJudgedBad(f *Facts) string {
	if !f.Action.Kind.Reverts() {
		return ""
	}
	if f.Action.Kind == KindRollback && f.Action.Revision == "" {
		return "no earlier revision is known that was not judged bad"
	}
	if f.History.Bad != "" {
		return fmt.Sprintf("%s must not come back: %s", f.Action.Revision, f.History.Bad)
	}
	return ""
}

// once: a change is taken back once, whoever asks and however it ended, and
// nothing else is done twice for one cause.
func once(f *Facts) string {
	for i := range f.Recent {
		r := &f.Recent[i]
		if r.ID == f.Action.ID || r.Subject != f.Action.Subject || !r.effective() {
			continue
		}
		switch {
		case r.Kind.Reverts() && f.Action.Kind.Reverts():
			return fmt.Sprintf("this change was acted on already at %s: %s (%s)", clock(r.Acted), r.Title, outcomeOf(r))
		case reflect.DeepEqual(r.Attempt.Do, f.Action.Attempt.Do) && (f.Action.Change != nil || sameOpening(r, &f.Action)):
			return fmt.Sprintf("this was done already for the same cause at %s (%s)", clock(r.Acted), outcomeOf(r))
		}
	}
	return ""
}

func sameOpening(a, b *Action) bool { return a.Problem == b.Problem && a.Reopened == b.Reopened }

func halted(f *Facts) string {
	for i := range f.Halted {
		if h := &f.Halted[i]; h.ID != f.Action.ID && samePlace(h, &f.Action) {
			return fmt.Sprintf("%s failed at %s and its problem P-%d is still open: a person has to look first", h.Title, clock(h.Acted), h.Number)
		}
	}
	return ""
}

func samePlace(a, b *Action) bool {
	return a.Service == b.Service && (a.Environment == b.Environment || a.Environment == "" || b.Environment == "")
}

// coolDown keeps problems that follow each other from causing actions that
// follow each other. The attempts of one remediation are meant to.
func coolDown(f *Facts) string {
	for i := range f.Recent {
		r := &f.Recent[i]
		if r.ID == f.Action.ID || !r.effective() || (sameOpening(r, &f.Action) && r.Remediation == f.Action.Remediation) {
			continue
		}
		ago := f.Now.Sub(r.Acted)
		switch {
		case samePlace(r, &f.Action) && ago < f.Action.Policy.CoolDown:
			return fmt.Sprintf("the last action on %s was %s ago (%s), the cool-down is %s", f.Action.Service, ago.Round(time.Second), r.Title, f.Action.Policy.CoolDown)
		case ago < f.Limits.CoolDown:
			return fmt.Sprintf("the last action on anything was %s ago (%s), the cool-down is %s", ago.Round(time.Second), r.Title, f.Limits.CoolDown)
		}
	}
	return ""
}

func hourlyCap(f *Facts) string {
	var here, all int
	for i := range f.Recent {
		r := &f.Recent[i]
		if r.ID == f.Action.ID || !r.effective() || f.Now.Sub(r.Acted) >= time.Hour {
			continue
		}
		all++
		if samePlace(r, &f.Action) {
			here++
		}
	}
	switch {
	case here >= f.Action.Policy.PerHour:
		return fmt.Sprintf("%s has seen %d actions within an hour, the cap is %d", f.Action.Service, here, f.Action.Policy.PerHour)
	case all >= f.Limits.PerHour:
		return fmt.Sprintf("there were %d actions within an hour, the cap is %d", all, f.Limits.PerHour)
	}
	return ""
}

func blastRadius(f *Facts) string {
	services := map[string]bool{f.Action.Service: true}
	if e := f.Action.Change; e != nil && f.Action.Kind.Reverts() {
		for _, p := range e.Places() {
			services[p.Service] = true
		}
	}
	delete(services, "")
	p := f.Action.Policy
	if len(services) > p.MaxServices {
		return fmt.Sprintf("it touches %d services, at most %d are allowed", len(services), p.MaxServices)
	}
	if f.Instances > 0 && float64(f.Touched) > p.MaxShare*float64(f.Instances) {
		return fmt.Sprintf("it touches %d of %d instances, at most %.0f %% are allowed", f.Touched, f.Instances, 100*p.MaxShare)
	}
	return ""
}

func clock(t time.Time) string { return t.UTC().Format("15:04:05 UTC") }

func orSomebody(who string) string {
	if who == "" {
		return "somebody"
	}
	return who
}

func outcomeOf(a *Action) string {
	if a.State == StateEnded {
		return string(a.Outcome)
	}
	return string(a.State)
}
