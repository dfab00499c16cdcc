package app

import (
	"context"
	"net"
	"time"

	"github.com/tidegate-io/tidegate/change"
	"github.com/tidegate-io/tidegate/delivery/rollout"
	"github.com/tidegate-io/tidegate/delivery/traffic"
	"github.com/tidegate-io/tidegate/entity"
	"github.com/tidegate-io/tidegate/fault"
	"github.com/tidegate-io/tidegate/flag"
	"github.com/tidegate-io/tidegate/guardian"
	"github.com/tidegate-io/tidegate/internal/manifest"
	"github.com/tidegate-io/tidegate/internal/proxy"
	"github.com/tidegate-io/tidegate/loadtest"
)

func (a *App) openTraffic(ctx context.Context) (err error) {
	a.proxy, err = proxy.New(ctx, proxy.Config{
		Store: a.db.Traffic(), OTLP: reachable(a.ports.otlpHTTP.Addr()), Token: first(a.cfg.IngestTokens),
		Changed: func(s traffic.Split) { a.stream.Publish("route", map[string]any{"id": s.Route}) },
		Logger:  a.log.With("part", "routes"),
	})
	if err != nil {
		return err
	}
	a.rollouts, err = rollout.New(rollout.Config{
		Store: a.db.Rollouts(), Mover: &mover{proxy: a.proxy, flags: a.flags},
		Validator: &stepJudge{guardians: a.guardians, catalog: a.catalog}, Tester: &tester{runner: a.loadTests, catalog: a.catalog},
		Recorder: a.changes, Released: a.release,
		Changed: func(r rollout.Run) {
			a.stream.Publish("rollout", map[string]any{"id": r.ID, "rollout": r.Rollout.Name, "state": r.State, "phase": r.Phase})
		},
		Logger: a.log.With("part", "rollouts"),
	})
	a.undo.rollouts = a.rollouts
	return err
}

func first(s []string) string {
	if len(s) == 0 {
		return ""
	}
	return s[0]
}

// reachable is the address by which this process reaches one of its own ports.
func reachable(addr net.Addr) string {
	t, ok := addr.(*net.TCPAddr)
	if !ok || !t.IP.IsUnspecified() {
		return addr.String()
	}
	return (&net.TCPAddr{IP: net.IPv6loopback, Port: t.Port}).String()
}

// Routes returns the definitions.
func (c *catalog) Routes() []traffic.Route {
	var out []traffic.Route
	for _, e := range c.entries("Route") {
		out = append(out, e.Spec.(*manifest.Route).Definition(e.Name(), e.Metadata.Labels))
	}
	return out
}

// Rollouts returns the definitions. One that does not say what it changes is
// about the service of its route.
func (c *catalog) Rollouts() []rollout.Rollout {
	routes := map[string]traffic.Route{}
	for _, r := range c.Routes() {
		routes[r.Name] = r
	}
	var out []rollout.Rollout
	for _, e := range c.entries("Rollout") {
		r := e.Spec.(*manifest.Rollout).Definition(e.Name(), e.Metadata.Labels)
		if route, ok := routes[r.Route]; ok && r.Target == (entity.Ref{}) {
			r.Target = entity.Ref{Service: route.Service, Environment: route.Environment}
		}
		out = append(out, r)
	}
	return out
}

// rolloutAPI joins definitions and engine.
type rolloutAPI struct {
	*rollout.Engine
	rollout.Store
	catalog *catalog
}

func (r rolloutAPI) Rollouts() []rollout.Rollout { return r.catalog.Rollouts() }

func (r rolloutAPI) Run(ctx context.Context, id string) (rollout.Run, error) {
	return r.Store.Run(ctx, id)
}

func (r rolloutAPI) Start(ctx context.Context, name string, req rollout.Request) (rollout.Run, error) {
	def, ok := r.definition(name)
	if !ok {
		return rollout.Run{}, fault.NotFound("no rollout %q", name)
	}
	return r.Engine.Start(ctx, def, req)
}

func (r rolloutAPI) definition(name string) (rollout.Rollout, bool) {
	for _, def := range r.catalog.Rollouts() {
		if def.Name == name {
			return def, true
		}
	}
	return rollout.Rollout{}, false
}

// mover moves the traffic of routes, and the share of a flag's variant.
type mover struct {
	proxy *proxy.Server
	flags *flag.Manager
}

