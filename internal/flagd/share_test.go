package flagd_test

import (
	"fmt"
	"math"
	"strings"
	"testing"

	"github.com/tidegate-io/tidegate/fault"
	"github.com/tidegate-io/tidegate/flag"
)

// on returns the callers of n that get the variant, and that nobody without a
// targeting key does.
func (f *fixture) got(t *testing.T, key, variant, extra string, n int) map[int]bool {
	t.Helper()
	out := map[int]bool{}
	for i := range n {
		if _, body := f.post(t, "/ofrep/v1/evaluate/flags/"+key, fmt.Sprintf(`{"context": {"targetingKey": "user-%d"%s}}`, i, extra)); strings.Contains(body, `"variant":"`+variant+`"`) {
			out[i] = true
		}
	}
	return out
}

func (f *fixture) share(t *testing.T, key, variant string, percent float64) flag.Flag {
	t.Helper()
	now, _, err := f.flags.Set(t.Context(), flag.Change{Set: "shop", Key: key, Variant: variant, Percent: percent, Who: "ann"})
	if err != nil {
		t.Fatal(err)
	}
	return now
}

// A share is as large as it was asked for (within five standard errors), and
// raising it takes the variant from nobody.
func TestAShareOfTheCallers(t *testing.T) {
	f := start(t, 0)
	const n = 1000
	before := map[int]bool{}
	for _, percent := range []float64{1, 25, 50, 100} {
		now := f.share(t, "failure", "on", percent)
		if percent < 100 && (now.DefaultVariant != "off" || now.Override.Share == nil || now.Override.Share.Percent != percent) {
			t.Errorf("%v %%: the flag says %+v", percent, now.Override)
		}
		got := f.got(t, "failure", "on", "", n)
		p := percent / 100
		if want := p * n; math.Abs(float64(len(got))-want) > 5*math.Sqrt(p*(1-p)*n)+0.5 {
			t.Errorf("%v %%: %d of %d", percent, len(got), n)
		}
		for i := range before {
			if !got[i] {
				t.Fatalf("user %d lost the variant at %v %%", i, percent)
			}
		}
		before = got
		if _, body := f.post(t, "/ofrep/v1/evaluate/flags/failure", ""); percent < 100 && !strings.Contains(body, `"variant":"off"`) {
			t.Errorf("%v %%: a caller without a key got %s", percent, body)
		}
	}
	if now := f.share(t, "failure", "off", 0); now.Override.Share != nil || len(f.got(t, "failure", "on", "", 50)) != 0 {
		t.Errorf("back: %+v", now.Override)
	}
}

func TestARuleOfTheSourceStillDecidesBesideAShare(t *testing.T) {
	f := start(t, 0)
	f.share(t, "banner", "red", 30)
	if got := len(f.got(t, "banner", "red", `, "email": "a@b.c"`, 50)); got != 50 {
		t.Errorf("%d of 50 for whom the rule decides", got)
	}
	if got := len(f.got(t, "banner", "red", "", 300)); got < 50 || got > 130 {
		t.Errorf("%d of 300 others, want about 90", got)
	}
}

func TestASharesEventSaysHowManyAndCanBeUndone(t *testing.T) {
	f := start(t, 0)
	_, e, err := f.flags.Set(t.Context(), flag.Change{Set: "shop", Key: "failure", Variant: "on", Percent: 10, Who: "ann"})
	if err != nil || e.Title != "Flag failure: off → on for 10 % of the callers" || e.Undo == nil || e.Undo.Variant != "off" {
		t.Fatalf("%+v, %v", e, err)
	}
	if _, again, err := f.flags.Set(t.Context(), flag.Change{Set: "shop", Key: "failure", Variant: "on", Percent: 10, Who: "ann"}); err != nil || again.ID != e.ID {
		t.Errorf("the same again: %+v, %v", again, err)
	}
	if _, _, err := f.flags.Set(t.Context(), flag.Change{Set: "shop", Key: "failure", Variant: e.Undo.Variant, UndoOf: e.ID, Who: "ann"}); err != nil {
		t.Fatal(err)
	}
	if now, _ := f.flags.Flag(t.Context(), "shop", "failure"); now.Override.Share != nil {
		t.Errorf("after the undo: %+v", now.Override)
	}
	for _, percent := range []float64{-1, 101, math.NaN()} {
		if _, _, err := f.flags.Set(t.Context(), flag.Change{Set: "shop", Key: "failure", Variant: "on", Percent: percent, Who: "ann"}); !fault.Is(err, fault.KindInvalid) {
			t.Errorf("%v %%: %v", percent, err)
		}
	}
}
