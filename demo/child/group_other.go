//go:build !unix

package child

import "os/exec"

// Without process groups the lifeline asks, and killing ends the process alone.
func ownGroup(*exec.Cmd)      {}
func askGroup(*exec.Cmd)      {}
func killGroup(cmd *exec.Cmd) { _ = cmd.Process.Kill() }
