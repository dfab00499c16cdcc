// Package selfhealing plays production under load: a flag that breaks
// payments, a deployment that breaks shipping, and an outage of the card
// network, which is somebody else's. Each is noticed without anybody having
// configured what to look for, explained, and healed, or rightly left alone,
// and the healing is verified.
//
// Nothing is staged: the story does what people do, by the server's public
// API, counts every order, and looks at what the server made of it.
package selfhealing

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"time"

	"github.com/tidegate-io/tidegate/change"
	"github.com/tidegate-io/tidegate/demo/selfhealing/manifests"
	"github.com/tidegate-io/tidegate/demo/shop"
	"github.com/tidegate-io/tidegate/demo/stage"
	"github.com/tidegate-io/tidegate/entity"
	"github.com/tidegate-io/tidegate/fault"
	"github.com/tidegate-io/tidegate/flag"
	"github.com/tidegate-io/tidegate/healing"
	"github.com/tidegate-io/tidegate/problem"
)

// Name is what the story is called.
const Name = "self-healing"

// What the story is about.
const (
	who         = "alex"
	environment = "production"
	flagKey     = "paymentServiceFailure"
	perSecond   = 20
)

// Bounds of waiting, generous: a busy machine is slow, not wrong.
const (
	calm           = 25 * time.Second // orders before anything happens
	detectTimeout  = 60 * time.Second
	explainTimeout = 60 * time.Second
	healTimeout    = 120 * time.Second
	leaveAlone     = 20 * time.Second // how long nothing may be done about the outage
	overTimeout    = 120 * time.Second
)

// Result is what the story writes as JSON.
type Result struct {
	Scenario string        `json:"scenario"`
	OK       bool          `json:"ok"`
	Cases    []Case        `json:"cases"`
	Seconds  float64       `json:"seconds"`
	Claims   []stage.Claim `json:"claims"`
}

// Case is one thing that went wrong; times in seconds after the first failed
// order.
type Case struct {
	Name           string   `json:"name"`
	DetectedAfter  float64  `json:"detectedAfter"`
	Cause          Cause    `json:"cause"`
	Action         string   `json:"action"`
	HealedAfter    *float64 `json:"healedAfter"`
	Verified       bool     `json:"verified"`
	FailedRequests int      `json:"failedRequests"`
	Sentence       string   `json:"sentence"`
}

// Cause is what the server says began it.
type Cause struct {
	Kind      string  `json:"kind"`
	Service   string  `json:"service"`
	Operation string  `json:"operation"`
	Change    *string `json:"change"`
}

// Run plays the story and ends what it started. The Result is as complete as
// it could be made, whatever the error.
func Run(ctx context.Context, cfg stage.Config) (Result, error) {
	s, err := stage.New(cfg)
	if err != nil {
		return Result{Scenario: Name}, err
	}
	p := &play{Stage: s, began: time.Now()}
	err = s.Tell(ctx, p)
	return p.told, err
}

// play is the story as it goes on.
type play struct {
	*stage.Stage
	began time.Time
	acts  []*act
	told  Result
}

// act is one case, with a server, a shop and customers of its own: what is
// learned in one must not help in the next.
type act struct {
	*play
	name      string
	bank      *outside
	tool      *outside // deploys
	customers *stage.Customers

	broken   time.Time
	onset    time.Time // of the first failed order
	change   change.Event
	problem  problem.Problem
	action   *healing.Action
	healed   time.Time
	shipping string // the release that runs
	failed   int
}

// Steps implements stage.Story.
func (p *play) Steps() []stage.Step {
	var out []stage.Step
	for _, c := range []struct {
		name, title string
		do          func(*act, context.Context) error
		after       func(*act, context.Context) error
	}{
		{"bad-flag", who + " turns on the flag " + flagKey, (*act).flipFlag, (*act).awaitHealing},
		{"bad-deployment", who + " deploys shipping 1.1.0, which has a defect", (*act).deploy, (*act).awaitHealing},
		{"upstream-outage", "the card network goes down", (*act).outage, (*act).leaveAlone},
	} {
		a := &act{play: p, name: c.name, shipping: "1.0.0"}
		p.acts = append(p.acts, a)
		out = append(out,
			stage.Do("production: a server, the shop, and 20 orders a second", calm+8*time.Second, a.openStep),
			stage.Do(c.title, 15*time.Second, a.step(c.do)),
			stage.Do("what is done about it", 25*time.Second, a.step(c.after)))
	}
	return out
}

