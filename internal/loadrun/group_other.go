//go:build !unix

package loadrun

import "os/exec"

// ownGroup: where there are no process groups cancelling kills the program.
func ownGroup(*exec.Cmd) {}

func killGroup(*exec.Cmd) {}
