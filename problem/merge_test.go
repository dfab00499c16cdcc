package problem_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tidegate-io/tidegate/change"
	"github.com/tidegate-io/tidegate/entity"
	"github.com/tidegate-io/tidegate/evidence"
	"github.com/tidegate-io/tidegate/fault"
	"github.com/tidegate-io/tidegate/problem"
)

func numbers(t *testing.T, want, got []int) {
	t.Helper()
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}

func TestEventsOfOneCauseAreOneProblem(t *testing.T) {
	in(t, func(t *testing.T) {
		w := newWorld(t, nil)
		numbers(t, []int{1, 1}, w.observe(event("a", "payment"), event("b", "frontend"))) // two hops
		time.Sleep(time.Minute)
		numbers(t, []int{1}, w.observe(event("c", "checkout")))
		numbers(t, []int{1}, w.observe(event("a", "payment"))) // raised again
		numbers(t, []int{2}, w.observe(event("d", "elsewhere")))
		dev := event("e", "payment")
		dev.Environment = "dev"
		numbers(t, []int{3}, w.observe(dev)) // another environment is another system
		anywhere := event("f", "")
		numbers(t, []int{4}, w.observe(anywhere))
		numbers(t, []int{1, 2, 3, 4}, w.open())
		p := w.problem("P-1")
		if len(p.Events) != 3 || p.Title != "Errors in payment" || len(p.Impact.Services) != 3 || p.Comments[0].Kind != "opened" {
			t.Errorf("%+v", p)
		}
	})
}

// Siblings are of one problem only through what connects them.
func TestAnEventConnectsTwoProblems(t *testing.T) {
	for name, events := range map[string][]string{
		"a common callee": {"cart", "checkout", "redis"}, "a common caller": {"ads", "cart", "frontend"},
	} {
		t.Run(name, func(t *testing.T) {
			in(t, func(t *testing.T) {
				w := newWorld(t, nil)
				stop := w.run()
				defer stop()
				numbers(t, []int{1}, w.observe(event("a", events[0])))
				time.Sleep(time.Second)
				numbers(t, []int{2}, w.observe(event("b", events[1])))
				time.Sleep(time.Second)
				numbers(t, []int{1}, w.observe(event("c", events[2])))
				numbers(t, []int{1}, w.open())
				merged := w.problem("P-2")
				if merged.State != problem.StateClosed || merged.MergedInto != w.problem("P-1").ID {
					t.Errorf("P-2 is %s, merged into %q", merged.State, merged.MergedInto)
				}
				numbers(t, []int{1}, w.observe(ended(event("b", events[1])))) // its event is P-1's now
				synctest.Wait()
				want := []string{problem.TypeOpened, problem.TypeOpened, problem.TypeMerged}
				if got := w.events.types(); !slices.Equal(got, want) {
					t.Errorf("told: %v", got)
				}
			})
		})
	}
}

func TestOneBatchIsOneProblem(t *testing.T) {
	in(t, func(t *testing.T) {
		w := newWorld(t, nil)
		numbers(t, []int{1, 1, 1}, w.observe(event("a", "cart"), event("b", "checkout"), event("c", "redis")))
		list, err := w.Problems(t.Context(), problem.Query{})
		if err != nil || len(list) != 1 {
			t.Errorf("%d problems, %v: what is merged in the step that opened it was never there", len(list), err)
		}
	})
}

func TestCloseInTime(t *testing.T) {
	in(t, func(t *testing.T) {
		w := newWorld(t, func(c *problem.Config) { c.Rules.Stale = 10 * time.Hour })
		w.observe(event("a", "payment"))
		time.Sleep(89 * time.Minute)
		numbers(t, []int{1}, w.observe(event("b", "checkout"))) // while a lasts
		time.Sleep(2 * time.Minute)
		numbers(t, []int{2}, w.observe(event("c", "checkout"))) // nothing merges after 90 minutes
		numbers(t, []int{1}, w.observe(ended(event("b", "checkout"))))
	})
	in(t, func(t *testing.T) {
		w := newWorld(t, nil)
		w.observe(event("x", "payment"), event("y", "payment"))
		w.observe(ended(event("x", "payment")))
		early := event("early", "checkout")
		early.Start = time.Now().Add(-11 * time.Minute) // began long before
		numbers(t, []int{2}, w.observe(early))
		near := event("near", "bank")
		near.Start = time.Now().Add(-9 * time.Minute)
		numbers(t, []int{1}, w.observe(near))
	})
}

