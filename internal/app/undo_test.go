package app

import (
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/tidegate-io/tidegate/change"
	"github.com/tidegate-io/tidegate/fault"
	"github.com/tidegate-io/tidegate/internal/state"
)

// changeLog returns a log of changes in a database of its own.
func changeLog(t *testing.T) *change.Log {
	t.Helper()
	db, err := state.Open(t.Context(), state.Config{URL: "sqlite://" + filepath.Join(t.TempDir(), "state.db")})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	log, err := change.New(change.Config{Store: db.Changes()})
	if err != nil {
		t.Fatal(err)
	}
	return log
}

// undoable records a deployment that is undone by posting to a server that
// answers as handler does.
func undoable(t *testing.T, log *change.Log, title string, handler http.HandlerFunc) change.Event {
	t.Helper()
	srv := httptest.NewServer(handler)
	t.Cleanup(srv.Close)
	e, err := log.Record(t.Context(), change.Event{ID: "d1", Type: change.TypeDeploymentFinished, Title: title,
		Undo: &change.Undo{Kind: "webhook", URL: srv.URL + "/rollback"}})
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// An undo that is sent elsewhere, to a page to log in for example, has not been
// done, whatever that page answers.
func TestUndoDoesNotFollowRedirects(t *testing.T) {
	log := changeLog(t)
	e := undoable(t, log, "checkout 2", func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/rollback" {
			http.Redirect(w, r, "/login", http.StatusFound)
		}
	})
	u := newUndoer(log, nil)
	if done, err := u.Undo(t.Context(), e.ID, "ann", "broken"); !fault.Is(err, fault.KindUnavailable) {
		t.Fatalf("got %+v, %v; want it unavailable", done, err)
	}
	if _, err := log.Event(t.Context(), undoEventID(e.ID)); !fault.Is(err, fault.KindNotFound) {
		t.Errorf("recorded as undone: %v", err)
	}
}

// What was undone is recorded whatever its title, and undone once.
func TestUndoIsRecordedAndDoneOnce(t *testing.T) {
	for name, title := range map[string]string{"short": "checkout 2", "longest": strings.Repeat("ä", 2000)} {
		t.Run(name, func(t *testing.T) {
			log, posted := changeLog(t), 0
			e := undoable(t, log, title, func(http.ResponseWriter, *http.Request) { posted++ })
			u := newUndoer(log, nil)
			first, err := u.Undo(t.Context(), e.ID, "ann", "broken")
			if err != nil {
				t.Fatal(err)
			}
			again, err := u.Undo(t.Context(), e.ID, "bob", "again")
			if err != nil || again.ID != first.ID || posted != 1 {
				t.Errorf("again: %s after %s, %v, posted %d times", again.ID, first.ID, err, posted)
			}
			if first.UndoOf != e.ID || first.Who != "ann" || !strings.HasPrefix(first.Title, "undone: "+title[:8]) || time.Since(first.Start) > time.Minute {
				t.Errorf("event %+v", first)
			}
		})
	}
}
