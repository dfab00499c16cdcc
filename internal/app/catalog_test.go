package app

import (
	"context"
	"fmt"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tidegate-io/tidegate/internal/state"
)

// openCatalog returns a catalog over a database of its own.
func openCatalog(t *testing.T) (*catalog, manifestStore) {
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
	c := newCatalog(db.Manifests(), time.Now)
	c.changed = func(context.Context) error { return nil }
	return c, db.Manifests()
}

func guardianManifest(n int) []byte {
	return fmt.Appendf(nil, `apiVersion: tidegate.dev/v1
kind: Guardian
metadata:
  name: checkout
  labels: {n: "%d"}
spec:
  target: {service: checkout}
  template: golden-signals
`, n)
}

// Two that apply at once, the second overtaking the first after it stored: what
// is in force is what a restart would put in force.
func TestAppliedAtOnceIsInForceAsStored(t *testing.T) {
	c, store := openCatalog(t)
	stored, overtaken := make(chan struct{}), make(chan struct{})
	c.store = &overtaking{manifestStore: store, stored: stored, overtaken: overtaken}
	var both sync.WaitGroup
	apply := func(n int) {
		if _, err := c.Apply(t.Context(), "api", guardianManifest(n), false); err != nil {
			t.Error(err)
		}
	}
	both.Go(func() { apply(1) })
	<-stored
	both.Go(func() { apply(2); close(overtaken) })
	both.Wait()
	list, err := store.List(t.Context(), "Guardian")
	if err != nil || len(list) != 1 {
		t.Fatalf("%d stored, %v", len(list), err)
	}
	if e, _ := c.entry("Guardian", "checkout"); e.YAML != list[0].YAML {
		t.Errorf("in force\n%s\nstored\n%s", e.YAML, list[0].YAML)
	}
}

// overtaking is a store whose first Put returns late: after another was put in
// force, if that is possible at all.
type overtaking struct {
	manifestStore
	late              atomic.Bool
	stored, overtaken chan struct{}
}

func (s *overtaking) Put(ctx context.Context, ms ...state.Manifest) ([]state.Change, error) {
	changes, err := s.manifestStore.Put(ctx, ms...)
	if s.late.CompareAndSwap(false, true) {
		close(s.stored)
		select {
		case <-s.overtaken:
		case <-time.After(100 * time.Millisecond): // nobody may overtake
		}
	}
	return changes, err
}

// Whoever asked may go away: what is stored is put in force.
func TestStoredIsPutInForce(t *testing.T) {
	c, _ := openCatalog(t)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	c.store = cancelling{c.store, cancel}
	c.changed = func(ctx context.Context) error { return ctx.Err() }
	if _, err := c.Apply(ctx, "api", guardianManifest(1), false); err != nil {
		t.Error(err)
	}
}

// cancelling is a store whose caller goes away while it stores.
type cancelling struct {
	manifestStore
	cancel func()
}

func (s cancelling) Put(ctx context.Context, ms ...state.Manifest) ([]state.Change, error) {
	changes, err := s.manifestStore.Put(ctx, ms...)
	s.cancel()
	return changes, err
}
