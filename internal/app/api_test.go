package app

import (
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/tidegate-io/tidegate/change"
)

// However much happened since, a report knows that its cause was undone.
func TestReportKnowsTheUndoAmongManyEvents(t *testing.T) {
	log := changeLog(t)
	e := undoable(t, log, "checkout 2", func(http.ResponseWriter, *http.Request) {})
	undone, err := newUndoer(log, nil).Undo(t.Context(), e.ID, "ann", "broken")
	if err != nil {
		t.Fatal(err)
	}
	for i := range 250 {
		if _, err := log.Record(t.Context(), change.Event{ID: fmt.Sprint("later-", i), Type: change.TypeAnnotation, Start: time.Now().Add(time.Second)}); err != nil {
			t.Fatal(err)
		}
	}
	r := &reporter{changes: log}
	got, err := r.undosOf(t.Context(), e)
	if err != nil || len(got) != 1 || got[0].ID != undone.ID {
		t.Errorf("%d undos, %v: want the one", len(got), err)
	}
}
