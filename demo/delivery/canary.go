package delivery

import (
	"context"
	"fmt"
	"time"

	"github.com/tidegate-io/tidegate/delivery/rollout"
	"github.com/tidegate-io/tidegate/demo/stage"
)

// Canary is what the story is called.
const Canary = "canary"

// CanaryResult is what the story writes as JSON.
type CanaryResult struct {
	Scenario string         `json:"scenario"`
	OK       bool           `json:"ok"`
	Canaries []CanaryReport `json:"canaries"`
	Seconds  float64        `json:"seconds"`
	Claims   []stage.Claim  `json:"claims"`
}

// CanaryReport is one canary.
type CanaryReport struct {
	Version string       `json:"version"`
	Steps   []CanaryStep `json:"steps"`
	Outcome string       `json:"outcome"`
	// RequestsServed by the canary until its outcome, as customers counted.
	RequestsServed   int     `json:"requestsServed"`
	SecondsToOutcome float64 `json:"secondsToOutcome"`
}

// CanaryStep is one share of the customers that was judged.
type CanaryStep struct {
	Weight   float64 `json:"weight"`
	Verdict  string  `json:"verdict"`
	Requests float64 `json:"requests"`
}

type canary struct {
	*scene
	good, bad rollout.Run
	told      CanaryResult
}

// RunCanary plays the story and ends what it started. The result is as
// complete as it could be made, whatever the error.
func RunCanary(ctx context.Context, cfg stage.Config) (CanaryResult, error) {
	s, err := newScene(cfg, Canary)
	if err != nil {
		return CanaryResult{Scenario: Canary}, err
	}
	c := &canary{scene: s}
	err = s.Tell(ctx, c)
	return c.told, err
}

// Steps implements stage.Story.
func (c *canary) Steps() []stage.Step {
	return []stage.Step{
		stage.Do("start the server, version 1 of the shop, and its customers", 6*time.Second, c.openStep),
		stage.Do("version 2 is good: 20 %, then 50 %, then everybody", 66*time.Second, c.goodStep),
		stage.Do("version 3 fails every fifth order: a canary of 20 %", 16*time.Second, c.badStep),
	}
}

func (c *canary) openStep(ctx context.Context) (string, error) {
	if err := c.open(ctx, "v1", "V1_URL"); err != nil {
		return "", err
	}
	c.customers = stage.SendCustomers(ctx, c.url, 150, nil)
	return "150 orders a second at " + c.url, c.settle(ctx, 3*time.Second)
}

func (c *canary) goodStep(ctx context.Context) (_ string, err error) {
	if err := c.deploy(ctx, "v2", "2"); err != nil {
		return "", err
	}
	c.good, err = c.rollOut(ctx, "shop-canary", "2")
	return told(c.good), err
}

func (c *canary) badStep(ctx context.Context) (_ string, err error) {
	if err := c.deploy(ctx, "v3", "3", "-failures", "0.2"); err != nil {
		return "", err
	}
	c.bad, err = c.rollOut(ctx, "shop-canary", "3")
	if c.Exit {
		c.customers.Stop()
	}
	return told(c.bad), err
}

func (c *canary) report(r rollout.Run) CanaryReport {
	out := CanaryReport{Version: r.Candidate.Version, Outcome: string(r.State), Steps: []CanaryStep{}}
	for _, s := range r.Steps {
		for _, v := range s.Verdicts {
			out.Steps = append(out.Steps, CanaryStep{s.Weight, v.Status, v.Requests})
		}
	}
	out.SecondsToOutcome = r.Finished.Sub(r.Started).Seconds()
	for _, a := range c.customers.Answers(r.Started, r.Finished) {
		if a.Release == r.Candidate.Version || a.Failed() {
			out.RequestsServed++
		}
	}
	return out
}

// Conclude implements stage.Story.
func (c *canary) Conclude() []stage.Claim {
	c.told = CanaryResult{Scenario: Canary, Canaries: []CanaryReport{}, Seconds: time.Since(c.began).Seconds()}
	r := &c.told
	claim := func(holds bool, found, sentence string) {
		r.Claims = append(r.Claims, stage.Claim{Claim: sentence, Found: found, Holds: holds})
	}
	for _, run := range []rollout.Run{c.good, c.bad} {
		if run.ID != "" {
			r.Canaries = append(r.Canaries, c.report(run))
		}
	}
	claim(c.good.State == rollout.StatePromoted, told(c.good), "the good canary gets everybody")
	claim(c.bad.State == rollout.StateAborted && c.bad.DecidedBy == "guardian side-by-side", told(c.bad)+" by "+c.bad.DecidedBy, "the bad canary is aborted by itself")
	claim(len(c.bad.Steps) > 0 && c.bad.At == 0, fmt.Sprintf("at step %d", c.bad.At+1), "the bad canary gets no further than its first step")
	all := 0
	if c.customers != nil {
		all = lost(c.customers.Answers(c.began, time.Now()))
	}
	claim(c.customers != nil && all == 0, fmt.Sprintf("%d lost", all), "no request is lost at any time")
	r.OK = len(stage.Failed(r.Claims)) == 0
	return r.Claims
}
