package healing

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"reflect"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/tidegate-io/tidegate/change"
	"github.com/tidegate-io/tidegate/condition"
	"github.com/tidegate-io/tidegate/entity"
	"github.com/tidegate-io/tidegate/fault"
	"github.com/tidegate-io/tidegate/problem"
)

// Defaults and limits of definitions.
const (
	maxAttempts = 20
	maxName     = 63
	maxArgs     = 100

	defaultApprovalTimeout = 30 * time.Minute
	defaultCoolDown        = 15 * time.Minute
	defaultPerHour         = 3
	defaultMaxServices     = 3
	defaultMinConfidence   = 0.5
	defaultPatience        = time.Minute
	defaultTimeout         = time.Minute
	maxTimeout             = time.Hour
	defaultSettle          = 5 * time.Second
	defaultWithin          = 5 * time.Minute
	defaultWindow          = 30 * time.Second
	minWindow              = time.Second
	maxWithin              = 24 * time.Hour
)

// WithDefaults returns a copy in which everything left open is decided. What is
// not said to be automatic needs a person's approval.
func (r Remediation) WithDefaults() Remediation {
	p := &r.Policy
	setDefault(&p.Approval, ApprovalManual)
	setDefault(&p.ApprovalTimeout, defaultApprovalTimeout)
	setDefault(&p.CoolDown, defaultCoolDown)
	setDefault(&p.PerHour, defaultPerHour)
	setDefault(&p.MaxServices, defaultMaxServices)
	setDefault(&p.MaxShare, 1)
	setDefault(&p.MinConfidence, defaultMinConfidence)
	setDefault(&p.Patience, defaultPatience)
	r.Attempts = slices.Clone(r.Attempts)
	names := map[string]bool{}
	for i := range r.Attempts {
		a := &r.Attempts[i]
		if a.Name == "" {
			a.Name = freeName(string(a.Do.Kind()), names)
		}
		names[a.Name] = true
		a.Do = a.Do.withDefaults()
		a.Verify = a.Verify.withDefaults()
	}
	return r
}

func freeName(base string, taken map[string]bool) string {
	name := base
	for n := 2; taken[name]; n++ {
		name = fmt.Sprintf("%s-%d", base, n)
	}
	return name
}

func setDefault[T comparable](v *T, to T) {
	var zero T
	if *v == zero {
		*v = to
	}
}

func (v Verify) withDefaults() Verify {
	setDefault(&v.Settle, defaultSettle)
	setDefault(&v.Within, defaultWithin)
	setDefault(&v.Window, min(defaultWindow, v.Within))
	return v
}

func (d Do) withDefaults() Do {
	if d.Rollback != nil {
		r := *d.Rollback
		setDefault(&r.To, LastGood)
		d.Rollback = &r
	}
	if c, w := d.via(); c != nil || w != nil {
		if c != nil {
			own := *c
			setDefault(&own.Timeout, defaultTimeout)
			c = &own
		}
		if w != nil {
			own := *w
			setDefault(&own.Timeout, defaultTimeout)
			w = &own
		}
		d = d.withVia(Via{Command: c, Webhook: w})
	}
	return d
}

// withVia replaces how it is done, in a copy.
func (d Do) withVia(v Via) Do {
	switch {
	case d.Rollback != nil:
		d.Rollback = &Rollback{To: d.Rollback.To, Via: v}
	case d.Switch != nil:
		d.Switch = &Switch{Via: v}
	case d.Scale != nil:
		d.Scale = &Scale{To: d.Scale.To, By: d.Scale.By, Via: v}
	default:
		d.Command, d.Webhook = v.Command, v.Webhook
	}
	return d
}

// Validate reports the first thing that is wrong with a definition, as a fault
// of KindInvalid whose field is the path in the manifest. It accepts
// definitions with and without defaults filled in.
func (r Remediation) Validate() error {
	_, err := r.compile()
	return err
}

// compiled is a definition with its conditions; those that are nil hold.
type compiled struct {
	Remediation
	match *condition.Expression
	when  []*condition.Expression
}

func (r Remediation) compile() (*compiled, error) {
	if len(r.Attempts) > maxAttempts {
		return nil, fault.InvalidField("spec.attempts", "has %d attempts, the limit is %d", len(r.Attempts), maxAttempts)
	}
	if len(r.Attempts) == 0 && r.Otherwise.Page == nil {
		return nil, fault.InvalidField("spec.attempts", "is missing: expected what to try, or otherwise with whom to page")
	}
	if err := r.Policy.validate(); err != nil {
		return nil, err
	}
	if err := r.Otherwise.validate(); err != nil {
		return nil, err
	}
	c := &compiled{Remediation: r}
	var err error
	if c.match, err = compileCondition("spec.for.if", r.For.If); err != nil {
		return nil, err
	}
	names := map[string]bool{}
	for i, a := range r.Attempts {
		at := fmt.Sprintf("spec.attempts[%d]", i)
		if err := a.validate(at); err != nil {
			return nil, err
		}
		if names[a.Name] && a.Name != "" {
			return nil, fault.InvalidField(at+".name", "%q is the name of another attempt already", a.Name)
		}
		names[a.Name] = true
		e, err := compileCondition(at+".when", a.When)
		if err != nil {
			return nil, err
		}
		c.when = append(c.when, e)
	}
	return c, nil
}

