//go:build unix

package child

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// The test binary is also the programs that the tests start.
func TestMain(m *testing.M) {
	switch os.Getenv("CHILD_TEST") {
	case "obedient":
		ctx, cancel := signal.NotifyContext(context.Background(), syscall.SIGTERM)
		defer cancel()
		ctx, stop := Lifeline(ctx)
		defer stop()
		fmt.Println("up")
		<-ctx.Done()
		os.Exit(0)
	case "stubborn":
		signal.Ignore(syscall.SIGTERM)
		fmt.Println("up")
		select {}
	case "parent":
		os.Setenv("CHILD_TEST", "obedient")
		p, err := Start(Spec{Name: "grandchild", Path: os.Args[0], Log: os.Stdout})
		if err != nil {
			panic(err)
		}
		fmt.Println("pid", p.PID())
		select {}
	}
	os.Exit(m.Run())
}

// start starts the test binary in the role and returns its output.
func start(t *testing.T, role string) (*Process, *bufio.Scanner) {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	p, err := Start(Spec{Name: role, Path: os.Args[0], Env: []string{"CHILD_TEST=" + role}, Log: w})
	w.Close()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.Stop(0); r.Close() })
	return p, bufio.NewScanner(r)
}

func TestStop(t *testing.T) {
	for _, role := range []string{"obedient", "stubborn"} {
		p, out := start(t, role)
		if !out.Scan() || out.Text() != "up" {
			t.Fatalf("%s said %q", role, out.Text())
		}
		if p.Err() != nil {
			t.Errorf("%s: %v while it runs", role, p.Err())
		}
		p.Stop(300 * time.Millisecond)
		if !errors.Is(p.Err(), ErrEnded) || !errors.Is(syscall.Kill(p.PID(), 0), syscall.ESRCH) {
			t.Errorf("%s is still there", role)
		}
	}
}

// kill -9 of the parent ends its children.
func TestTheLifelineEndsOrphans(t *testing.T) {
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), "CHILD_TEST=parent")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(out)
	pid, up := 0, false
	for (pid == 0 || !up) && lines.Scan() {
		if text, ok := strings.CutPrefix(lines.Text(), "pid "); ok {
			pid, _ = strconv.Atoi(text)
		}
		up = up || lines.Text() == "up"
	}
	if pid == 0 || !up {
		t.Fatal("no grandchild")
	}
	_ = cmd.Process.Kill()
	_ = cmd.Wait()
	for deadline := time.Now().Add(10 * time.Second); !gone(pid); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			_ = syscall.Kill(pid, syscall.SIGKILL)
			t.Fatalf("process %d outlived its parent", pid)
		}
	}
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

func TestStartOfNothing(t *testing.T) {
	if _, err := Start(Spec{Name: "nothing", Path: "/no/such/program"}); err == nil {
		t.Error("started a program that does not exist")
	}
}
