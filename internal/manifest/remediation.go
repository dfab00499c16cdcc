package manifest

import (
	"fmt"
	"slices"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"go.yaml.in/yaml/v3"

	"github.com/tidegate-io/tidegate/healing"
	"github.com/tidegate-io/tidegate/problem"
)

// Remediation is the spec of kind Remediation.
type Remediation struct {
	For       RemediationFor    `json:"for,omitempty" doc:"which problems it is for; of several remediations the first by name is followed"`
	Policy    RemediationPolicy `json:"policy,omitempty"`
	Attempts  []Attempt         `json:"attempts,omitempty" doc:"tried in this order until one is verified"`
	Otherwise *Otherwise        `json:"otherwise,omitempty" doc:"when no attempt is left"`
}

// RemediationFor selects problems; what is left out does not restrict.
type RemediationFor struct {
	Environment Words             `json:"environment,omitempty"`
	Service     Words             `json:"service,omitempty" doc:"where the cause is, or a service that is hurt"`
	Severity    Words             `json:"severity,omitempty" doc:"availability, error, slowdown, resource, custom, info"`
	Cause       Words             `json:"cause,omitempty" doc:"change, dependency, resource, traffic, certificate, fault, …"`
	Tags        map[string]string `json:"tags,omitempty" doc:"each must be on the problem"`
	If          string            `json:"if,omitempty" doc:"CEL over problem and cause"`
}

// RemediationPolicy bounds what is done.
type RemediationPolicy struct {
	Approval        string    `json:"approval,omitempty" enum:"automatic,manual" doc:"default manual: a person approves each action"`
	ApprovalTimeout *Duration `json:"approvalTimeout,omitempty" doc:"default 30m; then a person is paged"`
	CoolDown        *Duration `json:"coolDown,omitempty" doc:"between actions on a service for different problems; default 15m"`
	PerHour         int       `json:"perHour,omitempty" doc:"actions on a service; default 3"`
	MaxServices     int       `json:"maxServices,omitempty" doc:"services that an action may touch; default 3"`
	MaxShare        *Percent  `json:"maxShare,omitempty" doc:"of the environment's instances that an action may touch; default 100%"`
	MinConfidence   *Percent  `json:"minConfidence,omitempty" doc:"in the cause; default 50%"`
	Patience        *Duration `json:"patience,omitempty" doc:"for the analysis, before a problem whose cause is not known is left to a person; default 1m"`
	DryRun          bool      `json:"dryRun,omitempty" doc:"record what would be done, and do nothing"`
}

// Attempt is one thing to try.
type Attempt struct {
	Name   string      `json:"name,omitempty" doc:"default: what is done"`
	When   string      `json:"when,omitempty" doc:"CEL over problem and cause, for example cause.change.kind == \"flag\""`
	Do     Do          `json:"do"`
	Verify *HealVerify `json:"verify,omitempty" doc:"how it is known that it helped; default: the problem is closed within 5m"`
}

// Do is what is done; exactly one.
type Do struct {
	Undo     string       `json:"undo,omitempty" enum:"change" doc:"take the change back that is the cause, the way it says: the flag's previous variant, or its webhook"`
	Rollback *Rollback    `json:"rollback,omitempty"`
	Switch   *Via         `json:"switch,omitempty" doc:"send traffic back to the other side of blue and green"`
	Scale    *Scale       `json:"scale,omitempty"`
	Command  *HealCommand `json:"command,omitempty" doc:"gets the request as JSON on its standard input"`
	Webhook  *HealWebhook `json:"webhook,omitempty" doc:"gets the request as JSON"`
}

// Rollback deploys an earlier revision.
type Rollback struct {
	To      string       `json:"to,omitempty" doc:"last-good (default), or a revision"`
	Command *HealCommand `json:"command,omitempty" doc:"that does it, instead of Tidegate's deployer"`
	Webhook *HealWebhook `json:"webhook,omitempty" doc:"that does it, instead of Tidegate's deployer"`
}

// Via is a program or an endpoint that does something.
type Via struct {
	Command *HealCommand `json:"command,omitempty"`
	Webhook *HealWebhook `json:"webhook,omitempty"`
}

// Scale changes the number of instances.
type Scale struct {
	To      int          `json:"to,omitempty"`
	By      int          `json:"by,omitempty" doc:"more, or fewer below zero"`
	Command *HealCommand `json:"command,omitempty"`
	Webhook *HealWebhook `json:"webhook,omitempty"`
}

// HealCommand is a program.
type HealCommand struct {
	Args       []string          `json:"args"`
	Env        map[string]string `json:"env,omitempty"`
	Dir        string            `json:"dir,omitempty"`
	Timeout    *Duration         `json:"timeout,omitempty" doc:"default 1m"`
	Idempotent bool              `json:"idempotent,omitempty" doc:"may be run again when nobody knows whether it ran"`
}

// HealWebhook is an HTTP endpoint.
type HealWebhook struct {
	URL     string            `json:"url"`
	Headers map[string]string `json:"headers,omitempty"`
	Secret  *Secret           `json:"secret,omitempty" doc:"key of the HMAC-SHA256 signature"`
	Timeout *Duration         `json:"timeout,omitempty" doc:"default 1m"`
}

// HealVerify says how it is known that an attempt helped.
type HealVerify struct {
	Guardian  string            `json:"guardian,omitempty" doc:"one of its validations must pass; without, the problem must be closed"`
	Variables map[string]string `json:"variables,omitempty" doc:"of the guardian"`
	Settle    *Duration         `json:"settle,omitempty" doc:"before the first look; default 5s"`
	Window    *Duration         `json:"window,omitempty" doc:"length of a validation; default 30s"`
	Within    *Duration         `json:"within,omitempty" doc:"how long validations are repeated; default 5m"`
}