// Stable implements rollout.Mover: the side with the most weight, or the
// variant that all have.
func (m *mover) Stable(ctx context.Context, r rollout.Rollout) (traffic.Side, bool, error) {
	if f := r.Flag; f != nil {
		now, err := m.flags.Flag(ctx, f.Set, f.Key)
		if err == nil && now.Variants[f.Variant] == nil {
			err = fault.InvalidField("flag.variant", "flag %s has no variant %q", f.Key, f.Variant)
		}
		return traffic.Side{Name: now.DefaultVariant, Version: now.DefaultVariant}, true, err
	}
	split, err := m.proxy.Split(r.Route)
	if err != nil || len(split.Sides) == 0 {
		return traffic.Side{}, false, err
	}
	most := split.Sides[0]
	for _, p := range split.Sides {
		if p.Weight > most.Weight {
			most = p
		}
	}
	return most.Side, true, nil
}

// Shift implements rollout.Mover.
func (m *mover) Shift(ctx context.Context, r rollout.Run, weight float64) error {
	if f := r.Rollout.Flag; f != nil {
		variant := f.Variant
		if weight == 0 {
			variant = r.Stable.Name
		}
		_, _, err := m.flags.Set(ctx, flag.Change{Set: f.Set, Key: f.Key, Variant: variant, Percent: weight, Who: r.Who,
			Reason: "rollout " + r.Rollout.Name + ", run " + r.ID})
		return err
	}
	now, err := m.proxy.Split(r.Rollout.Route)
	if err != nil {
		return err
	}
	next := now.With(r.Stable, r.Candidate, weight)
	if next.Same(now) {
		return nil
	}
	return m.proxy.SetSplit(ctx, next)
}

// Drain implements rollout.Mover.
func (m *mover) Drain(ctx context.Context, r rollout.Run, side traffic.Side) (int64, error) {
	if r.Rollout.Flag != nil {
		return 0, nil
	}
	return m.proxy.Drained(ctx, r.Rollout.Route, side.Name)
}

// stepJudge has guardians judge the steps of rollouts.
type stepJudge struct {
	guardians *guardian.Service
	catalog   *catalog
}

// Validate implements rollout.Validator: asking again finds the validation
// that was started before.
func (s *stepJudge) Validate(ctx context.Context, r rollout.Validation) (rollout.StepVerdict, error) {
	g, ok := s.catalog.Guardian(r.Guardian)
	if !ok {
		return rollout.StepVerdict{}, fault.NotFound("no guardian %q", r.Guardian)
	}
	variables := map[string]string{}
	for name, v := range map[string]string{"candidate": r.Candidate, "stable": r.Stable} {
		if _, declared := g.Variables[name]; declared {
			variables[name] = v
		}
	}
	v, err := s.guardians.Start(ctx, guardian.Request{ID: r.ID, Guardian: r.Guardian, Window: guardian.Window{From: r.From, To: r.To},
		Variables: variables, Trigger: "rollout", Who: r.Who})
	if err != nil {
		return rollout.StepVerdict{}, err
	}
	if v, err = s.guardians.Wait(ctx, v.ID); err != nil {
		return rollout.StepVerdict{}, err
	}
	out := rollout.StepVerdict{Validation: v.ID, Status: string(v.Status), Headline: v.Headline}
	if v.Verdict != nil {
		for _, res := range v.Verdict.Results {
			out.Requests = max(out.Requests, float64(res.N))
		}
	}
	if v.Evidence != nil {
		out.FirstFailure = v.Evidence.FirstFailure
	}
	return out, nil
}

// tester runs load tests to their end.
type tester struct {
	runner  *loadtest.Runner
	catalog *catalog
}

// testLook is how often a running load test is looked at.
const testLook = 200 * time.Millisecond

// Test implements rollout.Tester.
func (t *tester) Test(ctx context.Context, name, who string) (from, to time.Time, err error) {
	run, err := loadTestAPI{t.runner, t.catalog}.Start(ctx, name, who)
	if err != nil {
		return from, to, err
	}
	tick := time.NewTicker(testLook)
	defer tick.Stop()
	for run.State == loadtest.StateRunning {
		select {
		case <-tick.C:
		case <-ctx.Done():
			_ = t.runner.Cancel(run.ID, "tidegate", "the rollout that asked for it has ended")
			return from, to, ctx.Err()
		}
		if run, err = t.runner.Get(ctx, run.ID); err != nil {
			return from, to, err
		}
	}
	if run.State != loadtest.StateFinished {
		return from, to, fault.Invalid("load test %s is %s: %s", name, run.State, run.Error)
	}
	return run.Started, run.Finished, nil
}

// undoRollout takes back what a rollout did: it is aborted, which moves all
// traffic back to the stable side.
func (u *undoer) undoRollout(ctx context.Context, e change.Event, who, reason string) (change.Event, error) {
	run, err := u.rollouts.Abort(ctx, e.Undo.Rollout, who, reason)
	if err != nil {
		return change.Event{}, err
	}
	return u.record(ctx, e, who, run.Why)
}
