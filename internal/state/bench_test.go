//go:build unix

package state_test

import (
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/tidegate-io/tidegate/change"
	"github.com/tidegate-io/tidegate/entity"
	"github.com/tidegate-io/tidegate/internal/state"
)

// BenchmarkAddEvent is the write that every script waits for.
func BenchmarkAddEvent(b *testing.B) {
	db, err := state.Open(b.Context(), state.Config{URL: "sqlite://" + filepath.Join(b.TempDir(), "s.db")})
	if err != nil {
		b.Fatal(err)
	}
	defer db.Close()
	e := change.Event{Type: "test.finished", Kind: change.KindTest, Start: time.Now(), Ref: entity.Ref{Service: "checkout"},
		Properties: map[string]string{"tool": "k6", "purpose": "acceptance", "duration": "1m"}}
	for i := 0; b.Loop(); i++ {
		e.ID = strconv.Itoa(i)
		if err := db.Changes().Add(b.Context(), e); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkEvents lists the newest hundred of a service among ten thousand.
func BenchmarkEvents(b *testing.B) {
	db, err := state.Open(b.Context(), state.Config{URL: "sqlite://" + filepath.Join(b.TempDir(), "s.db")})
	if err != nil {
		b.Fatal(err)
	}
	defer db.Close()
	now := time.Now()
	for i := range 10_000 {
		if err := db.Changes().Add(b.Context(), change.Event{ID: strconv.Itoa(i), Type: "x", Start: now.Add(time.Duration(i)),
			Ref: entity.Ref{Service: "s" + strconv.Itoa(i%20)}}); err != nil {
			b.Fatal(err)
		}
	}
	for b.Loop() {
		events, err := db.Changes().Events(b.Context(), change.Query{Service: "s7"})
		if err != nil || len(events) != 100 {
			b.Fatal(len(events), err)
		}
	}
}
