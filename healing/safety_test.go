package healing

import (
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/tidegate-io/tidegate/change"
	"github.com/tidegate-io/tidegate/entity"
	"github.com/tidegate-io/tidegate/evidence"
	"github.com/tidegate-io/tidegate/problem"
)

// fine are facts that no rule objects to.
func fine(blamed change.Event) *Facts {
	p := problemOf("p1", blamed)
	r := shop().WithDefaults()
	attempt := r.Attempts[0]
	if blamed.Kind == change.KindDeployment {
		attempt = r.Attempts[1]
	}
	a := newAction("a1", &p, attempt, r.Policy, byPolicy)
	a.Remediation, a.Revision = r.Name, blamed.From
	return &Facts{Now: start.Add(time.Minute), Problem: p, Action: a, Limits: Limits{PerHour: 10}, Touched: 1, Instances: 4}
}

// acted is another action, done a while ago.
func acted(ago time.Duration, change func(*Action)) Action {
	a := fine(badFlag()).Action
	a.ID, a.Problem, a.Subject = "a0", "p0", "change:other"
	a.State, a.Outcome, a.Acted, a.Title = StateEnded, OutcomeHealed, start.Add(time.Minute-ago), "did something"
	if change != nil {
		change(&a)
	}
	return a
}

// Every rule objects to what it is there for, says why, and to nothing else.
func TestRules(t *testing.T) {
	for name, c := range map[string]struct {
		rule   string
		facts  func(f *Facts)
		reason string
		blamed change.Event
	}{
		"nothing is wrong with a flag":       {blamed: badFlag(), facts: func(*Facts) {}},
		"nothing is wrong with a deployment": {blamed: badDeployment(), facts: func(*Facts) {}},

		"stopped":               {rule: "stopped", facts: func(f *Facts) { f.Stop = Stop{Stopped: true, Who: "kim", Reason: "maintenance"} }, reason: "by kim: maintenance"},
		"closed":                {rule: "problem-open", facts: func(f *Facts) { f.Problem.State = problem.StateClosed }, reason: "is over"},
		"no cause":              {rule: "cause-known", facts: func(f *Facts) { f.Problem.Cause = nil }, reason: "not known yet"},
		"another cause":         {rule: "cause-known", facts: func(f *Facts) { f.Problem.Cause.Change.Event.ID = "c9" }, reason: "another change is blamed"},
		"an outage elsewhere":   {rule: "cause-known", facts: func(f *Facts) { f.Problem.Cause.Kind = problem.CauseDependency }, reason: "no change caused this (dependency)"},
		"a guess":               {rule: "cause-known", facts: func(f *Facts) { f.Problem.Cause.Confidence = 0.4 }, reason: "only 40 % sure"},
		"not likely":            {rule: "cause-known", facts: func(f *Facts) { f.Problem.Cause.Change.Likely = false }, reason: "likely"},
		"came afterwards":       {rule: "precedes-onset", facts: func(f *Facts) { f.Action.Change.Start = f.Problem.Start.Add(11 * time.Second) }, reason: "came 11s after the failures began"},
		"off the path":          {rule: "on-causal-path", facts: func(f *Facts) { f.Action.Change.Service = "billing" }, reason: "frontend → checkout"},
		"another environment":   {rule: "on-causal-path", facts: func(f *Facts) { f.Action.Change.Environment = "staging" }, reason: "touches no service"},
		"nobody said how":       {rule: "undoable", facts: func(f *Facts) { f.Action.Change.Undo = nil }, reason: `nobody said how to take "new-pricing on" back`},
		"a migration":           {rule: "irreversible", facts: func(f *Facts) { f.Action.Change.Properties = map[string]string{"migration": "true"} }, reason: "marked irreversible"},
		"past a migration":      {rule: "irreversible", blamed: badDeployment(), facts: func(f *Facts) { f.History.Crossed = []change.Event{{Title: "schema 7"}} }, reason: `past "schema 7"`},
		"undone already":        {rule: "still-current", facts: func(f *Facts) { f.History.Undone = &change.Event{Who: "kim", Start: start} }, reason: "taken back already at 00:00:00 UTC by kim"},
		"changed since":         {rule: "still-current", facts: func(f *Facts) { f.History.Later = []change.Event{{Title: "checkout 2.2"}} }, reason: `"checkout 2.2" came after it`},
		"judged bad":            {rule: "not-judged-bad", blamed: badDeployment(), facts: func(f *Facts) { f.History.Bad = "it failed checkout #7" }, reason: "2.0 must not come back: it failed checkout #7"},
		"nothing to go back to": {rule: "not-judged-bad", blamed: badDeployment(), facts: func(f *Facts) { f.Action.Revision = "" }, reason: "no earlier revision"},
		"done for it before": {rule: "once", facts: func(f *Facts) {
			f.Recent = []Action{acted(48*time.Hour, func(a *Action) { a.Subject = f.Action.Subject; a.Outcome = OutcomeFailed })}
		}, reason: "acted on already"},
		"a failed rollback": {rule: "halted", facts: func(f *Facts) {
			f.Halted = []Action{acted(20*time.Hour, func(a *Action) { a.Number = 3 })}
		}, reason: "its problem P-3 is still open"},
		"cooling down": {rule: "cool-down", facts: func(f *Facts) { f.Recent = []Action{acted(14*time.Minute, nil)} }, reason: "14m0s ago (did something), the cool-down is 15m0s"},
		"cooling down everywhere": {rule: "cool-down", facts: func(f *Facts) {
			f.Limits.CoolDown = time.Minute
			f.Recent = []Action{acted(30*time.Second, func(a *Action) { a.Service = "billing" })}
		}, reason: "the last action on anything was 30s ago"},
		"too many here": {rule: "hourly-cap", facts: func(f *Facts) {
			for _, id := range []string{"x", "y", "z"} {
				f.Recent = append(f.Recent, acted(50*time.Minute, func(a *Action) { a.ID = id }))
			}
		}, reason: "checkout has seen 3 actions within an hour, the cap is 3"},
		"too many in all": {rule: "hourly-cap", facts: func(f *Facts) {
			f.Limits.PerHour = 2
			for _, s := range []string{"x", "y"} {
				f.Recent = append(f.Recent, acted(50*time.Minute, func(a *Action) { a.ID, a.Service = s, s }))
			}
		}, reason: "there were 2 actions within an hour, the cap is 2"},
		"too many services": {rule: "blast-radius", facts: func(f *Facts) {
			f.Action.Change.Entities = []entity.Ref{{Service: "a"}, {Service: "b"}, {Service: "c"}}
		}, reason: "touches 4 services, at most 3"},
		"too many instances": {rule: "blast-radius", facts: func(f *Facts) {
			f.Action.Policy.MaxShare, f.Touched, f.Instances = 0.5, 3, 4
		}, reason: "3 of 4 instances, at most 50 %"},

		// What looks similar and is fine.
		"clocks differ": {facts: func(f *Facts) { f.Action.Change.Start = f.Problem.Start.Add(9 * time.Second) }},
		"the first failure came later": {facts: func(f *Facts) {
			at := f.Problem.Start.Add(20 * time.Second)
			f.Action.Change.Start = at
			f.Problem.Evidence = &evidence.Evidence{FirstFailure: at}
		}},
		"a command knows how": {blamed: badDeployment(), facts: func(f *Facts) {
			f.Action.Change.Undo = nil
			f.Action.Attempt.Do = Do{Rollback: &Rollback{To: LastGood, Via: Via{Command: &Command{Args: []string{"deploy"}}}}}
		}},
		"upstream on the path":       {facts: func(f *Facts) { f.Action.Change.Service = "frontend" }},
		"a flag that names no place": {facts: func(f *Facts) { f.Action.Change.Ref = entity.Ref{} }},
		"its own": {facts: func(f *Facts) {
			f.Recent = []Action{acted(time.Minute, func(a *Action) { *a = f.Action; a.Acted = start })}
		}},
		"cooled down":                 {facts: func(f *Facts) { f.Recent = []Action{acted(15*time.Minute, nil)} }},
		"another service":             {facts: func(f *Facts) { f.Recent = []Action{acted(time.Minute, func(a *Action) { a.Service = "billing" })} }},
		"the attempt before this one": {facts: func(f *Facts) { f.Recent = []Action{acted(time.Minute, func(a *Action) { a.Problem = "p1" })} }},
		"what was refused": {facts: func(f *Facts) {
			f.Recent = []Action{acted(time.Minute, func(a *Action) { a.Acted = time.Time{}; a.Subject = f.Action.Subject })}
		}},
		"not irreversible":         {facts: func(f *Facts) { f.Action.Change.Properties = map[string]string{"migration": "false"} }},
		"an outage, and a command": {facts: func(f *Facts) { f.Problem = upstreamOutage("p1"); command(f); f.Action.Change = nil }},
		"a command after the flag's undo": {facts: func(f *Facts) {
			f.Recent = []Action{acted(time.Minute, func(a *Action) { a.Problem = "p1"; a.Subject = f.Action.Subject })}
			command(f)
		}},
	} {
		t.Run(name, func(t *testing.T) {
			if c.blamed.ID == "" {
				c.blamed = badFlag()
			}
			f := fine(c.blamed)
			c.facts(f)
			got := Object(f)
			var names []string
			for _, o := range got {
				names = append(names, o.Rule)
			}
			var want []string
			if c.rule != "" {
				want = []string{c.rule}
			}
			if d := cmp.Diff(want, names); d != "" {
				t.Fatalf("objections are %+v: %s", got, d)
			}
			if c.rule != "" && !strings.Contains(got[0].Reason, c.reason) {
				t.Errorf("the reason is %q, want %q in it", got[0].Reason, c.reason)
			}
		})
	}
}

