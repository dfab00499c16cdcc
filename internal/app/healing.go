package app

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/tidegate-io/tidegate/change"
	"github.com/tidegate-io/tidegate/delivery/pipeline"
	"github.com/tidegate-io/tidegate/entity"
	"github.com/tidegate-io/tidegate/fault"
	"github.com/tidegate-io/tidegate/guardian"
	"github.com/tidegate-io/tidegate/healing"
	"github.com/tidegate-io/tidegate/internal/healrun"
	"github.com/tidegate-io/tidegate/internal/integration/webhook"
	"github.com/tidegate-io/tidegate/internal/manifest"
	"github.com/tidegate-io/tidegate/judge"
	"github.com/tidegate-io/tidegate/problem"
	"github.com/tidegate-io/tidegate/workflow"
)

// openHealing wires what does something about problems; those are wired before,
// and so is a.deployer where there are pipelines.
func (a *App) openHealing(context.Context) (err error) {
	do := &healer{undo: a.undo, guardians: a.guardians, validations: a.db.Guardians(), deployer: a.deployer}
	a.healing, err = healing.New(healing.Config{
		Store: a.db.Healing(), Problems: healedProblems{a.problems}, Changes: a.changes, Owner: a.owner(),
		Actors: map[healing.Kind]healing.Actor{
			healing.KindUndo:     healing.ActorFunc(do.takeBack),
			healing.KindSwitch:   healing.ActorFunc(do.takeBack),
			healing.KindRollback: healing.ActorFunc(do.rollback),
			healing.KindCommand:  &healrun.Command{URL: "http://" + reachable(a.ports.api.Addr())},
			healing.KindWebhook:  &healrun.Webhook{},
		},
		Verifier: do, Judgements: do, Pager: pager{a.notifier}, Reporter: reporterTo{a.notifier}, Inventory: instances{a.entities},
		Limits: a.cfg.Healing, Changed: a.healingChanged, Logger: a.log.With("part", "healing"),
	})
	if err != nil {
		return err
	}
	unsubscribe := a.problems.Subscribe(func(problem.Problem) { a.healing.Look() })
	a.onClose(func() error { unsubscribe(); return nil })
	return a.defineHealing()
}

func (a *App) healingChanged(act healing.Action) {
	a.stream.Publish("healing", map[string]any{"id": act.ID, "problem": act.Problem, "state": act.State, "outcome": act.Outcome})
}

// defineHealing puts remediations into force.
func (a *App) defineHealing() error {
	if a.healing == nil { // not wired yet: openHealing does it
		return nil
	}
	return a.healing.Define(a.catalog.Remediations())
}

// Remediations returns the definitions.
func (c *catalog) Remediations() []healing.Remediation {
	var out []healing.Remediation
	for _, e := range c.entries("Remediation") {
		out = append(out, e.Spec.(*manifest.Remediation).Definition(e.Name(), e.Metadata.Labels))
	}
	return out
}

// checkRemediation reports names that has does not know.
func checkRemediation(id string, r *manifest.Remediation, has func(id string) bool) error {
	for field, name := range r.Guardians() {
		if !has("Guardian/" + name) {
			return fault.InvalidField(field, "%s: there is no guardian %q: apply it before, or in the same file", id, name)
		}
	}
	if r.Otherwise == nil || r.Otherwise.Page == nil {
		return nil
	}
	field, name := "spec.otherwise.page.channel", r.Otherwise.Page.Channel
	if name == "" {
		field, name = "spec.otherwise.page.onCall", r.Otherwise.Page.OnCall
	}
	if !has("NotificationChannel/" + name) {
		return fault.InvalidField(field, "%s: there is no notification channel %q: apply it before, or in the same file", id, name)
	}
	return nil
}

// deployer makes an earlier revision run again; *pipeline.Service does.
type deployer interface {
	Rollback(ctx context.Context, q pipeline.RollbackRequest) (pipeline.Deployment, error)
}

// healedProblems shows problems as healing asks for them.
type healedProblems struct{ *problem.Service }

// maxOpen bounds the open problems that healing looks at.
const maxOpen = 1000

// OpenProblems implements healing.Problems.
func (h healedProblems) OpenProblems(ctx context.Context) ([]problem.Problem, error) {
	return h.Problems(ctx, problem.Query{State: problem.StateOpen, Limit: maxOpen})
}

// healer does what remediations ask of Tidegate itself.
type healer struct {
	undo        *undoer
	guardians   *guardian.Service
	validations guardian.Store
	deployer    deployer // nil: changes say how they are undone
}

// takeBack undoes a change the way its event says, at most once whatever the
// key.
func (h *healer) takeBack(ctx context.Context, r healing.Request) (healing.Answer, error) {
	if r.Change == nil {
		return healing.Answer{}, fault.Invalid("there is no change to take back")
	}
	e, err := h.undo.Undo(ctx, r.Change.ID, r.Who, r.Reason)
	return healing.Answer{Event: e.ID, Message: e.Title}, err
}

