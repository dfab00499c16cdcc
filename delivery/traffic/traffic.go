// Package traffic decides which version answers a request. A Route is an
// address that users call; behind it stand Sides, each a running version, and
// a Split says what share of the requests each gets.
//
// A caller stays with its side: it is placed at a fixed point of [0, 100)
// percent by its cookie or header, the candidate gets the points below its
// weight, and so raising the weight only ever moves callers to the candidate,
// never back and forth. Callers without either are placed at random.
//
// The package is pure: placing and splitting. internal/proxy forwards.
package traffic

import (
	"context"
	"hash/fnv"
	"net/url"
	"regexp"
	"slices"
	"time"

	"github.com/tidegate-io/tidegate/fault"
)

// Limits of a definition.
const (
	MaxSides     = 8
	maxName      = 100
	maxHeader    = 100
	DefaultDrain = 30 * time.Second
	maxDrain     = time.Hour
)

// Route is an address that users call.
type Route struct {
	Name   string            `json:"name"`
	Labels map[string]string `json:"labels,omitempty"`
	// Listen is host:port; port 0 takes a free one.
	Listen string `json:"listen"`
	// Service and Environment are what the proxy reports its requests under,
	// with the version of the side that answered. The service should not be
	// the name that the application reports itself, or requests count twice.
	Service     string `json:"service"`
	Environment string `json:"environment,omitempty"`

	// StickyCookie is the cookie that keeps a browser with its side; the proxy
	// sets it. StickyHeader is one that callers send, like a user id. At most
	// one is set; with neither every request is placed anew.
	StickyCookie string `json:"stickyCookie,omitempty"`
	StickyHeader string `json:"stickyHeader,omitempty"`
	// ForceHeader is a header in which a tester names the side, whatever its
	// weight; empty turns that off.
	ForceHeader string `json:"forceHeader,omitempty"`
	// Drain is how long requests under way may take to end after their side
	// was taken out; default 30 s.
	Drain time.Duration `json:"drain,omitempty" doc:"nanoseconds"`
	// Sides that are there from the start, for backends that are not deployed
	// by Tidegate. The first gets all requests until a rollout says otherwise.
	Sides []Side `json:"sides,omitempty"`
}

// Side is one running version behind a route.
type Side struct {
	// Name is what rollouts and the force header call it: stable, blue.
	Name    string `json:"name"`
	Version string `json:"version,omitempty"`
	// URL is the base URL of the backend.
	URL string `json:"url"`
}

// Split is who gets what share.
type Split struct {
	Route string `json:"route"`
	// Generation increases with every change; an older one never replaces a
	// newer one.
	Generation int64  `json:"generation"`
	Sides      []Part `json:"sides"`
}

// Part is one side's share.
type Part struct {
	Side
	// Weight in percent of the requests; the weights of a split add up to 100.
	Weight float64 `json:"weight"`
}

var (
	nameForm   = regexp.MustCompile(`^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$`)
	headerForm = regexp.MustCompile(`^[A-Za-z0-9!#$%&'*+.^_|~-]+$`) // RFC 9110 token
)

// Validate reports the first thing that is wrong, as a fault of KindInvalid
// whose field is the path in the manifest.
func (r *Route) Validate() error {
	switch {
	case len(r.Name) > maxName || !nameForm.MatchString(r.Name):
		return fault.InvalidField("metadata.name", "expected lower-case letters, digits, dashes and dots, got %q", r.Name)
	case r.Listen == "":
		return fault.InvalidField("spec.listen", "which address do users call? for example 127.0.0.1:8080")
	case r.Service == "":
		return fault.InvalidField("spec.service", "under which service are the requests reported?")
	case r.StickyCookie != "" && r.StickyHeader != "":
		return fault.InvalidField("spec.sticky", "expected cookie or header, not both")
	case r.Drain < 0 || r.Drain > maxDrain:
		return fault.InvalidField("spec.drain", "expected between 0s and %s, got %s", maxDrain, r.Drain)
	case len(r.Sides) > MaxSides:
		return fault.InvalidField("spec.sides", "at most %d, got %d", MaxSides, len(r.Sides))
	}
	for field, v := range map[string]string{"spec.sticky.cookie": r.StickyCookie, "spec.sticky.header": r.StickyHeader, "spec.force.header": r.ForceHeader} {
		if v != "" && (len(v) > maxHeader || !headerForm.MatchString(v)) {
			return fault.InvalidField(field, "%q is not the name of a header or cookie", v)
		}
	}
	seen := map[string]bool{}
	for _, s := range r.Sides {
		if err := s.Validate(); err != nil {
			return err
		}
		if seen[s.Name] {
			return fault.InvalidField("spec.sides", "side %q is there twice", s.Name)
		}
		seen[s.Name] = true
	}
	return nil
}

