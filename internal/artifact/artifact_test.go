package artifact

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tidegate-io/tidegate/fault"
)

func store(t *testing.T) *Store {
	t.Helper()
	s, err := Open(filepath.Join(t.TempDir(), "artifacts"))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func tree(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		p := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(p), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(p, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func packed(t *testing.T, headers ...tar.Header) *bytes.Buffer {
	t.Helper()
	var buf bytes.Buffer
	zw := gzip.NewWriter(&buf)
	tw := tar.NewWriter(zw)
	for _, h := range headers {
		body := ""
		if h.Typeflag == tar.TypeReg {
			body = "body of " + strings.TrimPrefix(h.Name, "./")
		}
		h.Size = int64(len(body))
		if h.Mode == 0 {
			h.Mode = 0o644
		}
		if err := tw.WriteHeader(&h); err != nil {
			t.Fatal(err)
		}
		if _, err := tw.Write([]byte(body)); err != nil {
			t.Fatal(err)
		}
	}
	if err := tw.Close(); err != nil {
		t.Fatal(err)
	}
	if err := zw.Close(); err != nil {
		t.Fatal(err)
	}
	return &buf
}

// Equal content has an equal digest, however it came.
func TestDigestIsOfTheContent(t *testing.T) {
	s := store(t)
	dir, err := s.Add(t.Context(), tree(t, map[string]string{"a": "body of a", "b/c": "body of b/c"}))
	if err != nil {
		t.Fatal(err)
	}
	tgz, err := s.AddReader(t.Context(), "x.tar.gz", false, packed(t, tar.Header{Name: "b/", Typeflag: tar.TypeDir},
		tar.Header{Name: "./b/c", Typeflag: tar.TypeReg}, tar.Header{Name: "a", Typeflag: tar.TypeReg}))
	if err != nil {
		t.Fatal(err)
	}
	if dir != tgz || dir.Files != 2 {
		t.Errorf("directory %+v, archive %+v", dir, tgz)
	}
	other, err := s.AddReader(t.Context(), "x.tgz", false, packed(t, tar.Header{Name: "a", Typeflag: tar.TypeReg, Mode: 0o755}))
	if err != nil {
		t.Fatal(err)
	}
	d, err := s.DiffFiles(t.Context(), dir.Digest, other.Digest)
	if err != nil || d.RemovedCount != 1 || d.ChangedCount != 1 || d.AddedCount != 0 || d.Removed[0] != "b/c" {
		t.Errorf("diff: %+v, %v", d, err)
	}
	p, err := s.Path(dir.Digest)
	if err != nil {
		t.Fatal(err)
	}
	if raw, err := os.ReadFile(filepath.Join(p, "b/c")); err != nil || string(raw) != "body of b/c" {
		t.Errorf("%q, %v", raw, err)
	}
	if _, err := s.Path("sha256:" + string(bytes.Repeat([]byte("0"), 64))); !fault.Is(err, fault.KindNotFound) {
		t.Errorf("unknown artifact: %v", err)
	}
	if _, err := s.Path("../x"); !fault.Is(err, fault.KindInvalid) {
		t.Errorf("no digest: %v", err)
	}
}

// What leads out of the tree is refused, and leaves nothing behind.
func TestHostile(t *testing.T) {
	s := store(t)
	for name, h := range map[string]tar.Header{
		"name":          {Name: "../evil", Typeflag: tar.TypeReg},
		"absolute":      {Name: "/tmp/evil", Typeflag: tar.TypeReg},
		"link":          {Name: "l", Typeflag: tar.TypeSymlink, Linkname: "../../etc/passwd"},
		"absolute link": {Name: "l", Typeflag: tar.TypeSymlink, Linkname: "/etc/passwd"},
		"device":        {Name: "d", Typeflag: tar.TypeChar},
		"empty":         {Name: "d/", Typeflag: tar.TypeDir},
	} {
		if _, err := s.AddReader(t.Context(), "x.tgz", false, packed(t, h)); !fault.Is(err, fault.KindInvalid) {
			t.Errorf("%s: %v, want it refused", name, err)
		}
	}
	twice := packed(t, tar.Header{Name: "a", Typeflag: tar.TypeReg}, tar.Header{Name: "a", Typeflag: tar.TypeReg})
	if _, err := s.AddReader(t.Context(), "x.tgz", false, twice); !fault.Is(err, fault.KindInvalid) {
		t.Errorf("a name twice: %v", err)
	}
	if _, err := s.AddReader(t.Context(), "x.tgz", false, bytes.NewReader([]byte("no gzip"))); !fault.Is(err, fault.KindInvalid) {
		t.Errorf("no gzip: %v", err)
	}
	left, err := os.ReadDir(s.dir)
	if err != nil || len(left) != 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

// FuzzUnpack: no archive writes outside or panics.
func FuzzUnpack(f *testing.F) {
	f.Add([]byte("no gzip"))
	f.Fuzz(func(t *testing.T, raw []byte) {
		s := store(t)
		var buf bytes.Buffer
		zw := gzip.NewWriter(&buf)
		_, _ = zw.Write(raw)
		_ = zw.Close()
		_, err := s.AddReader(t.Context(), "x.tgz", false, &buf)
		if err != nil && !fault.Is(err, fault.KindInvalid) {
			t.Errorf("%v", err)
		}
	})
}

// A store in a relative directory tells absolute paths: programs run elsewhere.
func TestPathsAreAbsolute(t *testing.T) {
	t.Chdir(t.TempDir())
	s, err := Open("relative")
	if err != nil {
		t.Fatal(err)
	}
	a, err := s.AddReader(t.Context(), "app", true, strings.NewReader("x"))
	if err != nil {
		t.Fatal(err)
	}
	if p, err := s.Path(a.Digest); err != nil || !filepath.IsAbs(p) {
		t.Errorf("%s, %v", p, err)
	}
}
