package flag_test

import (
	"context"
	"errors"
	"slices"
	"sync"

	"github.com/tidegate-io/tidegate/change"
	"github.com/tidegate-io/tidegate/fault"
	"github.com/tidegate-io/tidegate/flag"
)

// disk is a flag.Store and a flag.Recorder whose contents outlive a Manager,
// and whose parts can fail.
type disk struct {
	mu        sync.Mutex
	overrides map[[2]string]flag.Override
	audits    []flag.Audit
	keys      map[string]bool
	events    []change.Event

	failRecord, failStore error
	// onRecord is called while an event is recorded, before it is stored.
	onRecord func()
}

var errDown = errors.New("down")

func newDisk() *disk {
	return &disk{overrides: map[[2]string]flag.Override{}, keys: map[string]bool{}}
}

func (d *disk) SetOverride(_ context.Context, o flag.Override, a flag.Audit, key string) (bool, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.failStore != nil {
		return false, d.failStore
	}
	if key != "" && d.keys[key] {
		return false, nil
	}
	d.keys[key] = true
	d.overrides[[2]string{o.Set, o.Key}] = o
	d.audits = append(d.audits, a)
	return true, nil
}

func (d *disk) ClearOverride(_ context.Context, set, key string, a flag.Audit) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.failStore != nil {
		return d.failStore
	}
	delete(d.overrides, [2]string{set, key})
	d.audits = append(d.audits, a)
	return nil
}

func (d *disk) Overrides(context.Context) ([]flag.Override, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	var out []flag.Override
	for _, o := range d.overrides {
		out = append(out, o)
	}
	return out, nil
}

func (d *disk) AddAudit(_ context.Context, a flag.Audit) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.audits = append(d.audits, a)
	return d.failStore
}

func (d *disk) Audits(_ context.Context, set, key string, limit int) ([]flag.Audit, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	var out []flag.Audit
	for _, a := range slices.Backward(d.audits) {
		if (set == "" || a.Set == set) && (key == "" || a.Key == key) && len(out) < limit {
			out = append(out, a)
		}
	}
	return out, nil
}

func (d *disk) Record(_ context.Context, e change.Event) (change.Event, error) {
	if d.onRecord != nil {
		d.onRecord()
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.failRecord != nil {
		return change.Event{}, d.failRecord
	}
	if err := e.Validate(); err != nil { // as change.Log does
		return change.Event{}, err
	}
	for _, old := range d.events {
		if old.ID == e.ID {
			return old, nil
		}
	}
	d.events = append(d.events, e)
	return e, nil
}

func (d *disk) Event(_ context.Context, id string) (change.Event, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, e := range d.events {
		if e.ID == id {
			return e, nil
		}
	}
	return change.Event{}, fault.NotFound("no event %s", id)
}

func (d *disk) lastAudit() flag.Audit {
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.audits) == 0 {
		return flag.Audit{}
	}
	return d.audits[len(d.audits)-1]
}

func (d *disk) recorded() []change.Event {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Clone(d.events)
}
