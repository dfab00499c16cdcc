package pipeline

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/tidegate-io/tidegate/change"
	"github.com/tidegate-io/tidegate/delivery/deploy"
	"github.com/tidegate-io/tidegate/fault"
)

// hangGrace is how long a deployer may take to notice that its time is over.
// A variable so that its test need not wait.
var hangGrace = 15 * time.Second

// deploy does the deploy action.
func (x *execution) deploy(ctx context.Context, def *Action, run *ActionRun) (outcome, error) {
	d, st := def.Deploy, x.r.Current()
	done, err := x.perform(ctx, Deployment{
		ID: run.Key, Target: deploy.Target{App: d.App, Environment: st.Environment, Slot: d.Slot}, With: d.With, Strategy: d.Strategy,
		Settings: x.r.Definition.app(d), Revision: x.r.Revision, Verdict: Open,
		Pipeline: x.r.Pipeline, Release: x.r.ID, Stage: st.Name, Who: x.who(), Reason: x.r.Reason,
	})
	out := outcome{state: StateSucceeded, text: fmt.Sprintf("%s runs in %s", done.Revision.Version, place(done.Target))}
	if done.ID != "" {
		out.set = func(a *ActionRun) { a.Deployment, a.EventID = &done, done.EventID }
	}
	if done.From != "" {
		out.text += ", before " + done.From
	}
	var f *deploy.Failure
	if errors.As(err, &f) && f.Output != "" {
		set := out.set
		out.set = func(a *ActionRun) {
			if set != nil {
				set(a)
			}
			a.Output = clipEnd(f.Output, maxOutput)
		}
	}
	return out, err
}

// perform makes a deployment: its intent is stored and told, then it is
// attempted under its ID as the key, then its outcome is stored and told.
// Asked again with the same ID it goes on where it was.
func (s *Service) perform(ctx context.Context, d Deployment) (Deployment, error) {
	unlock := s.lockTarget(d.Target)
	defer unlock()
	deployer, err := s.cfg.Deployers.Deployer(d.With, d.Strategy)
	if err != nil {
		return Deployment{}, err
	}
	if d, err = s.intend(ctx, deployer, d); err != nil || d.State != DeploymentStarted {
		return d, err
	}
	if err := s.tell(ctx, deploymentEvent(d, TypeDeploymentStarted)); err != nil {
		return d, err
	}
	instance, failure := attempt(ctx, deployer, d)
	if failure != nil && !fault.Is(failure, fault.KindInvalid) && context.Cause(ctx) != errTimeout {
		return d, failure // interrupted, or passing: the same again later
	}
	ctx = context.WithoutCancel(ctx) // the time is over, not the process
	d.Finished, d.State, d.Address = s.cfg.Clock().UTC(), DeploymentDone, instance.Address
	typ := change.TypeDeploymentFinished
	if failure != nil {
		d.State, d.Error, typ = DeploymentFailed, clip(failure.Error(), maxReason), TypeDeploymentFailed
	}
	e := deploymentEvent(d, typ)
	d.EventID = e.ID
	if err := s.tell(ctx, e); err != nil {
		return d, err
	}
	if err := s.store.PutDeployment(ctx, d); err != nil {
		return d, err
	}
	return d, failure
}

// intend stores a deployment as started, or finds it as it is.
func (s *Service) intend(ctx context.Context, deployer deploy.Deployer, d Deployment) (Deployment, error) {
	old, err := s.store.Deployment(ctx, d.ID)
	switch {
	case err == nil && old.State == DeploymentFailed:
		return old, fault.Invalid("%s", old.Error)
	case err == nil:
		return old, nil
	case !fault.Is(err, fault.KindNotFound):
		return Deployment{}, err
	}
	current, err := deployer.Current(ctx, d.Target)
	if err != nil && !fault.Is(err, fault.KindNotFound) {
		return Deployment{}, err
	}
	d.From, d.State, d.Started = current.Revision.Version, DeploymentStarted, s.cfg.Clock().UTC()
	return d, s.store.PutDeployment(ctx, d)
}

