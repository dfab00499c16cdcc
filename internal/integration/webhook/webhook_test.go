package webhook

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cloudevents/sdk-go/v2/event"

	"github.com/tidegate-io/tidegate/change"
	"github.com/tidegate-io/tidegate/fault"
	"github.com/tidegate-io/tidegate/internal/state"
	"github.com/tidegate-io/tidegate/notify"
	"github.com/tidegate-io/tidegate/workflow"
)

// receiver is an endpoint that answers as told and remembers requests.
type receiver struct {
	*httptest.Server
	mu       sync.Mutex
	requests []received
	answer   func(w http.ResponseWriter, r *http.Request)
}

type received struct {
	header http.Header
	path   string
	body   []byte
}

func newReceiver(t *testing.T) *receiver {
	r := &receiver{answer: func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) }}
	r.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		body, err := io.ReadAll(req.Body)
		if err != nil {
			t.Error(err)
		}
		r.mu.Lock()
		r.requests = append(r.requests, received{req.Header, req.URL.Path, body})
		answer := r.answer
		r.mu.Unlock()
		answer(w, req)
	}))
	t.Cleanup(r.Close)
	return r
}

func (r *receiver) got() []received {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]received(nil), r.requests...)
}

// clock is set by the test.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

const hook = "/services/T000/a-token-in-the-path"

type bench struct {
	*Sender
	receiver *receiver
	clock    *clock
	outbox   notify.Outbox
	logs     *bytes.Buffer
}

func newBench(t *testing.T, channels ...notify.Channel) *bench {
	t.Helper()
	db, err := state.Open(t.Context(), state.Config{URL: "sqlite://" + filepath.Join(t.TempDir(), "s.db")})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	b := &bench{receiver: newReceiver(t), clock: &clock{now: time.Unix(1_800_000_000, 0)}, outbox: db.Outbox(), logs: &bytes.Buffer{}}
	env := map[string]string{"HOOK_SECRET": "top-secret", "EMPTY": ""}
	b.Sender, err = New(Config{Outbox: b.outbox, Source: "https://tidegate.example", Clock: b.clock.Now, Timeout: 5 * time.Second,
		Env: func(name string) (string, bool) { v, ok := env[name]; return v, ok }, Reports: reports{},
		Logger: slog.New(slog.NewTextHandler(b.logs, nil))})
	if err != nil {
		t.Fatal(err)
	}
	if len(channels) == 0 {
		channels = []notify.Channel{{Name: "room", Events: []string{"validation.*"}, Webhook: &notify.Webhook{
			URL: b.receiver.URL + hook, Secret: &notify.Secret{Env: "HOOK_SECRET"}, Headers: map[string]string{"Authorization": "Bearer abc"}}}}
	}
	if err := b.Define(channels); err != nil {
		t.Fatal(err)
	}
	return b
}

type reports struct{}

func (reports) Report(_ context.Context, id, format string) ([]byte, string, error) {
	switch id {
	case "gone":
		return nil, "", fault.NotFound("no validation %q", id)
	case "long":
		return []byte(strings.Repeat("ü", maxReport)), "text/markdown", nil
	}
	return []byte("# Report of " + id + " as " + format), "text/markdown", nil
}

