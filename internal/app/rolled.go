package app

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"
	"time"

	"github.com/tidegate-io/tidegate/delivery/deploy"
	"github.com/tidegate-io/tidegate/delivery/rollout"
	"github.com/tidegate-io/tidegate/delivery/traffic"
	"github.com/tidegate-io/tidegate/fault"
	"github.com/tidegate-io/tidegate/internal/proxy"
)

// rolled is a deployer whose revisions get their users by a rollout: each is
// deployed to a slot of its own beside the one that has the users, and taken
// away again when it is not needed: when the rollout takes it back, or once it
// was replaced and is kept no longer. The key of a deployment names its slot
// and its rollout, so asking again after a crash waits for the same one.
type rolled struct {
	with     string // the deployer's name
	inner    deploy.Deployer
	name     string // the rollout's
	rollouts rolloutAPI
	proxy    *proxy.Server
}

// rolledLook is how often a rollout under way is looked at.
const rolledLook = 200 * time.Millisecond

// slotPrefix marks the slots that belong to rollouts.
const slotPrefix = "rollout-"

func slotOf(key string) string {
	sum := sha256.Sum256([]byte(key))
	return slotPrefix + hex.EncodeToString(sum[:6])
}

// placeOf is how a rollout's run remembers where its sides are deployed.
func placeOf(with string, t deploy.Target) string {
	return strings.Join([]string{"deployed", with, t.App, t.Environment}, "/")
}

// Deploy implements deploy.Deployer: it returns when the rollout has ended.
func (d *rolled) Deploy(ctx context.Context, r deploy.Request) (deploy.Instance, error) {
	if r.Spec.Port != 0 {
		return deploy.Instance{}, fault.Invalid("two versions run side by side while %q rolls out: leave the port to Tidegate", d.name)
	}
	own := r
	own.Slot = slotOf(r.Key)
	inst, err := d.inner.Deploy(ctx, own)
	if err != nil {
		return inst, err
	}
	run, err := d.rollouts.Start(ctx, d.name, rollout.Request{
		ID: own.Slot, Candidate: traffic.Side{Name: own.Slot, Version: r.Revision.Version, URL: inst.Address},
		Who: "pipeline", Reason: "version " + r.Revision.Version, Correlation: placeOf(d.with, r.Target),
	})
	if err == nil {
		run, err = d.ended(ctx, run)
	}
	if err != nil {
		return deploy.Instance{}, err
	}
	if run.State != rollout.StatePromoted {
		return deploy.Instance{}, &deploy.Failure{Cause: deploy.CauseUnhealthy, Target: r.Target, Version: r.Revision.Version, Kept: run.Stable.Version,
			Detail: fmt.Sprintf("rollout %s: %s", d.name, run.Why)}
	}
	return d.seen(inst, r.Target)
}

// ended waits until the candidate has all users, or none any more.
func (d *rolled) ended(ctx context.Context, run rollout.Run) (rollout.Run, error) {
	tick := time.NewTicker(rolledLook)
	defer tick.Stop()
	for run.Phase != rollout.PhaseKeep && run.Phase != rollout.PhaseDone {
		select {
		case <-ctx.Done():
			return run, ctx.Err()
		case <-tick.C:
		}
		var err error
		if run, err = d.rollouts.Run(ctx, run.ID); err != nil {
			return run, err
		}
	}
	return run, nil
}

// Rollback implements deploy.Deployer. The version before is usually still
// kept: then its users are back at once. Otherwise it is deployed again and
// gets everybody without steps, because it was good.
func (d *rolled) Rollback(ctx context.Context, r deploy.Request) (deploy.Instance, error) {
	if run, ok, err := d.kept(ctx); err != nil {
		return deploy.Instance{}, err
	} else if ok && run.Stable.Version == r.Revision.Version {
		if run, err = d.rollouts.Abort(ctx, run.ID, "pipeline", "version "+r.Revision.Version+" is wanted back"); err == nil {
			_, err = d.ended(ctx, run)
		}
		if err != nil {
			return deploy.Instance{}, err
		}
		return d.Current(ctx, r.Target)
	}
	own := r
	own.Slot = slotOf(r.Key)
	inst, err := d.inner.Rollback(ctx, own)
	if err != nil {
		return inst, err
	}
	split, old, err := d.users()
	if err != nil {
		return deploy.Instance{}, err
	}
	side := traffic.Side{Name: own.Slot, Version: r.Revision.Version, URL: inst.Address}
	if old != side {
		if err := d.proxy.SetSplit(ctx, split.With(side, side, 100)); err != nil {
			return deploy.Instance{}, err
		}
		if _, err := d.proxy.Drained(ctx, split.Route, old.Name); err != nil {
			return deploy.Instance{}, err
		}
		if err := remove(ctx, d.inner, deploy.Target{App: r.App, Environment: r.Environment, Slot: old.Name}); err != nil {
			return deploy.Instance{}, err
		}
	}
	return d.seen(inst, r.Target)
}