// attempt asks the deployer, and gives up one that does not even notice that
// its time is over.
func attempt(ctx context.Context, deployer deploy.Deployer, d Deployment) (deploy.Instance, error) {
	type answer struct {
		instance deploy.Instance
		err      error
	}
	answered := make(chan answer, 1)
	go func() {
		do := deployer.Deploy
		if d.RollbackOf != "" {
			do = deployer.Rollback
		}
		i, err := do(ctx, deploy.Request{Key: d.ID, Target: d.Target, Revision: d.Revision, Spec: d.Settings})
		answered <- answer{i, err}
	}()
	hung := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		time.AfterFunc(hangGrace, func() { close(hung) })
	})
	defer stop()
	select {
	case a := <-answered:
		return a.instance, a.err
	case <-hung:
		return deploy.Instance{}, &deploy.Failure{Cause: deploy.CauseHang, Target: d.Target, Version: d.Revision.Version, Kept: d.From,
			Detail: "the deployer " + d.With + " did not answer in time"}
	}
}

// lockTarget makes deployments to one target follow each other.
func (s *Service) lockTarget(t deploy.Target) (unlock func()) {
	s.mu.Lock()
	m := s.targets[t]
	if m == nil {
		m = &sync.Mutex{}
		s.targets[t] = m
	}
	s.mu.Unlock()
	m.Lock()
	return m.Unlock
}

// rollback takes back what the stage deployed, the last first. all is false
// when something could not be.
func (x *execution) rollback(ctx context.Context) (all bool, err error) {
	st := x.r.Current()
	if st.Rollbacks == nil {
		var undone []Undone
		for _, a := range slices.Backward(st.Actions) {
			if a.Deployment != nil && a.Deployment.State == DeploymentDone {
				undone = append(undone, Undone{Action: a.Name, App: a.Deployment.Target.App, From: a.Deployment.Revision.Version,
					Deployment: x.key(a.Name+".rollback", a.Tries)})
			}
		}
		if err := x.record(ctx, func(r *Release) { r.Current().Rollbacks = undone }); err != nil {
			return false, err
		}
	}
	all = true
	for i := range x.r.Current().Rollbacks {
		u := x.r.Current().Rollbacks[i]
		if u.Finished.IsZero() {
			if u, err = x.takeBack(ctx, i); err != nil {
				return false, err
			}
		}
		all = all && u.Done
	}
	return all && len(x.r.Current().Rollbacks) > 0, nil
}

// takeBack does one rollback; again when something is unavailable.
func (x *execution) takeBack(ctx context.Context, i int) (Undone, error) {
	st := x.r.Current()
	u := st.Rollbacks[i]
	a := st.Actions[slices.IndexFunc(st.Actions, func(a ActionRun) bool { return a.Name == u.Action })]
	limit, cancel := context.WithTimeoutCause(ctx, x.r.Definition.timeout(&Action{Deploy: x.action0(u.Action)}), errTimeout)
	defer cancel()
	done, err := x.Rollback(limit, RollbackRequest{Of: a.Deployment.ID, Key: u.Deployment, Who: x.who(),
		Reason: clip("stage "+st.Name+" ended badly: "+st.Error, maxReason)})
	if ctx.Err() != nil {
		return u, ctx.Err()
	}
	u.Finished = x.cfg.Clock().UTC()
	if err != nil {
		u.Error = clip(err.Error(), maxReason)
	} else {
		u.Done, u.To, u.Deployment = true, done.Revision.Version, done.ID
	}
	return u, x.record(ctx, func(r *Release) { r.Current().Rollbacks[i] = u })
}

// action0 is the definition of a deploy action of the current stage.
func (x *execution) action0(name string) *Deploy {
	for i := range x.r.Definition.Stages[x.r.Stage].Actions {
		if a := &x.r.Definition.Stages[x.r.Stage].Actions[i]; a.Name == name {
			return a.Deploy
		}
	}
	return &Deploy{}
}

// RollbackRequest asks for the last good revision to run again.
type RollbackRequest struct {
	// Of is the deployment to take back; or App, Environment and Slot name the
	// place whose current one it is.
	Of               string
	App, Environment string
	Slot             string
	// To is the version to go back to; the last good one when empty.
	To  string
	Who string
	// Reason is kept with the deployment that was taken back.
	Reason string
	// Key makes it idempotent; required.
	Key string
}

