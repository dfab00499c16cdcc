package notify

import (
	"net/url"
	"path"
	"strings"

	"github.com/tidegate-io/tidegate/fault"
)

// Limits on channels.
const (
	maxHeaders  = 20
	maxPatterns = 50
)

// Validate checks a channel's definition. The error is a fault of KindInvalid
// that names the place.
func (c *Channel) Validate() error {
	switch {
	case c.Webhook == nil && c.Dynatrace == nil:
		return fault.InvalidField("spec.webhook", "is missing: expected where to send to")
	case c.Webhook != nil && c.Dynatrace != nil:
		return fault.InvalidField("spec", "expected either webhook or dynatrace")
	case c.Dynatrace != nil:
		return c.Dynatrace.validate(c.Events)
	}
	if err := c.Webhook.validate(); err != nil {
		return err
	}
	if len(c.Events) > maxPatterns {
		return fault.InvalidField("spec.events", "has %d patterns, the limit is %d", len(c.Events), maxPatterns)
	}
	for _, p := range c.Events {
		if _, err := path.Match(p, ""); err != nil || p == "" {
			return fault.InvalidField("spec.events", "%q is not a pattern: expected for example validation.*", p)
		}
	}
	return nil
}

func (d *Dynatrace) validate(events []string) error {
	if err := validateURL("spec.dynatrace.url", d.URL); err != nil {
		return err
	}
	if d.Token == nil {
		return fault.InvalidField("spec.dynatrace.token", "is missing: expected env, the name of an environment variable, or file, a path")
	}
	if len(events) > 0 {
		return fault.InvalidField("spec.events", "a Dynatrace environment takes comments on its problems only: no events")
	}
	return d.Token.validate("spec.dynatrace.token")
}

func validateURL(field, text string) error {
	u, err := url.Parse(text)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		// Without the URL itself: those of some services are secrets.
		return fault.InvalidField(field, "expected an http or https URL")
	}
	if u.User != nil {
		return fault.InvalidField(field, "holds a user or password: use headers or a token instead")
	}
	return nil
}

func (s *Secret) validate(field string) error {
	if (s.Env == "") == (s.File == "") {
		return fault.InvalidField(field, "expected either env, the name of an environment variable, or file, a path")
	}
	return nil
}

func (w *Webhook) validate() error {
	if err := validateURL("spec.webhook.url", w.URL); err != nil {
		return err
	}
	if w.Secret != nil {
		if err := w.Secret.validate("spec.webhook.secret"); err != nil {
			return err
		}
	}
	if len(w.Headers) > maxHeaders {
		return fault.InvalidField("spec.webhook.headers", "has %d headers, the limit is %d", len(w.Headers), maxHeaders)
	}
	for name, value := range w.Headers {
		if !isToken(name) || strings.ContainsAny(value, "\r\n\x00") {
			return fault.InvalidField("spec.webhook.headers", "%q is not a valid header", name)
		}
		if reserved(name) {
			return fault.InvalidField("spec.webhook.headers", "%q is set by Tidegate itself", name)
		}
	}
	return nil
}

// reserved headers carry the delivery itself.
func reserved(name string) bool {
	name = strings.ToLower(name)
	return strings.HasPrefix(name, "webhook-") || name == "idempotency-key" || name == "content-type" ||
		name == "content-length" || name == "host"
}

// isToken follows RFC 9110, 5.6.2.
func isToken(s string) bool {
	for _, r := range s {
		if r <= ' ' || r > '~' || strings.ContainsRune(`"(),/:;<=>?@[\]{}`, r) {
			return false
		}
	}
	return s != ""
}
