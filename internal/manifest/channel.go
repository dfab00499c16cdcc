package manifest

import (
	"github.com/tidegate-io/tidegate/notify"
)

// NotificationChannel is the spec of kind NotificationChannel; exactly one of
// webhook and dynatrace.
type NotificationChannel struct {
	Webhook   *Webhook   `json:"webhook,omitempty"`
	Dynatrace *Dynatrace `json:"dynatrace,omitempty" doc:"instead of webhook: comments on the problems that came from there"`
	// Events are the types sent to the channel by themselves, as CloudEvents.
	Events []string `json:"events,omitempty" doc:"event types sent without being asked, for example validation.*"`
}

// Webhook is an HTTP endpoint.
type Webhook struct {
	URL     string            `json:"url"`
	Headers map[string]string `json:"headers,omitempty"`
	Secret  *Secret           `json:"secret,omitempty" doc:"key of the HMAC-SHA256 signature"`
}

// Dynatrace is an environment that reports its problems here.
type Dynatrace struct {
	URL   string  `json:"url" doc:"for example https://ENVIRONMENT.live.dynatrace.com"`
	Token *Secret `json:"token" doc:"API token that may write problem comments"`
}

// Secret is a reference: the value itself is never part of a manifest.
type Secret struct {
	Env  string `json:"env,omitempty" doc:"name of an environment variable of the server"`
	File string `json:"file,omitempty" doc:"path of a file on the server"`
}

func (n *NotificationChannel) check(c *checker) {
	def := n.Definition("check", nil)
	if err := def.Validate(); err != nil {
		c.fault(err)
	}
}

// Definition returns the channel as the domain knows it.
func (n *NotificationChannel) Definition(name string, labels map[string]string) notify.Channel {
	out := notify.Channel{Name: name, Labels: labels, Events: n.Events}
	if w := n.Webhook; w != nil {
		out.Webhook = &notify.Webhook{URL: w.URL, Headers: w.Headers, Secret: w.Secret.definition()}
	}
	if d := n.Dynatrace; d != nil {
		out.Dynatrace = &notify.Dynatrace{URL: d.URL, Token: d.Token.definition()}
	}
	return out
}

func (s *Secret) definition() *notify.Secret {
	if s == nil {
		return nil
	}
	return &notify.Secret{Env: s.Env, File: s.File}
}
