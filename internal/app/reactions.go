package app

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/tidegate-io/tidegate/change"
	"github.com/tidegate-io/tidegate/entity"
	"github.com/tidegate-io/tidegate/guardian"
	"github.com/tidegate-io/tidegate/loadtest"
	"github.com/tidegate-io/tidegate/telemetry"
	"github.com/tidegate-io/tidegate/workflow"
)

// Every reaction of one domain to another:
//
//	event recorded      → workflows that wait for it start; channels that
//	                      subscribe get it as a CloudEvent; browsers are told
//	validation changed  → browsers are told (its events are recorded by guardian)
//	load test changed   → browsers are told (its events are recorded by loadtest)
//	workflow advanced   → browsers are told
//	problem changed     → browsers are told; its events are recorded by problem,
//	                      and alerting profiles send them to channels;
//	                      healing decides whether something is to be done
//	healing advanced    → browsers are told
//	release advanced    → browsers are told; its events are recorded by pipeline
//	manifests changed   → flag sources, channels, rules and profiles are put
//	                      into force
//
// The first must survive a crash between storing an event and reacting to it:
// when the process starts, the workflow engine looks at the last events before
// the end of its predecessor, and recoverNotifications does so for channels.
// Starting a workflow and sending a message are idempotent per event, so what
// was done already is not done again.

// react subscribes.
func (a *App) react() {
	unsubscribe := a.changes.Subscribe(func(ctx context.Context, e change.Event) {
		a.follow(ctx, e)
		a.stream.Publish("change", map[string]any{"id": e.ID, "kind": e.Kind, "type": e.Type, "service": e.Service, "key": e.Key})
		if e.Kind == change.KindFlag {
			a.stream.Publish("flag", map[string]any{"id": e.ID, "key": e.Key})
		}
	})
	a.onClose(func() error { unsubscribe(); return nil })
}

// follow starts what follows an event. A failure leaves the event stored;
// the next start of the process tries again.
func (a *App) follow(ctx context.Context, e change.Event) {
	if _, err := a.workflows.Trigger(ctx, e); err != nil {
		a.log.ErrorContext(ctx, "starting workflows", "event", e.ID, "error", err)
	}
	if err := a.notifier.Publish(ctx, e); err != nil {
		a.log.ErrorContext(ctx, "queueing notifications", "event", e.ID, "error", err)
	}
}

// How far back events are looked at again after a start, and how many.
const (
	republish      = 24 * time.Hour
	republishLimit = 1000
)

// recoverNotifications publishes the events that an earlier process may have
// stored without publishing them; to no channel those that are older than it.
func (a *App) recoverNotifications(ctx context.Context) error {
	from := a.started.Add(-republish)
	if t := a.catalog.oldest("NotificationChannel"); t.After(from) {
		from = t
	}
	events, err := a.changes.Events(ctx, change.Query{From: from, To: a.started, Limit: republishLimit})
	if err != nil {
		return fmt.Errorf("events of an earlier process: %w", err)
	}
	for _, e := range slices.Backward(events) { // oldest first
		if err := a.notifier.Republish(ctx, e); err != nil {
			a.log.ErrorContext(ctx, "queueing notifications", "event", e.ID, "error", err)
		}
	}
	return nil
}

// eventPlaced tells browsers that an event got its entities, or never will.
func (a *App) eventPlaced(_ context.Context, e change.Event) {
	a.stream.Publish("change", map[string]any{"id": e.ID, "kind": e.Kind, "type": e.Type, "service": e.Service, "key": e.Key})
}

func (a *App) validationChanged(v guardian.Validation) {
	a.stream.Publish("validation", map[string]any{"id": v.ID, "guardian": v.Guardian, "state": v.State, "status": v.Status})
}

func (a *App) loadTestChanged(r loadtest.Run) {
	a.stream.Publish("loadtest", map[string]any{"id": r.ID, "test": r.Test, "state": r.State})
}

func (a *App) workflowChanged(r workflow.Run) {
	a.stream.Publish("workflow", map[string]any{"id": r.ID, "workflow": r.Workflow, "state": r.State})
}

// configured puts workflows, channels and flag sources into force after the
// manifests changed.
func (a *App) configured(ctx context.Context) error {
	if err := a.workflows.Define(a.catalog.Workflows()); err != nil {
		return err
	}
	if err := a.notifier.Define(a.catalog.Channels()); err != nil {
		return err
	}
	if err := a.proxy.Define(a.catalog.Routes()); err != nil {
		a.log.Error("routes", "error", err) // a port that is taken must not keep the rest from coming into force
	}
	if err := a.defineProblems(); err != nil {
		return err
	}
	if a.detection != nil {
		a.detection.define(a.catalog.WatchedSeries())
	}
	if err := a.definePipelines(); err != nil {
		return err
	}
	if err := a.defineHealing(); err != nil {
		return err
	}
	a.entities.setRules(a.catalog.Rules())
	sources, err := a.catalog.FlagSources()
	if err != nil {
		return err
	}
	a.stream.Publish("manifest", map[string]any{})
	return a.flags.SetSources(ctx, sources)
}

// recoverEntities seeds what selectors can match with what the metrics know,
// until telemetry of a service comes in again.
func (a *App) recoverEntities(ctx context.Context) error {
	q := fmt.Sprintf("group by (%s, %s, %s) (last_over_time(%s[1d]))",
		telemetry.LabelService, telemetry.LabelEnvironment, telemetry.LabelVersion, telemetry.MetricCalls)
	matrix, err := a.metrics.Query(ctx, q, a.started)
	if err != nil {
		return err
	}
	for _, s := range matrix {
		ref := entity.Ref{Service: s.Metric.Get(telemetry.LabelService), Environment: s.Metric.Get(telemetry.LabelEnvironment), Version: s.Metric.Get(telemetry.LabelVersion)}
		a.entities.saw(entity.Entity{ID: "SERVICE-" + ref.Service, Type: entity.TypeService, Ref: ref,
			Tags: map[string]string{"service.name": ref.Service, "deployment.environment.name": ref.Environment, "service.version": ref.Version}})
	}
	return nil
}
