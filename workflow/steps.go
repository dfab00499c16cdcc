package workflow

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/tidegate-io/tidegate/change"
	"github.com/tidegate-io/tidegate/fault"
)

// validation is the stored input of a validate step: the request, and which
// round of an until step it is.
type validation struct {
	ValidateRequest
	Round int `json:"round"`
}

// key is the idempotency key of a step's effect.
func (x *execution) key(i int) string { return fmt.Sprintf("%s-%d", x.run.ID, i+1) }

// input makes the request of a step from its texts. It is stored before the
// attempt and used as it is after a crash: windows do not move.
func (x *execution) input(i int, texts map[string]string) (any, error) {
	switch s := &x.flow.steps[i]; {
	case s.Validate != nil:
		return x.firstRound(i, texts)
	case s.Undo != nil:
		r := UndoRequest{Key: x.key(i), Change: texts["undo.change"], Origin: originOf(&x.run),
			Reason: "step " + s.Name + " of workflow " + x.run.Workflow}
		if r.Change == "" {
			return nil, fault.Invalid("there is no change to undo: %q is empty", s.Undo.Change)
		}
		return r, nil
	case s.Flag != nil:
		r := FlagRequest{Key: x.key(i), Set: texts["flag.set"], Flag: texts["flag.key"], Variant: texts["flag.variant"],
			Reason: texts["flag.reason"], Origin: originOf(&x.run)}
		if r.Reason == "" {
			r.Reason = "step " + s.Name + " of workflow " + x.run.Workflow
		}
		return r, nil
	default:
		n := Notification{Key: x.key(i), Channel: texts["notify.channel"], Message: texts["notify.message"],
			Report: texts["notify.report"], Origin: originOf(&x.run)}
		if n.Message == "" {
			n.Message = summary(&x.run, i)
		}
		return n, nil
	}
}

// summary says what the run did so far, for a notification without a text.
func summary(r *Run, i int) string {
	text := fmt.Sprintf("Workflow %s for %s", r.Workflow, r.Event.Type)
	if r.Event.Service != "" {
		text += " of " + r.Event.Ref.String()
	}
	for _, s := range r.Steps[:i] {
		text += fmt.Sprintf("\n%s: %s", s.Name, s.State)
		var v Validated
		if s.Kind == "validate" && json.Unmarshal(s.Output, &v) == nil && v.Status != "" {
			text += ", " + v.Status
			if v.Headline != "" {
				text += ": " + v.Headline
			}
		}
		if s.Error != "" {
			text += ": " + s.Error
		}
	}
	return text
}

func (x *execution) firstRound(i int, texts map[string]string) (any, error) {
	step := x.flow.steps[i].Validate
	v := validation{Round: 1, ValidateRequest: ValidateRequest{
		Guardian: texts["validate.guardian"], EventID: x.run.Event.ID, Origin: originOf(&x.run)}}
	own := map[string]string{}
	for k := range step.Tags {
		own[k] = texts["validate.tags."+k]
	}
	v.Tags = tagsOf(x.run.Event.Properties, own)
	end := eventEnd(&x.run.Event, x.run.Started)
	return x.window(i, v, texts["validate.window.last"], texts["validate.window.next"], end)
}

// Limits on tags, those of validations.
const (
	maxTags     = 50
	maxTagKey   = 100
	maxTagValue = 1000
)

// tagsOf are the step's own tags and, beside them, what the event's sender
// said ("purpose", "tool"), in order of name as far as there is room: a
// property that is too long for a tag must not keep the verdict back.
func tagsOf(properties, own map[string]string) map[string]string {
	tags := maps.Clone(own)
	for _, k := range slices.Sorted(maps.Keys(properties)) {
		_, taken := own[k]
		if v := properties[k]; !taken && len(tags) < maxTags && k != "" && len(k) <= maxTagKey && len(v) <= maxTagValue {
			tags[k] = v
		}
	}
	return tags
}

