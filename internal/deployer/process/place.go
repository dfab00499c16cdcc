package process

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/tidegate-io/tidegate/delivery/deploy"
	"github.com/tidegate-io/tidegate/fault"
)

const (
	stateFile = "state.json"
	logFile   = "log"
	maxLog    = 8 << 20
	keptLog   = 1 << 20
	tailBytes = 4 << 10
)

// place is a target on disk and what is known of it. mu is held for the whole
// of a deployment.
type place struct {
	dir string
	mu  sync.Mutex
	state

	// Of the supervision; a restart begins anew.
	pause         time.Duration
	next, started time.Time
}

// state is what the state file holds.
type state struct {
	Target deploy.Target `json:"target"`
	// Current is supervised; Previous was before it; Starting is not healthy
	// yet; Retired are to end.
	Current  *running  `json:"current,omitempty"`
	Previous *running  `json:"previous,omitempty"`
	Starting *running  `json:"starting,omitempty"`
	Retired  []retired `json:"retired,omitempty"`
}

// running is a revision and its process.
type running struct {
	Key      string          `json:"key"`
	Revision deploy.Revision `json:"revision"`
	Spec     deploy.App      `json:"spec"`
	Port     int             `json:"port"`
	Process  process         `json:"process"`
	Since    time.Time       `json:"since"`
	Restarts int             `json:"restarts,omitempty"`
}

type retired struct {
	Process process       `json:"process"`
	Grace   time.Duration `json:"grace"`
}

func readPlace(dir string) (*place, error) {
	raw, err := os.ReadFile(filepath.Join(dir, stateFile))
	if err != nil {
		return nil, fault.Unavailable("process deployer: %w", err)
	}
	p := &place{dir: dir}
	if err := json.Unmarshal(raw, &p.state); err != nil {
		return nil, fault.Internal("process deployer: %s: %w", filepath.Join(dir, stateFile), err)
	}
	return p, nil
}

// write stores the state: it is whole, the old or the new.
func (p *place) write() error {
	raw, err := json.Marshal(&p.state)
	if err != nil {
		return fault.Internal("process deployer: %w", err)
	}
	if err := os.MkdirAll(p.dir, 0o700); err != nil {
		return fault.Unavailable("process deployer: %w", err)
	}
	tmp := filepath.Join(p.dir, stateFile+".new")
	f, err := os.OpenFile(tmp, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return fault.Unavailable("process deployer: %w", err)
	}
	_, err = f.Write(raw)
	if err == nil {
		err = f.Sync()
	}
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err == nil {
		err = os.Rename(tmp, filepath.Join(p.dir, stateFile))
	}
	if err != nil {
		return fault.Unavailable("process deployer: %w", err)
	}
	return nil
}

// clear ends what is not to run: what was starting when it was given up or
// Tidegate ended, and what was replaced. It is begun again when it fails.
func (p *place) clear() {
	if p.state.Starting == nil && len(p.state.Retired) == 0 {
		return
	}
	if s := p.state.Starting; s != nil {
		kill(s.Process)
	}
	var all sync.WaitGroup
	for _, r := range p.state.Retired {
		all.Go(func() { stop(r.Process, r.Grace) })
	}
	all.Wait()
	starting, retired := p.state.Starting, p.state.Retired
	p.state.Starting, p.state.Retired = nil, nil
	if p.write() != nil { // known until it is written that it is gone
		p.state.Starting, p.state.Retired = starting, retired
	}
}

func (p *place) logPath() string { return filepath.Join(p.dir, logFile) }

func (p *place) logSize() int64 {
	info, err := os.Stat(p.logPath())
	if err != nil {
		return 0
	}
	return info.Size()
}

// logTail is the end of what was written since the log had the size.
func (p *place) logTail(from int64) string {
	f, err := os.Open(p.logPath())
	if err != nil {
		return ""
	}
	defer f.Close()
	size := p.logSize()
	if from > size { // it was cut meanwhile
		from = 0
	}
	if _, err := f.Seek(max(from, size-tailBytes), io.SeekStart); err != nil {
		return ""
	}
	raw, err := io.ReadAll(io.LimitReader(f, tailBytes))
	if err != nil {
		return ""
	}
	return strings.ToValidUTF8(string(raw), "")
}

// boundLog keeps the end of a log that has become too long in a second file.
// The program goes on writing: its file is open for appending.
func (p *place) boundLog() {
	size := p.logSize()
	if size <= maxLog {
		return
	}
	f, err := os.OpenFile(p.logPath(), os.O_RDWR, 0)
	if err != nil {
		return // the next time
	}
	defer f.Close()
	kept := make([]byte, keptLog)
	n, err := f.ReadAt(kept, size-keptLog)
	if err != nil && !errors.Is(err, io.EOF) {
		return
	}
	if os.WriteFile(p.logPath()+".old", kept[:n], 0o600) == nil {
		_ = f.Truncate(0)
	}
}

// openLog opens the log for a program.
func (p *place) openLog() (*os.File, error) {
	if err := os.MkdirAll(p.dir, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return nil, fmt.Errorf("log: %w", err)
	}
	return os.OpenFile(p.logPath(), os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
}
