package pipeline

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/google/uuid"

	"github.com/tidegate-io/tidegate/change"
	"github.com/tidegate-io/tidegate/delivery/deploy"
	"github.com/tidegate-io/tidegate/fault"
)

// Defaults and limits of the service.
const (
	defaultConcurrency = 16
	defaultLease       = 15 * time.Second
	claimBatch         = 100
	lookBack           = 200 // releases looked at for what is newer, or was before
	maxWho             = 200
	maxReason          = 2000
)

// Config of a Service. Store and Deployers are required; an action that needs
// an effect that is nil fails.
type Config struct {
	Store      Store
	Deployers  Deployers
	Validator  Validator
	LoadTester LoadTester
	Recorder   Recorder
	Caller     Caller
	Artifacts  Artifacts

	// Owner names this process in leases; default a random name. Where only
	// one process uses the store, a constant name lets a restart resume at
	// once.
	Owner string
	// Concurrency is how many releases are worked on at once; default 16.
	Concurrency int
	// Lease is how long a release is held without a sign of life; default 15 s.
	Lease time.Duration
	// Poll is the pause between two looks at a load test or verdict; default 1 s.
	Poll time.Duration
	// Backoff is the first pause before something is tried again; it doubles,
	// up to a minute. Default 1 s.
	Backoff time.Duration
	// Changed, when set, is called after a release was stored. It must not block.
	Changed func(Release)

	Clock  func() time.Time // default time.Now
	Logger *slog.Logger     // nil discards
}

// Service starts releases and takes them through their stages. Safe for
// concurrent use, and several may share a store.
type Service struct {
	cfg   Config
	store Store
	log   *slog.Logger
	wake  chan struct{}

	mu      sync.Mutex
	defined map[string]*Pipeline
	active  map[string]bool               // releases being worked on here
	woken   map[string]bool               // to be looked at now, due or not
	targets map[deploy.Target]*sync.Mutex // one deployment at a time
}

