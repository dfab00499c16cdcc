package process

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/tidegate-io/tidegate/delivery/deploy"
	"github.com/tidegate-io/tidegate/fault"
)

// The test binary is the program that is deployed, too.
func TestMain(m *testing.M) {
	if os.Getenv("PROGRAM") != "" {
		program()
		return
	}
	os.Exit(m.Run())
}

func program() {
	how := os.Getenv("PROGRAM")
	fmt.Println("version", os.Getenv("TIDEGATE_VERSION"), how)
	switch how {
	case "ends":
		os.Exit(3)
	case "deaf": // listens on nothing; an empty select would be a deadlock to the runtime
		time.Sleep(time.Hour)
	case "stubborn":
		signal.Ignore(syscall.SIGTERM)
	}
	http.HandleFunc("/health", func(w http.ResponseWriter, _ *http.Request) {
		if how == "ill" {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
	})
	http.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprint(w, os.Getenv("TIDEGATE_VERSION"), " ", os.Getenv("OTEL_RESOURCE_ATTRIBUTES"))
	})
	http.HandleFunc("/die", func(http.ResponseWriter, *http.Request) { os.Exit(1) })
	if err := http.ListenAndServe("127.0.0.1:"+os.Getenv("PORT"), nil); err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
}

type noArtifacts struct{}

func (noArtifacts) Path(string) (string, error) { return "", fault.NotFound("none") }

var production = deploy.Target{App: "shop", Environment: "production"}

func open(t *testing.T, dir string) *Deployer {
	t.Helper()
	d, err := New(Config{Dir: dir, Artifacts: noArtifacts{}})
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// deployer is one that leaves nothing running after the test.
func deployer(t *testing.T) *Deployer {
	t.Helper()
	dir := t.TempDir()
	d := open(t, dir)
	t.Cleanup(func() {
		last := open(t, dir)
		last.cfg.StopAtExit = true
		if err := last.exit(); err != nil {
			t.Error(err)
		}
	})
	return d
}

func request(version, how string) deploy.Request {
	self, err := os.Executable()
	if err != nil {
		panic(err)
	}
	return deploy.Request{Key: "key-" + version, Target: production, Revision: deploy.Revision{Version: version},
		Spec: deploy.App{Run: []string{self}, Env: map[string]string{"PROGRAM": how}, Grace: 300 * time.Millisecond,
			Check: deploy.Check{Path: "/health", Within: 10 * time.Second, Every: 20 * time.Millisecond}}}
}

func ask(t *testing.T, address string) string {
	t.Helper()
	res, err := http.Get(address)
	if err != nil {
		return err.Error()
	}
	defer res.Body.Close()
	raw, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}

// eventually polls with a deadline.
func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for end := time.Now().Add(15 * time.Second); !holds(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("not within 15 s: " + what)
		}
	}
}

func pid(d *Deployer) int { return d.at(production).state.Current.Process.PID }

func TestReplace(t *testing.T) {
	d := deployer(t)
	one, err := d.Deploy(t.Context(), request("1", "serves"))
	if err != nil {
		t.Fatal(err)
	}
	if got := ask(t, one.Address); got != "1 service.version=1,deployment.environment.name=production" {
		t.Errorf("version 1 says %q", got)
	}
	first := pid(d)
	if again, err := d.Deploy(t.Context(), request("1", "serves")); err != nil || again.Address != one.Address || pid(d) != first {
		t.Errorf("the same key: %v, %s, was %s", err, again.Address, one.Address)
	}
	two, err := d.Deploy(t.Context(), request("2", "serves"))
	if err != nil {
		t.Fatal(err)
	}
	if got := ask(t, two.Address); !strings.HasPrefix(got, "2 ") {
		t.Errorf("version 2 says %q", got)
	}
	if got := ask(t, one.Address); !strings.Contains(got, "refused") {
		t.Errorf("version 1 is still there: %s", got)
	}
	prev, err := d.Previous(t.Context(), production)
	if err != nil || prev.Revision.Version != "1" {
		t.Errorf("previous: %v %+v", err, prev)
	}
	back := request("1", "serves")
	back.Key = "back"
	if i, err := d.Rollback(t.Context(), back); err != nil || !strings.HasPrefix(ask(t, i.Address), "1 ") {
		t.Errorf("rollback: %v", err)
	}
	// Beside each other, in slots.
	green := request("3", "serves")
	green.Slot = "green"
	side, err := d.Deploy(t.Context(), green)
	if err != nil || !strings.HasPrefix(ask(t, side.Address), "3 ") {
		t.Errorf("slot: %v", err)
	}
	if c, err := d.Current(t.Context(), production); err != nil || c.Revision.Version != "1" || c.Address == side.Address {
		t.Errorf("the place beside: %v %+v", err, c)
	}
	if err := d.Remove(t.Context(), green.Target); err != nil {
		t.Error(err)
	}
	if got := ask(t, side.Address); !strings.Contains(got, "refused") {
		t.Errorf("removed, but says %q", got)
	}
}

