package httpapi

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"github.com/tidegate-io/tidegate/healing"
)

// Healing does something about problems; *healing.Engine is one.
type Healing interface {
	Status(ctx context.Context) (healing.Status, error)
	StopAll(ctx context.Context, who, reason string) (healing.Stop, error)
	StartAll(ctx context.Context, who, reason string) (healing.Stop, error)
	Actions(ctx context.Context, problem string, limit int) ([]healing.Action, error)
	Action(ctx context.Context, id string) (healing.Action, error)
	Approve(ctx context.Context, id, who, reason string) (healing.Action, error)
	Reject(ctx context.Context, id, who, reason string) (healing.Action, error)
	Options(ctx context.Context, problem string) ([]healing.Option, error)
	Remediate(ctx context.Context, problem string, h healing.ByHand) (healing.Action, error)
	Audit(ctx context.Context, action, problem string, limit int) ([]healing.Entry, error)
}

// HealingActions is newest first.
type HealingActions struct {
	Actions []healing.Action `json:"actions"`
}

// HealingActionDetail is an action with its lines of the audit, oldest first.
type HealingActionDetail struct {
	Action healing.Action  `json:"action"`
	Audit  []healing.Entry `json:"audit"`
}

// HealingAudit is newest first.
type HealingAudit struct {
	Entries []healing.Entry `json:"entries"`
}

// HealingOptions is what can be done about a problem.
type HealingOptions struct {
	Options []healing.Option `json:"options"`
}

// RemediateInput asks to do something about a problem by hand.
type RemediateInput struct {
	Action   string `json:"action" minLength:"1" maxLength:"200" doc:"as the options of the problem name it: undo, rollback, or REMEDIATION/ATTEMPT"`
	Override bool   `json:"override,omitempty" doc:"against objections of safety rules that are not final; the reason says why"`
	WhoWhy
}

// auditLimit bounds the audit of one action.
const auditLimit = 500

func (a *server) registerHealing(api huma.API) {
	huma.Get(api, "/v1/healing", call(a, func(ctx context.Context, _ *struct{}) (healing.Status, error) {
		return a.Healing.Status(ctx)
	}), named("get-healing"))
	huma.Post(api, "/v1/healing/stop", call(a, func(ctx context.Context, in *struct{ Body WhoWhy }) (healing.Stop, error) {
		return a.Healing.StopAll(ctx, in.Body.Who, in.Body.Reason)
	}), named("stop-healing"))
	huma.Post(api, "/v1/healing/start", call(a, func(ctx context.Context, in *struct{ Body WhoWhy }) (healing.Stop, error) {
		return a.Healing.StartAll(ctx, in.Body.Who, in.Body.Reason)
	}), named("start-healing"))
	huma.Get(api, "/v1/healing/actions", call(a, func(ctx context.Context, in *struct {
		Problem string `query:"problem"`
		Limit   int    `query:"limit" default:"50" minimum:"1" maximum:"500"`
	}) (HealingActions, error) {
		list, err := a.Healing.Actions(ctx, in.Problem, in.Limit)
		return HealingActions{nonNil(list)}, err
	}), named("list-healing-actions"))
	huma.Get(api, "/v1/healing/actions/{id}", call(a, a.healingAction), named("get-healing-action"))
	a.registerHealingDecisions(api)
	huma.Get(api, "/v1/healing/audit", call(a, func(ctx context.Context, in *struct {
		Action  string `query:"action"`
		Problem string `query:"problem"`
		Limit   int    `query:"limit" default:"100" minimum:"1" maximum:"1000"`
	}) (HealingAudit, error) {
		list, err := a.Healing.Audit(ctx, in.Action, in.Problem, in.Limit)
		return HealingAudit{nonNil(list)}, err
	}), named("list-healing-audit"))
}

// registerHealingDecisions adds what people decide.
func (a *server) registerHealingDecisions(api huma.API) {
	type decision struct {
		IDParam
		Body WhoWhy
	}
	huma.Post(api, "/v1/healing/actions/{id}/approve", call(a, func(ctx context.Context, in *decision) (healing.Action, error) {
		return a.Healing.Approve(ctx, in.ID, in.Body.Who, in.Body.Reason)
	}), named("approve-healing-action"))
	huma.Post(api, "/v1/healing/actions/{id}/reject", call(a, func(ctx context.Context, in *decision) (healing.Action, error) {
		return a.Healing.Reject(ctx, in.ID, in.Body.Who, in.Body.Reason)
	}), named("reject-healing-action"))
	huma.Get(api, "/v1/problems/{id}/remedies", call(a, func(ctx context.Context, in *IDParam) (HealingOptions, error) {
		list, err := a.Healing.Options(ctx, in.ID)
		return HealingOptions{nonNil(list)}, err
	}), named("list-remedies"))
	huma.Post(api, "/v1/problems/{id}/remediate", call(a, func(ctx context.Context, in *struct {
		IDParam
		Body RemediateInput
	}) (healing.Action, error) {
		return a.Healing.Remediate(ctx, in.ID, healing.ByHand{Action: in.Body.Action, Who: in.Body.Who, Reason: in.Body.Reason, Override: in.Body.Override})
	}), named("remediate-problem"), status(http.StatusAccepted))
}

func (a *server) healingAction(ctx context.Context, in *IDParam) (HealingActionDetail, error) {
	act, err := a.Healing.Action(ctx, in.ID)
	if err != nil {
		return HealingActionDetail{}, err
	}
	audit, err := a.Healing.Audit(ctx, in.ID, "", auditLimit)
	out := HealingActionDetail{Action: act, Audit: make([]healing.Entry, 0, len(audit))}
	for i := len(audit) - 1; i >= 0; i-- {
		out.Audit = append(out.Audit, audit[i])
	}
	return out, err
}
