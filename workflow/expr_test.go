package workflow

import (
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/tidegate-io/tidegate/change"
	"github.com/tidegate-io/tidegate/entity"
	"github.com/tidegate-io/tidegate/fault"
)

var exampleEvent = change.Event{
	ID: "e1", Type: "test.finished", Kind: change.KindTest, Title: "k6 load test finished", Start: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC),
	Ref:        entity.Ref{Service: "checkout", Environment: "dev"},
	Entities:   []entity.Ref{{Service: "payment"}},
	Properties: map[string]string{"purpose": "acceptance", "duration": "1m", "users": "200", "title": "not mine", "reason": "a property is no reason", "a b": "c"},
}

func exampleValues(t *testing.T) (values, scope) {
	t.Helper()
	event, err := eventRecord(&exampleEvent)
	if err != nil {
		t.Fatal(err)
	}
	steps, err := stepsRecord([]StepRun{
		{Name: "verdict", Kind: "validate", State: StateDone, Attempts: 1, Output: []byte(`{"status":"fail","report":"v-1","number":7,"cause":{"change":"flip-1","key":"f"}}`)},
		{Name: "load test", Kind: "validate", State: StateSkipped},
		{Name: "2nd-undo", Kind: "undo", State: StateFailed, Error: "no"},
	})
	if err != nil {
		t.Fatal(err)
	}
	validated := outputsOf(&Step{Validate: &ValidateStep{}})
	sc := scope{steps: map[string][]string{"verdict": validated, "load_test": validated, "load test": validated,
		"_2nd_undo": outputsOf(&Step{Undo: &UndoStep{}}), "2nd-undo": outputsOf(&Step{Undo: &UndoStep{}})}}
	return values{event, steps}, sc
}

func TestConditions(t *testing.T) {
	v, sc := exampleValues(t)
	for text, want := range map[string]bool{
		`event.service == "checkout"`:                                        true,
		`steps.verdict.status == "fail" && event.purpose == "acceptance"`:    true,
		`steps.verdict.cause.key == "f"`:                                     true,
		`steps.verdict.number > 6`:                                           true,
		`steps.verdict.output.status == "fail"`:                              true,
		`steps.load_test.done`:                                               false,
		`steps["load test"].skipped`:                                         true,
		`steps.load_test.status == "" && steps.load_test.cause.change == ""`: true,
		`steps._2nd_undo.failed && steps["2nd-undo"].error == "no"`:          true,
		// What the sender did not say is empty, not an error.
		`event.nothing == "x"`:                             false,
		`event.nothing == ""`:                              true,
		`event.undo.kind == "flag"`:                        false,
		`has(event.purpose)`:                               true,
		`has(event.nothing) || has(event.undo.kind)`:       false,
		`"purpose" in event && !("nothing" in event)`:      true,
		`event["a b"] == "c"`:                              true,
		`event.properties.duration == "1m"`:                true,
		`int(event.users) > 100`:                           true,
		`duration(event.duration) >= duration("60s")`:      true,
		`timestamp(event.start).getFullYear() == 2026`:     true,
		`event.entities.exists(e, e.service == "payment")`: true,
		`size(event.links) == 0`:                           true,
		// The event's own fields come before properties, even when empty.
		`event.title == "k6 load test finished"`:   true,
		`event.reason == ""`:                       true,
		`event.properties.title == "not mine"`:     true,
		`event.type.startsWith("test.")`:           true,
		`event.service in ["checkout", "payment"]`: true,
		`!(event.service.matches("^pay"))`:         true,
	} {
		e, err := compileCondition(text, sc)
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		if got, err := e.holds(t.Context(), v); err != nil || got != want {
			t.Errorf("%s is %v, %v: want %v", text, got, err, want)
		}
	}
}

func TestConditionsThatDoNotCompile(t *testing.T) {
	_, sc := exampleValues(t)
	for text, want := range map[string]string{
		`evnt.service == "x"`:                            `column 1: unknown name "evnt"; did you mean "event"?`,
		`event.service = "x"`:                            `column 15: token recognition error`,
		`event.service == `:                              `column 18:`,
		"event.a == 1 &&\n  stps.x":                      `line 2, column 3: unknown name "stps"; did you mean "steps"?`,
		`event.a == "b" && steps.verdit.done`:            `column 24: unknown step "verdit"; did you mean "verdict"?`,
		`steps["load tst"].done`:                         `unknown step "load tst"; did you mean "load test"?`,
		`steps.verdict.stauts == "fail"`:                 `step "verdict" has no output "stauts"; did you mean "status"?`,
		`steps._2nd_undo.report == ""`:                   `step "_2nd_undo" has no output "report"`,
		`steps.load-test.done`:                           `unknown step "load"`,
		`size(event.title)`:                              `the condition is int: expected true or false`,
		`"text"`:                                         `the condition is string: expected true or false`,
		``:                                               `the expression is empty`,
		`sizze(event.title) > 1`:                         `unknown name "sizze"; did you mean "size"?`,
		strings.Repeat("(", 200) + "true":                `column`,
		`event.x == "` + strings.Repeat("x", 5000) + `"`: `size`,
	} {
		_, err := compileCondition(text, sc)
		if !fault.Is(err, fault.KindInvalid) || !strings.Contains(err.Error(), want) {
			t.Errorf("%.60s:\n got %v\nwant %s", text, err, want)
		}
	}
	if _, err := compileCondition("steps.verdict.done", scope{noSteps: true}); err == nil || !strings.Contains(err.Error(), "only event") {
		t.Errorf("steps in a trigger: %v", err)
	}
}

