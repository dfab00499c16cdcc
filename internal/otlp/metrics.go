package otlp

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/config"
	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/storage/remote/otlptranslator/prometheusremotewrite"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/collector/pdata/pmetric/pmetricotlp"

	"github.com/tidegate-io/tidegate/fault"
)

// maxAhead is how far in the future a data point may be: one sample with a
// wild clock would make all others too old.
const maxAhead = 10 * time.Minute

// translation is Prometheus' own, with its default names; the attributes that
// say which service it is become labels, as they are on span metrics.
var translation = prometheusremotewrite.Settings{
	AddMetricSuffixes: true,
	PromoteResourceAttributes: prometheusremotewrite.NewPromoteResourceAttributes(config.OTLPConfig{
		PromoteResourceAttributes: []string{"service.name", "service.version", "deployment.environment.name"},
	}),
	LookbackDelta: 5 * time.Minute,
}

func (r *Receiver) receiveMetrics(ctx context.Context, req []byte) (outcome, error) {
	in := pmetricotlp.NewExportRequest()
	if err := in.UnmarshalProto(req); err != nil {
		return outcome{}, fault.Invalid("malformed OTLP metrics request: %w", err)
	}
	md := in.Metrics()
	out := outcome{}
	dropUnsupported(md, &out)
	out.accepted = md.DataPointCount()
	if out.accepted == 0 {
		return out, nil
	}
	app := &tolerant{AppenderV2: r.cfg.Metrics.Appender(ctx), out: &out, latest: r.cfg.Clock().Add(maxAhead).UnixMilli()}
	_, err := prometheusremotewrite.NewPrometheusConverter(app).FromMetrics(ctx, md, translation)
	if app.failed != nil || ctx.Err() != nil {
		return outcome{}, errors.Join(fmt.Errorf("storing metrics: %w", errors.Join(app.failed, ctx.Err())), app.Rollback())
	}
	for _, e := range flatten(err) { // of the translation: names, shapes
		out.reject(e.Error())
	}
	out.accepted = max(0, out.accepted-app.points-len(flatten(err)))
	if err := app.Commit(); err != nil {
		return outcome{}, fmt.Errorf("storing metrics: %w", err)
	}
	return out, nil
}

// dropUnsupported takes out what a Prometheus store cannot hold.
func dropUnsupported(md pmetric.Metrics, out *outcome) {
	for _, rm := range md.ResourceMetrics().All() {
		environment(rm.Resource().Attributes())
		for _, sm := range rm.ScopeMetrics().All() {
			sm.Metrics().RemoveIf(func(m pmetric.Metric) bool {
				why := unsupported(m)
				if why != "" {
					out.reject(fmt.Sprintf("metric %q: %s", m.Name(), why))
					out.rejected += dataPoints(m) - 1
				}
				return why != ""
			})
		}
	}
}

// environment gives an older spelling its present name.
func environment(attrs pcommon.Map) {
	if _, ok := attrs.Get("deployment.environment.name"); ok {
		return
	}
	if v, ok := attrs.Get("deployment.environment"); ok {
		attrs.PutStr("deployment.environment.name", v.AsString())
	}
}

func unsupported(m pmetric.Metric) string {
	temporality := pmetric.AggregationTemporalityCumulative
	switch m.Type() {
	case pmetric.MetricTypeEmpty:
		return "has no data"
	case pmetric.MetricTypeSum:
		temporality = m.Sum().AggregationTemporality()
	case pmetric.MetricTypeHistogram:
		temporality = m.Histogram().AggregationTemporality()
	case pmetric.MetricTypeExponentialHistogram:
		temporality = m.ExponentialHistogram().AggregationTemporality()
	}
	switch {
	case m.Name() == "":
		return "has no name"
	case temporality != pmetric.AggregationTemporalityCumulative:
		return "temporality " + temporality.String() + " is not supported: set the exporter to cumulative"
	}
	return ""
}

func dataPoints(m pmetric.Metric) int {
	switch m.Type() {
	case pmetric.MetricTypeGauge:
		return m.Gauge().DataPoints().Len()
	case pmetric.MetricTypeSum:
		return m.Sum().DataPoints().Len()
	case pmetric.MetricTypeHistogram:
		return m.Histogram().DataPoints().Len()
	case pmetric.MetricTypeExponentialHistogram:
		return m.ExponentialHistogram().DataPoints().Len()
	case pmetric.MetricTypeSummary:
		return m.Summary().DataPoints().Len()
	}
	return 1
}

// tolerant is an appender that leaves out single bad samples and notes them,
// where Prometheus' translation would give up on the whole metric.
type tolerant struct {
	storage.AppenderV2
	out    *outcome
	points int   // left out
	latest int64 // ms
	failed error // not the sender's fault
}

var badSamples = []error{
	storage.ErrOutOfOrderSample, storage.ErrOutOfBounds, storage.ErrTooOldSample,
	storage.ErrDuplicateSampleForTimestamp,
	histogram.ErrHistogramCountMismatch, histogram.ErrHistogramCountNotBigEnough, histogram.ErrHistogramNegativeBucketCount,
	histogram.ErrHistogramSpanNegativeOffset, histogram.ErrHistogramSpansBucketsMismatch,
}

func (t *tolerant) Append(ref storage.SeriesRef, ls labels.Labels, st, ts int64, v float64, h *histogram.Histogram, fh *histogram.FloatHistogram, opts storage.AOptions) (storage.SeriesRef, error) {
	if ts > t.latest {
		return ref, t.leaveOut(ls, errors.New("its time is too far in the future"))
	}
	got, err := t.AppenderV2.Append(ref, ls, st, ts, v, h, fh, opts)
	var partial *storage.AppendPartialError
	switch {
	case err == nil, errors.As(err, &partial): // without some exemplars: we keep none
		return got, nil
	case fault.Is(err, fault.KindUnavailable), // too many series
		slices.ContainsFunc(badSamples, func(bad error) bool { return errors.Is(err, bad) }):
		return ref, t.leaveOut(ls, err)
	}
	t.failed = err
	return ref, err
}

// leaveOut notes a sample as rejected. Samples that the translation itself
// adds (target_info) are not the sender's.
func (t *tolerant) leaveOut(ls labels.Labels, why error) error {
	if ls.Get(model.MetricNameLabel) != "target_info" {
		t.points++
		t.out.reject(fmt.Sprintf("%s: %s", ls, why))
	}
	return nil
}

// flatten returns the errors that errors.Join has joined, however nested.
func flatten(err error) []error {
	if err == nil {
		return nil
	}
	joined, ok := err.(interface{ Unwrap() []error })
	if !ok {
		return []error{err}
	}
	var out []error
	for _, e := range joined.Unwrap() {
		out = append(out, flatten(e)...)
	}
	return out
}
