package tsdb

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"testing"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/storage"

	"github.com/tidegate-io/tidegate/problem/detect"
	"github.com/tidegate-io/tidegate/telemetry"
)

// with changes labels.
func with(series map[string]string, pairs ...string) map[string]string {
	out := maps.Clone(series)
	for i := 0; i < len(pairs); i += 2 {
		out[pairs[i]] = pairs[i+1]
	}
	return out
}

// TestObserve reads slots as the receiver writes them: where the slot before
// did not write a series, its first sample says where it stood.
func TestObserve(t *testing.T) {
	db := open(t)
	pay := durations("POST /pay")
	failing := with(pay, telemetry.LabelStatus, telemetry.LabelStatusError, telemetry.LabelVersion, "2.0")
	// Two slots in a row; an idle one; then new spans.
	put(t, db, pay, 0.001, native(3), 2, native(3, 0.1, 0.1), 4, native(3, 0.1, 0.1, 0.2), 8.001, native(3, 0.1, 0.1, 0.2), 10, native(3, 0.1, 0.1, 0.2, 0.4))
	put(t, db, failing, 2.001, native(3), 4, native(3, 1, 1))
	// A heartbeat says nothing new; a client's span is not a request.
	put(t, db, durations("GET /idle"), 2, native(3, 0.1), 4, native(3, 0.1))
	put(t, db, with(pay, telemetry.LabelKind, telemetry.LabelKindClient), 2.001, native(3), 4, native(3, 1))
	// Another environment is another operation; consumers serve, too.
	put(t, db, with(pay, telemetry.LabelKind, telemetry.LabelKindConsumer, telemetry.LabelEnvironment, "dev"), 2.001, native(3), 4, native(3, 1))
	// Reset to zero, as after a long idle time.
	put(t, db, durations("GET /reset"), 2, native(3, 1, 1, 1), 4, native(3, 5))

	for _, c := range []struct {
		from, to float64
		want     string
	}{
		{0, 2, "checkout  POST /pay 2/0 2;"},
		{2, 4, "checkout  GET /reset 1/0 1;checkout  POST /pay 3/2 3;checkout dev POST /pay 1/0 1;"},
		{4, 6, ""},
		{8, 10, "checkout  POST /pay 1/0 1;"},
		{0, 4, "checkout  GET /reset 1/0 1;checkout  POST /pay 5/2 5;checkout dev POST /pay 1/0 1;"},
	} {
		got, err := db.Observe(context.Background(), at(c.from), at(c.to))
		if err != nil {
			t.Fatal(err)
		}
		slices.SortFunc(got, func(a, b detect.Observation) int {
			return cmp.Or(cmp.Compare(a.Environment, b.Environment), cmp.Compare(a.Operation, b.Operation))
		})
		text := ""
		for _, o := range got {
			n := o.Latency.ZeroCount
			for _, b := range o.Latency.Buckets {
				n += b.Count
			}
			text += fmt.Sprintf("%s %s %s %v/%v %v;", o.Service, o.Environment, o.Operation, o.Requests, o.Failed, n)
		}
		if text != c.want {
			t.Errorf("%v to %v:\n got %s\nwant %s", c.from, c.to, text, c.want)
		}
	}
	if _, err := db.Observe(context.Background(), at(2), at(2)); err == nil {
		t.Error("an empty window was accepted")
	}
}

// BenchmarkObserve reads one slot of 5,000 operations, each with failures in a
// series of their own, after some minutes of slots.
func BenchmarkObserve(b *testing.B) {
	const slots = 120
	db := open(b)
	var values []float64
	app := func(k int) {
		values = append(values, 0.01*float64(k%17+1))
		h := native(3, values...)
		a := db.Appender(context.Background())
		for i := range 5000 {
			for _, status := range []string{telemetry.LabelStatusUnset, telemetry.LabelStatusError} {
				ls := labels.FromMap(with(durations(fmt.Sprint("GET /", i)), telemetry.LabelStatus, status, telemetry.LabelService, fmt.Sprint("s", i%100)))
				if _, err := a.Append(0, ls, 0, at(float64(2*k)).UnixMilli(), 0, h.Copy(), nil, storage.AOptions{}); err != nil {
					b.Fatal(err)
				}
			}
		}
		if err := a.Commit(); err != nil {
			b.Fatal(err)
		}
	}
	for k := range slots {
		app(k)
	}
	for b.Loop() {
		got, err := db.Observe(context.Background(), at(2*(slots-2)), at(2*(slots-1)))
		if err != nil || len(got) != 5000 {
			b.Fatalf("%d operations, %v", len(got), err)
		}
	}
}
