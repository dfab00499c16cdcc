package rollout

import (
	"context"
	"fmt"
	"strconv"

	"github.com/tidegate-io/tidegate/change"
)

// event names one thing that a run says.
type event struct {
	name    string
	step    int
	attempt int
}

func (ev event) id(r *Run) string {
	return change.DeriveID("rollout", r.ID, ev.name, strconv.Itoa(ev.step), strconv.Itoa(ev.attempt))
}

func (e *Engine) record(ctx context.Context, r *Run, events ...event) error {
	if e.cfg.Recorder == nil {
		return nil
	}
	for _, ev := range events {
		event := ev.of(r)
		if err := e.try(ctx, func() error { _, err := e.cfg.Recorder.Record(ctx, event); return err }); err != nil {
			return fmt.Errorf("event %s: %w", event.Type, err)
		}
	}
	return nil
}

// of is the event as it is recorded.
func (ev event) of(r *Run) change.Event {
	out := change.Event{
		ID: ev.id(r), Kind: change.KindAction, Who: r.Who, Reason: r.Reason, Source: "tidegate", Start: r.Started,
		Ref: r.Rollout.Target,
		Key: r.Rollout.Name, From: r.Stable.Version, To: r.Candidate.Version, Correlation: r.Correlation,
		Properties: map[string]string{"rollout": r.Rollout.Name, "run": r.ID, "candidate": r.Candidate.Name, "stable": r.Stable.Name},
	}
	if r.Rollout.Route != "" {
		out.Properties["route"] = r.Rollout.Route
	}
	if out.Correlation == "" {
		out.Correlation = r.ID
	}
	switch ev.name {
	case "started":
		out.Type = TypeStarted
		out.Title = fmt.Sprintf("%s: rollout of %s begins", r.Rollout.Name, named(r.Candidate.Version, r.Candidate.Name))
	case "shifted":
		ev.shifted(r, &out)
	case "judged":
		step := r.Steps[ev.step]
		v := step.Verdicts[ev.attempt-1]
		out.Type, out.Start = TypeJudged, step.To
		out.Title = fmt.Sprintf("%s: %s at %g %%", r.Rollout.Name, v.Status, step.Weight)
		out.Properties["status"], out.Properties["validation"] = v.Status, v.Validation
	case "promoted":
		out.Type, out.Start, out.Who, out.Reason = TypePromoted, r.Finished, decider(r), r.Why
		out.Title = fmt.Sprintf("%s: %s has all the traffic", r.Rollout.Name, named(r.Candidate.Version, r.Candidate.Name))
	case "aborted":
		out.Type, out.Start, out.Who, out.Reason = TypeAborted, r.Back.Asked, decider(r), r.Why
		out.Title = fmt.Sprintf("%s: all traffic is back at %s", r.Rollout.Name, named(r.Stable.Version, r.Stable.Name))
		out.From, out.To = r.Candidate.Version, r.Stable.Version
		if at, ok := r.firstShift(); ok {
			out.UndoOf = event{name: "shifted", step: at}.id(r)
		}
	case "failed":
		out.Type, out.Start = TypeFailed, r.Back.Asked
		out.Title = fmt.Sprintf("%s: traffic could not be moved back to %s", r.Rollout.Name, named(r.Stable.Version, r.Stable.Name))
	}
	return out
}

// shifted is what users may suffer from: more of them get the candidate.
func (ev event) shifted(r *Run, out *change.Event) {
	step := r.Steps[ev.step]
	out.Type, out.Start = TypeShifted, step.Shift.Asked
	out.Kind = change.KindDeployment
	if f := r.Rollout.Flag; f != nil {
		out.Kind, out.Key = change.KindFlag, f.Key
	}
	out.Title = fmt.Sprintf("%s: %g %% of the traffic to %s", r.Rollout.Name, step.Weight, named(r.Candidate.Version, r.Candidate.Name))
	out.Properties["weight"] = strconv.FormatFloat(step.Weight, 'g', -1, 64)
	out.Undo = &change.Undo{Kind: "rollout", Rollout: r.ID}
}

// firstShift is the step at which users first got the candidate.
func (r *Run) firstShift() (int, bool) {
	for i, s := range r.Steps {
		if s.Weight > 0 && !s.Shift.Asked.IsZero() {
			return i, true
		}
	}
	return 0, false
}

func decider(r *Run) string {
	if r.DecidedBy != "" {
		return r.DecidedBy
	}
	return r.Who
}

func named(version, name string) string {
	if version == "" {
		return name
	}
	return version
}