func (p Policy) validate() error {
	switch {
	case p.Approval != "" && p.Approval != ApprovalAutomatic && p.Approval != ApprovalManual:
		return fault.InvalidField("spec.policy.approval", "%q: expected automatic or manual", p.Approval)
	case p.ApprovalTimeout < 0, p.CoolDown < 0, p.Patience < 0:
		return fault.InvalidField("spec.policy", "a duration is negative")
	case p.PerHour < 0 || p.PerHour > 1000:
		return fault.InvalidField("spec.policy.perHour", "%d: expected 1 to 1000", p.PerHour)
	case p.MaxServices < 0:
		return fault.InvalidField("spec.policy.maxServices", "%d: expected at least 1", p.MaxServices)
	case !(p.MaxShare >= 0 && p.MaxShare <= 1):
		return fault.InvalidField("spec.policy.maxShare", "%v: expected a share of up to 100%%", p.MaxShare)
	case !(p.MinConfidence >= 0 && p.MinConfidence <= 1):
		return fault.InvalidField("spec.policy.minConfidence", "%v: expected a share of up to 100%%", p.MinConfidence)
	}
	return nil
}

func (o Otherwise) validate() error {
	if o.Page != nil && (o.Page.OnCall == "") == (o.Page.Channel == "") {
		return fault.InvalidField("spec.otherwise.page", "expected either onCall or channel")
	}
	return nil
}

func (a Attempt) validate(at string) error {
	if len(a.Name) > maxName {
		return fault.InvalidField(at+".name", "is longer than %d characters", maxName)
	}
	if err := a.Do.validate(at + ".do"); err != nil {
		return err
	}
	v := a.Verify
	switch {
	case v.Settle < 0 || v.Settle > maxWithin:
		return fault.InvalidField(at+".verify.settle", "expected up to %s", maxWithin)
	case v.Within != 0 && (v.Within < minWindow || v.Within > maxWithin):
		return fault.InvalidField(at+".verify.within", "expected between %s and %s", minWindow, maxWithin)
	case v.Window != 0 && (v.Window < minWindow || (v.Within != 0 && v.Window > v.Within)):
		return fault.InvalidField(at+".verify.window", "expected at least %s, and at most what within says", minWindow)
	case v.Guardian == "" && len(v.Variables) > 0:
		return fault.InvalidField(at+".verify.variables", "needs a guardian that has them")
	}
	return nil
}

func (d Do) validate(at string) error {
	n := 0
	for _, set := range []bool{d.Undo != nil, d.Rollback != nil, d.Switch != nil, d.Scale != nil, d.Command != nil, d.Webhook != nil} {
		if set {
			n++
		}
	}
	if n != 1 {
		return fault.InvalidField(at, "expected exactly one of undo, rollback, switch, scale, command and webhook, found %d", n)
	}
	field := at + "." + string(d.Kind())
	c, w := d.via()
	switch {
	case c != nil && w != nil:
		return fault.InvalidField(field, "expected either a command or a webhook, not both")
	case d.Scale != nil && (d.Scale.To > 0) == (d.Scale.By != 0):
		return fault.InvalidField(field, "expected either to, a number of instances above 0, or by, how many more or fewer")
	case d.Scale != nil && c == nil && w == nil:
		return fault.InvalidField(field, "expected how: a command or a webhook that does it")
	}
	if c != nil {
		return c.validate(field)
	}
	if w != nil {
		return w.validate(field)
	}
	return nil
}

func (c *Command) validate(at string) error {
	switch {
	case len(c.Args) == 0 || c.Args[0] == "":
		return fault.InvalidField(at, "args is missing: expected the program and its arguments")
	case len(c.Args) > maxArgs:
		return fault.InvalidField(at+".args", "has %d arguments, the limit is %d", len(c.Args), maxArgs)
	case c.Timeout < 0 || c.Timeout > maxTimeout:
		return fault.InvalidField(at+".timeout", "expected up to %s", maxTimeout)
	}
	return nil
}

func (w *Webhook) validate(at string) error {
	u, err := url.Parse(w.URL)
	switch {
	case err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Host == "":
		return fault.InvalidField(at+".url", "expected an http or https URL")
	case u.User != nil:
		return fault.InvalidField(at+".url", "holds a user or password: use headers or a secret instead")
	case w.SecretEnv != "" && w.SecretFile != "":
		return fault.InvalidField(at+".secret", "expected either env or file")
	case w.Timeout < 0 || w.Timeout > maxTimeout:
		return fault.InvalidField(at+".timeout", "expected up to %s", maxTimeout)
	}
	return nil
}

