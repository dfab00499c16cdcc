// Package source finds revisions where people and tools put them: in a
// directory, in a file that changes, on a branch of a git repository.
//
// What is found is taken into the artifact store and pushed, each under a key
// made of where it was and what it is: the same content in the same place is
// one release however often it is looked at, also after a restart and by
// several processes. A file is taken once its size and time have stayed the
// same between two looks, so that it is whole; what is put there by a rename
// is whole at once and waits for one look more.
//
// A file source whose content goes back to what it was before is a new
// revision again; an entry of a directory and a commit are released once.
package source

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/tidegate-io/tidegate/delivery/deploy"
	"github.com/tidegate-io/tidegate/delivery/pipeline"
	"github.com/tidegate-io/tidegate/fault"
	"github.com/tidegate-io/tidegate/internal/artifact"
)

const (
	lookGap     = 500 * time.Millisecond
	defaultGap  = 2 * time.Second
	defaultGit  = 30 * time.Second
	gitTimeout  = 5 * time.Minute
	maxEntries  = 200
	maxWalk     = artifact.MaxFiles
	maxCommits  = 50
	firstPause  = 5 * time.Second
	longestStop = 5 * time.Minute
)

// Pipelines are what is released.
type Pipelines interface {
	Pipelines(ctx context.Context) ([]pipeline.Pipeline, error)
	Releases(ctx context.Context, q pipeline.ReleaseQuery) ([]pipeline.Release, error)
	Push(ctx context.Context, p pipeline.Push) (pipeline.Release, error)
}

// Config of a Watcher; Pipelines, Artifacts and Dir are required.
type Config struct {
	Pipelines Pipelines
	Artifacts *artifact.Store
	// Dir keeps copies of git repositories.
	Dir    string
	Logger *slog.Logger // nil discards
}

// Watcher looks after the sources of all pipelines.
type Watcher struct {
	cfg  Config
	log  *slog.Logger
	seen map[string]*looked // by pipeline and place
}

// looked is what is remembered of a place between two looks.
type looked struct {
	next   time.Time
	pause  time.Duration     // after an error
	marks  map[string]string // by name: size and time
	taken  map[string]string // by name: the mark that was taken
	source string
}

