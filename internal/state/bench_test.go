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
	"github.com/tidegate-io/tidegate/problem"
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

// BenchmarkObserve raises 500 lasting events of 50 problems again, with new
// figures: what a detector does every few seconds of a large incident.
func BenchmarkObserve(b *testing.B) {
	db, err := state.Open(b.Context(), state.Config{URL: "sqlite://" + filepath.Join(b.TempDir(), "s.db")})
	if err != nil {
		b.Fatal(err)
	}
	defer db.Close()
	changes, err := change.New(change.Config{Store: db.Changes()})
	if err != nil {
		b.Fatal(err)
	}
	now := time.Now()
	s, err := problem.New(problem.Config{Store: db.Problems(), Recorder: changes, Clock: func() time.Time { return now }})
	if err != nil {
		b.Fatal(err)
	}
	var events []problem.Event
	for i := range 500 {
		events = append(events, problem.Event{ID: strconv.Itoa(i), Source: "detector", Signal: problem.SignalErrors, Title: "Errors", Start: now,
			Ref: entity.Ref{Service: "s" + strconv.Itoa(i%50)}, Operation: "op" + strconv.Itoa(i)})
	}
	for b.Loop() {
		now = now.Add(11 * time.Second) // beyond the time for which figures are not stored again
		if _, err := s.Observe(b.Context(), events); err != nil {
			b.Fatal(err)
		}
	}
	list, err := s.Problems(b.Context(), problem.Query{})
	if err != nil || len(list) != 50 {
		b.Fatal(len(list), err)
	}
}
