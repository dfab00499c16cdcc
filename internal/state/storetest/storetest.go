// Package storetest is the one suite that every implementation of the stores
// must pass: it says what the contracts in change, flag, guardian, loadtest,
// workflow and notify mean.
package storetest

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/tidegate-io/tidegate/change"
	"github.com/tidegate-io/tidegate/delivery/pipeline"
	"github.com/tidegate-io/tidegate/delivery/rollout"
	"github.com/tidegate-io/tidegate/delivery/traffic"
	"github.com/tidegate-io/tidegate/delivery/validation"
	"github.com/tidegate-io/tidegate/fault"
	"github.com/tidegate-io/tidegate/flag"
	"github.com/tidegate-io/tidegate/guardian"
	"github.com/tidegate-io/tidegate/healing"
	"github.com/tidegate-io/tidegate/loadtest"
	"github.com/tidegate-io/tidegate/notify"
	"github.com/tidegate-io/tidegate/problem"
	"github.com/tidegate-io/tidegate/workflow"
)

// Stores are what is tested; they start empty.
type Stores struct {
	Changes     change.Store
	Flags       flag.Store
	Guardians   guardian.Store
	LoadTests   loadtest.Store
	Workflows   workflow.Store
	Outbox      notify.Outbox
	Comparisons validation.Store
	Problems    problem.Store
	Traffic     traffic.Store
	Rollouts    rollout.Store
	Healing     healing.Store
	Pipelines   pipeline.Store
}

// Run runs the suite; open is called for each test.
func Run(t *testing.T, open func(t *testing.T) Stores) {
	for _, test := range []struct {
		name string
		run  func(*testing.T, Stores)
	}{
		{"changes keep what they are given", changesRoundTrip},
		{"changes are added once", changesAddedOnce},
		{"changes are selected", changesSelected},
		{"changes are paged", changesPaged},
		{"changes wait for their entities", changesWaiting},
		{"flag overrides", flagOverrides},
		{"flag changes with one key happen once", flagIdempotency},
		{"flag audits", flagAudits},
		{"validations are created once and numbered without gaps", validationsNumbered},
		{"validations are updated", validationsUpdated},
		{"validations are listed", validationsListed},
		{"load-test runs", loadRuns},
		{"workflow runs", workflowRuns},
		{"a workflow run has one holder", workflowLeases},
		{"splits are replaced by later ones only", splits},
		{"rollout runs", rollouts},
		{"problems keep what they are given", problemsRoundTrip},
		{"problems are listed", problemsListed},
		{"problems that events may join", problemsActive},
		{"events have one problem", problemEventsOwned},
		{"problems with something to do", problemsDue},
		{"steps of problems come one after the other", problemSteps},
		{"registered comparisons", comparisons},
		{"registered comparisons are listed", comparisonsListed},
		{"a registered comparison has one holder", comparisonLeases},
		{"healing actions", healingActions},
		{"a healing action has one holder and a time", healingLeases},
		{"of many healing actions at once each sees the others", healingReserve},
		{"the switch of healing", healingStop},
		{"outbox", outbox},
		{"outbox messages are claimed by one", outboxClaims},
		{"releases are kept and numbered without gaps", releasesKept},
		{"a release has one holder", releaseLeases},
		{"a stage holds one release", stagesHoldOne},
		{"an approval is decided once", decisionsOnce},
		{"deployments", deployments},
	} {
		t.Run(test.name, func(t *testing.T) { test.run(t, open(t)) })
	}
}

// t0 has nanoseconds: stores must not round.
var t0 = time.Date(2026, 3, 1, 12, 0, 0, 123456789, time.UTC)

func ok(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func wantKind(t *testing.T, err error, kind fault.Kind) {
	t.Helper()
	if !fault.Is(err, kind) {
		t.Fatalf("error is %v, want a fault of kind %v", err, kind)
	}
}

// inParallel runs f n times at once and reports how many returned true.
func inParallel(t *testing.T, n int, f func(i int) (bool, error)) (count int) {
	t.Helper()
	var mu sync.Mutex
	var wg sync.WaitGroup
	var errs []error
	for i := range n {
		wg.Go(func() {
			yes, err := f(i)
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				errs = append(errs, fmt.Errorf("%d: %w", i, err))
			}
			if yes {
				count++
			}
		})
	}
	wg.Wait()
	for _, err := range errs {
		t.Error(err)
	}
	return count
}
