// Package condition compiles the conditions that people write in manifests:
// CEL expressions over records, values whose missing fields are empty.
//
// Who asks declares a vocabulary once, the variables that expressions may
// name, and compiles against it:
//
//	var words = condition.NewVocabulary("event", "steps")
//	e, err := words.Condition(`event.service == "checkout"`, nil)
//	yes, err := e.Holds(ctx, map[string]condition.Record{"event": event})
//
// Records are dynamic, so the compiler cannot know their fields. A [Check] can:
// it is asked for every field that an expression names, and [Fields] derives one
// from a Go type. Errors are faults of KindInvalid with the column and the
// nearest known name.
//
// Expressions cannot run away: their length, their depth and the cost of their
// evaluation are bounded.
package condition

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/common/types"

	"github.com/tidegate-io/tidegate/fault"
)

// Limits on expressions.
const (
	maxText  = 4096
	maxDepth = 64
	maxCost  = 1_000_000
)

// functions are offered, besides the variables, for a name that is unknown.
var functions = []string{"size", "has", "int", "double", "string", "duration", "timestamp", "matches"}

// Vocabulary is the set of variables that expressions may name. Safe for
// concurrent use.
type Vocabulary struct {
	names []string
	env   *cel.Env
}

// NewVocabulary declares variables; each is a record. The names are constants
// of the program: one that is no identifier panics.
func NewVocabulary(variables ...string) *Vocabulary {
	options := []cel.EnvOption{cel.ParserRecursionLimit(maxDepth), cel.ParserExpressionSizeLimit(maxText)}
	for _, v := range variables {
		options = append(options, cel.Variable(v, cel.DynType))
	}
	env, err := cel.NewEnv(options...)
	if err != nil {
		panic(err)
	}
	return &Vocabulary{names: append(slices.Clone(variables), functions...), env: env}
}

// Check says what is wrong with naming a field; nothing when it is known. The
// path begins with the variable and ends with the field: ["event", "service"].
type Check func(path []string) string

// Expression is a compiled expression. Safe for concurrent use.
type Expression struct {
	text    string
	program cel.Program
	result  *cel.Type
}

// String is the expression as it was written.
func (e *Expression) String() string { return e.text }

// Compile parses and checks an expression; check may be nil.
func (v *Vocabulary) Compile(text string, check Check) (*Expression, error) {
	if strings.TrimSpace(text) == "" {
		return nil, fault.Invalid("the expression is empty")
	}
	parsed, issues := v.env.Parse(text)
	if issues.Err() != nil {
		return nil, v.explain(issues)
	}
	if check != nil {
		if err := checkFields(parsed.NativeRep(), check); err != nil {
			return nil, err
		}
	}
	checked, issues := v.env.Check(parsed)
	if issues.Err() != nil {
		return nil, v.explain(issues)
	}
	program, err := v.env.Program(checked, cel.CostLimit(maxCost), cel.InterruptCheckFrequency(100))
	if err != nil {
		return nil, fault.Invalid("expression %s: %w", text, err)
	}
	return &Expression{text: text, program: program, result: checked.OutputType()}, nil
}

// Condition is Compile for what must be true or false.
func (v *Vocabulary) Condition(text string, check Check) (*Expression, error) {
	e, err := v.Compile(text, check)
	if err != nil {
		return nil, err
	}
	if !e.result.IsExactType(cel.BoolType) && !e.result.IsExactType(cel.DynType) {
		return nil, fault.Invalid("the condition is %s: expected true or false", e.result)
	}
	return e, nil
}

// explain is the first issue, with its column.
func (v *Vocabulary) explain(issues *cel.Issues) error {
	if len(issues.Errors()) == 0 {
		return fault.Invalid("%w", issues.Err())
	}
	first := issues.Errors()[0]
	message := strings.TrimPrefix(first.Message, "Syntax error: ")
	if name, ok := strings.CutPrefix(message, "undeclared reference to '"); ok {
		name, _, _ = strings.Cut(name, "'")
		message = fmt.Sprintf("unknown name %q%s", name, Nearest(name, v.names))
	}
	return at(first.Location.Line(), first.Location.Column()+1, message)
}

func at(line, column int, message string) error {
	if line > 1 {
		return fault.Invalid("line %d, column %d: %s", line, column, message)
	}
	return fault.Invalid("column %d: %s", column, message)
}

// checkFields asks for every field that is named; the first complaint counts.
func checkFields(a *ast.AST, check Check) error {
	var first error
	ast.PreOrderVisit(a.Expr(), ast.NewExprVisitor(func(e ast.Expr) {
		path := pathOf(e)
		if first != nil || len(path) < 2 {
			return
		}
		if complaint := check(path); complaint != "" {
			where := a.SourceInfo().GetStartLocation(e.ID())
			first = at(where.Line(), where.Column()+1, complaint)
		}
	}))
	return first
}

// pathOf takes x.name and x["name"] apart, down to a variable; nil for
// anything else.
func pathOf(e ast.Expr) []string {
	switch e.Kind() {
	case ast.IdentKind:
		return []string{e.AsIdent()}
	case ast.SelectKind:
		if of := pathOf(e.AsSelect().Operand()); of != nil {
			return append(of, e.AsSelect().FieldName())
		}
	case ast.CallKind:
		c := e.AsCall()
		if c.FunctionName() != "_[_]" || len(c.Args()) != 2 || c.Args()[1].Kind() != ast.LiteralKind {
			return nil
		}
		name, isText := c.Args()[1].AsLiteral().Value().(string)
		if of := pathOf(c.Args()[0]); of != nil && isText {
			return append(of, name)
		}
	}
	return nil
}

// Eval evaluates; null is nil.
func (e *Expression) Eval(ctx context.Context, values map[string]Record) (any, error) {
	variables := make(map[string]any, len(values))
	for name, v := range values {
		variables[name] = v
	}
	out, _, err := e.program.ContextEval(ctx, variables)
	if err != nil {
		return nil, fault.Invalid("%s: %w", e.text, err)
	}
	if out == types.NullValue {
		return nil, nil
	}
	return out.Value(), nil
}

// Holds evaluates a condition.
func (e *Expression) Holds(ctx context.Context, values map[string]Record) (bool, error) {
	out, err := e.Eval(ctx, values)
	if err != nil {
		return false, err
	}
	b, ok := out.(bool)
	if !ok {
		return false, fault.Invalid("%s: is %v: expected true or false", e.text, out)
	}
	return b, nil
}
