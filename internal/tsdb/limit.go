package tsdb

import (
	"strings"
	"sync/atomic"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/tsdb/chunks"

	"github.com/tidegate-io/tidegate/fault"
)

// seriesLimit refuses to make series beyond a number. The TSDB calls it for
// every series that comes into its memory and goes. Span metrics have a limit
// of their own where they are made; here they get as much room again, so that
// what others send cannot crowd them out.
type seriesLimit struct {
	max  atomic.Int64 // 0 while the write-ahead log is replayed: no limit
	live atomic.Int64
}

func (l *seriesLimit) PreCreation(ls labels.Labels) error {
	limit := l.max.Load()
	if limit == 0 {
		return nil
	}
	room := limit
	if name := ls.Get(model.MetricNameLabel); strings.HasPrefix(name, "traces_") || strings.HasPrefix(name, "tidegate_") {
		room *= 2
	}
	if l.live.Load() >= room {
		return fault.Unavailable("the metrics store holds its limit of %d series", limit)
	}
	return nil
}

func (l *seriesLimit) PostCreation(labels.Labels) { l.live.Add(1) }

func (l *seriesLimit) PostDeletion(gone map[chunks.HeadSeriesRef]labels.Labels) {
	l.live.Add(-int64(len(gone)))
}