// window fills in the window and the key of a round.
func (x *execution) window(i int, v validation, last, next string, end time.Time) (validation, error) {
	v.Key = fmt.Sprintf("%s-%d", x.key(i), v.Round)
	if last != "" {
		d, err := parseWindow(last)
		v.From, v.To = end.Add(-d), end
		return v, err
	}
	d, err := parseWindow(next)
	v.From = x.cfg.Clock()
	v.To = v.From.Add(d)
	return v, err
}

// eventEnd is where the window before an event ends: the event's end, or its
// start; never in the future of the run, whatever the sender's clock says.
func eventEnd(e *change.Event, started time.Time) time.Time {
	for _, t := range []time.Time{e.End, e.Start} {
		if !t.IsZero() && !t.After(started) {
			return t
		}
	}
	return started
}

// nextRound is a round of the same length that ends, or begins, now.
func (x *execution) nextRound(i int, v validation) (validation, error) {
	length := v.To.Sub(v.From).String()
	v.Round++
	if x.flow.steps[i].Validate.Last != "" {
		return x.window(i, v, length, "", x.cfg.Clock())
	}
	return x.window(i, v, "", length, time.Time{})
}

// effect does what the stored input says, once.
func (x *execution) effect(ctx context.Context, i int) (output, next any, err error) {
	step, input := &x.flow.steps[i], x.run.Steps[i].Input
	switch {
	case step.Validate != nil:
		return x.validate(ctx, i, input)
	case step.Undo != nil:
		return done(ctx, input, x.cfg.Undoer != nil, func(ctx context.Context, r UndoRequest) (any, error) {
			e, err := x.cfg.Undoer.Undo(ctx, r)
			return Changed{Event: e.ID, Title: e.Title, Change: r.Change}, err
		})
	case step.Flag != nil:
		return done(ctx, input, x.cfg.Flagger != nil, func(ctx context.Context, r FlagRequest) (any, error) {
			e, err := x.cfg.Flagger.SetFlag(ctx, r)
			return Changed{Event: e.ID, Title: e.Title}, err
		})
	default:
		return done(ctx, input, x.cfg.Notifier != nil, func(ctx context.Context, n Notification) (any, error) {
			return map[string]string{"channel": n.Channel}, x.cfg.Notifier.Notify(ctx, n)
		})
	}
}

// done calls an effect that takes one round.
func done[R any](ctx context.Context, input json.RawMessage, wired bool, effect func(context.Context, R) (any, error)) (output, next any, err error) {
	if !wired {
		return nil, nil, fault.Invalid("this server cannot do that: nothing is configured for it")
	}
	var r R
	if err := json.Unmarshal(input, &r); err != nil {
		return nil, nil, fault.Internal("stored input: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, effectTimeout)
	defer cancel()
	output, err = effect(ctx, r)
	if err != nil {
		return nil, nil, timedOut(ctx, err)
	}
	return output, nil, nil
}

func (x *execution) validate(ctx context.Context, i int, input json.RawMessage) (output, next any, err error) {
	if x.cfg.Validator == nil {
		return nil, nil, fault.Invalid("this server cannot validate: no guardians are configured")
	}
	var v validation
	if err := json.Unmarshal(input, &v); err != nil {
		return nil, nil, fault.Internal("stored input: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, max(0, v.To.Sub(x.cfg.Clock()))+verdictTimeout)
	defer cancel()
	verdict, err := x.cfg.Validator.Validate(ctx, v.ValidateRequest)
	if err != nil {
		return nil, nil, timedOut(ctx, err)
	}
	step := x.flow.steps[i].Validate
	if step.Until == "" || verdict.Status == step.Until {
		return verdict, nil, nil
	}
	attempts := step.Attempts
	if attempts == 0 {
		attempts = defaultAttempts
	}
	if v.Round >= attempts {
		return verdict, nil, fault.Invalid("no %s in %d validations: the last is %s", step.Until, v.Round, verdict.Status)
	}
	again, err := x.nextRound(i, v)
	return verdict, again, err
}

// timedOut tells the time limit of an attempt, which is worth another one,
// from the end of the run.
func timedOut(attempt context.Context, err error) error {
	if context.Cause(attempt) == context.DeadlineExceeded {
		return fault.Unavailable("took too long: %w", err)
	}
	return err
}
