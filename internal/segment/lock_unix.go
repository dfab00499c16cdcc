//go:build unix

package segment

import (
	"errors"
	"os"
	"path/filepath"
	"syscall"

	"github.com/tidegate-io/tidegate/fault"
)

// lockDir makes sure that one process at a time has the directory open. The
// lock ends with the process.
func lockDir(dir string) (unlock func() error, err error) {
	f, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_RDWR|os.O_CREATE, 0o640)
	if err != nil {
		return nil, fault.Unavailable("lock %s: %w", dir, err)
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		_ = f.Close() // the lock is what failed
		return nil, fault.Conflict("%s is in use by another process", dir)
	}
	return f.Close, nil
}

// syncDir makes the names in dir survive a power cut.
func syncDir(dir string) error {
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}
