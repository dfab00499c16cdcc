package tsdb

import (
	"context"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/tsdb/chunkenc"

	"github.com/tidegate-io/tidegate/entity"
	"github.com/tidegate-io/tidegate/fault"
	"github.com/tidegate-io/tidegate/problem/detect"
	"github.com/tidegate-io/tidegate/telemetry"
)

// Observe returns what every operation did in from < t ≤ to: requests (spans
// that serve or consume), failures and latencies, exactly, over all versions.
// Operations without a request are not in it.
//
// It reads the span metrics as this server counts them, between slots: from and
// to must be ends of slots. A series that was not written at from says at its
// first sample in the window where it stood, so nothing before from is read.
//
// A slot must be settled before it is read, or its late spans are missing and
// it looks like a drop of traffic: otlp.Receiver.Settled(ctx, to) returns once
// it is, about grace and a quarter of a second after its end (4 to 4.5 s with
// the defaults, so that a request shows 4 to 6.5 s after it ended).
func (d *DB) Observe(ctx context.Context, from, to time.Time) ([]detect.Observation, error) {
	if !to.After(from) {
		return nil, fault.InvalidField("to", "must be after from")
	}
	q, err := d.db.Querier(from.UnixMilli(), to.UnixMilli())
	if err != nil {
		return nil, fault.Internal("reading span metrics: %w", err)
	}
	defer q.Close()
	ob := observing{byOperation: map[operationKey]*observed{}}
	set := q.Select(ctx, false, &storage.SelectHints{Start: from.UnixMilli(), End: to.UnixMilli()}, servingSpans...)
	for set.Next() {
		if err := ob.add(set.At()); err != nil {
			return nil, fault.Internal("reading span metrics: %w", err)
		}
	}
	if err := set.Err(); err != nil {
		return nil, queryFault(err)
	}
	return ob.observations(), nil
}

// servingSpans select the durations, which tell the counts as well.
var servingSpans = []*labels.Matcher{
	labels.MustNewMatcher(labels.MatchEqual, model.MetricNameLabel, telemetry.MetricDuration),
	labels.MustNewMatcher(labels.MatchRegexp, telemetry.LabelKind, telemetry.LabelKindServer+"|"+telemetry.LabelKindConsumer),
}

type operationKey struct{ service, environment, operation string }

type observed struct {
	requests, failed float64
	latency          *histogram.FloatHistogram
}

// observing adds up the series of the operations.
type observing struct {
	byOperation map[operationKey]*observed
	order       []operationKey
	it          chunkenc.Iterator
}

// add takes what one series shows between its first and its last sample.
func (o *observing) add(s storage.Series) error {
	o.it = s.Iterator(o.it)
	var prev, sum *histogram.FloatHistogram
	for typ := o.it.Next(); typ != chunkenc.ValNone; typ = o.it.Next() {
		if typ != chunkenc.ValHistogram && typ != chunkenc.ValFloatHistogram {
			continue
		}
		_, h := o.it.AtFloatHistogram(nil)
		if h.UsesCustomBuckets() {
			continue
		}
		if prev != nil && h.Count != prev.Count {
			inc, err := histogramIncrease(prev, h)
			if err != nil {
				return err
			}
			if sum, err = plus(sum, inc); err != nil {
				return err
			}
		}
		prev = h
	}
	if err := o.it.Err(); err != nil || sum == nil || sum.Count <= 0 {
		return err
	}
	return o.merge(s.Labels(), sum)
}

func (o *observing) merge(ls labels.Labels, inc *histogram.FloatHistogram) (err error) {
	key := operationKey{ls.Get(telemetry.LabelService), ls.Get(telemetry.LabelEnvironment), ls.Get(telemetry.LabelOperation)}
	op, ok := o.byOperation[key]
	if !ok {
		op = &observed{}
		o.byOperation[key] = op
		o.order = append(o.order, key)
	}
	op.requests += inc.Count
	if failed(ls) {
		op.failed += inc.Count
	}
	op.latency, err = plus(op.latency, inc)
	return err
}

// plus adds b to a, which may be nil.
func plus(a, b *histogram.FloatHistogram) (*histogram.FloatHistogram, error) {
	if a == nil {
		return b, nil
	}
	sum, _, _, err := a.Add(b)
	return sum, err
}

func (o *observing) observations() []detect.Observation {
	out := make([]detect.Observation, len(o.order))
	for i, key := range o.order {
		op := o.byOperation[key]
		out[i] = detect.Observation{
			Ref:       entity.Ref{Service: key.service, Environment: key.environment},
			Operation: key.operation,
			Requests:  op.requests, Failed: op.failed,
			Latency: judgeHistogram(op.latency),
		}
	}
	return out
}
