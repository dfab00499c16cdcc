package healing

import (
	"errors"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tidegate-io/tidegate/change"
	"github.com/tidegate-io/tidegate/condition"
	"github.com/tidegate-io/tidegate/fault"
	"github.com/tidegate-io/tidegate/problem"
)

func TestDefaults(t *testing.T) {
	r := Remediation{Name: "r", Attempts: []Attempt{
		{Do: Do{Undo: &Undo{}}},
		{Do: Do{Undo: &Undo{}}, Verify: Verify{Within: 10 * time.Second}},
		{Name: "own", Do: Do{Rollback: &Rollback{Via: Via{Command: &Command{Args: []string{"x"}}}}}},
	}}
	before := reflect.DeepEqual(r.Attempts[2].Do.Rollback.Via.Command.Timeout, time.Duration(0))
	got := r.WithDefaults()
	want := Policy{Approval: ApprovalManual, ApprovalTimeout: 30 * time.Minute, CoolDown: 15 * time.Minute, PerHour: 3, MaxServices: 3, MaxShare: 1, MinConfidence: 0.5, Patience: time.Minute}
	if d := cmp.Diff(want, got.Policy); d != "" {
		t.Errorf("policy: %s", d)
	}
	if d := cmp.Diff([]string{"undo", "undo-2", "own"}, []string{got.Attempts[0].Name, got.Attempts[1].Name, got.Attempts[2].Name}); d != "" {
		t.Errorf("names: %s", d)
	}
	if d := cmp.Diff(Verify{Settle: 5 * time.Second, Window: 10 * time.Second, Within: 10 * time.Second}, got.Attempts[1].Verify); d != "" {
		t.Errorf("verify: %s", d)
	}
	if rb := got.Attempts[2].Do.Rollback; rb.To != LastGood || rb.Via.Command.Timeout != time.Minute {
		t.Errorf("rollback is %+v", rb)
	}
	if !before || r.Attempts[2].Do.Rollback.To != "" || r.Attempts[2].Do.Rollback.Via.Command.Timeout != 0 {
		t.Error("the definition itself was changed")
	}
	if d := cmp.Diff(got, got.WithDefaults()); d != "" {
		t.Errorf("defaults of defaults: %s", d)
	}
}

func TestMistakes(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*Remediation)
		field  string
		text   string
	}{
		"nothing to try":      {func(r *Remediation) { r.Attempts, r.Otherwise = nil, Otherwise{} }, "spec.attempts", "is missing"},
		"nothing to do":       {func(r *Remediation) { r.Attempts[0].Do = Do{} }, "spec.attempts[0].do", "found 0"},
		"two things to do":    {func(r *Remediation) { r.Attempts[0].Do.Command = &Command{Args: []string{"x"}} }, "spec.attempts[0].do", "found 2"},
		"a misspelt field":    {func(r *Remediation) { r.Attempts[0].When = `cause.chnage.kind == "flag"` }, "spec.attempts[0].when", `did you mean "change"?`},
		"a deeper one":        {func(r *Remediation) { r.Attempts[0].When = `cause.change.kin == "flag"` }, "spec.attempts[0].when", `cause.change has no field "kin"; did you mean "kind"?`},
		"no condition":        {func(r *Remediation) { r.For.If = `problem.title + "x"` }, "spec.for.if", "expected true or false"},
		"an unknown approval": {func(r *Remediation) { r.Policy.Approval = "perhaps" }, "spec.policy.approval", "automatic or manual"},
		"a share of 2":        {func(r *Remediation) { r.Policy.MaxShare = 2 }, "spec.policy.maxShare", "100%"},
		"page whom":           {func(r *Remediation) { r.Otherwise.Page = &PageTo{} }, "spec.otherwise.page", "either onCall or channel"},
		"scale how":           {func(r *Remediation) { r.Attempts[0].Do = Do{Scale: &Scale{To: 2}} }, "spec.attempts[0].do.scale", "expected how"},
		"scale to what": {func(r *Remediation) {
			r.Attempts[0].Do = Do{Scale: &Scale{Via: Via{Command: &Command{Args: []string{"x"}}}}}
		}, "spec.attempts[0].do.scale", "a number of instances"},
		"a URL with a password": {func(r *Remediation) {
			r.Attempts[0].Do = Do{Webhook: &Webhook{URL: "https://kim:hunter2@example.com"}}
		}, "spec.attempts[0].do.webhook.url", "holds a user"},
		"a window that is too long": {func(r *Remediation) { r.Attempts[0].Verify = Verify{Window: time.Hour, Within: time.Minute} }, "spec.attempts[0].verify.window", "at most"},
		"a name twice":              {func(r *Remediation) { r.Attempts[0].Name, r.Attempts[1].Name = "a", "a" }, "spec.attempts[1].name", "another attempt"},
	} {
		t.Run(name, func(t *testing.T) {
			r := shop()
			c.change(&r)
			err := r.Validate()
			var f *fault.Error
			if !errors.As(err, &f) || f.Kind != fault.KindInvalid || f.Field != c.field || !strings.Contains(err.Error(), c.text) || strings.Contains(err.Error(), "hunter2") {
				t.Errorf("error is %v, want %s: …%s…", err, c.field, c.text)
			}
		})
	}
	if err := shop().Validate(); err != nil {
		t.Error(err)
	}
}

