package guardian

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/tidegate-io/tidegate/change"
	"github.com/tidegate-io/tidegate/fault"
	"github.com/tidegate-io/tidegate/judge"
)

// Types of events that tell of people's decisions about validations.
const (
	TypeTraining = "validation.training"
	TypePinned   = "validation.pinned"
)

// maxEventText bounds titles and reasons.
const maxEventText = 2000

// source is what the events name as the tool that reported them.
const source = "tidegate"

// event returns what all events about a validation have in common. The tags
// are among the properties, so that workflows can ask for event.purpose.
func (v Validation) event(kind string) change.Event {
	p := make(map[string]string, len(v.Tags)+8)
	for k, t := range v.Tags {
		p[k] = t
	}
	p["guardian"] = v.Guardian
	p["validation"] = v.ID
	p["number"] = strconv.Itoa(v.Number)
	p["window.from"] = v.Window.From.UTC().Format(time.RFC3339Nano)
	p["window.to"] = v.Window.To.UTC().Format(time.RFC3339Nano)
	if v.Variant != "" {
		p["variant"] = v.Variant
	}
	return change.Event{
		ID: v.ID + "." + kind, Type: kind, Kind: change.KindValidation, Source: source, Who: v.Who,
		Ref: v.Target, Key: v.Guardian, Correlation: v.ID, Properties: p,
	}
}

func (v Validation) startedEvent() change.Event {
	e := v.event(change.TypeValidationStarted)
	e.Title = fmt.Sprintf("Validation %d of %s started", v.Number, v.Guardian)
	e.Start = v.Started
	return e
}

func (v Validation) objectiveEvent(i int, r judge.Result) change.Event {
	e := v.event(change.TypeValidationObjective)
	e.ID += "." + strconv.Itoa(i)
	e.Title = fmt.Sprintf("%s: %s", r.Name, r.Status)
	e.Start, e.Reason, e.To = v.Finished, text(r.Why), string(r.Status)
	e.Properties["objective"] = r.Name
	e.Properties["status"] = string(r.Status)
	for name, n := range map[string]judge.Number{"estimate": r.Estimate, "limit": r.Limit} {
		if !n.IsNaN() {
			e.Properties[name] = strconv.FormatFloat(float64(n), 'g', -1, 64)
		}
	}
	return e
}

func (v Validation) finishedEvent() change.Event {
	e := v.event(change.TypeValidationFinished)
	e.Title = text(v.Headline)
	e.Start, e.To = v.Finished, string(v.Status)
	e.Properties["status"] = string(v.Status)
	if c, ok := v.Evidence.Cause(); ok {
		e.Properties["cause"] = c.Event.ID
	}
	return e
}

// finishedEvents are the events of a finished validation, in their order.
func (v Validation) finishedEvents() []change.Event {
	var out []change.Event
	if v.Verdict != nil {
		for i, r := range v.Verdict.Results {
			out = append(out, v.objectiveEvent(i, r))
		}
	}
	return append(out, v.finishedEvent())
}

// text makes a sentence with words from telemetry in it fit for an event.
func text(s string) string {
	s = strings.ToValidUTF8(strings.ReplaceAll(s, "\x00", ""), "�")
	if r := []rune(s); len(r) > maxEventText {
		s = string(r[:maxEventText-1]) + "…"
	}
	return s
}

// record stores events once: one whose id is there already was stored by an
// earlier attempt. One that is refused as wrong is left out: trying again
// would not help, and the validation stands without it.
func (s *Service) record(ctx context.Context, events ...change.Event) error {
	if s.recorder == nil {
		return nil
	}
	for _, e := range events {
		_, err := s.recorder.Record(ctx, e)
		switch {
		case err == nil || fault.Is(err, fault.KindConflict):
		case fault.Is(err, fault.KindInvalid):
			s.log.Error("validation event left out", "event", e.ID, "error", err)
		default:
			return fmt.Errorf("record %s: %w", e.ID, err)
		}
	}
	return nil
}

func (s *Service) recordDecision(ctx context.Context, v Validation, kind, to, who, reason string) error {
	now := s.now()
	e := v.event(kind)
	e.ID += "." + strconv.FormatInt(now.UnixNano(), 36)
	e.Title = fmt.Sprintf("Validation %d of %s: %s", v.Number, v.Guardian, to)
	e.Start, e.Who, e.Reason, e.To = now, who, reason, to
	return s.record(ctx, e)
}
