package healing

import (
	"fmt"
	"testing"
)

// BenchmarkConsider is what an open problem costs at every look at it: while
// something is being done about it, and when everything was.
func BenchmarkConsider(b *testing.B) {
	for name, state := range map[string]State{"helped": StateVerifying, "ended": StateEnded} {
		b.Run(name, func(b *testing.B) {
			m, w := newMemory(), newWorld()
			e, err := New(configOf(m, w))
			if err != nil {
				b.Fatal(err)
			}
			if err := e.Define([]Remediation{shop()}); err != nil {
				b.Fatal(err)
			}
			p := problemOf("p1", badFlag())
			for range 2 { // the attempt, and the page
				if err := e.Consider(b.Context(), p); err != nil {
					b.Fatal(err)
				}
				for id := range m.docs {
					a := m.get(id)
					a.State, a.Outcome, a.Acted = state, OutcomeUnhealed, start
					m.put(a, nil)
				}
			}
			for b.Loop() {
				if err := e.Consider(b.Context(), p); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkObject asks every safety rule, with a day full of other actions.
func BenchmarkObject(b *testing.B) {
	f := fine(badFlag())
	for i := range 200 {
		f.Recent = append(f.Recent, acted(0, func(a *Action) { a.ID, a.Service = fmt.Sprint(i), "billing" }))
	}
	f.Limits.PerHour = 1000
	for b.Loop() {
		if got := Object(f); len(got) != 0 {
			b.Fatal(got)
		}
	}
}
