//go:build unix

package loadrun

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/tidegate-io/tidegate/loadtest"
)

func shell(script string) loadtest.Job {
	return loadtest.Job{
		Run: loadtest.Run{ID: "run-1", Test: "k6"},
		Test: loadtest.Test{Name: "k6", Command: &loadtest.Command{
			Args: []string{"/bin/sh", "-c", script}, Env: map[string]string{"TARGET": "shop"}}},
	}
}

func TestCommandEnvironmentOutputAndResult(t *testing.T) {
	t.Setenv("SHOP_TOKEN", "hush")
	c := &Command{URL: "http://127.0.0.1:7070"}
	out, err := c.Run(t.Context(), shell(`echo "$TIDEGATE_URL $TIDEGATE_RUN_ID $TIDEGATE_TEST $TARGET [$SHOP_TOKEN]"; echo "$BAGGAGE" >&2
		echo '{"requests": 12, "failures": 1, "mine": true}' > "$TIDEGATE_RESULT_FILE"`))
	if err != nil {
		t.Fatal(err)
	}
	want := "http://127.0.0.1:7070 run-1 k6 shop []\ntidegate.run.id=run-1,tidegate.test=k6\n"
	if out.Output != want {
		t.Errorf("output %q, want %q", out.Output, want)
	}
	if out.Result == nil || out.Result.Requests != 12 || out.Result.Failures != 1 || !strings.Contains(string(out.Result.Extra), "mine") {
		t.Errorf("result %+v", out.Result)
	}
}

func TestCommandThatFails(t *testing.T) {
	out, err := new(Command).Run(t.Context(), shell(`echo broken; exit 3`))
	if err == nil || !strings.Contains(err.Error(), "exit status 3") || out.Output != "broken\n" || out.Result != nil {
		t.Errorf("got %+v, %v", out, err)
	}
	missing := shell("")
	missing.Test.Command.Args = []string{"/no/such/program"}
	if _, err := new(Command).Run(t.Context(), missing); err == nil {
		t.Error("a program that does not exist ran")
	}
}

// k6 exits with 99 when the run was carried out and its thresholds failed.
func TestFailedThresholdsOfK6AreNotAFailedRun(t *testing.T) {
	k6 := filepath.Join(t.TempDir(), "k6")
	if err := os.WriteFile(k6, []byte("#!/bin/sh\nexit 99\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	j := shell("")
	j.Test.Command.Args = []string{k6}
	out, err := new(Command).Run(t.Context(), j)
	if err != nil || out.Note == "" {
		t.Errorf("got %+v, %v", out, err)
	}
	if _, err := new(Command).Run(t.Context(), shell("exit 99")); err == nil {
		t.Error("99 of another program passes")
	}
}

func TestOutputIsTheEnd(t *testing.T) {
	out, err := new(Command).Run(t.Context(), shell(`i=0; while [ $i -lt 9000 ]; do echo "line number $i"; i=$((i+1)); done`))
	if err != nil || len(out.Output) > maxOutput+len("…") || !strings.HasSuffix(out.Output, "line number 8999\n") {
		t.Errorf("%d bytes, ends with %q, %v", len(out.Output), out.Output[max(0, len(out.Output)-20):], err)
	}
}

// Cancelling ends the whole group, also a member that ignores SIGTERM.
func TestCancelEndsTheGroup(t *testing.T) {
	pidFile := filepath.Join(t.TempDir(), "pid")
	ctx, cancel := context.WithCancel(t.Context())
	j := shell(`(trap "" TERM; sleep 300) & echo $! > ` + pidFile + `.new; mv ` + pidFile + `.new ` + pidFile + `; wait`)
	done := make(chan error)
	go func() {
		_, err := (&Command{Grace: 50 * time.Millisecond}).Run(ctx, j)
		done <- err
	}()
	pid := waitForPID(t, pidFile)
	cancel()
	if err := <-done; err == nil {
		t.Error("a cancelled run returned no error")
	}
	deadline := time.Now().Add(5 * time.Second)
	for !gone(pid) {
		if time.Now().After(deadline) {
			t.Fatalf("process %d is still there", pid)
		}
		time.Sleep(5 * time.Millisecond)
	}
}

func waitForPID(t *testing.T, file string) int {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); time.Now().Before(deadline); time.Sleep(2 * time.Millisecond) {
		if raw, err := os.ReadFile(file); err == nil {
			pid, err := strconv.Atoi(strings.TrimSpace(string(raw)))
			if err != nil {
				t.Fatal(err)
			}
			return pid
		}
	}
	t.Fatal("the program did not start")
	return 0
}

// gone reports whether the process has ended; a zombie that nobody collects
// (there is no init in some containers) has ended.
func gone(pid int) bool {
	if errors.Is(syscall.Kill(pid, 0), syscall.ESRCH) {
		return true
	}
	stat, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	return err == nil && strings.Contains(string(stat), ") Z ")
}
