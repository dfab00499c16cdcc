// Package process runs revisions as local processes.
//
// # A deployment
//
// The new revision starts beside the old one on a free port, must pass its
// health check, and only then becomes the current one; the old one is asked to
// end (SIGTERM) and after its grace killed. With a fixed port the old one has
// to go first; when the new one does not become healthy the old one is started
// again. Either way a revision that fails leaves nothing behind.
//
// # Crashes
//
// Processes live in groups of their own and outlive Tidegate: a restart of
// Tidegate does not interrupt what it runs. What runs is in a state file per
// target, written before it matters: a process starts held at a gate (a shell
// that waits for a word on a pipe and becomes the program) until its id and
// its start time are on disk. If Tidegate dies before, the pipe closes and
// the shell ends; nothing is ever running that is not known. The next Tidegate
// adopts what its state files name, by process id and start time, ends what
// was starting or retiring, and starts again what has ended meanwhile.
//
// A current process that ends by itself is started again, after a pause that
// doubles from one second to a minute.
//
// # Environment
//
// A program gets the server's environment without what looks like secrets,
// PORT, TIDEGATE_APP, TIDEGATE_ENVIRONMENT, TIDEGATE_VERSION, TIDEGATE_SLOT,
// OTEL_SERVICE_NAME and OTEL_RESOURCE_ATTRIBUTES with service.version and
// deployment.environment.name, and what its definition says. ${PORT},
// ${VERSION} and ${ENVIRONMENT} are replaced in arguments and variables. Its
// working directory is the artifact, which it must not change. Its output is
// in a log file of at most 8 MiB, with the end of what was before beside it.
//
// One Tidegate runs the processes of a data directory.
package process

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/tidegate-io/tidegate/delivery/deploy"
	"github.com/tidegate-io/tidegate/fault"
)

// Artifacts finds the content of a revision.
type Artifacts interface {
	Path(digest string) (string, error)
}

// Config of a Deployer. Dir and Artifacts are required.
type Config struct {
	Dir       string
	Artifacts Artifacts
	// Env is set for every program, unless its definition says otherwise.
	Env map[string]string
	// StopAtExit ends all processes when Run does, instead of leaving them
	// for the next one.
	StopAtExit bool
	Logger     *slog.Logger // nil discards
}

// Deployer implements deploy.Deployer and deploy.Remover.
type Deployer struct {
	cfg   Config
	log   *slog.Logger
	probe *http.Client

	mu      sync.Mutex
	targets map[deploy.Target]*place
}

var (
	_ deploy.Deployer = (*Deployer)(nil)
	_ deploy.Remover  = (*Deployer)(nil)
)

const (
	probeTimeout = 2 * time.Second
	superviseGap = 500 * time.Millisecond
	firstPause   = time.Second
	lastPause    = time.Minute
	settled      = time.Minute // a process that lived as long begins anew with pauses
	startTries   = 3           // with another free port, when one was taken meanwhile
)