// Whatever goes wrong, what ran before keeps running and nothing else is left.
func TestFailures(t *testing.T) {
	for how, c := range map[string]struct {
		cause deploy.Cause
		text  string
	}{
		"ends": {deploy.CauseCrash, "before it was healthy"},
		"deaf": {deploy.CauseUnhealthy, "not within 300ms"},
		"ill":  {deploy.CauseUnhealthy, "/health answered 503"},
		"none": {deploy.CauseStart, "cannot be run"},
	} {
		for _, port := range []string{"free", "fixed"} {
			t.Run(how+" "+port, func(t *testing.T) {
				d := deployer(t)
				one, bad := request("1", "serves"), request("2", how)
				if port == "fixed" {
					var err error
					if one.Spec.Port, err = freePort(); err != nil {
						t.Fatal(err)
					}
					bad.Spec.Port = one.Spec.Port
				}
				before, err := d.Deploy(t.Context(), one)
				if err != nil {
					t.Fatal(err)
				}
				bad.Spec.Check.Within = 300 * time.Millisecond
				if how == "none" {
					bad.Spec.Run = []string{"/no/such/program"}
				}
				if how == "ends" {
					bad.Spec.Check.Within = 10 * time.Second
				}
				_, err = d.Deploy(t.Context(), bad)
				var f *deploy.Failure
				if !errors.As(err, &f) || f.Cause != c.cause || !strings.Contains(err.Error(), c.text) || f.Kept != "1" {
					t.Fatalf("%v, want %q saying %q, and version 1 kept", err, c.cause, c.text)
				}
				if how == "ill" && !strings.Contains(f.Output, "version 2 ill") {
					t.Errorf("output %q", f.Output)
				}
				eventually(t, "version 1 answers", func() bool { return strings.HasPrefix(ask(t, before.Address), "1 ") })
				if s := d.at(production).state; s.Starting != nil || len(s.Retired) != 0 || s.Current.Key != "key-1" {
					t.Errorf("left behind: %+v", s)
				}
			})
		}
	}
}

func TestHangStopsAtItsTime(t *testing.T) {
	d := deployer(t)
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	_, err := d.Deploy(ctx, request("1", "deaf"))
	var f *deploy.Failure
	if !errors.As(err, &f) || f.Kept != "" || !strings.Contains(err.Error(), "nothing runs there") {
		t.Errorf("%v", err)
	}
}

func TestStubbornIsKilled(t *testing.T) {
	d := deployer(t)
	if _, err := d.Deploy(t.Context(), request("1", "stubborn")); err != nil {
		t.Fatal(err)
	}
	old := d.at(production).state.Current.Process
	if _, err := d.Deploy(t.Context(), request("2", "serves")); err != nil {
		t.Fatal(err)
	}
	if alive(old) {
		t.Error("the old one is still alive")
	}
}

