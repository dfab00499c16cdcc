package delivery

import (
	"context"
	"fmt"
	"time"

	"github.com/tidegate-io/tidegate/delivery/rollout"
	"github.com/tidegate-io/tidegate/delivery/traffic"
	"github.com/tidegate-io/tidegate/demo/stage"
	"net/http"
)

// BlueGreen is what the story is called.
const BlueGreen = "blue-green"

// BlueGreenResult is what the story writes as JSON.
type BlueGreenResult struct {
	Scenario string `json:"scenario"`
	OK       bool   `json:"ok"`
	// Switch is that of the good version, Back that of the bad one.
	Switch  Switch        `json:"switch"`
	Back    SwitchBack    `json:"back"`
	Active  string        `json:"active"`
	Seconds float64       `json:"seconds"`
	Claims  []stage.Claim `json:"claims"`
}

// Switch is one movement of all traffic.
type Switch struct {
	Ms           float64 `json:"ms"`
	LostRequests int     `json:"lostRequests"`
}

// SwitchBack is the way back from a bad version; seconds after its first
// failed request.
type SwitchBack struct {
	Switch
	SecondsAfterOnset float64 `json:"secondsAfterOnset"`
}

type blueGreen struct {
	*scene
	good, bad rollout.Run
	route     traffic.Status
	told      BlueGreenResult
}

// RunBlueGreen plays the story and ends what it started. The result is as
// complete as it could be made, whatever the error.
func RunBlueGreen(ctx context.Context, cfg stage.Config) (BlueGreenResult, error) {
	s, err := newScene(cfg, BlueGreen)
	if err != nil {
		return BlueGreenResult{Scenario: BlueGreen}, err
	}
	b := &blueGreen{scene: s}
	err = s.Tell(ctx, b)
	return b.told, err
}

// Steps implements stage.Story.
func (b *blueGreen) Steps() []stage.Step {
	return []stage.Step{
		stage.Do("start the server, version 1 of the shop, and its customers", 40*time.Second, b.openStep),
		stage.Do("version 2 is good: deploy it beside, switch, watch", 32*time.Second, b.goodStep),
		stage.Do("customers buy from version 2", 32*time.Second, b.settleStep),
		stage.Do("version 3 fails every second order: deploy it beside, switch, watch", 14*time.Second, b.badStep),
		stage.Do("who has the customers now?", 4*time.Second, b.afterStep),
	}
}

// bluePeriod is how long a version has the customers before the next one is
// compared with it: longer than the guardian looks back.
const bluePeriod = 32 * time.Second

func (b *blueGreen) openStep(ctx context.Context) (string, error) {
	if err := b.open(ctx, "blue", "BLUE_URL"); err != nil {
		return "", err
	}
	b.customers = stage.SendCustomers(ctx, b.url, 50, nil)
	return "50 orders a second at " + b.url, b.settle(ctx, bluePeriod)
}

func (b *blueGreen) goodStep(ctx context.Context) (_ string, err error) {
	if err := b.deploy(ctx, "green", "2"); err != nil {
		return "", err
	}
	b.good, err = b.rollOut(ctx, "shop-blue-green", "2")
	return told(b.good), err
}

func (b *blueGreen) settleStep(ctx context.Context) (string, error) {
	return "", b.settle(ctx, bluePeriod)
}

func (b *blueGreen) badStep(ctx context.Context) (_ string, err error) {
	if err := b.deploy(ctx, "blue-3", "3", "-failures", "0.5"); err != nil {
		return "", err
	}
	b.bad, err = b.rollOut(ctx, "shop-blue-green", "3")
	return told(b.bad), err
}

func (b *blueGreen) afterStep(ctx context.Context) (string, error) {
	if err := b.settle(ctx, 3*time.Second); err != nil {
		return "", err
	}
	err := b.API.Call(ctx, http.MethodGet, "/v1/routes/shop", nil, &b.route)
	if b.Exit {
		b.customers.Stop()
	}
	return b.active(), err
}

func told(r rollout.Run) string { return fmt.Sprintf("%s: %s", r.State, r.Why) }

func (b *blueGreen) active() string {
	for _, p := range b.route.Split.Sides {
		if p.Weight == 100 {
			return p.Name
		}
	}
	return ""
}

// Conclude implements stage.Story.
func (b *blueGreen) Conclude() []stage.Claim {
	b.told = BlueGreenResult{Scenario: BlueGreen, Active: b.active(), Seconds: time.Since(b.began).Seconds()}
	r := &b.told
	claim := func(holds bool, found, sentence string) {
		r.Claims = append(r.Claims, stage.Claim{Claim: sentence, Found: found, Holds: holds})
	}
	if len(b.good.Steps) > 0 {
		shift := b.good.Steps[0].Shift
		r.Switch = Switch{Ms: milliseconds(shift.Done.Sub(shift.Asked)), LostRequests: lost(b.around(shift.Asked, shift.Done))}
	}
	claim(b.good.State == rollout.StatePromoted, told(b.good), "the good version gets the customers")
	claim(len(b.good.Steps) > 0 && r.Switch.LostRequests == 0, fmt.Sprintf("%d lost", r.Switch.LostRequests), "the switch loses no request")
	var failures int
	var onset time.Time
	if back := b.bad.Back; back != nil {
		for _, a := range b.customers.Answers(b.bad.Started, back.Done) {
			if a.Failed() {
				failures++
				if onset.IsZero() || a.Sent.Before(onset) {
					onset = a.Sent
				}
			}
		}
		r.Back = SwitchBack{Switch{milliseconds(back.Done.Sub(back.Asked)), lost(b.around(back.Asked, back.Done))}, back.Done.Sub(onset).Seconds()}
	}
	claim(b.bad.State == rollout.StateAborted && b.bad.DecidedBy == "guardian green-and-blue", told(b.bad)+" by "+b.bad.DecidedBy, "the bad version is taken back by itself")
	claim(b.bad.Back != nil && r.Back.Ms < 1000, fmt.Sprintf("%.1f ms", r.Back.Ms), "the switch back takes less than a second")
	claim(b.bad.Back != nil && r.Back.LostRequests == 0, fmt.Sprintf("%d lost", r.Back.LostRequests), "the switch back loses no request")
	claim(failures > 0 && r.Back.SecondsAfterOnset < 20, fmt.Sprintf("%.1f s and %d failed orders", r.Back.SecondsAfterOnset, failures), "customers suffer for less than 20 seconds")
	claim(r.Active == "green", r.Active, "the good version has the customers in the end")
	all := 0
	if b.customers != nil {
		all = lost(b.customers.Answers(b.began, time.Now()))
	}
	claim(b.customers != nil && all == 0, fmt.Sprintf("%d lost", all), "no request is lost at any time")
	r.OK = len(stage.Failed(r.Claims)) == 0
	return r.Claims
}
