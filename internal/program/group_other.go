//go:build !unix

package program

import "os/exec"

// Group does nothing: where there are no process groups cancelling kills the program.
func Group(*exec.Cmd) {}

// End does nothing.
func End(*exec.Cmd) {}
