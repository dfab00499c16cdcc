//lint:file-ignore SA1019 older providers use what is deprecated

package flagd

import (
	"context"
	"errors"
	"net/http"

	"connectrpc.com/connect"
	"github.com/open-feature/flagd/core/pkg/model"
	"google.golang.org/protobuf/types/known/structpb"

	"buf.build/gen/go/open-feature/flagd/connectrpc/go/flagd/evaluation/v1/evaluationv1connect"
	"buf.build/gen/go/open-feature/flagd/connectrpc/go/flagd/evaluation/v2/evaluationv2connect"
	"buf.build/gen/go/open-feature/flagd/connectrpc/go/schema/v1/schemav1connect"
)

// EvaluationHandler serves the evaluation protocols.
func (s *Server) EvaluationHandler() http.Handler {
	mux := http.NewServeMux()
	limit := connect.WithReadMaxBytes(maxBody)
	mux.Handle(evaluationv1connect.NewServiceHandler(evaluationV1{s}, limit))
	mux.Handle(evaluationv2connect.NewServiceHandler(evaluationV2{s}, limit))
	mux.Handle(schemav1connect.NewServiceHandler(schemaV1{s}, limit))
	return mux
}

// resolver is the form of the evaluator's typed methods.
type resolver[T any] func(ctx context.Context, requestID, key string, evalCtx map[string]any) (
	value T, variant, reason string, metadata model.Metadata, err error)

// answer is the outcome of an evaluation. When the definition leaves the value to
// the caller's code, because the flag is disabled or has no default variant,
// byCode is set and there is neither value nor variant.
type answer[T any] struct {
	value           T
	variant, reason string
	metadata        *structpb.Struct
	byCode          bool
}

// resolve evaluates one flag. Errors carry the codes that providers translate
// back into OpenFeature's error codes.
func resolve[T any](ctx context.Context, s *Server, h http.Header, key string, evalCtx *structpb.Struct, r resolver[T]) (answer[T], error) {
	if key == "" || len(key) > maxKey {
		return answer[T]{}, connect.NewError(connect.CodeInvalidArgument, errors.New("flag_key must have 1 to 255 characters"))
	}
	ctx, _, err := selected(ctx, h)
	if err != nil {
		return answer[T]{}, connect.NewError(connect.CodeInvalidArgument, err)
	}
	s.catalog.current()
	value, variant, reason, meta, err := r(ctx, "", key, evalCtx.AsMap())
	if err != nil {
		return answer[T]{}, connect.NewError(codeOf(err), describe(key, err))
	}
	m, err := structpb.NewStruct(meta)
	if err != nil {
		return answer[T]{}, connect.NewError(connect.CodeInternal, err)
	}
	switch reason {
	case model.FallbackReason:
		return answer[T]{reason: model.DefaultReason, metadata: m, byCode: true}, nil
	case model.DisabledReason:
		return answer[T]{reason: model.DisabledReason, metadata: m, byCode: true}, nil
	}
	return answer[T]{value: value, variant: variant, reason: reason, metadata: m}, nil
}

// resolveOrFail is resolve for the protocols whose answer cannot leave the
// value open: an error is what makes a provider use the code's default there.
func resolveOrFail[T any](ctx context.Context, s *Server, h http.Header, key string, evalCtx *structpb.Struct, r resolver[T]) (answer[T], error) {
	a, err := resolve(ctx, s, h, key, evalCtx, r)
	if err == nil && a.byCode {
		return a, connect.NewError(connect.CodeNotFound, errors.New("flag "+key+" leaves its value to the code: "+a.reason))
	}
	return a, err
}

// pointers returns the value and the variant, nil when the code decides.
func (a answer[T]) pointers() (*T, *string) {
	if a.byCode {
		return nil, nil
	}
	return &a.value, &a.variant
}

// codeOf translates the evaluator's error codes, which are its messages.
func codeOf(err error) connect.Code {
	switch err.Error() {
	case model.FlagNotFoundErrorCode, model.FlagDisabledErrorCode:
		return connect.CodeNotFound
	case model.TypeMismatchErrorCode:
		return connect.CodeInvalidArgument
	case model.ParseErrorCode:
		return connect.CodeDataLoss
	}
	return connect.CodeUnknown
}

func describe(key string, err error) error {
	switch err.Error() {
	case model.FlagNotFoundErrorCode:
		return errors.New("flag " + key + " does not exist")
	case model.TypeMismatchErrorCode:
		return errors.New("flag " + key + " has values of another type")
	case model.ParseErrorCode:
		return errors.New("the targeting of flag " + key + " cannot be evaluated")
	}
	return errors.New("flag " + key + " cannot be evaluated: " + err.Error())
}

// objectStruct evaluates an object flag.
func objectStruct(ctx context.Context, s *Server, h http.Header, key string, evalCtx *structpb.Struct,
	do func(context.Context, *Server, http.Header, string, *structpb.Struct, resolver[map[string]any]) (answer[map[string]any], error),
) (answer[map[string]any], *structpb.Struct, error) {
	a, err := do(ctx, s, h, key, evalCtx, s.catalog.eval.ResolveObjectValue)
	if err != nil || a.byCode {
		return a, nil, err
	}
	v, err := structpb.NewStruct(a.value)
	if err != nil {
		return a, nil, connect.NewError(connect.CodeInternal, err)
	}
	return a, v, nil
}
