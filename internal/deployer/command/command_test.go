package command

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/tidegate-io/tidegate/delivery/deploy"
	"github.com/tidegate-io/tidegate/delivery/pipeline"
	"github.com/tidegate-io/tidegate/fault"
)

// script keeps the version in a file, as a real one would in a cluster.
const script = `q=$(cat)
case "$q" in
*'"action":"deploy"'*|*'"action":"rollback"'*)
  case "$q" in
  *'"version":"hangs"'*) sleep 100;;
  *'"version":"refused"'*) echo no room >&2; echo '{"error":"no capacity"}'; exit 1;;
  *'"version":"mute"'*) echo hello; exit 0;;
  *'"version":"ill"'*) echo '{"healthy":false,"detail":"2 of 3 pods"}'; exit 0;;
  esac
  v=$(echo "$q" | sed 's/.*"version":"\([^"]*\)".*/\1/'); echo "$v" > "$STATE"
  echo "{\"version\":\"$v\",\"address\":\"http://x\"}";;
*'"action":"current"'*) echo "{\"version\":\"$(cat "$STATE" 2>/dev/null)\"}";;
*'"action":"health"'*) echo '{"healthy":true}';;
*) echo '{}';;
esac`

func TestDeployer(t *testing.T) {
	d := &Deployer{}
	target := deploy.Target{App: "shop", Environment: "production"}
	if _, err := d.Current(t.Context(), target); !fault.Is(err, fault.KindNotFound) {
		t.Errorf("before anything was deployed: %v", err)
	}
	request := func(version string) deploy.Request {
		return deploy.Request{Key: version, Target: target, Revision: deploy.Revision{Version: version},
			Spec: deploy.App{Script: []string{"/bin/sh", "-c", script}, Env: map[string]string{"STATE": filepath.Join(t.TempDir(), "state")}}}
	}
	r := request("1")
	i, err := d.Deploy(t.Context(), r)
	if err != nil || i.Address != "http://x" {
		t.Fatalf("%v %+v", err, i)
	}
	if h, err := d.Health(t.Context(), target); err != nil || h.State != deploy.StateHealthy {
		t.Errorf("health: %v %+v", err, h)
	}
	if _, err := d.Previous(t.Context(), target); !fault.Is(err, fault.KindNotFound) {
		t.Errorf("previous: %v", err)
	}
	for version, c := range map[string]struct {
		cause deploy.Cause
		text  string
	}{
		"hangs":   {deploy.CauseHang, "did not end in time"},
		"refused": {deploy.CauseRefused, "no capacity"},
		"mute":    {deploy.CauseRefused, `got "hello\n"`},
		"ill":     {deploy.CauseUnhealthy, "2 of 3 pods"},
	} {
		bad := r
		bad.Key, bad.Revision.Version = version, version
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
		_, err := d.Deploy(ctx, bad)
		cancel()
		var f *deploy.Failure
		if !errors.As(err, &f) || f.Cause != c.cause || !strings.Contains(err.Error(), c.text) || f.Kept != "1" {
			t.Errorf("%s: %v, want %q saying %q with version 1 kept", version, err, c.cause, c.text)
		}
		if version == "refused" && f != nil && !strings.Contains(f.Output, "no room") {
			t.Errorf("output %q", f.Output)
		}
	}
	r.Spec.Script = nil
	if _, err := d.Deploy(t.Context(), r); !fault.Is(err, fault.KindInvalid) {
		t.Errorf("without a script: %v", err)
	}
}

func TestCaller(t *testing.T) {
	t.Setenv("MY_SECRET_TOKEN", "x")
	c := &Caller{URL: "http://here"}
	out, err := c.Command(t.Context(), pipeline.Command{Args: []string{"/bin/sh", "-c", "echo $TIDEGATE_VERSION $TIDEGATE_URL $MY_SECRET_TOKEN"}}, map[string]string{"TIDEGATE_VERSION": "7"})
	if err != nil || out != "7 http://here\n" {
		t.Errorf("%q, %v", out, err)
	}
	out, err = c.Command(t.Context(), pipeline.Command{Args: []string{"/bin/sh", "-c", "echo bad; exit 3"}}, nil)
	if !fault.Is(err, fault.KindInvalid) || out != "bad\n" {
		t.Errorf("%q, %v", out, err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	if _, err := c.Command(ctx, pipeline.Command{Args: []string{"sleep", "100"}}, nil); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a command that hangs: %v", err)
	}
	status := http.StatusOK
	var got *http.Request
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		got = r
		w.Header().Set("Location", "/login")
		w.WriteHeader(status)
	}))
	defer srv.Close()
	for s, kind := range map[int]fault.Kind{200: 99, 302: fault.KindInvalid, 404: fault.KindInvalid, 429: fault.KindUnavailable, 503: fault.KindUnavailable} {
		status = s
		_, err := c.Webhook(t.Context(), pipeline.Webhook{URL: srv.URL, Headers: map[string]string{"X-A": "b"}}, "the-key", []byte("{}"))
		if (kind == 99) != (err == nil) || (err != nil && !fault.Is(err, kind)) {
			t.Errorf("%d: %v", s, err)
		}
		if got.Header.Get("Idempotency-Key") != "the-key" || got.Header.Get("X-A") != "b" || got.URL.Path == "/login" {
			t.Errorf("request: %v %v", got.URL, got.Header)
		}
	}
}
