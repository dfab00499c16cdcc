package guardian_test

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tidegate-io/tidegate/change"
	"github.com/tidegate-io/tidegate/entity"
	"github.com/tidegate-io/tidegate/fault"
	"github.com/tidegate-io/tidegate/guardian"
	"github.com/tidegate-io/tidegate/judge"
)

// canary watches the errors of dev against those of production.
var canary = guardian.Guardian{
	Name:   "canary",
	Target: entity.Ref{Service: "checkout", Environment: "dev"},
	Objectives: []guardian.Objective{{
		Objective: judge.Objective{Name: "errors", Watch: &judge.Watch{}},
		Indicator: guardian.Indicator{ErrorRate: &guardian.SpanIndicator{}},
		CompareTo: &entity.Ref{Environment: "production"},
	}},
}

// shops is a Sampler over two environments with 20 requests a second each, of
// which 0.1 % fail, in dev another share since a moment. What was drawn for a
// time stays, however often it is read.
type shops struct {
	mu      sync.Mutex
	seed    uint64
	failing float64
	since   time.Time
	damage  func(guardian.Reading) (queryErr string, err error)
	reads   int
}

func (s *shops) Sample(_ context.Context, r guardian.Reading) (judge.Sample, []string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.reads++
	out := judge.Sample{Kind: judge.Ratio}
	if s.damage != nil {
		queryErr, err := s.damage(r)
		if out.Err = queryErr; err != nil || queryErr != "" {
			return out, nil, err
		}
	}
	for at := r.Window.From; at.Before(r.Window.To); at = at.Add(r.Slice) {
		sl := judge.Slice{Seconds: r.Slice.Seconds()}
		for t := at; t.Before(at.Add(r.Slice)); t = t.Add(2 * time.Second) {
			rate, stream := 0.001, uint64(t.UnixNano())
			if r.Target.Environment == "production" {
				stream++
			} else if !s.since.IsZero() && !t.Before(s.since) {
				rate = s.failing
			}
			draw := rand.New(rand.NewPCG(s.seed, stream))
			for range 40 {
				sl.Total++
				if draw.Float64() < rate {
					sl.Bad++
				}
			}
		}
		out.Slices = append(out.Slices, sl)
	}
	return out, []string{"errors"}, nil
}

// watching is a world around the canary guardian; told are the states that
// were told of.
func watching(t *testing.T, shop *shops, g guardian.Guardian) (w *world, told *[]guardian.Validation) {
	w, told = newWorld(t), new([]guardian.Validation)
	w.defs = definitions{g}
	var mu sync.Mutex
	w.config = func(c *guardian.Config) {
		c.Sampler = shop
		c.Notify = func(v guardian.Validation) {
			mu.Lock()
			defer mu.Unlock()
			d, _ := json.Marshal(v)
			var kept guardian.Validation
			_ = json.Unmarshal(d, &kept)
			*told = append(*told, kept)
		}
	}
	return w, told
}

func TestWatchFailsLongBeforeTheWindowEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		flip := time.Now().Add(time.Minute)
		shop := &shops{failing: 0.5, since: flip}
		w, told := watching(t, shop, canary)
		w.boot()
		defer w.shutdown()
		v := w.validate(guardian.Request{Guardian: "canary", Next: 10 * time.Minute})

		if v.Status != judge.StatusFail || v.Verdict.Results[0].Status != judge.StatusFail {
			t.Fatalf("%s: %s", v.Status, v.Headline)
		}
		// Ten-second slices and five seconds to settle: of nine minutes, three
		// slices at most.
		if late := v.Finished.Sub(flip); late > 36*time.Second {
			t.Errorf("failed %s after the flip", late)
		}
		if want := v.Window.From.Add(10 * time.Minute); !v.Watch.Until.Equal(want) || !v.Window.To.Before(want) || v.Window.To.After(v.Finished) {
			t.Errorf("window %v of the verdict, asked until %v", v.Window, v.Watch.Until)
		}
		c := v.Watch.Courses[0]
		if n := int(v.Window.Length() / (10 * time.Second)); len(c.Looks) != n || c.FailAt != 100 || c.Status != judge.StatusFail {
			t.Errorf("%d looks, want %d; %s at %v", len(c.Looks), n, c.Status, c.FailAt)
		}
		for i, l := range c.Looks {
			if last := i == len(c.Looks)-1; (float64(l.EValue) >= c.FailAt) != last {
				t.Errorf("look %d has evidence %v", i, l.EValue)
			}
		}
		if c.Looks[2].N != 600 || !c.Looks[2].Time.Equal(v.Window.From.Add(30*time.Second)) {
			t.Errorf("third look %+v", c.Looks[2])
		}
		for i, l := range (*told)[3 : len(*told)-1] { // after that it waits, begins, and runs
			if l.State != guardian.StateRunning || l.Headline == "" || l.Verdict != nil || len(l.Watch.Courses[0].Looks) != i+2 {
				t.Errorf("told %d: %s, %q, %+v", i, l.State, l.Headline, l.Watch)
			}
		}
		if got := w.events.types(); got[change.TypeValidationStarted] != 1 || got[change.TypeValidationObjective] != 1 || got[change.TypeValidationFinished] != 1 {
			t.Errorf("events %v", got)
		}
	})
}

