package main

import (
	"os"
	"os/exec"
	"testing"
)

// TestShort runs the short form against the real binary: everything that was
// acknowledged is counted and read back, before and after a kill.
func TestShort(t *testing.T) {
	if _, err := os.Stat("/proc/self/stat"); err != nil {
		t.Skip("processor time and memory of another process are read from /proc")
	}
	if testing.Short() {
		t.Skip("takes half a minute")
	}
	t.Chdir("../..")
	o := options{short: true, spans: 65_536, points: 50_000, logs: 50_000, senders: 4, core: -1, protocol: "http", tidegate: os.Getenv("TIDEGATE_BIN")}
	if _, err := exec.LookPath("go"); err != nil && o.tidegate == "" {
		t.Skip("no Go to build the binary with")
	}
	if err := run(t.Context(), o); err != nil {
		t.Fatal(err)
	}
}