// An event that is reported late does not tie together what began hours apart.
func TestWhatIsConnectedLate(t *testing.T) {
	in(t, func(t *testing.T) {
		w := newWorld(t, func(c *problem.Config) { c.Rules.Stale = 10 * time.Hour })
		w.observe(event("a", "cart"))
		time.Sleep(95 * time.Minute)
		numbers(t, []int{2}, w.observe(event("b", "checkout")))
		late := event("c", "redis")
		late.Start = time.Now().Add(-8 * time.Minute)
		w.observe(late)
		numbers(t, []int{1, 2}, w.open())
	})
}

func TestAnEventKeepsItsOnset(t *testing.T) {
	in(t, func(t *testing.T) {
		w := newWorld(t, nil)
		w.observe(event("a", "payment"))
		first := w.problem("P-1").Events[0]
		time.Sleep(time.Minute)
		w.observe(event("a", "payment")) // its source has forgotten when it began
		if got := w.problem("P-1").Events[0]; got.Start != first.Start || got.Detected != first.Detected || got.Seen != time.Now().UTC() {
			t.Errorf("began %v, detected %v, seen %v", got.Start, got.Detected, got.Seen)
		}
	})
}

func TestTheSameGroupIsOneProblem(t *testing.T) {
	in(t, func(t *testing.T) {
		w := newWorld(t, nil)
		a, b, c := event("a", "x"), event("b", "y"), event("c", "z")
		a.Group, b.Group, c.Group, c.Source = "g", "g", "g", "other"
		numbers(t, []int{1, 1, 2}, w.observe(a, b, c))
	})
}

func TestAProblemClosesWhenItsEventsEnd(t *testing.T) {
	in(t, func(t *testing.T) {
		w := newWorld(t, nil)
		stop := w.run()
		defer stop()
		a, b := event("a", "payment"), event("b", "checkout")
		w.observe(a, b)
		time.Sleep(time.Minute)
		w.observe(ended(a))
		numbers(t, []int{1}, w.open())
		time.Sleep(time.Minute)
		w.observe(ended(b))
		numbers(t, nil, w.open())
		p := w.problem("P-1")
		if p.Closed.IsZero() || !strings.Contains(p.Comments[len(p.Comments)-1].Text, "all events ended") {
			t.Errorf("closed %v: %+v", p.Closed, p.Comments)
		}
		// It stays closed, whatever comes late.
		w.observe(b, ended(a))
		numbers(t, nil, w.open())
		time.Sleep(time.Second)
		if got, want := w.events.types(), []string{problem.TypeOpened, problem.TypeClosed}; !slices.Equal(got, want) {
			t.Errorf("told: %v", got)
		}
	})
}

func TestWhatComesBackReopens(t *testing.T) {
	in(t, func(t *testing.T) {
		w := newWorld(t, nil)
		stop := w.run()
		defer stop()
		a := event("a", "payment")
		w.observe(a)
		time.Sleep(time.Minute)
		w.observe(ended(a))
		time.Sleep(29 * time.Minute)
		numbers(t, []int{2}, w.observe(event("other", "ads"))) // not what it was
		numbers(t, []int{1}, w.observe(event("b", "payment")))
		p := w.problem("P-1")
		if p.State != problem.StateOpen || p.Reopened != 1 || !p.Closed.IsZero() || p.Resumed != time.Now().UTC() {
			t.Errorf("%+v", p)
		}
		w.observe(ended(event("b", "payment")), ended(event("other", "ads")))
		time.Sleep(31 * time.Minute)
		numbers(t, []int{3}, w.observe(event("c", "payment")))
		time.Sleep(time.Second)
		got := w.events.types()
		slices.Sort(got)
		want := []string{problem.TypeClosed, problem.TypeClosed, problem.TypeClosed, problem.TypeOpened, problem.TypeOpened, problem.TypeOpened, problem.TypeReopened}
		if !slices.Equal(got, want) {
			t.Errorf("told: %v", got)
		}
	})
}

