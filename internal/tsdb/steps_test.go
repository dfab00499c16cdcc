package tsdb

import (
	"math"
	"slices"
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/promql"
)

func TestStepsAreDifferencedExactly(t *testing.T) {
	in := steps{from: 10_000, ms: 5_000, n: 3} // (10,15], (15,20], (20,25]
	at := func(s, v float64) promql.FPoint { return promql.FPoint{T: int64(s * 1000), F: v} }
	counter := []promql.FPoint{at(8, 100), at(10, 103), at(11, 104), at(15, 110), at(16, 3), at(20, 5), at(25, 5), at(26, 90)}
	if got, want := in.increases(counter), []float64{7, 5, 0}; !slices.Equal(got, want) {
		t.Errorf("a counter that was reset at 16 s grew by %v, want %v", got, want)
	}
	late := in.increases([]promql.FPoint{at(17, 4), at(19, 6)})
	if !math.IsNaN(late[0]) || late[1] != 6 || !math.IsNaN(late[2]) {
		t.Errorf("a counter that was there from 17 s to 19 s grew by %v", late)
	}
	gauge := []promql.FPoint{at(10, 1), at(12, 2), at(14, 3), at(23, 4)}
	if got := in.last(gauge); got[0] != 3 || !math.IsNaN(got[1]) || got[2] != 4 {
		t.Errorf("a gauge was %v", got)
	}
	h := func(s, count, sum float64) promql.HPoint {
		return promql.HPoint{T: int64(s * 1000), H: &histogram.FloatHistogram{Count: count, Sum: sum}}
	}
	count, sum := in.observations([]promql.HPoint{h(9, 10, 1), h(12, 14, 3), h(17, 2, 0.5), h(22, 5, 2)})
	if !slices.Equal(count, []float64{4, 2, 3}) || !slices.Equal(sum, []float64{2, 0.5, 1.5}) {
		t.Errorf("a histogram had %v observations of %v in all", count, sum)
	}
}

func TestOnlyCountersAreDifferenced(t *testing.T) {
	for name, want := range map[string]bool{"http_requests_total": true, "x_sum": true, "x_count": true, "_total": false, "queue_depth": false, "": false} {
		if isCounter(name) != want {
			t.Errorf("%q: %v", name, !want)
		}
	}
	if s, err := (&DB{}).Steps(t.Context(), "up", time.Unix(10, 0), time.Unix(10, 0), time.Second); s != nil || err != nil {
		t.Errorf("no time: %v, %v", s, err)
	}
}
