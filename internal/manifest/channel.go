package manifest

import (
	"strings"

	"github.com/tidegate-io/tidegate/notify"
)

// NotificationChannel is the spec of kind NotificationChannel.
type NotificationChannel struct {
	Webhook *Webhook `json:"webhook"`
	// Events are the types sent to the channel by themselves, as CloudEvents.
	Events []string `json:"events,omitempty" doc:"event types sent without being asked, for example validation.*"`
}

// Webhook is an HTTP endpoint.
type Webhook struct {
	URL     string            `json:"url"`
	Headers map[string]string `json:"headers,omitempty"`
	Secret  *Secret           `json:"secret,omitempty" doc:"key of the HMAC-SHA256 signature"`
}

// Secret is a reference: the value itself is never part of a manifest.
type Secret struct {
	Env  string `json:"env,omitempty" doc:"name of an environment variable of the server"`
	File string `json:"file,omitempty" doc:"path of a file on the server"`
}

func (n *NotificationChannel) check(c *checker) {
	switch {
	case n.Webhook == nil:
		c.errorf("webhook is missing")
	case !strings.HasPrefix(n.Webhook.URL, "http://") && !strings.HasPrefix(n.Webhook.URL, "https://"):
		c.at("webhook.url").errorf("%q is not an http or https URL", n.Webhook.URL)
	case n.Webhook.Secret != nil && (n.Webhook.Secret.Env == "") == (n.Webhook.Secret.File == ""):
		c.at("webhook.secret").errorf("expected either env or file")
	}
}

// Definition returns the channel as the domain knows it.
func (n *NotificationChannel) Definition(name string, labels map[string]string) notify.Channel {
	w := &notify.Webhook{URL: n.Webhook.URL, Headers: n.Webhook.Headers}
	if s := n.Webhook.Secret; s != nil {
		w.Secret = &notify.Secret{Env: s.Env, File: s.File}
	}
	return notify.Channel{Name: name, Labels: labels, Webhook: w, Events: n.Events}
}