// Otherwise is the end of a remediation that did not heal.
type Otherwise struct {
	Page *PageTo `json:"page,omitempty"`
}

// PageTo says who is told; exactly one.
type PageTo struct {
	OnCall  string `json:"onCall,omitempty" doc:"whoever is on call there; a notification channel of this name"`
	Channel string `json:"channel,omitempty" doc:"a notification channel"`
}

// Words is one word or a list of them.
type Words []string

// fromNode accepts the short form of one word.
func (w *Words) fromNode(d *decoder, n *yaml.Node, path string) {
	if n.Kind == yaml.ScalarNode {
		*w = Words{""}
		d.decode(n, valueOf(&(*w)[0]), path)
		return
	}
	var list []string
	d.decode(n, valueOf(&list), path)
	*w = list
}

// Schema implements huma.SchemaProvider.
func (Words) Schema(huma.Registry) *huma.Schema {
	text := &huma.Schema{Type: huma.TypeString}
	return &huma.Schema{OneOf: []*huma.Schema{text, {Type: huma.TypeArray, Items: text}}}
}

var severities = []string{string(problem.SeverityAvailability), string(problem.SeverityError), string(problem.SeveritySlowdown),
	string(problem.SeverityResource), string(problem.SeverityCustom), string(problem.SeverityInfo)}

func (r *Remediation) check(c *checker) {
	for _, s := range r.For.Severity {
		if !slices.Contains(severities, s) {
			c.at("for.severity").errorf("unknown severity %q%s; expected one of %s", s, didYouMean(s, severities), quoteList(severities))
		}
	}
	oneOf(c.at("policy.approval"), r.Policy.Approval, "automatic", "manual")
	for i, a := range r.Attempts {
		oneOf(c.at("attempts[%d].do.undo", i), a.Do.Undo, "change")
	}
	if len(c.d.errs) > 0 {
		return
	}
	if err := r.Definition("check", nil).Validate(); err != nil {
		c.fault(err)
	}
}

// Definition returns the remediation as the domain knows it.
func (r *Remediation) Definition(name string, labels map[string]string) healing.Remediation {
	p := r.Policy
	out := healing.Remediation{
		Name: name, Labels: labels,
		For: healing.Match{Environment: r.For.Environment, Service: r.For.Service, Tags: r.For.Tags, If: r.For.If},
		Policy: healing.Policy{
			Approval: healing.Approval(p.Approval), ApprovalTimeout: span(p.ApprovalTimeout), CoolDown: span(p.CoolDown), PerHour: p.PerHour,
			MaxServices: p.MaxServices, MaxShare: share(p.MaxShare), MinConfidence: share(p.MinConfidence), Patience: span(p.Patience), DryRun: p.DryRun,
		},
	}
	for _, s := range r.For.Severity {
		out.For.Severity = append(out.For.Severity, problem.Severity(s))
	}
	for _, k := range r.For.Cause {
		out.For.Cause = append(out.For.Cause, problem.CauseKind(k))
	}
	for _, a := range r.Attempts {
		out.Attempts = append(out.Attempts, healing.Attempt{Name: a.Name, When: a.When, Do: a.Do.definition(), Verify: a.Verify.definition()})
	}
	if r.Otherwise != nil && r.Otherwise.Page != nil {
		out.Otherwise.Page = (*healing.PageTo)(r.Otherwise.Page)
	}
	return out
}

func (d *Do) definition() healing.Do {
	out := healing.Do{Command: d.Command.definition(), Webhook: d.Webhook.definition()}
	if d.Undo != "" {
		out.Undo = &healing.Undo{}
	}
	if r := d.Rollback; r != nil {
		out.Rollback = &healing.Rollback{To: r.To, Via: via(r.Command, r.Webhook)}
	}
	if s := d.Switch; s != nil {
		out.Switch = &healing.Switch{Via: via(s.Command, s.Webhook)}
	}
	if s := d.Scale; s != nil {
		out.Scale = &healing.Scale{To: s.To, By: s.By, Via: via(s.Command, s.Webhook)}
	}
	return out
}

func via(c *HealCommand, w *HealWebhook) healing.Via {
	return healing.Via{Command: c.definition(), Webhook: w.definition()}
}

func (c *HealCommand) definition() *healing.Command {
	if c == nil {
		return nil
	}
	return &healing.Command{Args: c.Args, Env: c.Env, Dir: c.Dir, Timeout: span(c.Timeout), Idempotent: c.Idempotent}
}

func (w *HealWebhook) definition() *healing.Webhook {
	if w == nil {
		return nil
	}
	out := &healing.Webhook{URL: w.URL, Headers: w.Headers, Timeout: span(w.Timeout)}
	if w.Secret != nil {
		out.SecretEnv, out.SecretFile = w.Secret.Env, w.Secret.File
	}
	return out
}

func (v *HealVerify) definition() healing.Verify {
	if v == nil {
		return healing.Verify{}
	}
	return healing.Verify{Guardian: v.Guardian, Variables: v.Variables, Settle: span(v.Settle), Window: span(v.Window), Within: span(v.Within)}
}

// Guardians returns the names of the guardians that verify, and where each is
// written.
func (r *Remediation) Guardians() map[string]string {
	out := map[string]string{}
	for i, a := range r.Attempts {
		if a.Verify != nil && a.Verify.Guardian != "" {
			out[fmt.Sprintf("spec.attempts[%d].verify.guardian", i)] = a.Verify.Guardian
		}
	}
	return out
}

func span(d *Duration) time.Duration {
	if d == nil {
		return 0
	}
	return time.Duration(*d)
}

func share(p *Percent) float64 {
	if p == nil {
		return 0
	}
	return float64(*p)
}
