package e2e

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestReferenceIsCurrent: docs/reference is what the code says today.
func TestReferenceIsCurrent(t *testing.T) {
	dir := t.TempDir()
	if _, errs, code := run(t, nil, binary, "docs", dir); code != 0 {
		t.Fatalf("exit %d: %s", code, errs)
	}
	written, err := os.ReadFile(filepath.Join(dir, "cli.md"))
	if err != nil {
		t.Fatal(err)
	}
	current(t, "../../docs/reference/cli.md", string(written))

	kinds, _, _ := run(t, nil, binary, "__complete", "schema", "")
	n := 0
	for line := range strings.Lines(kinds) {
		if kind := strings.TrimSpace(line); kind != "" && !strings.HasPrefix(kind, ":") {
			schema, errs, code := run(t, nil, binary, "schema", kind)
			if code != 0 {
				t.Fatalf("schema %s: exit %d: %s", kind, code, errs)
			}
			current(t, "../../docs/reference/schemas/"+kind+".json", schema)
			n++
		}
	}
	if files, _ := filepath.Glob("../../docs/reference/schemas/*.json"); len(files) != n || n == 0 {
		t.Errorf("%d schemas for %d kinds", len(files), n)
	}
}

func current(t *testing.T, file, want string) {
	t.Helper()
	got, err := os.ReadFile(file)
	if err != nil || string(got) != want {
		t.Errorf("%s is not what the code says: run make docs (%v)", file, err)
	}
}
