package problem

import (
	"cmp"
	"fmt"
	"regexp"
	"regexp/syntax"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/tidegate-io/tidegate/change"
	"github.com/tidegate-io/tidegate/entity"
	"github.com/tidegate-io/tidegate/evidence"
	"github.com/tidegate-io/tidegate/fault"
	"github.com/tidegate-io/tidegate/telemetry"
)

// Limits on log rules.
const (
	maxLogCount  = 10_000
	maxLogWithin = time.Hour
	minLogWithin = time.Second
)

// SeverityFatal is the least severity number of FATAL (OpenTelemetry logs data
// model).
const SeverityFatal = 21

// LogRule raises an event when log records that match come too often: more
// than MoreThan within Within, of one service in one environment. The event is
// over when that has not been so for as long as Within.
type LogRule struct {
	Name   string            `json:"name"`
	Labels map[string]string `json:"labels,omitempty"`

	// What matches: every condition that is set.
	Service     string `json:"service,omitempty"`
	Environment string `json:"environment,omitempty"`
	MinSeverity int    `json:"minSeverity,omitempty" doc:"severity number; 17 is ERROR, 21 FATAL"`
	// Pattern is an RE2 expression that is found in the message.
	Pattern string `json:"pattern,omitempty"`

	MoreThan int           `json:"moreThan"`
	Within   time.Duration `json:"within"`

	Title    string   `json:"title,omitempty"`
	Severity Severity `json:"severity,omitempty" doc:"of the event; error when empty"`
	// Informational: the event is shown on the timeline and opens no problem.
	Informational bool `json:"informational,omitempty"`
}

// FatalLogs is the rule that is in force without being written: any record of
// severity FATAL is an event.
func FatalLogs() LogRule {
	return LogRule{Name: "fatal-logs", MinSeverity: SeverityFatal, Within: time.Minute}
}

// Validate checks the definition. The error is a fault of KindInvalid that
// names the place.
func (r *LogRule) Validate() error {
	switch {
	case r.Pattern == "" && r.MinSeverity <= 0:
		return fault.InvalidField("spec", "matches every record: expected a pattern or a severity")
	case r.MinSeverity < 0 || r.MinSeverity > 24:
		return fault.InvalidField("spec.severity", "%d is not a severity number: expected 1 to 24", r.MinSeverity)
	case r.MoreThan < 0 || r.MoreThan > maxLogCount:
		return fault.InvalidField("spec.moreThan", "expected 0 to %d", maxLogCount)
	case r.Within < minLogWithin || r.Within > maxLogWithin:
		return fault.InvalidField("spec.within", "expected %s to %s", minLogWithin, maxLogWithin)
	case r.Severity != "" && r.Severity.rank() == len(severities):
		return fault.InvalidField("spec.raise.severity", "%q: expected one of %s", r.Severity, wordsOf(severities))
	case len(r.Title) > maxEventTitle:
		return fault.InvalidField("spec.raise.title", "is longer than %d bytes", maxEventTitle)
	}
	_, err := compilePattern("spec.pattern", r.Pattern)
	return err
}

// logRule is a rule at work.
type logRule struct {
	LogRule
	pattern *regexp.Regexp
	literal string // found in every message that the pattern matches
	places  map[entity.Ref]*logCount
	since   time.Time // what is before is settled
	crowded bool      // it was said that not all is read
}

func newLogRule(r LogRule) (*logRule, error) {
	if err := r.Validate(); err != nil {
		return nil, err
	}
	re, err := compilePattern("spec.pattern", r.Pattern)
	if err != nil {
		return nil, err
	}
	return &logRule{LogRule: r, pattern: re, literal: requiredLiteral(r.Pattern), places: map[entity.Ref]*logCount{}}, nil
}

// requiredLiteral returns the longest text that every match of the pattern
// contains, but for its case; empty when there is none. It lets the store leave
// out most records before they are decoded.
func requiredLiteral(pattern string) string {
	re, err := syntax.Parse(pattern, syntax.Perl)
	if err != nil {
		return ""
	}
	for re.Op == syntax.OpCapture || re.Op == syntax.OpPlus {
		re = re.Sub[0]
	}
	parts := []*syntax.Regexp{re}
	if re.Op == syntax.OpConcat {
		parts = re.Sub
	}
	longest := ""
	for _, p := range parts {
		if p.Op != syntax.OpLiteral {
			continue
		}
		for _, text := range asciiParts(p) {
			if len(text) > len(longest) {
				longest = text
			}
		}
	}
	return longest
}

// asciiParts cuts a literal at what has cases beyond ASCII: stores compare
// without regard to the case of ASCII only, and the Kelvin sign is a k, the
// long s an s.
func asciiParts(literal *syntax.Regexp) []string {
	return strings.FieldsFunc(string(literal.Rune), func(r rune) bool {
		return r >= utf8.RuneSelf || literal.Flags&syntax.FoldCase != 0 && strings.ContainsRune("kKsS", r)
	})
}

