//go:build unix

package segment

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

const childDir = "TIDEGATE_SEGMENT_CHILD_DIR"

// TestMain turns the test binary into the process that is killed.
func TestMain(m *testing.M) {
	if dir := os.Getenv(childDir); dir != "" {
		if err := child(dir); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

// child appends from several goroutines, printing the number of every
// acknowledged request, until it is killed.
func child(dir string) error {
	l, err := Open(Config{Dir: dir, Kind: "lines", SegmentBytes: 64 << 10, SyncEvery: time.Millisecond}, lines{})
	if err != nil {
		return err
	}
	go func() { _ = l.Run(context.Background()) }()
	var mu sync.Mutex
	failed := make(chan error)
	for g := range 4 {
		go func() {
			for i := g; ; i += 4 {
				if err := l.Append(context.Background(), epoch, []byte(request(i))); err != nil {
					failed <- err
					return
				}
				mu.Lock()
				fmt.Println(i) // one write: not buffered, not torn
				mu.Unlock()
			}
		}()
	}
	return <-failed
}

// TestKill9LosesNothingAcknowledged kills a writing process a few times, at
// moments it does not choose, while it seals and rewrites segments.
func TestKill9LosesNothingAcknowledged(t *testing.T) {
	for round := range 3 {
		dir := t.TempDir()
		acked := killAfter(t, dir, 500+700*round)
		l := mustOpen(t, config(dir))
		have := map[string]bool{}
		for _, r := range stored(t, l) {
			have[r] = true
		}
		for _, i := range acked {
			if !have[request(i)] {
				t.Fatalf("request %d was acknowledged and is lost (%d acknowledged, %d stored)", i, len(acked), len(have))
			}
		}
		if d := l.Stats().Damaged; len(d) > 0 {
			t.Errorf("%+v", d)
		}
		t.Logf("%d acknowledged, %d stored in %d segments", len(acked), len(have), l.Stats().Segments)
	}
}

// killAfter runs a child on dir, kills it after n acknowledgements and returns
// all that it gave.
func killAfter(t *testing.T, dir string, n int) []int {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), childDir+"="+dir)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var acked []int
	lines := bufio.NewReader(out)
	for {
		line, err := lines.ReadString('\n')
		if err != nil {
			break // the pipe ends with the process
		}
		i, err := strconv.Atoi(strings.TrimSpace(line))
		if err != nil {
			t.Fatal(err)
		}
		if acked = append(acked, i); len(acked) == n {
			if err := cmd.Process.Signal(syscall.SIGKILL); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := cmd.Wait(); err == nil {
		t.Fatal("the child ended by itself")
	}
	if len(acked) < n {
		t.Fatalf("the child died after %d acknowledgements", len(acked))
	}
	return acked
}
