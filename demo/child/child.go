// Package child starts programs that must not outlive whoever started them.
//
// Each runs in a process group of its own, so that Ctrl-C reaches the parent
// alone, which then stops them in an order of its choice. Their standard input
// is a pipe that the parent holds the other end of: however the parent ends,
// also by kill -9, the pipe closes, and a program that called [Lifeline] ends
// by itself.
package child

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
	"time"
)

// Env is the variable that tells a program that its standard input is a
// lifeline.
const Env = "TIDEGATE_LIFELINE"

// Lifeline returns a context that also ends when the parent process does, if
// it said that it watches over this one.
func Lifeline(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(ctx)
	if os.Getenv(Env) == "" {
		return ctx, cancel
	}
	os.Unsetenv(Env) // it is ours, not our children's
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		cancel()
	}()
	return ctx, cancel
}

// Spec says what to start.
type Spec struct {
	Name string // for messages
	Path string
	Args []string
	// Env is added to the parent's environment, of which the settings of
	// Tidegate (TIDEGATE_…) are not passed on.
	Env []string
	// Files are inherited as descriptors 3, 4, …
	Files []*os.File
	// Log receives standard output and error.
	Log *os.File
}

// Process is a running child.
type Process struct {
	name     string
	cmd      *exec.Cmd
	lifeline io.Closer
	done     chan struct{}
	err      error // of Wait; read after done
}

// Start starts the program.
func Start(s Spec) (*Process, error) {
	cmd := exec.Command(s.Path, s.Args...)
	cmd.Env = append(foreign(os.Environ()), append(s.Env, Env+"=stdin")...)
	cmd.ExtraFiles = s.Files
	cmd.Stdout, cmd.Stderr = s.Log, s.Log
	lifeline, err := cmd.StdinPipe()
	if err != nil {
		return nil, fmt.Errorf("%s: %w", s.Name, err)
	}
	ownGroup(cmd)
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", s.Name, err)
	}
	p := &Process{name: s.Name, cmd: cmd, lifeline: lifeline, done: make(chan struct{})}
	go func() {
		p.err = cmd.Wait()
		killGroup(cmd) // what it left behind
		close(p.done)
	}()
	return p, nil
}

// foreign leaves out the settings that are meant for the parent.
func foreign(env []string) []string {
	return slices.DeleteFunc(env, func(kv string) bool { return strings.HasPrefix(kv, "TIDEGATE_") })
}

// Name is the one given in Spec.
func (p *Process) Name() string { return p.name }

// PID is the process id.
func (p *Process) PID() int { return p.cmd.Process.Pid }

// Done is closed when the process has ended.
func (p *Process) Done() <-chan struct{} { return p.done }

// ErrEnded says that a process ended that should not have.
var ErrEnded = errors.New("ended unexpectedly")

// Err says how the process ended; nil while it runs.
func (p *Process) Err() error {
	select {
	case <-p.done:
	default:
		return nil
	}
	if p.err != nil {
		return fmt.Errorf("%s %w: %w", p.name, ErrEnded, p.err)
	}
	return fmt.Errorf("%s %w", p.name, ErrEnded)
}

// Stop asks the process to end, and after grace ends it and its group. It
// returns when the process has ended.
func (p *Process) Stop(grace time.Duration) {
	askGroup(p.cmd)
	p.lifeline.Close()
	force := time.AfterFunc(grace, func() { killGroup(p.cmd) })
	defer force.Stop()
	<-p.done
}
