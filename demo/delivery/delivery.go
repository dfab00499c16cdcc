// Package delivery plays how versions get their users: blue/green, where a bad
// version is switched back within a moment, and a canary, where a good one is
// promoted step by step and a bad one aborted.
//
// Customers send requests all the time, and every single answer is counted.
// Nothing is staged: the stories do what people and tools would do, by the
// server's public API.
package delivery

import (
	"context"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"net/url"
	"os"
	"time"

	"github.com/tidegate-io/tidegate/delivery/rollout"
	"github.com/tidegate-io/tidegate/delivery/traffic"
	"github.com/tidegate-io/tidegate/demo/child"
	"github.com/tidegate-io/tidegate/demo/delivery/manifests"
	"github.com/tidegate-io/tidegate/demo/stage"
)

// Bounds of waiting, generous: a busy machine is slow, not wrong.
const (
	appTimeout     = 30 * time.Second
	rolloutTimeout = 4 * time.Minute
	who            = "alex"
)

// scene is what both stories play on: one service behind a route, with
// customers.
type scene struct {
	*stage.Stage
	began     time.Time
	name      string // of the story
	customers *stage.Customers
	url       string // of the route
	builds    map[string]build
}

// build is one running version.
type build struct {
	process *child.Process
	side    traffic.Side
}

func newScene(cfg stage.Config, name string) (*scene, error) {
	s, err := stage.New(cfg)
	if err != nil {
		return nil, err
	}
	return &scene{Stage: s, began: time.Now(), name: name, builds: map[string]build{}}, nil
}

// socket is opened before anything runs, so that the first version's address
// is known to the manifests.
func socket() (*net.TCPListener, string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, "", err
	}
	return l.(*net.TCPListener), "http://" + l.Addr().String(), nil
}

// open starts the server, the first version, and applies the manifests.
func (s *scene) open(ctx context.Context, side, urlVariable string) error {
	l, address, err := socket()
	if err != nil {
		return err
	}
	defer l.Close()
	if err := s.StartServer(ctx, urlVariable+"="+address); err != nil {
		return err
	}
	if err := s.startOn(ctx, l, traffic.Side{Name: side, Version: "1", URL: address}); err != nil {
		return err
	}
	files, err := fs.Sub(manifests.Files, s.name)
	if err != nil {
		return err
	}
	if err := s.Apply(ctx, files); err != nil {
		return err
	}
	var status traffic.Status
	if err := s.API.Call(ctx, http.MethodGet, "/v1/routes/shop", nil, &status); err != nil {
		return err
	}
	s.url = "http://" + status.Address + "/order"
	return nil
}

// deploy starts a version on a port of its own.
func (s *scene) deploy(ctx context.Context, side, version string, more ...string) error {
	l, address, err := socket()
	if err != nil {
		return err
	}
	defer l.Close()
	return s.startOn(ctx, l, traffic.Side{Name: side, Version: version, URL: address}, more...)
}

func (s *scene) startOn(ctx context.Context, l *net.TCPListener, side traffic.Side, more ...string) error {
	f, err := l.File()
	if err != nil {
		return err
	}
	defer f.Close()
	args := append([]string{"demo", "app", "-listen", "fd:3", "-otlp", s.At.OTLPHTTP, "-service", "shop", "-environment", "production", "-release", side.Version}, more...)
	p, err := s.Start("app-"+side.Version, nil, []*os.File{f}, args...)
	if err != nil {
		return err
	}
	s.builds[side.Version] = build{p, side}
	client := http.Client{Timeout: 2 * time.Second}
	return s.Until(ctx, appTimeout, 20*time.Millisecond, "version "+side.Version+" answers", func() (bool, error) {
		res, err := client.Get(side.URL + "/healthz")
		if err != nil {
			return false, nil //nolint:nilerr // not yet
		}
		res.Body.Close()
		return res.StatusCode == http.StatusOK, nil
	})
}

// rollOut begins a rollout of a running version and waits for its end.
func (s *scene) rollOut(ctx context.Context, name, version string) (rollout.Run, error) {
	var run rollout.Run
	err := s.API.Call(ctx, http.MethodPost, "/v1/rollouts/"+name+"/runs", map[string]any{
		"candidate": s.builds[version].side, "who": who, "reason": "version " + version}, &run)
	if err != nil {
		return run, err
	}
	err = s.Until(ctx, rolloutTimeout, 100*time.Millisecond, "the rollout of version "+version+" has ended", func() (bool, error) {
		if err := s.API.Call(ctx, http.MethodGet, "/v1/rollout-runs/"+url.PathEscape(run.ID), nil, &run); err != nil {
			return false, err
		}
		if run.State == rollout.StateRunning {
			s.Display.Detail("%g %% of the traffic, %s", run.Steps[run.At].Weight, run.Phase)
		}
		ended := run.State != rollout.StateRunning
		return ended && (run.State != rollout.StateAborted || run.Phase == rollout.PhaseDone), nil
	})
	return run, err
}

// settle lets customers buy for a while.
func (s *scene) settle(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return s.Alive()
	case <-ctx.Done():
		return ctx.Err()
	}
}

// stay keeps everything up with its customers.
func (s *scene) Stay(ctx context.Context) error {
	s.Display.Say(fmt.Sprintf(`
Everything stays up, with its customers. Look around:

  UI            %s
  the route     %s
  rollouts      tidegate rollout runs --server %s
  logs          %s

Ctrl-C stops it all.
`, s.API.Base, s.url, s.API.Base, s.Logs()))
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			s.customers.Stop()
			return nil
		case <-tick.C:
			if err := s.Alive(); err != nil {
				return err
			}
		}
	}
}

// around returns the answers to requests around a time: from before, so that
// those under way are in, until after.
func (s *scene) around(from, to time.Time) []stage.Answer {
	return s.customers.Answers(from.Add(-time.Second), to.Add(time.Second))
}

func lost(answers []stage.Answer) (n int) {
	for _, a := range answers {
		if a.Lost() {
			n++
		}
	}
	return n
}

func milliseconds(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
