//go:build unix

package healrun

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/tidegate-io/tidegate/entity"
	"github.com/tidegate-io/tidegate/fault"
	"github.com/tidegate-io/tidegate/healing"
	"github.com/tidegate-io/tidegate/notify"
)

func request() healing.Request {
	return healing.Request{Key: "heal-1", Kind: healing.KindScale, Ref: entity.Ref{Service: "checkout", Environment: "production"},
		Revision: "2.0", Problem: "p1", Number: 17, More: 2, Who: "healing/shop"}
}

func shell(script string) healing.Request {
	r := request()
	r.Command = &healing.Command{Args: []string{"sh", "-c", script}, Env: map[string]string{"GREETING": "hello"}, Timeout: 10 * time.Second}
	return r
}

func TestCommand(t *testing.T) {
	t.Setenv("MY_API_TOKEN", "secret")
	c := &Command{URL: "http://127.0.0.1:7070"}
	for name, test := range map[string]struct {
		script, message, event string
	}{
		"text":        {script: `echo "$GREETING $TIDEGATE_KEY $TIDEGATE_PROBLEM $TIDEGATE_SERVICE $TIDEGATE_ENVIRONMENT $TIDEGATE_REVISION [$MY_API_TOKEN]"`, message: "hello heal-1 p1 checkout production 2.0 []"},
		"nothing":     {script: `true`},
		"an answer":   {script: `echo '{"message":"scaled","event":"e1"}'`, message: "scaled", event: "e1"},
		"its input":   {script: `grep -o '"more":2'`, message: `"more":2`},
		"no JSON":     {script: `echo '{oops'`, message: "{oops"},
		"much output": {script: `yes x | head -c 200000; echo; echo the end`, message: "the end"},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := c.Do(t.Context(), shell(test.script))
			if err != nil {
				t.Fatal(err)
			}
			if !strings.HasSuffix(got.Message, test.message) || got.Event != test.event || len(got.Message) > 2*maxError {
				t.Errorf("answer is %+v, want %q and event %q", got, test.message, test.event)
			}
		})
	}
}

func TestCommandFails(t *testing.T) {
	c := &Command{}
	slow := shell(`echo $$ > "$PID_FILE"; sleep 60 & wait`)
	slow.Command.Timeout = time.Second
	pid := filepath.Join(t.TempDir(), "pid")
	slow.Command.Env["PID_FILE"] = pid
	missing := shell("")
	missing.Command.Args = []string{"/does/not/exist"}
	for name, test := range map[string]struct {
		request healing.Request
		want    string
	}{
		"exit code": {shell(`echo no such service >&2; exit 3`), "exit status 3: no such service"},
		"too slow":  {slow, "longer than its timeout"},
		"missing":   {missing, "no such file"},
		"none":      {request(), "no command"},
	} {
		t.Run(name, func(t *testing.T) {
			begin := time.Now()
			_, err := c.Do(t.Context(), test.request)
			if !fault.Is(err, fault.KindInvalid) || !strings.Contains(err.Error(), test.want) {
				t.Errorf("error is %v, want %q", err, test.want)
			}
			if took := time.Since(begin); took > 9*time.Second {
				t.Errorf("took %s", took)
			}
		})
	}
	if _, err := os.Stat(pid); err != nil {
		t.Errorf("the slow command did not run at all: %v", err)
	}
}

func TestWebhook(t *testing.T) {
	var got *http.Request
	var body []byte
	answer := func(w http.ResponseWriter) { _, _ = io.WriteString(w, `{"message":"scaled","event":"e1"}`) }
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		got = r
		body, _ = io.ReadAll(r.Body)
		answer(w)
	}))
	defer server.Close()
	r := request()
	r.Webhook = &healing.Webhook{URL: server.URL + "/scale?token=hidden", Headers: map[string]string{"X-Team": "shop"}, SecretEnv: "HOOK", Timeout: 5 * time.Second}
	now := time.Unix(1_700_000_000, 0)
	w := &Webhook{Clock: func() time.Time { return now }, Env: func(name string) (string, bool) { return "key", name == "HOOK" }}
	out, err := w.Do(t.Context(), r)
	if err != nil || out.Message != "scaled" || out.Event != "e1" {
		t.Fatalf("answer is %+v, %v", out, err)
	}
	for name, want := range map[string]string{
		"Idempotency-Key": "heal-1", "Webhook-Id": "heal-1", "Webhook-Timestamp": "1700000000", "X-Team": "shop",
		"Webhook-Signature": notify.Sign([]byte("key"), "heal-1", "1700000000", body),
	} {
		if got.Header.Get(name) != want {
			t.Errorf("header %s is %q, want %q", name, got.Header.Get(name), want)
		}
	}
	var sent healing.Request
	if err := json.Unmarshal(body, &sent); err != nil || sent.Service != "checkout" || sent.More != 2 || strings.Contains(string(body), "hidden") {
		t.Errorf("sent %s (%v)", body, err)
	}

	for code, kind := range map[int]fault.Kind{500: fault.KindUnavailable, 503: fault.KindUnavailable, 429: fault.KindUnavailable, 404: fault.KindInvalid, 302: fault.KindInvalid} {
		answer = func(w http.ResponseWriter) { w.Header().Set("Location", "/"); w.WriteHeader(code) }
		if _, err := w.Do(t.Context(), r); !fault.Is(err, kind) {
			t.Errorf("answer %d: %v, want %v", code, err, kind)
		}
	}
	r.Webhook.SecretEnv = "NOBODY"
	if _, err := w.Do(t.Context(), r); !fault.Is(err, fault.KindInvalid) {
		t.Errorf("without its secret: %v, want invalid", err)
	}
	server.Close()
	r.Webhook.SecretEnv = ""
	if _, err := w.Do(t.Context(), r); !fault.Is(err, fault.KindUnavailable) || strings.Contains(err.Error(), "hidden") {
		t.Errorf("nobody listens: %v, want unavailable without the URL", err)
	}
}
