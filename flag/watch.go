package flag

import (
	"context"
	"os"
	"path/filepath"
	"time"

	"github.com/fsnotify/fsnotify"
)

// quiet is how long the file system has to be quiet before the sources are
// read: editors and kubelet change a file in several steps.
const quiet = 50 * time.Millisecond

// Run loads the flags if Load was not called, and then follows the sources
// until ctx ends. It returns an error only when loading or setting up the
// watch fails.
func (m *Manager) Run(ctx context.Context) error {
	if err := m.Load(ctx); err != nil {
		return err
	}
	w, err := fsnotify.NewWatcher()
	if err != nil {
		return err
	}
	defer w.Close()
	m.watch(w)
	// What changed between loading and watching.
	settled := time.NewTimer(0)
	defer settled.Stop()
	tick := time.NewTicker(m.rescan)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-w.Events:
			settled.Reset(quiet)
		case err := <-w.Errors:
			m.logger.WarnContext(ctx, "watching flag definitions", "error", err)
			settled.Reset(quiet)
		case <-m.rewatch:
			m.watch(w)
		case <-settled.C:
			m.follow(ctx, w)
		case <-tick.C:
			m.follow(ctx, w)
		}
	}
}

// follow brings everything up to date; what fails is tried again at the next tick.
func (m *Manager) follow(ctx context.Context, w *fsnotify.Watcher) {
	m.watch(w)
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.report(ctx); err != nil {
		m.logger.WarnContext(ctx, "reporting a flag change", "error", err)
	}
	if err := m.reload(ctx); err != nil {
		m.logger.ErrorContext(ctx, "reloading flag definitions", "error", err)
	}
}

// watch brings the watched directories in line with the sources. Directories
// are watched rather than files, because files are replaced by renaming, and
// both the directory of a link and that of its target.
func (m *Manager) watch(w *fsnotify.Watcher) {
	m.mu.Lock()
	sources := m.sources
	m.mu.Unlock()
	want := map[string]bool{}
	for _, s := range sources {
		if s.Path == "" {
			continue
		}
		for _, path := range []string{s.Path, resolved(s.Path)} {
			if info, err := os.Stat(path); err == nil && info.IsDir() {
				want[path] = true
			}
			want[filepath.Dir(path)] = true
		}
	}
	for _, dir := range w.WatchList() {
		if !want[dir] {
			_ = w.Remove(dir) // gone with its directory already
		}
		delete(want, dir)
	}
	for dir := range want {
		if err := w.Add(dir); err != nil {
			m.logger.Debug("a directory of flag definitions cannot be watched and is polled instead", "directory", dir, "error", err)
		}
	}
}

func resolved(path string) string {
	target, err := filepath.EvalSymlinks(path)
	if err != nil {
		return path
	}
	return target
}
