package problem_test

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tidegate-io/tidegate/entity"
	"github.com/tidegate-io/tidegate/fault"
	"github.com/tidegate-io/tidegate/problem"
)

type known []entity.Entity

func (k known) Entities(context.Context) ([]entity.Entity, error) { return k, nil }

// alerting is a running world with a profile "p" that sends to a room.
func alerting(t *testing.T, p problem.Profile, windows ...problem.Window) *world {
	t.Helper()
	w := newWorld(t, func(c *problem.Config) {
		c.Entities = known{{Ref: entity.Ref{Service: "payment", Environment: "production"}, Tags: map[string]string{"team": "money", "critical": ""}}}
	})
	if p.Name = "p"; p.Channels == nil {
		p.Channels = []string{"room"}
	}
	if err := w.Define([]problem.Profile{p}, windows); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.run())
	return w
}

func (w *world) sent() []string {
	w.room.mu.Lock()
	defer w.room.mu.Unlock()
	return slices.Clone(w.room.sent)
}

func (w *world) alert() problem.Alert {
	w.t.Helper()
	p := w.problem("P-1")
	if len(p.Alerts) != 1 {
		w.t.Fatalf("alerts: %+v", p.Alerts)
	}
	return p.Alerts[0]
}

func TestAlertAfterDelay(t *testing.T) {
	in(t, func(t *testing.T) {
		w := alerting(t, problem.Profile{Delay: 5 * time.Minute})
		a := event("a", "payment")
		w.observe(a)
		time.Sleep(5*time.Minute - time.Second)
		if got := w.sent(); len(got) != 0 || w.alert().State != problem.AlertWaiting || w.problem("P-1").NotAlerted != "" {
			t.Fatalf("before the delay is over: %v, %+v", got, w.alert())
		}
		time.Sleep(3 * time.Second)
		if d := cmp.Diff([]string{"room: P-1 open: Errors in payment"}, w.sent()); d != "" {
			t.Error(d)
		}
		w.observe(ended(a))
		time.Sleep(time.Second)
		if d := cmp.Diff([]string{"room: P-1 open: Errors in payment", "room: P-1 over: Errors in payment"}, w.sent()); d != "" {
			t.Error(d)
		}
		if got, want := w.events.types(), []string{problem.TypeOpened, problem.TypeAlerted, problem.TypeClosed, problem.TypeCleared}; !slices.Equal(got, want) {
			t.Errorf("told: %v", got)
		}
		if e := w.events.all()[1]; e.Properties["profile"] != "p" || e.Properties["severity"] != "error" {
			t.Errorf("%+v", e.Properties)
		}
		// When it comes back, it is told of again.
		time.Sleep(time.Minute)
		w.observe(event("b", "payment"))
		time.Sleep(6 * time.Minute)
		if got := w.sent(); len(got) != 2 { // the same titles: the room keeps each once
			t.Errorf("%v", got)
		}
		if p := w.problem("P-1"); len(p.Alerts) != 2 || p.Alerts[1].State != problem.AlertSent || p.Alerts[1].Episode != 1 {
			t.Errorf("%+v", p.Alerts)
		}
	})
}

func TestOverBeforeTheDelay(t *testing.T) {
	in(t, func(t *testing.T) {
		w := alerting(t, problem.Profile{Delay: 5 * time.Minute})
		w.observe(event("a", "payment"))
		time.Sleep(40 * time.Second)
		w.observe(ended(event("a", "payment")))
		time.Sleep(10 * time.Minute)
		p := w.problem("P-1")
		if got := w.sent(); len(got) != 0 || p.NotAlerted != "p: over after 40s, before the alert was due" {
			t.Errorf("%v, %q", got, p.NotAlerted)
		}
	})
}

