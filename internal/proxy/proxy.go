// Package proxy forwards the requests of routes to the sides that a split
// gives them to, and reports each request as a span of the version that
// answered, so that versions can be judged against each other.
//
// Changing a split loses nothing: a request is placed once, when it arrives,
// and stays with its side to the end; Drained says when a side that was taken
// out has answered its last one. A side that cannot be connected to is
// reported as failed, and its request, of which nothing was sent yet, goes to
// the side with the most weight.
//
// A split is stored before it is in force, so a restart continues with it.
// Package traffic decides, net/http/httputil forwards.
package proxy

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/tidegate-io/tidegate/delivery/traffic"
	"github.com/tidegate-io/tidegate/fault"
)

// Config configures a Server. Store is required.
type Config struct {
	Store traffic.Store
	// OTLP is the address that takes OTLP over HTTP; without it nothing is
	// reported.
	OTLP string
	// Token is shown there; may be empty.
	Token string
	// Changed is told of every split that comes into force; it must not block.
	Changed func(traffic.Split)
	Logger  *slog.Logger
}

// Server serves all routes. Safe for concurrent use.
type Server struct {
	cfg Config
	log *slog.Logger

	mu     sync.Mutex
	stored map[string]traffic.Split // of routes that may come back, too
	routes map[string]*route
	wait   sync.WaitGroup
	closed bool
}

// New returns a Server with the splits of an earlier process. Nothing is
// served before Define.
func New(ctx context.Context, cfg Config) (*Server, error) {
	if cfg.Store == nil {
		return nil, fault.Invalid("proxy: a store is needed")
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	if cfg.Changed == nil {
		cfg.Changed = func(traffic.Split) {}
	}
	s := &Server{cfg: cfg, log: cfg.Logger, stored: map[string]traffic.Split{}, routes: map[string]*route{}}
	splits, err := cfg.Store.Splits(ctx)
	if err != nil {
		return nil, fmt.Errorf("splits: %w", err)
	}
	for _, split := range splits {
		s.stored[split.Route] = split
	}
	return s, nil
}

// Define makes these the routes in force: new ones open their ports, those
// that are gone finish their requests and close, others stay as they are or
// take over new settings. A port that cannot be opened is an error of that
// route only; the others are in force.
func (s *Server) Define(defs []traffic.Route) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return fault.Unavailable("the proxy has ended")
	}
	wanted := map[string]bool{}
	var errs []error
	for _, d := range defs {
		wanted[d.Name] = true
		if r, ok := s.routes[d.Name]; ok && r.definition().Listen == d.Listen {
			r.redefine(d)
			continue
		} else if ok {
			s.drop(r)
		}
		if err := s.open(d); err != nil {
			errs = append(errs, fmt.Errorf("route %s: %w", d.Name, err))
		}
	}
	for name, r := range s.routes {
		if !wanted[name] {
			s.drop(r)
		}
	}
	return errors.Join(errs...)
}

func (s *Server) open(d traffic.Route) error {
	l, err := net.Listen("tcp", d.Listen)
	if err != nil {
		return fault.Unavailable("cannot listen on %s: %v", d.Listen, err)
	}
	split, ok := s.stored[d.Name]
	if !ok {
		split = initial(d)
	}
	r := newRoute(d, split, l, receiver{s.cfg.OTLP, s.cfg.Token}, s.log.With("route", d.Name))
	s.routes[d.Name] = r
	s.wait.Go(r.serve)
	s.log.Info("route open", "route", d.Name, "address", l.Addr().String())
	return nil
}

// initial gives all requests to the first side of the definition.
func initial(d traffic.Route) traffic.Split {
	split := traffic.Split{Route: d.Name}
	for i, side := range d.Sides {
		weight := 0.0
		if i == 0 {
			weight = 100
		}
		split.Sides = append(split.Sides, traffic.Part{Side: side, Weight: weight})
	}
	return split
}

// drop closes a route once its requests are answered.
func (s *Server) drop(r *route) {
	delete(s.routes, r.definition().Name)
	s.wait.Go(r.close)
}

// Run serves until ctx ends, then lets requests finish.
func (s *Server) Run(ctx context.Context) error {
	<-ctx.Done()
	s.mu.Lock()
	s.closed = true
	for _, r := range s.routes {
		s.drop(r)
	}
	s.mu.Unlock()
	s.wait.Wait()
	return nil
}

// SetSplit stores the split and puts it in force. Faults: KindNotFound for an
// unknown route, KindInvalid for a wrong split, KindConflict when a later one
// is in force.
func (s *Server) SetSplit(ctx context.Context, split traffic.Split) error {
	if err := split.Validate(); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	r, ok := s.routes[split.Route]
	if !ok {
		return fault.NotFound("no route %q", split.Route)
	}
	if now := r.split(); now.Generation >= split.Generation {
		return fault.Conflict("route %s has generation %d already, got %d", split.Route, now.Generation, split.Generation)
	}
	if err := s.cfg.Store.PutSplit(ctx, split); err != nil {
		return err
	}
	s.stored[split.Route] = split
	r.use(split)
	s.cfg.Changed(split)
	return nil
}

// Split returns the split in force.
func (s *Server) Split(name string) (traffic.Split, error) {
	r, err := s.find(name)
	if err != nil {
		return traffic.Split{}, err
	}
	return r.split(), nil
}

// Drained waits until a side has no request under way, or the route's drain
// time is over: then it returns how many are left.
func (s *Server) Drained(ctx context.Context, name, side string) (left int64, err error) {
	r, err := s.find(name)
	if err != nil {
		return 0, err
	}
	deadline := time.NewTimer(r.drain())
	defer deadline.Stop()
	tick := time.NewTicker(drainLook)
	defer tick.Stop()
	for {
		if left = r.inFlight(side); left == 0 {
			return 0, nil
		}
		select {
		case <-ctx.Done():
			return left, ctx.Err()
		case <-deadline.C:
			return left, nil
		case <-tick.C:
		}
	}
}

// drainLook is how often a draining side is looked at.
const drainLook = 20 * time.Millisecond

// Route returns one route as it is now.
func (s *Server) Route(name string) (traffic.Status, error) {
	r, err := s.find(name)
	if err != nil {
		return traffic.Status{}, err
	}
	return r.status(), nil
}

// Routes returns all routes, by name.
func (s *Server) Routes() []traffic.Status {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := make([]traffic.Status, 0, len(s.routes))
	for _, r := range s.routes {
		out = append(out, r.status())
	}
	sortByName(out)
	return out
}

func (s *Server) find(name string) (*route, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if r, ok := s.routes[name]; ok {
		return r, nil
	}
	return nil, fault.NotFound("no route %q", name)
}

// Limits on connections from users.
const (
	headerTimeout = 10 * time.Second
	idleTimeout   = 2 * time.Minute
	maxHeader     = 64 << 10
)

func newHTTPServer(h http.Handler, log *slog.Logger) *http.Server {
	return &http.Server{Handler: h, ReadHeaderTimeout: headerTimeout, IdleTimeout: idleTimeout, MaxHeaderBytes: maxHeader,
		ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelDebug)}
}