func TestHealthyWatchRunsToItsEnd(t *testing.T) {
	passed, needed := 0, 0
	for seed := range uint64(40) {
		synctest.Test(t, func(t *testing.T) {
			w, _ := watching(t, &shops{seed: seed}, canary)
			w.boot()
			defer w.shutdown()
			begin := time.Now()
			v := w.validate(guardian.Request{Guardian: "canary", Next: 5 * time.Minute})
			if v.Status != judge.StatusPass && v.Status != judge.StatusInconclusive {
				t.Errorf("seed %d: %s: %s", seed, v.Status, v.Headline)
			}
			for _, l := range v.Watch.Courses[0].Looks {
				if l.Needed > 0 {
					needed++
					break
				}
			}
			if v.Status == judge.StatusPass {
				passed++
			}
			if took := v.Finished.Sub(begin); took < 5*time.Minute || v.Window.Length() != 5*time.Minute || len(v.Watch.Courses[0].Looks) != 30 {
				t.Errorf("seed %d: %d looks in %s over %s", seed, len(v.Watch.Courses[0].Looks), took, v.Window.Length())
			}
		})
	}
	if passed < 35 || needed < 35 {
		t.Errorf("of 40 healthy watches %d passed and %d said what they need", passed, needed)
	}
}

// A restart at any moment neither loses looks nor changes the verdict.
func TestWatchSurvivesRestart(t *testing.T) {
	for _, shop := range []*shops{{seed: 1}, {seed: 1, failing: 0.5}} {
		var want string
		for _, after := range []time.Duration{0, time.Second, 67 * time.Second, 200 * time.Second, 300 * time.Second} {
			t.Run(fmt.Sprintf("%v failing, after %s", shop.failing, after), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					shop := &shops{seed: shop.seed, failing: shop.failing}
					if shop.failing > 0 {
						shop.since = time.Now().Add(2 * time.Minute)
					}
					w, _ := watching(t, shop, canary)
					w.boot()
					v := w.start(guardian.Request{ID: "w", Guardian: "canary", Next: 5 * time.Minute})
					time.Sleep(after)
					w.shutdown()
					w.boot()
					v, err := w.svc.Wait(t.Context(), v.ID)
					w.shutdown()
					if err != nil {
						t.Fatal(err)
					}
					got, _ := json.Marshal([]any{v.Verdict, v.Watch, v.Window.Length()})
					if want == "" {
						want = string(got)
					}
					if string(got) != want {
						t.Errorf("\n got %s\nwant %s", got, want)
					}
					if n := w.events.types()[change.TypeValidationStarted]; n != 1 {
						t.Errorf("started %d times", n)
					}
				})
			})
		}
	}
}

