package app

import (
	"fmt"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/tidegate-io/tidegate/fault"
	"github.com/tidegate-io/tidegate/internal/tsdb"
)

// Prometheus is an API from which guardians read their indicators. Without a
// URL they read the embedded store.
type Prometheus struct {
	URL string
	// User makes the secret a password; without one it is a bearer token.
	User string
	// Token is the secret, or TokenFile holds it, and is read at every request.
	Token, TokenFile string
	// Resolution is the scrape interval of the span metrics.
	Resolution time.Duration
}

// DefaultPrometheusResolution is what most scrape configurations say.
const DefaultPrometheusResolution = 15 * time.Second

// maxResolution keeps the wait for the last samples of a window well within
// what a validation may take.
const maxResolution = 2 * time.Minute

func (p *Prometheus) defaults() error {
	if p.URL == "" {
		if p.User != "" || p.TokenFile != "" {
			return fault.Invalid("--prometheus-user and --prometheus-token-file need --prometheus")
		}
		return nil
	}
	if p.Resolution == 0 {
		p.Resolution = DefaultPrometheusResolution
	}
	if p.Resolution < time.Second || p.Resolution > maxResolution {
		return fault.Invalid("--prometheus-resolution %s: expected 1s to %s", p.Resolution, maxResolution)
	}
	_, err := p.secret()
	return err
}

func (p *Prometheus) secret() (string, error) {
	if p.TokenFile == "" {
		return p.Token, nil
	}
	raw, err := os.ReadFile(p.TokenFile)
	if err != nil {
		return "", fmt.Errorf("--prometheus-token-file: %w", err)
	}
	return strings.TrimSpace(string(raw)), nil
}

// openSampler opens what guardians read indicators with.
func (a *App) openSampler() (*tsdb.Sampler, error) {
	p := &a.cfg.Prometheus
	if p.URL == "" {
		return tsdb.NewSampler(tsdb.SamplerConfig{Source: a.metrics, Settled: a.receiver.Settled})
	}
	cfg := tsdb.RemoteConfig{URL: p.URL, User: p.User}
	if p.Token != "" || p.TokenFile != "" {
		cfg.Secret = p.secret
	}
	remote, err := tsdb.NewRemote(cfg)
	if err != nil {
		return nil, err
	}
	if u, err := url.Parse(p.URL); err == nil && cfg.Secret != nil && u.Scheme == "http" && !isLoopback(u.Hostname()) {
		a.log.Warn("the secret for Prometheus travels unencrypted: use https", "prometheus", p.URL)
	}
	a.log.Info("guardians read from Prometheus", "prometheus", p.URL, "resolution", p.Resolution)
	return tsdb.NewSampler(tsdb.SamplerConfig{Source: remote, Settled: remote.Settled, Resolution: p.Resolution, Scraped: true})
}