// command makes the action one that takes nothing back.
func command(f *Facts) {
	f.Action.Attempt.Do = Do{Command: &Command{Args: []string{"restart"}}}
	f.Action.Kind = KindCommand
}

// The same command is not run twice for one change, whatever the problem.
func TestCommandOncePerChange(t *testing.T) {
	f := fine(badFlag())
	command(f)
	f.Recent = []Action{acted(time.Hour+time.Minute, func(a *Action) { a.Subject, a.Kind, a.Attempt.Do = f.Action.Subject, KindCommand, f.Action.Attempt.Do })}
	if got := Object(f); len(got) != 1 || got[0].Rule != "once" {
		t.Errorf("objections are %+v, want once", got)
	}
}

// An override takes away every objection but those that are final.
func TestStanding(t *testing.T) {
	objections := []Objection{{Rule: "a"}, {Rule: "b", Final: true}}
	if got := standing(objections, ""); len(got) != 2 {
		t.Errorf("without an override: %v", got)
	}
	if got := standing(objections, "because"); len(got) != 1 || got[0].Rule != "b" {
		t.Errorf("with an override: %v", got)
	}
	final := 0
	for _, r := range rules {
		if r.final {
			final++
		}
	}
	if final != 1 || !rules[0].final || rules[0].name != "stopped" {
		t.Error("the switch, and only the switch, is final")
	}
}

