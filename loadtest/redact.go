package loadtest

import (
	"maps"
	"strings"
)

// redacted stands in for a secret.
const redacted = "***"

// Redacted returns the test as it may be shown: without the values of headers
// and variables whose names say that they hold a secret, which manifests take
// from the server's environment.
func (t Test) Redacted() Test {
	if t.Request != nil {
		r := *t.Request
		r.Headers = withoutSecrets(r.Headers)
		t.Request = &r
	}
	if t.Command != nil {
		c := *t.Command
		c.Env = withoutSecrets(c.Env)
		t.Command = &c
	}
	return t
}

func withoutSecrets(values map[string]string) map[string]string {
	out := maps.Clone(values)
	for name := range out {
		if secret(name) {
			out[name] = redacted
		}
	}
	return out
}

// secret reports whether a name says that its value is one.
func secret(name string) bool {
	name = strings.ToLower(strings.NewReplacer("-", "", "_", "").Replace(name))
	for _, word := range []string{"auth", "cookie", "secret", "token", "password", "passwd", "credential", "private", "apikey", "accesskey", "signature"} {
		if strings.Contains(name, word) {
			return true
		}
	}
	return false
}
