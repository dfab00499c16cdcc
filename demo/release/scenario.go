// Package release plays release validation on this machine, from a shop
// under load to a no-go with evidence, a rollback and a verification:
//
//  1. a server and the shop start, each service a process of its own
//  2. five load tests teach the guardian what is normal
//  3. an acceptance load test passes
//  4. somebody turns on the flag paymentServiceFailure
//  5. the next acceptance load test is a no-go; the verdict names the failing
//     call, the exception and the change
//  6. the workflow takes the flag back by itself and looks again: it passes
//  7. a report is left behind
//
// Nothing is staged. The scenario does what people and tools would do, by the
// server's public API, and then checks that the story came out as told: each
// [stage.Claim] is a sentence with what was found.
package release

import (
	"context"
	"time"

	"github.com/tidegate-io/tidegate/demo/stage"
)

// Name is what the scenario is called.
const Name = "release-validation"

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
