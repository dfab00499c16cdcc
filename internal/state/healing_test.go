//go:build unix

package state_test

import (
	"database/sql"
	"strings"
	"testing"
	"time"

	"github.com/tidegate-io/tidegate/healing"
)

// The audit of healing is append-only for whoever reaches the database.
func TestHealingAuditStays(t *testing.T) {
	eachDatabase(t, func(t *testing.T, newURL func(*testing.T) string) {
		url := newURL(t)
		h := open(t, url).Healing()
		if err := h.SetStop(t.Context(), healing.Stop{Stopped: true}, healing.Entry{Time: time.Now(), Who: "kim", What: "stopped", Text: "maintenance"}); err != nil {
			t.Fatal(err)
		}
		db := raw(t, url)
		for _, statement := range []string{"UPDATE healing_audit SET doc = '{}'", "DELETE FROM healing_audit"} {
			if _, err := db.ExecContext(t.Context(), statement); err == nil || !strings.Contains(err.Error(), "append-only") {
				t.Errorf("%s: %v, want it refused", statement, err)
			}
		}
		if audit, err := h.Audit(t.Context(), "", "", 0); err != nil || len(audit) != 1 || audit[0].Text != "maintenance" {
			t.Errorf("audit is %+v, %v", audit, err)
		}
	})
}

// raw opens the database beside its stores.
func raw(t *testing.T, url string) *sql.DB {
	t.Helper()
	driver, name := "pgx", url
	if path, ok := strings.CutPrefix(url, "sqlite://"); ok {
		driver, name = "sqlite", "file:"+strings.NewReplacer("#", "%23", "%", "%25", "?", "%3f", " ", "%20").Replace(path)+"?_pragma=busy_timeout(10000)"
	}
	db, err := sql.Open(driver, name)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	return db
}
