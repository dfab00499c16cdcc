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

	"github.com/tidegate-io/tidegate/internal/httpapi"
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
// in force; what no file defines any more is taken out of force.
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

// applyDir applies every file of the directory and forgets what none of them
// defines any more; nothing while a file is refused, because what is missing may
// have moved there.
func (a *App) applyDir(ctx context.Context, dir string, w *fsnotify.Watcher) {
	defined, complete := map[string]bool{}, true // objects by id
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
		applied, err := a.applyFile(ctx, path)
		for _, o := range applied {
			defined[o.Kind+"/"+o.Name] = true
		}
		complete = complete && err == nil
		if err != nil && !errors.Is(err, fs.ErrNotExist) { // vanished meanwhile: the next round sees it
			a.refused(path, err)
		}
		return nil
	})
	if err != nil {
		a.log.Error("reading manifests", "error", err)
		return
	}
	if !complete {
		return
	}
	for _, e := range a.catalog.entries("") {
		if !within(dir, e.Source) || defined[e.ID()] {
			continue
		}
		if err := a.catalog.Delete(ctx, e.Kind, e.Name()); err != nil {
			a.log.Error("manifest of a vanished file", "file", e.Source, "error", err)
		}
	}
}

// fileSource begins the source of what comes from the watched directory.
const fileSource = "file:"

// within reports whether a source is a file in the directory, however the
// directory is written.
func within(dir, source string) bool {
	path, ok := strings.CutPrefix(source, fileSource)
	rel, err := filepath.Rel(dir, path)
	return ok && err == nil && filepath.IsLocal(rel)
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

func (a *App) applyFile(ctx context.Context, path string) ([]httpapi.Applied, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	if data, err = manifest.Inline(data, os.DirFS(filepath.Dir(path))); err != nil {
		return nil, err
	}
	return a.catalog.Apply(ctx, fileSource+path, data, false)
}
