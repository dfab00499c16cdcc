package problem

import (
	"cmp"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/tidegate-io/tidegate/change"
	"github.com/tidegate-io/tidegate/entity"
)

// Types of the events that a problem's course is recorded as. Properties name
// the problem (problem, number, severity, state), the cause as far as it is
// known (causeKind, causeService, causeOperation, cause, change, changeKind,
// changeKey, remedy), the harm (failedRequests, slowRequests, services) and,
// of alerts, the profile.
const (
	TypeOpened   = "problem.opened"
	TypeUpdated  = "problem.updated" // the cause became known, or is another
	TypeReopened = "problem.reopened"
	TypeClosed   = "problem.closed"
	TypeMerged   = "problem.merged"
	TypeAlerted  = "problem.alerted" // an alerting profile wants it known
	TypeCleared  = "problem.cleared" // what was alerted is over
)

// self is who Tidegate itself is in comments and events.
const self = "tidegate"

// Limits of what is said.
const (
	maxComments = 500
	maxTitle    = 500
	maxComment  = 10_000
	maxWho      = 200
)

type noteKind int

const (
	noteOpened noteKind = iota
	noteReopened
	noteClosed
	noteMerged   // into another
	noteAbsorbed // another into this
	noteCause
	noteAlerted
	noteCleared
)

// note is something that happened in a step. Notes become comments and
// announcements when the step is finished, because only then the problem's
// number and title are known.
type note struct {
	kind  noteKind
	who   string
	why   string
	at    time.Time // the end of the last event
	other *Record
	alert *Alert
}

func (r *Record) note(n note) { r.notes = append(r.notes, n) }

// Name is how people call the problem: P-17.
func (p *Problem) Name() string { return "P-" + strconv.Itoa(p.Number) }

// write turns the notes into comments and announcements.
func (s *Service) write(r *Record, now time.Time) {
	for _, n := range r.notes {
		kind, text := n.text(r)
		r.say(Comment{Time: now, Who: cmp.Or(n.who, self), Text: text, Kind: kind})
		if a, ok := s.announcement(r, n, now); ok {
			r.Announcements = append(r.Announcements, a)
		}
	}
	r.notes = nil
}

// say adds a comment; when there are too many, the oldest after the first goes.
func (r *Record) say(c Comment) {
	c.Text, c.Who = cut(c.Text, maxComment), cut(c.Who, maxWho)
	if len(r.Comments) >= maxComments {
		r.Comments = append(r.Comments[:1:1], r.Comments[2:]...)
	}
	r.Comments = append(r.Comments, c)
}

func (n *note) text(r *Record) (kind, text string) {
	switch n.kind {
	case noteOpened:
		return "opened", "Opened: " + r.Title
	case noteReopened:
		return "reopened", "Came back: " + r.Title
	case noteClosed:
		if n.who != "" {
			return "closed", "Closed by " + n.who + reason(n.why)
		}
		return "closed", fmt.Sprintf("Closed: all events ended, the last at %s", n.at.UTC().Format("15:04:05"))
	case noteMerged:
		return "merged", "Merged into " + n.other.Name() + reason(n.why)
	case noteAbsorbed:
		return "merged", n.other.Name() + " was merged into this" + reason(n.why)
	case noteCause:
		return "cause", r.Cause.Sentence
	case noteAlerted:
		return "alerted", "Alerted by profile " + n.alert.Profile + told(n.alert.Channels)
	}
	return "alerted", "Said to be over by profile " + n.alert.Profile + told(n.alert.Channels)
}

func reason(why string) string {
	if why == "" {
		return ""
	}
	return ": " + why
}

func told(channels []string) string {
	if len(channels) == 0 {
		return " (to workflows only)"
	}
	return " to " + strings.Join(channels, ", ")
}

