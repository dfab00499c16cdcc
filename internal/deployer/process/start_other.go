//go:build !linux

package process

import (
	"os"
	"os/exec"
	"strconv"
	"strings"
)

// startOf says when a process started, as ps(1) tells. A zombie has ended.
func startOf(pid int) (string, error) {
	raw, err := exec.Command("ps", "-o", "stat=,lstart=", "-p", strconv.Itoa(pid)).Output()
	if err != nil {
		return "", os.ErrProcessDone
	}
	state, started, ok := strings.Cut(strings.TrimSpace(string(raw)), " ")
	if !ok || strings.HasPrefix(state, "Z") {
		return "", os.ErrProcessDone
	}
	return strings.TrimSpace(started), nil
}