func (b *bench) deliver(t *testing.T) {
	t.Helper()
	if _, err := b.deliverDue(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// only returns the single delivery in the outbox.
func (b *bench) only(t *testing.T) notify.Delivery {
	t.Helper()
	ds, err := b.outbox.Deliveries(t.Context(), "", 0)
	if err != nil || len(ds) != 1 {
		t.Fatalf("outbox holds %v, %v: want one message", ds, err)
	}
	return ds[0]
}

func (b *bench) notify(t *testing.T, n workflow.Notification) {
	t.Helper()
	if err := b.Notify(t.Context(), n); err != nil {
		t.Fatal(err)
	}
}

func TestNotification(t *testing.T) {
	b := newBench(t)
	n := workflow.Notification{Key: "run-1-4", Channel: "room", Message: "no-go", Report: "v-1", Origin: workflow.Origin{Who: "workflow/judge", Run: "run-1"}}
	b.notify(t, n)
	b.notify(t, n) // the same key is one message
	b.deliver(t)
	got := b.receiver.got()
	if len(got) != 1 || b.only(t).State != notify.StateDelivered {
		t.Fatalf("%d requests, outbox %+v: want one, delivered", len(got), b.only(t))
	}
	h := got[0].header
	for name, want := range map[string]string{"Webhook-Id": "run-1-4", "Idempotency-Key": "run-1-4", "Webhook-Timestamp": "1800000000",
		"Content-Type": "application/cloudevents+json", "Authorization": "Bearer abc"} {
		if h.Get(name) != want {
			t.Errorf("%s is %q, want %q", name, h.Get(name), want)
		}
	}
	mac := hmac.New(sha256.New, []byte("top-secret"))
	mac.Write([]byte("run-1-4.1800000000."))
	mac.Write(got[0].body)
	if want := "v1," + base64.StdEncoding.EncodeToString(mac.Sum(nil)); h.Get("Webhook-Signature") != want {
		t.Errorf("signature %q, want %q", h.Get("Webhook-Signature"), want)
	}
	var e event.Event
	if err := json.Unmarshal(got[0].body, &e); err != nil {
		t.Fatal(err)
	}
	var told Told
	if err := errors.Join(e.Validate(), e.DataAs(&told)); err != nil {
		t.Fatal(err)
	}
	if e.Type() != "dev.tidegate.workflow.notification.v1" || e.Source() != "https://tidegate.example" || e.SpecVersion() != "1.0" {
		t.Errorf("event %v", e)
	}
	if told.Message != "no-go" || told.Report == nil || told.Report.Markdown != "# Report of v-1 as markdown" {
		t.Errorf("data %+v", told)
	}
	if err := b.Notify(t.Context(), workflow.Notification{Key: "k", Channel: "nobody"}); !fault.Is(err, fault.KindNotFound) {
		t.Errorf("unknown channel: %v, want a fault of kind not found", err)
	}
}

// The example of the Standard Webhooks specification.
func TestSignatureOfTheSpecification(t *testing.T) {
	key, err := base64.StdEncoding.DecodeString("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
	if err != nil {
		t.Fatal(err)
	}
	got := notify.Sign(key, "msg_p5jXN8AQM9LWM0D4loKWxJek", "1614265330", []byte(`{"test": 2432232314}`))
	if want := "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="; got != want {
		t.Errorf("signature %s, want %s", got, want)
	}
}

func TestReportsThatCannotBeAttached(t *testing.T) {
	b := newBench(t)
	if r := b.report(t.Context(), "gone"); r.Missing == "" || r.Markdown != "" {
		t.Errorf("report %+v: want the reason why it is missing", r)
	}
	if r := b.report(t.Context(), "long"); !r.Truncated || len(r.Markdown) > maxReport || strings.Trim(r.Markdown, "ü") != "" {
		t.Errorf("report of %d bytes, truncated %v: want whole characters up to the limit", len(r.Markdown), r.Truncated)
	}
}

// After a restart a channel gets what it may have missed, not what happened
// before there was a channel.
func TestRepublishedEventsAreNotOlderThanTheChannel(t *testing.T) {
	made := time.Unix(1_799_999_000, 0)
	b := newBench(t, notify.Channel{Name: "room", Events: []string{"*"}, Since: made, Webhook: &notify.Webhook{URL: "http://127.0.0.1:1" + hook}})
	for id, at := range map[string]time.Time{"before": made.Add(-time.Hour), "missed": made.Add(time.Hour)} {
		if err := b.Republish(t.Context(), change.Event{ID: id, Type: change.TypeFlagChanged, Title: id, Start: at, Received: at}); err != nil {
			t.Fatal(err)
		}
	}
	if d := b.only(t); d.ID != "missed@room" {
		t.Errorf("queued %s, want only what came after the channel", d.ID)
	}
}

func TestPublishedEvents(t *testing.T) {
	b := newBench(t)
	for _, typ := range []string{change.TypeValidationStarted, change.TypeValidationObjective, change.TypeValidationFinished, change.TypeFlagChanged} {
		e := change.Event{ID: "e-" + typ, Type: typ, Kind: change.KindValidation, Title: typ, Start: b.clock.Now(), Properties: map[string]string{"status": "fail"}}
		for range 2 { // repeated: still one message
			if err := b.Publish(t.Context(), e); err != nil {
				t.Fatal(err)
			}
		}
	}
	b.deliver(t)
	types := map[string]bool{}
	for _, r := range b.receiver.got() {
		var e event.Event
		var data change.Event
		if err := json.Unmarshal(r.body, &e); err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(e.Validate(), e.DataAs(&data)); err != nil {
			t.Fatal(err)
		}
		if e.ID() != data.ID || !e.Time().Equal(data.Start) || data.Properties["status"] != "fail" {
			t.Errorf("event %v holds %+v", e, data)
		}
		types[e.Type()] = true
	}
	if len(b.receiver.got()) != 3 || !types["dev.tidegate.validation.started.v1"] || !types["dev.tidegate.validation.objective.v1"] || !types["dev.tidegate.validation.finished.v1"] {
		t.Errorf("%d requests of types %v, want the three that the channel subscribes to", len(b.receiver.got()), types)
	}
}

func TestAnswers(t *testing.T) {
	for _, c := range []struct {
		name   string
		answer func(w http.ResponseWriter, r *http.Request)
		state  notify.State
		pause  time.Duration // at least
		text   string
	}{
		{"200", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, strings.Repeat("x", 1<<20)) }, notify.StateDelivered, 0, ""},
		{"500", func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "out of order", 500) }, notify.StatePending, 750 * time.Millisecond, "answer 500 Internal Server Error: out of order"},
		{"429 with a pause", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Retry-After", "120")
			w.WriteHeader(429)
		}, notify.StatePending, 2 * time.Minute, "answer 429"},
		{"503 with an endless pause", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Retry-After", "99999999999")
			w.WriteHeader(503)
		}, notify.StatePending, time.Second / 2, "answer 503"},
		{"404", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(404) }, notify.StateDead, 0, "answer 404"},
		{"redirect elsewhere", func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "http://elsewhere.invalid/", http.StatusTemporaryRedirect)
		}, notify.StateDead, 0, "answer 307"},
		{"redirect that loses the body", func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "/other", http.StatusFound)
		}, notify.StateDead, 0, "answer 302"},
		{"redirect within the host", func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == hook {
				http.Redirect(w, r, "/moved", http.StatusPermanentRedirect)
			}
		}, notify.StateDelivered, 0, ""},
		{"redirects without end", func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, r.URL.Path, http.StatusPermanentRedirect)
		}, notify.StateDead, 0, "answer 308"},
		{"no answer", func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, notify.StatePending, 750 * time.Millisecond, "EOF"},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := newBench(t)
			b.receiver.answer = c.answer
			b.notify(t, workflow.Notification{Key: "k", Channel: "room", Message: "m"})
			b.deliver(t)
			d := b.only(t)
			if d.State != c.state || !strings.Contains(d.Error, c.text) || len(d.Error) > 400 {
				t.Errorf("delivery is %s with error %.300q, want %s with %q", d.State, d.Error, c.state, c.text)
			}
			if wait := d.Next.Sub(b.clock.Now()); c.state == notify.StatePending && (wait < c.pause || wait > time.Hour) {
				t.Errorf("next attempt in %v, want %v to 1h", wait, c.pause)
			}
			for _, secret := range []string{"a-token-in-the-path", "top-secret", "Bearer abc"} {
				if strings.Contains(d.Error+b.logs.String(), secret) {
					t.Errorf("error or log shows %s:\n%s\n%s", secret, d.Error, b.logs)
				}
			}
		})
	}
}

