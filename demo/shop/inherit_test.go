//go:build unix

package shop

import (
	"fmt"
	"net"
	"syscall"
	"testing"
)

// inherit gives a duplicate of ln's socket away, as a parent process does.
func inherit(t *testing.T, ln net.Listener) string {
	t.Helper()
	raw, err := ln.(*net.TCPListener).SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	var dup int
	if cerr := raw.Control(func(fd uintptr) { dup, err = syscall.Dup(int(fd)) }); cerr != nil || err != nil {
		t.Fatal(cerr, err)
	}
	return fmt.Sprintf("fd:%d", dup)
}
