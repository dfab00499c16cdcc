package app

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/tidegate-io/tidegate/fault"
	"github.com/tidegate-io/tidegate/healing"
)

// Config says where a server keeps its data and what it listens on.
type Config struct {
	Version string
	// Dir holds everything that is kept; created when missing. Required.
	Dir string
	// State is the URL of the state store; default SQLite in Dir.
	State string
	// Manifests is a directory that is applied and watched; empty for none.
	Manifests string

	Listen Listen
	// Tokens that callers must show; empty needs none.
	Tokens []string
	// IngestTokens are those of which senders of telemetry must show one; empty
	// needs none.
	IngestTokens []string
	// Hosts by whose name the API may be asked for, besides localhost.
	Hosts []string
	// GitHubSecret is the secret of GitHub's webhooks.
	GitHubSecret string
	// URL under which people reach the UI; for links in notifications.
	URL string
	// Healing limits what is done about problems, over all remediations.
	Healing healing.Limits
	// Prometheus to judge from, instead of the embedded store.
	Prometheus Prometheus

	// StopApps ends the processes that pipelines deployed when the server ends,
	// instead of leaving them running for the next one.
	StopApps bool

	Retention Retention
	Logger    *slog.Logger
}

// Listen are addresses, host:port; port 0 takes a free one.
type Listen struct {
	API            string `json:"api"`
	OTLPGRPC       string `json:"otlpGrpc"`
	OTLPHTTP       string `json:"otlpHttp"`
	FlagEvaluation string `json:"flagEvaluation"`
	FlagSync       string `json:"flagSync"`
	OFREP          string `json:"ofrep"`
}

// DefaultListen are the conventional ports, on loopback.
var DefaultListen = Listen{
	API: "127.0.0.1:7070", OTLPGRPC: "127.0.0.1:4317", OTLPHTTP: "127.0.0.1:4318",
	FlagEvaluation: "127.0.0.1:8013", FlagSync: "127.0.0.1:8015", OFREP: "127.0.0.1:8016",
}

// Retention bounds what is kept, by age and by size.
type Retention struct {
	TracesAge, LogsAge, MetricsAge       time.Duration
	TracesBytes, LogsBytes, MetricsBytes int64
}

// DefaultRetention keeps a week of traces and logs and a month of metrics.
var DefaultRetention = Retention{
	TracesAge: 7 * 24 * time.Hour, LogsAge: 7 * 24 * time.Hour, MetricsAge: 31 * 24 * time.Hour,
	TracesBytes: 20 << 30, LogsBytes: 5 << 30, MetricsBytes: 10 << 30,
}

func (c *Config) defaults() error {
	if c.Dir == "" {
		return fault.Invalid("a data directory is required")
	}
	if c.State == "" {
		c.State = "sqlite://" + filepath.Join(c.Dir, "state.db")
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if c.Retention == (Retention{}) {
		c.Retention = DefaultRetention
	}
	if c.Listen == (Listen{}) {
		c.Listen = DefaultListen
	}
	if err := c.Prometheus.defaults(); err != nil {
		return err
	}
	if len(c.Tokens) == 0 {
		for _, a := range []string{c.Listen.API, c.Listen.OTLPGRPC, c.Listen.OTLPHTTP, c.Listen.FlagEvaluation, c.Listen.FlagSync, c.Listen.OFREP} {
			if host, _, err := net.SplitHostPort(a); err == nil && !isLoopback(host) {
				c.Logger.Warn("listening beyond this machine without a token: whoever reaches the port may read and change everything; use --tokens-file", "address", a)
				break
			}
		}
	}
	if err := c.Retention.check(); err != nil {
		return err
	}
	if c.Manifests != "" {
		if info, err := os.Stat(c.Manifests); err != nil || !info.IsDir() {
			return fault.Invalid("--manifests %s: there is no such directory", c.Manifests)
		}
	}
	if err := os.MkdirAll(c.Dir, 0o700); err != nil {
		return fault.Invalid("--data %s: %v", c.Dir, err)
	}
	return nil
}

// minKept is the smallest store that makes sense: a few segments.
const minKept = 64 << 20

func (r Retention) check() error {
	for _, b := range []struct {
		flag  string
		bytes int64
	}{{"--traces-bytes", r.TracesBytes}, {"--logs-bytes", r.LogsBytes}, {"--metrics-bytes", r.MetricsBytes}} {
		if b.bytes != 0 && b.bytes < minKept {
			return fault.Invalid("%s must be at least 64MiB", b.flag)
		}
	}
	return nil
}

func isLoopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || (ip != nil && ip.IsLoopback())
}

// listeners are the open ports.
type listeners struct{ api, otlpGRPC, otlpHTTP, flagEvaluation, flagSync, ofrep net.Listener }

// open listens on every address, or on none.
func (l Listen) open() (_ *listeners, err error) {
	var out listeners
	defer func() {
		if err != nil {
			out.close()
		}
	}()
	for _, p := range []struct {
		address, flag string
		into          *net.Listener
	}{
		{l.API, "--listen", &out.api},
		{l.OTLPGRPC, "--otlp-grpc", &out.otlpGRPC},
		{l.OTLPHTTP, "--otlp-http", &out.otlpHTTP},
		{l.FlagEvaluation, "--flagd", &out.flagEvaluation},
		{l.FlagSync, "--flagd-sync", &out.flagSync},
		{l.OFREP, "--ofrep", &out.ofrep},
	} {
		if *p.into, err = net.Listen("tcp", p.address); err != nil {
			if errors.Is(err, syscall.EADDRINUSE) {
				return nil, fault.Unavailable("%s is in use by another program: choose another address with %s", p.address, p.flag)
			}
			return nil, fault.Invalid("%s %s: %v", p.flag, p.address, err)
		}
	}
	return &out, nil
}

func (l *listeners) close() {
	for _, x := range []net.Listener{l.api, l.otlpGRPC, l.otlpHTTP, l.flagEvaluation, l.flagSync, l.ofrep} {
		if x != nil {
			_ = x.Close()
		}
	}
}

func (l *listeners) addresses() Listen {
	return Listen{
		API: l.api.Addr().String(), OTLPGRPC: l.otlpGRPC.Addr().String(), OTLPHTTP: l.otlpHTTP.Addr().String(),
		FlagEvaluation: l.flagEvaluation.Addr().String(), FlagSync: l.flagSync.Addr().String(), OFREP: l.ofrep.Addr().String(),
	}
}

// lock makes sure that one process at a time uses the directory.
func lock(dir string) (release func(), err error) {
	f, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("data directory: %w", err)
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		holder := make([]byte, 20)
		n, _ := f.ReadAt(holder, 0)
		_ = f.Close()
		return nil, fault.Unavailable("the data directory %s is in use by process %s: stop it, or choose another with --data", dir, strings.TrimSpace(string(holder[:n])))
	}
	_ = f.Truncate(0)
	_, _ = f.WriteAt(fmt.Appendf(nil, "%d\n", os.Getpid()), 0)
	return func() { _ = f.Close() }, nil
}
