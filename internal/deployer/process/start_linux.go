package process

import (
	"bytes"
	"fmt"
	"os"
	"strings"
	"sync"
)

// startOf says when a process started: field 22 of proc(5)'s stat, in clock
// ticks since the boot, and which boot that was. A zombie has ended.
func startOf(pid int) (string, error) {
	raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return "", err
	}
	// The second field is the program's name in parentheses, which may hold
	// anything: what follows the last one is fields 3 and on.
	i := bytes.LastIndexByte(raw, ')')
	fields := strings.Fields(string(raw[i+1:]))
	if i < 0 || len(fields) < 20 {
		return "", fmt.Errorf("process %d: cannot read its state", pid)
	}
	if fields[0] == "Z" || fields[0] == "X" {
		return "", os.ErrProcessDone
	}
	return fields[19] + "@" + boot(), nil
}

var boot = sync.OnceValue(func() string {
	raw, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(raw))
})
