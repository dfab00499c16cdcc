package tsdb

import (
	"cmp"
	"log/slog"
	"slices"
	"strings"
	"sync"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/tsdb/chunks"

	"github.com/tidegate-io/tidegate/fault"
	"github.com/tidegate-io/tidegate/telemetry"
)

// seriesLimit refuses to make series beyond a number, of one service and in
// all. The TSDB calls it for every series that comes into its memory and goes.
// Span metrics have limits of their own where they are made; here they get as
// much room again as everything else, so that what others send cannot crowd
// them out.
type seriesLimit struct {
	perService int64
	logger     *slog.Logger

	mu       sync.Mutex
	max      int64 // 0 while the write-ahead log is replayed: no limit
	live     int64
	services map[string]int64
	refused  map[string]uint64 // by service; "" stands for all
}

// maxRefused bounds the services whose refusals are told apart.
const maxRefused = 1000

// Limited tells of series that were refused.
type Limited struct {
	Service string `json:"service,omitempty" doc:"empty when the limit of all was reached"`
	Limit   int64  `json:"limit" doc:"series"`
	Refused uint64 `json:"refused" doc:"attempts to add a series beyond it, since the start"`
}

// begin ends the replay: from now on the limits hold.
func (l *seriesLimit) begin(limit int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.max = limit
}

// derived reports whether a series is one of those that Tidegate makes itself.
func derived(ls labels.Labels) bool {
	name := ls.Get(model.MetricNameLabel)
	return strings.HasPrefix(name, "traces_") || strings.HasPrefix(name, "tidegate_")
}

func (l *seriesLimit) PreCreation(ls labels.Labels) error {
	own := derived(ls)
	service := ls.Get(telemetry.LabelService)
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case l.max == 0:
		return nil
	case own && l.live >= 2*l.max, !own && l.live >= l.max:
		l.refuse("", l.max)
		return fault.Unavailable("the metrics store holds its limit of %d series", l.max)
	case !own && service != "" && l.services[service] >= l.perService:
		l.refuse(service, l.perService)
		return fault.Unavailable("service %q has its limit of %d metric series", service, l.perService)
	}
	return nil
}

// refuse counts a refusal, and warns of the first of its kind.
func (l *seriesLimit) refuse(service string, limit int64) {
	if l.refused == nil {
		l.refused = map[string]uint64{}
	}
	if l.refused[service] == 0 {
		if len(l.refused) >= maxRefused {
			return
		}
		l.logger.Warn("too many metric series: further ones are refused; look for a label that takes ever new values", "service", service, "limit", limit)
	}
	l.refused[service]++
}

func (l *seriesLimit) PostCreation(ls labels.Labels) { l.count(ls, 1) }

func (l *seriesLimit) PostDeletion(gone map[chunks.HeadSeriesRef]labels.Labels) {
	for _, ls := range gone {
		l.count(ls, -1)
	}
}

func (l *seriesLimit) count(ls labels.Labels, n int64) {
	own, service := derived(ls), strings.Clone(ls.Get(telemetry.LabelService))
	l.mu.Lock()
	defer l.mu.Unlock()
	l.live += n
	if own || service == "" {
		return
	}
	if l.services == nil {
		l.services = map[string]int64{}
	}
	if l.services[service] += n; l.services[service] <= 0 {
		delete(l.services, service)
	}
}

// limited returns the limits that were reached, the most refusals first.
func (l *seriesLimit) limited() []Limited {
	l.mu.Lock()
	defer l.mu.Unlock()
	out := make([]Limited, 0, len(l.refused))
	for service, n := range l.refused {
		limit := l.perService
		if service == "" {
			limit = l.max
		}
		out = append(out, Limited{service, limit, n})
	}
	slices.SortFunc(out, func(a, b Limited) int {
		return cmp.Or(cmp.Compare(b.Refused, a.Refused), cmp.Compare(a.Service, b.Service))
	})
	return out
}
