// Package web serves the screens: a single-page application whose files were
// embedded at build time.
//
// Every path that is not a file is a screen and answers with index.html, so
// that each view's address can be shared; paths of the API are never
// screens, a wrong one answers 404 instead of HTML. Files under assets/ carry
// a hash of their content in their names and are cached for a year; index.html
// is never cached and carries a fresh nonce, which lets the
// Content-Security-Policy do without unsafe-inline. Files are compressed once,
// at start.
//
//	h, err := web.New(ui.Files())
//	mux.Handle("/", h)
//
// Without a built UI the handler answers every page with a plain text that
// says how to build it.
package web

import (
	"bytes"
	"compress/gzip"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"mime"
	"net/http"
	"path"
	"strings"
)

// noncePlaceholder stands in index.html where the nonce goes.
const noncePlaceholder = "__TIDEGATE_NONCE__"

// compressFrom is the size in bytes below which gzip gains nothing.
const compressFrom = 1024

// notScreens are the path prefixes that belong to the API.
var notScreens = []string{"/v1/", "/api/", "/schemas/", "/assets/"}

const notBuilt = `Tidegate is running, but this binary was built without its screens.

Build them and the binary again:

    make ui build

The API works without: see /openapi.json, /v1/status and the command line (tidegate --help).
`

// Handler serves the screens. Safe for concurrent use.
type Handler struct {
	files map[string]file
	index []byte // nil when the UI was not built
}

type file struct {
	content, gzipped []byte // gzipped is nil where it gains nothing
	contentType      string
	etag             string
	immutable        bool
}

// New reads the built UI from files, whose root holds index.html. Without an
// index.html the handler explains how to build one; other read errors are
// returned.
func New(files fs.FS) (*Handler, error) {
	h := &Handler{files: map[string]file{}}
	err := fs.WalkDir(files, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		content, err := fs.ReadFile(files, name)
		if err != nil {
			return err
		}
		if name == "index.html" {
			h.index = content
			return nil
		}
		if strings.HasPrefix(path.Base(name), ".") {
			return nil
		}
		f, err := load(name, content)
		h.files["/"+name] = f
		return err
	})
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("read the built UI: %w", err)
	}
	return h, nil
}

func load(name string, content []byte) (file, error) {
	sum := sha256.Sum256(content)
	f := file{
		content:     content,
		contentType: contentType(name),
		etag:        `"` + hex.EncodeToString(sum[:8]) + `"`,
		immutable:   strings.HasPrefix(name, "assets/"),
	}
	if len(content) < compressFrom {
		return f, nil
	}
	var b bytes.Buffer
	z, err := gzip.NewWriterLevel(&b, gzip.BestCompression)
	if err != nil {
		return f, err
	}
	if _, err := z.Write(content); err != nil {
		return f, err
	}
	if err := z.Close(); err != nil {
		return f, err
	}
	if b.Len() < len(content)*9/10 {
		f.gzipped = b.Bytes()
	}
	return f, nil
}

// contentType does not ask the machine's MIME tables for what it must know.
func contentType(name string) string {
	switch path.Ext(name) {
	case ".js":
		return "text/javascript; charset=utf-8"
	case ".css":
		return "text/css; charset=utf-8"
	case ".svg":
		return "image/svg+xml"
	}
	if t := mime.TypeByExtension(path.Ext(name)); t != "" {
		return t
	}
	return "application/octet-stream"
}

// Built reports whether the binary carries the screens.
func (h *Handler) Built() bool { return h.index != nil }

// ServeHTTP answers a file, a screen, or how to build the screens.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		w.Header().Set("Allow", "GET, HEAD")
		http.Error(w, "method not allowed", http.StatusMethodNotAllowed)
		return
	}
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.Header().Set("Referrer-Policy", "same-origin")
	if f, ok := h.files[r.URL.Path]; ok {
		f.serve(w, r)
		return
	}
	for _, prefix := range notScreens {
		if strings.HasPrefix(r.URL.Path+"/", prefix) {
			http.NotFound(w, r)
			return
		}
	}
	w.Header().Set("Cache-Control", "no-store")
	if !h.Built() {
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		w.WriteHeader(http.StatusOK)
		writeBody(w, r, []byte(notBuilt))
		return
	}
	h.servePage(w, r)
}

func (h *Handler) servePage(w http.ResponseWriter, r *http.Request) {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails; see crypto/rand
	nonce := base64.StdEncoding.EncodeToString(b[:])
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("X-Frame-Options", "DENY")
	w.Header().Set("Content-Security-Policy", policy(nonce))
	writeBody(w, r, bytes.ReplaceAll(h.index, []byte(noncePlaceholder), []byte(nonce)))
}

// policy allows what the screens load and nothing else: their own scripts and
// requests, and the styles that carry the page's nonce.
func policy(nonce string) string {
	return "default-src 'none'; script-src 'self'; connect-src 'self'; font-src 'self'; img-src 'self' data:; " +
		"style-src 'self' 'nonce-" + nonce + "'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
}

func (f file) serve(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Content-Type", f.contentType)
	h.Set("ETag", f.etag)
	h.Set("Cache-Control", "no-cache")
	if f.immutable {
		h.Set("Cache-Control", "public, max-age=31536000, immutable")
	}
	body := f.content
	if f.gzipped != nil {
		h.Add("Vary", "Accept-Encoding")
		if strings.Contains(r.Header.Get("Accept-Encoding"), "gzip") {
			h.Set("Content-Encoding", "gzip")
			body = f.gzipped
		}
	}
	if r.Header.Get("If-None-Match") == f.etag {
		w.WriteHeader(http.StatusNotModified)
		return
	}
	writeBody(w, r, body)
}

// writeBody ignores write errors: they mean that the browser went away.
func writeBody(w http.ResponseWriter, r *http.Request, body []byte) {
	w.Header().Set("Content-Length", fmt.Sprint(len(body)))
	if r.Method == http.MethodHead {
		return
	}
	_, _ = w.Write(body)
}
