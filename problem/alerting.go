package problem

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"
)

// damp decides, when a problem is opened, whether it is a frequent one.
func (s *Service) damp(ctx context.Context, tx Tx, r *Record, now time.Time) error {
	opened := slices.ContainsFunc(r.notes, func(n note) bool { return n.kind == noteOpened || n.kind == noteReopened })
	if !opened || r.MergedInto != "" {
		return nil
	}
	before, err := tx.Recent(ctx, r.Symptom, now.Add(-7*24*time.Hour))
	if err != nil {
		return err
	}
	day, week, worse := 0, 0, true
	for i := range before {
		p := &before[i]
		times := 1 + p.Reopened
		if p.ID == r.ID {
			times = r.Reopened // this opening is not one before
		}
		if times == 0 {
			continue
		}
		week += times
		if p.resumed().After(now.Add(-24 * time.Hour)) {
			day += times
		}
		worse = worse && r.Severity.Worse(p.Severity)
	}
	r.Frequent = (day >= s.rules.FrequentDay || week >= s.rules.FrequentWeek) && !worse
	return nil
}

// route brings the alerts of a problem up to date with the profiles.
func (s *Service) route(r *Record, tags []map[string]string, now time.Time) {
	if r.MergedInto != "" {
		return
	}
	if r.State == StateClosed {
		s.clear(r, now)
		return
	}
	s.mu.Lock()
	profiles, windows := s.profiles, s.windows
	s.mu.Unlock()
	set := tagSet(append(tags, r.Tags)...)
	var mismatches []string
	for i := range profiles {
		p := &profiles[i]
		if slices.ContainsFunc(r.Alerts, func(a Alert) bool { return a.Profile == p.Name && a.Episode == r.Reopened }) {
			continue
		}
		if why := p.mismatch(&r.Problem, set); why != "" {
			mismatches = append(mismatches, p.Name+": "+why)
			continue
		}
		a := Alert{Profile: p.Name, Channels: p.Channels, State: AlertWaiting, Due: r.resumed().Add(p.Delay), Episode: r.Reopened}
		if r.Frequent {
			a.State, a.Why = AlertSkipped, "the same happens often: frequent problems alert nobody"
		}
		r.Alerts = append(r.Alerts, a)
	}
	for i := range r.Alerts {
		r.send(&r.Alerts[i], windows, now)
	}
	r.NotAlerted = r.whyNobody(len(profiles), mismatches)
}

// send sends an alert that is due.
func (r *Record) send(a *Alert, windows []Window, now time.Time) {
	if a.State != AlertWaiting {
		return
	}
	if r.AcknowledgedBy != "" {
		a.State, a.Why = AlertSkipped, "looked after by "+r.AcknowledgedBy+" before"
		return
	}
	for i := range windows {
		w := &windows[i]
		if end, in := w.End(now); in && w.covers(r.Impact.Services) && end.After(a.Due) {
			a.Due, a.Why = end, fmt.Sprintf("waits for the end of the maintenance window %s at %s", w.Name, end.UTC().Format(time.RFC3339))
		}
	}
	if a.Due.After(now) {
		return
	}
	a.State, a.Sent, a.Why = AlertSent, now, ""
	r.note(note{kind: noteAlerted, alert: a})
}

// clear ends the alerts of a problem that is closed.
func (s *Service) clear(r *Record, now time.Time) {
	for i := range r.Alerts {
		a := &r.Alerts[i]
		switch {
		case a.State == AlertWaiting:
			a.State = AlertSkipped
			a.Why = fmt.Sprintf("over after %s, before the alert was due", r.Closed.Sub(r.resumed()).Round(time.Second))
		case a.State == AlertSent && a.Cleared.IsZero():
			a.Cleared = now
			r.note(note{kind: noteCleared, alert: a})
		}
	}
	if r.NotAlerted == "" {
		r.NotAlerted = r.whyNobody(1, nil)
	}
}

// whyNobody says why nobody is alerted; empty when somebody is, or will be.
func (r *Record) whyNobody(profiles int, mismatches []string) string {
	why := ""
	for i := range r.Alerts {
		a := &r.Alerts[i]
		switch {
		case a.Episode != r.Reopened:
		case a.State != AlertSkipped:
			return ""
		case why == "":
			why = a.Profile + ": " + a.Why
		}
	}
	switch {
	case why != "":
		return why
	case profiles == 0:
		return "there is no alerting profile"
	case len(mismatches) > 0:
		return "no alerting profile matches: " + cut(strings.Join(mismatches[:min(len(mismatches), 5)], "; "), 1000)
	}
	return ""
}
