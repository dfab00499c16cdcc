package app

import (
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/fsnotify/fsnotify"
)

const testManifest = `apiVersion: tidegate.dev/v1
kind: Guardian
metadata: {name: NAME}
spec:
  target: {service: checkout}
  template: golden-signals
`

// What a file no longer defines is taken out of force, however the directory is
// written; what moved to another file stays.
func TestWhatADirectoryNoLongerDefinesIsTakenOut(t *testing.T) {
	for _, spelling := range []string{"manifests", "./manifests", "manifests/", "."} {
		t.Run(spelling, func(t *testing.T) {
			t.Chdir(t.TempDir())
			if err := os.Mkdir("manifests", 0o700); err != nil {
				t.Fatal(err)
			}
			w, err := fsnotify.NewWatcher()
			if err != nil {
				t.Fatal(err)
			}
			defer w.Close()
			c, _ := openCatalog(t)
			a := &App{catalog: c, log: slog.New(slog.DiscardHandler)}
			apply := func(files map[string]string) {
				t.Helper()
				old, _ := filepath.Glob("manifests/*")
				for _, f := range old {
					if err := os.Remove(f); err != nil {
						t.Fatal(err)
					}
				}
				for name, text := range files {
					if err := os.WriteFile(filepath.Join("manifests", name), []byte(text), 0o600); err != nil {
						t.Fatal(err)
					}
				}
				a.applyDir(context.Background(), spelling, w)
			}
			inForce := func(name string, want bool) {
				t.Helper()
				if _, ok := c.Guardian(name); ok != want {
					t.Errorf("%s in force: %v, want %v", name, ok, want)
				}
			}
			g := replaceName
			apply(map[string]string{"a.yaml": g("one") + "---\n" + g("two"), "b.yaml": g("three"), "c.yaml": g("four")})
			if _, err := c.Apply(t.Context(), "api", []byte(g("by-api")), false); err != nil {
				t.Fatal(err)
			}
			// two is deleted from its file, three moves, the file of four vanishes
			apply(map[string]string{"a.yaml": g("one"), "d.yaml": g("three")})
			for name, want := range map[string]bool{"one": true, "two": false, "three": true, "four": false, "by-api": true} {
				inForce(name, want)
			}
			// a mistake takes nothing out, not even what had moved there before
			apply(map[string]string{"a.yaml": g("one"), "d.yaml": "kind: Nonsense"})
			inForce("one", true)
			inForce("three", true)
		})
	}
}

func replaceName(name string) string { return strings.ReplaceAll(testManifest, "NAME", name) }