// An alert of another monitor has the same id each time it fires.
func TestTheSameEventComesBack(t *testing.T) {
	in(t, func(t *testing.T) {
		w := newWorld(t, nil)
		a := event("a", "")
		a.Source = "pagerduty"
		w.observe(a)
		time.Sleep(time.Minute)
		if _, err := w.Resolve(t.Context(), []string{"a", "unknown"}, time.Time{}); err != nil {
			t.Fatal(err)
		}
		numbers(t, nil, w.open())
		numbers(t, []int{1}, w.observe(a)) // a retry of what began before
		numbers(t, nil, w.open())
		time.Sleep(time.Minute)
		a.Start = time.Now()
		numbers(t, []int{1}, w.observe(a))
		numbers(t, []int{1}, w.open())
		if _, err := w.Resolve(t.Context(), []string{"a"}, time.Time{}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Hour)
		a.Start = time.Now()
		numbers(t, []int{2}, w.observe(a))
		if _, err := w.Resolve(t.Context(), []string{"a"}, time.Now().Add(time.Hour)); err != nil {
			t.Fatal(err)
		}
		numbers(t, nil, w.open())
		if w.problem("P-1").State != problem.StateClosed || w.problem("P-2").Events[0].End != time.Now().UTC() {
			t.Error("the event is not the second problem's")
		}
	})
}

func TestClosedByAPerson(t *testing.T) {
	in(t, func(t *testing.T) {
		w := newWorld(t, nil)
		a := event("a", "payment")
		w.observe(a)
		p, err := w.Close(t.Context(), "P-1", "ann", "a drill")
		if err != nil || p.State != problem.StateClosed {
			t.Fatalf("%+v, %v", p, err)
		}
		time.Sleep(time.Minute)
		numbers(t, []int{1}, w.observe(a)) // goes on, and opens nothing
		numbers(t, nil, w.open())
		w.observe(ended(a))
		numbers(t, nil, w.open())
		if _, err := w.Close(t.Context(), p.ID, "ann", "again"); !fault.Is(err, fault.KindConflict) {
			t.Errorf("closing twice: %v", err)
		}
		if last := p.Comments[len(p.Comments)-1]; last.Who != "ann" || last.Text != "Closed by ann: a drill" || last.Kind != "closed" {
			t.Errorf("%+v", last)
		}
	})
}

func TestPeople(t *testing.T) {
	in(t, func(t *testing.T) {
		w := newWorld(t, nil)
		w.observe(event("a", "payment"))
		if err := w.Comment(t.Context(), "p-1", problem.Comment{Who: "ann", Text: "looking", Link: "/here"}); err != nil {
			t.Fatal(err)
		}
		p, err := w.Acknowledge(t.Context(), "P-1", "bob", "mine")
		if err != nil || p.AcknowledgedBy != "bob" {
			t.Fatalf("%+v, %v", p, err)
		}
		if p, _ = w.Acknowledge(t.Context(), "P-1", "bob", "mine"); len(p.Comments) != 3 {
			t.Errorf("%d comments, want opened, looking, and one acknowledgement", len(p.Comments))
		}
		if c := p.Comments[1]; c.Text != "looking" || c.Kind != "comment" || c.Time != time.Now().UTC() {
			t.Errorf("%+v", c)
		}
		for name, err := range map[string]error{
			"no who":     w.Comment(t.Context(), "P-1", problem.Comment{Text: "x"}),
			"no text":    w.Comment(t.Context(), "P-1", problem.Comment{Who: "x"}),
			"long":       w.Comment(t.Context(), "P-1", problem.Comment{Who: "x", Text: strings.Repeat("x", 10_001)}),
			"no reason":  second(w.Close(t.Context(), "P-1", "ann", "")),
			"nobody":     second(w.Acknowledge(t.Context(), "P-1", "", "")),
			"link":       w.Comment(t.Context(), "P-1", problem.Comment{Who: "x", Text: "x", Link: "javascript:alert(1)"}),
			"other host": w.Comment(t.Context(), "P-1", problem.Comment{Who: "x", Text: "x", Link: "//evil.example"}),
			"long names": second(w.Acknowledge(t.Context(), "P-1", strings.Repeat("x", 201), "")),
		} {
			if !fault.Is(err, fault.KindInvalid) {
				t.Errorf("%s: %v", name, err)
			}
		}
		for _, id := range []string{"P-2", "P-0", "P-x", "nobody"} {
			if err := w.Comment(t.Context(), id, problem.Comment{Who: "x", Text: "x"}); !fault.Is(err, fault.KindNotFound) {
				t.Errorf("%s: %v", id, err)
			}
		}
	})
}