// rollback has the revision run again: by the pipelines what they deployed,
// else the way the deployment says, when that leads to the revision.
func (h *healer) rollback(ctx context.Context, r healing.Request) (healing.Answer, error) {
	if r.Change == nil || r.Revision == "" {
		return healing.Answer{}, fault.Invalid("there is no revision to go back to")
	}
	switch undo := r.Change.Undo; {
	case undo == nil:
		return healing.Answer{}, fault.Invalid("nobody said how to roll %s back: give the remediation's rollback a command or a webhook, or the deployment's event an undo", r.Service)
	case undo.Kind == change.UndoRollback && h.deployer != nil:
		d, err := h.deployer.Rollback(ctx, pipeline.RollbackRequest{Of: undo.Deployment, To: r.Revision, Who: r.Who, Reason: r.Reason, Key: r.Key})
		if err != nil {
			return healing.Answer{}, err
		}
		return healing.Answer{Event: change.DeriveID("deployment", d.ID, change.TypeDeploymentFinished),
			Message: fmt.Sprintf("%s %s runs again in %s", d.Target.App, d.Revision.Version, d.Target.Environment)}, nil
	case r.Change.From != r.Revision:
		return healing.Answer{}, fault.Invalid("the undo of %q leads to %q, not to %s: give the remediation's rollback a command or a webhook", r.Change.Title, r.Change.From, r.Revision)
	}
	return h.takeBack(ctx, r)
}

// Verify implements healing.Verifier: the key is the validation's id, so asking
// again finds the one that was started before.
func (h *healer) Verify(ctx context.Context, v healing.Verification) (healing.Verdict, error) {
	started, err := h.guardians.Start(ctx, guardian.Request{
		ID: v.Key, Guardian: v.Guardian, Variables: v.Variables, Window: guardian.Window{From: v.From, To: v.To},
		Trigger: "healing", Who: v.Who, EventID: v.Event,
	})
	if err != nil {
		return healing.Verdict{}, err
	}
	done, err := h.guardians.Wait(ctx, started.ID)
	return healing.Verdict{Status: string(done.Status), Headline: done.Headline}, err
}

// judgedSpan is how many of the last validations are looked at for a version
// that failed.
const judgedSpan = 500

// Bad implements healing.Judgements: the last validation of exactly this
// version decides.
func (h *healer) Bad(ctx context.Context, version entity.Ref) (string, error) {
	list, err := h.validations.Validations(ctx, guardian.HistoryQuery{State: guardian.StateFinished, Limit: judgedSpan})
	if err != nil {
		return "", err
	}
	for _, v := range list { // newest first
		if v.Target.Service != version.Service || judgedVersion(&v) != version.Version ||
			(v.Target.Environment != "" && version.Environment != "" && v.Target.Environment != version.Environment) {
			continue
		}
		if v.Status == judge.StatusFail {
			return fmt.Sprintf("it failed %s #%d", v.Guardian, v.Number), nil
		}
		if v.Status == judge.StatusPass || v.Status == judge.StatusWarn {
			return "", nil
		}
	}
	return "", nil
}

// judgedVersion is the version that a validation was about: its target's, or
// its tag version.
func judgedVersion(v *guardian.Validation) string {
	if v.Target.Version != "" {
		return v.Target.Version
	}
	return v.Tags["version"]
}

// pager tells people by notification channels. Who is on call is the channel of
// that name.
type pager struct{ sender *webhook.Sender }

// Page implements healing.Pager.
func (p pager) Page(ctx context.Context, page healing.Page) error {
	channel := page.To.Channel
	if channel == "" {
		channel = page.To.OnCall
	}
	return p.sender.Notify(ctx, workflow.Notification{Key: page.Key, Channel: channel, Message: page.Text,
		Origin: workflow.Origin{Who: "healing", Run: page.Problem}})
}

// reporterTo says on another monitor's problem what is done about it, through
// the outbox: to channels that speak to that monitor, and as an event to those
// that subscribe to it. The key makes it one message per channel.
type reporterTo struct{ sender *webhook.Sender }

// Report implements healing.Reporter.
func (r reporterTo) Report(ctx context.Context, key string, to problem.External, text string) error {
	e := change.Event{ID: key, Type: webhook.TypeComment, Kind: change.KindProblem, Title: text, Who: "tidegate", Source: "tidegate",
		Start: time.Now(), Key: to.ID, Properties: map[string]string{"system": to.System, "id": to.ID}}
	if to.URL != "" {
		e.Links = []change.Link{{Title: to.System, URL: to.URL}}
	}
	return errors.Join(
		r.sender.Comment(ctx, webhook.Comment{Key: key, System: to.System, Problem: to.ID, Who: "tidegate", Text: text}),
		r.sender.Publish(ctx, e))
}

// instances counts what telemetry has come from.
type instances struct{ entities *entities }

// Instances implements healing.Inventory.
func (i instances) Instances(ctx context.Context, places []entity.Ref) (touched, all int, err error) {
	known, err := i.entities.Entities(ctx)
	if err != nil {
		return 0, 0, err
	}
	for _, e := range known {
		if e.Type != entity.TypeProcess {
			continue
		}
		inside, beside := false, false
		for _, p := range places {
			if p.Environment != "" && e.Environment != "" && p.Environment != e.Environment {
				continue
			}
			beside = true
			inside = inside || p.Service == e.Service
		}
		if beside {
			all++
		}
		if inside {
			touched++
		}
	}
	return touched, all, nil
}