// A delay goes on while the server is down.
func TestTheDelayIsDurable(t *testing.T) {
	in(t, func(t *testing.T) {
		w := newWorld(t, nil)
		profile := []problem.Profile{{Name: "p", Channels: []string{"room"}, Delay: 5 * time.Minute}}
		if err := w.Define(profile, nil); err != nil {
			t.Fatal(err)
		}
		stop := w.run()
		w.observe(event("a", "payment"))
		time.Sleep(time.Second)
		stop()
		time.Sleep(10 * time.Minute)
		w.start(nil)
		if err := w.Define(profile, nil); err != nil {
			t.Fatal(err)
		}
		defer w.run()()
		time.Sleep(2 * time.Second)
		if d := cmp.Diff([]string{"room: P-1 open: Errors in payment"}, w.sent()); d != "" {
			t.Error(d)
		}
	})
}

func TestSomebodyLooksAfterIt(t *testing.T) {
	in(t, func(t *testing.T) {
		w := alerting(t, problem.Profile{Delay: time.Minute})
		w.observe(event("a", "payment"))
		if _, err := w.Acknowledge(t.Context(), "P-1", "ann", ""); err != nil {
			t.Fatal(err)
		}
		time.Sleep(5 * time.Minute)
		if got := w.sent(); len(got) != 0 || w.problem("P-1").NotAlerted != "p: looked after by ann before" {
			t.Errorf("%v, %q", got, w.problem("P-1").NotAlerted)
		}
	})
}

func TestMaintenanceWindow(t *testing.T) {
	in(t, func(t *testing.T) {
		now := time.Now()
		w := alerting(t, problem.Profile{}, problem.Window{Name: "elsewhere", Services: []string{"cart"}, From: now.Add(-time.Hour), To: now.Add(time.Hour)},
			problem.Window{Name: "nightly", Services: []string{"payment"}, From: now.Add(-49 * time.Hour), To: now.Add(-47 * time.Hour), Every: 24 * time.Hour})
		a := event("a", "payment")
		for range 59 {
			w.observe(a)
			time.Sleep(time.Minute)
		}
		if a := w.alert(); len(w.sent()) != 0 || a.State != problem.AlertWaiting || !strings.Contains(a.Why, "nightly") {
			t.Fatalf("in the window: %v, %+v", w.sent(), a)
		}
		w.observe(a)
		time.Sleep(2 * time.Minute)
		if len(w.sent()) != 1 {
			t.Error("not told after the window")
		}
	})
	in(t, func(t *testing.T) {
		now := time.Now()
		w := alerting(t, problem.Profile{}, problem.Window{Name: "w", From: now.Add(-time.Hour), To: now.Add(5 * time.Minute)})
		w.observe(event("a", "payment"))
		time.Sleep(4 * time.Minute)
		w.observe(ended(event("a", "payment")))
		time.Sleep(2 * time.Minute)
		if len(w.sent()) != 0 || w.alert().State != problem.AlertSkipped {
			t.Errorf("over in the window, and told: %+v", w.alert())
		}
	})
}

func TestAChannelThatIsGone(t *testing.T) {
	in(t, func(t *testing.T) {
		w := alerting(t, problem.Profile{Channels: []string{"gone"}})
		w.observe(event("a", "payment"))
		time.Sleep(time.Second)
		w.observe(ended(event("a", "payment")))
		time.Sleep(time.Second)
		want := []string{problem.TypeOpened, problem.TypeAlerted, problem.TypeClosed, problem.TypeCleared}
		if got := w.events.types(); !slices.Equal(got, want) {
			t.Errorf("one channel that is gone keeps back what follows: %v", got)
		}
	})
}

// What was told of one problem is not told again of that which it became part of.
func TestAlertsOfAMergedProblem(t *testing.T) {
	in(t, func(t *testing.T) {
		w := alerting(t, problem.Profile{Delay: 30 * time.Second, Services: []string{"ads", "frontend"}})
		w.observe(event("a", "cart")) // of no interest
		time.Sleep(time.Second)
		w.observe(event("b", "ads"))
		time.Sleep(40 * time.Second)
		w.observe(event("c", "frontend")) // connects them
		numbers(t, []int{1}, w.open())
		time.Sleep(time.Minute)
		if d := cmp.Diff([]string{"room: P-2 open: Errors in ads"}, w.sent()); d != "" {
			t.Error(d)
		}
		w.observe(ended(event("a", "cart")), ended(event("b", "ads")), ended(event("c", "frontend")))
		time.Sleep(time.Second)
		if got := w.sent(); len(got) != 2 || !strings.HasPrefix(got[1], "room: P-1 over") {
			t.Errorf("%v", got)
		}
	})
}

