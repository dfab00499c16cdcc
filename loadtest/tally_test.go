package loadtest

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func TestTallyCounts(t *testing.T) {
	var tally Tally
	for i := range 100 {
		a := Answer{Latency: time.Duration(i+1) * time.Millisecond, Code: 200}
		switch {
		case i%10 == 0:
			a.Code = 500
		case i%25 == 1:
			a.Code, a.Error = 0, "connection refused"
		}
		tally.Add(a)
	}
	tally.Drop()
	r := tally.Result(10 * time.Second)
	if r.Requests != 100 || r.Failures != 14 || r.Dropped != 1 || r.Rate != 10 {
		t.Errorf("got %+v", r)
	}
	if r.Codes["500"] != 10 || r.Codes["0"] != 4 || r.Codes["200"] != 86 || r.Errors["connection refused"] != 4 {
		t.Errorf("codes %v, errors %v", r.Codes, r.Errors)
	}
	if r.Max != 100*time.Millisecond || r.Mean != 50500*time.Microsecond {
		t.Errorf("max %s, mean %s", r.Max, r.Mean)
	}
}

func TestTallyWithoutAnswers(t *testing.T) {
	var tally Tally
	if r := tally.Result(time.Second); r.Requests != 0 || r.P99 != 0 || r.Rate != 0 {
		t.Errorf("got %+v", r)
	}
}

func TestTallyKeepsTheMostFrequentErrors(t *testing.T) {
	var tally Tally
	for i := range 500 {
		tally.Add(Answer{Error: fmt.Sprintf("error %d", i%150)})
		tally.Add(Answer{Error: "often"})
	}
	r := tally.Result(time.Second)
	if len(r.Errors) > topErrors || r.Errors["often"] != 500 {
		t.Errorf("errors %v", r.Errors)
	}
}

func TestQuantilesAreWithinTheBucketsWidth(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		values := rapid.SliceOfN(rapid.Int64Range(0, int64(30*time.Second)), 1, 300).Draw(t, "latencies")
		var tally Tally
		for _, v := range values {
			tally.Add(Answer{Latency: time.Duration(v)})
		}
		slices.Sort(values)
		r := tally.Result(time.Second)
		for q, got := range map[float64]time.Duration{0.5: r.P50, 0.9: r.P90, 0.99: r.P99} {
			exact := time.Duration(values[int(float64(len(values))*q+0.999999)-1])
			if got < exact || float64(got) > float64(exact)*1.032+float64(time.Microsecond) {
				t.Fatalf("q%g of %d values: got %s, exact %s", q, len(values), got, exact)
			}
		}
	})
}

func BenchmarkTallyAdd(b *testing.B) {
	var tally Tally
	for i := 0; b.Loop(); i++ {
		tally.Add(Answer{Latency: time.Duration(i%100_000) * time.Microsecond, Code: 200})
	}
}
