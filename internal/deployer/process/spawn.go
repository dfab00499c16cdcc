package process

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// process identifies a running program beyond the reuse of its id.
type process struct {
	PID     int    `json:"pid"`
	Started string `json:"started"` // by the system's own clock
}

// gate holds the program back until its id is on disk: without the word, for
// example because Tidegate has died, it never begins.
const gate = `read -r word <&3 && [ "$word" = go ] || exit 125; exec 3<&-; exec "$@"`

// spawn starts a program. known is called with its identity while it is held
// at the gate, and must store it.
func (d *Deployer) spawn(p *place, r *running, known func(process) error) (process, error) {
	dir, argv, err := d.program(p, r)
	if err != nil {
		return process{}, err
	}
	log, err := p.openLog()
	if err != nil {
		return process{}, err
	}
	defer log.Close()
	read, write, err := os.Pipe()
	if err != nil {
		return process{}, err
	}
	defer write.Close()
	cmd := exec.Command("/bin/sh", append([]string{"-c", gate, "sh"}, argv...)...)
	cmd.Dir, cmd.Env = dir, d.environment(p, r)
	cmd.Stdout, cmd.Stderr, cmd.ExtraFiles = log, log, []*os.File{read}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	err = cmd.Start()
	read.Close()
	if err != nil {
		return process{}, err
	}
	go func() { _ = cmd.Wait() }() // its end is seen by alive; this only takes it off the table
	proc := process{PID: cmd.Process.Pid}
	if proc.Started, err = startOf(proc.PID); err == nil {
		err = known(proc)
	}
	if err == nil {
		_, err = write.WriteString("go\n")
	}
	if err != nil {
		kill(proc)
		return process{}, err
	}
	return proc, nil
}

// program finds what is to be run, and where.
func (d *Deployer) program(p *place, r *running) (dir string, argv []string, err error) {
	dir = p.dir
	if r.Revision.Artifact != "" {
		if dir, err = d.cfg.Artifacts.Path(r.Revision.Artifact); err != nil {
			return "", nil, err
		}
	}
	argv = make([]string, len(r.Spec.Run))
	for i, a := range r.Spec.Run {
		argv[i] = p.expand(r, a)
	}
	if len(argv) == 0 {
		name, err := only(dir, p.state.Target.App)
		if err != nil {
			return "", nil, err
		}
		argv = []string{name}
	}
	if strings.Contains(argv[0], "/") && !filepath.IsAbs(argv[0]) {
		argv[0] = filepath.Join(dir, argv[0])
	} else if inside := filepath.Join(dir, argv[0]); executable(inside) {
		argv[0] = inside
	}
	if _, err := exec.LookPath(argv[0]); err != nil {
		return "", nil, fmt.Errorf("the program %s cannot be run: %w", r.Spec.Run, err)
	}
	return dir, argv, nil
}

// only is the program of an artifact that nobody named: its only file, or the
// one called like the app.
func only(dir, app string) (string, error) {
	if named := filepath.Join(dir, app); executable(named) {
		return named, nil
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return "", err
	}
	if len(entries) == 1 && executable(filepath.Join(dir, entries[0].Name())) {
		return filepath.Join(dir, entries[0].Name()), nil
	}
	return "", fmt.Errorf("which program of the artifact? it is not one executable file, and holds none called %s: say so with run", app)
}

func executable(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular() && info.Mode().Perm()&0o111 != 0
}

func (p *place) expand(r *running, s string) string {
	return strings.NewReplacer("${PORT}", strconv.Itoa(r.Port), "${VERSION}", r.Revision.Version,
		"${ENVIRONMENT}", p.state.Target.Environment).Replace(s)
}

func (d *Deployer) environment(p *place, r *running) []string {
	t := p.state.Target
	env := append(harmless(os.Environ()),
		"PORT="+strconv.Itoa(r.Port), "TIDEGATE_APP="+t.App, "TIDEGATE_ENVIRONMENT="+t.Environment,
		"TIDEGATE_VERSION="+r.Revision.Version, "TIDEGATE_SLOT="+t.Slot, "OTEL_SERVICE_NAME="+r.Spec.Service,
		"OTEL_RESOURCE_ATTRIBUTES=service.version="+r.Revision.Version+",deployment.environment.name="+t.Environment)
	for k, v := range d.cfg.Env {
		env = append(env, k+"="+v)
	}
	for k, v := range r.Spec.Env { // the last one counts
		env = append(env, k+"="+p.expand(r, v))
	}
	return env
}

// alive reports whether the process is still the one that was started.
func alive(p process) bool {
	if p.PID <= 1 {
		return false
	}
	started, err := startOf(p.PID)
	return err == nil && started == p.Started
}

// kill ends a process and all it started.
func kill(p process) {
	if alive(p) {
		_ = syscall.Kill(-p.PID, syscall.SIGKILL)
		gone(p, 5*time.Second)
	}
}

// stop asks a process to end, and kills it when its grace is over. What it
// started and left behind is killed in any case.
func stop(p process, grace time.Duration) {
	if !alive(p) {
		return
	}
	_ = syscall.Kill(-p.PID, syscall.SIGTERM)
	gone(p, grace)
	_ = syscall.Kill(-p.PID, syscall.SIGKILL) // ESRCH: nothing is left
	gone(p, 5*time.Second)
}

// gone waits for a process to end.
func gone(p process, limit time.Duration) {
	for end := time.Now().Add(limit); alive(p) && time.Now().Before(end); {
		time.Sleep(10 * time.Millisecond)
	}
}
