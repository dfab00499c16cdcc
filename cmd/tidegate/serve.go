package main

import (
	"cmp"
	"encoding/json"
	"fmt"
	"log/slog"
	"net"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/tidegate-io/tidegate/internal/app"
)

func serveCommand() *cobra.Command {
	cfg := app.Config{Version: version, Listen: app.DefaultListen, Retention: app.DefaultRetention, Prometheus: app.Prometheus{Resolution: app.DefaultPrometheusResolution}}
	var tokens, ingestTokens, readyFile, logLevel, logFormat string
	cmd := &cobra.Command{
		Use:   "serve",
		Short: "Run the server",
		Long: `Run the server: telemetry in (OTLP), judging, flags, workflows, API and UI.

It listens on loopback unless told otherwise, and needs nothing but its data
directory. With --tokens-file (or TIDEGATE_TOKENS, comma separated) every
request to the API needs one of the tokens.`,
		Example: `  tidegate serve
  tidegate serve --data /var/lib/tidegate --manifests /etc/tidegate
  tidegate serve --state postgres://tidegate@db/tidegate --listen 0.0.0.0:7070 --tokens-file /run/secrets/tidegate`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			var err error
			if cfg.Logger, err = newLogger(logLevel, logFormat); err != nil {
				return err
			}
			if cfg.Tokens, err = readTokens("--tokens-file", tokens, "TIDEGATE_TOKENS"); err != nil {
				return err
			}
			if cfg.IngestTokens, err = readTokens("--ingest-tokens-file", ingestTokens, "TIDEGATE_INGEST_TOKENS"); err != nil {
				return err
			}
			cfg.Prometheus.Token = os.Getenv("TIDEGATE_PROMETHEUS_TOKEN")
			cfg.GitHubSecret = os.Getenv("TIDEGATE_GITHUB_WEBHOOK_SECRET")
			a, err := app.New(cmd.Context(), cfg)
			if err != nil {
				return err
			}
			return a.Run(cmd.Context(), func(at app.Listen) error {
				fmt.Fprintf(cmd.ErrOrStderr(), "tidegate %s\n  UI and API   %s\n  OTLP         grpc %s, http %s\n  flags        flagd %s, sync %s, OFREP http://%s\n",
					version, cmp.Or(cfg.URL, "http://"+reachable(at.API)), at.OTLPGRPC, at.OTLPHTTP, at.FlagEvaluation, at.FlagSync, at.OFREP)
				return writeReady(readyFile, at)
			})
		},
	}
	f := cmd.Flags()
	f.SortFlags = false
	f.StringVar(&cfg.Dir, "data", envOr("TIDEGATE_DATA", "tidegate-data"), "data directory (TIDEGATE_DATA)")
	f.StringVar(&cfg.State, "state", os.Getenv("TIDEGATE_STATE"), "state store, sqlite://PATH or postgres://…; default SQLite in the data directory (TIDEGATE_STATE)")
	f.StringVar(&cfg.Manifests, "manifests", os.Getenv("TIDEGATE_MANIFESTS"), "directory of manifests to apply and watch (TIDEGATE_MANIFESTS)")
	f.StringVar(&cfg.Listen.API, "listen", cfg.Listen.API, "address of the UI and the API; port 0 takes a free one")
	f.StringVar(&cfg.Listen.OTLPGRPC, "otlp-grpc", cfg.Listen.OTLPGRPC, "address for OTLP over gRPC")
	f.StringVar(&cfg.Listen.OTLPHTTP, "otlp-http", cfg.Listen.OTLPHTTP, "address for OTLP over HTTP")
	f.StringVar(&cfg.Listen.FlagEvaluation, "flagd", cfg.Listen.FlagEvaluation, "address for flagd evaluation")
	f.StringVar(&cfg.Listen.FlagSync, "flagd-sync", cfg.Listen.FlagSync, "address for flagd sync")
	f.StringVar(&cfg.Listen.OFREP, "ofrep", cfg.Listen.OFREP, "address for OFREP")
	f.StringArrayVar(&cfg.Hosts, "host", nil, "name by which browsers may reach the API, besides localhost; may be repeated")
	f.StringVar(&cfg.URL, "url", os.Getenv("TIDEGATE_URL"), "URL of the UI as people reach it, for links in notifications")
	f.StringVar(&tokens, "tokens-file", os.Getenv("TIDEGATE_TOKENS_FILE"), "file with the accepted tokens, one a line (or TIDEGATE_TOKENS)")
	f.StringVar(&ingestTokens, "ingest-tokens-file", os.Getenv("TIDEGATE_INGEST_TOKENS_FILE"), "file with the tokens of which senders of telemetry must show one, one a line (or TIDEGATE_INGEST_TOKENS)")
	p := &cfg.Prometheus
	f.StringVar(&p.URL, "prometheus", os.Getenv("TIDEGATE_PROMETHEUS"), "URL of a Prometheus API that guardians read from, instead of the embedded store (TIDEGATE_PROMETHEUS)")
	f.StringVar(&p.TokenFile, "prometheus-token-file", os.Getenv("TIDEGATE_PROMETHEUS_TOKEN_FILE"), "file with the bearer token for it (or TIDEGATE_PROMETHEUS_TOKEN)")
	f.StringVar(&p.User, "prometheus-user", os.Getenv("TIDEGATE_PROMETHEUS_USER"), "user for it; the token is the password then (TIDEGATE_PROMETHEUS_USER)")
	f.IntVar(&cfg.Healing.PerHour, "healing-per-hour", 10, "what is done about problems by itself in an hour, over all services, at most")
	f.Var((*span)(&cfg.Healing.CoolDown), "healing-cool-down", "pause between that for two problems, whatever their services (default none)")
	f.Var((*span)(&p.Resolution), "prometheus-resolution", "its scrape interval, of the span metrics")
	f.BoolVar(&cfg.StopApps, "stop-apps", false, "end what pipelines deployed as processes when the server ends, instead of leaving it to the next one")
	r := &cfg.Retention
	f.Var((*span)(&r.TracesAge), "traces-age", "keep traces this long")
	f.Var((*bytesize)(&r.TracesBytes), "traces-bytes", "keep at most this much of traces")
	f.Var((*span)(&r.LogsAge), "logs-age", "keep logs this long")
	f.Var((*bytesize)(&r.LogsBytes), "logs-bytes", "keep at most this much of logs")
	f.Var((*span)(&r.MetricsAge), "metrics-age", "keep metrics this long")
	f.Var((*bytesize)(&r.MetricsBytes), "metrics-bytes", "keep at most this much of metrics")
	f.StringVar(&readyFile, "ready-file", "", "file to write the addresses to, as JSON, once the server is ready")
	f.StringVar(&logLevel, "log-level", "info", "debug, info, warn or error")
	f.StringVar(&logFormat, "log-format", "text", "text or json")
	return cmd
}