func (a *act) openStep(ctx context.Context) (_ string, err error) {
	if a != a.acts[0] {
		a.closeBefore()
		a.Curtain()
	}
	bank := &shop.Bank{}
	if a.bank, err = serve(bank); err != nil {
		return "", err
	}
	a.bank.fail = bank.Fail
	if a.tool, err = serve(http.HandlerFunc(a.rollBack)); err != nil {
		return "", err
	}
	if err := a.OpenShop(); err != nil {
		return "", err
	}
	if err := a.StartServer(ctx, "SHOP_URL="+a.Shop.URL); err != nil {
		return "", err
	}
	if err := a.Apply(ctx, manifests.Files); err != nil {
		return "", err
	}
	if err := a.StartShop(ctx, environment, a.bank.url); err != nil {
		return "", err
	}
	a.customers = stage.SendCustomers(ctx, a.Shop.URL+"/api/checkout", perSecond, stage.Order)
	return "", a.wait(ctx, calm)
}

// closeBefore ends what the acts before this one still have open.
func (a *act) closeBefore() {
	for _, other := range a.acts {
		if other == a {
			return
		}
		other.close()
	}
}

func (a *act) close() {
	if a.customers != nil {
		a.customers.Stop()
	}
	for _, o := range []*outside{a.bank, a.tool} {
		if o != nil {
			o.close()
		}
	}
}

// step wraps a part of an act; it says what the server found.
func (a *act) step(do func(*act, context.Context) error) func(context.Context) (string, error) {
	return func(ctx context.Context) (string, error) {
		err := do(a, ctx)
		switch {
		case err != nil:
			return "", err
		case a.action != nil && a.action.State == healing.StateEnded:
			return fmt.Sprintf("%s: %s. %s", a.action.Title, a.action.Outcome, a.action.Reason), nil
		case a.problem.Cause != nil:
			return fmt.Sprintf("P-%d: %s", a.problem.Number, a.problem.Cause.Sentence), nil
		}
		return "", nil
	}
}

func (a *act) flipFlag(ctx context.Context) (err error) {
	a.broken = time.Now()
	a.change, err = a.API.SetFlag(ctx, "shop", flag.Change{Key: flagKey, Variant: "on", Who: who, Reason: "try the new payment processor"})
	if err != nil {
		return err
	}
	return a.awaitProblem(ctx)
}

// deploy is what a deployment tool does: it tells what it is going to do, and
// how to undo it, and does it.
func (a *act) deploy(ctx context.Context) error {
	a.broken = time.Now()
	err := a.API.Call(ctx, http.MethodPost, "/v1/events", change.Event{
		Type: change.TypeDeploymentFinished, Kind: change.KindDeployment, Title: "shipping 1.1.0", Who: who, Source: "deploy-tool",
		Ref: entity.Ref{Service: shop.Shipping, Environment: environment}, Key: shop.Shipping, From: "1.0.0", To: "1.1.0",
		Undo: &change.Undo{Kind: "webhook", URL: a.tool.url + "/rollback"}}, &a.change)
	if err != nil {
		return err
	}
	if err := a.StartService(shop.Shipping, "1.1.0", "-defect", "0.5"); err != nil {
		return err
	}
	a.shipping = "1.1.0"
	return a.awaitProblem(ctx)
}

// rollBack is the deployment tool's webhook.
func (a *act) rollBack(w http.ResponseWriter, _ *http.Request) {
	if a.shipping == "1.0.0" {
		return // done already
	}
	if err := a.StartService(shop.Shipping, "1.0.0"); err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	a.shipping = "1.0.0"
}

func (a *act) outage(ctx context.Context) error {
	a.broken = time.Now()
	a.bank.fail(true)
	return a.awaitProblem(ctx)
}