// An endpoint that is down for a while gets the message when it is back, with
// the same id; one that stays down leaves a dead letter.
func TestRetries(t *testing.T) {
	b := newBench(t)
	failing := 4
	b.receiver.answer = func(w http.ResponseWriter, _ *http.Request) {
		if failing--; failing >= 0 {
			w.WriteHeader(500)
		}
	}
	b.notify(t, workflow.Notification{Key: "k", Channel: "room", Message: "m"})
	for range 5 {
		b.deliver(t)
		b.deliver(t) // not due: no further attempt
		b.clock.advance(time.Hour)
	}
	if d := b.only(t); d.State != notify.StateDelivered || d.Attempts != 5 || len(b.receiver.got()) != 5 {
		t.Errorf("after 5 attempts: %+v", d)
	}
	for _, r := range b.receiver.got() {
		if r.header.Get("Idempotency-Key") != "k" {
			t.Errorf("attempt with key %q", r.header.Get("Idempotency-Key"))
		}
	}

	down := newBench(t)
	down.receiver.Close()
	down.notify(t, workflow.Notification{Key: "k", Channel: "room", Message: "m"})
	for range 2 * maxAttempts {
		down.deliver(t)
		down.clock.advance(time.Hour)
	}
	if d := down.only(t); d.State != notify.StateDead || d.Attempts != maxAttempts {
		t.Errorf("endpoint that stays down: %+v, want a dead letter after %d attempts", d, maxAttempts)
	}
	if !strings.Contains(down.logs.String(), "given up") || strings.Contains(down.logs.String(), "a-token-in-the-path") {
		t.Errorf("log of a dead letter: %s", down.logs)
	}
}

