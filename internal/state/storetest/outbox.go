package storetest

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tidegate-io/tidegate/fault"
	"github.com/tidegate-io/tidegate/notify"
)

func outbox(t *testing.T, s Stores) {
	m := notify.Message{ID: "m1", Channel: "room", Type: "validation.finished", ContentType: "application/json", Body: json.RawMessage(`{"a":"ü"}`), Created: t0}
	created, err := s.Outbox.Put(t.Context(), m)
	ok(t, err)
	again, err := s.Outbox.Put(t.Context(), m)
	ok(t, err)
	if !created || again {
		t.Errorf("put %v, then %v: want true, then false", created, again)
	}
	claim := func(now time.Time, want ...notify.Delivery) {
		t.Helper()
		got, err := s.Outbox.Claim(t.Context(), now, time.Minute, 10)
		ok(t, err)
		if d := cmp.Diff(append([]notify.Delivery{}, want...), got); d != "" {
			t.Errorf("claim at %v: %s", now.Sub(t0), d)
		}
	}
	d := notify.Delivery{Message: m, State: notify.StatePending, Attempts: 1, Next: t0.Add(time.Minute), Updated: t0}
	claim(t0.Add(-time.Second))
	claim(t0, d)
	claim(t0.Add(59 * time.Second)) // hidden
	d.Attempts, d.Next, d.Updated = 2, t0.Add(2*time.Minute), t0.Add(time.Minute)
	claim(t0.Add(time.Minute), d) // the claimer died

	d.Next, d.Updated, d.Error = t0.Add(time.Hour), t0.Add(61*time.Second), "status 500 "+strings.Repeat("ü", 2000)
	ok(t, s.Outbox.Resolve(t.Context(), d))
	claim(t0.Add(3 * time.Minute))
	listed, err := s.Outbox.Deliveries(t.Context(), notify.StatePending, 0)
	ok(t, err)
	if len(listed) != 1 || !strings.HasPrefix(listed[0].Error, "status 500 ") || len(listed[0].Error) > 2010 || !listed[0].Next.Equal(d.Next) {
		t.Errorf("after a failed attempt: %+v", listed)
	}
	d.State, d.Error = notify.StateDelivered, ""
	ok(t, s.Outbox.Resolve(t.Context(), d))
	claim(t0.Add(24 * time.Hour))
	d.State = notify.StatePending
	wantKind(t, s.Outbox.Resolve(t.Context(), d), fault.KindNotFound) // delivered stays delivered
	listed, err = s.Outbox.Deliveries(t.Context(), notify.StateDead, 0)
	ok(t, err)
	if len(listed) != 0 {
		t.Errorf("dead letters: %+v, want none", listed)
	}
	_, err = s.Outbox.Put(t.Context(), notify.Message{})
	wantKind(t, err, fault.KindInvalid)
}

func outboxClaims(t *testing.T, s Stores) {
	for i := range 20 {
		_, err := s.Outbox.Put(t.Context(), notify.Message{ID: fmt.Sprintf("m%02d", i), Channel: "c", Body: json.RawMessage(`{}`), Created: t0.Add(time.Duration(i))})
		ok(t, err)
	}
	var claimed [8][]notify.Delivery
	inParallel(t, 8, func(i int) (_ bool, err error) {
		claimed[i], err = s.Outbox.Claim(t.Context(), t0.Add(time.Second), time.Minute, 3)
		return true, err
	})
	seen := map[string]bool{}
	for _, ds := range claimed {
		if len(ds) > 3 {
			t.Errorf("claimed %d messages, limit 3", len(ds))
		}
		for i, d := range ds {
			if seen[d.ID] {
				t.Errorf("message %s was claimed twice", d.ID)
			}
			seen[d.ID] = true
			if i > 0 && d.Created.Before(ds[i-1].Created) {
				t.Errorf("claimed %s after %s: want oldest first", d.ID, ds[i-1].ID)
			}
		}
	}
	rest, err := s.Outbox.Claim(t.Context(), t0.Add(time.Second), time.Minute, 100)
	ok(t, err)
	if len(seen)+len(rest) != 20 {
		t.Errorf("claimed %d and then %d messages of 20", len(seen), len(rest))
	}
}
