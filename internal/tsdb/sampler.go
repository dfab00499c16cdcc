package tsdb

import (
	"context"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql"

	"github.com/tidegate-io/tidegate/entity"
	"github.com/tidegate-io/tidegate/fault"
	"github.com/tidegate-io/tidegate/guardian"
	"github.com/tidegate-io/tidegate/judge"
	"github.com/tidegate-io/tidegate/telemetry"
)

// Source is what a [Sampler] reads: this package's [DB], or a [Remote] one.
type Source interface {
	// Select returns raw samples, from < t ≤ to, of the series that match. A
	// series may come in several elements, in the order of time.
	Select(ctx context.Context, selector string, from, to time.Time) (promql.Matrix, error)
	// QueryRange evaluates at from, from+step, … up to and including to.
	QueryRange(ctx context.Context, expr string, from, to time.Time, step time.Duration) (promql.Matrix, error)
}

// SamplerConfig configures a Sampler.
type SamplerConfig struct {
	// Source is required.
	Source Source
	// Resolution is the distance between samples of the span metrics, aligned
	// to the clock; default 2 s. A window is widened to this grid, so that what
	// happened at its edges is counted whole.
	Resolution time.Duration
	// Scraped says that the samples are taken at times of the store's own, as
	// Prometheus does it, and not aligned to the clock. Counters are then read up
	// to one Resolution after the window, where the last of it shows.
	Scraped bool
	// Lookback is how long before the window a series' last value is looked
	// for; a series without one counts from zero. Default 5 min.
	Lookback time.Duration
	// Settled, when set, is called before a reading and returns once everything
	// that belongs before t is in the store.
	Settled func(ctx context.Context, t time.Time) error
}

// defaultLookback is longer than the distance between any two samples of a live
// series; it is also how long PromQL looks back.
const defaultLookback = 5 * time.Minute

// farLookback is how long before that the last values of a scraped store are
// asked for. Its scraping may pause, while it is restarted or moved, and all
// that counters show after a pause did not happen in the window.
const farLookback = time.Hour

// Sampler reads indicators for guardians. It is safe for concurrent use.
//
// Counters and native histograms are differenced sample by sample, per
// series: a value that fell was reset and counts from zero; so does a series
// that appears. Nothing is extrapolated: the sum over the slices is the number
// of observations, exactly.
type Sampler struct{ cfg SamplerConfig }

var _ guardian.Sampler = (*Sampler)(nil)

// NewSampler returns a sampler over cfg.Source.
func NewSampler(cfg SamplerConfig) (*Sampler, error) {
	if cfg.Source == nil {
		return nil, fault.InvalidField("source", "the sampler needs a source of series")
	}
	if cfg.Resolution < 0 || cfg.Lookback < 0 {
		return nil, fault.Invalid("sampler: resolution and lookback cannot be negative")
	}
	if cfg.Resolution == 0 {
		cfg.Resolution = 2 * time.Second
	}
	if cfg.Lookback == 0 {
		cfg.Lookback = defaultLookback
	}
	return &Sampler{cfg: cfg}, nil
}

// Limits of one reading.
const (
	maxWindow = 31 * 24 * time.Hour
	maxSlices = MaxPoints
)

// Sample implements guardian.Sampler.
func (s *Sampler) Sample(ctx context.Context, r guardian.Reading) (judge.Sample, []string, error) {
	g, err := s.grid(r)
	if err != nil {
		return judge.Sample{}, nil, err
	}
	read, err := s.reading(r, g)
	if err != nil {
		return judge.Sample{}, nil, err
	}
	out := judge.Sample{Kind: read.kind, Unit: read.unit}
	if s.cfg.Settled != nil {
		if err := s.cfg.Settled(ctx, g.to()); err != nil {
			return judge.Sample{}, nil, fmt.Errorf("waiting for telemetry up to %s: %w", g.to().Format(time.RFC3339), err)
		}
	}
	slices, err := read.slices(ctx)
	switch {
	case ctx.Err() != nil:
		return judge.Sample{}, nil, ctx.Err()
	case err != nil:
		out.Err = err.Error()
	default:
		out.Slices = slices
	}
	return out, read.queries, nil
}

