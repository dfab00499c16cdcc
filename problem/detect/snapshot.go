package detect

import (
	"bytes"
	"compress/gzip"
	"encoding/gob"
	"io"
	"slices"
	"time"

	"github.com/tidegate-io/tidegate/fault"
)

// snapshotVersion changes when what was learned can no longer be read.
const snapshotVersion = 1

// maxSnapshot bounds what is read of a snapshot, uncompressed.
const maxSnapshot = 1 << 30

// snapshot is what survives a restart: all that was learned and the open
// events. Suspicion that has not become an event is not in it.
type snapshot struct {
	Version    int
	Last       time.Time
	Operations []*operation
	Series     []*series
}

// Snapshot returns what is known, for Restore. The format is private and may
// change; a snapshot of another version is refused.
func (d *Detector) Snapshot() ([]byte, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	s := snapshot{Version: snapshotVersion, Last: d.last}
	for _, o := range d.operations {
		s.Operations = append(s.Operations, o)
	}
	slices.SortFunc(s.Operations, func(a, b *operation) int { return a.place().compare(b.place()) })
	for _, x := range d.series {
		s.Series = append(s.Series, x)
	}
	slices.SortFunc(s.Series, compareSeries)
	var buf bytes.Buffer
	z, _ := gzip.NewWriterLevel(&buf, gzip.BestSpeed)
	if err := gob.NewEncoder(z).Encode(&s); err != nil {
		return nil, fault.Internal("detection: writing what was learned: %w", err)
	}
	if err := z.Close(); err != nil {
		return nil, fault.Internal("detection: writing what was learned: %w", err)
	}
	return buf.Bytes(), nil
}

// Restore replaces all that is known by a snapshot. What cannot be read is a
// fault of KindInvalid, and leaves everything as it is.
func (d *Detector) Restore(data []byte) error {
	s, err := readSnapshot(data)
	if err != nil {
		return err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.clear()
	d.last = s.Last
	for _, o := range s.Operations {
		if _, ok := d.operations[o.place()]; ok || len(d.operations) >= d.opts.MaxOperations {
			continue
		}
		d.add(o)
	}
	for _, x := range s.Series {
		if len(d.series) < d.opts.MaxSeries {
			d.series[x.Is.Name] = x
		}
	}
	return nil
}

func readSnapshot(data []byte) (snapshot, error) {
	var s snapshot
	z, err := gzip.NewReader(bytes.NewReader(data))
	if err != nil {
		return s, fault.Invalid("what detection had learned cannot be read: %w", err)
	}
	if err := gob.NewDecoder(io.LimitReader(z, maxSnapshot)).Decode(&s); err != nil {
		return s, fault.Invalid("what detection had learned cannot be read: %w", err)
	}
	if s.Version != snapshotVersion {
		return s, fault.Invalid("what detection had learned is of version %d, expected %d", s.Version, snapshotVersion)
	}
	for _, o := range s.Operations {
		if o == nil || !o.sound() {
			return s, fault.Invalid("what detection had learned is damaged")
		}
	}
	for _, x := range s.Series {
		if x == nil || x.Is.Name == "" || x.Values.Next > len(x.Values.Values) {
			return s, fault.Invalid("what detection had learned is damaged")
		}
	}
	return s, nil
}

// sound reports whether an operation can be worked with.
func (o *operation) sound() bool {
	sound := o.Service != "" && o.Latency.sound()
	for t := range o.Tests {
		if g := o.Tests[t].Open; g != nil {
			sound = sound && g.Latency.sound()
		}
	}
	return sound
}

func (l *latencies) sound() bool { return len(l.Counts) == 0 || len(l.Counts) == indexes }
