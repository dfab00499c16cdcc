package app

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/tidegate-io/tidegate/delivery/deploy"
	"github.com/tidegate-io/tidegate/delivery/rollout"
	"github.com/tidegate-io/tidegate/fault"
)

// slots is a deployer whose revisions are servers that say their version.
type slots struct {
	mu      sync.Mutex
	running map[string]deploy.Instance // by slot
	servers map[string]*httptest.Server
	removed []string
}

func (s *slots) Deploy(_ context.Context, r deploy.Request) (deploy.Instance, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if r.Revision.Version == "broken" {
		return deploy.Instance{}, &deploy.Failure{Cause: deploy.CauseCrash, Version: "broken"}
	}
	if inst, ok := s.running[r.Slot]; ok {
		return inst, nil
	}
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, r.Revision.Version) }))
	s.servers[r.Slot] = srv
	s.running[r.Slot] = deploy.Instance{Target: r.Target, Key: r.Key, Revision: r.Revision, Address: srv.URL}
	return s.running[r.Slot], nil
}

func (s *slots) Rollback(ctx context.Context, r deploy.Request) (deploy.Instance, error) {
	return s.Deploy(ctx, r)
}

func (s *slots) Current(_ context.Context, t deploy.Target) (deploy.Instance, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if inst, ok := s.running[t.Slot]; ok {
		return inst, nil
	}
	return deploy.Instance{}, fault.NotFound("nothing in %s", t.Slot)
}

func (s *slots) Previous(context.Context, deploy.Target) (deploy.Instance, error) {
	return deploy.Instance{}, fault.NotFound("nothing")
}

func (s *slots) Health(ctx context.Context, t deploy.Target) (deploy.Health, error) {
	_, err := s.Current(ctx, t)
	return deploy.Health{}, err
}

func (s *slots) Remove(_ context.Context, t deploy.Target) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.removed = append(s.removed, s.running[t.Slot].Revision.Version)
	if srv := s.servers[t.Slot]; srv != nil {
		srv.Close()
	}
	delete(s.running, t.Slot)
	return nil
}

const rolledManifests = `
apiVersion: tidegate.dev/v1
kind: Route
metadata: {name: shop}
spec: {listen: "127.0.0.1:0", service: shop-edge, drain: 1s}
---
apiVersion: tidegate.dev/v1
kind: Rollout
metadata: {name: blue-green}
spec: {route: shop, keep: 1h, steps: [{weight: 100%}]}
---
apiVersion: tidegate.dev/v1
kind: Rollout
metadata: {name: asks}
spec: {route: shop, keep: 1h, steps: [{weight: 10%, approve: true}]}
`