// announcement is the event that tells of a note. Its id is derived, so that it
// is recorded once however often it is tried.
func (s *Service) announcement(r *Record, n note, now time.Time) (Announcement, bool) {
	var kind, title, key string
	var channels []string
	switch n.kind {
	case noteOpened:
		kind, title, key = TypeOpened, "opened", "0"
	case noteReopened:
		kind, title, key = TypeReopened, "reopened", strconv.Itoa(r.Reopened)
	case noteClosed:
		kind, title, key = TypeClosed, "closed", strconv.Itoa(r.Reopened)
	case noteMerged:
		kind, title, key = TypeMerged, "merged into "+n.other.Name(), n.other.ID
	case noteCause:
		kind, title, key = TypeUpdated, "explained", causeKey(r.Cause)+"|"+strconv.Itoa(r.Reopened)
	case noteAlerted:
		kind, title, key = TypeAlerted, string(r.State), n.alert.Profile+"|"+strconv.Itoa(n.alert.Episode)
		channels = n.alert.Channels
	case noteCleared:
		kind, title, key = TypeCleared, "over", n.alert.Profile+"|"+strconv.Itoa(n.alert.Episode)
		channels = n.alert.Channels
	default:
		return Announcement{}, false
	}
	text := r.Title
	if n.kind == noteCause {
		text = r.Cause.Sentence
	}
	e := change.Event{
		ID: change.DeriveID("problem", r.ID, kind, key), Type: kind, Kind: change.KindProblem,
		Title: cut(fmt.Sprintf("%s %s: %s", r.Name(), title, text), maxTitle), Who: cut(cmp.Or(n.who, self), maxWho), Reason: cut(n.why, maxTitle),
		Source: self, Start: now, Ref: r.place(), Entities: r.Impact.Services,
		Key: r.Name(), Correlation: r.ID, Properties: r.properties(),
	}
	if n.alert != nil {
		e.Properties["profile"] = n.alert.Profile
	}
	if s.url != "" {
		e.Links = []change.Link{{Title: r.Name(), URL: s.url + "/problems/" + r.ID}}
	}
	return Announcement{Event: e, Channels: channels}, true
}

// causeKey identifies a cause: what is compared to say that it is another.
func causeKey(c *Cause) string {
	if c.Change != nil {
		return string(c.Kind) + "|" + c.Change.Event.ID
	}
	return strings.Join([]string{string(c.Kind), c.Service, c.Environment, c.Exception, c.Resource}, "|")
}

// place is where the problem is: where it comes from, as far as that is known.
func (r *Record) place() entity.Ref {
	if r.Cause.established() && r.Cause.Service != "" {
		return entity.Ref{Service: cut(r.Cause.Service, maxWho), Environment: r.Cause.Environment}
	}
	if e := r.primary(); e != nil {
		return entity.Ref{Service: e.Service, Environment: e.Environment}
	}
	return entity.Ref{}
}

// properties are what conditions of workflows and receivers can use.
func (r *Record) properties() map[string]string {
	p := map[string]string{
		"problem": r.ID, "number": strconv.Itoa(r.Number), "severity": string(r.Severity), "state": string(r.State),
		"problemTitle": cut(r.Title, maxTitle), "onset": r.Start.UTC().Format(time.RFC3339Nano),
	}
	put := func(k, v string) {
		if v != "" {
			p[k] = cut(v, 2000)
		}
	}
	number := func(k string, v float64) {
		if v > 0 {
			p[k] = strconv.FormatFloat(v, 'f', 0, 64)
		}
	}
	var services []string
	for _, s := range r.Impact.Services {
		services = append(services, s.Service)
	}
	put("services", strings.Join(services, ","))
	put("acknowledgedBy", r.AcknowledgedBy)
	number("failedRequests", r.Impact.FailedRequests)
	number("slowRequests", r.Impact.SlowRequests)
	if r.Frequent {
		p["frequent"] = "true"
	}
	if r.MergedInto != "" {
		p["mergedInto"] = r.MergedInto
	}
	if c := r.Cause; c != nil {
		put("causeKind", string(c.Kind))
		put("causeService", c.Service)
		put("causeOperation", c.Operation)
		put("cause", c.Sentence)
		put("remedy", string(c.Remedy))
		if c.Change != nil {
			put("change", c.Change.Event.ID)
			put("changeKind", string(c.Change.Event.Kind))
			put("changeKey", c.Change.Event.Key)
		}
	}
	return p
}

// cut shortens text to at most n bytes, at a character.
func cut(text string, n int) string {
	text = strings.ToValidUTF8(strings.ReplaceAll(text, "\x00", ""), "\uFFFD")
	if len(text) <= n {
		return text
	}
	const more = "…"
	return strings.ToValidUTF8(text[:n-len(more)], "") + more
}
