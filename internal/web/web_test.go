package web

import (
	"compress/gzip"
	"io"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
	"testing/fstest"
)

var built = fstest.MapFS{
	".gitkeep":          {Data: nil},
	"index.html":        {Data: []byte(`<meta nonce="` + noncePlaceholder + `"><div id="root">`)},
	"favicon.svg":       {Data: []byte("<svg/>")},
	"assets/app-abc.js": {Data: []byte(strings.Repeat("export const a = 1;\n", 200))},
}

func newHandler(t *testing.T, files fstest.MapFS) *Handler {
	t.Helper()
	h, err := New(files)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

func do(h http.Handler, method, path string, header ...string) *http.Response {
	r := httptest.NewRequest(method, path, nil)
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w.Result()
}

func TestPaths(t *testing.T) {
	h := newHandler(t, built)
	for _, tc := range []struct {
		method, path string
		status       int
		contentType  string
	}{
		{"GET", "/", 200, "text/html"},
		{"GET", "/validations/01H", 200, "text/html"},
		{"GET", "/services/my.service", 200, "text/html"},
		{"HEAD", "/flags", 200, "text/html"},
		{"GET", "/assets/app-abc.js", 200, "text/javascript"},
		{"GET", "/favicon.svg", 200, "image/svg+xml"},
		{"GET", "/assets/app-old.js", 404, "text/plain"},
		{"GET", "/v1/nothing", 404, "text/plain"},
		{"GET", "/api/nothing", 404, "text/plain"},
		{"GET", "/v1", 404, "text/plain"},
		{"POST", "/", 405, "text/plain"},
	} {
		res := do(h, tc.method, tc.path)
		if res.StatusCode != tc.status || !strings.HasPrefix(res.Header.Get("Content-Type"), tc.contentType) {
			t.Errorf("%s %s = %d %s, want %d %s", tc.method, tc.path, res.StatusCode, res.Header.Get("Content-Type"), tc.status, tc.contentType)
		}
		if body, _ := io.ReadAll(res.Body); tc.method == "HEAD" && len(body) > 0 {
			t.Errorf("HEAD %s has a body", tc.path)
		}
	}
}

func TestPageCarriesTheNonceOfItsPolicy(t *testing.T) {
	h := newHandler(t, built)
	inPolicy := regexp.MustCompile(`'nonce-([^']+)'`)
	seen := map[string]bool{}
	for range 2 {
		res := do(h, "GET", "/")
		body, _ := io.ReadAll(res.Body)
		csp := res.Header.Get("Content-Security-Policy")
		m := inPolicy.FindStringSubmatch(csp)
		if m == nil || !strings.Contains(string(body), `nonce="`+m[1]+`"`) {
			t.Fatalf("page and policy differ: %s / %s", body, csp)
		}
		if strings.Contains(csp, "unsafe") {
			t.Errorf("policy allows what is unsafe: %s", csp)
		}
		if res.Header.Get("Cache-Control") != "no-store" {
			t.Error("the page, which carries a nonce, may be cached")
		}
		seen[m[1]] = true
	}
	if len(seen) != 2 {
		t.Error("the nonce repeats")
	}
}

func TestAssets(t *testing.T) {
	h := newHandler(t, built)
	res := do(h, "GET", "/assets/app-abc.js", "Accept-Encoding", "gzip, br")
	if got := res.Header.Get("Cache-Control"); !strings.Contains(got, "immutable") {
		t.Errorf("Cache-Control = %q", got)
	}
	z, err := gzip.NewReader(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	if body, _ := io.ReadAll(z); string(body) != string(built["assets/app-abc.js"].Data) {
		t.Error("the compressed file differs")
	}
	if plain := do(h, "GET", "/assets/app-abc.js"); plain.Header.Get("Content-Encoding") != "" {
		t.Error("compressed for somebody who did not ask")
	}
	again := do(h, "GET", "/assets/app-abc.js", "If-None-Match", res.Header.Get("ETag"))
	if again.StatusCode != http.StatusNotModified {
		t.Errorf("unchanged file = %d", again.StatusCode)
	}
	if got := do(h, "GET", "/favicon.svg").Header.Get("Cache-Control"); got != "no-cache" {
		t.Errorf("a file without a hash in its name: %q", got)
	}
}

func TestNotBuilt(t *testing.T) {
	h := newHandler(t, fstest.MapFS{".gitkeep": {}})
	if h.Built() {
		t.Error("Built without an index")
	}
	body, _ := io.ReadAll(do(h, "GET", "/guardians").Body)
	if !strings.Contains(string(body), "make ui") {
		t.Errorf("does not say how to build: %s", body)
	}
}
