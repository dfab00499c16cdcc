//go:build unix

package program

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

func TestEnvironment(t *testing.T) {
	t.Setenv("MY_SECRET", "x")
	t.Setenv("GITHUB_TOKEN", "x")
	t.Setenv("DB_PASSWORD", "x")
	t.Setenv("GREETING", "hello")
	env := Environment()
	if !slices.Contains(env, "GREETING=hello") {
		t.Error("what is harmless is missing")
	}
	for _, kv := range env {
		if name, _, _ := strings.Cut(kv, "="); name == "MY_SECRET" || name == "GITHUB_TOKEN" || name == "DB_PASSWORD" {
			t.Errorf("%s is passed on", name)
		}
	}
}

func TestTail(t *testing.T) {
	tail := &Tail{Limit: 10}
	fmt.Fprint(tail, "hello")
	if tail.Cut() || tail.String() != "hello" {
		t.Errorf("cut %v, %q", tail.Cut(), tail)
	}
	for range 1000 {
		fmt.Fprint(tail, "0123456789ü")
	}
	if !tail.Cut() || tail.String() != "…23456789ü" {
		t.Errorf("cut %v, %q", tail.Cut(), tail)
	}
}

// Nothing that the program started outlives it.
func TestGroup(t *testing.T) {
	file := filepath.Join(t.TempDir(), "child")
	cmd := exec.CommandContext(t.Context(), "sh", "-c", `sleep 60 & echo $! > "`+file+`"`)
	Group(cmd)
	if err := cmd.Run(); err != nil {
		t.Fatal(err)
	}
	raw, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var child int
	if _, err := fmt.Sscan(string(raw), &child); err != nil {
		t.Fatal(err)
	}
	End(cmd)
	for deadline := time.Now().Add(10 * time.Second); !gone(child); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("the child still runs")
		}
	}
}

// gone: the process has ended, whether or not somebody has asked how.
func gone(pid int) bool {
	if syscall.Kill(pid, 0) != nil {
		return true
	}
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	return err == nil && strings.Contains(string(stat), ") Z ")
}