// grid is where the samples of a reading are.
func (s *Sampler) grid(r guardian.Reading) (grid, error) {
	switch {
	case !s.cfg.Scraped:
		return newGrid(r.Window, r.Slice, s.cfg.Resolution)
	case r.Indicator.PromQL != "": // tells of the moment it is asked about
		return newLooseGrid(r.Window, r.Slice, s.cfg.Resolution, 0)
	}
	return newLooseGrid(r.Window, r.Slice, s.cfg.Resolution, s.cfg.Resolution)
}

// reading is how one indicator is read: its kind, the PromQL that shows the
// same number to a person, and the function that fills the slices.
type reading struct {
	kind    judge.Kind
	unit    string
	queries []string
	slices  func(context.Context) ([]judge.Slice, error)
}

func (s *Sampler) reading(r guardian.Reading, g grid) (reading, error) {
	in := r.Indicator
	span := func(i *guardian.SpanIndicator, extra ...string) func(metric string) string {
		target := r.Target
		if i.Target != nil {
			target = *i.Target
		}
		return func(metric string) string { return spanSelector(metric, target, i.Operation, extra...) }
	}
	over, at := "["+promMillis(g.length().Milliseconds())+"]", "@ "+promTime(g.to())
	increase := func(selector string) string { return "sum(increase(" + selector + over + " " + at + "))" }

	switch {
	case in.Latency != nil:
		sel := span(in.Latency)(telemetry.MetricDuration)
		return reading{judge.Distribution, unitOr(in.Unit, "s"),
			[]string{"histogram_quantile(0.95, " + increase(sel) + ")"},
			func(ctx context.Context) ([]judge.Slice, error) { return s.difference(ctx, sel, g, newDistributing(g)) }}, nil
	case in.ErrorRate != nil:
		all := span(in.ErrorRate)(telemetry.MetricCalls)
		bad := span(in.ErrorRate, telemetry.LabelStatus+"="+strconv.Quote(telemetry.LabelStatusError))(telemetry.MetricCalls)
		return reading{judge.Ratio, unitOr(in.Unit, "ratio"),
			[]string{"(" + increase(bad) + " or vector(0)) / " + increase(all), increase(bad), increase(all)},
			func(ctx context.Context) ([]judge.Slice, error) {
				return s.difference(ctx, all, g, newCounting(g, failed))
			}}, nil
	case in.Throughput != nil:
		sel := span(in.Throughput)(telemetry.MetricCalls)
		return reading{judge.Rate, unitOr(in.Unit, "/s"),
			[]string{"sum(rate(" + sel + over + " " + at + "))"},
			func(ctx context.Context) ([]judge.Slice, error) {
				return s.difference(ctx, sel, g, newCounting(g, none))
			}}, nil
	case in.PromQL != "":
		return reading{judge.Value, in.Unit, []string{in.PromQL},
			func(ctx context.Context) ([]judge.Slice, error) { return s.values(ctx, in.PromQL, g) }}, nil
	}
	return reading{}, fault.Invalid("indicator: one of latency, errorRate, throughput, promql is needed")
}

func unitOr(unit, otherwise string) string {
	if unit != "" {
		return unit
	}
	return otherwise
}

// spanSelector selects the spans that serve requests at the target.
func spanSelector(metric string, target entity.Ref, operation string, extra ...string) string {
	conds := make([]string, 0, 6)
	eq := func(label, value string) {
		if value != "" {
			conds = append(conds, label+"="+strconv.Quote(value))
		}
	}
	eq(telemetry.LabelService, target.Service)
	eq(telemetry.LabelEnvironment, target.Environment)
	eq(telemetry.LabelVersion, target.Version)
	eq(telemetry.LabelOperation, operation)
	conds = append(conds, telemetry.LabelKind+`=~"`+telemetry.LabelKindServer+"|"+telemetry.LabelKindConsumer+`"`)
	return metric + "{" + strings.Join(append(conds, extra...), ",") + "}"
}