func TestConditionsThatCannotBeEvaluated(t *testing.T) {
	v, sc := exampleValues(t)
	for _, text := range []string{`int(event.nothing) > 1`, `event.service`, `event.links[3] == ""`, `event.entities.all(a, event.entities.all(b, size(event.properties.x) < 1/0))`} {
		e, err := compileCondition(text, sc)
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		if got, err := e.holds(t.Context(), v); got || !fault.Is(err, fault.KindInvalid) {
			t.Errorf("%s is %v, %v: want a fault of kind invalid", text, got, err)
		}
	}
}

func TestTemplates(t *testing.T) {
	v, sc := exampleValues(t)
	for text, want := range map[string]string{
		``:                                     ``,
		`plain`:                                `plain`,
		`${event.duration}`:                    `1m`,
		`${steps.verdict.cause.change}`:        `flip-1`,
		`[${event.nothing}]`:                   `[]`,
		`a ${event.service}/${event.users} b`:  `a checkout/200 b`,
		`$${event.service} costs 5$`:           `${event.service} costs 5$`,
		`${steps.verdict.number + 1}`:          `8`,
		`${steps.verdict.done}`:                `true`,
		`${0.5}${double(3)}`:                   `0.53`,
		`${"}" + '{'}`:                         `}{`,
		`${"a\"}b"}`:                           `a"}b`,
		`${{"a": 1}.a}`:                        `1`,
		`${duration("90s")}`:                   `1m30s`,
		`${timestamp("2026-03-01T12:00:00Z")}`: `2026-03-01T12:00:00Z`,
		`${null}`:                              ``,
		`${steps.verdict.cause}`:               `{"change":"flip-1","key":"f"}`,
		`${event.purpose == "x" ? "yes" : "no ü"}`: `no ü`,
	} {
		tmpl, err := compileTemplate(text, sc)
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		if got, err := tmpl.render(t.Context(), v); err != nil || got != want {
			t.Errorf("%s is %q, %v: want %q", text, got, err, want)
		}
	}
	for text, want := range map[string]string{
		`ab ${event.x`:          `column 4: the ${ is not closed`,
		`${}`:                   `the expression is empty`,
		`${steps.verdit.cause}`: `did you mean "verdict"?`,
		`${event.x +}`:          `${event.x +}: column`,
	} {
		if _, err := compileTemplate(text, sc); !fault.Is(err, fault.KindInvalid) || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %s", text, err, want)
		}
	}
}

func TestIdentifier(t *testing.T) {
	for name, want := range map[string]string{"verdict": "verdict", "load-test 2": "load_test_2", "2nd": "_2nd", "größe": "gr__e", "": ""} {
		if got := Identifier(name); got != want {
			t.Errorf("Identifier(%q) is %q, want %q", name, got, want)
		}
	}
}

// FuzzTemplate: no text makes the parser fail other than with an error, and
// what has no ${ is kept as it is.
func FuzzTemplate(f *testing.F) {
	for _, s := range []string{"plain", "${event.x}", "$${x} ${", "${'}'}", "${{1:2}[1]}", "${steps.a.b", "${\"\\\"}\"}", "a$b${event}c$", "${event.all(x, x)}"} {
		f.Add(s)
	}
	event, err := eventRecord(&exampleEvent)
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, text string) {
		tmpl, err := compileTemplate(text, scope{steps: map[string][]string{}})
		if err != nil {
			if !fault.Is(err, fault.KindInvalid) {
				t.Errorf("%q: %v, want a fault of kind invalid", text, err)
			}
			return
		}
		out, err := tmpl.render(t.Context(), values{event, record{}})
		if err == nil && !strings.Contains(text, "${") && out != text {
			t.Errorf("%q became %q", text, out)
		}
	})
}

// Every event is held against every trigger.
func BenchmarkTrigger(b *testing.B) {
	var workflows []Workflow
	for i := range 10 {
		w := judgeEveryLoadTest()
		w.Name += strconv.Itoa(i)
		workflows = append(workflows, w)
	}
	e, err := New(Config{Store: newMemory()})
	if err != nil {
		b.Fatal(err)
	}
	if err := e.Define(workflows); err != nil {
		b.Fatal(err)
	}
	other := exampleEvent
	other.Service = "payment"
	b.ReportAllocs()
	for b.Loop() {
		if ids, err := e.Trigger(b.Context(), other); ids != nil || err != nil {
			b.Fatal(ids, err)
		}
	}
}