func second[T any](_ T, err error) error { return err }

func TestAnEventNobodyRaisesIsOver(t *testing.T) {
	in(t, func(t *testing.T) {
		w := newWorld(t, nil)
		stop := w.run()
		a := event("a", "payment")
		x := event("x", "elsewhere")
		x.Source, x.Expires = "dynatrace", time.Now().Add(15*time.Minute)
		w.observe(a, x)
		for range 8 { // raised again and again
			time.Sleep(time.Minute)
			w.observe(a)
		}
		time.Sleep(9 * time.Minute)
		numbers(t, []int{1}, w.open())
		time.Sleep(2 * time.Minute)
		numbers(t, nil, w.open())
		numbers(t, []int{1}, w.observe(a)) // it lasted all the same
		numbers(t, []int{1}, w.open())
		stop()

		time.Sleep(3 * time.Hour) // the server is down
		w.start(nil)
		stop = w.run()
		defer stop()
		time.Sleep(9 * time.Minute)
		numbers(t, []int{1}, w.open())
		time.Sleep(2 * time.Minute)
		numbers(t, nil, w.open())
	})
}

func TestFrequentProblems(t *testing.T) {
	in(t, func(t *testing.T) {
		w := newWorld(t, nil)
		if err := w.Define([]problem.Profile{{Name: "all"}}, nil); err != nil {
			t.Fatal(err)
		}
		frequent := func(want bool, e problem.Event) {
			t.Helper()
			w.observe(e)
			list, err := w.Problems(t.Context(), problem.Query{Limit: 1})
			if err != nil || list[0].Frequent != want {
				t.Errorf("%s is frequent: %v, want %v", e.ID, list[0].Frequent, want)
			}
			if alerted := list[0].Alerts[0].State == problem.AlertSent; alerted == want {
				t.Errorf("%s: alerts %+v", e.ID, list[0].Alerts)
			}
			time.Sleep(time.Minute)
			w.observe(ended(e))
			time.Sleep(time.Hour)
		}
		for i := range 3 {
			frequent(false, event(fmt.Sprint("e", i), "payment"))
		}
		frequent(true, event("e3", "payment"))
		frequent(false, event("f", "cart"))
		worse := event("e4", "payment")
		worse.Severity = problem.SeverityAvailability
		frequent(false, worse)
		time.Sleep(24 * time.Hour)
		frequent(false, event("e5", "payment"))
	})
}

func TestImpact(t *testing.T) {
	in(t, func(t *testing.T) {
		w := newWorld(t, nil)
		at := func(id, service, operation string, signal problem.Signal, affected float64) problem.Event {
			e := event(id, service)
			e.Operation, e.Signal, e.Affected = operation, signal, affected
			return e
		}
		w.observe(at("1", "payment", "", problem.SignalErrors, 9), at("2", "payment", "Charge", problem.SignalErrors, 7),
			at("3", "payment", "Refund", problem.SignalErrors, 4), at("4", "frontend", "GET /", problem.SignalErrors, 3),
			at("5", "frontend", "GET /", problem.SignalLatency, 5), at("6", "frontend", "GET /", problem.SignalSlowest, 8),
			at("7", "frontend", "POST /", problem.SignalLatency, 2))
		want := problem.Impact{Services: []entity.Ref{{Service: "frontend", Environment: "production"}, {Service: "payment", Environment: "production"}},
			EntryPoints: []string{"frontend GET /", "frontend POST /"}, Operations: []string{"frontend GET /", "frontend POST /", "payment Charge", "payment Refund"},
			FailedRequests: 11, SlowRequests: 10}
		if d := cmp.Diff(want, w.problem("P-1").Impact); d != "" {
			t.Error(d)
		}
	})
}