// awaitProblem waits until the server has noticed and knows why.
func (a *act) awaitProblem(ctx context.Context) error {
	err := a.Until(ctx, detectTimeout, 100*time.Millisecond, "a problem is opened", func() (bool, error) {
		var list struct {
			Problems []problem.Problem `json:"problems"`
		}
		if err := a.API.Call(ctx, http.MethodGet, "/v1/problems?limit=5", nil, &list); err != nil {
			return false, err
		}
		if len(list.Problems) == 0 {
			return false, nil
		}
		a.problem = list.Problems[0]
		return true, nil
	})
	if err != nil {
		return err
	}
	a.Display.Detail("P-%d is open: why?", a.problem.Number)
	return a.Until(ctx, explainTimeout, 100*time.Millisecond, "the cause is known", func() (bool, error) {
		err := a.look(ctx)
		return err == nil && a.problem.Cause != nil && a.problem.Cause.Kind != problem.CauseUnknown, err
	})
}

func (a *act) look(ctx context.Context) error {
	return a.API.Call(ctx, http.MethodGet, "/v1/problems/"+url.PathEscape(a.problem.ID), nil, &a.problem)
}

func (a *act) actions(ctx context.Context) ([]healing.Action, error) {
	var list struct {
		Actions []healing.Action `json:"actions"`
	}
	err := a.API.Call(ctx, http.MethodGet, "/v1/healing/actions?limit=20&problem="+url.QueryEscape(a.problem.ID), nil, &list)
	return list.Actions, err
}

// awaitHealing waits until something was done and its success is known.
func (a *act) awaitHealing(ctx context.Context) error {
	err := a.Until(ctx, healTimeout, 100*time.Millisecond, "the problem is healed", func() (bool, error) {
		list, err := a.actions(ctx)
		// An analysis that changes its mind leaves an action behind that is not
		// needed any more, and was not done.
		list = slices.DeleteFunc(list, func(x healing.Action) bool {
			return x.Outcome == healing.OutcomeObsolete || x.Outcome == healing.OutcomeRefused
		})
		if err != nil || len(list) == 0 {
			return false, err
		}
		a.action = &list[0]
		a.Display.Detail("%s: %s", a.action.Title, a.action.State)
		return a.action.State == healing.StateEnded, nil
	})
	if err != nil {
		return err
	}
	a.healed = a.action.Ended
	return a.end(ctx)
}

// leaveAlone looks for a while whether the server keeps its hands off, and then
// ends the outage.
func (a *act) leaveAlone(ctx context.Context) error {
	if err := a.wait(ctx, leaveAlone); err != nil {
		return err
	}
	list, err := a.actions(ctx)
	if err != nil {
		return err
	}
	if len(list) > 0 {
		a.action = &list[0]
	}
	a.bank.fail(false)
	err = a.Until(ctx, overTimeout, 200*time.Millisecond, "the problem is over", func() (bool, error) {
		err := a.look(ctx)
		return err == nil && a.problem.State == problem.StateClosed, err
	})
	if err != nil {
		return err
	}
	return a.end(ctx)
}

// end counts what customers suffered.
func (a *act) end(ctx context.Context) error {
	for _, answer := range a.customers.Answers(a.broken, time.Now()) {
		if answer.Failed() || answer.Lost() {
			a.failed++
			if a.onset.IsZero() || answer.Sent.Before(a.onset) {
				a.onset = answer.Sent
			}
		}
	}
	if a.failed == 0 {
		return fault.Internal("no order failed")
	}
	return a.look(ctx)
}

func (a *act) wait(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return a.Alive()
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Stay implements stage.Story.
func (p *play) Stay(ctx context.Context) error {
	p.Display.Say(fmt.Sprintf(`
Everything stays up, with its customers. Look around:

  UI          %s
  problems    %s/problems
  shop        %s/api/products
  logs        %s

Ctrl-C stops it all.
`, p.API.Base, p.API.Base, p.Shop.URL, p.Logs()))
	defer p.acts[len(p.acts)-1].close()
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
			if err := p.Alive(); err != nil {
				return err
			}
		}
	}
}
