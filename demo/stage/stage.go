// Package stage is what the demos play on: a server, the processes around it,
// the public API by which a story does what people and tools would do, and the
// display of how far it is.
//
// A story is a list of steps ([Stage.Play]); afterwards each [Claim] is a
// sentence of it with what was found.
package stage

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/tidegate-io/tidegate/demo/child"
	"github.com/tidegate-io/tidegate/fault"
)

// Config configures a stage.
type Config struct {
	// Binary is the tidegate program; default the running one.
	Binary string
	// Dir holds the server's data, the logs and what the story writes; default
	// a new one below the system's temporary directory, of which the data goes
	// when the story came out as told.
	Dir string
	// Listen is the address of the UI; default 127.0.0.1:7070 when it is free.
	Listen string
	// Exit ends everything after the story. Otherwise it stays up until the
	// context ends.
	Exit bool
	// Out is where progress is shown; a terminal is recognized. Optional.
	Out io.Writer
}

// Stage is a server and what a story starts around it.
type Stage struct {
	Config
	Display *Display
	API     *API
	At      Addresses
	Shop    *Shop // nil in stories without it

	temporary bool
	act       int              // of the story: each has a server that knows nothing of the ones before
	children  []*child.Process // in the order of their start
}

// Addresses is what the server writes to its ready file.
type Addresses struct {
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
	childGrace   = 5 * time.Second
	serverGrace  = 15 * time.Second
)

// New returns an empty stage. End takes it down.
func New(cfg Config) (*Stage, error) {
	s := &Stage{Config: cfg, temporary: cfg.Dir == ""}
	if err := s.Config.defaults(); err != nil {
		return nil, err
	}
	s.Display = newDisplay(s.Out)
	return s, nil
}

func (c *Config) defaults() (err error) {
	if c.Out == nil {
		c.Out = io.Discard
	}
	if c.Binary == "" {
		if c.Binary, err = os.Executable(); err != nil {
			return fmt.Errorf("path of this program: %w", err)
		}
	}
	if c.Dir == "" {
		c.Dir, err = os.MkdirTemp("", "tidegate-demo-")
	} else if err = os.MkdirAll(c.Dir, 0o700); err == nil {
		c.Dir, err = filepath.Abs(c.Dir)
	}
	if err != nil {
		return fault.Invalid("directory of the demo: %w", err)
	}
	return os.MkdirAll(c.Logs(), 0o700)
}

// Logs is the directory of the logs.
func (c *Config) Logs() string { return filepath.Join(c.Dir, "logs") }

// End stops everything that was started. The data of a temporary stage goes
// when the story was good.
func (s *Stage) End(good bool) (err error) {
	s.Display.note("stopping")
	s.stop()
	if s.temporary && good {
		err = os.RemoveAll(filepath.Join(s.Dir, "data"))
	}
	s.Display.close()
	return err
}

// StartServer starts the server on free ports, with more variables in its
// environment, and waits until it is ready.
func (s *Stage) StartServer(ctx context.Context, env ...string) error {
	ready := filepath.Join(s.Dir, "ready.json")
	if err := os.Remove(ready); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	const free = "127.0.0.1:0"
	_, err := s.Start("server", env, nil,
		"serve", "--data", s.data(), "--ready-file", ready, "--listen", s.listen(),
		"--otlp-grpc", free, "--otlp-http", free, "--flagd", free, "--flagd-sync", free, "--ofrep", free)
	if err != nil {
		return err
	}
	err = s.Until(ctx, startTimeout, 20*time.Millisecond, "the server is ready", func() (bool, error) {
		raw, err := os.ReadFile(ready)
		if errors.Is(err, fs.ErrNotExist) {
			return false, nil
		}
		if err != nil {
			return false, err
		}
		return true, json.Unmarshal(raw, &s.At)
	})
	s.API = NewAPI(s.At.API)
	return err
}