func TestAManyEventedProblemIsBounded(t *testing.T) {
	in(t, func(t *testing.T) {
		w := newWorld(t, nil)
		var events []problem.Event
		for i := range 300 {
			events = append(events, event(fmt.Sprint("e", i), "payment"))
		}
		w.observe(events...)
		numbers(t, []int{1}, w.open())
		if p := w.problem("P-1"); len(p.Events) != 200 || p.MoreEvents != 100 {
			t.Errorf("%d events and %d more", len(p.Events), p.MoreEvents)
		}
		for i := range 200 {
			events[i] = ended(events[i])
		}
		w.observe(events[:200]...)
		numbers(t, nil, w.open())
	})
}

func TestInformationalEventsOpenNothing(t *testing.T) {
	in(t, func(t *testing.T) {
		w := newWorld(t, nil)
		i := event("i", "payment")
		i.Informational = true
		numbers(t, []int{0}, w.observe(i))
		if got := w.events.types(); !slices.Equal(got, []string{"problem.event"}) || w.events.all()[0].Kind != change.KindAnnotation {
			t.Errorf("told: %v", got)
		}
		w.observe(event("a", "payment"))
		i.ID = "j"
		numbers(t, []int{1}, w.observe(i))
		w.observe(ended(event("a", "payment")))
		numbers(t, nil, w.open()) // it keeps nothing open
	})
}

// Evidence may be without bound; what is stored is not.
func TestFiguresAreStorable(t *testing.T) {
	in(t, func(t *testing.T) {
		w := newWorld(t, nil)
		e := event("a", "payment")
		e.EValue, e.Observed, e.Expected = math.Inf(1), math.NaN(), math.Inf(-1)
		w.observe(e)
		if got := w.problem("P-1").Events[0]; got.EValue != math.MaxFloat64 || got.Observed != 0 || got.Expected != -math.MaxFloat64 {
			t.Errorf("%v %v %v", got.EValue, got.Observed, got.Expected)
		}
	})
}

func TestObserveRefuses(t *testing.T) {
	in(t, func(t *testing.T) {
		w := newWorld(t, nil)
		good := event("a", "payment")
		for field, spoil := range map[string]func(*problem.Event){
			"id": func(e *problem.Event) { e.ID = "" }, "source": func(e *problem.Event) { e.Source = "" }, "title": func(e *problem.Event) { e.Title = "" },
			"severity": func(e *problem.Event) { e.Severity = "bad" }, "signal": func(e *problem.Event) { e.Signal = "bad" },
			"end":          func(e *problem.Event) { e.End = e.Start.Add(-time.Second) },
			"start":        func(e *problem.Event) { e.Start = time.Unix(-1, 0) },
			"service":      func(e *problem.Event) { e.Service = strings.Repeat("x", 301) },
			"why":          func(e *problem.Event) { e.Why = "\xff" },
			"tags":         func(e *problem.Event) { e.Tags = map[string]string{"a\x00": ""} },
			"external.url": func(e *problem.Event) { e.External = &problem.External{URL: "javascript:alert(1)"} },
		} {
			bad := good
			spoil(&bad)
			_, err := w.Observe(t.Context(), []problem.Event{good, bad})
			var f *fault.Error
			if !errors.As(err, &f) || f.Kind != fault.KindInvalid || f.Field != field {
				t.Errorf("%s: %v", field, err)
			}
		}
		numbers(t, nil, w.open()) // not even the good one
	})
}

// blame makes causes: the change that the service of the first event names.
func blame(service, changeID string) problem.Cause {
	c := problem.Cause{Kind: problem.CauseFault, Ref: entity.Ref{Service: service}, Sentence: "it is " + service, Confidence: 0.9}
	if changeID != "" {
		c.Kind, c.Change = problem.CauseChange, &evidence.Candidate{Event: change.Event{ID: changeID, Kind: change.KindFlag, Key: "f"}}
	}
	return c
}