// differences takes raw samples and makes slices of them.
type differences interface {
	add(promql.Matrix) error
	slices() ([]judge.Slice, error)
}

// pieceSamples of each series are read at once: raw samples of days do not fit
// into memory.
const pieceSamples = 300

// difference reads the raw samples of the window, and of the time before it
// that tells where the counters stood.
func (s *Sampler) difference(ctx context.Context, selector string, g grid, into differences) ([]judge.Slice, error) {
	if s.cfg.Scraped {
		// Each point is the last sample of the five minutes before it.
		before := g.from().Add(-s.cfg.Lookback)
		m, err := s.cfg.Source.QueryRange(ctx, selector, before.Add(-farLookback), before, defaultLookback)
		if err != nil {
			return nil, err
		}
		if err := into.add(m); err != nil {
			return nil, err
		}
	}
	piece := pieceSamples * s.cfg.Resolution
	closest := time.Duration(math.MaxInt64)
	for from := g.from().Add(-s.cfg.Lookback); from.Before(g.to()); from = from.Add(piece) {
		to := from.Add(piece)
		if to.After(g.to()) {
			to = g.to()
		}
		m, err := s.cfg.Source.Select(ctx, selector, from, to)
		if err != nil {
			return nil, err
		}
		if err := into.add(m); err != nil {
			return nil, err
		}
		closest = min(closest, closestSamples(m))
	}
	if s.cfg.Scraped && closest < math.MaxInt64 && closest > s.cfg.Resolution+s.cfg.Resolution/2 {
		return nil, fault.Invalid("the samples are at least %s apart, the resolution is set to %s: set it to the scrape interval", closest, s.cfg.Resolution)
	}
	return into.slices()
}

// closestSamples is the smallest distance between two samples of a series.
func closestSamples(m promql.Matrix) time.Duration {
	least := int64(math.MaxInt64)
	for _, s := range m {
		for i := 1; i < len(s.Floats); i++ {
			least = min(least, s.Floats[i].T-s.Floats[i-1].T)
		}
		for i := 1; i < len(s.Histograms); i++ {
			least = min(least, s.Histograms[i].T-s.Histograms[i-1].T)
		}
	}
	if least == math.MaxInt64 {
		return math.MaxInt64
	}
	return time.Duration(least) * time.Millisecond
}

// failed tells the series that count failures; none tells of no failures.
func failed(ls labels.Labels) bool {
	return ls.Get(telemetry.LabelStatus) == telemetry.LabelStatusError
}

func none(labels.Labels) bool { return false }

// values evaluates an expression at the end of every slice.
func (s *Sampler) values(ctx context.Context, expr string, g grid) ([]judge.Slice, error) {
	var m promql.Matrix
	if full := g.full(); full > 0 {
		var err error
		if m, err = s.cfg.Source.QueryRange(ctx, expr, g.end(0), g.end(full-1), g.slice); err != nil {
			return nil, err
		}
	}
	if g.full() < g.n {
		last, err := s.cfg.Source.QueryRange(ctx, expr, g.to(), g.to(), g.slice)
		if err != nil {
			return nil, err
		}
		m = append(m, last...)
	}
	return valueSlices(m, g)
}

// promMillis writes a duration as PromQL does.
func promMillis(ms int64) string {
	if ms%1000 == 0 {
		return strconv.FormatInt(ms/1000, 10) + "s"
	}
	return strconv.FormatInt(ms, 10) + "ms"
}

func promTime(t time.Time) string {
	return strconv.FormatFloat(float64(t.UnixMilli())/1000, 'f', -1, 64)
}
