// Package e2e tests the product as it is used: the real binary, started as a
// process, asked over its ports.
package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// binary is the path of tidegate; see TestMain.
var binary string

// TestMain builds the binary, or takes the one that TIDEGATE_BIN names.
func TestMain(m *testing.M) {
	os.Exit(testAll(m))
}

func testAll(m *testing.M) int {
	if binary = os.Getenv("TIDEGATE_BIN"); binary == "" {
		dir, err := os.MkdirTemp("", "tidegate-e2e")
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		defer os.RemoveAll(dir)
		binary = filepath.Join(dir, "tidegate")
		build := exec.Command("go", "build", "-o", binary, "../../cmd/tidegate")
		build.Env = append(os.Environ(), "CGO_ENABLED=0")
		if out, err := build.CombinedOutput(); err != nil {
			fmt.Fprintf(os.Stderr, "go build: %v\n%s", err, out)
			return 1
		}
	}
	return m.Run()
}

// server is a running tidegate serve.
type server struct {
	t    *testing.T
	cmd  *exec.Cmd
	done chan struct{} // closed when the process has ended
	log  *bytes.Buffer

	API, OTLPHTTP, OTLPGRPC, FlagEvaluation, FlagSync, OFREP string
}

// start runs a server over dir on free ports and waits until it is ready. It
// is killed when the test ends.
func start(t *testing.T, dir string, args ...string) *server {
	t.Helper()
	ready := filepath.Join(t.TempDir(), "ready.json")
	args = append([]string{"serve", "--data", dir, "--ready-file", ready,
		"--listen", "127.0.0.1:0", "--otlp-grpc", "127.0.0.1:0", "--otlp-http", "127.0.0.1:0",
		"--flagd", "127.0.0.1:0", "--flagd-sync", "127.0.0.1:0", "--ofrep", "127.0.0.1:0"}, args...)
	s := &server{t: t, cmd: exec.Command(binary, args...), done: make(chan struct{}), log: &bytes.Buffer{}}
	s.cmd.Stderr, s.cmd.Stdout = s.log, s.log
	s.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := s.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() { _ = s.cmd.Wait(); close(s.done) }()
	t.Cleanup(s.kill)
	eventually(t, 30*time.Second, "the server to be ready", func() error {
		select {
		case <-s.done:
			t.Fatalf("the server ended:\n%s", s.log)
		default:
		}
		raw, err := os.ReadFile(ready)
		if err != nil {
			return err
		}
		return json.Unmarshal(raw, s)
	})
	return s
}

// kill is kill -9; it returns when the process is gone.
func (s *server) kill() {
	_ = s.cmd.Process.Kill()
	<-s.done
}

// stop asks the server to end and expects it to do so cleanly.
func (s *server) stop() {
	s.t.Helper()
	if err := s.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		s.t.Fatal(err)
	}
	select {
	case <-s.done:
	case <-time.After(30 * time.Second):
		s.t.Fatalf("the server does not stop:\n%s", s.log)
	}
	if code := s.cmd.ProcessState.ExitCode(); code != 0 {
		s.t.Fatalf("exit code %d:\n%s", code, s.log)
	}
}

// cli runs a command of the command line against the server.
func (s *server) cli(args ...string) (stdout string, code int) {
	s.t.Helper()
	stdout, stderr, code := run(s.t, s.env(), binary, args...)
	if stderr != "" {
		s.t.Logf("%v: %s", args, stderr)
	}
	return stdout, code
}

// env makes the command line ask this server.
func (s *server) env() []string {
	return []string{"TIDEGATE_SERVER=http://" + s.API, "TIDEGATE_WHO=tester"}
}

// run runs a program to its end, with env on top of the test's environment but
// for what is meant for another tidegate.
func run(t *testing.T, env []string, name string, args ...string) (stdout, stderr string, code int) {
	t.Helper()
	cmd := exec.Command(name, args...)
	for _, e := range os.Environ() {
		if !strings.HasPrefix(e, "TIDEGATE_") {
			cmd.Env = append(cmd.Env, e)
		}
	}
	cmd.Env = append(cmd.Env, env...)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	err := cmd.Run()
	if _, exited := err.(*exec.ExitError); err != nil && !exited {
		t.Fatal(err)
	}
	return out.String(), errs.String(), cmd.ProcessState.ExitCode()
}

// apply puts a manifest into force.
func (s *server) apply(yaml string) {
	s.t.Helper()
	status, answer, err := s.call(http.MethodPost, "/v1/manifests", "application/yaml", []byte(yaml), nil)
	if err != nil || status != http.StatusOK {
		s.t.Fatalf("apply: %d %s %v", status, answer, err)
	}
}

// call sends a request to the API; headers are name, value pairs.
func (s *server) call(method, path, contentType string, in []byte, out any, headers ...string) (int, []byte, error) {
	return send(method, "http://"+s.API+path, contentType, in, out, headers...)
}

func send(method, url, contentType string, in []byte, out any, headers ...string) (int, []byte, error) {
	req, err := http.NewRequestWithContext(context.Background(), method, url, bytes.NewReader(in))
	if err != nil {
		return 0, nil, err
	}
	if contentType != "" {
		req.Header.Set("Content-Type", contentType)
	}
	for i := 0; i+1 < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, nil, err
	}
	defer res.Body.Close()
	raw, err := io.ReadAll(res.Body)
	if err == nil && out != nil && res.StatusCode < 300 {
		err = json.Unmarshal(raw, out)
	}
	return res.StatusCode, raw, err
}

// get reads JSON from the API.
func get[T any](s *server, path string) T {
	s.t.Helper()
	var out T
	status, answer, err := s.call(http.MethodGet, path, "", nil, &out)
	if err != nil || status != http.StatusOK {
		s.t.Fatalf("GET %s: %d %s %v", path, status, answer, err)
	}
	return out
}

// eventually polls until f has no error.
func eventually(t *testing.T, within time.Duration, what string, f func() error) {
	t.Helper()
	deadline := time.Now().Add(within)
	for {
		err := f()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("waited %s for %s: %v", within, what, err)
		}
		time.Sleep(50 * time.Millisecond)
	}
}
