package tsdb

import (
	"sync"

	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/metadata"
	"github.com/prometheus/prometheus/storage"
)

// maxFamilies bounds the metadata kept: names come from senders.
const maxFamilies = 10_000

// families remembers type, unit and help of metric families, as last sent.
// It is not stored: every batch of samples brings it again.
type families struct {
	mu     sync.RWMutex
	byName map[string]metadata.Metadata
}

func (f *families) note(name string, m metadata.Metadata) {
	if name == "" || m.IsEmpty() {
		return
	}
	f.mu.RLock()
	have, ok := f.byName[name]
	full := len(f.byName) >= maxFamilies
	f.mu.RUnlock()
	if ok && have == m || !ok && full {
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.byName == nil {
		f.byName = map[string]metadata.Metadata{}
	}
	f.byName[name] = m
}

// all returns a copy; only the family called name when it is not empty.
func (f *families) all(name string) map[string][]metadata.Metadata {
	f.mu.RLock()
	defer f.mu.RUnlock()
	out := make(map[string][]metadata.Metadata, len(f.byName))
	for n, m := range f.byName {
		if name == "" || name == n {
			out[n] = []metadata.Metadata{m}
		}
	}
	return out
}

// appender notes the metadata that passes by.
type appender struct {
	storage.AppenderV2
	families *families
}

func (a *appender) Append(ref storage.SeriesRef, ls labels.Labels, st, t int64, v float64, h *histogram.Histogram, fh *histogram.FloatHistogram, opts storage.AOptions) (storage.SeriesRef, error) {
	a.families.note(opts.MetricFamilyName, opts.Metadata)
	return a.AppenderV2.Append(ref, ls, st, t, v, h, fh, opts)
}
