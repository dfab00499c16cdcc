package flag_test

import (
	"fmt"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/tidegate-io/tidegate/flag"
)

// TestAnyHistory makes changes, clears them, lets recording and storing fail
// and restarts, in any order. Whatever happened: the events form one chain
// from variant to variant, each has its audit, and after a restart the end of
// the chain is what is served.
func TestAnyHistory(t *testing.T) {
	path := shopFile(t)
	rapid.Check(t, func(r *rapid.T) {
		d := newDisk()
		start := func() *flag.Manager {
			m, err := flag.New(flag.Config{Store: d, Recorder: d, Sources: []flag.Source{{Path: path}}, Now: func() time.Time { return noon }})
			if err != nil {
				r.Fatal(err)
			}
			if err := m.Load(t.Context()); err != nil {
				r.Fatal(err)
			}
			return m
		}
		m := start()
		r.Repeat(map[string]func(*rapid.T){
			"set": func(r *rapid.T) {
				v := rapid.SampledFrom([]string{"red", "blue"}).Draw(r, "variant")
				key := rapid.SampledFrom([]string{"", "k1", "k2", "k3"}).Draw(r, "idempotency key")
				f, e, err := m.Set(t.Context(), flag.Change{Key: "banner", Variant: v, Who: "ann", IdempotencyKey: key})
				if err == nil && e.To != v && f.DefaultVariant != v {
					r.Fatalf("set %s, got %+v, %+v", v, f, e)
				}
			},
			"clear":                 func(r *rapid.T) { _, _, _ = m.Clear(t.Context(), "shop", "banner", "ann", "") },
			"recording fails":       func(*rapid.T) { d.failRecord = errDown },
			"recording works again": func(*rapid.T) { d.failRecord = nil },
			"storing fails":         func(*rapid.T) { d.failStore = errDown },
			"storing works again":   func(*rapid.T) { d.failStore = nil },
			"restart": func(r *rapid.T) {
				d.failRecord, d.failStore = nil, nil
				m = start()
			},
			"": func(r *rapid.T) { checkHistory(r, d, m) },
		})
		d.failRecord, d.failStore = nil, nil
		m = start()
		checkHistory(r, d, m)
		if last := inForce(d); variantOf(r, m) != last || len(d.events) != len(d.audits) {
			r.Fatalf("%s in force, the last event says %s; %d events, %d audits", variantOf(r, m), last, len(d.events), len(d.audits))
		}
	})
}

// checkHistory holds at any time: what is served is on record.
func checkHistory(r *rapid.T, d *disk, m *flag.Manager) {
	v := "blue"
	audited := map[string]string{}
	for _, a := range d.audits {
		audited[a.EventID] = fmt.Sprint(a.From, a.To)
	}
	for _, e := range d.events {
		if e.From != v {
			r.Fatalf("an event goes from %s although %s was in force", e.From, v)
		}
		if audited[e.ID] != fmt.Sprint(e.From, e.To) {
			r.Fatalf("event %+v has no audit", e)
		}
		v = e.To
	}
	if got := variantOf(r, m); got != v {
		r.Fatalf("%s is served, the record says %s", got, v)
	}
}

func inForce(d *disk) string {
	if len(d.events) == 0 {
		return "blue"
	}
	return d.events[len(d.events)-1].To
}

func variantOf(r *rapid.T, m *flag.Manager) string {
	f, err := m.State().Flag("", "banner")
	if err != nil {
		r.Fatal(err)
	}
	return f.DefaultVariant
}