// query selects a superset of the records that match.
func (r *logRule) query(from, to time.Time, limit int) telemetry.LogQuery {
	return telemetry.LogQuery{Ref: entity.Ref{Service: r.Service, Environment: r.Environment},
		MinSeverity: r.MinSeverity, Contains: r.literal, From: from, To: to, Limit: limit}
}

func (r *logRule) matches(l *telemetry.LogRecord) bool {
	return l.SeverityNumber >= r.MinSeverity && (r.Service == "" || r.Service == l.Service) &&
		(r.Environment == "" || r.Environment == l.Environment) && r.pattern.MatchString(l.Body)
}

// logCount is what a rule knows of one place. Records of the time since the
// last settlement are read anew each time, because they may come late; those
// before are settled.
type logCount struct {
	settled []time.Time // ascending
	event   *Event      // while it lasts
	last    time.Time   // the latest time at which there were too many
	over    time.Time   // end of the last event: what is not after it was its
	counted int         // in the window that ends at last
	sample  string
}

// count takes the records of a place since the last settlement, in any order,
// and finds the latest time in which there were too many: windows that follow
// each other without a pause as long as one. It returns the first record, the
// last one, and how many the last window has; false when there is none.
func (c *logCount) count(fresh []time.Time, moreThan int, within time.Duration) (first, last time.Time, n int, ok bool) {
	all := slices.Concat(c.settled, fresh)
	all = slices.DeleteFunc(all, func(t time.Time) bool { return !t.After(c.over) })
	slices.SortFunc(all, time.Time.Compare)
	begin := 0
	for end := range all {
		for all[end].Sub(all[begin]) >= within {
			begin++
		}
		if size := end - begin + 1; size > moreThan {
			if !ok || all[begin].Sub(last) > within {
				first = all[begin]
			}
			last, n, ok = all[end], size, true
		}
	}
	return first, last, n, ok
}

// settle keeps what may still be part of a window with records after t.
func (c *logCount) settle(fresh []time.Time, t time.Time, within time.Duration) {
	for _, f := range fresh {
		if f.Before(t) {
			c.settled = append(c.settled, f)
		}
	}
	slices.SortFunc(c.settled, time.Time.Compare)
	oldest := t.Add(-within)
	c.settled = slices.DeleteFunc(c.settled, func(x time.Time) bool { return x.Before(oldest) })
	if excess := len(c.settled) - maxSettled; excess > 0 {
		c.settled = slices.Delete(c.settled, 0, excess)
	}
}

// maxSettled bounds what is remembered of a place: more than any rule counts.
const maxSettled = 2 * maxLogCount

// raise brings the event of a place up to date; nil when there is nothing to
// say.
func (r *logRule) raise(place entity.Ref, c *logCount, fresh []time.Time, now time.Time) *Event {
	first, last, n, many := c.count(fresh, r.MoreThan, r.Within)
	if many && last.After(c.last) {
		c.last, c.counted = last, n
	}
	switch {
	case c.event == nil && (!many || now.Sub(last) > r.Within):
		return nil
	case c.event == nil:
		c.event = r.event(place, first)
	}
	e := c.event
	e.Observed, e.Why = float64(c.counted), r.why(c)
	if now.Sub(c.last) > r.Within {
		e.End = c.last
		if e.End.Before(e.Start) {
			e.End = e.Start
		}
		c.event, c.over = nil, e.End
	}
	out := *e
	return &out
}

func (r *logRule) event(place entity.Ref, onset time.Time) *Event {
	e := &Event{
		ID:     change.DeriveID(SourceLogRule, r.Name, place.Service, place.Environment, onset.UTC().Format(time.RFC3339Nano)),
		Source: SourceLogRule, Signal: SignalLog, Ref: place, Severity: cmp.Or(r.Severity, SeverityError), Title: r.Title,
		Start: onset, Expected: float64(r.MoreThan), Unit: "records", Informational: r.Informational,
		Tags: map[string]string{"rule": r.Name},
	}
	switch {
	case e.Title != "":
	case r.Pattern == "" && r.MinSeverity >= SeverityFatal:
		e.Title = "Fatal log records of " + place.String()
	default:
		e.Title = fmt.Sprintf("Log records of %s match %s", place, r.Name)
	}
	return e
}

func (r *logRule) why(c *logCount) string {
	text := fmt.Sprintf("%d matching log records within %s", c.counted, r.Within)
	if r.MoreThan > 0 {
		text += fmt.Sprintf("; %d are usual at most", r.MoreThan)
	}
	if c.sample != "" {
		text += ": " + cut(evidence.Mask(c.sample), 300)
	}
	return text
}
