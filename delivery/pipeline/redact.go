package pipeline

import (
	"maps"
	"net/url"
	"slices"
	"strings"

	"github.com/tidegate-io/tidegate/delivery/deploy"
)

const redacted = "…"

// Redacted returns the definition as everybody may see it: without the values
// of headers, of variables that are named like secrets, and of what URLs carry
// besides their path.
func (p Pipeline) Redacted() Pipeline {
	p.Apps = maps.Clone(p.Apps)
	for name, a := range p.Apps {
		p.Apps[name] = redactApp(a)
	}
	if p.Source != nil && p.Source.Git != nil {
		s, g := *p.Source, *p.Source.Git
		g.Repository = redactURL(g.Repository)
		s.Git, p.Source = &g, &s
	}
	p.Stages = slices.Clone(p.Stages)
	for i := range p.Stages {
		p.Stages[i].Actions = slices.Clone(p.Stages[i].Actions)
		for j := range p.Stages[i].Actions {
			p.Stages[i].Actions[j] = p.Stages[i].Actions[j].redacted()
		}
	}
	return p
}

func (a Action) redacted() Action {
	if a.Deploy != nil {
		d := *a.Deploy
		d.Settings = redactApp(d.Settings)
		a.Deploy = &d
	}
	if a.Command != nil {
		c := *a.Command
		c.Env = redactEnv(c.Env)
		a.Command = &c
	}
	if a.Webhook != nil {
		w := *a.Webhook
		w.URL, w.Headers = redactURL(w.URL), maps.Clone(w.Headers)
		for k := range w.Headers {
			w.Headers[k] = redacted
		}
		a.Webhook = &w
	}
	return a
}

// Redacted returns the release as everybody may see it.
func (r Release) Redacted() Release {
	r = r.clone()
	r.Definition = r.Definition.Redacted()
	for i := range r.Stages {
		for j := range r.Stages[i].Actions {
			if d := r.Stages[i].Actions[j].Deployment; d != nil {
				shown := d.Redacted()
				r.Stages[i].Actions[j].Deployment = &shown
			}
		}
	}
	return r
}

// Redacted returns the deployment as everybody may see it.
func (d Deployment) Redacted() Deployment {
	d.Settings = redactApp(d.Settings)
	return d
}

func redactApp(a deploy.App) deploy.App {
	a.Env = redactEnv(a.Env)
	return a
}

func redactEnv(env map[string]string) map[string]string {
	out := maps.Clone(env)
	for k := range out {
		name := strings.ToUpper(k)
		for _, word := range []string{"SECRET", "TOKEN", "PASSWORD", "PASSWD", "CREDENTIAL", "PRIVATE", "KEY"} {
			if strings.Contains(name, word) {
				out[k] = redacted
			}
		}
	}
	return out
}

func redactURL(text string) string {
	u, err := url.Parse(text)
	if err != nil || u.Host == "" {
		return text // a path
	}
	if u.User != nil {
		u.User = url.User(redacted)
	}
	if u.RawQuery != "" {
		u.RawQuery = redacted
	}
	return u.String()
}
