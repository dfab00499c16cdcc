package workflow

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/common/types"

	"github.com/tidegate-io/tidegate/fault"
)

// Limits on expressions.
const (
	maxExpr      = 4096
	maxExprDepth = 64
	maxExprCost  = 1_000_000
)

// environment declares event and steps. They are records, so their type is
// dynamic; the names that can be known are checked by checkNames.
var environment = sync.OnceValue(func() *cel.Env {
	env, err := cel.NewEnv(
		cel.Variable("event", cel.DynType),
		cel.Variable("steps", cel.DynType),
		cel.ParserRecursionLimit(maxExprDepth),
		cel.ParserExpressionSizeLimit(maxExpr),
	)
	if err != nil {
		panic(err) // the declarations above are constant
	}
	return env
})

// expression is a compiled CEL expression.
type expression struct {
	text    string
	program cel.Program
}

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
	if strings.TrimSpace(text) == "" {
		return nil, fault.Invalid("the expression is empty")
	}
	env := environment()
	parsed, issues := env.Parse(text)
	if issues.Err() != nil {
		return nil, celError(text, issues)
	}
	if err := checkNames(parsed.NativeRep(), sc); err != nil {
		return nil, err
	}
	checked, issues := env.Check(parsed)
	if issues.Err() != nil {
		return nil, celError(text, issues)
	}
	program, err := env.Program(checked, cel.CostLimit(maxExprCost), cel.InterruptCheckFrequency(100))
	if err != nil {
		return nil, fault.Invalid("expression %s: %w", text, err)
	}
	return &expression{text, program}, nil
}

// compileCondition is compile for what must be true or false.
func compileCondition(text string, sc scope) (*expression, error) {
	e, err := compile(text, sc)
	if err != nil {
		return nil, err
	}
	// Compiled again for its type only; conditions are compiled once per apply.
	checked, _ := environment().Compile(text)
	if t := checked.OutputType(); !t.IsExactType(cel.BoolType) && !t.IsExactType(cel.DynType) {
		return nil, fault.Invalid("the condition is %s: expected true or false", t)
	}
	return e, nil
}

// celError is the first issue, with its column.
func celError(text string, issues *cel.Issues) error {
	if len(issues.Errors()) == 0 {
		return fault.Invalid("%w", issues.Err())
	}
	first := issues.Errors()[0]
	message := strings.TrimPrefix(first.Message, "Syntax error: ")
	if name, ok := strings.CutPrefix(message, "undeclared reference to '"); ok {
		name, _, _ = strings.Cut(name, "'")
		message = fmt.Sprintf("unknown name %q%s", name, nearest(name, []string{"event", "steps", "size", "has", "int", "double", "string", "duration", "timestamp", "matches"}))
	}
	return positionError(first.Location.Line(), first.Location.Column()+1, message)
}

func positionError(line, column int, message string) error {
	if line > 1 {
		return fault.Invalid("line %d, column %d: %s", line, column, message)
	}
	return fault.Invalid("column %d: %s", column, message)
}

// checkNames finds references to steps that do not exist, or that come later,
// and to outputs that no step of the kind has.
func checkNames(a *ast.AST, sc scope) error {
	var errs []error
	fail := func(e ast.Expr, format string, args ...any) {
		at := a.SourceInfo().GetStartLocation(e.ID())
		errs = append(errs, positionError(at.Line(), at.Column()+1, fmt.Sprintf(format, args...)))
	}
	ast.PreOrderVisit(a.Expr(), ast.NewExprVisitor(func(e ast.Expr) {
		of, name, ok := access(e)
		if !ok {
			return
		}
		if isIdent(of, "steps") {
			if sc.noSteps {
				fail(e, "steps do not exist yet when an event starts a workflow: only event can be asked")
			} else if _, known := sc.steps[name]; !known {
				fail(e, "unknown step %q%s: expected the name of an earlier step", name, nearest(name, keys(sc.steps)))
			}
			return
		}
		parent, step, ok := access(of)
		if !ok || !isIdent(parent, "steps") {
			return
		}
		if outputs, known := sc.steps[step]; known && !slices.Contains(outputs, name) {
			fail(e, "step %q has no output %q%s", step, name, nearest(name, outputs))
		}
	}))
	if len(errs) > 0 {
		return errs[0]
	}
	return nil
}

// access takes x.name and x["name"] apart.
func access(e ast.Expr) (of ast.Expr, name string, ok bool) {
	switch e.Kind() {
	case ast.SelectKind:
		return e.AsSelect().Operand(), e.AsSelect().FieldName(), true
	case ast.CallKind:
		c := e.AsCall()
		if c.FunctionName() == "_[_]" && len(c.Args()) == 2 && c.Args()[1].Kind() == ast.LiteralKind {
			s, isText := c.Args()[1].AsLiteral().Value().(string)
			return c.Args()[0], s, isText
		}
	}
	return nil, "", false
}

func isIdent(e ast.Expr, name string) bool {
	return e.Kind() == ast.IdentKind && e.AsIdent() == name
}

// values are what expressions are evaluated over.
type values struct{ event, steps record }

func (e *expression) eval(ctx context.Context, v values) (any, error) {
	out, _, err := e.program.ContextEval(ctx, map[string]any{"event": v.event, "steps": v.steps})
	if err != nil {
		return nil, fault.Invalid("%s: %w", e.text, err)
	}
	if out == types.NullValue {
		return nil, nil
	}
	return out.Value(), nil
}

// holds evaluates a condition.
func (e *expression) holds(ctx context.Context, v values) (bool, error) {
	out, err := e.eval(ctx, v)
	if err != nil {
		return false, err
	}
	b, ok := out.(bool)
	if !ok {
		return false, fault.Invalid("%s: is %v: expected true or false", e.text, out)
	}
	return b, nil
}

// nearest says "; did you mean …?" when a known name is close.
func nearest(name string, known []string) string {
	best, distance := "", max(2, len(name)/3)+1
	for _, k := range known {
		if d := editDistance(name, k); d < distance {
			best, distance = k, d
		}
	}
	if best == "" {
		return ""
	}
	return fmt.Sprintf("; did you mean %q?", best)
}

// editDistance counts insertions, deletions, replacements and swaps of
// neighbours (optimal string alignment).
func editDistance(a, b string) int {
	before, last, row := make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		before, last, row = last, row, before
		row[0] = i + 1
		for j := range len(b) {
			cost := last[j]
			if a[i] != b[j] {
				cost++
			}
			row[j+1] = min(cost, row[j]+1, last[j+1]+1)
			if i > 0 && j > 0 && a[i] == b[j-1] && a[i-1] == b[j] {
				row[j+1] = min(row[j+1], before[j-1]+1)
			}
		}
	}
	return row[len(b)]
}

func keys[V any](m map[string]V) []string {
	out := make([]string, 0, len(m))
	for k := range m {
		out = append(out, k)
	}
	slices.Sort(out)
	return out
}