func TestTheCauseIsFoundAndTold(t *testing.T) {
	in(t, func(t *testing.T) {
		var answer atomic.Pointer[problem.Cause]
		var calls atomic.Int64
		w := newWorld(t, func(c *problem.Config) {
			c.Explainer = explainer(func(problem.Problem) (problem.Cause, error) { calls.Add(1); return *answer.Load(), nil })
		})
		say := func(c problem.Cause) { answer.Store(&c) }
		say(problem.Cause{Kind: problem.CauseUnknown, Sentence: "not yet"})
		stop := w.run()
		defer stop()
		w.observe(event("a", "frontend"))
		synctest.Wait()
		if p := w.problem("P-1"); calls.Load() != 1 || p.Cause.Kind != problem.CauseUnknown || p.Evidence == nil {
			t.Fatalf("%d analyses: %+v", calls.Load(), p.Cause)
		}
		say(blame("payment", "c1"))
		time.Sleep(time.Second)
		w.observe(event("b", "payment"))
		time.Sleep(5 * time.Second) // apart from the first
		p := w.problem("P-1")
		if calls.Load() != 2 || p.Cause.Kind != problem.CauseChange || p.Title != "Errors in payment" || p.Evidence.FailedTraces != 2 {
			t.Fatalf("%d analyses: %+v", calls.Load(), p)
		}
		say(problem.Cause{Kind: problem.CauseUnknown})
		time.Sleep(time.Minute)
		if calls.Load() != 4 || w.problem("P-1").Cause.Kind != problem.CauseChange {
			t.Errorf("%d analyses; what was known is forgotten", calls.Load())
		}
		want := []string{problem.TypeOpened, problem.TypeUpdated, problem.TypeUpdated}
		if got := w.events.types(); !slices.Equal(got, want) {
			t.Errorf("told: %v", got)
		}
		e := w.events.all()[2]
		if e.Service != "payment" || e.Properties["change"] != "c1" || e.Properties["causeKind"] != "change" || e.Key != "P-1" || e.Links[0].URL != "https://tidegate.example/problems/"+p.ID {
			t.Errorf("%+v", e)
		}
		time.Sleep(20 * time.Minute) // b and a expire after ten
		before := calls.Load()
		time.Sleep(time.Hour)
		if calls.Load() != before {
			t.Error("a closed problem is analysed")
		}
	})
}

func TestAnAnalysisThatHangsOrFails(t *testing.T) {
	in(t, func(t *testing.T) {
		var calls atomic.Int64
		w := newWorld(t, func(c *problem.Config) {
			c.Explainer = hanging(func(ctx context.Context) (problem.Cause, error) {
				if calls.Add(1) == 1 {
					<-ctx.Done()
					return problem.Cause{}, ctx.Err()
				}
				return blame("payment", ""), nil
			})
		})
		stop := w.run()
		defer stop()
		w.observe(event("a", "payment"))
		time.Sleep(29 * time.Second)
		if p := w.problem("P-1"); p.Cause != nil {
			t.Errorf("%+v", p.Cause)
		}
		time.Sleep(5 * time.Second)
		if p := w.problem("P-1"); p.Cause == nil {
			t.Error("it was not tried again")
		}
	})
}

type hanging func(ctx context.Context) (problem.Cause, error)

func (f hanging) Explain(ctx context.Context, _ problem.Problem) (problem.Cause, *evidence.Evidence, error) {
	c, err := f(ctx)
	return c, nil, err
}

func TestTheSameCauseIsOneProblem(t *testing.T) {
	in(t, func(t *testing.T) {
		causes := map[string]problem.Cause{"ads": blame("infra", "c1"), "bank": blame("infra", "c1"), "cart": blame("infra", "c2")}
		w := newWorld(t, func(c *problem.Config) {
			c.Explainer = explainer(func(p problem.Problem) (problem.Cause, error) { return causes[p.Events[0].Service], nil })
		})
		stop := w.run()
		defer stop()
		w.observe(event("a", "ads"), event("b", "bank"), event("c", "cart")) // not connected
		synctest.Wait()
		time.Sleep(10 * time.Second)
		numbers(t, []int{1, 3}, w.open())
		if p := w.problem("P-1"); len(p.Events) != 2 {
			t.Errorf("%+v", p.Events)
		}
		// Known causes that differ are not made one by what is between them.
		numbers(t, []int{1}, w.observe(event("d", "frontend"))) // calls all
		numbers(t, []int{1, 3}, w.open())

		// A change that hurts again soon after is the same problem.
		w.observe(ended(event("a", "ads")), ended(event("b", "bank")), ended(event("d", "frontend")))
		numbers(t, []int{3}, w.open())
		time.Sleep(15 * time.Minute) // c expires
		numbers(t, nil, w.open())
		numbers(t, []int{4}, w.observe(event("e", "bank")))
		time.Sleep(time.Second)
		numbers(t, []int{1}, w.open())
		if p := w.problem("P-4"); p.MergedInto != w.problem("P-1").ID {
			t.Errorf("%+v", p)
		}
	})
}

