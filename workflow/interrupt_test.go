package workflow

import (
	"context"
	"fmt"
	"strings"
	"testing"
)

// A condition whose evaluation the end of the process interrupts is evaluated
// again by the next one: it has not failed.
func TestInterruptedConditionIsNotAFailure(t *testing.T) {
	var numbers []string
	for i := range 500 {
		numbers = append(numbers, fmt.Sprint(i))
	}
	w := judgeEveryLoadTest()
	w.Steps[0].If = "[" + strings.Join(numbers, ",") + "].all(i, i >= 0)"
	flow, err := w.compile()
	if err != nil {
		t.Fatal(err)
	}
	e := newEngine(t, newMemory(), newWorld(), nil, w)
	x := &execution{Engine: e, flow: flow, run: Run{ID: "r", Workflow: w.Name, Definition: w, Event: testFinished("e", "acceptance")}}
	for _, s := range flow.steps {
		x.run.Steps = append(x.run.Steps, StepRun{Name: s.Name, Kind: s.kind, State: StatePending})
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := x.step(ctx, 0); err == nil || x.run.Steps[0].State != StatePending {
		t.Errorf("%v, step %+v: want it to wait for the next process", err, x.run.Steps[0])
	}
}
