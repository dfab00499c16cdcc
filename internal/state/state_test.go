//go:build unix

package state_test

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/tidegate-io/tidegate/fault"
	"github.com/tidegate-io/tidegate/internal/state"
	"github.com/tidegate-io/tidegate/internal/state/storetest"
)

func open(t *testing.T, url string) *state.DB {
	t.Helper()
	db, err := state.Open(t.Context(), state.Config{URL: url})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	return db
}

func stores(db *state.DB) storetest.Stores {
	return storetest.Stores{Changes: db.Changes(), Healing: db.Healing(), Flags: db.Flags(), Guardians: db.Guardians(),
		LoadTests: db.LoadTests(), Workflows: db.Workflows(), Outbox: db.Outbox(), Comparisons: db.Comparisons(), Problems: db.Problems(),
		Traffic: db.Traffic(), Rollouts: db.Rollouts(), Pipelines: db.Pipelines()}
}

func sqliteURL(t *testing.T) string {
	return "sqlite://" + filepath.Join(t.TempDir(), "a dir", "state #1%.db")
}

// eachDatabase runs a test on SQLite and on PostgreSQL; newURL names an empty
// database.
func eachDatabase(t *testing.T, test func(t *testing.T, newURL func(*testing.T) string)) {
	t.Run("sqlite", func(t *testing.T) { test(t, sqliteURL) })
	t.Run("postgres", func(t *testing.T) { test(t, storetest.StartPostgres(t).Database) })
}

func TestStores(t *testing.T) {
	eachDatabase(t, func(t *testing.T, newURL func(*testing.T) string) {
		storetest.Run(t, func(t *testing.T) storetest.Stores { return stores(open(t, newURL(t))) })
		t.Run("manifests", func(t *testing.T) { testManifests(t, open(t, newURL(t)).Manifests()) })
	})
}

// Replicas that start together migrate once.
func TestReplicasStartTogether(t *testing.T) {
	url := storetest.StartPostgres(t).Database(t)
	errs := make(chan error)
	for range 4 {
		go func() {
			db, err := state.Open(t.Context(), state.Config{URL: url})
			if err == nil {
				err = db.Close()
			}
			errs <- err
		}()
	}
	for range 4 {
		if err := <-errs; err != nil {
			t.Error(err)
		}
	}
	if err := open(t, url).Ping(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestOpenRefuses(t *testing.T) {
	for _, url := range []string{"", "mysql://x", "sqlite://", "sqlite://:memory:", "postgres://user:secret@[broken"} {
		_, err := state.Open(t.Context(), state.Config{URL: url})
		if !fault.Is(err, fault.KindInvalid) {
			t.Errorf("Open(%q): %v, want a fault of kind invalid", url, err)
		}
		if err != nil && strings.Contains(err.Error(), "secret") {
			t.Errorf("Open(%q) shows the password: %v", url, err)
		}
	}
	_, err := state.Open(t.Context(), state.Config{URL: "postgres://user:secret@127.0.0.1:1/db?connect_timeout=1"})
	if !fault.Is(err, fault.KindUnavailable) || strings.Contains(err.Error(), "secret") {
		t.Errorf("Open of a server that is down: %v, want unavailable, without the password", err)
	}
}
