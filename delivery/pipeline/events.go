package pipeline

import (
	"context"
	"fmt"
	"maps"
	"strconv"
	"strings"

	"github.com/tidegate-io/tidegate/change"
	"github.com/tidegate-io/tidegate/delivery/deploy"
	"github.com/tidegate-io/tidegate/entity"
)

// Types of events, besides change.TypeDeploymentFinished. A stage and a
// release end with their state: pipeline.stage.succeeded, pipeline.release.failed.
const (
	TypeDeploymentStarted = "deployment.started"
	TypeDeploymentFailed  = "deployment.failed"
	TypeStage             = "pipeline.stage."
	TypeRelease           = "pipeline.release."
)

// tell records an event, where there is somebody to record it.
func (s *Service) tell(ctx context.Context, e change.Event) error {
	if s.cfg.Recorder == nil {
		return nil
	}
	if _, err := s.cfg.Recorder.Record(ctx, e); err != nil {
		return fmt.Errorf("event %s: %w", e.Type, err)
	}
	return nil
}

// who is the author of what the pipeline does by itself.
func (x *execution) who() string { return "pipeline/" + x.r.Pipeline }

func (x *execution) properties(more map[string]string) map[string]string {
	out := map[string]string{"pipeline": x.r.Pipeline, "release": x.r.ID, "number": strconv.Itoa(x.r.Number),
		"stage": x.r.Current().Name, "attempt": strconv.Itoa(x.r.Current().Attempt)}
	maps.Copy(out, more)
	return out
}

func (x *execution) stageEvent(what string) change.Event {
	st := x.r.Current()
	e := change.Event{
		ID:   change.DeriveID("pipeline", x.r.ID, st.Name, strconv.Itoa(st.Attempt), what),
		Type: TypeStage + what, Kind: change.KindAction, Who: x.who(), Reason: clip(st.Error, maxReason), Source: "tidegate",
		Title: clip(fmt.Sprintf("%s: release %d (%s): stage %s %s", x.r.Pipeline, x.r.Number, x.r.Revision.Version, st.Name, State(what).word()), maxReason),
		Start: st.Entered, Ref: entity.Ref{Environment: st.Environment}, Key: x.r.Pipeline,
		To: x.r.Revision.Version, Properties: x.properties(nil), Correlation: x.r.ID,
	}
	if what != "started" {
		e.Start = x.cfg.Clock().UTC()
	}
	return e
}

func (x *execution) releaseEvent(state State, message string) change.Event {
	return change.Event{
		ID:   change.DeriveID("pipeline", x.r.ID, "release", strconv.Itoa(x.r.Current().Attempt), x.r.Current().Name, string(state)),
		Type: TypeRelease + string(state), Kind: change.KindAction, Who: x.who(), Reason: clip(message, maxReason), Source: "tidegate",
		Title: clip(fmt.Sprintf("%s: release %d (%s) %s", x.r.Pipeline, x.r.Number, x.r.Revision.Version, state.word()), maxReason),
		Start: x.cfg.Clock().UTC(), Key: x.r.Pipeline, To: x.r.Revision.Version, Properties: x.properties(nil), Correlation: x.r.ID,
	}
}

// word is the state in a sentence.
func (s State) word() string {
	if s == StateRolledBack {
		return "rolled back"
	}
	return string(s)
}

// address is where what the stage deployed last can be reached.
func (x *execution) address() string {
	x.mu.Lock()
	defer x.mu.Unlock()
	var out string
	for _, a := range x.r.Current().Actions {
		if a.Deployment != nil && a.Deployment.Address != "" {
			out = a.Deployment.Address
		}
	}
	return out
}

// expand replaces ${release.version} and its like.
func (x *execution) expand(text string) string {
	if !strings.Contains(text, "${") {
		return text
	}
	st := x.r.Current()
	return strings.NewReplacer(
		"${release.version}", x.r.Revision.Version, "${release.id}", x.r.ID, "${release.number}", strconv.Itoa(x.r.Number),
		"${release.commit}", x.r.Revision.Commit, "${pipeline}", x.r.Pipeline, "${stage}", st.Name,
		"${environment}", st.Environment, "${address}", x.address(), "${previous.version}", x.previousVersion(),
	).Replace(text)
}

// previousVersion is what ran before the stage's first deployment.
func (x *execution) previousVersion() string {
	x.mu.Lock()
	defer x.mu.Unlock()
	for _, a := range x.r.Current().Actions {
		if a.Deployment != nil {
			return a.Deployment.From
		}
	}
	return ""
}

func (x *execution) expanded(in map[string]string) map[string]string {
	out := make(map[string]string, len(in))
	for k, v := range in {
		out[k] = x.expand(v)
	}
	return out
}

// deploymentEvent tells of a deployment. Only the finished one is a change
// that can be the cause of a problem, and can be undone.
func deploymentEvent(d Deployment, typ string) change.Event {
	e := change.Event{
		ID: change.DeriveID("deployment", d.ID, typ), Type: typ, Kind: change.KindAction, Who: d.Who, Reason: d.Reason, Source: "tidegate",
		Start: d.Started, Ref: entity.Ref{Service: d.Settings.Service, Environment: d.Target.Environment, Version: d.Revision.Version},
		Key: d.Target.App, From: d.From, To: d.Revision.Version, Correlation: d.Release,
		Properties: map[string]string{"app": d.Target.App, "deployment": d.ID, "with": d.With},
	}
	for k, v := range map[string]string{"pipeline": d.Pipeline, "stage": d.Stage, "release": d.Release, "slot": d.Target.Slot,
		"commit": d.Revision.Commit, "artifact": d.Revision.Artifact, "address": d.Address, "rollbackOf": d.RollbackOf} {
		if v != "" {
			e.Properties[k] = v
		}
	}
	what := "is deployed to"
	switch typ {
	case TypeDeploymentStarted:
		what = "is being deployed to"
	case TypeDeploymentFailed:
		what, e.Reason, e.Start, e.Version = "could not be deployed to", clip(d.Error, maxReason), d.Finished, d.From
	default:
		e.Kind, e.End = change.KindDeployment, d.Finished
		if d.RollbackOf == "" {
			e.Undo = &change.Undo{Kind: change.UndoRollback, Deployment: d.ID}
		} else {
			e.UndoOf = change.DeriveID("deployment", d.RollbackOf, change.TypeDeploymentFinished)
			what = "runs again in"
		}
	}
	e.Title = clip(fmt.Sprintf("%s %s %s %s", d.Target.App, d.Revision.Version, what, place(d.Target)), maxReason)
	return e
}

func place(t deploy.Target) string {
	if t.Slot != "" {
		return t.Environment + " (" + t.Slot + ")"
	}
	return t.Environment
}

// clip keeps the beginning of a text, clipEnd its end; both in at most n bytes
// and valid UTF-8.
func clip(s string, n int) string {
	if len(s) <= n {
		return strings.ToValidUTF8(s, "")
	}
	return strings.ToValidUTF8(s[:n-3], "") + "…"
}

func clipEnd(s string, n int) string {
	if len(s) <= n {
		return strings.ToValidUTF8(s, "")
	}
	return "…" + strings.ToValidUTF8(s[len(s)-n+3:], "")
}

func firstOf(texts ...string) string {
	for _, t := range texts {
		if t != "" {
			return t
		}
	}
	return ""
}
