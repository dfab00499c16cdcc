// Package program is what running somebody else's program takes, whatever it is
// run for: a process group of its own, so that nothing it started outlives it;
// an environment without the server's secrets; and only so much of its output
// kept.
package program

import (
	"os"
	"strings"
	"sync"
)

// Environment is the server's, without variables whose names say that they
// hold a secret.
func Environment() []string {
	env := os.Environ()
	out := make([]string, 0, len(env))
next:
	for _, kv := range env {
		name, _, _ := strings.Cut(kv, "=")
		for _, word := range []string{"SECRET", "TOKEN", "PASSWORD", "PASSWD", "CREDENTIAL", "PRIVATE", "API_KEY", "APIKEY"} {
			if strings.Contains(strings.ToUpper(name), word) {
				continue next
			}
		}
		out = append(out, kv)
	}
	return out
}

// Tail is a writer that keeps the last bytes. Safe for concurrent use.
type Tail struct {
	// Limit is how many bytes are kept.
	Limit int

	mu  sync.Mutex
	buf []byte
	cut bool
}

// Write implements io.Writer; it never fails.
func (t *Tail) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.buf = append(t.buf, p...)
	if over := len(t.buf) - t.Limit; over > 0 {
		t.buf, t.cut = append(t.buf[:0], t.buf[over:]...), true
	}
	return len(p), nil
}

// Cut reports whether something was written that is not kept.
func (t *Tail) Cut() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.cut
}

// String returns the end of what was written, as valid UTF-8.
func (t *Tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	s := strings.ToValidUTF8(string(t.buf), "")
	if t.cut {
		s = "…" + s
	}
	return s
}
