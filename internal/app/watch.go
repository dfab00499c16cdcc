package app

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/fsnotify/fsnotify"

	"github.com/tidegate-io/tidegate/internal/manifest"
)

// How long a directory must be quiet before it is read, and how often it is
// read even when the operating system reported nothing.
const (
	watchQuiet  = 200 * time.Millisecond
	watchRescan = 30 * time.Second
)

// watchManifests applies the directory of manifests now and whenever it
// changes. A file with a mistake is reported and what it defined before stays
// in force; what a vanished file defined is taken out of force.
func (a *App) watchManifests(ctx context.Context) error {
	dir := a.cfg.Manifests
	if dir == "" {
		<-ctx.Done()
		return nil
	}
	w, err := fsnotify.NewWatcher()
	if err != nil {
		return err
	}
	defer w.Close()
	timer := time.NewTimer(watchRescan)
	defer timer.Stop()
	for {
		a.applyDir(ctx, dir, w)
		timer.Reset(watchRescan)
		for waiting := true; waiting; {
			select {
			case <-ctx.Done():
				return nil
			case <-w.Events:
				timer.Reset(watchQuiet)
			case err := <-w.Errors:
				a.log.Warn("watching manifests", "error", err)
			case <-timer.C:
				waiting = false
			}
		}
	}
}

// applyDir applies every file of the directory and forgets vanished ones.
func (a *App) applyDir(ctx context.Context, dir string, w *fsnotify.Watcher) {
	files := map[string]bool{}
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			return w.Add(path)
		}
		if !strings.HasSuffix(path, ".yaml") && !strings.HasSuffix(path, ".yml") {
			return nil
		}
		files["file:"+path] = true
		if err := a.applyFile(ctx, path); err != nil {
			a.refused(path, err)
		}
		return nil
	})
	if err != nil {
		a.log.Error("reading manifests", "error", err)
		return
	}
	for _, e := range a.catalog.entries("") {
		if strings.HasPrefix(e.Source, "file:"+dir+string(filepath.Separator)) && !files[e.Source] {
			if err := a.catalog.Delete(ctx, e.Kind, e.Name()); err != nil {
				a.log.Error("manifest of a vanished file", "file", e.Source, "error", err)
			}
		}
	}
}

// refused reports every mistake of a file.
func (a *App) refused(path string, err error) {
	const message = "manifest refused; what it defined before stays in force"
	var errs placedErrors
	if !errors.As(err, &errs) {
		a.log.Error(message, "file", path, "error", err)
		return
	}
	for _, e := range errs.Errors {
		a.log.Error(message, "file", path, "line", e.Line, "column", e.Column, "path", e.Path, "error", e.Message)
	}
}

func (a *App) applyFile(ctx context.Context, path string) error {
	data, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil // vanished meanwhile: the next round sees it
	}
	if err != nil {
		return err
	}
	if data, err = manifest.Inline(data, os.DirFS(filepath.Dir(path))); err != nil {
		return err
	}
	_, err = a.catalog.Apply(ctx, "file:"+path, data, false)
	return err
}
