package workflow

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"

	"github.com/tidegate-io/tidegate/condition"
)

// vocabulary is what the expressions of workflows may name.
var vocabulary = sync.OnceValue(func() *condition.Vocabulary { return condition.NewVocabulary("event", "steps") })

// expression is a compiled CEL expression.
type expression struct{ *condition.Expression }

// scope says what an expression may refer to.
type scope struct {
	// steps by identifier: earlier steps with the names of their outputs.
	steps map[string][]string
	// noSteps: steps do not exist here (in a trigger).
	noSteps bool
}

// compile parses and checks an expression. Errors say at which column of the
// expression, and the nearest known name.
func compile(text string, sc scope) (*expression, error) {
	e, err := vocabulary().Compile(text, sc.check)
	if err != nil {
		return nil, err
	}
	return &expression{e}, nil
}

// compileCondition is compile for what must be true or false.
func compileCondition(text string, sc scope) (*expression, error) {
	e, err := vocabulary().Condition(text, sc.check)
	if err != nil {
		return nil, err
	}
	return &expression{e}, nil
}

// check finds references to steps that do not exist, or that come later, and
// to outputs that no step of the kind has.
func (sc scope) check(path []string) string {
	if path[0] != "steps" {
		return ""
	}
	switch outputs, known := sc.steps[path[1]]; {
	case len(path) == 2 && sc.noSteps:
		return "steps do not exist yet when an event starts a workflow: only event can be asked"
	case len(path) == 2 && !known:
		return fmt.Sprintf("unknown step %q%s: expected the name of an earlier step", path[1],
			condition.Nearest(path[1], slices.Sorted(maps.Keys(sc.steps))))
	case len(path) == 3 && known && !slices.Contains(outputs, path[2]):
		return fmt.Sprintf("step %q has no output %q%s", path[1], path[2], condition.Nearest(path[2], outputs))
	}
	return ""
}

// record is how event and steps look from an expression.
type record = condition.Record

// values are what expressions are evaluated over.
type values struct{ event, steps record }

func (v values) variables() map[string]record {
	return map[string]record{"event": v.event, "steps": v.steps}
}

func (e *expression) eval(ctx context.Context, v values) (any, error) {
	return e.Eval(ctx, v.variables())
}

// holds evaluates a condition.
func (e *expression) holds(ctx context.Context, v values) (bool, error) {
	return e.Holds(ctx, v.variables())
}
