package scenario

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/tidegate-io/tidegate/demo/child"
	"github.com/tidegate-io/tidegate/demo/manifests"
	"github.com/tidegate-io/tidegate/demo/shop"
	"github.com/tidegate-io/tidegate/fault"
)

// stage is what the story plays on: the server and the shop.
type stage struct {
	cfg     Config
	display *display

	children []*child.Process // in the order of their start
	api      *api
	at       addresses
	shop     map[string]net.Listener
	shopURL  string
}

// addresses is what the server writes to its ready file.
type addresses struct {
	API            string `json:"api"`
	OTLPGRPC       string `json:"otlpGrpc"`
	OTLPHTTP       string `json:"otlpHttp"`
	FlagEvaluation string `json:"flagEvaluation"`
	FlagSync       string `json:"flagSync"`
	OFREP          string `json:"ofrep"`
}

// Times that starting and stopping may take on a busy machine.
const (
	startTimeout = 60 * time.Second
	shopGrace    = 5 * time.Second
	serverGrace  = 15 * time.Second
)

// openShop opens the sockets that the services inherit: every address is
// known before anything runs, and no port can be lost to somebody else.
func (s *stage) openShop() error {
	s.shop = map[string]net.Listener{}
	for _, name := range shop.Services() {
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return fmt.Errorf("socket for %s: %w", name, err)
		}
		s.shop[name] = ln
	}
	s.shopURL = "http://" + s.shop[shop.Frontend].Addr().String()
	return nil
}

func (s *stage) startServer(ctx context.Context) error {
	ready := filepath.Join(s.cfg.Dir, "ready.json")
	if err := os.Remove(ready); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	const free = "127.0.0.1:0"
	_, err := s.start("server", []string{"SHOP_URL=" + s.shopURL}, nil,
		"serve", "--data", filepath.Join(s.cfg.Dir, "data"), "--ready-file", ready, "--listen", s.listen(),
		"--otlp-grpc", free, "--otlp-http", free, "--flagd", free, "--flagd-sync", free, "--ofrep", free)
	if err != nil {
		return err
	}
	err = s.until(ctx, startTimeout, 20*time.Millisecond, "the server is ready", func() (bool, error) {
		raw, err := os.ReadFile(ready)
		if errors.Is(err, fs.ErrNotExist) {
			return false, nil
		}
		if err != nil {
			return false, err
		}
		return true, json.Unmarshal(raw, &s.at)
	})
	s.api = newAPI(s.at.API)
	return err
}

// listen prefers the address that the documentation names.
func (s *stage) listen() string {
	if s.cfg.Listen != "" {
		return s.cfg.Listen
	}
	ln, err := net.Listen("tcp", "127.0.0.1:7070")
	if err != nil {
		return "127.0.0.1:0"
	}
	ln.Close()
	return "127.0.0.1:7070"
}

func (s *stage) startShop(ctx context.Context) error {
	for _, name := range shop.Services() {
		args := []string{"demo", "shop", name, "-listen", "fd:3", "-otlp", s.at.OTLPGRPC, "-flagd", s.at.FlagEvaluation,
			"-environment", "dev", "-release", "1.0.0"}
		for _, peer := range shop.Calls(name) {
			args = append(args, "-peer", peer+"="+s.shop[peer].Addr().String())
		}
		socket, err := s.shop[name].(*net.TCPListener).File()
		if err != nil {
			return fmt.Errorf("socket of %s: %w", name, err)
		}
		_, err = s.start(name, nil, []*os.File{socket}, args...)
		socket.Close()
		s.shop[name].Close() // from now on it is the service's alone
		if err != nil {
			return err
		}
	}
	client := http.Client{Timeout: 2 * time.Second}
	return s.until(ctx, startTimeout, 50*time.Millisecond, "the shop is ready", func() (bool, error) {
		resp, err := client.Get(s.shopURL + "/readyz")
		if err != nil {
			return false, nil //nolint:nilerr // not yet
		}
		resp.Body.Close()
		return resp.StatusCode == http.StatusOK, nil
	})
}

// start starts this program with other arguments.
func (s *stage) start(name string, env []string, files []*os.File, args ...string) (*child.Process, error) {
	log, err := os.OpenFile(filepath.Join(s.cfg.Dir, "logs", name+".log"), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return nil, err
	}
	defer log.Close()
	p, err := child.Start(child.Spec{Name: name, Path: s.cfg.Binary, Args: args, Env: env, Files: files, Log: log})
	if err != nil {
		return nil, err
	}
	s.children = append(s.children, p)
	return p, nil
}

// apply writes the manifests down and puts them into force, as people do.
func (s *stage) apply(ctx context.Context) error {
	dir := filepath.Join(s.cfg.Dir, "manifests")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	names, err := fs.Glob(manifests.Files, "*")
	if err != nil {
		return err
	}
	for _, name := range names {
		raw, err := manifests.Files.ReadFile(name)
		if err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(dir, name), raw, 0o600); err != nil {
			return err
		}
	}
	out, err := exec.CommandContext(ctx, s.cfg.Binary, "apply", "-f", dir, "--server", s.api.base).CombinedOutput()
	if err != nil {
		return fault.Internal("tidegate apply -f %s: %w: %s", dir, err, strings.TrimSpace(string(out)))
	}
	return nil
}

// until asks again and again, until it is so, time is up, or a process of the
// stage has ended. Passing unavailability of the server is waited out.
func (s *stage) until(ctx context.Context, limit, every time.Duration, what string, so func() (bool, error)) error {
	deadline := time.Now().Add(limit)
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		ok, err := so()
		switch {
		case err == nil && ok:
			return nil
		case err != nil && !fault.Is(err, fault.KindUnavailable):
			return err
		case time.Now().After(deadline):
			return fault.Unavailable("waited %s in vain until %s (last error: %v)", limit, what, err)
		}
		if err := s.alive(); err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
	}
}

// alive returns an error when a process has ended, with its last words.
func (s *stage) alive() error {
	for _, p := range s.children {
		if err := p.Err(); err != nil {
			return fmt.Errorf("%w: %s", err, s.lastWords(p.Name()))
		}
	}
	return nil
}

// lastWords is the last line that a process logged, or the line of its panic.
func (s *stage) lastWords(name string) string {
	log, err := os.ReadFile(filepath.Join(s.cfg.Dir, "logs", name+".log"))
	if err != nil {
		return err.Error()
	}
	text := strings.TrimSpace(string(log))
	if i := strings.LastIndex(text, "\npanic: "); i >= 0 {
		text, _, _ = strings.Cut(text[i+1:], "\n")
	}
	return text[strings.LastIndex(text, "\n")+1:]
}

// stop ends the shop, then the server, so that the last telemetry arrives.
func (s *stage) stop() {
	for _, ln := range s.shop {
		ln.Close()
	}
	isServer := func(p *child.Process) bool { return p.Name() == "server" }
	shop := slices.DeleteFunc(slices.Clone(s.children), isServer)
	done := make(chan struct{})
	for _, p := range shop {
		go func() { p.Stop(shopGrace); done <- struct{}{} }()
	}
	for range shop {
		<-done
	}
	if i := slices.IndexFunc(s.children, isServer); i >= 0 {
		s.children[i].Stop(serverGrace)
	}
	s.children = nil
}