// listen prefers the address that the documentation names.
func (s *Stage) listen() string {
	if s.Listen != "" {
		return s.Listen
	}
	ln, err := net.Listen("tcp", "127.0.0.1:7070")
	if err != nil {
		return "127.0.0.1:0"
	}
	ln.Close()
	return "127.0.0.1:7070"
}

// Start starts this program with other arguments.
func (s *Stage) Start(name string, env []string, files []*os.File, args ...string) (*child.Process, error) {
	log, err := os.OpenFile(filepath.Join(s.Logs(), name+".log"), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return nil, err
	}
	defer log.Close()
	p, err := child.Start(child.Spec{Name: name, Path: s.Binary, Args: args, Env: env, Files: files, Log: log})
	if err != nil {
		return nil, err
	}
	s.children = append(s.children, p)
	return p, nil
}

// Apply writes the manifests of a story down and puts them into force, as
// people do.
func (s *Stage) Apply(ctx context.Context, files fs.FS) error {
	dir := filepath.Join(s.Dir, "manifests")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	names, err := fs.Glob(files, "*")
	if err != nil {
		return err
	}
	for _, name := range names {
		raw, err := fs.ReadFile(files, name)
		if err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(dir, name), raw, 0o600); err != nil {
			return err
		}
	}
	if s.Shop != nil { // what load tests order
		if err := os.WriteFile(filepath.Join(dir, "order.json"), Order, 0o600); err != nil {
			return err
		}
	}
	out, err := exec.CommandContext(ctx, s.Binary, "apply", "-f", dir, "--server", s.API.Base).CombinedOutput()
	if err != nil {
		return fault.Internal("tidegate apply -f %s: %w: %s", dir, err, strings.TrimSpace(string(out)))
	}
	return nil
}

// Until asks again and again, until it is so, time is up, or a process of the
// stage has ended. Passing unavailability of the server is waited out.
func (s *Stage) Until(ctx context.Context, limit, every time.Duration, what string, so func() (bool, error)) error {
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
		if err := s.Alive(); err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
	}
}

// Alive returns an error when a process has ended, with its last words.
func (s *Stage) Alive() error {
	for _, p := range s.children {
		if err := p.Err(); err != nil {
			return fmt.Errorf("%w: %s", err, s.lastWords(p.Name()))
		}
	}
	return nil
}

// lastWords is the last line that a process logged, or the line of its panic.
func (s *Stage) lastWords(name string) string {
	log, err := os.ReadFile(filepath.Join(s.Logs(), name+".log"))
	if err != nil {
		return err.Error()
	}
	text := strings.TrimSpace(string(log))
	if i := strings.LastIndex(text, "\npanic: "); i >= 0 {
		text, _, _ = strings.Cut(text[i+1:], "\n")
	}
	return text[strings.LastIndex(text, "\n")+1:]
}

// stop ends what the story started, then the server, so that the last
// telemetry arrives.
func (s *Stage) stop() {
	if s.Shop != nil {
		s.Shop.close()
	}
	isServer := func(p *child.Process) bool { return p.Name() == "server" }
	others := slices.DeleteFunc(slices.Clone(s.children), isServer)
	done := make(chan struct{})
	for _, p := range others {
		go func() { p.Stop(childGrace); done <- struct{}{} }()
	}
	for range others {
		<-done
	}
	if i := slices.IndexFunc(s.children, isServer); i >= 0 {
		s.children[i].Stop(serverGrace)
	}
	s.children = nil
}

// Curtain ends an act: all that was started stops, and the next server begins
// with nothing.
func (s *Stage) Curtain() {
	s.stop()
	s.Shop = nil
	s.act++
}

// data is the server's data directory in this act.
func (s *Stage) data() string {
	return filepath.Join(s.Dir, "data", fmt.Sprint(s.act+1))
}

// Stop ends one process that the story started.
func (s *Stage) Stop(p *child.Process) {
	s.children = slices.DeleteFunc(s.children, func(c *child.Process) bool { return c == p })
	p.Stop(childGrace)
}