// New returns a Watcher.
func New(cfg Config) (*Watcher, error) {
	if cfg.Pipelines == nil || cfg.Artifacts == nil || cfg.Dir == "" {
		return nil, fault.Invalid("source: Config.Pipelines, Config.Artifacts and Config.Dir are required")
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	return &Watcher{cfg: cfg, log: cfg.Logger, seen: map[string]*looked{}}, nil
}

// Run looks until ctx ends.
func (w *Watcher) Run(ctx context.Context) error {
	tick := time.NewTicker(lookGap)
	defer tick.Stop()
	for {
		if err := w.look(ctx, time.Now()); err != nil && ctx.Err() == nil {
			w.log.ErrorContext(ctx, "cannot look for revisions", "error", err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// look looks at every source that is due.
func (w *Watcher) look(ctx context.Context, now time.Time) error {
	all, err := w.cfg.Pipelines.Pipelines(ctx)
	if err != nil {
		return err
	}
	for i := range all {
		p := &all[i]
		if p.Source == nil {
			continue
		}
		l := w.seen[p.Name]
		if place := fmt.Sprint(*p.Source, p.Source.Git); l == nil || l.source != place {
			l = &looked{marks: map[string]string{}, taken: map[string]string{}, source: place}
			w.seen[p.Name] = l
		}
		if now.Before(l.next) {
			continue
		}
		l.next = now.Add(every(p.Source))
		err := w.one(ctx, p, l)
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case err == nil:
			l.pause = 0
		default:
			l.pause = min(max(2*l.pause, firstPause), longestStop)
			l.next = now.Add(l.pause)
			w.log.WarnContext(ctx, "source", "pipeline", p.Name, "again in", l.pause, "error", err)
		}
	}
	return nil
}

func every(s *pipeline.Source) time.Duration {
	switch {
	case s.Every > 0:
		return s.Every
	case s.Git != nil:
		return defaultGit
	}
	return defaultGap
}

func (w *Watcher) one(ctx context.Context, p *pipeline.Pipeline, l *looked) error {
	switch s := p.Source; {
	case s.Directory != "":
		return w.directory(ctx, p, l)
	case s.File != "":
		return w.file(ctx, p, l)
	default:
		return w.git(ctx, p, l)
	}
}

// directory pushes every entry that is whole, the oldest first.
func (w *Watcher) directory(ctx context.Context, p *pipeline.Pipeline, l *looked) error {
	entries, err := os.ReadDir(p.Source.Directory)
	if errors.Is(err, fs.ErrNotExist) {
		return nil // nothing was put there yet
	}
	if err != nil {
		return fault.Unavailable("%w", err)
	}
	type found struct {
		path string
		at   time.Time
	}
	var all []found
	for _, e := range entries {
		if info, err := e.Info(); err == nil && !strings.HasPrefix(e.Name(), ".") {
			all = append(all, found{filepath.Join(p.Source.Directory, e.Name()), info.ModTime()})
		}
	}
	slices.SortFunc(all, func(a, b found) int { return a.at.Compare(b.at) })
	if len(all) > maxEntries { // the newest
		all = all[len(all)-maxEntries:]
	}
	var errs []error
	for _, f := range all {
		mark, whole, err := l.whole(f.path)
		if err != nil || !whole {
			errs = append(errs, err)
			continue
		}
		a, err := w.cfg.Artifacts.Add(ctx, f.path)
		if err == nil {
			name := filepath.Base(f.path)
			_, err = w.cfg.Pipelines.Push(ctx, pipeline.Push{Pipeline: p.Name, Who: "source/directory", Key: key("directory", name, a.Digest),
				Revision: deploy.Revision{Version: version(name), Artifact: a.Digest, Name: name, Source: "directory"}})
		}
		if err == nil || fault.Is(err, fault.KindInvalid) { // what is refused stays refused until it changes
			l.taken[f.path] = mark
		}
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// file pushes the place when its content differs from what was released of it
// last.
func (w *Watcher) file(ctx context.Context, p *pipeline.Pipeline, l *looked) error {
	path := p.Source.File
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	mark, whole, err := l.whole(path)
	if err != nil || !whole {
		return err
	}
	a, err := w.cfg.Artifacts.Add(ctx, path)
	if err != nil {
		return err
	}
	name := filepath.Base(path)
	list, err := w.cfg.Pipelines.Releases(ctx, pipeline.ReleaseQuery{Pipeline: p.Name})
	if err != nil {
		return err
	}
	before := 0
	for _, r := range list {
		if r.Revision.Source == "file" && r.Revision.Name == name && r.RerunOf == "" {
			if r.Revision.Artifact == a.Digest {
				l.taken[path] = mark
				return nil
			}
			before = r.Number
			break
		}
	}
	_, err = w.cfg.Pipelines.Push(ctx, pipeline.Push{Pipeline: p.Name, Who: "source/file", Key: key("file", name, a.Digest, fmt.Sprint(before)),
		Revision: deploy.Revision{Version: w.said(path, a.Digest), Artifact: a.Digest, Name: name, Source: "file"}})
	if err == nil {
		l.taken[path] = mark
	}
	return err
}

// said is the version that a file VERSION in the artifact names; else a part
// of the digest.
func (w *Watcher) said(path, digest string) string {
	if tree, err := w.cfg.Artifacts.Path(digest); err == nil {
		if raw, err := os.ReadFile(filepath.Join(tree, "VERSION")); err == nil {
			if v := strings.TrimSpace(string(raw)); (deploy.Revision{Version: v}).Validate() == nil {
				return v
			}
		}
	}
	return strings.TrimPrefix(digest, "sha256:")[:12]
}

// whole reports whether a place has not changed since the last look, and was
// not taken as it is.
func (l *looked) whole(path string) (mark string, whole bool, err error) {
	if mark, err = markOf(path); err != nil {
		return "", false, err
	}
	last := l.marks[path]
	l.marks[path] = mark
	return mark, last == mark && l.taken[path] != mark, nil
}

// markOf changes when anything in the place does.
func markOf(path string) (string, error) {
	h := sha256.New()
	n := 0
	err := filepath.WalkDir(path, func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if n++; n > maxWalk {
			return fault.Invalid("%s: more than %d files", path, maxWalk)
		}
		info, err := d.Info()
		if err == nil {
			fmt.Fprintf(h, "%s\x00%d\x00%d\x00%s\n", p, info.Size(), info.ModTime().UnixNano(), info.Mode())
		}
		return err
	})
	if errors.Is(err, fs.ErrNotExist) { // it changes right now
		return "", fault.Unavailable("%w", err)
	}
	return hex.EncodeToString(h.Sum(nil)), err
}

// version is an entry's name without what says how it is packed.
func version(name string) string {
	for _, suffix := range []string{".tar.gz", ".tgz"} {
		if v, ok := strings.CutSuffix(name, suffix); ok {
			return v
		}
	}
	return name
}

func key(parts ...string) string { return "source/" + strings.Join(parts, "/") }

// git pushes the branch's head when it is new.
func (w *Watcher) git(ctx context.Context, p *pipeline.Pipeline, l *looked) error {
	ctx, cancel := context.WithTimeout(ctx, gitTimeout)
	defer cancel()
	g := p.Source.Git
	branch := g.Branch
	if branch == "" {
		branch = "main"
	}
	out, err := run(ctx, "", "ls-remote", "--", g.Repository, "refs/heads/"+branch)
	if err != nil {
		return err
	}
	head, _, _ := strings.Cut(out, "\t")
	if head == "" {
		return fault.Invalid("git: %s has no branch %s", g.Repository, branch)
	}
	if l.taken["git"] == head {
		return nil
	}
	dir := filepath.Join(w.cfg.Dir, p.Name+".git")
	if err := w.fetch(ctx, dir, g.Repository, branch); err != nil {
		return err
	}
	a, err := w.archive(ctx, dir, head, g.Path)
	if err != nil {
		return err
	}
	short := head[:min(12, len(head))]
	v := short
	if tag, err := run(ctx, dir, "describe", "--tags", "--exact-match", head); err == nil {
		if tag = strings.TrimSpace(tag); (deploy.Revision{Version: tag}).Validate() == nil {
			v = tag
		}
	}
	commits, subject, err := w.commits(ctx, p, dir, head)
	if err != nil {
		return err
	}
	_, err = w.cfg.Pipelines.Push(ctx, pipeline.Push{Pipeline: p.Name, Who: "source/git", Reason: subject, Commits: commits, Key: key("git", head, g.Path),
		Revision: deploy.Revision{Version: v, Artifact: a.Digest, Name: short, Commit: head, Source: "git"}})
	if err == nil {
		l.taken["git"] = head
	}
	return err
}

func (w *Watcher) fetch(ctx context.Context, dir, repository, branch string) error {
	if _, err := os.Stat(filepath.Join(dir, "HEAD")); errors.Is(err, fs.ErrNotExist) {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return fault.Unavailable("git: %w", err)
		}
		if _, err := run(ctx, dir, "init", "--quiet", "--bare"); err != nil {
			return err
		}
	}
	_, err := run(ctx, dir, "fetch", "--quiet", "--tags", "--force", "--", repository, "+refs/heads/"+branch+":refs/heads/"+branch)
	return err
}

// archive takes the commit's tree into the artifact store.
func (w *Watcher) archive(ctx context.Context, dir, head, path string) (artifact.Artifact, error) {
	tmp, err := os.CreateTemp(w.cfg.Dir, "archive-*.tar.gz")
	if err != nil {
		return artifact.Artifact{}, fault.Unavailable("git: %w", err)
	}
	defer os.Remove(tmp.Name())
	defer tmp.Close()
	tree := head
	if path = strings.Trim(path, "/"); path != "" {
		tree += ":" + path
	}
	if _, err := run(ctx, dir, "archive", "--format=tar.gz", "-o", tmp.Name(), tree); err != nil {
		return artifact.Artifact{}, err
	}
	return w.cfg.Artifacts.AddReader(ctx, "archive.tar.gz", false, tmp)
}

// commits since the last release from this repository, and the head's subject.
func (w *Watcher) commits(ctx context.Context, p *pipeline.Pipeline, dir, head string) ([]string, string, error) {
	subject, err := run(ctx, dir, "log", "-1", "--format=%s", head)
	if err != nil {
		return nil, "", err
	}
	list, err := w.cfg.Pipelines.Releases(ctx, pipeline.ReleaseQuery{Pipeline: p.Name, Limit: 1})
	if err != nil || len(list) == 0 || list[0].Revision.Commit == "" {
		return nil, strings.TrimSpace(subject), err
	}
	out, err := run(ctx, dir, "log", "--oneline", fmt.Sprintf("--max-count=%d", maxCommits), list[0].Revision.Commit+".."+head)
	if err != nil { // the history was rewritten
		return nil, strings.TrimSpace(subject), nil
	}
	return strings.FieldsFunc(out, func(r rune) bool { return r == '\n' }), strings.TrimSpace(subject), nil
}

// run runs git, which asks nobody for a password.
func run(ctx context.Context, dir string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, "git", args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GIT_TERMINAL_PROMPT=0")
	cmd.WaitDelay = 5 * time.Second
	var out, noise bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &noise
	if err := cmd.Run(); err != nil {
		text := strings.TrimSpace(noise.String())
		return "", fault.Unavailable("git %s: %w: %s", args[0], err, text[:min(len(text), 500)])
	}
	return out.String(), nil
}