// What cannot be read while a watch runs is said, and decides nothing; at the
// end it is as without a watch.
func TestWatchThatCannotRead(t *testing.T) {
	for name, tc := range map[string]struct {
		damage func(begun time.Time) (string, error)
		want   judge.Status
	}{
		"for a while": {func(begun time.Time) (string, error) {
			if time.Since(begun) < time.Minute {
				return "", fault.Unavailable("starting")
			}
			return "", nil
		}, judge.StatusPass},
		"query fails": {func(time.Time) (string, error) { return "parse error", nil }, judge.StatusError},
		"for good":    {func(time.Time) (string, error) { return "", fault.Unavailable("gone") }, judge.StatusError},
		"panics":      {func(time.Time) (string, error) { panic("nil map") }, judge.StatusError},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				begun := time.Now()
				shop := &shops{seed: 1, damage: func(guardian.Reading) (string, error) { return tc.damage(begun) }}
				w, told := watching(t, shop, canary)
				w.boot()
				defer w.shutdown()
				v := w.validate(guardian.Request{Guardian: "canary", Next: 5 * time.Minute})
				if v.Status != tc.want || v.Finished.Sub(begun) < 5*time.Minute {
					t.Errorf("%s after %s: %s", v.Status, v.Finished.Sub(begun), v.Headline)
				}
				if h := (*told)[2].Headline; h == "" {
					t.Error("nothing was said of the look")
				}
			})
		})
	}
}

// The looks may not spend more than their share of alpha, only key objectives
// end a scored validation, and informational ones end none.
func TestWhichWatchesEndAValidation(t *testing.T) {
	latency := guardian.Objective{
		Objective: judge.Objective{Name: "traffic", Comparison: &judge.Comparison{}, Role: judge.RoleKey},
		Indicator: guardian.Indicator{Throughput: &guardian.SpanIndicator{}},
		CompareTo: &entity.Ref{Environment: "production"},
	}
	for name, tc := range map[string]struct {
		set    func(*guardian.Guardian)
		early  bool
		failAt float64
	}{
		"one of two":  {func(g *guardian.Guardian) { g.Objectives = append(g.Objectives, latency) }, true, 200},
		"own alpha":   {func(g *guardian.Guardian) { g.Options.Alpha = 0.05 }, true, 20},
		"information": {func(g *guardian.Guardian) { g.Objectives[0].Role = judge.RoleInfo }, false, 100},
		"scored":      {func(g *guardian.Guardian) { g.Options.Score = &judge.Score{Pass: 90, Warn: 75} }, false, 100},
		"scored, key": {func(g *guardian.Guardian) {
			g.Options.Score, g.Objectives[0].Role = &judge.Score{Pass: 90, Warn: 75}, judge.RoleKey
		}, true, 100},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				g := canary
				g.Objectives = append([]guardian.Objective{}, canary.Objectives...)
				tc.set(&g)
				w, _ := watching(t, &shops{failing: 0.5, since: time.Now()}, g)
				w.boot()
				defer w.shutdown()
				v := w.validate(guardian.Request{Guardian: "canary", Next: 5 * time.Minute})
				if early := v.Window.Length() < time.Minute; early != tc.early {
					t.Errorf("%s over %s: %s", v.Status, v.Window.Length(), v.Headline)
				}
				if got := v.Watch.Courses[0].FailAt; got < tc.failAt*0.999 || got > tc.failAt*1.001 {
					t.Errorf("fails at %v, want %v", got, tc.failAt)
				}
			})
		})
	}
}

// The looks kept are bounded however long the window is.
func TestLooksAreBounded(t *testing.T) {
	g := canary
	for i := range 40 {
		o := canary.Objectives[0]
		o.Name = fmt.Sprint("errors ", i)
		g.Objectives = append(g.Objectives[:i:i], o)
	}
	synctest.Test(t, func(t *testing.T) {
		w, _ := watching(t, &shops{}, g)
		w.boot()
		defer w.shutdown()
		v := w.validate(guardian.Request{Guardian: "canary", Next: 12 * time.Minute})
		for _, c := range v.Watch.Courses {
			if n := len(c.Looks); n < 45 || n > 51 || !c.Looks[n-1].Time.Equal(v.Window.To) {
				t.Fatalf("%s: %d looks of 72, the last at %v", c.Objective, n, c.Looks[n-1].Time)
			}
		}
	})
}
