package manifest

import (
	"time"

	"github.com/tidegate-io/tidegate/delivery/rollout"
	"github.com/tidegate-io/tidegate/delivery/traffic"
)

// Route is the spec of kind Route: an address that users call, and the
// versions behind it.
type Route struct {
	Listen      string `json:"listen" doc:"host:port that users call"`
	Service     string `json:"service" doc:"name under which requests are reported; another than the application reports itself"`
	Environment string `json:"environment,omitempty"`
	// Sticky keeps callers with the version they had first.
	Sticky *Sticky   `json:"sticky,omitempty" doc:"cookie or header that keeps a caller with its version; without it every request is placed anew"`
	Force  *Force    `json:"force,omitempty" doc:"header in which a tester names the side"`
	Drain  *Duration `json:"drain,omitempty" doc:"how long requests under way may take after their version was taken out; default 30s"`
	Sides  []Side    `json:"sides,omitempty" doc:"versions that run already; the first gets all requests until a rollout says otherwise"`
}

// Sticky says how callers are recognised; exactly one of both.
type Sticky struct {
	Cookie string `json:"cookie,omitempty" doc:"set by the proxy"`
	Header string `json:"header,omitempty" doc:"sent by callers, for example a user id"`
}

// Force names the header for testers.
type Force struct {
	Header string `json:"header"`
}

// Side is a running version.
type Side struct {
	Name    string `json:"name"`
	Version string `json:"version,omitempty"`
	URL     string `json:"url"`
}

func (r *Route) check(c *checker) {
	if s := r.Sticky; s != nil && (s.Cookie == "") == (s.Header == "") {
		c.at("sticky").errorf("expected either cookie or header")
		return
	}
	def := r.Definition("check", nil)
	if err := def.Validate(); err != nil {
		c.fault(err)
	}
}

// Definition returns the route as the domain knows it.
func (r *Route) Definition(name string, labels map[string]string) traffic.Route {
	out := traffic.Route{Name: name, Labels: labels, Listen: r.Listen, Service: r.Service, Environment: r.Environment}
	if s := r.Sticky; s != nil {
		out.StickyCookie, out.StickyHeader = s.Cookie, s.Header
	}
	if r.Force != nil {
		out.ForceHeader = r.Force.Header
	}
	if r.Drain != nil {
		out.Drain = time.Duration(*r.Drain)
	}
	for _, s := range r.Sides {
		out.Sides = append(out.Sides, traffic.Side{Name: s.Name, Version: s.Version, URL: s.URL})
	}
	return out
}

// Rollout is the spec of kind Rollout: how a new version, or a flag, gets its
// users.
type Rollout struct {
	Route    string        `json:"route,omitempty" doc:"whose traffic is moved"`
	Flag     *RampedFlag   `json:"flag,omitempty" doc:"whose variant is given to more and more callers, instead of a route"`
	Target   Target        `json:"target,omitempty" doc:"the service that changes; default: that of the route or flag"`
	Guardian string        `json:"guardian,omitempty" doc:"judges each step; its variables candidate and stable are the versions"`
	Steps    []RolloutStep `json:"steps" doc:"blue/green is one step of 100%"`
	HoldFor  *Duration     `json:"holdFor,omitempty" doc:"how long a step without a clear verdict is judged again; default 10m"`
	Keep     *Duration     `json:"keep,omitempty" doc:"how long the replaced version is kept for an instant switch back; default 5m"`
}

// RampedFlag is the variant of a flag that is rolled out.
type RampedFlag struct {
	Set     string `json:"set,omitempty"`
	Key     string `json:"key"`
	Variant string `json:"variant"`
}

// RolloutStep is one share of the traffic.
type RolloutStep struct {
	Weight   Percent  `json:"weight" doc:"share of the callers, for example 5%"`
	LoadTest string   `json:"loadTest,omitempty" doc:"run first; its window is judged"`
	For      Duration `json:"for,omitempty" doc:"length of the judged window"`
	Pause    Duration `json:"pause,omitempty" doc:"wait after the verdict"`
	Approve  bool     `json:"approve,omitempty" doc:"wait for a person"`
}

func (r *Rollout) check(c *checker) {
	def := r.Definition("check", nil)
	if err := def.Validate(); err != nil {
		c.fault(err)
	}
}

// Definition returns the rollout as the domain knows it.
func (r *Rollout) Definition(name string, labels map[string]string) rollout.Rollout {
	out := rollout.Rollout{Name: name, Labels: labels, Target: r.Target.ref(), Route: r.Route, Guardian: r.Guardian}
	if f := r.Flag; f != nil {
		out.Flag = &rollout.Flag{Set: f.Set, Key: f.Key, Variant: f.Variant}
	}
	if r.HoldFor != nil {
		out.HoldFor = time.Duration(*r.HoldFor)
	}
	if r.Keep != nil {
		out.Keep = time.Duration(*r.Keep)
	}
	for _, s := range r.Steps {
		out.Steps = append(out.Steps, rollout.Step{Weight: float64(s.Weight) * 100, LoadTest: s.LoadTest,
			For: time.Duration(s.For), Pause: time.Duration(s.Pause), Approve: s.Approve})
	}
	return out
}