// New returns a service without pipelines.
func New(cfg Config) (*Service, error) {
	if cfg.Store == nil || cfg.Deployers == nil {
		return nil, fault.Invalid("pipeline: Config.Store and Config.Deployers are required")
	}
	if cfg.Owner == "" {
		cfg.Owner = uuid.NewString()
	}
	if cfg.Concurrency <= 0 {
		cfg.Concurrency = defaultConcurrency
	}
	if cfg.Lease <= 0 {
		cfg.Lease = defaultLease
	}
	if cfg.Poll <= 0 {
		cfg.Poll = time.Second
	}
	if cfg.Backoff <= 0 {
		cfg.Backoff = time.Second
	}
	if cfg.Changed == nil {
		cfg.Changed = func(Release) {}
	}
	if cfg.Clock == nil {
		cfg.Clock = time.Now
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	return &Service{cfg: cfg, store: cfg.Store, log: cfg.Logger, wake: make(chan struct{}, 1),
		defined: map[string]*Pipeline{}, active: map[string]bool{}, woken: map[string]bool{},
		targets: map[deploy.Target]*sync.Mutex{}}, nil
}

// Define replaces all definitions, or none when one of them is invalid.
// Releases that began keep theirs; only its freezes are those now in force.
func (s *Service) Define(pipelines []Pipeline) error {
	defined := make(map[string]*Pipeline, len(pipelines))
	for i := range pipelines {
		p := pipelines[i]
		if err := s.Check(&p); err != nil {
			return fmt.Errorf("pipeline %q: %w", p.Name, err)
		}
		if defined[p.Name] != nil {
			return fault.Invalid("pipeline %q is defined twice", p.Name)
		}
		defined[p.Name] = &p
	}
	s.mu.Lock()
	s.defined = defined
	s.mu.Unlock()
	s.signal()
	return nil
}

// Check validates a definition, also against the deployers there are.
func (s *Service) Check(p *Pipeline) error {
	if err := p.Validate(); err != nil {
		return err
	}
	for i := range p.Stages {
		for j := range p.Stages[i].Actions {
			d := p.Stages[i].Actions[j].Deploy
			if d == nil {
				continue
			}
			if _, err := s.cfg.Deployers.Deployer(d.With, d.Strategy); err != nil {
				return &fault.Error{Kind: fault.KindInvalid, Field: fmt.Sprintf("spec.stages[%d].actions[%d].deploy", i, j), Err: err}
			}
		}
	}
	return nil
}

// Pipelines returns the definitions by name.
func (s *Service) Pipelines(context.Context) ([]Pipeline, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := []Pipeline{}
	for _, name := range slices.Sorted(maps.Keys(s.defined)) {
		out = append(out, *s.defined[name])
	}
	return out, nil
}

// Pipeline returns a definition, or a fault of KindNotFound.
func (s *Service) Pipeline(_ context.Context, name string) (Pipeline, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if p := s.defined[name]; p != nil {
		return *p, nil
	}
	return Pipeline{}, fault.NotFound("no pipeline %q", name)
}

// Release returns a release, or a fault of KindNotFound.
func (s *Service) Release(ctx context.Context, id string) (Release, error) {
	return s.store.Release(ctx, id)
}

// Releases returns releases, newest first.
func (s *Service) Releases(ctx context.Context, q ReleaseQuery) ([]Release, error) {
	return s.store.Releases(ctx, q)
}

// Deployments returns deployments, newest first.
func (s *Service) Deployments(ctx context.Context, q DeploymentQuery) ([]Deployment, error) {
	return s.store.Deployments(ctx, q)
}

// Push is a revision that is to be released.
type Push struct {
	Pipeline string
	Revision deploy.Revision
	Who      string
	Reason   string
	// Key makes the push idempotent: the same one again answers the release
	// that it began. Without one every push is a release.
	Key string
	// Commits that it consists of, newest first, where the source knows them.
	Commits []string

	rerunOf string
}

// Push begins a release. It answers when the release is durable. Faults:
// KindInvalid, KindNotFound for an unknown pipeline.
func (s *Service) Push(ctx context.Context, p Push) (Release, error) {
	def, err := s.Pipeline(ctx, p.Pipeline)
	if err != nil {
		return Release{}, err
	}
	if err := p.Revision.Validate(); err != nil {
		return Release{}, within("revision", err)
	}
	if err := whoWhy(p.Who, p.Reason); err != nil {
		return Release{}, err
	}
	id := change.NewID(s.cfg.Clock())
	if p.Key != "" {
		id = change.DeriveID("release", p.Pipeline, p.Key)
		if old, err := s.store.Release(ctx, id); !fault.Is(err, fault.KindNotFound) {
			return old, err
		}
	}
	r := Release{ID: id, Pipeline: def.Name, Revision: p.Revision, Definition: def, State: StateQueued,
		Stages: newStages(&def), Who: p.Who, Reason: p.Reason, RerunOf: p.rerunOf, Created: s.cfg.Clock().UTC()}
	if r.Changes, err = s.diff(ctx, &r, p.Commits); err != nil {
		return Release{}, err
	}
	r, created, err := s.store.Create(ctx, r)
	if err != nil || !created {
		return r, err
	}
	s.cfg.Changed(r)
	s.Wake(r.ID)
	return r, nil
}

// diff compares with the pipeline's newest release.
func (s *Service) diff(ctx context.Context, r *Release, commits []string) (*Diff, error) {
	last, err := s.store.Releases(ctx, ReleaseQuery{Pipeline: r.Pipeline, Limit: 1})
	if err != nil || len(last) == 0 {
		return nil, err
	}
	old := last[0]
	d := &Diff{Release: old.Number, From: old.Revision.Version, To: r.Revision.Version,
		FromCommit: old.Revision.Commit, ToCommit: r.Revision.Commit, Commits: commits,
		Definition: !sameDefinition(&old.Definition, &r.Definition)}
	if a, b := old.Revision.Artifact, r.Revision.Artifact; s.cfg.Artifacts != nil && a != "" && b != "" {
		if d.Files, err = s.cfg.Artifacts.DiffFiles(ctx, a, b); err != nil {
			return nil, err
		}
	}
	return d, nil
}

func sameDefinition(a, b *Pipeline) bool {
	x, errX := json.Marshal(a)
	y, errY := json.Marshal(b)
	return errX == nil && errY == nil && string(x) == string(y)
}

// Rerun begins a release of the same revision by the definition now in force.
func (s *Service) Rerun(ctx context.Context, id, who, reason string) (Release, error) {
	r, err := s.store.Release(ctx, id)
	if err != nil {
		return Release{}, err
	}
	return s.Push(ctx, Push{Pipeline: r.Pipeline, Revision: r.Revision, Who: who, Reason: reason, rerunOf: r.ID})
}

// Retry begins the stage again that a release ended in. A fault of
// KindConflict when it did not end badly there, or when a newer release has
// been in that stage since: the older revision would replace the newer.
func (s *Service) Retry(ctx context.Context, id, stage, who, reason string) (Release, error) {
	if err := whoWhy(who, reason); err != nil {
		return Release{}, err
	}
	r, err := s.store.Release(ctx, id)
	if err != nil {
		return Release{}, err
	}
	i := r.Definition.stage(stage)
	switch {
	case i < 0:
		return Release{}, fault.NotFound("release %d of %s has no stage %q", r.Number, r.Pipeline, stage)
	case !r.State.Finished() || r.Stage != i || r.State == StateSucceeded || r.State == StateSuperseded:
		return Release{}, fault.Conflict("release %d of %s is %s in stage %s: only the stage that ended badly can be retried",
			r.Number, r.Pipeline, r.State, r.Current().Name)
	}
	newer, err := s.newer(ctx, &r)
	if err != nil {
		return Release{}, err
	}
	for _, o := range newer {
		if !o.Stages[min(i, len(o.Stages)-1)].Entered.IsZero() {
			return Release{}, fault.Conflict("release %d has been in stage %s since: rerun release %d instead", o.Number, stage, r.Number)
		}
	}
	r = r.clone()
	r.again(who, reason)
	ok, err := s.store.Reopen(ctx, r)
	if err != nil {
		return Release{}, err
	}
	if !ok {
		return Release{}, fault.Conflict("release %d of %s is being retried already", r.Number, r.Pipeline)
	}
	s.cfg.Changed(r)
	s.Wake(r.ID)
	return r, nil
}

// again begins the current stage anew.
func (r *Release) again(who, reason string) {
	st := r.Current()
	earlier := append(slices.Clone(st.Earlier), Attempt{Attempt: st.Attempt, State: st.State, Error: st.Error,
		Finished: st.Finished, RetriedBy: who, Reason: reason})
	*st = StageRun{Name: st.Name, Environment: st.Environment, State: StatePending, Attempt: st.Attempt + 1,
		Actions: newActions(&r.Definition.Stages[r.Stage]), Earlier: earlier}
	for i := r.Stage + 1; i < len(r.Stages); i++ {
		r.Stages[i].State = StatePending
	}
	r.State, r.Error, r.Finished, r.Waiting, r.Due = StateQueued, "", time.Time{}, "", time.Time{}
}

// newer returns the pipeline's releases with a higher number.
func (s *Service) newer(ctx context.Context, r *Release) ([]Release, error) {
	all, err := s.store.Releases(ctx, ReleaseQuery{Pipeline: r.Pipeline, Limit: lookBack})
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(all, func(o Release) bool { return o.Number <= r.Number }), nil
}

func whoWhy(who, reason string) error {
	switch {
	case who == "" || len(who) > maxWho || !plain(who):
		return fault.InvalidField("who", "expected a name of 1 to %d characters", maxWho)
	case len(reason) > maxReason || !plain(reason):
		return fault.InvalidField("reason", "expected at most %d characters of text", maxReason)
	}
	return nil
}

func plain(s string) bool { return utf8.ValidString(s) && !strings.ContainsRune(s, 0) }
