package problem

import (
	"context"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/tidegate-io/tidegate/change"
	"github.com/tidegate-io/tidegate/fault"
)

// Sources of events that Tidegate itself raises.
const (
	SourceDetector = "detector"
	SourceLogRule  = "log-rule"
	SourceAlert    = "alert"
)

func own(source string) bool {
	return source == SourceDetector || source == SourceLogRule || source == SourceAlert
}

// Limits on events, which come from outside.
const (
	maxID         = 256
	maxName       = 300
	maxEventTitle = 500
	maxText       = 4000
	maxEventTags  = 50
	maxTag        = 300
	maxURL        = 2048
)

// Observe takes events, idempotent by their ids, and returns for each the id of
// the problem that it is of, empty where it opens none. Errors are faults of
// KindInvalid when an event is wrong (naming the field): then none is taken.
func (s *Service) Observe(ctx context.Context, events []Event) ([]string, error) {
	if len(events) > maxObservation {
		return nil, fault.Invalid("%d events at once, the limit is %d", len(events), maxObservation)
	}
	now := s.now().UTC()
	in := slices.Clone(events)
	for i := range in {
		if err := s.complete(&in[i], now); err != nil {
			if len(in) > 1 {
				err = fmt.Errorf("event %d of %d: %w", i+1, len(in), err)
			}
			return nil, err
		}
	}
	out := make([]string, len(in))
	fresh := s.unstored(in, out, now)
	if len(fresh) == 0 {
		return out, nil
	}
	// Whatever the order in which events come, they are looked at in the order
	// in which they began.
	slices.SortStableFunc(fresh, func(a, b int) int { return in[a].Start.Compare(in[b].Start) })
	need := scope{}
	for _, i := range fresh {
		need.events = append(need.events, in[i].ID)
	}
	err := s.step(ctx, need, func(b *board) error {
		for _, i := range fresh {
			out[i] = ""
			b.observe(in[i])
		}
		for _, i := range fresh { // after all: a later event may have merged problems
			if r := b.owner[in[i].ID]; r != nil {
				out[i] = r.ID
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	s.remember(in, out, fresh, now)
	return out, s.inform(ctx, in, fresh)
}

// unstored returns the indexes of the events that say something new: those that
// are not known to last, became worse, ended, or were stored a while ago. The
// problems of the others are filled in.
func (s *Service) unstored(in []Event, out []string, now time.Time) (fresh []int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := range in {
		k, known := s.raised[in[i].ID]
		if known && in[i].Open() && k.severity == in[i].Severity && now.Sub(k.stored) < refreshAfter {
			out[i] = k.problem
			continue
		}
		fresh = append(fresh, i)
	}
	return fresh
}

func (s *Service) remember(in []Event, out []string, fresh []int, now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.raised) > maxRemembered {
		clear(s.raised) // it only saves work
	}
	for _, i := range fresh {
		if !in[i].Open() || out[i] == "" {
			delete(s.raised, in[i].ID)
			continue
		}
		s.raised[in[i].ID] = raised{problem: out[i], stored: now, severity: in[i].Severity}
	}
}

// forget has the next raising of the events be looked at.
func (s *Service) forget(ids []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, id := range ids {
		delete(s.raised, id)
	}
}

// inform records informational events, so that they are seen on the charts of
// their service.
func (s *Service) inform(ctx context.Context, in []Event, fresh []int) error {
	for _, i := range fresh {
		e := &in[i]
		if !e.Informational {
			continue
		}
		_, err := s.recorder.Record(ctx, change.Event{
			ID: change.DeriveID("problem-event", e.ID), Type: "problem.event", Kind: change.KindAnnotation,
			Title: e.Title, Who: self, Reason: cut(e.Why, 2000), Source: e.Source, Start: e.Start, Ref: e.Ref, Key: cut(e.ID, maxName),
			Properties: map[string]string{"signal": string(e.Signal), "severity": string(e.Severity)},
		})
		if err != nil {
			return fmt.Errorf("informational event %s: %w", e.ID, err)
		}
	}
	return nil
}

// complete fills in what the source left out and checks the rest.
func (s *Service) complete(e *Event, now time.Time) error {
	if e.Signal == "" {
		e.Signal = SignalExternal
	}
	if e.Severity == "" {
		e.Severity = severityOf(e.Signal)
	}
	if e.Start.IsZero() || e.Start.After(now) { // clocks differ
		e.Start = now
	}
	if e.Detected.IsZero() {
		e.Detected = now
	}
	for _, figure := range []*float64{&e.Observed, &e.Expected, &e.Affected, &e.Requests, &e.EValue} {
		*figure = storable(*figure)
	}
	e.Seen = now
	if e.End.After(now) { // said in advance: it may be raised again before
		e.Expires, e.End = e.End, time.Time{}
	}
	e.Start, e.Detected, e.End, e.Expires = e.Start.UTC(), e.Detected.UTC(), e.End.UTC(), e.Expires.UTC()
	if e.Expires.IsZero() && own(e.Source) {
		e.Expires = now.Add(s.rules.Stale)
	}
	return e.Validate()
}

// storable is a figure as JSON can hold it: without bound is very large, no
// number is none.
func storable(v float64) float64 {
	switch {
	case math.IsNaN(v):
		return 0
	case math.IsInf(v, 0):
		return math.Copysign(math.MaxFloat64, v)
	}
	return v
}

// Validate checks an event. The error is a fault of KindInvalid with the field
// that is wrong.
func (e *Event) Validate() error {
	switch {
	case e.ID == "":
		return fault.InvalidField("id", "is required: it is the same each time the event is raised")
	case e.Source == "":
		return fault.InvalidField("source", "is required: who raises the event")
	case e.Title == "":
		return fault.InvalidField("title", "is required: what is wrong, in a few words")
	case e.Severity.rank() == len(severities):
		return fault.InvalidField("severity", "%q: expected one of %s", e.Severity, wordsOf(severities))
	case !slices.Contains(signals, e.Signal):
		return fault.InvalidField("signal", "%q: expected one of %s", e.Signal, wordsOf(signals))
	case !e.End.IsZero() && e.End.Before(e.Start):
		return fault.InvalidField("end", "%s is before start %s", e.End.Format(time.RFC3339Nano), e.Start.Format(time.RFC3339Nano))
	case len(e.Tags) > maxEventTags:
		return fault.InvalidField("tags", "%d given, at most %d are allowed", len(e.Tags), maxEventTags)
	}
	for field, t := range map[string]time.Time{"start": e.Start, "detected": e.Detected, "end": e.End, "expires": e.Expires} {
		if !t.IsZero() && (t.Year() < 1970 || t.Year() > 2200) {
			return fault.InvalidField(field, "%s is not a plausible time", t.Format(time.RFC3339))
		}
	}
	return e.validateTexts()
}

var signals = []Signal{SignalErrors, SignalLatency, SignalSlowest, SignalTrafficDrop, SignalTrafficSurge, SignalNoData,
	SignalSeries, SignalAlert, SignalLog, SignalExternal}

func (e *Event) validateTexts() error {
	type text struct {
		field, value string
		limit        int
	}
	texts := []text{
		{"id", e.ID, maxID}, {"source", e.Source, maxName}, {"title", e.Title, maxEventTitle},
		{"service", e.Service, maxName}, {"environment", e.Environment, maxName}, {"version", e.Version, maxName},
		{"operation", e.Operation, maxName}, {"unit", e.Unit, maxName}, {"group", e.Group, maxText},
		{"query", e.Query, maxText}, {"why", e.Why, maxText},
	}
	if x := e.External; x != nil {
		texts = append(texts, text{"external.system", x.System, maxName}, text{"external.id", x.ID, maxText}, text{"external.url", x.URL, maxURL})
		if x.URL != "" && !strings.HasPrefix(x.URL, "http://") && !strings.HasPrefix(x.URL, "https://") {
			return fault.InvalidField("external.url", "expected an http or https URL")
		}
	}
	for k, v := range e.Tags {
		texts = append(texts, text{"tags", k, maxTag}, text{"tags." + k, v, maxTag})
	}
	for _, t := range texts {
		if len(t.value) > t.limit && utf8.RuneCountInString(t.value) > t.limit {
			return fault.InvalidField(t.field, "is %d characters long, at most %d are allowed", utf8.RuneCountInString(t.value), t.limit)
		}
		if !utf8.ValidString(t.value) || strings.ContainsRune(t.value, 0) {
			return fault.InvalidField(t.field, "is not valid text (UTF-8 without NUL)")
		}
	}
	return nil
}

// Resolve ends events by their ids at a time (now when zero), for sources that
// say no more than that. Unknown events, and those that ended before, are
// nothing to do. It returns the problems concerned.
func (s *Service) Resolve(ctx context.Context, eventIDs []string, at time.Time) ([]string, error) {
	if len(eventIDs) > maxObservation {
		return nil, fault.Invalid("%d events at once, the limit is %d", len(eventIDs), maxObservation)
	}
	var problems []string
	err := s.step(ctx, scope{events: eventIDs}, func(b *board) error {
		problems = b.end(eventIDs, at)
		return nil
	})
	s.forget(eventIDs)
	return problems, err
}

// ResolveGroup is Resolve for the events of a source that have a group, of
// problems that are open.
func (s *Service) ResolveGroup(ctx context.Context, source, group string, at time.Time) ([]string, error) {
	if group == "" {
		return nil, fault.InvalidField("group", "is required")
	}
	var ids, problems []string
	err := s.step(ctx, scope{}, func(b *board) error {
		ids = nil
		for _, r := range b.records {
			for i := range r.Events {
				if e := &r.Events[i]; e.Source == source && e.Group == group {
					ids = append(ids, e.ID)
				}
			}
		}
		problems = b.end(ids, at)
		return nil
	})
	s.forget(ids)
	return problems, err
}

// end ends events, and returns the problems they are of.
func (b *board) end(ids []string, at time.Time) (problems []string) {
	for _, id := range ids {
		r := b.owner[id]
		if r == nil || !r.event(id).Open() {
			continue
		}
		e := *r.event(id)
		e.End = at.UTC()
		if at.IsZero() || e.End.After(b.now) {
			e.End = b.now
		}
		if e.End.Before(e.Start) {
			e.End = e.Start
		}
		r.update(e, b.now)
		b.touch(r)
		if !slices.Contains(problems, r.ID) {
			problems = append(problems, r.ID)
		}
	}
	return problems
}

// OpenEvents returns the events of a source that last, of open problems; so
// that a rule goes on with what it raised before a restart.
func (s *Service) OpenEvents(ctx context.Context, source string) ([]Event, error) {
	problems, err := s.store.Problems(ctx, Query{State: StateOpen, Limit: 1000})
	var out []Event
	for i := range problems {
		for _, e := range problems[i].Events {
			if e.Open() && e.Source == source {
				out = append(out, e)
			}
		}
	}
	return out, err
}