// kept is the last run, when the side that it replaced is still there.
func (d *rolled) kept(ctx context.Context) (rollout.Run, bool, error) {
	runs, err := d.rollouts.Runs(ctx, rollout.Query{Rollout: d.name, Limit: 1})
	if err != nil || len(runs) == 0 {
		return rollout.Run{}, false, err
	}
	return runs[0], runs[0].Phase == rollout.PhaseKeep && runs[0].Stable != runs[0].Candidate, nil
}

// users is the split in force and the side with the most of them.
func (d *rolled) users() (split traffic.Split, most traffic.Side, err error) {
	def, ok := d.rollouts.definition(d.name)
	if !ok {
		return split, most, fault.NotFound("no rollout %q", d.name)
	}
	if split, err = d.proxy.Split(def.Route); err != nil {
		return split, most, err
	}
	weight := 0.0
	for _, p := range split.Sides {
		if p.Weight > weight {
			weight, most = p.Weight, p.Side
		}
	}
	return split, most, nil
}

// seen is an instance as users see it: at the route, whatever its slot.
func (d *rolled) seen(inst deploy.Instance, t deploy.Target) (deploy.Instance, error) {
	def, ok := d.rollouts.definition(d.name)
	if !ok {
		return inst, fault.NotFound("no rollout %q", d.name)
	}
	status, err := d.proxy.Route(def.Route)
	inst.Target, inst.Address = t, "http://"+status.Address
	return inst, err
}

// Current implements deploy.Deployer.
func (d *rolled) Current(ctx context.Context, t deploy.Target) (deploy.Instance, error) {
	_, side, err := d.users()
	if err != nil {
		return deploy.Instance{}, err
	}
	inst, err := d.at(ctx, t, side)
	if err != nil {
		return inst, err
	}
	return d.seen(inst, t)
}

func (d *rolled) at(ctx context.Context, t deploy.Target, side traffic.Side) (deploy.Instance, error) {
	if !strings.HasPrefix(side.Name, slotPrefix) {
		return deploy.Instance{}, fault.NotFound("nothing was deployed to %s", t)
	}
	t.Slot = side.Name
	return d.inner.Current(ctx, t)
}

// Previous implements deploy.Deployer.
func (d *rolled) Previous(ctx context.Context, t deploy.Target) (deploy.Instance, error) {
	run, ok, err := d.kept(ctx)
	if err != nil {
		return deploy.Instance{}, err
	}
	if !ok {
		return deploy.Instance{}, fault.NotFound("no version is kept beside the one at %s", t)
	}
	inst, err := d.at(ctx, t, run.Stable)
	inst.Target = t
	return inst, err
}

// Health implements deploy.Deployer.
func (d *rolled) Health(ctx context.Context, t deploy.Target) (deploy.Health, error) {
	_, side, err := d.users()
	if err != nil {
		return deploy.Health{}, err
	}
	own := t
	own.Slot = side.Name
	return d.inner.Health(ctx, own)
}

// release takes the slot of a side away that no user will be sent to any more.
// Sides that no pipeline deployed are left alone.
func (a *App) release(ctx context.Context, r rollout.Run, side traffic.Side) error {
	place := strings.Split(r.Correlation, "/")
	if len(place) != 4 || place[0] != "deployed" || !strings.HasPrefix(side.Name, slotPrefix) {
		return nil
	}
	inner, err := a.deployers.plain(place[1])
	if err != nil {
		return err
	}
	return remove(ctx, inner, deploy.Target{App: place[2], Environment: place[3], Slot: side.Name})
}

func remove(ctx context.Context, from deploy.Deployer, t deploy.Target) error {
	r, ok := from.(deploy.Remover)
	if !ok || !strings.HasPrefix(t.Slot, slotPrefix) {
		return nil
	}
	if err := r.Remove(ctx, t); err != nil && !fault.Is(err, fault.KindNotFound) {
		return err
	}
	return nil
}
