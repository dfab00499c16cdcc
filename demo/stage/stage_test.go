//go:build unix

package stage

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"testing/fstest"
	"time"

	"github.com/tidegate-io/tidegate/demo/child"
	"github.com/tidegate-io/tidegate/demo/shop"
)

// The test binary stands in for the program: the shop is the real one, the
// server only says that it is ready.
func TestMain(m *testing.M) {
	if len(os.Args) < 2 || os.Getenv("STAGE_TEST") == "" {
		os.Exit(m.Run())
	}
	ctx, cancel := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer cancel()
	var err error
	switch os.Args[1] {
	case "serve":
		err = fakeServer(ctx)
	case "demo":
		err = shop.Main(ctx, os.Args[3:], os.Stderr)
	case "apply":
		err = errors.New("guardian.yaml:7:3: no such field")
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
}

func fakeServer(ctx context.Context) error {
	ctx, cancel := child.Lifeline(ctx)
	defer cancel()
	if os.Getenv("STAGE_TEST") == "broken" {
		return errors.New("the data directory is in use")
	}
	var ready string
	for i, a := range os.Args {
		if a == "--ready-file" {
			ready = os.Args[i+1]
		}
	}
	raw, err := json.Marshal(Addresses{API: "127.0.0.1:1"})
	if err != nil {
		return err
	}
	if err := os.WriteFile(ready+".tmp", raw, 0o600); err != nil {
		return err
	}
	if err := os.Rename(ready+".tmp", ready); err != nil {
		return err
	}
	<-ctx.Done()
	return nil
}

func config(t *testing.T, mode string) Config {
	t.Setenv("STAGE_TEST", mode)
	return Config{Binary: os.Args[0], Dir: t.TempDir(), Exit: true}
}

// opening is a story that gets as far as the manifests.
type opening struct{ *Stage }

func (o opening) Steps() []Step {
	do := func(f func(context.Context) error) func(context.Context) (string, error) {
		return func(ctx context.Context) (string, error) { return "", f(ctx) }
	}
	return []Step{
		{"start the server", time.Second, do(func(ctx context.Context) error { return errors.Join(o.OpenShop(), o.StartServer(ctx)) })},
		{"start the shop", time.Second, do(func(ctx context.Context) error { return o.StartShop(ctx, "dev", "") })},
		{"apply the manifests", time.Second, do(func(ctx context.Context) error { return o.Apply(ctx, fstest.MapFS{"a.yaml": {}}) })},
	}
}

func (opening) Conclude() []Claim          { return nil }
func (opening) Stay(context.Context) error { return nil }

func run(ctx context.Context, cfg Config) error {
	s, err := New(cfg)
	if err != nil {
		return err
	}
	return s.Tell(ctx, opening{s})
}

// The stage comes up, the shop sells, and a failing step says why; afterwards
// nothing listens any more.
func TestTheStageComesUpAndGoes(t *testing.T) {
	cfg := config(t, "fine")
	var out bytes.Buffer
	cfg.Out = &out
	err := run(t.Context(), cfg)
	if err == nil || !strings.Contains(err.Error(), "guardian.yaml:7:3: no such field") || !strings.Contains(err.Error(), "logs") {
		t.Fatalf("got %v", err)
	}
	if errors.Is(err, ErrStory) {
		t.Errorf("not the story is to blame: %v", err)
	}
	for _, want := range []string{"start the server", "✓ start the shop", "next: ", "✕ apply the manifests"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("the progress lacks %q:\n%s", want, out.String())
		}
	}
	for _, name := range shop.Services() {
		log, err := os.ReadFile(filepath.Join(cfg.Dir, "logs", name+".log"))
		if err != nil {
			t.Fatal(err)
		}
		_, address, ok := strings.Cut(strings.TrimSpace(strings.SplitN(string(log), "\n", 2)[0]), "address=")
		if !ok {
			t.Fatalf("log of %s: %s", name, log)
		}
		if conn, err := net.Dial("tcp", address); err == nil {
			conn.Close()
			t.Errorf("%s still listens on %s", name, address)
		}
	}
}

func TestAServerThatDoesNotStartSaysWhere(t *testing.T) {
	cfg := config(t, "broken")
	err := run(t.Context(), cfg)
	if !errors.Is(err, child.ErrEnded) || !strings.Contains(err.Error(), filepath.Join(cfg.Dir, "logs")) || !strings.Contains(err.Error(), "in use") {
		t.Errorf("got %v", err)
	}
}

func TestInterruption(t *testing.T) {
	cfg := config(t, "fine")
	ctx, cancel := context.WithCancel(t.Context())
	cfg.Out = writerFunc(func(p []byte) (int, error) {
		if bytes.Contains(p, []byte("start the shop")) {
			cancel()
		}
		return len(p), nil
	})
	if err := run(ctx, cfg); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(p []byte) (int, error) { return f(p) }

func TestUntil(t *testing.T) {
	s := &Stage{}
	began := time.Now()
	n := 0
	if err := s.Until(t.Context(), time.Minute, time.Millisecond, "three", func() (bool, error) { n++; return n == 3, nil }); err != nil || n != 3 {
		t.Errorf("%d, %v", n, err)
	}
	if err := s.Until(t.Context(), time.Minute, time.Millisecond, "never", func() (bool, error) { return false, http.ErrBodyNotAllowed }); !errors.Is(err, http.ErrBodyNotAllowed) {
		t.Errorf("got %v", err)
	}
	err := s.Until(t.Context(), 5*time.Millisecond, time.Millisecond, "pigs fly", func() (bool, error) { return false, nil })
	if err == nil || !strings.Contains(err.Error(), "pigs fly") || time.Since(began) > 10*time.Second {
		t.Errorf("got %v", err)
	}
}
