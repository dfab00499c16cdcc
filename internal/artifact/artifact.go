// Package artifact keeps what is deployed, by its content: a directory, a file
// or a tar.gz becomes a digest, and equal content has an equal digest whatever
// it is called and wherever it came from.
//
//	a, err := store.Add(ctx, "/builds/shop-1.4.tar.gz")
//	dir, err := store.Path(a.Digest)   // holds the unpacked tree
//
// The digest is SHA-256 over the sorted list of the tree's files: name, mode
// (executable or not), and the SHA-256 of the content; symbolic links by their
// target. Times and owners do not count. What was added never changes: it is
// written beside, checked, and moved into place by one rename.
//
// Everything comes from outside: names that leave the tree, links out of it,
// devices, more than MaxFiles files or MaxBytes bytes are refused.
package artifact

import (
	"archive/tar"
	"bufio"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"github.com/tidegate-io/tidegate/delivery/pipeline"
	"github.com/tidegate-io/tidegate/fault"
)

// Limits of an artifact.
const (
	MaxFiles = 50_000
	MaxBytes = 4 << 30
	maxDiff  = 100
)

// Artifact is content that is held.
type Artifact struct {
	// Digest is "sha256:" and 64 hexadecimal digits.
	Digest string `json:"digest"`
	Files  int    `json:"files"`
	Bytes  int64  `json:"bytes"`
}

// Store keeps artifacts in a directory. Safe for concurrent use.
type Store struct {
	dir string
	mu  sync.Mutex // one Add at a time: they compete for the disk anyway
}

// Open opens, or creates, a store.
func Open(dir string) (*Store, error) {
	if dir == "" {
		return nil, fault.Invalid("artifacts: a directory is required")
	}
	dir, err := filepath.Abs(dir) // programs are run elsewhere
	if err != nil {
		return nil, fmt.Errorf("artifacts: %w", err)
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("artifacts: %w", err)
	}
	// What an interrupted Add left.
	stale, err := filepath.Glob(filepath.Join(dir, ".adding-*"))
	if err != nil {
		return nil, fmt.Errorf("artifacts: %w", err)
	}
	for _, s := range stale {
		if err := os.RemoveAll(s); err != nil {
			return nil, fmt.Errorf("artifacts: %w", err)
		}
	}
	return &Store{dir: dir}, nil
}

// entry is a file of an artifact.
type entry struct {
	Name string `json:"name"`
	Mode string `json:"mode"` // file, exec, link
	Hash string `json:"hash"` // of the content; a link's target
}

// Path returns the directory that holds the artifact's tree, or a fault of
// KindNotFound. Nobody may write there.
func (s *Store) Path(digest string) (string, error) {
	dir, err := s.place(digest)
	if err != nil {
		return "", err
	}
	tree := filepath.Join(dir, "tree")
	if _, err := os.Stat(tree); err != nil {
		return "", fault.NotFound("artifact %s is not held (any more)", digest)
	}
	return tree, nil
}

func (s *Store) place(digest string) (string, error) {
	sum, ok := strings.CutPrefix(digest, "sha256:")
	if raw, err := hex.DecodeString(sum); !ok || err != nil || len(raw) != sha256.Size {
		return "", fault.Invalid("artifact %.80q: expected sha256: and 64 hexadecimal digits", digest)
	}
	return filepath.Join(s.dir, strings.ToLower(sum)), nil
}

// Add takes a directory, a file, or a file whose name ends in .tar.gz or .tgz,
// which is unpacked.
func (s *Store) Add(ctx context.Context, from string) (Artifact, error) {
	info, err := os.Stat(from)
	if err != nil {
		return Artifact{}, fault.NotFound("artifact: %w", err)
	}
	if !info.IsDir() {
		f, err := os.Open(from)
		if err != nil {
			return Artifact{}, fault.Unavailable("artifact: %w", err)
		}
		defer f.Close()
		return s.AddReader(ctx, filepath.Base(from), info.Mode().Perm()&0o111 != 0, f)
	}
	return s.add(ctx, func(w *writer) error { return w.directory(from) })
}