// vocabulary is what conditions may name.
var vocabulary = sync.OnceValue(func() *condition.Vocabulary { return condition.NewVocabulary("problem", "cause") })

var knownFields = condition.Fields(map[string]reflect.Type{
	"problem": reflect.TypeFor[problem.Problem](), "cause": reflect.TypeFor[causeView](),
}, nil)

// causeView is the cause as conditions see it: cause.change has the fields of
// the change itself, empty when none is to blame.
type causeView struct {
	problem.Cause
	Change changeView `json:"change"`
}

type changeView struct {
	change.Event
	On           entity.Ref `json:"on"`
	Likely       bool       `json:"likely"`
	Score        float64    `json:"score"`
	Irreversible bool       `json:"irreversible"`
}

func compileCondition(field, text string) (*condition.Expression, error) {
	if text == "" {
		return nil, nil
	}
	e, err := vocabulary().Condition(text, knownFields)
	if err != nil {
		return nil, inField(field, err)
	}
	return e, nil
}

func inField(field string, err error) error {
	var f *fault.Error
	if errors.As(err, &f) && f.Field == "" {
		return &fault.Error{Kind: f.Kind, Field: field, Err: err}
	}
	return err
}

// view is a problem as conditions see it.
func view(p *problem.Problem) (map[string]condition.Record, error) {
	cause := causeView{}
	if c := p.Cause; c != nil {
		cause.Cause = *c
		if c.Change != nil {
			cause.Change = changeView{Event: c.Change.Event, On: c.Change.On, Likely: c.Change.Likely, Score: c.Change.Score, Irreversible: Irreversible(&c.Change.Event)}
		}
	}
	short := *p
	short.Evidence, short.Comments, short.Cause = nil, nil, nil
	out := map[string]condition.Record{}
	for name, v := range map[string]any{"problem": short, "cause": cause} {
		var err error
		if out[name], err = condition.RecordFrom(v); err != nil {
			return nil, fault.Internal("problem %s: %w", p.ID, err)
		}
	}
	return out, nil
}

// viewer makes the view of a problem when it is asked for.
type viewer func() (map[string]condition.Record, error)

// holds asks a condition; one that is nil holds.
func holds(ctx context.Context, e *condition.Expression, fields viewer) (bool, error) {
	if e == nil {
		return true, nil
	}
	v, err := fields()
	if err != nil {
		return false, err
	}
	return e.Holds(ctx, v)
}

// matches reports whether a problem is the remediation's.
func (c *compiled) matches(ctx context.Context, p *problem.Problem, fields viewer) (bool, error) {
	m := &c.For
	if len(m.Severity) > 0 && !slices.Contains(m.Severity, p.Severity) {
		return false, nil
	}
	if len(m.Cause) > 0 && (p.Cause == nil || !slices.Contains(m.Cause, p.Cause.Kind)) {
		return false, nil
	}
	if !m.matchesPlace(p) {
		return false, nil
	}
	for k, v := range m.Tags {
		if p.Tags[k] != v {
			return false, nil
		}
	}
	return holds(ctx, c.match, fields)
}

// matchesPlace looks at the cause and at every service that is hurt.
func (m *Match) matchesPlace(p *problem.Problem) bool {
	places := slices.Clone(p.Impact.Services)
	if p.Cause != nil {
		places = append(places, p.Cause.Ref)
	}
	for i := range p.Events {
		places = append(places, p.Events[i].Ref)
	}
	has := func(set []string, field func(entity.Ref) string) bool {
		return len(set) == 0 || slices.ContainsFunc(places, func(r entity.Ref) bool { return slices.Contains(set, field(r)) })
	}
	return has(m.Service, func(r entity.Ref) string { return r.Service }) &&
		has(m.Environment, func(r entity.Ref) string { return r.Environment })
}

// titleOf says in a few words what is done.
func titleOf(a *Action) string {
	d, where := &a.Attempt.Do, a.Service
	switch {
	case a.Kind == KindPage:
		return "page a person"
	case d.Undo != nil && a.Change != nil && a.Change.Kind == change.KindFlag:
		return fmt.Sprintf("set flag %s back to %s", a.Change.Key, orUnknown(a.Revision))
	case d.Undo != nil && a.Change != nil:
		return "undo " + a.Change.Title
	case d.Undo != nil:
		return "undo the change"
	case d.Rollback != nil:
		return fmt.Sprintf("roll %s back to %s", where, orUnknown(a.Revision))
	case d.Switch != nil:
		return fmt.Sprintf("send the traffic of %s back", where)
	case d.Scale != nil && d.Scale.By != 0:
		return fmt.Sprintf("scale %s by %+d", where, d.Scale.By)
	case d.Scale != nil:
		return fmt.Sprintf("scale %s to %d", where, d.Scale.To)
	case d.Command != nil:
		return "run " + strings.Join(d.Command.Args[:1], "")
	}
	return "call the webhook " + a.Attempt.Name
}

func orUnknown(revision string) string {
	if revision == "" {
		return "what it was"
	}
	return revision
}