// The way back, from what is known of the past.
func TestHistory(t *testing.T) {
	at := func(minutes int) time.Time { return start.Add(time.Duration(minutes-100) * time.Minute) }
	deployed := func(id string, minutes int, from, to string) change.Event {
		return change.Event{ID: id, Kind: change.KindDeployment, Key: "checkout", Title: "checkout " + to, From: from, To: to, Start: at(minutes), Ref: production}
	}
	blamed := deployed("d4", 90, "2.0", "2.1")
	undo := func(of string, minutes int) change.Event {
		return change.Event{ID: "u-" + of, Kind: change.KindAction, UndoOf: of, Start: at(minutes), Who: "kim", Ref: production}
	}
	marked := func(e change.Event) change.Event {
		e.Properties = map[string]string{"irreversible": "true"}
		return e
	}
	for name, c := range map[string]struct {
		events    []change.Event
		judgedBad string
		revision  string // wanted
		crossed   bool
		later     int
		undone    bool
	}{
		"what ran before":             {events: []change.Event{deployed("d3", 50, "1.9", "2.0")}, revision: "2.0"},
		"only what the change says":   {revision: "2.0"},
		"2.0 was taken back":          {events: []change.Event{deployed("d2", 30, "1.8", "1.9"), deployed("d3", 50, "1.9", "2.0"), undo("d3", 60)}, revision: "1.9"},
		"2.0 failed a guardian":       {events: []change.Event{deployed("d3", 50, "1.9", "2.0")}, judgedBad: "2.0", revision: "1.9"},
		"nothing good":                {events: []change.Event{deployed("d3", 50, "", "2.0")}, judgedBad: "2.0", revision: ""},
		"a migration came with it":    {events: []change.Event{marked(change.Event{ID: "m", Kind: change.KindConfiguration, Title: "schema", Start: at(91), Ref: production})}, revision: "2.0", crossed: true},
		"a migration long before":     {events: []change.Event{marked(deployed("d3", 50, "1.9", "2.0"))}, revision: "2.0"},
		"a migration in between":      {events: []change.Event{marked(deployed("d3", 50, "1.9", "2.0")), deployed("d2", 30, "1.8", "1.9")}, judgedBad: "2.0", revision: "1.9", crossed: true},
		"another application's":       {events: []change.Event{{ID: "x", Kind: change.KindDeployment, Key: "billing", To: "7", Start: at(95), Ref: entity.Ref{Service: "billing", Environment: "production"}}}, revision: "2.0"},
		"a newer one":                 {events: []change.Event{deployed("d5", 95, "2.1", "2.2")}, revision: "2.0", later: 1},
		"taken back already":          {events: []change.Event{undo("d4", 95)}, revision: "2.0", undone: true},
		"the same one somewhere else": {events: []change.Event{func() change.Event { e := deployed("s", 95, "2.1", "2.2"); e.Environment = "staging"; return e }()}, revision: "2.0"},
	} {
		t.Run(name, func(t *testing.T) {
			tl := newTimeline(append([]change.Event{blamed, blamed}, c.events...))
			bad := func(r string) string {
				if r == c.judgedBad {
					return "it failed"
				}
				return tl.bad(&blamed, r)
			}
			got := tl.lastGood(&blamed, bad)
			if got != c.revision {
				t.Errorf("last good is %q, want %q", got, c.revision)
			}
			h := tl.history(&blamed, got)
			if (len(h.Crossed) > 0) != c.crossed || len(h.Later) != c.later || (h.Undone != nil) != c.undone {
				t.Errorf("history is %+v", h)
			}
		})
	}
	tl := newTimeline([]change.Event{blamed})
	if tl.bad(&blamed, "2.1") == "" {
		t.Error("what is blamed is not bad")
	}
}