// AddReader takes a file's content under a name, unpacked when the name ends
// in .tar.gz or .tgz.
func (s *Store) AddReader(ctx context.Context, name string, executable bool, r io.Reader) (Artifact, error) {
	return s.add(ctx, func(w *writer) error {
		if Packed(name) {
			return w.unpack(r)
		}
		return w.file(path.Base(filepath.ToSlash(name)), executable, r)
	})
}

// Packed reports whether a file of the name is unpacked.
func Packed(name string) bool {
	return strings.HasSuffix(name, ".tar.gz") || strings.HasSuffix(name, ".tgz")
}

func (s *Store) add(ctx context.Context, fill func(*writer) error) (Artifact, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	tmp, err := os.MkdirTemp(s.dir, ".adding-")
	if err != nil {
		return Artifact{}, fault.Unavailable("artifact: %w", err)
	}
	defer os.RemoveAll(tmp)
	root, err := newRoot(filepath.Join(tmp, "tree"))
	if err != nil {
		return Artifact{}, err
	}
	w := &writer{ctx: ctx, root: root}
	err = fill(w)
	if cerr := root.Close(); err == nil && cerr != nil {
		err = cerr
	}
	if err != nil {
		return Artifact{}, asFault(err)
	}
	if len(w.entries) == 0 {
		return Artifact{}, fault.Invalid("artifact: there is no file in it")
	}
	slices.SortFunc(w.entries, func(a, b entry) int { return strings.Compare(a.Name, b.Name) })
	index, err := json.Marshal(w.entries)
	if err != nil {
		return Artifact{}, fault.Internal("artifact: %w", err)
	}
	sum := sha256.Sum256(index)
	a := Artifact{Digest: "sha256:" + hex.EncodeToString(sum[:]), Files: len(w.entries), Bytes: w.bytes}
	if err := os.WriteFile(filepath.Join(tmp, "index.json"), index, 0o600); err != nil {
		return a, fault.Unavailable("artifact: %w", err)
	}
	final := filepath.Join(s.dir, hex.EncodeToString(sum[:]))
	if _, err := os.Stat(final); err == nil {
		return a, nil // held already
	}
	if err := os.Rename(tmp, final); err != nil {
		return a, fault.Unavailable("artifact: %w", err)
	}
	return a, nil
}

func newRoot(dir string) (*os.Root, error) {
	if err := os.Mkdir(dir, 0o700); err != nil {
		return nil, fault.Unavailable("artifact: %w", err)
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, fault.Unavailable("artifact: %w", err)
	}
	return root, nil
}

func asFault(err error) error {
	var f *fault.Error
	if errors.As(err, &f) || errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	return fault.Invalid("artifact: %w", err)
}

// writer fills a tree; the root keeps it inside whatever names it is given.
type writer struct {
	ctx     context.Context
	root    *os.Root
	entries []entry
	bytes   int64
}

func (w *writer) note(name, mode, hash string) error {
	if len(w.entries) >= MaxFiles {
		return fault.Invalid("artifact: more than %d files", MaxFiles)
	}
	w.entries = append(w.entries, entry{name, mode, hash})
	return w.ctx.Err()
}

func (w *writer) file(name string, executable bool, r io.Reader) error {
	perm, mode := fs.FileMode(0o600), "file"
	if executable {
		perm, mode = 0o700, "exec"
	}
	if dir := path.Dir(name); dir != "." {
		if err := w.root.MkdirAll(dir, 0o700); err != nil {
			return err
		}
	}
	f, err := w.root.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, perm)
	if err != nil {
		return err
	}
	h := sha256.New()
	n, err := io.Copy(io.MultiWriter(f, h), io.LimitReader(r, MaxBytes-w.bytes+1))
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		return err
	}
	if w.bytes += n; w.bytes > MaxBytes {
		return fault.Invalid("artifact: more than %d GiB", MaxBytes>>30)
	}
	return w.note(name, mode, hex.EncodeToString(h.Sum(nil)))
}

