package flagd

import (
	"context"
	"net/http"

	"connectrpc.com/connect"
	"github.com/open-feature/flagd/core/pkg/model"
	"google.golang.org/protobuf/types/known/structpb"
)

// entry is one flag of a bulk evaluation.
type entry struct {
	key, variant, reason string
	value                anyValue
	metadata             *structpb.Struct
}

// anyValue holds a value of one of the types that flags have.
type anyValue struct {
	boolean *bool
	text    *string
	number  *float64
	object  *structpb.Struct
}

// resolveAll evaluates every flag that has a value; those that cannot be
// evaluated or leave the value to the code are left out, which is how these
// protocols say so.
func (s *Server) resolveAll(ctx context.Context, h http.Header, evalCtx *structpb.Struct) ([]entry, *structpb.Struct, error) {
	ctx, _, err := selected(ctx, h)
	if err != nil {
		return nil, nil, connect.NewError(connect.CodeInvalidArgument, err)
	}
	s.catalog.current()
	values, meta, err := s.catalog.eval.ResolveAllValues(ctx, "", evalCtx.AsMap())
	if err != nil {
		return nil, nil, connect.NewError(connect.CodeInternal, err)
	}
	setMeta, err := structpb.NewStruct(meta)
	if err != nil {
		return nil, nil, connect.NewError(connect.CodeInternal, err)
	}
	entries := make([]entry, 0, len(values))
	for _, v := range values {
		if v.Error != nil || v.Reason == model.DisabledReason || v.Reason == model.FallbackReason {
			continue
		}
		m, err := structpb.NewStruct(v.Metadata)
		if err != nil {
			return nil, nil, connect.NewError(connect.CodeInternal, err)
		}
		e := entry{key: v.FlagKey, variant: v.Variant, reason: v.Reason, metadata: m}
		switch value := v.Value.(type) {
		case bool:
			e.value.boolean = &value
		case string:
			e.value.text = &value
		case float64:
			e.value.number = &value
		case map[string]any:
			if e.value.object, err = structpb.NewStruct(value); err != nil {
				return nil, nil, connect.NewError(connect.CodeInternal, err)
			}
		}
		entries = append(entries, e)
	}
	return entries, setMeta, nil
}