// Validate reports the first thing that is wrong with a side.
func (s Side) Validate() error {
	if len(s.Name) > maxName || !nameForm.MatchString(s.Name) {
		return fault.InvalidField("sides.name", "expected lower-case letters, digits, dashes and dots, got %q", s.Name)
	}
	u, err := url.Parse(s.URL)
	if err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Host == "" || u.User != nil {
		return fault.InvalidField("sides."+s.Name+".url", "%q: expected http://host:port without user and password", s.URL)
	}
	return nil
}

// Validate checks that the sides are right and the weights add up to 100 %.
func (s Split) Validate() error {
	if len(s.Sides) == 0 || len(s.Sides) > MaxSides {
		return fault.InvalidField("sides", "expected 1 to %d sides, got %d", MaxSides, len(s.Sides))
	}
	sum, seen := 0.0, map[string]bool{}
	for _, p := range s.Sides {
		if err := p.Side.Validate(); err != nil {
			return err
		}
		if seen[p.Name] {
			return fault.InvalidField("sides", "side %q is there twice", p.Name)
		}
		seen[p.Name] = true
		if !(p.Weight >= 0 && p.Weight <= 100) {
			return fault.InvalidField("sides."+p.Name+".weight", "expected between 0%% and 100%%, got %v", p.Weight)
		}
		sum += p.Weight
	}
	if sum < 99.999 || sum > 100.001 {
		return fault.InvalidField("sides", "the weights add up to %g %%, expected 100 %%", sum)
	}
	return nil
}

// Status is a route as it is now.
type Status struct {
	Route   Route        `json:"route"`
	Address string       `json:"address"`
	Split   Split        `json:"split"`
	Sides   []SideStatus `json:"sides"`
}

// SideStatus counts the requests of one side since the process started.
type SideStatus struct {
	Side     string `json:"side"`
	Version  string `json:"version,omitempty"`
	Requests int64  `json:"requests"`
	// Failures are answers of 500 and above, and requests without an answer.
	Failures int64 `json:"failures"`
	// Rescued are requests that went to another side because this one could
	// not be connected to; they are failures of this side.
	Rescued  int64 `json:"rescued,omitempty"`
	InFlight int64 `json:"inFlight"`
}

// Store keeps splits. Safe for concurrent use; what returned without an error
// survives a crash.
type Store interface {
	// PutSplit replaces the split of a route unless the stored one has the
	// same or a later generation: that is a fault of KindConflict.
	PutSplit(ctx context.Context, s Split) error
	// Splits returns those of all routes, also of some that are gone.
	Splits(ctx context.Context) ([]Split, error)
}

// At returns the side that owns a point of [0, 100). The last side with a
// weight, the candidate by convention, owns the lowest points, so that its
// callers stay with it while its weight grows.
func (s Split) At(point float64) Side {
	below := 0.0
	for _, p := range slices.Backward(s.Sides) {
		if below += p.Weight; point < below {
			return p.Side
		}
	}
	return s.Sides[0].Side
}

// Side returns a side by name, whatever its weight.
func (s Split) Side(name string) (Side, bool) {
	for _, p := range s.Sides {
		if p.Name == name {
			return p.Side, true
		}
	}
	return Side{}, false
}

// Weight returns the share of a side in percent.
func (s Split) Weight(name string) float64 {
	for _, p := range s.Sides {
		if p.Name == name {
			return p.Weight
		}
	}
	return 0
}

// With returns the split in which the candidate has the weight in percent and
// the stable side the rest; other sides are gone. A candidate of the same name
// as the stable side replaces it with all requests.
func (s Split) With(stable, candidate Side, weight float64) Split {
	out := Split{Route: s.Route, Generation: s.Generation + 1}
	if stable.Name == candidate.Name {
		out.Sides = []Part{{candidate, 100}}
		return out
	}
	out.Sides = []Part{{stable, 100 - weight}, {candidate, weight}}
	return out
}

// Same reports whether both splits give the same sides the same shares.
func (s Split) Same(other Split) bool { return slices.Equal(s.Sides, other.Sides) }

// Point places a caller by its key: uniform over [0, 100), and the same for
// the same key on the same route.
func Point(route, key string) float64 {
	h := fnv.New64a()
	h.Write([]byte(route))
	h.Write([]byte{0})
	h.Write([]byte(key))
	return float64(mix(h.Sum64())>>11) / (1 << 53) * 100
}

// mix is the finaliser of SplitMix64 (Steele, Lea, Flood, OOPSLA 2014): the
// high bits of FNV-1a alone are not uniform for short keys.
func mix(z uint64) uint64 {
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return z ^ z>>31
}