func TestProfilesMatch(t *testing.T) {
	for name, c := range map[string]struct {
		p   problem.Profile
		why string // part of the reason; empty: it matches
	}{
		"everything":           {problem.Profile{}, ""},
		"severity":             {problem.Profile{Severities: []problem.Severity{problem.SeverityError}}, ""},
		"other severities":     {problem.Profile{Severities: []problem.Severity{problem.SeveritySlowdown, problem.SeverityResource}}, "its severity is error, not slowdown or resource"},
		"service":              {problem.Profile{Services: []string{"cart", "payment"}}, ""},
		"other service":        {problem.Profile{Services: []string{"cart"}}, "it is not in cart"},
		"environment":          {problem.Profile{Environments: []string{"production"}}, ""},
		"other environment":    {problem.Profile{Environments: []string{"dev"}}, "it is not in the environment dev"},
		"any tag of a service": {problem.Profile{TagsAny: []string{"team:shop", "team:money"}}, ""},
		"any tag of an event":  {problem.Profile{TagsAny: []string{"rule"}}, ""},
		"no tag":               {problem.Profile{TagsAny: []string{"team:shop", "x"}}, "it has none of the tags team:shop, x"},
		"all tags":             {problem.Profile{TagsAll: []string{"team:money", "critical", "rule:r"}}, ""},
		"not all tags":         {problem.Profile{TagsAll: []string{"team:money", "x"}}, "it has not all of the tags"},
		"an event":             {problem.Profile{Events: []problem.EventFilter{{Source: "x"}, {Source: "detector", Signal: problem.SignalErrors, Title: "(?i)errors IN"}}}, ""},
		"no event":             {problem.Profile{Events: []problem.EventFilter{{Source: "detector", Title: "^in"}}}, "none of its events"},
		"except":               {problem.Profile{Except: []problem.EventFilter{{Signal: problem.SignalErrors}}}, "all its events are of a kind left out"},
		"except not all":       {problem.Profile{Except: []problem.EventFilter{{Signal: problem.SignalLog}}}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			in(t, func(t *testing.T) {
				w := alerting(t, c.p)
				e := event("a", "payment")
				e.Tags = map[string]string{"rule": "r"}
				w.observe(e)
				time.Sleep(time.Second)
				p := w.problem("P-1")
				if matched := len(w.sent()) == 1; matched != (c.why == "") || !strings.Contains(p.NotAlerted, c.why) {
					t.Errorf("sent %v, nobody is alerted: %q, want %q", w.sent(), p.NotAlerted, c.why)
				}
			})
		})
	}
}

// What did not match at first may match when it gets worse.
func TestAProblemGetsWorse(t *testing.T) {
	in(t, func(t *testing.T) {
		w := alerting(t, problem.Profile{Severities: []problem.Severity{problem.SeverityError}})
		slow := event("a", "payment")
		slow.Severity, slow.Signal = problem.SeveritySlowdown, problem.SignalLatency
		w.observe(slow)
		time.Sleep(time.Minute)
		w.observe(event("b", "payment"))
		time.Sleep(time.Second)
		if got := w.sent(); len(got) != 1 {
			t.Errorf("%v", got)
		}
	})
}

func TestDefineRefuses(t *testing.T) {
	w := newWorld(t, nil)
	for name, p := range map[string]problem.Profile{
		"severity": {Severities: []problem.Severity{"bad"}}, "delay": {Delay: 48 * time.Hour}, "channels": {Channels: make([]string, 21)},
		"filter": {Events: []problem.EventFilter{{}}}, "pattern": {Except: []problem.EventFilter{{Title: "("}}},
	} {
		if err := w.Define([]problem.Profile{p}, nil); !fault.Is(err, fault.KindInvalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
	now := time.Now()
	for name, x := range map[string]problem.Window{"from": {To: now}, "to": {From: now, To: now}, "every": {From: now, To: now.Add(time.Hour), Every: time.Minute}} {
		if err := w.Define(nil, []problem.Window{x}); !fault.Is(err, fault.KindInvalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