// A pipeline's deployments get their users by rollouts: the first one all of
// them, the next beside it; what is taken back or replaced is taken away.
func TestDeploymentsAreRolledOut(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	a, err := New(ctx, Config{Version: "test", Dir: t.TempDir(), Listen: Listen{API: "127.0.0.1:0", OTLPGRPC: "127.0.0.1:0", OTLPHTTP: "127.0.0.1:0",
		FlagEvaluation: "127.0.0.1:0", FlagSync: "127.0.0.1:0", OFREP: "127.0.0.1:0"}})
	if err != nil {
		t.Fatal(err)
	}
	s := &slots{running: map[string]deploy.Instance{}, servers: map[string]*httptest.Server{}}
	a.deployers.byName["process"] = s
	ready, ended := make(chan struct{}), make(chan error, 1)
	go func() { ended <- a.Run(ctx, func(Listen) error { close(ready); return nil }) }()
	<-ready
	defer func() { cancel(); <-ended }()
	if _, err := a.catalog.Apply(ctx, "test.yaml", []byte(rolledManifests), false); err != nil {
		t.Fatal(err)
	}
	if _, err := a.deployers.Deployer("process", "no-such"); !fault.Is(err, fault.KindInvalid) {
		t.Errorf("an unknown strategy: %v", err)
	}
	strategy := func(name string) deploy.Deployer {
		d, err := a.deployers.Deployer("process", name)
		if err != nil {
			t.Fatal(err)
		}
		return d
	}
	place := deploy.Target{App: "shop", Environment: "production"}
	request := func(version string) deploy.Request {
		return deploy.Request{Key: "key-" + version, Target: place, Revision: deploy.Revision{Version: version}}
	}
	answers := func(address, want string) {
		t.Helper()
		res, err := http.Get(address)
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		if body, _ := io.ReadAll(res.Body); string(body) != want {
			t.Errorf("version %s answers, want %s", body, want)
		}
	}
	d := strategy("blue-green")
	if _, err := d.Current(ctx, place); !fault.Is(err, fault.KindNotFound) {
		t.Errorf("before the first: %v", err)
	}
	one, err := d.Deploy(ctx, request("1"))
	if err != nil || one.Slot != "" || one.Revision.Version != "1" {
		t.Fatalf("first: %+v, %v", one, err)
	}
	answers(one.Address, "1")
	two, err := d.Deploy(ctx, request("2"))
	if err != nil || two.Address != one.Address {
		t.Fatalf("second: %+v, %v", two, err)
	}
	answers(one.Address, "2")
	if again, err := d.Deploy(ctx, request("2")); err != nil || again.Revision.Version != "2" || len(s.running) != 2 {
		t.Errorf("the same again: %+v, %v, %d running", again, err, len(s.running))
	}
	if p, err := d.Previous(ctx, place); err != nil || p.Revision.Version != "1" {
		t.Errorf("previous: %+v, %v", p, err)
	}
	// The version before is kept: its users are back at once.
	back, err := d.Rollback(ctx, deploy.Request{Key: "back-1", Target: place, Revision: deploy.Revision{Version: "1"}})
	if err != nil || back.Revision.Version != "1" {
		t.Fatalf("back: %+v, %v", back, err)
	}
	answers(one.Address, "1")
	if !slices.Equal(s.removed, []string{"2"}) {
		t.Errorf("removed %v, want 2", s.removed)
	}
	// A version that does not even start changes nothing.
	var f *deploy.Failure
	if _, err := d.Deploy(ctx, request("broken")); !errors.As(err, &f) || f.Cause != deploy.CauseCrash {
		t.Errorf("broken: %v", err)
	}
	// One that is taken back during its rollout is a failed deployment.
	result := make(chan error, 1)
	go func() { _, err := strategy("asks").Deploy(ctx, request("3")); result <- err }()
	api := rolloutAPI{a.rollouts, a.db.Rollouts(), a.catalog}
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		runs, err := api.Runs(ctx, rollout.Query{Rollout: "asks"})
		if err == nil && len(runs) == 1 && runs[0].Phase == rollout.PhasePause {
			if _, err := api.Abort(ctx, runs[0].ID, "bob", "customers call"); err != nil {
				t.Fatal(err)
			}
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("%v, %v", runs, err)
		}
	}
	if err := <-result; !errors.As(err, &f) || f.Kept != "1" || f.Version != "3" {
		t.Errorf("taken back: %v", err)
	}
	answers(one.Address, "1")
	// Where nothing is kept, an earlier version gets everybody without steps.
	if _, err := d.Rollback(ctx, deploy.Request{Key: "back-0", Target: place, Revision: deploy.Revision{Version: "0"}}); err != nil {
		t.Fatal(err)
	}
	answers(one.Address, "0")
	if !slices.Equal(s.removed, []string{"2", "3", "1"}) || len(s.running) != 1 {
		t.Errorf("removed %v, %d running", s.removed, len(s.running))
	}
	r := request("4")
	r.Spec.Port = 8080
	if _, err := d.Deploy(ctx, r); !fault.Is(err, fault.KindInvalid) {
		t.Errorf("a fixed port: %v", err)
	}
}
