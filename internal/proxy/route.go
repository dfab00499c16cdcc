package proxy

import (
	"context"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"

	"github.com/tidegate-io/tidegate/delivery/traffic"
)

// route serves one address.
type route struct {
	listener net.Listener
	server   *http.Server
	otlp     receiver
	log      *slog.Logger

	now atomic.Pointer[table]
	mu  sync.Mutex // changes of now, and sides
	// sides by name and version, also those that drain.
	sides map[string]*side
	// closing are sides that send what telemetry they have left.
	closing sync.WaitGroup
}

// table is what a request is placed by. It never changes.
type table struct {
	def      traffic.Route
	split    traffic.Split
	backends map[string]*side // by name
}

func newRoute(d traffic.Route, split traffic.Split, l net.Listener, otlp receiver, log *slog.Logger) *route {
	r := &route{listener: l, otlp: otlp, log: log, sides: map[string]*side{}}
	r.server = newHTTPServer(r, log)
	r.put(d, split)
	return r
}

func (r *route) serve() { _ = r.server.Serve(r.listener) } // ends with close

func (r *route) close() {
	ctx, cancel := context.WithTimeout(context.Background(), r.drain())
	defer cancel()
	if r.server.Shutdown(ctx) != nil {
		_ = r.server.Close()
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, s := range r.sides {
		r.closing.Go(s.close)
	}
	r.closing.Wait()
}

func (r *route) definition() traffic.Route { return r.now.Load().def }
func (r *route) split() traffic.Split      { return r.now.Load().split }

func (r *route) drain() time.Duration {
	if d := r.definition().Drain; d > 0 {
		return d
	}
	return traffic.DefaultDrain
}

// redefine takes over new settings. As long as no rollout has decided, the
// sides of the definition are the split.
func (r *route) redefine(d traffic.Route) {
	split := r.split()
	if split.Generation == 0 {
		split = initial(d)
	}
	r.put(d, split)
}

func (r *route) use(split traffic.Split) { r.put(r.definition(), split) }

// put makes the definition and split those that requests are placed by.
// Backends that stay keep their connections and counts; those that are gone
// are kept until nothing is under way.
func (r *route) put(d traffic.Route, split traffic.Split) {
	r.mu.Lock()
	defer r.mu.Unlock()
	t := &table{def: d, split: split, backends: map[string]*side{}}
	for _, p := range split.Sides {
		key := strings.Join([]string{d.Service, d.Environment, p.Name, p.Version, p.URL}, "\x00")
		s, ok := r.sides[key]
		if !ok {
			s = newSide(d, p.Side, r.otlp, r.log)
			r.sides[key] = s
		}
		t.backends[p.Name] = s
	}
	r.now.Store(t)
	r.sweep()
}

// sweep closes the sides that were taken out and have nothing under way any
// more. A request counts as under way before it checks that its table is the
// current one, so none is begun with a side that is closed here.
func (r *route) sweep() {
	t := r.now.Load()
	for key, s := range r.sides {
		if t.backends[s.Name] != s && s.inFlight.Load() == 0 {
			delete(r.sides, key)
			r.closing.Go(s.close)
		}
	}
}

func (r *route) inFlight(name string) (n int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, s := range r.sides {
		if s.Name == name {
			n += s.inFlight.Load()
		}
	}
	return n
}

func (r *route) status() traffic.Status {
	t := r.now.Load()
	out := traffic.Status{Route: t.def, Address: r.listener.Addr().String(), Split: t.split, Sides: []traffic.SideStatus{}}
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, s := range r.sides {
		out.Sides = append(out.Sides, s.status())
	}
	slices.SortFunc(out.Sides, func(a, b traffic.SideStatus) int {
		return strings.Compare(a.Side+"\x00"+a.Version, b.Side+"\x00"+b.Version)
	})
	return out
}

func sortByName(all []traffic.Status) {
	slices.SortFunc(all, func(a, b traffic.Status) int { return strings.Compare(a.Route.Name, b.Route.Name) })
}

// ServeHTTP places a request and has its side answer it.
func (r *route) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	point := -1.0
	for {
		t := r.now.Load()
		if len(t.split.Sides) == 0 {
			http.Error(w, "no version is deployed behind route "+t.def.Name+" yet", http.StatusServiceUnavailable)
			return
		}
		s := t.forced(req)
		if s == nil {
			if point < 0 {
				point = traffic.Point(t.def.Name, t.key(w, req))
			}
			s = t.backends[t.split.At(point).Name]
		}
		s.inFlight.Add(1)
		if r.now.Load() == t {
			r.answer(t, s, w, req)
			return
		}
		s.inFlight.Add(-1) // taken out meanwhile, perhaps
	}
}

func (r *route) answer(t *table, s *side, w http.ResponseWriter, req *http.Request) {
	defer func() {
		s.inFlight.Add(-1)
		if r.now.Load() != t {
			r.mu.Lock()
			r.sweep()
			r.mu.Unlock()
		}
	}()
	s.answer(w, req, t.rescue(s))
}

// forced is the side that a tester names.
func (t *table) forced(req *http.Request) *side {
	if t.def.ForceHeader == "" {
		return nil
	}
	return t.backends[req.Header.Get(t.def.ForceHeader)]
}

// key identifies the caller; a browser without a cookie gets one.
func (t *table) key(w http.ResponseWriter, req *http.Request) string {
	if t.def.StickyHeader != "" {
		if v := req.Header.Get(t.def.StickyHeader); v != "" {
			return v
		}
	}
	if t.def.StickyCookie == "" {
		return uuid.NewString()
	}
	if c, err := req.Cookie(t.def.StickyCookie); err == nil && c.Value != "" {
		return c.Value
	}
	id := uuid.NewString()
	http.SetCookie(w, &http.Cookie{Name: t.def.StickyCookie, Value: id, Path: "/", HttpOnly: true, SameSite: http.SameSiteLaxMode,
		Secure: req.TLS != nil, MaxAge: int(stickFor.Seconds())})
	return id
}

// stickFor is how long a browser stays with its place.
const stickFor = 24 * time.Hour

// rescue is the side that takes requests which s cannot be connected for: the
// one with the most weight, or nil when that is s.
func (t *table) rescue(s *side) *side {
	most, weight := (*side)(nil), 0.0
	for _, p := range t.split.Sides {
		if b := t.backends[p.Name]; b != s && p.Weight > weight {
			most, weight = b, p.Weight
		}
	}
	return most
}