// link keeps a symbolic link that stays inside the tree.
func (w *writer) link(name, target string) error {
	if filepath.IsAbs(target) || !filepath.IsLocal(filepath.Join(filepath.Dir(name), target)) {
		return fault.Invalid("artifact: the link %q leads out of it", name)
	}
	if dir := path.Dir(name); dir != "." {
		if err := w.root.MkdirAll(dir, 0o700); err != nil {
			return err
		}
	}
	if err := w.root.Symlink(target, name); err != nil {
		return err
	}
	return w.note(name, "link", target)
}

func (w *writer) directory(from string) error {
	return filepath.WalkDir(from, func(p string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		rel, err := filepath.Rel(from, p)
		if err != nil {
			return err
		}
		name := filepath.ToSlash(rel)
		switch {
		case d.Type()&fs.ModeSymlink != 0:
			target, err := os.Readlink(p)
			if err != nil {
				return err
			}
			return w.link(name, target)
		case !d.Type().IsRegular():
			return fault.Invalid("artifact: %q is neither a file nor a link", name)
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		f, err := os.Open(p)
		if err != nil {
			return err
		}
		defer f.Close()
		return w.file(name, info.Mode().Perm()&0o111 != 0, f)
	})
}

func (w *writer) unpack(r io.Reader) error {
	zr, err := gzip.NewReader(bufio.NewReader(r))
	if err != nil {
		return fault.Invalid("artifact: not a gzip file: %w", err)
	}
	tr := tar.NewReader(zr)
	for {
		h, err := tr.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fault.Invalid("artifact: %w", err)
		}
		name := path.Clean(strings.TrimPrefix(h.Name, "./"))
		if h.Typeflag == tar.TypeDir || name == "." {
			continue
		}
		if !filepath.IsLocal(filepath.FromSlash(name)) {
			return fault.Invalid("artifact: the name %q leads out of it", h.Name)
		}
		switch h.Typeflag {
		case tar.TypeReg:
			err = w.file(name, h.FileInfo().Mode().Perm()&0o111 != 0, tr)
		case tar.TypeSymlink:
			err = w.link(name, h.Linkname)
		case tar.TypeXGlobalHeader: // git archive writes one
		default:
			err = fault.Invalid("artifact: %q is neither a file nor a link", h.Name)
		}
		if err != nil {
			return err
		}
	}
}

func (s *Store) index(digest string) (map[string]entry, error) {
	dir, err := s.place(digest)
	if err != nil {
		return nil, err
	}
	raw, err := os.ReadFile(filepath.Join(dir, "index.json"))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fault.Unavailable("artifact: %w", err)
	}
	var list []entry
	if err := json.Unmarshal(raw, &list); err != nil {
		return nil, fault.Internal("artifact %s: %w", digest, err)
	}
	out := make(map[string]entry, len(list))
	for _, e := range list {
		out[e.Name] = e
	}
	return out, nil
}

// DiffFiles implements pipeline.Artifacts.
func (s *Store) DiffFiles(_ context.Context, from, to string) (*pipeline.FileDiff, error) {
	old, err := s.index(from)
	if err != nil {
		return nil, err
	}
	fresh, err := s.index(to)
	if err != nil || old == nil || fresh == nil {
		return nil, err
	}
	d := &pipeline.FileDiff{}
	for name, e := range fresh {
		switch o, there := old[name]; {
		case !there:
			d.Added = append(d.Added, name)
		case o != e:
			d.Changed = append(d.Changed, name)
		}
	}
	for name := range old {
		if _, there := fresh[name]; !there {
			d.Removed = append(d.Removed, name)
		}
	}
	d.AddedCount, d.RemovedCount, d.ChangedCount = len(d.Added), len(d.Removed), len(d.Changed)
	for _, list := range []*[]string{&d.Added, &d.Removed, &d.Changed} {
		slices.Sort(*list)
		*list = (*list)[:min(len(*list), maxDiff)]
	}
	return d, nil
}
