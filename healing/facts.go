package healing

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/tidegate-io/tidegate/change"
	"github.com/tidegate-io/tidegate/entity"
	"github.com/tidegate-io/tidegate/fault"
	"github.com/tidegate-io/tidegate/problem"
)

const (
	// recentSpan is how far back the safety rules look; see also once.
	recentSpan = 24 * time.Hour
	// historySpan and historyLimit bound the changes that are looked at for
	// the way back.
	historySpan  = 30 * 24 * time.Hour
	historyLimit = 500
)

// facts gathers what the safety rules look at, about an action and the revision
// that it goes back to, which is filled in.
func (e *Engine) facts(ctx context.Context, a Action) (*Facts, error) {
	p, err := e.cfg.Problems.Problem(ctx, a.Problem)
	if err != nil {
		return nil, fmt.Errorf("problem %s: %w", a.Problem, err)
	}
	f := &Facts{Now: e.cfg.Clock(), Problem: p, Action: a, Limits: e.cfg.Limits}
	if a.Kind.Reverts() && a.Change != nil {
		if err := e.wayBack(ctx, f); err != nil {
			return nil, err
		}
	}
	if f.Halted, err = e.halted(ctx, f); err != nil {
		return nil, err
	}
	if f.Stop, err = e.cfg.Store.Stop(ctx); err != nil {
		return nil, err
	}
	if f.Recent, err = e.recent(ctx, &f.Action); err != nil {
		return nil, err
	}
	if e.cfg.Inventory != nil {
		places := []entity.Ref{a.Ref}
		if a.Change != nil && a.Kind.Reverts() {
			places = append(places, a.Change.Places()...)
		}
		if f.Touched, f.Instances, err = e.cfg.Inventory.Instances(ctx, places); err != nil {
			return nil, fmt.Errorf("instances: %w", err)
		}
	}
	return f, nil
}

// wayBack finds the revision to go back to and what is known against it.
func (e *Engine) wayBack(ctx context.Context, f *Facts) error {
	t, err := e.timeline(ctx, f.Action.Change, f.Action.Ref)
	if err != nil {
		return err
	}
	a := &f.Action
	var failed error
	bad := func(revision string) string {
		if why := t.bad(a.Change, revision); why != "" || e.cfg.Judgements == nil {
			return why
		}
		if a.Change.Kind != change.KindDeployment {
			return ""
		}
		why, err := e.cfg.Judgements.Bad(ctx, entity.Ref{Service: a.Service, Environment: a.Environment, Version: revision})
		failed = errors.Join(failed, err)
		return why
	}
	if a.Kind == KindRollback && a.Attempt.Do.Rollback.To == LastGood {
		a.Revision = t.lastGood(a.Change, bad)
	}
	a.Title = titleOf(a)
	f.History = t.history(a.Change, a.Revision)
	if a.Revision != "" {
		f.History.Bad = bad(a.Revision)
	}
	if failed != nil {
		return fmt.Errorf("what was judged bad: %w", failed)
	}
	return nil
}

// timeline reads the changes at a place and of the same thing.
func (e *Engine) timeline(ctx context.Context, blamed *change.Event, at entity.Ref) (timeline, error) {
	q := change.Query{Kinds: []change.Kind{change.KindDeployment, change.KindFlag, change.KindConfiguration, change.KindAction},
		From: blamed.Start.Add(-historySpan), Environment: at.Environment, Limit: historyLimit}
	byService, byKey := q, q
	byService.Service = at.Service
	byKey.Key, byKey.Environment = blamed.Key, "" // flags need no environment
	all := []change.Event{*blamed}
	for _, q := range []change.Query{byService, byKey} {
		if q.Service == "" && q.Key == "" {
			continue
		}
		events, err := e.cfg.Changes.Events(ctx, q)
		if err != nil {
			return nil, fmt.Errorf("changes at %s: %w", at, err)
		}
		all = append(all, events...)
	}
	return newTimeline(all), nil
}

// recent are the actions that the rules look at, as Reserve shows them.
func (e *Engine) recent(ctx context.Context, a *Action) ([]Action, error) {
	since, err := e.cfg.Store.Actions(ctx, Query{ActedSince: e.cfg.Clock().Add(-recentSpan), Limit: historyLimit})
	if err != nil {
		return nil, err
	}
	about, err := e.cfg.Store.Actions(ctx, Query{Subject: a.Subject, Limit: historyLimit})
	if err != nil {
		return nil, err
	}
	seen := map[string]bool{}
	var out []Action
	for _, r := range append(since, about...) {
		if !seen[r.ID] {
			seen[r.ID] = true
			out = append(out, r)
		}
	}
	return out, nil
}

// halted are actions that failed to take something back while their problem is
// still open.
func (e *Engine) halted(ctx context.Context, f *Facts) ([]Action, error) {
	acted, err := e.cfg.Store.Actions(ctx, Query{ActedSince: f.Now.Add(-recentSpan), Limit: historyLimit})
	if err != nil {
		return nil, err
	}
	var out []Action
	for _, a := range acted {
		if a.Outcome != OutcomeFailed || !a.Kind.Reverts() || !samePlace(&a, &f.Action) {
			continue
		}
		p, err := e.cfg.Problems.Problem(ctx, a.Problem)
		if fault.Is(err, fault.KindNotFound) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("problem %s: %w", a.Problem, err)
		}
		if p.State == problem.StateOpen {
			out = append(out, a)
		}
	}
	return out, nil
}