// New reads what runs. Run looks after it.
func New(cfg Config) (*Deployer, error) {
	if cfg.Dir == "" || cfg.Artifacts == nil {
		return nil, fault.Invalid("process deployer: Config.Dir and Config.Artifacts are required")
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	abs, err := filepath.Abs(cfg.Dir)
	if err != nil {
		return nil, fmt.Errorf("process deployer: %w", err)
	}
	cfg.Dir = abs
	d := &Deployer{cfg: cfg, log: cfg.Logger, targets: map[deploy.Target]*place{},
		probe: &http.Client{Timeout: probeTimeout, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
			Transport: &http.Transport{DisableKeepAlives: true}}}
	files, err := filepath.Glob(filepath.Join(cfg.Dir, "*", "*", "*", stateFile))
	if err != nil {
		return nil, fmt.Errorf("process deployer: %w", err)
	}
	for _, f := range files {
		p, err := readPlace(filepath.Dir(f))
		if err != nil {
			return nil, err
		}
		d.targets[p.state.Target] = p
	}
	return d, nil
}

// Run looks after the processes until ctx ends.
func (d *Deployer) Run(ctx context.Context) error {
	tick := time.NewTicker(superviseGap)
	defer tick.Stop()
	for {
		for _, p := range d.places() {
			d.supervise(ctx, p)
		}
		select {
		case <-ctx.Done():
			return d.exit()
		case <-tick.C:
		}
	}
}

func (d *Deployer) places() []*place {
	d.mu.Lock()
	defer d.mu.Unlock()
	out := make([]*place, 0, len(d.targets))
	for _, p := range d.targets {
		out = append(out, p)
	}
	return out
}

// exit ends what runs, where that was asked for.
func (d *Deployer) exit() error {
	if !d.cfg.StopAtExit {
		return nil
	}
	var all sync.WaitGroup
	for _, p := range d.places() {
		all.Go(func() {
			p.mu.Lock()
			defer p.mu.Unlock()
			p.clear()
			if c := p.state.Current; c != nil {
				stop(c.Process, c.Spec.Grace)
			}
		})
	}
	all.Wait()
	return nil
}

// at returns the place of a target, made when missing.
func (d *Deployer) at(t deploy.Target) *place {
	d.mu.Lock()
	defer d.mu.Unlock()
	p := d.targets[t]
	if p == nil {
		slot := t.Slot
		if slot == "" {
			slot = "_"
		}
		p = &place{dir: filepath.Join(d.cfg.Dir, t.Environment, t.App, slot), state: state{Target: t}}
		d.targets[t] = p
	}
	return p
}

// Deploy implements deploy.Deployer.
func (d *Deployer) Deploy(ctx context.Context, r deploy.Request) (deploy.Instance, error) {
	if err := r.Validate(); err != nil {
		return deploy.Instance{}, err
	}
	r.Spec = r.Spec.WithDefaults(r.App)
	p := d.at(r.Target)
	p.mu.Lock()
	defer p.mu.Unlock()
	if c := p.state.Current; c != nil && c.Key == r.Key {
		return c.instance(r.Target), nil // took place; supervised since
	}
	p.clear()
	old := p.state.Current
	if r.Spec.Port != 0 && old != nil && old.Port == r.Spec.Port {
		stop(old.Process, old.Spec.Grace) // one port, one process
	}
	fresh, failure := d.start(ctx, p, r)
	if failure != nil {
		if old != nil && !alive(old.Process) && ctx.Err() != context.Canceled {
			failure.Detail += d.again(p, old)
		}
		if old != nil {
			failure.Kept = old.Revision.Version
		}
		if ctx.Err() == context.Canceled && context.Cause(ctx) == context.Canceled {
			return deploy.Instance{}, ctx.Err() // interrupted: nobody failed
		}
		return deploy.Instance{}, failure
	}
	p.state.Starting, p.state.Current, p.state.Previous = nil, fresh, old
	if old != nil && alive(old.Process) {
		p.state.Retired = append(p.state.Retired, retired{old.Process, old.Spec.Grace})
	}
	if err := p.write(); err != nil {
		kill(fresh.Process)
		p.state.Current, p.state.Previous, p.state.Retired = old, nil, nil
		return deploy.Instance{}, err
	}
	p.pause, p.next = 0, time.Time{}
	p.clear()
	return fresh.instance(r.Target), nil
}

// Rollback implements deploy.Deployer: going back is deploying what was.
func (d *Deployer) Rollback(ctx context.Context, r deploy.Request) (deploy.Instance, error) {
	return d.Deploy(ctx, r)
}

// again starts what had to go for nothing.
func (d *Deployer) again(p *place, old *running) string {
	proc, err := d.spawn(p, old, func(pr process) error { old.Process = pr; p.state.Starting = nil; return p.write() })
	if err != nil {
		return fmt.Sprintf("; version %s could not be started again: %v", old.Revision.Version, err)
	}
	old.Process = proc
	return ""
}

// start brings a revision up and waits until it is healthy. What fails is
// cleared away.
func (d *Deployer) start(ctx context.Context, p *place, r deploy.Request) (*running, *deploy.Failure) {
	fail := func(cause deploy.Cause, detail string) *deploy.Failure {
		return &deploy.Failure{Cause: cause, Target: r.Target, Version: r.Revision.Version, Detail: detail}
	}
	var why *deploy.Failure
	for range startTries {
		fresh := &running{Key: r.Key, Revision: r.Revision, Spec: r.Spec, Port: r.Spec.Port, Since: time.Now().UTC()}
		if fresh.Port == 0 {
			var err error
			if fresh.Port, err = freePort(); err != nil {
				return nil, fail(deploy.CauseStart, err.Error())
			}
		}
		from := p.logSize()
		if _, err := d.spawn(p, fresh, func(pr process) error { fresh.Process = pr; p.state.Starting = fresh; return p.write() }); err != nil {
			p.clear()
			return nil, fail(deploy.CauseStart, err.Error())
		}
		cause, detail := d.await(ctx, fresh)
		if cause == "" {
			return fresh, nil
		}
		kill(fresh.Process)
		p.clear()
		why = fail(cause, detail)
		why.Output = p.logTail(from)
		if cause != deploy.CauseCrash || r.Spec.Port != 0 || !strings.Contains(why.Output, "address already in use") {
			break
		}
	}
	return nil, why
}

// await waits until a program is healthy, ends, or its time is over.
func (d *Deployer) await(ctx context.Context, r *running) (deploy.Cause, string) {
	limit := time.NewTimer(r.Spec.Check.Within)
	defer limit.Stop()
	tick := time.NewTicker(r.Spec.Check.Every)
	defer tick.Stop()
	for {
		if !alive(r.Process) {
			return deploy.CauseCrash, "before it was healthy"
		}
		last := d.check(ctx, r)
		if last == nil && alive(r.Process) {
			return "", ""
		}
		select {
		case <-tick.C:
		case <-limit.C:
			return deploy.CauseUnhealthy, fmt.Sprintf("not within %s: %v", r.Spec.Check.Within, last)
		case <-ctx.Done():
			return deploy.CauseUnhealthy, fmt.Sprintf("not before the deployment's time was over: %v", last)
		}
	}
}

// check asks a program once.
func (d *Deployer) check(ctx context.Context, r *running) error {
	if r.Spec.Check.None {
		return nil
	}
	if r.Spec.Check.Path == "" {
		c, err := (&net.Dialer{Timeout: probeTimeout}).DialContext(ctx, "tcp", r.hostPort())
		if err != nil {
			return err
		}
		return c.Close()
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+r.hostPort()+r.Spec.Check.Path, nil)
	if err != nil {
		return err
	}
	res, err := d.probe.Do(req)
	if err != nil {
		return err
	}
	res.Body.Close()
	if res.StatusCode >= 400 {
		return fmt.Errorf("%s answered %s", r.Spec.Check.Path, res.Status)
	}
	return nil
}

// supervise starts again what ended by itself, once its pause is over. It
// does not wait for a deployment.
func (d *Deployer) supervise(ctx context.Context, p *place) {
	if !p.mu.TryLock() {
		return
	}
	defer p.mu.Unlock()
	p.clear()
	p.boundLog()
	c := p.state.Current
	if c == nil || alive(c.Process) || ctx.Err() != nil {
		if c != nil && p.pause > 0 && time.Since(p.started) > settled {
			p.pause = 0
		}
		return
	}
	now := time.Now()
	if p.next.IsZero() {
		p.pause = min(max(2*p.pause, firstPause), lastPause)
		p.next = now.Add(p.pause)
		d.log.Warn("a process ended by itself and is started again", "target", p.state.Target.String(), "version", c.Revision.Version, "in", p.pause)
	}
	if now.Before(p.next) {
		return
	}
	p.next = time.Time{}
	c.Restarts++
	if _, err := d.spawn(p, c, func(pr process) error { c.Process = pr; return p.write() }); err != nil {
		d.log.Error("a process cannot be started again", "target", p.state.Target.String(), "version", c.Revision.Version, "error", err)
		return
	}
	p.started = now
}

// Current implements deploy.Deployer.
func (d *Deployer) Current(_ context.Context, t deploy.Target) (deploy.Instance, error) {
	return d.look(t, func(s *state) *running { return s.Current })
}

// Previous implements deploy.Deployer.
func (d *Deployer) Previous(_ context.Context, t deploy.Target) (deploy.Instance, error) {
	return d.look(t, func(s *state) *running { return s.Previous })
}

func (d *Deployer) look(t deploy.Target, which func(*state) *running) (deploy.Instance, error) {
	p := d.at(t)
	p.mu.Lock()
	defer p.mu.Unlock()
	if r := which(&p.state); r != nil {
		return r.instance(t), nil
	}
	return deploy.Instance{}, fault.NotFound("nothing was deployed to %s", t)
}

// Health implements deploy.Deployer.
func (d *Deployer) Health(ctx context.Context, t deploy.Target) (deploy.Health, error) {
	p := d.at(t)
	p.mu.Lock()
	if p.state.Current == nil {
		p.mu.Unlock()
		return deploy.Health{}, fault.NotFound("nothing was deployed to %s", t)
	}
	c := *p.state.Current
	p.mu.Unlock()
	h := deploy.Health{State: deploy.StateHealthy, Restarts: c.Restarts, Checked: time.Now().UTC()}
	if !alive(c.Process) {
		h.State, h.Detail = deploy.StateRestarting, "it ended by itself"
		return h, nil
	}
	if err := d.check(ctx, &c); err != nil {
		h.State, h.Detail = deploy.StateUnhealthy, err.Error()
	}
	return h, nil
}

// Remove implements deploy.Remover.
func (d *Deployer) Remove(_ context.Context, t deploy.Target) error {
	p := d.at(t)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.clear()
	c := p.state.Current
	if c == nil {
		return nil
	}
	p.state.Retired = append(p.state.Retired, retired{c.Process, c.Spec.Grace})
	p.state.Current, p.state.Previous = nil, c
	if err := p.write(); err != nil {
		return err
	}
	p.clear()
	return nil
}

// freePort asks the system for one. Another program may take it before ours
// does: start tries again then.
func freePort() (int, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, fault.Unavailable("no free port: %w", err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port, nil
}

func (r *running) hostPort() string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(r.Port)) }

func (r *running) instance(t deploy.Target) deploy.Instance {
	i := deploy.Instance{Target: t, Key: r.Key, Revision: r.Revision, Since: r.Since}
	if !r.Spec.Check.None {
		i.Address = "http://" + r.hostPort()
	}
	return i
}

// harmless drops variables whose names say that they hold a secret, and our
// own.
func harmless(env []string) []string {
	out := make([]string, 0, len(env))
next:
	for _, kv := range env {
		name, _, _ := strings.Cut(kv, "=")
		for _, word := range []string{"SECRET", "TOKEN", "PASSWORD", "PASSWD", "CREDENTIAL", "PRIVATE", "API_KEY", "APIKEY", "TIDEGATE_"} {
			if strings.Contains(strings.ToUpper(name), word) {
				continue next
			}
		}
		out = append(out, kv)
	}
	return out
}
