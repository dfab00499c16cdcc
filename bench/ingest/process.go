package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// process is a server under test: a process of its own, bound to one core
// where the machine has taskset, measured from outside.
type process struct {
	name       string
	cmd        *exec.Cmd
	done       chan struct{}
	output     *bytes.Buffer
	grpc, http string // OTLP
	api        string // of Tidegate
	dir        string // its data
	argv       []string
	ready      func(*process) error
}

// spawn starts the process and waits until it is ready.
func (p *process) spawn(ctx context.Context, core int) error {
	argv := p.argv
	if taskset, err := exec.LookPath("taskset"); err == nil && core >= 0 {
		argv = append([]string{taskset, "-c", strconv.Itoa(core)}, argv...)
	}
	p.cmd = exec.Command(argv[0], argv[1:]...)
	p.output = &bytes.Buffer{}
	p.cmd.Stdout, p.cmd.Stderr = p.output, p.output
	if err := p.cmd.Start(); err != nil {
		return fmt.Errorf("%s: %w", p.name, err)
	}
	p.done = make(chan struct{})
	go func() { _ = p.cmd.Wait(); close(p.done) }()
	return poll(ctx, time.Minute, p.name+" to be ready", func() error {
		select {
		case <-p.done:
			return stop{fmt.Errorf("%s ended: %s", p.name, p.output)}
		default:
		}
		return p.ready(p)
	})
}

// kill is kill -9; it returns when the process is gone.
func (p *process) kill() {
	_ = p.cmd.Process.Kill()
	<-p.done
}

// end asks the process to stop.
func (p *process) end() error {
	if err := p.cmd.Process.Signal(os.Interrupt); err != nil {
		return err
	}
	select {
	case <-p.done:
		return nil
	case <-time.After(30 * time.Second):
		p.kill()
		return fmt.Errorf("%s does not stop", p.name)
	}
}

// cpu returns the processor time that all threads of the process have used,
// user and system, in seconds.
func (p *process) cpu() (float64, error) {
	raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p.cmd.Process.Pid))
	if err != nil {
		return 0, err
	}
	// The name, in brackets, may hold anything; fields 14 and 15 count from
	// the first, in ticks of 10 ms.
	fields := strings.Fields(string(raw[bytes.LastIndexByte(raw, ')')+1:]))
	if len(fields) < 13 {
		return 0, fmt.Errorf("%s: cannot read its processor time", p.name)
	}
	user, err1 := strconv.ParseFloat(fields[11], 64)
	system, err2 := strconv.ParseFloat(fields[12], 64)
	return (user + system) / 100, errors.Join(err1, err2)
}

// memory returns the resident memory now and at its peak, in MiB.
func (p *process) memory() (now, peak float64, err error) {
	raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.cmd.Process.Pid))
	if err != nil {
		return 0, 0, err
	}
	for line := range strings.Lines(string(raw)) {
		f := strings.Fields(line)
		if len(f) < 2 {
			continue
		}
		kib, _ := strconv.ParseFloat(f[1], 64)
		switch f[0] {
		case "VmRSS:":
			now = kib / 1024
		case "VmHWM:":
			peak = kib / 1024
		}
	}
	return now, peak, nil
}

// tidegateProcess is the real binary over dir, on free ports.
func tidegateProcess(binary, dir string) *process {
	readyFile := filepath.Join(dir, "ready.json")
	return &process{
		name: "tidegate", dir: dir,
		argv: []string{binary, "serve", "--data", filepath.Join(dir, "data"), "--ready-file", readyFile, "--log-level", "warn",
			"--traces-age", "24h", "--listen", "127.0.0.1:0", "--otlp-grpc", "127.0.0.1:0", "--otlp-http", "127.0.0.1:0",
			"--flagd", "127.0.0.1:0", "--flagd-sync", "127.0.0.1:0", "--ofrep", "127.0.0.1:0"},
		ready: func(p *process) error {
			raw, err := os.ReadFile(readyFile)
			if err != nil {
				return err
			}
			var at struct{ API, OTLPGRPC, OTLPHTTP string }
			if err := json.Unmarshal(raw, &at); err != nil {
				return err
			}
			p.api, p.grpc, p.http = "http://"+at.API, at.OTLPGRPC, at.OTLPHTTP
			return os.Remove(readyFile)
		},
	}
}

// collectorProcess is the yardstick: see the package of that name.
func collectorProcess(binary string) (*process, error) {
	grpc, err := freePort()
	if err != nil {
		return nil, err
	}
	http, err := freePort()
	if err != nil {
		return nil, err
	}
	config := fmt.Sprintf(`yaml:
receivers: {otlp: {protocols: {grpc: {endpoint: %q, max_recv_msg_size_mib: 16}, http: {endpoint: %q}}}}
exporters: {nop: {}}
service:
  telemetry: {metrics: {level: none}, logs: {level: error}}
  pipelines:
    traces: {receivers: [otlp], exporters: [nop]}
    metrics: {receivers: [otlp], exporters: [nop]}
    logs: {receivers: [otlp], exporters: [nop]}
`, grpc, http)
	return &process{
		name: "collector", grpc: grpc, http: http, argv: []string{binary, "--config", config},
		ready: func(*process) error {
			for _, address := range []string{grpc, http} {
				conn, err := net.DialTimeout("tcp", address, time.Second)
				if err != nil {
					return err
				}
				_ = conn.Close()
			}
			return nil
		},
	}, nil
}

// freePort returns an address that nobody listens on. The Collector does not
// tell which port it took.
func freePort() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	defer l.Close()
	return l.Addr().String(), nil
}

// build compiles a main package.
func build(ctx context.Context, dir, into string) error {
	cmd := exec.CommandContext(ctx, "go", "build", "-o", into, ".")
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("go build in %s: %w\n%s", dir, err, out)
	}
	return nil
}

// stop is an error that polling cannot cure.
type stop struct{ error }

// poll tries until try returns nil, for at most the given time.
func poll(ctx context.Context, limit time.Duration, what string, try func() error) error {
	deadline := time.Now().Add(limit)
	for {
		err := try()
		var final stop
		switch {
		case err == nil:
			return nil
		case errors.As(err, &final):
			return final.error
		case time.Now().After(deadline):
			return fmt.Errorf("waited %s for %s: %w", limit, what, err)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(2 * time.Millisecond):
		}
	}
}