// One place may fail for two reasons.
func TestTwoCausesAtOnePlace(t *testing.T) {
	in(t, func(t *testing.T) {
		w := newWorld(t, func(c *problem.Config) {
			c.Explainer = explainer(func(p problem.Problem) (problem.Cause, error) {
				cause := blame("infra", "")
				cause.Exception = p.Events[0].Title
				return cause, nil
			})
		})
		defer w.run()()
		w.observe(event("a", "ads"), event("b", "bank"))
		time.Sleep(10 * time.Second)
		numbers(t, []int{1, 2}, w.open())
	})
}

// Whatever happens, in whatever order: every event that lasts is in exactly one
// problem, problems are open while an event of theirs lasts, and no two open
// problems have the same cause.
func TestOneProblemPerCause(t *testing.T) {
	services := []string{"frontend", "checkout", "payment", "bank", "ads", "cart", "redis", "", "elsewhere"}
	for seed := range uint64(12) {
		if t.Failed() {
			return
		}
		synctest.Test(t, func(t *testing.T) {
			rnd := rand.New(rand.NewPCG(seed, 1))
			var mu sync.Mutex
			guess := rand.New(rand.NewPCG(seed, 2))
			w := newWorld(t, func(c *problem.Config) {
				c.Explainer = explainer(func(p problem.Problem) (problem.Cause, error) {
					mu.Lock()
					defer mu.Unlock()
					if guess.IntN(4) == 0 {
						return problem.Cause{Kind: problem.CauseUnknown}, nil
					}
					return blame(services[guess.IntN(3)], []string{"", "c1", "c2"}[guess.IntN(3)]), nil
				})
			})
			stop := w.run()
			defer stop()
			live := map[string]problem.Event{}
			for i := range 20 {
				switch rnd.IntN(3) {
				case 0, 1:
					e := event(fmt.Sprint("e", i), services[rnd.IntN(len(services))])
					e.Start = e.Start.Add(-time.Duration(rnd.IntN(1200)) * time.Second)
					live[e.ID] = e
					w.observe(e)
				case 2:
					for id, e := range live {
						w.observe(ended(e))
						delete(live, id)
						break
					}
				}
				for _, e := range live { // detectors raise what lasts
					w.observe(e)
				}
				time.Sleep(time.Duration(rnd.IntN([]int{30, 30, 300}[rnd.IntN(3)])) * time.Second)
				for _, e := range live {
					w.observe(e)
				}
				synctest.Wait()
				check(t, w, live)
				if t.Failed() {
					t.Fatalf("seed %d, step %d", seed, i)
				}
			}
		})
	}
}

func check(t *testing.T, w *world, live map[string]problem.Event) {
	t.Helper()
	list, err := w.Problems(t.Context(), problem.Query{Limit: 1000})
	if err != nil {
		t.Fatal(err)
	}
	where := map[string]int{}
	causes := map[string]int{}
	for _, p := range list {
		lasting := 0
		for _, e := range p.Events {
			if e.Open() && p.MergedInto == "" {
				where[e.ID]++
				lasting++
			}
		}
		if open := p.State == problem.StateOpen; open != (lasting > 0) {
			t.Errorf("%s is %s with %d events that last", p.Name(), p.State, lasting)
		}
		if c := p.Cause; p.State == problem.StateOpen && c != nil && c.Kind != problem.CauseUnknown {
			key := fmt.Sprint(c.Kind, c.Service)
			if c.Change != nil {
				key = c.Change.Event.ID
			}
			if causes[key]++; causes[key] > 1 {
				t.Errorf("%d open problems have the cause %s", causes[key], key)
			}
		}
	}
	for id := range live {
		if where[id] != 1 {
			t.Errorf("event %s is in %d problems", id, where[id])
		}
	}
}
