package e2e

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestPrometheus: a server judges what another one's Prometheus API tells, and
// says so when it tells nothing.
func TestPrometheus(t *testing.T) {
	file := filepath.Join(t.TempDir(), "token")
	const token = "s3cret-token-0123456789abcdefgh"
	if err := os.WriteFile(file, []byte(token+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	store := start(t, t.TempDir(), "--tokens-file", file)
	s := start(t, t.TempDir(), "--prometheus", "http://"+store.API, "--prometheus-token-file", file, "--prometheus-resolution", "2s")
	s.apply(checkoutManifests)
	store.traffic(200, 8*time.Second, 2)
	if out, code := s.cli("validate", "checkout", "--last", "10s"); code != 1 || !strings.Contains(out, "error rate was 50 %, above the limit of 5 % (200 requests)") {
		t.Errorf("half of the requests fail: exit %d, want 1\n%s", code, out)
	}
	store.stop()
	if out, code := s.cli("validate", "checkout", "--last", "10s"); code < 2 || !strings.Contains(out, "connection refused") {
		t.Errorf("without the store: exit %d\n%s", code, out)
	}
	if strings.Contains(s.log.String(), token) {
		t.Errorf("the token is in the log:\n%s", s.log)
	}
}
