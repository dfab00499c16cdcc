package problem

import (
	"context"
	"sync"
	"time"

	"github.com/tidegate-io/tidegate/entity"
)

// Call is that one service calls another. Environment is that of the called
// side, empty where telemetry does not say.
type Call struct {
	Client, Server string
	Environment    string
}

// Graph knows which services call each other.
type Graph interface {
	// Calls returns the calls seen in a time, each pair once per environment.
	Calls(ctx context.Context, from, to time.Time) ([]Call, error)
}

// GraphFunc makes a Graph of a function.
type GraphFunc func(ctx context.Context, from, to time.Time) ([]Call, error)

// Calls implements Graph.
func (f GraphFunc) Calls(ctx context.Context, from, to time.Time) ([]Call, error) {
	return f(ctx, from, to)
}

// How much of the past makes the graph, and how old it may be.
const (
	graphSpan  = time.Hour
	graphFresh = 30 * time.Second
	maxCalls   = 20_000
)

// topology is a graph as it was at one time. It is immutable but for what it
// remembers of the distances asked for.
type topology struct {
	maxHops int
	callees map[string][]Call
	callers map[string]bool // services that something calls

	mu   sync.Mutex
	near map[node]map[string]int
}

type node struct{ service, environment string }

func newTopology(calls []Call, maxHops int) *topology {
	t := &topology{maxHops: maxHops, callees: map[string][]Call{}, callers: map[string]bool{}, near: map[node]map[string]int{}}
	if len(calls) > maxCalls {
		calls = calls[:maxCalls]
	}
	for _, c := range calls {
		if c.Client == c.Server || c.Client == "" || c.Server == "" {
			continue
		}
		t.callees[c.Client] = append(t.callees[c.Client], c)
		t.callers[c.Server] = true
	}
	return t
}

// hops returns over how many calls, in one direction, two places are
// connected: 0 for one service. Places in different environments are not.
func (t *topology) hops(a, b entity.Ref) (int, bool) {
	if a.Service == "" || b.Service == "" || !sameEnvironment(a.Environment, b.Environment) {
		return 0, false
	}
	if a.Service == b.Service {
		return 0, true
	}
	env := a.Environment
	if env == "" {
		env = b.Environment
	}
	down, isDown := t.reachable(node{a.Service, env})[b.Service]
	up, isUp := t.reachable(node{b.Service, env})[a.Service]
	switch {
	case isDown && (!isUp || down <= up):
		return down, true
	case isUp:
		return up, true
	}
	return 0, false
}

func sameEnvironment(a, b string) bool { return a == "" || b == "" || a == b }

// reachable returns the services that n calls, directly or not, with their
// distances.
func (t *topology) reachable(n node) map[string]int {
	t.mu.Lock()
	defer t.mu.Unlock()
	if out, ok := t.near[n]; ok {
		return out
	}
	out := map[string]int{}
	for level, at := 1, []string{n.service}; level <= t.maxHops && len(at) > 0; level++ {
		var next []string
		for _, s := range at {
			for _, c := range t.callees[s] {
				if _, seen := out[c.Server]; seen || c.Server == n.service || !sameEnvironment(c.Environment, n.environment) {
					continue
				}
				out[c.Server] = level
				next = append(next, c.Server)
			}
		}
		at = next
	}
	t.near[n] = out
	return out
}

// edge reports whether nobody is known to call the service: users do.
func (t *topology) edge(service string) bool { return !t.callers[service] }

// topologies keeps the graph for a while, and the last one when a new one
// cannot be had.
type topologies struct {
	graph Graph
	hops  int

	mu   sync.Mutex
	at   time.Time
	last *topology
}

// now returns the graph; the error says that it is an old one.
func (t *topologies) now(ctx context.Context, now time.Time) (*topology, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.last == nil {
		t.last = newTopology(nil, t.hops)
	}
	if t.graph == nil || now.Sub(t.at) < graphFresh && !now.Before(t.at) {
		return t.last, nil
	}
	calls, err := t.graph.Calls(ctx, now.Add(-graphSpan), now)
	if err != nil {
		return t.last, err
	}
	t.at, t.last = now, newTopology(calls, t.hops)
	return t.last, nil
}