// Rollback has a revision run again that ran before: the one asked for, or the
// last that was judged good, or, when none ever was, the last that was not
// judged bad. What is taken back is marked bad. When it does not run any more,
// because somebody was faster, what runs is answered and nothing is done.
//
// Faults: KindNotFound when there is no such deployment or nothing to go back
// to, KindConflict when the version asked for was judged bad.
func (s *Service) Rollback(ctx context.Context, q RollbackRequest) (Deployment, error) {
	if err := whoWhy(q.Who, q.Reason); err != nil {
		return Deployment{}, err
	}
	if q.Key == "" {
		return Deployment{}, fault.InvalidField("key", "a rollback needs a key")
	}
	if old, err := s.store.Deployment(ctx, q.Key); err == nil {
		return s.perform(ctx, old)
	} else if !fault.Is(err, fault.KindNotFound) {
		return Deployment{}, err
	}
	of, history, err := s.deployed(ctx, q)
	if err != nil {
		return Deployment{}, err
	}
	if current := history[0]; current.ID != of.ID && current.RollbackOf == of.ID {
		return current, nil
	} else if current.ID != of.ID && !current.Revision.Same(of.Revision) {
		return current, nil
	}
	to, err := target(history, &of, q.To)
	if err != nil {
		return Deployment{}, err
	}
	of.Verdict, of.Error = Bad, clip(firstOf(q.Reason, "taken back by "+q.Who), maxReason)
	if err := s.store.PutDeployment(ctx, of); err != nil {
		return Deployment{}, err
	}
	return s.perform(ctx, Deployment{
		ID: q.Key, Target: of.Target, With: of.With, Strategy: of.Strategy, Settings: to.Settings, Revision: to.Revision, Verdict: to.Verdict,
		Pipeline: of.Pipeline, Release: of.Release, Stage: of.Stage, Who: q.Who, Reason: q.Reason, RollbackOf: of.ID,
	})
}

// deployed returns the deployment to take back and those of its target that
// took place, newest first.
func (s *Service) deployed(ctx context.Context, q RollbackRequest) (of Deployment, history []Deployment, err error) {
	t := deploy.Target{App: q.App, Environment: q.Environment, Slot: q.Slot}
	if q.Of != "" {
		if of, err = s.store.Deployment(ctx, q.Of); err != nil {
			return of, nil, err
		}
		t = of.Target
	}
	all, err := s.store.Deployments(ctx, DeploymentQuery{App: t.App, Environment: t.Environment, Limit: 1000})
	if err != nil {
		return of, nil, err
	}
	history = slices.DeleteFunc(all, func(d Deployment) bool { return d.Target != t || d.State != DeploymentDone })
	if len(history) == 0 {
		return of, nil, fault.NotFound("nothing was deployed to %s", t)
	}
	if q.Of == "" {
		of = history[0]
	}
	return of, history, nil
}

// target chooses what to go back to.
func target(history []Deployment, of *Deployment, version string) (Deployment, error) {
	var open *Deployment
	for i := range history {
		d := &history[i]
		// What a revision was last judged counts.
		bad := slices.ContainsFunc(history[:i+1], func(o Deployment) bool { return o.Verdict == Bad && o.Revision.Same(d.Revision) })
		switch {
		case d.Revision.Same(of.Revision):
		case version != "" && d.Revision.Version == version && bad:
			return Deployment{}, fault.Conflict("%s: version %s was judged bad", of.Target, version)
		case version != "" && d.Revision.Version == version:
			return *d, nil
		case version != "" || bad:
		case d.Verdict == Good:
			return *d, nil
		case open == nil:
			open = d
		}
	}
	if open != nil {
		return *open, nil
	}
	if version != "" {
		return Deployment{}, fault.NotFound("%s: version %s was not deployed before", of.Target, version)
	}
	return Deployment{}, fault.NotFound("%s: there is no earlier version to go back to", of.Target)
}

// Health says how what runs at a target is, by the deployer that put it there.
func (s *Service) Health(ctx context.Context, t deploy.Target) (deploy.Health, error) {
	_, history, err := s.deployed(ctx, RollbackRequest{App: t.App, Environment: t.Environment, Slot: t.Slot})
	if err != nil {
		return deploy.Health{}, err
	}
	deployer, err := s.cfg.Deployers.Deployer(history[0].With, history[0].Strategy)
	if err != nil {
		return deploy.Health{}, err
	}
	return deployer.Health(ctx, t)
}
