package source

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tidegate-io/tidegate/delivery/pipeline"
	"github.com/tidegate-io/tidegate/internal/artifact"
)

// pushes is a service that only takes notes.
type pushes struct {
	source pipeline.Source
	list   []pipeline.Release // newest first
	keys   map[string]bool
}

func (p *pushes) Pipelines(context.Context) ([]pipeline.Pipeline, error) {
	return []pipeline.Pipeline{{Name: "shop", Source: &p.source}}, nil
}

func (p *pushes) Releases(context.Context, pipeline.ReleaseQuery) ([]pipeline.Release, error) {
	return p.list, nil
}

func (p *pushes) Push(_ context.Context, q pipeline.Push) (pipeline.Release, error) {
	if err := q.Revision.Validate(); err != nil {
		return pipeline.Release{}, err
	}
	if p.keys[q.Key] {
		return pipeline.Release{}, nil
	}
	p.keys[q.Key] = true
	r := pipeline.Release{Number: len(p.list) + 1, Revision: q.Revision, Reason: q.Reason, Changes: &pipeline.Diff{Commits: q.Commits}}
	p.list = append([]pipeline.Release{r}, p.list...)
	return r, nil
}

func (p *pushes) versions() []string {
	out := []string{}
	for _, r := range p.list {
		out = append([]string{r.Revision.Version}, out...)
	}
	return out
}

// watcher looks when it is told to; every look is due.
func watcher(t *testing.T, p *pushes) func(times int) {
	t.Helper()
	p.keys = map[string]bool{}
	store, err := artifact.Open(filepath.Join(t.TempDir(), "artifacts"))
	if err != nil {
		t.Fatal(err)
	}
	fresh := func() *Watcher {
		w, err := New(Config{Pipelines: p, Artifacts: store, Dir: t.TempDir()})
		if err != nil {
			t.Fatal(err)
		}
		return w
	}
	w, now := fresh(), time.Now()
	return func(times int) {
		t.Helper()
		if times < 0 { // a restart
			w, times = fresh(), -times
		}
		for range times {
			now = now.Add(time.Hour)
			if err := w.look(t.Context(), now); err != nil {
				t.Fatal(err)
			}
		}
	}
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o755); err != nil {
		t.Fatal(err)
	}
}

func want(t *testing.T, p *pushes, versions ...string) {
	t.Helper()
	if d := cmp.Diff(append([]string{}, versions...), p.versions()); d != "" {
		t.Errorf("released:\n%s", d)
	}
}

func TestDirectory(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "artifacts")
	p := &pushes{source: pipeline.Source{Directory: dir}}
	look := watcher(t, p)
	look(2) // it is not there yet
	write(t, filepath.Join(dir, "shop-1"), "one")
	look(1)
	want(t, p) // it may still be written to
	write(t, filepath.Join(dir, "shop-1"), "one, whole")
	look(1)
	want(t, p)
	look(3)
	want(t, p, "shop-1")
	write(t, filepath.Join(dir, "shop-2/bin/shop"), "two")
	write(t, filepath.Join(dir, ".hidden"), "three")
	look(3)
	want(t, p, "shop-1", "shop-2")
	if p.list[0].Revision.Source != "directory" || p.list[0].Revision.Artifact == "" {
		t.Errorf("revision: %+v", p.list[0].Revision)
	}
	look(-3) // nothing new after a restart
	want(t, p, "shop-1", "shop-2")
	write(t, filepath.Join(dir, "broken.tar.gz"), "no archive")
	write(t, filepath.Join(dir, "shop-3"), "three")
	look(3) // the one does not keep the other
	want(t, p, "shop-1", "shop-2", "shop-3")
}

func TestFile(t *testing.T) {
	file := filepath.Join(t.TempDir(), "shop")
	p := &pushes{source: pipeline.Source{File: file}}
	look := watcher(t, p)
	for _, text := range []string{"a", "b", "a"} { // back again is a new revision
		write(t, filepath.Join(file, "VERSION"), "v"+text+"\n")
		write(t, filepath.Join(file, "shop"), text)
		look(3)
	}
	want(t, p, "va", "vb", "va")
	look(-3)
	want(t, p, "va", "vb", "va")
}

func TestGit(t *testing.T) {
	if _, err := exec.LookPath("git"); err != nil {
		t.Skip("git is not installed")
	}
	repo := t.TempDir()
	git := func(args ...string) string {
		t.Helper()
		cmd := exec.Command("git", args...)
		cmd.Dir = repo
		cmd.Env = append(os.Environ(), "GIT_AUTHOR_NAME=a", "GIT_AUTHOR_EMAIL=a@example.com", "GIT_COMMITTER_NAME=a", "GIT_COMMITTER_EMAIL=a@example.com",
			"GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_SYSTEM=/dev/null")
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("git %v: %v: %s", args, err, out)
		}
		return strings.TrimSpace(string(out))
	}
	commit := func(text string) string {
		write(t, filepath.Join(repo, "app/shop"), text)
		write(t, filepath.Join(repo, "README"), text)
		git("add", ".")
		git("commit", "-qm", text)
		return git("rev-parse", "HEAD")
	}
	git("init", "-q", "-b", "main")
	p := &pushes{source: pipeline.Source{Git: &pipeline.GitSource{Repository: repo, Path: "app"}}}
	look := watcher(t, p)
	look(1) // no branch yet: said, and tried again
	want(t, p)
	one := commit("one")
	look(3)
	want(t, p, one[:12])
	commit("two")
	three := commit("three")
	git("tag", "v3")
	look(3)
	want(t, p, one[:12], "v3")
	r := p.list[0]
	if r.Revision.Commit != three || r.Reason != "three" || len(r.Changes.Commits) != 2 || !strings.HasSuffix(r.Changes.Commits[1], "two") {
		t.Errorf("release: %+v, commits %q", r, r.Changes.Commits)
	}
	look(-2)
	want(t, p, one[:12], "v3")
}