func TestSecrets(t *testing.T) {
	file := filepath.Join(t.TempDir(), "secret")
	b := newBench(t)
	for _, c := range []struct {
		name, content string
		ref           notify.Secret
		want          string // empty: an error
	}{
		{"environment", "", notify.Secret{Env: "HOOK_SECRET"}, "top-secret"},
		{"unset", "", notify.Secret{Env: "NOBODY"}, ""},
		{"empty", "", notify.Secret{Env: "EMPTY"}, ""},
		{"file", "from-file\n", notify.Secret{File: file}, "from-file"},
		{"rotated file", "whsec_" + base64.StdEncoding.EncodeToString([]byte("new")), notify.Secret{File: file}, "new"},
		{"broken", "whsec_%%%", notify.Secret{File: file}, ""},
		{"large", strings.Repeat("x", 4<<10+1), notify.Secret{File: file}, ""},
		{"missing", "", notify.Secret{File: file + ".gone"}, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			if err := os.WriteFile(file, []byte(c.content), 0o600); err != nil {
				t.Fatal(err)
			}
			key, err := c.ref.Key(b.cfg.Env)
			if string(key) != c.want || (err == nil) != (c.want != "") {
				t.Errorf("secret %q, %v: want %q", key, err, c.want)
			}
		})
	}
}

// Run delivers without being polled by the test, and ends.
func TestRun(t *testing.T) {
	b := newBench(t)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() { ended <- b.Run(ctx) }()
	for i := range 3 * claimBatch {
		b.notify(t, workflow.Notification{Key: fmt.Sprint("k", i), Channel: "room", Message: "m"})
	}
	for deadline := time.Now().Add(30 * time.Second); len(b.receiver.got()) < 3*claimBatch; time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%d of %d messages arrived", len(b.receiver.got()), 3*claimBatch)
		}
	}
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	left, err := b.outbox.Deliveries(t.Context(), notify.StatePending, 0)
	if err != nil || len(left) != 0 {
		t.Errorf("%d messages are left, %v", len(left), err)
	}
}