// What ends by itself is started again; the next Tidegate adopts what runs.
func TestSupervision(t *testing.T) {
	d := deployer(t)
	i, err := d.Deploy(t.Context(), request("1", "serves"))
	if err != nil {
		t.Fatal(err)
	}
	first := pid(d)

	next := open(t, d.cfg.Dir) // after a restart
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() { ended <- next.Run(ctx) }()
	defer func() { cancel(); <-ended }()
	if got := pid(next); got != first || !strings.HasPrefix(ask(t, i.Address), "1 ") {
		t.Errorf("process %d became %d", first, got)
	}
	ask(t, i.Address+"/die")
	eventually(t, "it runs again", func() bool { return strings.HasPrefix(ask(t, i.Address), "1 ") })
	h, err := next.Health(t.Context(), production)
	if err != nil || h.State != deploy.StateHealthy || h.Restarts != 1 {
		t.Errorf("health: %+v, %v", h, err)
	}
	// A deployment asked for again after the restart is the same one.
	if again, err := next.Deploy(t.Context(), request("1", "serves")); err != nil || again.Address != i.Address {
		t.Errorf("the same key: %v %+v", err, again)
	}
}

// Tidegate dies in the middle of a deployment: what was starting is ended by
// the next, and what ran before still runs.
func TestCrashInTheMiddle(t *testing.T) {
	d := deployer(t)
	one, err := d.Deploy(t.Context(), request("1", "serves"))
	if err != nil {
		t.Fatal(err)
	}
	p := d.at(production)
	r := request("2", "deaf")
	fresh := &running{Key: r.Key, Revision: r.Revision, Spec: r.Spec, Port: 1}
	if _, err := d.spawn(p, fresh, func(pr process) error { fresh.Process = pr; p.state.Starting = fresh; return p.write() }); err != nil {
		t.Fatal(err)
	}
	next := open(t, d.cfg.Dir)
	r.Spec.Env["PROGRAM"] = "serves"
	two, err := next.Deploy(t.Context(), r) // resumed, under the same key
	if err != nil || !strings.HasPrefix(ask(t, two.Address), "2 ") {
		t.Errorf("resumed: %v", err)
	}
	if alive(fresh.Process) {
		t.Error("what was starting is still alive")
	}
	if got := ask(t, one.Address); !strings.Contains(got, "refused") {
		t.Errorf("version 1 says %q", got)
	}
}

// A program whose Tidegate dies before its id is known never begins.
func TestGate(t *testing.T) {
	read, write, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	mark := filepath.Join(t.TempDir(), "began")
	cmd := exec.Command("/bin/sh", "-c", gate, "sh", "touch", mark)
	cmd.ExtraFiles = []*os.File{read}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	read.Close()
	write.Close() // as the death of the process does
	var exit *exec.ExitError
	if err := cmd.Wait(); !errors.As(err, &exit) || exit.ExitCode() != 125 {
		t.Errorf("the gate: %v", err)
	}
	if _, err := os.Stat(mark); err == nil {
		t.Error("the program began")
	}
}

func TestLogIsBounded(t *testing.T) {
	p := &place{dir: t.TempDir()}
	if err := os.WriteFile(p.logPath(), []byte(strings.Repeat("x", maxLog)+"the end"), 0o600); err != nil {
		t.Fatal(err)
	}
	p.boundLog()
	raw, err := os.ReadFile(p.logPath() + ".old")
	if err != nil || p.logSize() != 0 || len(raw) != keptLog || !strings.HasSuffix(string(raw), "the end") {
		t.Errorf("%v: %d bytes now, %d kept", err, p.logSize(), len(raw))
	}
}

func TestAlive(t *testing.T) {
	me := os.Getpid()
	started, err := startOf(me)
	if err != nil {
		t.Fatal(err)
	}
	if !alive(process{PID: me, Started: started}) {
		t.Error("this process is not alive")
	}
	if alive(process{PID: me, Started: strconv.Itoa(1)}) || alive(process{PID: 0}) {
		t.Error("a process with another start is taken for this one")
	}
}
