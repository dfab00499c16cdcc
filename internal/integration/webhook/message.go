package webhook

import (
	"context"
	"encoding/json"
	"fmt"
	"time"
	"unicode/utf8"

	"github.com/cloudevents/sdk-go/v2/event"

	"github.com/tidegate-io/tidegate/change"
	"github.com/tidegate-io/tidegate/fault"
	"github.com/tidegate-io/tidegate/notify"
	"github.com/tidegate-io/tidegate/workflow"
)

// TypeNotification is the message type of what a workflow tells.
const TypeNotification = "workflow.notification"

// maxReport bounds an attached report; longer ones are cut, and say so.
const maxReport = 256 << 10

// cloudEventType is the CloudEvents type of one of our event types.
func cloudEventType(t string) string { return "dev.tidegate." + t + ".v1" }

// Told is the data of a notification.
type Told struct {
	Workflow string  `json:"workflow" doc:"who says it"`
	Run      string  `json:"run"`
	Message  string  `json:"message"`
	Report   *Report `json:"report,omitempty"`
}

// Report is a validation's report in Markdown.
type Report struct {
	Validation string `json:"validation"`
	Markdown   string `json:"markdown,omitempty"`
	Truncated  bool   `json:"truncated,omitempty"`
	// Missing says why there is no Markdown.
	Missing string `json:"missing,omitempty"`
}

// Notify implements workflow.Notifier: it stores the message for delivery. A
// report that cannot be rendered does not keep the message back.
func (s *Sender) Notify(ctx context.Context, n workflow.Notification) error {
	c, err := s.channel(n.Channel)
	if err != nil {
		return err
	}
	if c.Webhook == nil {
		return fault.Invalid("notification channel %q takes comments on problems only", n.Channel)
	}
	told := Told{Workflow: n.Who, Run: n.Run, Message: n.Message}
	if n.Report != "" {
		told.Report = s.report(ctx, n.Report)
	}
	now := s.cfg.Clock()
	body, err := s.cloudEvent(n.Key, TypeNotification, n.Run, now, told)
	if err != nil {
		return err
	}
	return s.put(ctx, notify.Message{ID: n.Key, Channel: n.Channel, Type: TypeNotification,
		ContentType: event.ApplicationCloudEventsJSON, Body: body, Created: now})
}

func (s *Sender) report(ctx context.Context, validation string) *Report {
	r := &Report{Validation: validation}
	if s.cfg.Reports == nil {
		r.Missing = "reports are not configured"
		return r
	}
	doc, _, err := s.cfg.Reports.Report(ctx, validation, "markdown")
	if err != nil {
		r.Missing = err.Error()
		return r
	}
	if len(doc) > maxReport {
		cut := maxReport
		for cut > 0 && !utf8.RuneStart(doc[cut]) {
			cut--
		}
		doc, r.Truncated = doc[:cut], true
	}
	r.Markdown = string(doc)
	return r
}

// Publish stores the event for every channel that subscribes to its type. It
// is idempotent by the event's id.
func (s *Sender) Publish(ctx context.Context, e change.Event) error {
	return s.publish(ctx, e, s.subscribers(e.Type, time.Time{}))
}

// Republish is Publish for an event that an earlier process may have published:
// channels that came into force after it was received do not get it.
func (s *Sender) Republish(ctx context.Context, e change.Event) error {
	return s.publish(ctx, e, s.subscribers(e.Type, e.Received))
}

func (s *Sender) publish(ctx context.Context, e change.Event, channels []string) error {
	for _, channel := range channels {
		body, err := s.cloudEvent(e.ID, e.Type, e.Key, e.Start, e)
		if err != nil {
			return err
		}
		if err := s.put(ctx, notify.Message{ID: e.ID + "@" + channel, Channel: channel, Type: e.Type,
			ContentType: event.ApplicationCloudEventsJSON, Body: body, Created: s.cfg.Clock()}); err != nil {
			return fmt.Errorf("event %s to channel %s: %w", e.ID, channel, err)
		}
	}
	return nil
}

// subscribers are the channels for a type of event; when t is set, those that
// were in force then already.
func (s *Sender) subscribers(eventType string, t time.Time) []string {
	s.mu.RLock()
	defer s.mu.RUnlock()
	var names []string
	for name, c := range s.channels {
		if c.Wants(eventType) && (t.IsZero() || !c.Since.After(t)) {
			names = append(names, name)
		}
	}
	return names
}

// cloudEvent is the structured form of CloudEvents 1.0.
func (s *Sender) cloudEvent(id, eventType, subject string, at time.Time, data any) ([]byte, error) {
	e := event.New()
	e.SetID(id)
	e.SetSource(s.cfg.Source)
	e.SetType(cloudEventType(eventType))
	if subject != "" {
		e.SetSubject(subject)
	}
	e.SetTime(at)
	if err := e.SetData(event.ApplicationJSON, data); err != nil {
		return nil, fault.Internal("cloud event: %w", err)
	}
	if err := e.Validate(); err != nil {
		return nil, fault.Invalid("cloud event: %w", err)
	}
	b, err := json.Marshal(e)
	if err != nil {
		return nil, fault.Internal("cloud event: %w", err)
	}
	return b, nil
}