func newLogger(level, format string) (*slog.Logger, error) {
	var l slog.Level
	if err := l.UnmarshalText([]byte(level)); err != nil {
		return nil, fmt.Errorf("--log-level %q: expected debug, info, warn or error", level)
	}
	opts := &slog.HandlerOptions{Level: l}
	switch format {
	case "text":
		return slog.New(slog.NewTextHandler(os.Stderr, opts)), nil
	case "json":
		return slog.New(slog.NewJSONHandler(os.Stderr, opts)), nil
	}
	return nil, fmt.Errorf("--log-format %q: expected text or json", format)
}

// readTokens takes the tokens from the flag's file, or from the environment.
func readTokens(flag, file, variable string) ([]string, error) {
	text := strings.ReplaceAll(os.Getenv(variable), ",", "\n")
	if file != "" {
		raw, err := os.ReadFile(file)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", flag, err)
		}
		text = string(raw)
	}
	var out []string
	for _, line := range strings.Split(text, "\n") {
		if line = strings.TrimSpace(line); line != "" && !strings.HasPrefix(line, "#") {
			out = append(out, line)
		}
	}
	if file != "" && len(out) == 0 {
		return nil, fmt.Errorf("%s %s: no token in it", flag, file)
	}
	return out, nil
}

// reachable is an address as a person on this machine would open it.
func reachable(address string) string {
	host, port, err := net.SplitHostPort(address)
	if ip := net.ParseIP(host); err == nil && ip.IsUnspecified() {
		return net.JoinHostPort("localhost", port)
	}
	return address
}

// writeReady writes the file in one step: who sees it, sees all of it.
func writeReady(file string, at app.Listen) error {
	if file == "" {
		return nil
	}
	raw, err := json.Marshal(at)
	if err != nil {
		return err
	}
	if err := os.WriteFile(file+".tmp", raw, 0o600); err != nil {
		return err
	}
	return os.Rename(file+".tmp", file)
}