// Whatever happened before: what is gone back to is never what is blamed nor
// what was taken back.
func TestLastGoodIsNeverBad(t *testing.T) {
	versions := []string{"1", "2", "3", "4"}
	rapid.Check(t, func(rt *rapid.T) {
		n := rapid.IntRange(1, 12).Draw(rt, "events")
		var events []change.Event
		taken := map[string]bool{}
		for i := range n {
			e := change.Event{ID: string(rune('a' + i)), Kind: change.KindDeployment, Key: "checkout", Ref: production, Start: start.Add(time.Duration(i) * time.Minute),
				From: rapid.SampledFrom(versions).Draw(rt, "from"), To: rapid.SampledFrom(versions).Draw(rt, "to")}
			events = append(events, e)
			if rapid.Bool().Draw(rt, "undone") && i < n-1 {
				taken[e.To] = true
				events = append(events, change.Event{ID: "u" + e.ID, Kind: change.KindAction, UndoOf: e.ID, Start: e.Start.Add(time.Second), Ref: production})
			}
		}
		blamed := events[len(events)-1]
		tl := newTimeline(events)
		got := tl.lastGood(&blamed, func(r string) string { return tl.bad(&blamed, r) })
		if got != "" && (got == blamed.To || taken[got]) {
			rt.Errorf("goes back to %s: blamed is %s, taken back were %v", got, blamed.To, slices.Sorted(maps.Keys(taken)))
		}
	})
}

// The documentation has every rule, in their order, and no other.
func TestRulesAreDocumented(t *testing.T) {
	page, err := os.ReadFile("../docs/heal-production.md")
	if err != nil {
		t.Fatal(err)
	}
	_, table, _ := strings.Cut(string(page), "| rule | an action is refused when |")
	table, _, _ = strings.Cut(table, "\n\n")
	var documented, want []string
	for _, m := range regexp.MustCompile("(?m)^\\| `([a-z-]+)` \\|").FindAllStringSubmatch(table, -1) {
		documented = append(documented, m[1])
	}
	for _, r := range rules {
		want = append(want, r.name)
	}
	if d := cmp.Diff(want, documented); d != "" {
		t.Error(d)
	}
}