// Every field of a problem that conditions can name has the value that it has.
func TestConditions(t *testing.T) {
	p := problemOf("p1", badDeployment())
	p.Tags = map[string]string{"team": "shop"}
	p.Cause.Change.Event.Properties = map[string]string{"migration": "true"}
	none := upstreamOutage("p2")
	for text, want := range map[string][2]bool{
		`cause.change.kind == "deployment"`:                                               {true, false},
		`cause.change.kind == ""`:                                                         {false, true},
		`cause.change.irreversible`:                                                       {true, false},
		`!cause.change.irreversible`:                                                      {false, true},
		`cause.change.properties.migration == "true"`:                                     {true, false},
		`cause.kind == "dependency" && cause.service == "stripe"`:                         {false, true},
		`cause.confidence > 0.8`:                                                          {true, true},
		`!problem.frequent && problem.reopened == 0 && problem.impact.slowRequests < 1.0`: {true, true},
		`problem.tags.team == "shop"`:                                                     {true, false},
		`problem.severity == "error" && problem.number == 17`:                             {true, true},
		`problem.impact.services.exists(s, s.service == "checkout")`:                      {true, true},
		`cause.change.likely && cause.change.on.service == "checkout"`:                    {true, false},
	} {
		e, err := compileCondition("x", text)
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		for i, problem := range []*problem.Problem{&p, &none} {
			v, err := view(problem)
			if err != nil {
				t.Fatal(err)
			}
			if got, err := e.Holds(t.Context(), v); err != nil || got != want[i] {
				t.Errorf("%s of problem %d is %v (%v), want %v", text, i+1, got, err, want[i])
			}
		}
	}
}

func TestMatches(t *testing.T) {
	p := problemOf("p1", badFlag())
	p.Tags = map[string]string{"team": "shop"}
	for name, c := range map[string]struct {
		match Match
		want  bool
	}{
		"anything":            {Match{}, true},
		"its environment":     {Match{Environment: []string{"staging", "production"}}, true},
		"another environment": {Match{Environment: []string{"staging"}}, false},
		"its service":         {Match{Service: []string{"checkout"}}, true},
		"another service":     {Match{Service: []string{"billing"}}, false},
		"its severity":        {Match{Severity: []problem.Severity{problem.SeverityError}}, true},
		"another severity":    {Match{Severity: []problem.Severity{problem.SeveritySlowdown}}, false},
		"its cause":           {Match{Cause: []problem.CauseKind{problem.CauseChange}}, true},
		"another cause":       {Match{Cause: []problem.CauseKind{problem.CauseTraffic}}, false},
		"its tags":            {Match{Tags: map[string]string{"team": "shop"}}, true},
		"other tags":          {Match{Tags: map[string]string{"team": "shop", "tier": "1"}}, false},
		"a condition":         {Match{If: `cause.operation == "PlaceOrder"`}, true},
		"another condition":   {Match{If: `cause.operation == "GetCart"`}, false},
	} {
		r := shop()
		r.For = c.match
		compiled, err := r.compile()
		if err != nil {
			t.Fatal(err)
		}
		fields := func() (map[string]condition.Record, error) { return view(&p) }
		if got, err := compiled.matches(t.Context(), &p, fields); err != nil || got != c.want {
			t.Errorf("%s: %v (%v), want %v", name, got, err, c.want)
		}
	}
}

func TestRepeatable(t *testing.T) {
	command := func(idempotent bool) Via { return Via{Command: &Command{Idempotent: idempotent}} }
	for name, c := range map[string]struct {
		do   Do
		want bool
	}{
		"undo":                     {Do{Undo: &Undo{}}, true},
		"rollback":                 {Do{Rollback: &Rollback{}}, true},
		"rollback by a command":    {Do{Rollback: &Rollback{Via: command(false)}}, false},
		"rollback by one that may": {Do{Rollback: &Rollback{Via: command(true)}}, true},
		"a command":                {Do{Command: &Command{}}, false},
		"a webhook, by its key":    {Do{Webhook: &Webhook{}}, true},
		"scale by, with a webhook": {Do{Scale: &Scale{By: 1, Via: Via{Webhook: &Webhook{}}}}, true},
		"scale by, with a command": {Do{Scale: &Scale{By: 1, Via: command(false)}}, false},
		"traffic back":             {Do{Switch: &Switch{}}, true},
	} {
		if got := c.do.repeatable(); got != c.want {
			t.Errorf("%s: %v, want %v", name, got, c.want)
		}
	}
	if titleOf(&Action{Kind: KindUndo, Attempt: Attempt{Do: Do{Undo: &Undo{}}}, Change: &change.Event{Kind: change.KindFlag, Key: "f"}}) != "set flag f back to what it was" {
		t.Error("the title of an undo whose variant is not known")
	}
}
