package traffic

import (
	"fmt"
	"math"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/tidegate-io/tidegate/fault"
)

var (
	stable    = Side{Name: "stable", Version: "1", URL: "http://127.0.0.1:1"}
	candidate = Side{Name: "canary", Version: "2", URL: "http://127.0.0.1:2"}
)

func TestCallersOnlyMoveToTheCandidateWhileItsWeightGrows(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		key := rapid.String().Draw(t, "key")
		low := rapid.Float64Range(0, 100).Draw(t, "low")
		high := rapid.Float64Range(low, 100).Draw(t, "high")
		point := Point("shop", key)
		if point < 0 || point >= 100 || point != Point("shop", key) {
			t.Fatalf("point %v", point)
		}
		var s Split
		before, after := s.With(stable, candidate, low).At(point), s.With(stable, candidate, high).At(point)
		if before == candidate && after != candidate {
			t.Fatalf("moved back from the candidate between %v %% and %v %%", low, high)
		}
		if low == 0 && before == candidate || high == 100 && after != candidate {
			t.Fatalf("0 %% and 100 %% are not all: %v at %v, %v at %v", before.Name, low, after.Name, high)
		}
	})
}

// The share that keys get is the weight, within five standard errors.
func TestShareIsTheWeight(t *testing.T) {
	const n = 100_000
	for _, weight := range []float64{0, 1, 5, 50, 99, 100} {
		s, got := Split{}.With(stable, candidate, weight), 0
		for i := range n {
			if s.At(Point("shop", fmt.Sprint(i))) == candidate {
				got++
			}
		}
		p := weight / 100
		if want, tolerance := p*n, 5*math.Sqrt(p*(1-p)*n); math.Abs(float64(got)-want) > tolerance {
			t.Errorf("%v %%: %d of %d, want %v ± %.0f", weight, got, n, want, tolerance)
		}
	}
}

func TestRoutesPlaceCallersIndependently(t *testing.T) {
	both, n := 0, 20_000
	for i := range n {
		if Point("a", fmt.Sprint(i)) < 50 && Point("b", fmt.Sprint(i)) < 50 {
			both++
		}
	}
	if share := float64(both) / float64(n); math.Abs(share-0.25) > 0.02 {
		t.Errorf("half of the callers of two routes share %.3f, want about 0.25", share)
	}
}

func TestWrongDefinitions(t *testing.T) {
	ok := Route{Name: "shop", Listen: "127.0.0.1:0", Service: "shop-edge", Sides: []Side{stable, candidate}}
	if err := ok.Validate(); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		change func(*Route)
		field  string
	}{
		{func(r *Route) { r.Name = "Shop!" }, "metadata.name"},
		{func(r *Route) { r.Listen = "" }, "spec.listen"},
		{func(r *Route) { r.Service = "" }, "spec.service"},
		{func(r *Route) { r.StickyCookie, r.StickyHeader = "a", "b" }, "spec.sticky"},
		{func(r *Route) { r.StickyHeader = "a b" }, "spec.sticky.header"},
		{func(r *Route) { r.Drain = -1 }, "spec.drain"},
		{func(r *Route) { r.Sides = []Side{stable, stable} }, "spec.sides"},
		{func(r *Route) { r.Sides = []Side{{Name: "x", URL: "ftp://h"}} }, "sides.x.url"},
		{func(r *Route) { r.Sides = []Side{{Name: "x", URL: "http://u:p@h"}} }, "sides.x.url"},
		{func(r *Route) { r.Sides = make([]Side, MaxSides+1) }, "spec.sides"},
	} {
		r := ok
		c.change(&r)
		if err := r.Validate(); !fault.Is(err, fault.KindInvalid) || !strings.Contains(err.Error(), c.field) {
			t.Errorf("want a fault at %s, got %v", c.field, err)
		}
	}
	for _, s := range []Split{
		{}, {Sides: []Part{{stable, 50}}}, {Sides: []Part{{stable, 50}, {stable, 50}}},
		{Sides: []Part{{stable, -10}, {candidate, 110}}}, {Sides: []Part{{stable, math.NaN()}}},
	} {
		if err := s.Validate(); !fault.Is(err, fault.KindInvalid) {
			t.Errorf("%+v: %v", s, err)
		}
	}
}
